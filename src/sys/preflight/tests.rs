//! The texts of the findings, and that each cause is told from the others.

use super::*;

fn text(finding: Option<Finding>) -> String {
    finding.map_or(String::new(), |f| format!("{:?}: {} -> {}", f.severity, f.what, f.mend))
}

#[test]
fn this_host_is_fit_for_the_tests() {
    let needs = Needs { data_dir: "target".into(), cores: vec![allowed_cpus()[0]], connections_max: 1 };
    assert_eq!(check(&needs).iter().filter(|f| f.severity == Severity::Refuse).count(), 0);
}

#[test]
fn an_old_kernel_is_named() {
    assert_eq!(check_kernel("6.18.44-x"), None);
    assert_eq!(check_kernel("5.13.0"), None);
    assert!(text(check_kernel("5.4.0-42-generic")).contains("kernel 5.4.0-42-generic is older than 5.13"));
}

#[test]
fn too_little_lockable_memory_is_mended_by_the_shell_where_that_is_allowed() {
    let found = text(check_memlock(Limit { soft: 65536, hard: u64::MAX }, 4));
    assert!(found.contains("64 KiB") && found.contains("`ulimit -l 512`"), "{found}");
    let found = text(check_memlock(Limit { soft: 65536, hard: 65536 }, 4));
    assert!(found.contains("prlimit --pid $$ --memlock"), "{found}");
}

#[test]
fn the_rings_of_some_cores_can_be_had_here() {
    assert_eq!(probe_io_uring(3), Ok(()));
}

#[test]
fn few_descriptors_are_a_warning_and_too_few_a_refusal() {
    let found = text(check_descriptors(Limit { soft: 1024, hard: 200_000 }, 2, 100_000));
    assert!(found.starts_with("Warn: 1024 files") && found.contains("beyond 320 of 100000"), "{found}");
    assert!(found.contains("`ulimit -n 100704`"), "{found}");
    let found = text(check_descriptors(Limit { soft: 256, hard: 256 }, 2, 100_000));
    assert!(found.starts_with("Refuse: 256 files") && found.contains("prlimit --pid $$ --nofile"), "{found}");
    assert_eq!(check_descriptors(Limit { soft: 1 << 20, hard: 1 << 20 }, 2, 100_000), None);
}

#[test]
fn each_way_to_refuse_io_uring_has_its_own_mend() {
    assert_eq!(check_io_uring(Ok(()), Some(0)), None);
    let cases = [
        (libc::ENOSYS, None, "CONFIG_IO_URING"),
        (libc::EPERM, Some(2), "sysctl -w kernel.io_uring_disabled=0"),
        (libc::EPERM, Some(0), "--security-opt seccomp=unconfined"),
        (libc::EIO, None, "dmesg"),
    ];
    for (errno, disabled, mend) in cases {
        let found = text(check_io_uring(Err(errno), disabled));
        assert!(found.contains(mend), "{found}");
    }
}

#[test]
fn a_processor_that_is_not_ours_is_named() {
    let found = text(check_cores(&[0, 7], &[0, 1]));
    assert!(found.contains("processor 7") && found.contains("--cores 0,1"), "{found}");
}

#[test]
fn a_file_system_without_direct_io_or_without_a_disk_is_told() {
    assert!(text(check_data_dir(Path::new("/proc/x"))).starts_with("Refuse"), "proc takes no files");
    assert!(text(check_data_dir(Path::new("/dev/null/x"))).contains("is not a directory"));
    assert_eq!(check_data_dir(Path::new("target/data-that-does-not-exist/yet")), None);
}
