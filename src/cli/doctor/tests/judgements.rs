//! Values against what they should be, on hosts of all kinds.

use super::*;
use crate::cli::doctor::judge::{Status, Verdict, judge};
use crate::cli::doctor::sight::affinity_paths;
use proptest::prelude::*;

/// The only verdict of a check.
fn verdict(sight: &Sight, name: &str, what: &str) -> Verdict {
    let verdicts = judge(&check(name, what), sight);
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
    verdicts.into_iter().next().expect("one")
}

/// The verdict with one file of the good host changed, as `status: found`.
fn with(name: &str, what: &str, path: &str, text: &str) -> String {
    let mut sight = good_host();
    put(&mut sight, path, text);
    let verdict = verdict(&sight, name, what);
    format!("{}: {}", verdict.status.word(), verdict.found)
}

fn every_verdict(sight: &Sight) -> Vec<(String, Verdict)> {
    let knobs = table::knobs();
    let checks = knobs.iter().flat_map(|knob| knob.checks.iter().map(move |check| (knob.name, check)));
    let named = |(name, check): (&str, &Check)| {
        let label = format!("{name}: {}", check.what);
        judge(check, sight).into_iter().map(move |verdict| (label.clone(), verdict)).collect::<Vec<_>>()
    };
    checks.flat_map(named).collect()
}

#[test]
fn a_good_host_has_nothing_to_tune_and_nothing_unknown() {
    for (label, verdict) in every_verdict(&good_host()) {
        assert_eq!(verdict.status, Status::Ok, "{label}: {verdict:?}");
    }
}

#[test]
fn a_host_that_shows_nothing_is_unknown_and_not_bad() {
    let hidden = Sight { disks: Vec::new(), nics: Vec::new(), texts: Default::default(), ..good_host() };
    let mut refused = good_host();
    for reading in refused.texts.values_mut() {
        *reading = Reading::Refused("Permission denied (os error 13)".to_owned());
    }
    for sight in [hidden, refused] {
        for (label, verdict) in every_verdict(&sight) {
            assert!(matches!(verdict.status, Status::Unknown | Status::Moot), "{label}: {verdict:?}");
            assert!(!verdict.note.is_empty() && verdict.found.is_empty(), "{label}: {verdict:?}");
        }
    }
}

#[test]
fn a_number_is_enough_from_the_wanted_one_on() {
    let path = "/proc/sys/net/core/somaxconn";
    let found = |text| with("backlog", "net.core.somaxconn", path, text);
    assert_eq!([found("1024\n"), found("1023\n"), found("128")], ["ok: 1024", "tune: 1023", "tune: 128"]);
    let path = "/proc/sys/net/ipv4/tcp_rmem";
    let found = |text| with("tcp-buffers", "net.ipv4.tcp_rmem, largest", path, text);
    assert_eq!(found("4096 131072 6291455"), "tune: 6291455 bytes");
    assert_eq!(found("4096\t131072\t33554432\n"), "ok: 32 MiB");
    assert_eq!([found("4096 131072"), found("a b c")], ["unknown: ", "unknown: "]);
}

#[test]
fn limits_grow_with_cores_and_connections() {
    let limits = |files: u64| format!("Max open files            {files}   {files}   files\n");
    let found = |files| with("nofile", "descriptors", "/proc/self/limits", &limits(files));
    assert_eq!([found(100_704), found(100_703)], ["ok: 100704", "tune: 100703"]);
    let mut sight = good_host();
    put(&mut sight, "/proc/self/limits", "Max locked memory         65536    65536   bytes\n");
    sight.plan.cores = (0..16).collect();
    let memlock = verdict(&sight, "memlock", "lockable memory");
    assert_eq!((memlock.status, memlock.found.as_str()), (Status::Tune, "64 KiB"));
    assert_eq!((memlock.wanted.as_str(), memlock.set.contains("=2097152:2097152")), ("at least 2 MiB", true));
}

#[test]
fn a_scheduler_is_for_disks_that_spin() {
    let found = |disk: &str, spins: &str, scheduler: &str| {
        let mut sight = Sight { disks: vec![device(disk, &[])], ..good_host() };
        put(&mut sight, &format!("/sys/block/{disk}/queue/rotational"), spins);
        put(&mut sight, &format!("/sys/block/{disk}/queue/scheduler"), scheduler);
        verdict(&sight, "disk", "scheduler")
    };
    let deadline = "none [mq-deadline] kyber bfq \n";
    assert_eq!(found("sda", "1\n", deadline).status, Status::Ok);
    assert_eq!(found("sda", "0\n", deadline).status, Status::Tune);
    assert_eq!(found("sda", "1\n", "none mq-deadline [kyber]\n").status, Status::Tune);
    let virtual_disk = found("vda", "1\n", deadline);
    assert_eq!(virtual_disk.status, Status::Tune, "a virtual disk does not spin, whatever it says");
    assert_eq!(virtual_disk.set, "echo none | sudo tee /sys/block/vda/queue/scheduler");
    assert_eq!(found("dm-0", "0\n", "none\n").status, Status::Ok, "a layer has one word and no brackets");
    assert_eq!(found("sda", "0\n", "").status, Status::Unknown);
}

