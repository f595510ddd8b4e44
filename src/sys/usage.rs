//! What the process takes of the system: memory, processor time, descriptors, since when.
//!
//! Read from `/proc` when somebody asks for figures. It opens files and may walk a directory of a hundred
//! thousand descriptors, so it is called on a blocking thread, never on a core. What the system does not tell
//! is `None`; nothing here fails.

use std::fs;

/// Figures of the process, as far as the system tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Memory that is in use.
    pub resident_bytes: Option<u64>,
    /// Addresses that are mapped.
    pub virtual_bytes: Option<u64>,
    /// Processor time of all threads since the start.
    pub cpu_ns: Option<u64>,
    /// Descriptors that are open.
    pub open_fds: Option<u64>,
    /// Descriptors that may be.
    pub max_fds: Option<u64>,
    /// Seconds since 1970 at which the process started.
    pub start_time_s: Option<f64>,
}

impl Usage {
    /// The figures now.
    pub fn read() -> Usage {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Usage {
            resident_bytes: kibibytes(&status, "VmRSS:"),
            virtual_bytes: kibibytes(&status, "VmSize:"),
            cpu_ns: cpu_ns(),
            open_fds: open_fds(),
            max_fds: max_fds(&limits),
            start_time_s: start_time_s(),
        }
    }
}

/// A line such as `VmRSS:      1234 kB`, in bytes.
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

/// The soft limit of the line `Max open files  1024  4096  files`; `None` where there is none.
fn max_fds(limits: &str) -> Option<u64> {
    let value = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    value.split_whitespace().next()?.parse().ok()
}

/// Newer kernels tell the number as the directory's size; with others it is counted.
fn open_fds() -> Option<u64> {
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    if size > 0 {
        return Some(size);
    }
    // The one that reads the directory is not counted.
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(count.saturating_sub(1) as u64)
}

fn cpu_ns() -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live local of the right type.
    #[allow(unsafe_code)]
    let code = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    let (seconds, rest_ns) = (u64::try_from(time.tv_sec).ok()?, u64::try_from(time.tv_nsec).ok()?);
    (code == 0).then(|| seconds * 1_000_000_000 + rest_ns)
}

fn start_time_s() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot_s: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    // SAFETY: sysconf takes any name and touches no memory of ours.
    #[allow(unsafe_code)]
    let ticks_per_s = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let ticks_per_s = u32::try_from(ticks_per_s).ok().filter(|ticks| *ticks > 0)?;
    Some(boot_s as f64 + start_ticks(&stat)? as f64 / f64::from(ticks_per_s))
}

/// Field 22 of `/proc/self/stat`. The second field is the program's name in parentheses, which may hold
/// anything, parentheses too.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock;

    #[test]
    fn the_figures_of_this_process_are_plausible() {
        let usage = Usage::read();
        let resident_bytes = usage.resident_bytes.expect("Linux tells it");
        assert!(resident_bytes > 100 << 10 && resident_bytes < usage.virtual_bytes.expect("told"));
        assert!(usage.cpu_ns.expect("told") > 0);
        let open_fds = usage.open_fds.expect("told");
        assert!(open_fds >= 1 && usage.max_fds.is_none_or(|max| open_fds <= max));
        let now_s = clock::now().0 as f64 / 1000.0;
        let age_s = now_s - usage.start_time_s.expect("told");
        assert!((-2.0..86_400.0).contains(&age_s), "{age_s}");
    }

    #[test]
    fn what_the_system_tells_in_another_way_is_left_out() {
        assert_eq!(kibibytes("VmRSS:\t   1234 kB\n", "VmRSS:"), Some(1234 * 1024));
        assert_eq!(kibibytes("VmRSS:\t1234 MB\n", "VmRSS:"), None);
        assert_eq!(
            max_fds("Max open files            unlimited            unlimited            files"),
            None
        );
        assert_eq!(max_fds("Max open files            1024                 4096      files"), Some(1024));
        let fields: Vec<String> = (3..=24).map(|field| field.to_string()).collect();
        assert_eq!(start_ticks(&format!("7 (a) b) ) {}", fields.join(" "))), Some(22));
        assert_eq!(start_ticks("7 (a) S 1"), None);
    }
}
