//! `disk` and `lock` on a real directory.

use super::{TempDir, on_a_core};
use crate::sys::disk::Disk;
use crate::sys::lock::{DirLock, LockError};
use crate::sys::offload::Offload;
use bytes::Bytes;
use engine::{DirId, DiskDone, DiskErrorKind, DiskOp, DiskResult, FileId, ListedFile, WriteBody};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use types::{PartitionId, ShardId};

const BLOCK: usize = commitlog::BLOCK_BYTES;
const EPOCH: FileId = FileId::Epoch;

fn open(root: PathBuf, open_files_max: usize) -> Rc<Disk> {
    let offload = Offload::start(1, 8).expect("a thread");
    Disk::new(root, offload, open_files_max)
}

/// Executes the operations one after the other and gives their results.
fn execute(dir: &Path, open_files_max: usize, work: Vec<DiskOp>) -> Vec<DiskResult> {
    let root = dir.to_path_buf();
    on_a_core(move || async move {
        let disk = open(root, open_files_max);
        let mut results = Vec::new();
        for op in work {
            results.push(disk.execute(op).await);
        }
        disk.close();
        results
    })
}

fn write(file: FileId, offset: u64, bytes: &'static [u8]) -> DiskOp {
    DiskOp::Write { file, offset, body: WriteBody::new(vec![Bytes::from_static(bytes)]) }
}

fn kind(result: &DiskResult) -> Option<DiskErrorKind> {
    result.as_ref().err().map(|error| error.kind)
}

fn bytes(result: &DiskResult) -> &[u8] {
    match result {
        Ok(DiskDone::Bytes(bytes)) => bytes,
        other => panic!("not a read: {other:?}"),
    }
}

#[test]
fn what_was_written_is_read_and_a_read_is_short_only_at_the_end() {
    let dir = TempDir::new();
    let read = |offset, len| DiskOp::Read { file: EPOCH, offset, len };
    let results = execute(
        &dir.0,
        8,
        vec![
            DiskOp::Create { file: EPOCH },
            write(EPOCH, 0, b"first"),
            write(EPOCH, BLOCK as u64, b"second"),
            DiskOp::Flush { file: EPOCH },
            read(0, BLOCK),
            read(BLOCK as u64, 16 * BLOCK),
            read(2 * BLOCK as u64, BLOCK),
        ],
    );
    assert_eq!(results[1], Ok(DiskDone::Written(BLOCK)));
    assert_eq!(results[3], Ok(DiskDone::Done));
    assert_eq!(&bytes(&results[4])[..6], b"first\0");
    assert_eq!(bytes(&results[4]).len(), BLOCK);
    assert_eq!(&bytes(&results[5])[..7], b"second\0");
    assert_eq!(bytes(&results[5]).len(), BLOCK, "the end of the file");
    assert_eq!(bytes(&results[6]), b"");
}

#[test]
fn a_body_larger_than_any_kept_block_is_written_whole() {
    const BIG: usize = 24 << 20;
    let dir = TempDir::new();
    let body = WriteBody::new(vec![Bytes::from(vec![7; BIG - 1])]);
    let results = execute(
        &dir.0,
        8,
        vec![
            DiskOp::Create { file: EPOCH },
            DiskOp::Write { file: EPOCH, offset: 0, body },
            DiskOp::Read { file: EPOCH, offset: 0, len: BIG },
        ],
    );
    assert_eq!(results[1], Ok(DiskDone::Written(BIG)));
    let read = bytes(&results[2]);
    assert_eq!((read.len(), read[0], read[BIG - 2], read[BIG - 1]), (BIG, 7, 7, 0));
}

#[test]
fn what_is_there_and_what_is_not_is_told_apart() {
    let dir = TempDir::new();
    let partition = DirId::Partition(PartitionId(1));
    let results = execute(
        &dir.0,
        8,
        vec![
            DiskOp::Create { file: EPOCH },
            DiskOp::Create { file: EPOCH },
            DiskOp::Read { file: FileId::Identity, offset: 0, len: BLOCK },
            DiskOp::Remove { file: FileId::Identity },
            DiskOp::List { dir: partition },
            DiskOp::SyncDir { dir: partition },
            DiskOp::MakeDir { dir: partition },
            DiskOp::MakeDir { dir: DirId::Partitions },
            DiskOp::MakeDir { dir: DirId::Partitions },
            DiskOp::MakeDir { dir: partition },
            DiskOp::SyncDir { dir: DirId::Partitions },
            DiskOp::List { dir: partition },
        ],
    );
    use DiskErrorKind::{Exists, NotFound};
    let kinds: Vec<_> = results.iter().map(kind).collect();
    let not_found = Some(NotFound);
    let expected = [None, Some(Exists), not_found, not_found, not_found, not_found, not_found];
    assert_eq!(kinds[..7], expected);
    assert_eq!(kinds[7..], [None; 5]);
    assert_eq!(results[2].as_ref().map_err(|error| error.errno), Err(libc::ENOENT));
}

