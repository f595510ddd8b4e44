//! What a host must offer, checked before the first core starts.
//!
//! `serve` refuses to start on a [`Severity::Refuse`] finding (exit code 78), `doctor` prints them all. Each
//! finding says what is wrong and the command that mends it; the texts are tested and are part of the
//! interface. Nothing is changed but this process's own soft limits.

use super::reactor;
use std::ffi::CString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Works, but an operator should know.
    Warn,
    /// The server would not work.
    Refuse,
}

/// Something about the host that should be different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, with the value found and the value needed.
    pub what: String,
    /// What to do; a command line wherever one exists.
    pub mend: String,
}

/// What the server is going to need.
#[derive(Clone, Debug)]
pub struct Needs {
    /// Data directory; it need not exist yet.
    pub data_dir: PathBuf,
    /// Processors to run on, one core each.
    pub cores: Vec<usize>,
    /// Connections to be served at once.
    pub connections_max: usize,
}

/// Lockable bytes that the ring of a core is counted for, rounded up. Kernels from 5.12 to 6.13 count none,
/// others those of all processes of a user together.
const MEMLOCK_BYTES_PER_CORE: u64 = 128 * 1024;
/// Oldest kernel that has every io_uring operation that is used.
const KERNEL_MIN: (u32, u32) = (5, 13);
/// Descriptors of one core beside its connections: ring, eventfd, journal and segment files.
const DESCRIPTORS_PER_CORE: u64 = 320;
/// Descriptors of the process beside its cores.
const DESCRIPTORS_BASE: u64 = 64;
/// File systems whose flush or lock does not mean what ours must mean.
const NETWORK_FILE_SYSTEMS: [(i64, &str); 8] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x0bd0_0bd0, "Lustre"),
];
const TMPFS: i64 = 0x0102_1994;

/// Checks everything; the worst findings come first.
pub fn check(needs: &Needs) -> Vec<Finding> {
    let cores = needs.cores.len() as u64;
    let mut findings = Vec::new();
    findings.extend(check_kernel(&kernel_release()));
    let probed = probe_io_uring(needs.cores.len());
    findings.extend(match probed {
        Err(libc::ENOMEM) => check_memlock(limit(libc::RLIMIT_MEMLOCK), cores),
        probed => check_io_uring(probed, io_uring_disabled()),
    });
    findings.extend(check_descriptors(limit(libc::RLIMIT_NOFILE), cores, needs.connections_max as u64));
    findings.extend(check_cores(&needs.cores, &allowed_cpus()));
    findings.extend(check_data_dir(&needs.data_dir));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// Raises this process's soft limits of descriptors and lockable memory to the hard ones.
pub fn raise_limits() {
    for resource in [libc::RLIMIT_NOFILE, libc::RLIMIT_MEMLOCK] {
        let found = limit(resource);
        let wanted = libc::rlimit { rlim_cur: found.hard, rlim_max: found.hard };
        // SAFETY: the pointer is to a live struct. A refusal changes nothing, and `check` reports the limit.
        #[allow(unsafe_code)]
        let _ = unsafe { libc::setrlimit(resource, &wanted) };
    }
}

/// The processors that this process may run on, ascending.
pub fn allowed_cpus() -> Vec<usize> {
    // SAFETY: the set is plain memory of the size that is passed; it is read only when the call succeeded,
    // and CPU_ISSET is given indexes inside it.
    #[allow(unsafe_code)]
    unsafe {
        let mut set = std::mem::zeroed::<libc::cpu_set_t>();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) != 0 {
            return Vec::new();
        }
        (0..libc::CPU_SETSIZE as usize).filter(|cpu| libc::CPU_ISSET(*cpu, &set)).collect()
    }
}

#[derive(Clone, Copy)]
struct Limit {
    soft: u64,
    hard: u64,
}

