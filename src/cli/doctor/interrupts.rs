//! At which cores the interrupts of the devices in use arrive.
//!
//! Pure: works on the texts of `/proc/interrupts` and `/proc/irq/N/*`. Interrupts that hardly ever came (a
//! device's configuration, a queue without traffic) do not count.

use super::judge::{Status, Verdict};
use super::knob::Check;
use super::sight::{Device, INTERRUPTS, Reading, Sight, affinity_paths};
use std::collections::BTreeSet;

/// A verdict for each disk, and for each network device when clients come that way.
pub(super) fn judge(check: &Check, sight: &Sight) -> Vec<Verdict> {
    let counts = match sight.reading(INTERRUPTS) {
        Reading::Text(text) => text,
        Reading::Absent => return vec![Verdict::unknown(check, sight, format!("{INTERRUPTS} is not there"))],
        Reading::Refused(why) => return vec![Verdict::unknown(check, sight, format!("{INTERRUPTS}: {why}"))],
    };
    let nics = sight.nics.iter().filter(|_| sight.plan.is_on_network);
    let verdicts: Vec<Verdict> =
        sight.disks.iter().chain(nics).map(|device| judge_device(check, sight, counts, device)).collect();
    match verdicts.is_empty() {
        true => vec![Verdict::unknown(check, sight, sight.why_no_disk())],
        false => verdicts,
    }
}

fn judge_device(check: &Check, sight: &Sight, counts: &str, device: &Device) -> Verdict {
    let about = |verdict: Verdict| Verdict { subjects: vec![device.name.clone()], ..verdict };
    if device.irqs.is_empty() {
        return about(Verdict::unknown(
            check,
            sight,
            "the kernel does not tell which interrupts are this device's",
        ));
    }
    let active = active(counts, &device.irqs);
    let Some(cpus) = active.iter().map(|irq| affinity(sight, *irq)).collect::<Option<Vec<_>>>() else {
        return about(Verdict::unknown(check, sight, "the kernel does not tell at which cores they arrive"));
    };
    let union: BTreeSet<usize> = cpus.into_iter().flatten().collect();
    let found = match active.len() {
        0 => "none came yet".to_owned(),
        1 => format!("one queue, at {}", list(&union)),
        many => format!("{many} at {}", list(&union)),
    };
    let cores = &sight.plan.cores;
    let crowded = union.iter().next().copied().filter(|cpu| union.len() == 1 && cores.contains(cpu));
    let elsewhere = crowded.and_then(|crowded| cores.iter().find(|core| **core != crowded));
    let verdict = match elsewhere {
        Some(core) if active.len() > 1 => {
            let verdict = Verdict::found(check, sight, Status::Tune, found);
            verdict.with("{irq}", &active[1].to_string()).with("{cpu}", &core.to_string())
        }
        _ => Verdict::found(check, sight, Status::Ok, found),
    };
    about(verdict)
}

/// The interrupts that matter: a device's changes of configuration come by one of their own, now and then.
fn active(counts: &str, irqs: &[u32]) -> Vec<u32> {
    /// Below one in so many of the device's interrupts, one is no queue in use.
    const RARE: u64 = 100;
    let of = |irq: &u32| count(counts, *irq).unwrap_or(0);
    let all = irqs.iter().map(of).fold(0, u64::saturating_add);
    irqs.iter().copied().filter(|irq| of(irq) > all / RARE).collect()
}

/// How often an interrupt came since the machine started, at all processors together.
fn count(counts: &str, irq: u32) -> Option<u64> {
    let mut lines = counts.lines();
    let columns = lines.next()?.split_whitespace().count();
    let label = format!("{irq}:");
    let row = lines.find_map(|line| line.trim_start().strip_prefix(&label))?;
    let numbers = row.split_whitespace().take(columns).map_while(|word| word.parse::<u64>().ok());
    Some(numbers.fold(0, u64::saturating_add))
}

/// The processors that an interrupt may arrive at; `None` when no file tells.
fn affinity(sight: &Sight, irq: u32) -> Option<BTreeSet<usize>> {
    affinity_paths(irq).iter().find_map(|path| match sight.reading(path) {
        Reading::Text(text) => parse_list(text).filter(|cpus| !cpus.is_empty()),
        _ => None,
    })
}

/// A list as in `0-3,8`.
fn parse_list(text: &str) -> Option<BTreeSet<usize>> {
    /// More than any kernel has; bounds what a broken file can ask for.
    const CPUS_MAX: usize = 8192;
    let mut cpus = BTreeSet::new();
    for range in text.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        if last >= CPUS_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

fn list(cpus: &BTreeSet<usize>) -> String {
    let names: Vec<String> = cpus.iter().take(8).map(|cpu| format!("cpu{cpu}")).collect();
    let more = if cpus.len() > names.len() {
        format!(" and {} more", cpus.len() - names.len())
    } else {
        String::new()
    };
    format!("{}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: &str = "\
           CPU0       CPU1
 36:          0    6907640 PCI-MSIX-0000:00:02.0   1-edge      virtio1-req.0
 37:          0          0 PCI-MSIX-0000:00:03.0   0-edge      virtio2-config
 38:          5         10 PCI-MSIX-0000:00:03.0   1-edge      virtio2-input.0
NMI:          0          0   Non-maskable interrupts
ERR:          7
";

    #[test]
    fn interrupts_are_counted_over_all_processors() {
        assert_eq!([36, 37, 38, 3].map(|irq| count(COUNTS, irq)), [Some(6_907_640), Some(0), Some(15), None]);
        assert_eq!(count("", 36), None);
    }

    #[test]
    fn lists_of_processors_are_read_or_refused() {
        assert_eq!(parse_list("0-2,8\n"), Some([0, 1, 2, 8].into()));
        assert_eq!(parse_list("\n"), Some([].into()));
        for broken in ["a", "0-", "0-99999999999", "18446744073709551616"] {
            assert_eq!(parse_list(broken), None, "{broken}");
        }
    }
}
