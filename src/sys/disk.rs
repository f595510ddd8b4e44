//! Executes the engine's disk operations on a directory, with direct I/O.
//!
//! One [`Disk`] per core, used by the shard's driver, which spawns one task per operation and awaits it to
//! the end, since its outcome matters. Names come from [`FileId`] only.
//! A write reports the real count and a read ends early only at the end of the file; nothing is retried.
//! Directory work runs on the offload pool, and a directory's sync is a real fsync of its descriptor.

use super::offload::Offload;
use super::reactor::block::Blocks;
use super::reactor::op;
use bytes::{Bytes, BytesMut};
use engine::{DirId, DiskDone, DiskError, DiskErrorKind, DiskOp, DiskResult, FileId, ListedFile, WriteBody};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use types::PartitionId;

/// Only the server's user may read events.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

struct OpenFile {
    file: Rc<File>,
    /// Everything that was written is on the device: a journal file after its first flush, since each of its
    /// writes is durable by itself.
    is_durable: bool,
    /// Value of `Disk::clock` when it was last wanted.
    used: u64,
}

/// A data directory as one core sees it.
pub struct Disk {
    root: PathBuf,
    offload: Offload,
    blocks: Rc<Blocks>,
    open_files_max: usize,
    open: RefCell<HashMap<FileId, OpenFile>>,
    clock: Cell<u64>,
}

impl Disk {
    /// The directory `root`, which exists and takes files for direct I/O (`preflight` tries it).
    /// At most `open_files_max` files are kept open between uses.
    pub fn new(root: PathBuf, offload: Offload, open_files_max: usize) -> Rc<Disk> {
        assert!(open_files_max > 0, "a file in use is open");
        let (blocks, open, clock) = (Rc::default(), RefCell::default(), Cell::new(0));
        Rc::new(Disk { root, offload, blocks, open_files_max, open, clock })
    }

    /// Executes one operation. Dropping the future loses the outcome, not the work.
    ///
    /// # Errors
    /// As the system reports it; nothing is retried.
    pub async fn execute(&self, work: DiskOp) -> DiskResult {
        match work {
            DiskOp::MakeDir { dir } => self.make_dir(dir).await,
            DiskOp::Create { file } => self.create(file).await,
            DiskOp::Write { file, offset, body } => self.write(file, offset, body).await,
            DiskOp::Flush { file } => self.flush(file).await,
            DiskOp::Read { file, offset, len } => self.read(file, offset, len).await,
            DiskOp::Remove { file } => self.remove(file).await,
            DiskOp::SyncDir { dir } => self.sync_dir(dir).await,
            DiskOp::List { dir } => self.list(dir).await,
        }
    }

    /// Closes every file that nobody uses any more; used when the core stops.
    pub fn close(&self) {
        self.open.borrow_mut().clear();
    }