fn limit(resource: libc::__rlimit_resource_t) -> Limit {
    let mut found = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live struct; the call fails only for an unknown resource.
    #[allow(unsafe_code)]
    let code = unsafe { libc::getrlimit(resource, &mut found) };
    assert_eq!(code, 0, "the resources asked for exist");
    Limit { soft: found.rlim_cur, hard: found.rlim_max }
}

fn refuse(what: String, mend: String) -> Option<Finding> {
    Some(Finding { severity: Severity::Refuse, what, mend })
}

fn warn(what: String, mend: String) -> Option<Finding> {
    Some(Finding { severity: Severity::Warn, what, mend })
}

fn check_kernel(release: &str) -> Option<Finding> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    let found = (numbers.next()?, numbers.next().unwrap_or(0));
    if found >= KERNEL_MIN {
        return None;
    }
    refuse(
        format!("kernel {release} is older than {}.{}", KERNEL_MIN.0, KERNEL_MIN.1),
        "boot a newer kernel; 6.1 or later is recommended".to_owned(),
    )
}

/// What to say when the rings found too little memory.
fn check_memlock(found: Limit, cores: u64) -> Option<Finding> {
    let wanted = cores * MEMLOCK_BYTES_PER_CORE;
    let what = format!(
        "there is no memory for the io_uring rings of {cores} cores: {} KiB may be locked (RLIMIT_MEMLOCK, \
         for all processes of the user together), {} KiB are needed",
        found.soft / 1024,
        wanted / 1024
    );
    let mend = if found.soft < wanted && found.hard >= wanted {
        format!("run `ulimit -l {}` in this shell", wanted / 1024)
    } else {
        "run `sudo prlimit --pid $$ --memlock=8388608:8388608` in this shell, or set LimitMEMLOCK=8M in the \
         systemd unit, or start the container with `--ulimit memlock=8388608:8388608`"
            .to_owned()
    };
    refuse(what, mend)
}

fn check_descriptors(found: Limit, cores: u64, connections_max: u64) -> Option<Finding> {
    let own = DESCRIPTORS_BASE + cores * DESCRIPTORS_PER_CORE;
    let wanted = own + connections_max;
    let mend = |count: u64| {
        if found.hard >= count {
            format!("run `ulimit -n {count}` in this shell")
        } else {
            format!(
                "run `sudo prlimit --pid $$ --nofile={count}:{count}` in this shell, or set \
                 LimitNOFILE={count} in the systemd unit"
            )
        }
    };
    if found.soft < own {
        let what = format!(
            "{} files may be open (RLIMIT_NOFILE), at least {own} are needed for {cores} cores",
            found.soft
        );
        return refuse(what, mend(wanted));
    }
    if found.soft < wanted {
        let what = format!(
            "{} files may be open (RLIMIT_NOFILE): connections beyond {} of {connections_max} will be \
             refused",
            found.soft,
            found.soft - own
        );
        return warn(what, mend(wanted));
    }
    None
}

fn check_io_uring(probe: Result<(), i32>, disabled: Option<u32>) -> Option<Finding> {
    let errno = probe.err()?;
    let error = io::Error::from_raw_os_error(errno);
    match (errno, disabled) {
        (libc::ENOSYS, _) => refuse(
            format!("io_uring is not there: {error}"),
            "boot a kernel built with CONFIG_IO_URING, or allow io_uring_setup in the sandbox's filter"
                .to_owned(),
        ),
        (_, Some(level @ 1..)) => refuse(
            format!("io_uring is switched off (kernel.io_uring_disabled={level}): {error}"),
            "run `sudo sysctl -w kernel.io_uring_disabled=0`".to_owned(),
        ),
        (libc::EPERM | libc::EACCES, _) => refuse(
            format!("io_uring is refused by a sandbox (seccomp or a security module): {error}"),
            "start the container with `--security-opt seccomp=unconfined`, or with a profile that allows \
             io_uring_setup, io_uring_enter and io_uring_register"
                .to_owned(),
        ),
        _ => refuse(
            format!("io_uring does not work: {error}"),
            "read the kernel's log with `dmesg`".to_owned(),
        ),
    }
}