#[test]
fn disks_with_the_same_value_and_others_are_told_apart() {
    let mut sight = Sight { disks: vec![device("sda", &[]), device("sdb", &[])], ..good_host() };
    put(&mut sight, "/sys/block/sda/queue/write_cache", "write back\n");
    put(&mut sight, "/sys/block/sdb/queue/write_cache", "write through\n");
    let caches = judge(&check("disk", "write cache"), &sight);
    assert_eq!(caches.len(), 2);
    assert!(caches[0].note.contains("every commit waits"), "{caches:?}");
    assert_eq!((caches[1].status, &caches[1].subjects), (Status::Ok, &vec!["sdb".to_owned()]));
}

#[test]
fn cores_with_the_same_governor_are_one_verdict() {
    let mut sight = good_host();
    let governors = |sight: &Sight| judge(&check("governor", "governor"), sight);
    assert_eq!(governors(&sight)[0].subjects, ["cpu0", "cpu1"]);
    put(&mut sight, "/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n");
    let verdicts = governors(&sight);
    assert_eq!((verdicts.len(), verdicts[1].status), (2, Status::Tune));
    sight.texts.retain(|path, _| !path.contains("cpufreq"));
    let none = governors(&sight);
    assert_eq!((none.len(), none[0].status), (1, Status::Moot), "a virtual machine has no governor");
}

#[test]
fn an_absent_file_means_something_only_where_others_are() {
    let mut sight = good_host();
    sight.texts.retain(|path, _| !path.contains("transparent_hugepage"));
    let pages = |sight: &Sight| verdict(sight, "huge-pages", "transparent huge pages");
    assert_eq!((pages(&sight).status, pages(&sight).note.as_str()), (Status::Moot, "this kernel has none"));
    sight.texts.retain(|path, _| !path.starts_with("/sys/"));
    assert_eq!(pages(&sight).status, Status::Unknown, "a container without /sys");
    assert_eq!(pages(&sight).note, "/sys/kernel/mm/transparent_hugepage/enabled is not there");
}

#[test]
fn file_systems_and_options_are_judged_where_the_data_lie() {
    let mounts = |line: &str| format!("27 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 27 {line}\n");
    let kind = |line| with("file-system", "file system", "/proc/self/mountinfo", &mounts(line));
    assert_eq!(kind("0:40 / /var rw - overlay overlay rw,lowerdir=/l"), "tune: overlay");
    assert_eq!(kind("0:41 / /var/lib rw - btrfs /dev/sdb rw"), "tune: btrfs");
    assert_eq!(kind("8:17 / /var/lib/millrace rw - xfs /dev/sdb1 rw"), "ok: xfs");
    assert_eq!(kind("8:17 / /srv rw - btrfs /dev/sdb1 rw"), "ok: ext4", "another place");
    let mut sight = good_host();
    put(&mut sight, "/proc/self/mountinfo", "27 1 8:1 / / rw,sync - ext4 /dev/sda1 rw,nobarrier,discard\n");
    let options = verdict(&sight, "file-system", "mount options");
    assert_eq!((options.status, options.found.as_str()), (Status::Tune, "nobarrier, sync, discard"));
    assert!(options.note.contains("a power cut takes acknowledged events"));
    assert_eq!(options.set, "sudo mount -o remount,barrier /");
}

#[test]
fn without_a_disk_the_checks_of_disks_say_what_is_there_instead() {
    let mut sight = Sight { disks: Vec::new(), ..good_host() };
    put(&mut sight, "/proc/self/mountinfo", "27 1 0:9 / / rw - overlay overlay rw\n");
    for (knob, what) in [("disk", "scheduler"), ("disk", "fua")] {
        let verdict = verdict(&sight, knob, what);
        assert_eq!(verdict.status, Status::Unknown);
        assert_eq!(verdict.note, "the kernel does not tell which disk is below overlay");
    }
    assert_eq!(
        verdict(&sight, "disk", "scheduler").set,
        "echo none | sudo tee /sys/block/DISK/queue/scheduler"
    );
}

