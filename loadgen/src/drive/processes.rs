//! Processor time and memory of processes, from `/proc`, and the processors a thread may use.
//!
//! Read once a second by the coordinator. A process that is gone reads as nothing. Linux only, as the server
//! is.

use crate::failure::{Exit, Failure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use std::fs;

/// Ticks of `/proc/PID/stat` in a second: fixed at 100 for every program (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;

/// What some processes have used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Processor seconds, in user and kernel mode.
    pub(crate) cpu_s: f64,
    /// Resident memory, in bytes.
    pub(crate) resident_bytes: u64,
}

/// What the processes have used together; those that are gone count nothing.
pub(crate) fn usage(pids: &[u32]) -> Usage {
    let mut sum = Usage::default();
    for pid in pids {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        sum.cpu_s += cpu_seconds(&read("stat")).unwrap_or(0.0);
        sum.resident_bytes += resident_bytes(&read("status")).unwrap_or(0);
    }
    sum
}

/// Fields 14 and 15 of `stat`, counted after the name, which may hold blanks and brackets.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_S)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Processor seconds that programs have used on the whole machine, stolen time included and the kernel's own
/// threads left out: they write what the server told them to. `None` if it does not say. Reads a file of each
/// process.
pub(crate) fn programs_busy_s() -> Option<f64> {
    let busy_s = busy_seconds(&fs::read_to_string("/proc/stat").ok()?)?;
    let stat_of = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.ok()?.path();
        let is_process = path.file_name()?.to_str()?.bytes().all(|byte| byte.is_ascii_digit());
        is_process.then(|| fs::read_to_string(path.join("stat")).ok())?
    };
    let stats = fs::read_dir("/proc").ok()?.filter_map(stat_of);
    let kernel_s: f64 =
        stats.filter(|stat| is_kernel_thread(stat)).filter_map(|stat| cpu_seconds(&stat)).sum();
    Some(busy_s - kernel_s)
}

/// Field 4 of `stat`, the parent: kernel threads are children of process 2, which is the first of them. In a
/// container they are not to be seen.
fn is_kernel_thread(stat: &str) -> bool {
    let parent = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(1));
    parent == Some("2") || stat.starts_with("2 (kthreadd)")
}

/// The first line of `/proc/stat`, without its fourth and fifth figure (idle, waiting for disks) and without
/// guests, who are counted as users already.
fn busy_seconds(stat: &str) -> Option<f64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks = line.split_whitespace().take(8).enumerate().filter(|(index, _)| ![3, 4].contains(index));
    let sum: f64 = ticks.map(|(_, ticks)| ticks.parse::<f64>()).sum::<Result<f64, _>>().ok()?;
    Some(sum / TICKS_PER_S)
}

/// Whether there is such a process.
pub(crate) fn is_alive(pid: u32) -> bool {
    fs::metadata(format!("/proc/{pid}/stat")).is_ok()
}

/// Keeps the calling thread, and what it starts from now on, on these processors.
pub(crate) fn pin_to(cores: &[usize]) -> Result<(), Failure> {
    let pinned = || {
        let mut set = CpuSet::new();
        cores.iter().try_for_each(|core| set.set(*core))?;
        sched_setaffinity(Pid::from_raw(0), &set)
    };
    pinned().map_err(|errno| {
        Failure::new(Exit::Usage, format!("cores {cores:?} cannot be used ({errno})"))
            .next("name cores that `nproc` and `taskset -p $$` allow")
    })
}

/// Allows as many open files as the system lets us, and checks that `count` fit.
pub(crate) fn allow_open_files(count: u64) -> Result<(), Failure> {
    let failed = |errno: nix::Error| Failure::new(Exit::Io, format!("the limit of open files: {errno}"));
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(failed)?;
    }
    if count + FILES_BESIDE > hard {
        let message = format!("{count} connections need more open files than {hard}");
        return Err(Failure::usage(message).next("raise it (`ulimit -Hn`), or use fewer connections"));
    }
    Ok(())
}

/// Files that are open beside connections: standard streams, event loops, results.
const FILES_BESIDE: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_a_name_with_brackets() {
        let stat = "12 (a) b) S 1 12 12 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("12 (a"), None);
        assert_eq!(resident_bytes("Name:\ta\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
    }

    #[test]
    fn a_kernel_thread_is_known_by_its_parent() {
        assert!(is_kernel_thread("45 (kworker/1:0H-kb lockd) I 2 0 0 0 -1 69238880 0"));
        assert!(is_kernel_thread("2 (kthreadd) S 0 0 0 0 -1 2129984 0"));
        assert!(!is_kernel_thread("22 (a) 2 2) S 1 2 2 0 -1 4194304 100") && !is_kernel_thread("2 (a"));
        let busy_s = programs_busy_s().expect("this machine says it");
        let own_s = usage(&[std::process::id()]).cpu_s;
        assert!(busy_s >= own_s, "{busy_s} {own_s}");
    }

    #[test]
    fn a_machine_is_busy_without_its_idle_and_waiting_time() {
        assert_eq!(busy_seconds("cpu  100 1 50 9999 777 2 3 44 5 6\ncpu0 1 2\n"), Some(2.0));
        assert_eq!(busy_seconds("cpu  x 1"), None);
        assert_eq!(busy_seconds(""), None);
    }

    #[test]
    fn this_process_uses_memory_and_a_gone_one_nothing() {
        assert!(usage(&[std::process::id()]).resident_bytes > 0);
        assert_eq!(usage(&[u32::MAX]), Usage::default());
    }
}