fn check_cores(wanted: &[usize], allowed: &[usize]) -> Option<Finding> {
    let missing: Vec<String> = wanted.iter().filter(|c| !allowed.contains(c)).map(usize::to_string).collect();
    if missing.is_empty() {
        return None;
    }
    let allowed: Vec<String> = allowed.iter().map(usize::to_string).collect();
    refuse(
        format!("this process may not run on processor {}", missing.join(", ")),
        format!("choose from `--cores {}`, or widen the process's processor set", allowed.join(",")),
    )
}

fn check_data_dir(dir: &Path) -> Option<Finding> {
    let shown = dir.display();
    let full = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    let Some(existing) = full.ancestors().find(|path| path.exists()) else {
        let mend = format!("run `mkdir -p {shown}`");
        return refuse(format!("no part of the path {shown} exists"), mend);
    };
    if !existing.is_dir() {
        return refuse(
            format!("{} is not a directory", existing.display()),
            "name another one with --data".into(),
        );
    }
    match file_system(existing) {
        Some(kind) if kind == TMPFS => {
            return warn(
                format!("{shown} lies in memory (tmpfs): events do not survive a restart of the machine"),
                "name a directory on a disk with --data, unless this is a trial".to_owned(),
            );
        }
        Some(kind) => {
            if let Some((_, name)) = NETWORK_FILE_SYSTEMS.iter().find(|(magic, _)| *magic == kind) {
                return refuse(
                    format!("{shown} lies on a network file system ({name}), which may lose flushed writes"),
                    "name a directory on a local disk with --data".to_owned(),
                );
            }
        }
        None => {}
    }
    check_direct_io(dir, existing)
}

fn check_direct_io(dir: &Path, existing: &Path) -> Option<Finding> {
    let error = probe_direct_io(existing).err()?;
    let shown = dir.display();
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => refuse(
            format!("no files can be created in {}: {error}", existing.display()),
            format!("run `sudo install -d -m 700 -o $(id -u) -g $(id -g) {shown}`"),
        ),
        Some(libc::EROFS) => refuse(
            format!("the file system of {shown} is read-only"),
            format!("run `sudo mount -o remount,rw $(findmnt -n -o TARGET -T {})`", existing.display()),
        ),
        Some(libc::EINVAL) => refuse(
            format!("the file system of {shown} has no direct I/O (O_DIRECT)"),
            "name a directory on ext4, XFS or btrfs with --data".to_owned(),
        ),
        _ => refuse(
            format!("a trial file in {} failed: {error}", existing.display()),
            "name another directory with --data".to_owned(),
        ),
    }
}

/// Opens a nameless file for direct I/O; on file systems without nameless files, a named one.
fn probe_direct_io(dir: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let nameless = options.clone().custom_flags(libc::O_DIRECT | libc::O_TMPFILE).open(dir);
    match nameless.as_ref().map_err(io::Error::raw_os_error) {
        Err(Some(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOENT)) => {}
        _ => return nameless.map(|_| ()),
    }
    let path = dir.join(format!(".direct-io-{}", std::process::id()));
    let named = options.create_new(true).custom_flags(libc::O_DIRECT).open(&path);
    let _ = std::fs::remove_file(&path); // it may not have come into being
    named.map(|_| ())
}

fn file_system(path: &Path) -> Option<i64> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: the path is a C string and the struct is live memory; it is read only after success.
    #[allow(unsafe_code)]
    unsafe {
        let mut found = std::mem::zeroed::<libc::statfs>();
        (libc::statfs(path.as_ptr(), &mut found) == 0).then_some(found.f_type as i64)
    }
}

fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

fn io_uring_disabled() -> Option<u32> {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

/// Sets up the rings of so many cores and uses them; gives the error number when that is refused.
fn probe_io_uring(cores: usize) -> Result<(), i32> {
    reactor::probe_rings(cores).map_err(|error| error.raw_os_error().unwrap_or(0))
}

#[cfg(test)]
mod tests;
