//! Laws of the simulated disk as a whole; inodes and names have their own beside them.
//!
//! What was flushed survives every crash, what was not may be lost, torn or kept in any combination, and
//! one seed always decides alike.

use super::*;
use types::{PartitionId, ShardId};

const FILE: FileId = FileId::Epoch;
const ME: Asker = Asker(0);

fn disk(seed: u64) -> Disk {
    Disk::new(Rng::new(seed))
}

fn run(disk: &mut Disk, work: DiskOp) -> DiskResult {
    disk.submit(ME, OpId(disk.submitted_count()), work);
    disk.complete(disk.pending_count() - 1).result
}

fn write(offset: u64, byte: u8, blocks: usize) -> DiskOp {
    let body = WriteBody::new(vec![Bytes::from(vec![byte; blocks * BLOCK_BYTES])]);
    DiskOp::Write { file: FILE, offset, body }
}

fn created(seed: u64) -> Disk {
    let mut disk = disk(seed);
    run(&mut disk, DiskOp::Create { file: FILE }).unwrap();
    run(&mut disk, DiskOp::SyncDir { dir: DirId::Root }).unwrap();
    disk
}

fn kind(result: DiskResult) -> DiskErrorKind {
    result.expect_err("an error was expected").kind
}

#[test]
fn what_was_flushed_survives_every_power_cut() {
    for seed in 0..200 {
        let mut disk = created(seed);
        run(&mut disk, write(0, 1, 2)).unwrap();
        run(&mut disk, DiskOp::Flush { file: FILE }).unwrap();
        run(&mut disk, write(4096, 2, 1)).unwrap();
        disk.crash(Crash::PowerCut);
        let content = disk.content(FILE).unwrap();
        assert!(content[..4096].iter().all(|&byte| byte == 1), "seed {seed}");
        assert!(content[4096..].iter().all(|&byte| byte == 1 || byte == 2), "seed {seed}");
    }
}

#[test]
fn a_flush_in_flight_with_a_write_does_not_cover_it() {
    let lost = (0..50).any(|seed| {
        let mut disk = created(seed);
        disk.submit(ME, OpId(1), write(0, 1, 1));
        disk.submit(ME, OpId(2), DiskOp::Flush { file: FILE });
        disk.complete(0);
        disk.complete(0);
        disk.crash(Crash::PowerCut);
        disk.content(FILE).unwrap().is_empty()
    });
    assert!(lost, "a flush that was submitted before the write completed promises nothing about it");
}

#[test]
fn a_kill_keeps_what_completed_and_a_later_power_cut_may_take_it() {
    let mut taken = false;
    for seed in 0..50 {
        let mut disk = created(seed);
        run(&mut disk, write(0, 7, 1)).unwrap();
        disk.crash(Crash::Kill);
        assert_eq!(disk.content(FILE).unwrap().len(), 4096);
        disk.crash(Crash::PowerCut);
        taken |= disk.content(FILE).unwrap().is_empty();
    }
    assert!(taken);
}

#[test]
fn an_exact_power_cut_does_what_it_is_told() {
    let mut disk = created(1);
    run(&mut disk, write(0, 1, 1)).unwrap();
    disk.submit(ME, OpId(9), write(4096, 2, 1));
    assert_eq!(disk.at_stake(), Stake { count: 2, writes: 2 });
    let mut other = disk.clone();
    disk.cut_power_exactly(&[Fate::Kept, Fate::Head(1)]);
    let content = disk.content(FILE).unwrap();
    assert_eq!((content[0], content[4096], content.len()), (1, 2, 4096 + 512));
    other.cut_power_exactly(&[Fate::Lost, Fate::Lost]);
    assert!(other.content(FILE).unwrap().is_empty());
}

#[test]
fn a_short_write_writes_what_it_says_and_no_more() {
    let mut disk = created(3);
    disk.faults.plan(disk.submitted_count() + 1, OpFault::Short);
    let Ok(DiskDone::Written(count)) = run(&mut disk, write(0, 1, 2)) else { panic!("a count") };
    assert!(count < 8192);
    assert_eq!(disk.content(FILE).unwrap().len(), count);
    assert_eq!(disk.faults.fired().len(), 1);
}

#[test]
fn a_lying_flush_keeps_nothing() {
    let mut disk = created(3);
    run(&mut disk, write(0, 1, 1)).unwrap();
    disk.faults.plan(disk.submitted_count() + 1, OpFault::Lie);
    run(&mut disk, DiskOp::Flush { file: FILE }).unwrap();
    disk.cut_power_exactly(&[Fate::Lost]);
    assert!(disk.content(FILE).unwrap().is_empty());
}

