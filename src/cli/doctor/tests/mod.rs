//! What the tests of `doctor` share: a host with good values, to be changed value by value.

mod files;
mod judgements;
mod output;

use super::knob::{Check, Knob};
use super::sight::{Device, Plan, Reading, Sight};
use super::table;

fn device(name: &str, irqs: &[u32]) -> Device {
    Device { name: name.to_owned(), irqs: irqs.to_vec() }
}

/// A server of two cores with clients on the network, on a machine with an NVMe disk and a network device.
fn good_host() -> Sight {
    let plan = Plan {
        cores: vec![0, 1],
        connections_max: 100_000,
        is_on_network: true,
        is_dedicated: true,
        data_dir: "/var/lib/millrace".into(),
    };
    let (disks, nics) = (vec![device("nvme0n1", &[40, 41])], vec![device("eth0", &[50, 51])]);
    let mut sight = Sight { plan, disks, nics, ..Sight::default() };
    for (path, text) in GOOD {
        put(&mut sight, path, text);
    }
    sight
}

const GOOD: &[(&str, &str)] = &[
    ("/proc/*/comm", "systemd\nmillrace\n"),
    (
        "/proc/interrupts",
        "      CPU0  CPU1\n 40:  500  0 nvme0q0\n 41:  0  500 nvme0q1\n 50:  90  0 rx\n 51:  0  80 tx\n",
    ),
    ("/proc/irq/40/effective_affinity_list", "0\n"),
    ("/proc/irq/41/effective_affinity_list", "1\n"),
    ("/proc/irq/50/effective_affinity_list", "0\n"),
    ("/proc/irq/51/smp_affinity_list", "0-1\n"),
    ("/sys/devices/system/cpu", "cpu0\ncpu1\nonline"),
    ("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
    ("/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
    (
        "/proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \n\
         Max open files            262144               262144               files     \n\
         Max locked memory         unlimited            unlimited            bytes     \n",
    ),
    ("/proc/sys/net/core/somaxconn", "4096\n"),
    ("/proc/sys/net/ipv4/tcp_max_syn_backlog", "1024\n"),
    ("/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n"),
    ("/proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304\n"),
    ("/proc/sys/net/core/rmem_max", "212992\n"),
    ("/proc/sys/net/core/wmem_max", "212992\n"),
    ("/proc/sys/net/ipv4/tcp_slow_start_after_idle", "0\n"),
    ("/sys/class/net/eth0/queues", "rx-0\nrx-1\ntx-0\ntx-1"),
    ("/sys/block/nvme0n1/queue/scheduler", "[none] mq-deadline kyber bfq \n"),
    ("/sys/block/nvme0n1/queue/rotational", "0\n"),
    ("/sys/block/nvme0n1/queue/write_cache", "write through\n"),
    ("/sys/block/nvme0n1/queue/fua", "1\n"),
    ("/proc/self/mountinfo", "27 1 259:1 / / rw,relatime - ext4 /dev/nvme0n1p1 rw\n"),
    ("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
    ("/sys/kernel/mm/transparent_hugepage/defrag", "always defer defer+madvise [madvise] never\n"),
    ("/etc/systemd/system/millrace.service", include_str!("../../../../tuning/millrace.service")),
];

fn put(sight: &mut Sight, path: &str, text: &str) {
    sight.texts.insert(path.to_owned(), Reading::Text(text.to_owned()));
}

fn knob(name: &str) -> Knob {
    table::knobs().into_iter().find(|knob| knob.name == name).expect("a knob of the table")
}

fn check(name: &str, what: &str) -> Check {
    knob(name).checks.into_iter().find(|check| check.what == what).expect("a check of the knob")
}