    async fn make_dir(&self, dir: DirId) -> DiskResult {
        let path = self.dir_path(dir);
        let made = self.offload.run(move || DirBuilder::new().mode(DIR_MODE).create(path)).await;
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(DiskDone::Done),
            outcome => outcome.map(|()| DiskDone::Done).map_err(|error| from_io(&error)),
        }
    }

    async fn create(&self, file: FileId) -> DiskResult {
        let handle = self.open_path(file, true).await?;
        self.keep(file, handle);
        Ok(DiskDone::Done)
    }

    async fn write(&self, file: FileId, offset: u64, body: WriteBody) -> DiskResult {
        let handle = self.file(file).await?;
        let mut block = self.blocks.take(body.padded_len);
        body.copy_to(&mut block);
        drop(body);
        op::write(&handle, block, offset).await.map(DiskDone::Written).map_err(|error| from_io(&error))
    }

    /// A journal file is open for synchronous writes (O_DSYNC): once a real flush has made sure of what
    /// earlier processes wrote, a flush has nothing left to do.
    async fn flush(&self, file: FileId) -> DiskResult {
        let handle = self.file(file).await?;
        if self.open.borrow().get(&file).is_some_and(|open| open.is_durable) {
            return Ok(DiskDone::Done);
        }
        op::sync_data(&handle).await.map_err(|error| from_io(&error))?;
        if matches!(file, FileId::Journal { .. })
            && let Some(open) = self.open.borrow_mut().get_mut(&file)
        {
            open.is_durable = Rc::ptr_eq(&open.file, &handle);
        }
        Ok(DiskDone::Done)
    }

    async fn read(&self, file: FileId, offset: u64, len: usize) -> DiskResult {
        let handle = self.file(file).await?;
        let first = self.read_some(&handle, offset, len).await?;
        let block_bytes = commitlog::BLOCK_BYTES;
        if first.len() == len || !first.len().is_multiple_of(block_bytes) || first.is_empty() {
            return Ok(DiskDone::Bytes(first));
        }
        // A read may be short before the end of the file too; only an empty one proves the end.
        let mut gathered = BytesMut::with_capacity(len);
        gathered.extend_from_slice(&first);
        while gathered.len() < len && gathered.len().is_multiple_of(block_bytes) {
            let at = offset + gathered.len() as u64;
            let more = self.read_some(&handle, at, len - gathered.len()).await?;
            if more.is_empty() {
                break;
            }
            gathered.extend_from_slice(&more);
        }
        Ok(DiskDone::Bytes(gathered.freeze()))
    }

    /// One read.
    async fn read_some(&self, file: &Rc<File>, offset: u64, len: usize) -> Result<Bytes, DiskError> {
        let read = op::read(file, self.blocks.take(len), offset).await;
        let (count, block) = read.map_err(|error| from_io(&error))?;
        Ok(Bytes::copy_from_slice(&block[..count]))
    }

    async fn remove(&self, file: FileId) -> DiskResult {
        drop(self.open.borrow_mut().remove(&file));
        let path = self.file_path(file);
        let removed = self.offload.run(move || fs::remove_file(path)).await;
        removed.map(|()| DiskDone::Done).map_err(|error| from_io(&error))
    }

    async fn sync_dir(&self, dir: DirId) -> DiskResult {
        let path = self.dir_path(dir);
        let synced = self.offload.run(move || File::open(path)?.sync_all()).await;
        synced.map(|()| DiskDone::Done).map_err(|error| from_io(&error))
    }

    async fn list(&self, dir: DirId) -> DiskResult {
        let path = self.dir_path(dir);
        let listed = self.offload.run(move || list_files(&path, dir)).await;
        listed.map(DiskDone::Listing).map_err(|error| from_io(&error))
    }

    /// The open file, opening it when it is not.
    async fn file(&self, file: FileId) -> Result<Rc<File>, DiskError> {
        if let Some(open) = self.open.borrow_mut().get_mut(&file) {
            open.used = self.clock.get();
            self.clock.set(open.used + 1);
            return Ok(open.file.clone());
        }
        let handle = self.open_path(file, false).await?;
        Ok(self.keep(file, handle))
    }

    async fn open_path(&self, file: FileId, create: bool) -> Result<File, DiskError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(create).mode(FILE_MODE);
        let is_journal = matches!(file, FileId::Journal { .. });
        options.custom_flags(libc::O_DIRECT | if is_journal { libc::O_DSYNC } else { 0 });
        let path = self.file_path(file);
        self.offload.run(move || options.open(path)).await.map_err(|error| from_io(&error))
    }

    /// Puts a file into the table of open ones, and closes the one that was idle longest if it is full.
    fn keep(&self, file: FileId, handle: File) -> Rc<File> {
        let handle = Rc::new(handle);
        let used = self.clock.get();
        self.clock.set(used + 1);
        let mut open = self.open.borrow_mut();
        // Two tasks may have opened the same file at once: the later one stays in the table, and the other
        // is closed by its last user.
        let displaced = open.insert(file, OpenFile { file: handle.clone(), is_durable: false, used });
        let surplus = displaced.or_else(|| self.take_idle(&mut open));
        drop((open, surplus));
        handle
    }

    fn take_idle(&self, open: &mut HashMap<FileId, OpenFile>) -> Option<OpenFile> {
        if open.len() <= self.open_files_max {
            return None;
        }
        let idle = open.iter().filter(|(_, open)| Rc::strong_count(&open.file) == 1);
        let longest = idle.min_by_key(|(_, open)| open.used).map(|(file, _)| *file)?;
        open.remove(&longest)
    }

    fn file_path(&self, file: FileId) -> PathBuf {
        self.root.join(file.to_string())
    }

    fn dir_path(&self, dir: DirId) -> PathBuf {
        match dir {
            DirId::Root => self.root.clone(),
            DirId::Journals => self.root.join("journal"),
            DirId::Journal(shard) => self.root.join(format!("journal/{:02}", shard.0)),
            DirId::Partitions => self.root.join("partitions"),
            DirId::Partition(partition) => self.root.join(format!("partitions/{:04}", partition.0)),
        }
    }
}