#[test]
fn a_misdirected_write_lands_elsewhere_and_says_done() {
    let mut disk = created(3);
    run(&mut disk, write(0, 1, 2)).unwrap();
    disk.faults.plan(disk.submitted_count() + 1, OpFault::Misdirected);
    run(&mut disk, write(0, 2, 1)).unwrap();
    let content = disk.content(FILE).unwrap();
    assert_eq!((content[0], content[4096]), (1, 2));
}

#[test]
fn a_full_disk_refuses_growth_and_nothing_else() {
    let mut disk = created(3);
    disk.faults.set_capacity(Some(8192));
    run(&mut disk, write(0, 1, 2)).unwrap();
    assert_eq!(kind(run(&mut disk, write(8192, 1, 1))), DiskErrorKind::NoSpace);
    run(&mut disk, write(4096, 3, 1)).unwrap();
}

#[test]
fn an_unreadable_range_fails_until_it_is_written_again() {
    let mut disk = created(3);
    run(&mut disk, write(0, 1, 2)).unwrap();
    disk.faults.make_unreadable(FILE, 5000..5001);
    let read = |offset| DiskOp::Read { file: FILE, offset, len: 4096 };
    assert!(run(&mut disk, read(0)).is_ok());
    assert_eq!(kind(run(&mut disk, read(4096))), DiskErrorKind::Io);
    run(&mut disk, write(4096, 1, 1)).unwrap();
    assert!(run(&mut disk, read(4096)).is_ok());
}

#[test]
fn files_and_directories_are_refused_as_the_contract_says() {
    let mut disk = created(3);
    assert_eq!(kind(run(&mut disk, DiskOp::Create { file: FILE })), DiskErrorKind::Exists);
    let segment = FileId::Segment { partition: PartitionId(1), ordinal: 1 };
    assert_eq!(kind(run(&mut disk, DiskOp::Create { file: segment })), DiskErrorKind::NotFound);
    assert_eq!(kind(run(&mut disk, DiskOp::Remove { file: segment })), DiskErrorKind::NotFound);
    let journal = DirId::Journal(ShardId(0));
    assert_eq!(kind(run(&mut disk, DiskOp::List { dir: journal })), DiskErrorKind::NotFound);
    assert_eq!(kind(run(&mut disk, DiskOp::MakeDir { dir: journal })), DiskErrorKind::NotFound);
    run(&mut disk, DiskOp::MakeDir { dir: DirId::Journals }).unwrap();
    run(&mut disk, DiskOp::MakeDir { dir: journal }).unwrap();
    run(&mut disk, DiskOp::MakeDir { dir: journal }).unwrap();
    assert_eq!(run(&mut disk, DiskOp::List { dir: journal }), Ok(DiskDone::Listing(Vec::new())));
}

#[test]
fn rot_changes_exactly_what_it_names() {
    let mut disk = disk(3);
    disk.keep_previous();
    run(&mut disk, DiskOp::Create { file: FILE }).unwrap();
    run(&mut disk, write(0, 1, 1)).unwrap();
    run(&mut disk, write(0, 2, 1)).unwrap();
    disk.settle();
    let at = |disk: &Disk, offset: usize| disk.content(FILE).unwrap()[offset];
    assert!(disk.rot(FILE, Rot::Flip { offset: 9, bit: 0 }));
    assert_eq!((at(&disk, 8), at(&disk, 9)), (2, 3));
    assert!(disk.rot(FILE, Rot::Stale { offset: 512, sectors: 1 }));
    assert_eq!((at(&disk, 511), at(&disk, 512), at(&disk, 1024)), (2, 1, 2));
    assert!(disk.rot(FILE, Rot::Misdirected { from: 512, to: 1024, sectors: 1 }));
    assert_eq!(at(&disk, 1024), 1);
    assert!(disk.rot(FILE, Rot::Zeroed { offset: 0, sectors: 1 }));
    assert_eq!(at(&disk, 0), 0);
    assert!(!disk.rot(FILE, Rot::Flip { offset: 1 << 40, bit: 0 }));
}

#[test]
fn one_seed_gives_one_trace() {
    let trace = |seed| {
        let mut disk = created(seed);
        for byte in 0..5 {
            disk.submit(ME, OpId(u64::from(byte)), write(u64::from(byte) * 4096, byte, 1));
        }
        disk.complete(2);
        disk.crash(Crash::PowerCut);
        disk.trace.bytes(&disk.content(FILE).unwrap());
        disk.trace.hash()
    };
    assert_eq!(trace(5), trace(5));
    assert!((0..10).any(|seed| trace(seed) != trace(5)));
}