#[test]
fn the_network_matters_when_clients_come_that_way() {
    let mut sight = good_host();
    put(&mut sight, "/sys/class/net/eth0/queues", "rx-0\ntx-0\ntx-1");
    let queues = verdict(&sight, "nic-queues", "receive queues");
    assert_eq!((queues.status, queues.found.as_str()), (Status::Tune, "1"));
    assert_eq!(queues.set, "sudo ethtool -L eth0 combined 2");
    sight.nics.clear();
    assert_eq!(verdict(&sight, "nic-queues", "receive queues").status, Status::Moot);
    let mut loopback = good_host();
    loopback.plan.is_on_network = false;
    put(&mut loopback, "/proc/sys/net/ipv4/tcp_slow_start_after_idle", "1\n");
    for (knob, what) in [
        ("nic-queues", "receive queues"),
        ("backlog", "net.ipv4.tcp_max_syn_backlog"),
        ("tcp-buffers", "net.ipv4.tcp_slow_start_after_idle"),
    ] {
        assert_eq!(verdict(&loopback, knob, what).note, "clients come over loopback alone");
    }
    let about: Vec<_> = judge(&check("cores", "interrupts"), &loopback);
    assert_eq!((about.len(), about[0].subjects[0].as_str()), (1, "nvme0n1"));
}

#[test]
fn programs_that_move_interrupts_matter_where_cores_are_dedicated() {
    let found = |sight: &Sight| verdict(sight, "cores", "programs that move interrupts").status;
    let mut sight = good_host();
    put(&mut sight, "/proc/*/comm", "systemd\nirqbalance\nmillrace\n");
    assert_eq!(found(&sight), Status::Tune);
    sight.plan.is_dedicated = false;
    assert_eq!(found(&sight), Status::Moot);
}

#[test]
fn queues_that_all_arrive_at_one_of_the_servers_cores_could_be_spread() {
    let disk = |sight: &Sight| judge(&check("cores", "interrupts"), sight).remove(0);
    let crowd = |sight: &mut Sight| put(sight, "/proc/irq/41/effective_affinity_list", "0\n");
    let mut sight = good_host();
    assert_eq!(disk(&sight).found, "2 at cpu0, cpu1");
    crowd(&mut sight);
    let crowded = disk(&sight);
    assert_eq!((crowded.status, crowded.found.as_str()), (Status::Tune, "2 at cpu0"));
    assert_eq!(crowded.set, "echo 1 | sudo tee /proc/irq/41/smp_affinity_list");
    sight.plan.cores = vec![1];
    assert_eq!(disk(&sight).status, Status::Ok, "they arrive at a core that is not the server's");
    sight.plan.cores = vec![0];
    assert_eq!(disk(&sight).status, Status::Ok, "a server of one core has no other");
}

#[test]
fn an_interrupt_that_hardly_ever_comes_is_no_queue() {
    let mut sight = good_host();
    put(&mut sight, "/proc/interrupts", "      CPU0  CPU1\n 40:  1  0 x config\n 41:  0  500 x queue\n");
    assert_eq!(judge(&check("cores", "interrupts"), &sight)[0].found, "one queue, at cpu1");
}

#[test]
fn interrupts_that_the_kernel_does_not_tell_of_are_unknown() {
    let first = |sight: &Sight| judge(&check("cores", "interrupts"), sight).remove(0);
    let mut sight = good_host();
    affinity_paths(41).iter().for_each(|path| drop(sight.texts.remove(path)));
    assert_eq!(first(&sight).status, Status::Unknown);
    sight.disks = vec![device("nvme0n1", &[])];
    assert_eq!(first(&sight).status, Status::Unknown);
}

#[test]
fn a_unit_that_lacks_a_line_is_told_which() {
    let text = "[Service]\nRestart=on-failure\n# LimitNOFILE=1\nLimitMEMLOCK=8M\n";
    let path = "/etc/systemd/system/millrace.service";
    let expected = "tune: no LimitNOFILE=, RestartPreventExitStatus=, TimeoutStopSec=";
    assert_eq!(with("systemd", "millrace.service", path, text), expected);
}

proptest! {
    #[test]
    fn no_text_of_any_file_panics(text in "[ -~\n\t]{0,80}|[0-9\\[\\],:/ \n-]{0,80}|\\PC{0,40}") {
        let mut sight = good_host();
        for reading in sight.texts.values_mut() {
            *reading = Reading::Text(text.clone());
        }
        let checks: usize = table::knobs().iter().map(|knob| knob.checks.len()).sum();
        prop_assert!(every_verdict(&sight).len() >= checks, "every check says something");
    }
}