fn list_files(path: &Path, dir: DirId) -> io::Result<Vec<ListedFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let file = entry.file_name().to_str().and_then(|name| file_id(dir, name));
        if let Some(file) = file {
            files.push(ListedFile { file, len: entry.metadata()?.len() });
        }
    }
    Ok(files)
}

/// The file that a name stands for; `None` for names that no [`FileId`] has.
fn file_id(dir: DirId, name: &str) -> Option<FileId> {
    let file = match dir {
        DirId::Root => match name {
            "IDENTITY" => FileId::Identity,
            _ => FileId::Epoch,
        },
        DirId::Journals | DirId::Partitions => return None,
        DirId::Journal(shard) => FileId::Journal { shard, slot: name.strip_suffix(".jnl")?.parse().ok()? },
        DirId::Partition(partition) => partition_file(partition, name)?,
    };
    // What parses in a looser way than it is written ("+1", "1.seg") is not one of our names.
    let full = file.to_string();
    (full.rsplit('/').next() == Some(name)).then_some(file)
}

fn partition_file(partition: PartitionId, name: &str) -> Option<FileId> {
    match name.strip_prefix("MANIFEST.") {
        Some(slot) => Some(FileId::Manifest { partition, slot: slot.parse().ok()? }),
        None => Some(FileId::Segment { partition, ordinal: name.strip_suffix(".seg")?.parse().ok()? }),
    }
}

fn from_io(error: &io::Error) -> DiskError {
    let errno = error.raw_os_error().unwrap_or(0);
    let kind = match errno {
        libc::ENOSPC | libc::EDQUOT => DiskErrorKind::NoSpace,
        libc::ENOENT => DiskErrorKind::NotFound,
        libc::EEXIST => DiskErrorKind::Exists,
        libc::EMFILE | libc::ENFILE => DiskErrorKind::TooManyFiles,
        libc::EROFS => DiskErrorKind::ReadOnly,
        _ => DiskErrorKind::Io,
    };
    DiskError { kind, errno }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::ShardId;

    #[test]
    fn every_file_is_found_by_its_own_name() {
        let (shard, partition) = (ShardId(3), PartitionId(17));
        let files = [
            FileId::Identity,
            FileId::Epoch,
            FileId::Journal { shard, slot: 7 },
            FileId::Journal { shard, slot: 1234 },
            FileId::Segment { partition, ordinal: 42 },
            FileId::Segment { partition, ordinal: u64::MAX },
            FileId::Manifest { partition, slot: 1 },
        ];
        for file in files {
            let full = file.to_string();
            let name = full.rsplit('/').next().expect("a split has a part");
            assert_eq!(file_id(file.dir(), name), Some(file), "{full}");
        }
    }

    #[test]
    fn foreign_names_are_not_ours() {
        let partition = DirId::Partition(PartitionId(1));
        for name in ["", "1.seg", "+000000001.seg", "0000000001.seg~", "MANIFEST.", "MANIFEST.01", "core"] {
            assert_eq!(file_id(partition, name), None, "{name}");
        }
        assert_eq!(file_id(DirId::Root, "LOCK"), None);
        assert_eq!(file_id(DirId::Journals, "00"), None);
    }
}
