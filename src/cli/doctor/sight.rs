//! What was seen of the host: texts of files by their paths, and the devices that the server uses.
//!
//! `host` fills it, `judge` and `interrupts` read it; nothing here touches the world. A text that could not
//! be had says why, so that a judgement is never made from nothing.

use super::knob::{Check, Knob, Take};
use super::mount::Mount;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The table of mounts of this process.
pub(super) const MOUNTS: &str = "/proc/self/mountinfo";
/// A directory that every `/sys` has.
const SYS: &str = "/sys/devices/system/cpu";
/// The counts of interrupts.
pub(super) const INTERRUPTS: &str = "/proc/interrupts";

/// What the server is going to do on this host.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// The processors that it runs on.
    pub(super) cores: Vec<usize>,
    /// Connections to be served at once.
    pub(super) connections_max: usize,
    /// Whether it listens on anything but loopback.
    pub(super) is_on_network: bool,
    /// Whether its cores spin, so that nothing else should run there.
    pub(super) is_dedicated: bool,
    /// Where its data lie, or the part of that path which exists.
    pub(super) data_dir: PathBuf,
}

/// A disk or a network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    /// Its name under `/sys/block` or `/sys/class/net`.
    pub(super) name: String,
    /// Its interrupts; none when the kernel does not tell.
    pub(super) irqs: Vec<u32>,
}

/// A file, as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Its text.
    Text(String),
    /// It is not there.
    Absent,
    /// It is there and could not be read; the system's reason.
    Refused(String),
}

/// Everything that the checks look at.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    /// What the server is going to do.
    pub(super) plan: Plan,
    /// The disks under the data directory.
    pub(super) disks: Vec<Device>,
    /// Network devices that are more than a name.
    pub(super) nics: Vec<Device>,
    /// Files by their paths.
    pub(super) texts: BTreeMap<String, Reading>,
}

impl Sight {
    /// Every path that the checks of `knobs` look at.
    pub(super) fn paths(&self, knobs: &[Knob]) -> BTreeSet<String> {
        let mut paths: BTreeSet<String> = BTreeSet::new();
        for check in knobs.iter().flat_map(|knob| &knob.checks) {
            paths.extend(self.places(check).into_iter().map(|place| place.path));
            if check.take == Take::Interrupts {
                let irqs = self.disks.iter().chain(&self.nics).flat_map(|device| &device.irqs);
                paths.extend(irqs.flat_map(|irq| affinity_paths(*irq)));
            }
        }
        paths.extend(self.disks.iter().map(|disk| rotational_path(&disk.name)));
        paths.extend([MOUNTS, SYS].map(str::to_owned));
        paths
    }

    /// The files of a check: one, or one for each disk, network device or core.
    pub(super) fn places(&self, check: &Check) -> Vec<Place> {
        let device = |slot: &'static str, name: &str| Place {
            path: check.read.replace(slot, name),
            slot,
            name: name.to_owned(),
        };
        let read = &check.read;
        if read.contains("{disk}") {
            self.disks.iter().map(|disk| device("{disk}", &disk.name)).collect()
        } else if read.contains("{nic}") {
            self.nics.iter().map(|nic| device("{nic}", &nic.name)).collect()
        } else if read.contains("{cpu}") {
            self.plan.cores.iter().map(|cpu| device("{cpu}", &cpu.to_string())).collect()
        } else {
            vec![Place { path: read.clone(), slot: "", name: String::new() }]
        }
    }

    /// A file; one that nobody looked for is not there.
    pub(super) fn reading(&self, path: &str) -> &Reading {
        self.texts.get(path).unwrap_or(&Reading::Absent)
    }

    /// Whether it means anything that a file is not there: without `/sys`, nothing there is.
    pub(super) fn can_tell_absence(&self, path: &str) -> bool {
        !path.starts_with("/sys/") || matches!(self.reading(SYS), Reading::Text(_))
    }

    /// The mount that the data directory lies in.
    pub(super) fn mount(&self) -> Option<Mount> {
        match self.reading(MOUNTS) {
            Reading::Text(text) => Mount::under(text, &self.plan.data_dir),
            _ => None,
        }
    }

    /// What to say when a disk is asked for and none was found.
    pub(super) fn why_no_disk(&self) -> String {
        let kind = self.mount().map_or_else(|| "the data directory".to_owned(), |mount| mount.kind);
        format!("the kernel does not tell which disk is below {kind}")
    }

    /// Whether a disk has a head that moves. Virtual disks say so as well, as nobody told them otherwise.
    pub(super) fn spins(&self, disk: &str) -> bool {
        let is_virtual =
            ["vd", "xvd", "loop", "nbd", "zram", "ram"].iter().any(|name| disk.starts_with(name));
        let rotational = self.reading(&rotational_path(disk));
        !is_virtual && matches!(rotational, Reading::Text(text) if text.trim() == "1")
    }
}

/// One file of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its path.
    pub(super) path: String,
    /// What was replaced in it, such as `{disk}`; empty when nothing was.
    pub(super) slot: &'static str,
    /// By what.
    pub(super) name: String,
}

impl Place {
    /// What the file belongs to, for people.
    pub(super) fn subject(&self) -> String {
        if self.slot == "{cpu}" { format!("cpu{}", self.name) } else { self.name.clone() }
    }
}

/// Where the kernel says at which cores an interrupt arrives, the surest first.
pub(super) fn affinity_paths(irq: u32) -> [String; 2] {
    ["effective_affinity_list", "smp_affinity_list"].map(|file| format!("/proc/irq/{irq}/{file}"))
}

fn rotational_path(disk: &str) -> String {
    format!("/sys/block/{disk}/queue/rotational")
}