#[test]
fn only_the_owner_may_read() {
    let dir = TempDir::new();
    execute(&dir.0, 8, vec![DiskOp::Create { file: EPOCH }, DiskOp::MakeDir { dir: DirId::Journals }]);
    let mode = |name| std::fs::metadata(dir.0.join(name)).expect("it was made").permissions().mode() & 0o777;
    assert_eq!((mode("EPOCH"), mode("journal")), (0o600, 0o700));
}

#[test]
fn a_removed_file_is_closed_and_its_name_can_be_used_again() {
    let dir = TempDir::new();
    let results = execute(
        &dir.0,
        8,
        vec![
            DiskOp::Create { file: EPOCH },
            write(EPOCH, 0, b"old"),
            DiskOp::Remove { file: EPOCH },
            DiskOp::Create { file: EPOCH },
            DiskOp::Read { file: EPOCH, offset: 0, len: BLOCK },
        ],
    );
    assert_eq!(bytes(&results[4]), b"", "the new file is empty");
}

#[test]
fn a_listing_has_our_files_with_their_lengths_and_no_others() {
    let dir = TempDir::new();
    let shard = ShardId(0);
    let journal = |slot| FileId::Journal { shard, slot };
    execute(
        &dir.0,
        8,
        vec![
            DiskOp::MakeDir { dir: DirId::Journals },
            DiskOp::MakeDir { dir: DirId::Journal(shard) },
            DiskOp::Create { file: journal(0) },
            DiskOp::Create { file: journal(12) },
            write(journal(12), 0, b"x"),
        ],
    );
    std::fs::write(dir.0.join("journal/00/12.jnl~"), b"foreign").expect("a foreign file");
    let listed = execute(&dir.0, 8, vec![DiskOp::List { dir: DirId::Journal(shard) }]);
    let Ok(DiskDone::Listing(mut files)) = listed[0].clone() else { panic!("{listed:?}") };
    files.sort();
    let expected =
        [ListedFile { file: journal(0), len: 0 }, ListedFile { file: journal(12), len: BLOCK as u64 }];
    assert_eq!(files, expected);
}

#[test]
fn no_more_files_stay_open_than_allowed_and_all_can_be_used() {
    const FILES: u64 = 20;
    let dir = TempDir::new();
    let root = dir.0.clone();
    let partition = PartitionId(0);
    on_a_core(move || async move {
        let disk = open(root.clone(), 3);
        for dir in [DirId::Partitions, DirId::Partition(partition)] {
            disk.execute(DiskOp::MakeDir { dir }).await.expect("made");
        }
        for round in 0..2 {
            for ordinal in 0..FILES {
                let file = FileId::Segment { partition, ordinal };
                if round == 0 {
                    disk.execute(DiskOp::Create { file }).await.expect("created");
                }
                disk.execute(write(file, 0, b"x")).await.expect("written");
                assert!(open_files_under(&root) <= 4, "three kept and one in use");
            }
        }
        disk.close();
        assert_eq!(open_files_under(&root), 0);
    });
}

#[test]
fn writes_of_a_journal_file_are_synchronous_and_only_those() {
    let dir = TempDir::new();
    let journal = FileId::Journal { shard: ShardId(0), slot: 0 };
    for made in ["journal", "journal/00"] {
        std::fs::create_dir(dir.0.join(made)).expect("a new directory");
    }
    let root = dir.0.clone();
    let flags = on_a_core(move || async move {
        let disk = open(root.clone(), 8);
        let mut flags = Vec::new();
        for file in [journal, EPOCH] {
            // The second flush of a journal file is an empty one; all succeed.
            let work = [DiskOp::Create { file }, write(file, 0, b"x"), DiskOp::Flush { file }];
            for op in work.into_iter().chain([write(file, 0, b"y"), DiskOp::Flush { file }]) {
                assert!(disk.execute(op).await.is_ok());
            }
            flags.push(open_flags(&root.join(file.to_string())));
        }
        disk.close();
        flags
    });
    let is_synchronous: Vec<bool> = flags.iter().map(|flags| flags & libc::O_DSYNC != 0).collect();
    assert_eq!(is_synchronous, [true, false]);
}

/// The flags with which this process has a file open.
fn open_flags(path: &Path) -> i32 {
    let entries = std::fs::read_dir("/proc/self/fd").expect("Linux has it");
    let found = entries.flatten().find(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to == path));
    let name = found.expect("the file is open").file_name();
    let info = std::fs::read_to_string(Path::new("/proc/self/fdinfo").join(name)).expect("it is still open");
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("every file has flags");
    i32::from_str_radix(flags.trim(), 8).expect("an octal number")
}

fn open_files_under(root: &Path) -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("proc is there");
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.starts_with(root)).count()
}

#[test]
fn a_second_lock_is_refused_and_names_the_holder() {
    let dir = TempDir::new();
    let first = DirLock::acquire(&dir.0).expect("nobody has it");
    match DirLock::acquire(&dir.0) {
        Err(LockError::Held(holder)) => assert_eq!(holder, Some(std::process::id())),
        other => panic!("the lock was not refused: {other:?}"),
    }
    drop(first);
    DirLock::acquire(&dir.0).expect("it is free again");
}
