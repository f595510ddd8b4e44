//! Looks at the host: reads the files that the checks name, and finds the devices that the server uses.
//!
//! The only file of `doctor` that touches the world, and it changes nothing there. What cannot be read
//! becomes a [`Reading`] that says so; nothing here fails and nothing is judged.

use super::knob::Knob;
use super::mount::Mount;
use super::sight::{Device, MOUNTS, Plan, Reading, Sight};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Layers of devices on devices (encryption on volumes on arrays) that are followed down.
const LAYERS_MAX: usize = 8;

/// Everything that the checks of `knobs` look at.
pub(super) fn look(plan: Plan, knobs: &[Knob]) -> Sight {
    let plan = Plan { data_dir: existing_part(&plan.data_dir), ..plan };
    let disks = disks_under(&plan.data_dir);
    let mut sight = Sight { plan, disks, nics: nics(), ..Sight::default() };
    sight.texts = sight.paths(knobs).into_iter().map(|path| (path.clone(), read(&path))).collect();
    sight
}

/// The deepest part of a path that exists, without links.
fn existing_part(path: &Path) -> PathBuf {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = full.ancestors().find_map(|part| fs::canonicalize(part).ok());
    found.unwrap_or_else(|| PathBuf::from("/"))
}

/// A file's text; a directory's names; of a path with a `*`, the texts of all such files in a row.
fn read(path: &str) -> Reading {
    let text = match path.split_once("/*/") {
        Some((directory, rest)) => read_each(directory, rest),
        None if Path::new(path).is_dir() => names(Path::new(path)).map(|names| names.join("\n")),
        None => fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    };
    match text {
        Ok(text) => Reading::Text(text),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Reading::Absent
        }
        Err(error) => Reading::Refused(error.to_string()),
    }
}

/// Files that are not there are left out: processes end while one looks.
fn read_each(directory: &str, rest: &str) -> io::Result<String> {
    let paths = names(Path::new(directory))?.into_iter().map(|name| format!("{directory}/{name}/{rest}"));
    Ok(paths
        .filter_map(|path| fs::read(path).ok())
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .collect())
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The whole disks that a directory lies on; none when the kernel does not tell.
fn disks_under(directory: &Path) -> Vec<Device> {
    let Reading::Text(mounts) = read(MOUNTS) else { return Vec::new() };
    let Some(mount) = Mount::under(&mounts, directory) else { return Vec::new() };
    let node = if mount.has_device_number() {
        fs::canonicalize(format!("/sys/dev/block/{}", mount.device))
    } else {
        // btrfs has numbers of its own; its device file has the disk's name.
        let device = fs::canonicalize(&mount.source).ok().filter(|path| path.starts_with("/dev"));
        let name = device.as_deref().and_then(Path::file_name).unwrap_or_default();
        fs::canonicalize(Path::new("/sys/class/block").join(name))
    };
    let mut found = BTreeSet::new();
    // Every block device has a `dev`; the class itself, where a name was missing, has none.
    if let Some(node) = node.ok().filter(|node| node.join("dev").exists()) {
        whole_disks(&node, LAYERS_MAX, &mut found);
    }
    found.iter().filter_map(|node| device(node)).collect()
}

/// From a partition to its disk, and from a layer to what is below it.
fn whole_disks(node: &Path, layers: usize, found: &mut BTreeSet<PathBuf>) {
    let node = match node.parent() {
        Some(disk) if node.join("partition").exists() => disk,
        _ => node,
    };
    let below = names(&node.join("slaves")).unwrap_or_default();
    if below.is_empty() || layers == 0 {
        found.insert(node.to_owned());
        return;
    }
    for name in below {
        if let Ok(lower) = fs::canonicalize(node.join("slaves").join(name)) {
            whole_disks(&lower, layers - 1, found);
        }
    }
}

/// Network devices with hardware, or a virtual machine's likeness of it, that are not down.
fn nics() -> Vec<Device> {
    let class = Path::new("/sys/class/net");
    let is_down = |node: &Path| fs::read_to_string(node.join("operstate")).is_ok_and(|s| s.trim() == "down");
    let is_used = |node: &PathBuf| node.join("device").exists() && !is_down(node);
    let nodes = names(class).unwrap_or_default().into_iter().map(|name| class.join(name)).filter(is_used);
    nodes.filter_map(|node| fs::canonicalize(node).ok()).filter_map(|node| device(&node)).collect()
}

fn device(node: &Path) -> Option<Device> {
    Some(Device { name: node.file_name()?.to_string_lossy().into_owned(), irqs: irqs(node) })
}

/// The interrupts of the bus device that a disk or a network device belongs to: the nearest one above that
/// has any, so that a bridge farther up is not taken for it.
fn irqs(node: &Path) -> Vec<u32> {
    let numbers = |texts: Vec<String>| -> Vec<u32> {
        let numbers: BTreeSet<u32> = texts.iter().filter_map(|text| text.trim().parse().ok()).collect();
        numbers.into_iter().collect()
    };
    for above in node.ancestors().take_while(|above| above.starts_with("/sys/devices")) {
        let messages = numbers(names(&above.join("msi_irqs")).unwrap_or_default());
        if !messages.is_empty() {
            return messages;
        }
        if let Ok(line) = fs::read_to_string(above.join("irq")) {
            return numbers(vec![line]).into_iter().filter(|irq| *irq != 0).collect();
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// `/sys` in small: two disks with a partition each, an array of the partitions, a volume on the array.
    fn devices(root: &Path) {
        for directory in ["sda/sda1", "sdb/sdb1", "md0/slaves", "dm-0/slaves"] {
            fs::create_dir_all(root.join(directory)).expect("the temporary directory can be written");
        }
        for partition in ["sda/sda1", "sdb/sdb1"] {
            fs::write(root.join(partition).join("partition"), "1\n").expect("writable");
        }
        let links = [("md0", "sda1", "sda/sda1"), ("md0", "sdb1", "sdb/sdb1"), ("dm-0", "md0", "md0")];
        for (upper, name, lower) in links {
            symlink(root.join(lower), root.join(upper).join("slaves").join(name)).expect("writable");
        }
    }

    #[test]
    fn layers_and_partitions_lead_to_whole_disks() {
        let root = std::env::temp_dir().join(format!("millrace-layers-{}", std::process::id()));
        devices(&root);
        let below = |node: &str, layers| {
            let mut found = BTreeSet::new();
            whole_disks(&fs::canonicalize(root.join(node)).expect("made above"), layers, &mut found);
            found.iter().filter_map(|node| device(node)).map(|device| device.name).collect::<Vec<_>>()
        };
        assert_eq!(below("dm-0", LAYERS_MAX), ["sda", "sdb"]);
        assert_eq!(below("sda/sda1", LAYERS_MAX), ["sda"]);
        assert_eq!(below("sdb", LAYERS_MAX), ["sdb"]);
        assert_eq!(below("dm-0", 1), ["md0"], "as far as layers are followed");
        fs::remove_dir_all(&root).expect("it is ours");
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        assert_eq!(read("/proc/no-such-file"), Reading::Absent);
        assert_eq!(read("/proc/self/limits/below-a-file"), Reading::Absent);
        assert!(matches!(read("/proc/self/mem"), Reading::Refused(_)), "its first byte is nowhere");
        assert!(
            matches!(read("/proc/self"), Reading::Text(names) if names.lines().any(|name| name == "limits"))
        );
    }
}
