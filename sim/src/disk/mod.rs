//! A simulated disk: what `engine::disk` asks for, with every freedom that a real disk takes.
//!
//! Operations are submitted, wait, and complete in whatever order the world chooses; nothing orders two of
//! them but awaiting the first. A completed write is seen but not durable; a flush keeps what had
//! completed when the flush was *submitted*; directory entries need a sync of their directory.
//! [`crash`] holds the two ways to die, [`fault`] what can go wrong with one operation, [`rot`] what goes
//! wrong behind everybody's back. All of it is drawn from the seed and goes into the trace.
//! Never: a real file, a clock, an order that the contract does not promise.

mod crash;
mod fault;
mod inode;
mod names;
mod rot;

pub use crash::{Crash, Stake};
pub use fault::{FaultPlan, OpFault};
pub use inode::Fate;
pub use rot::Rot;

use crate::rng::Rng;
use crate::trace::Trace;
use bytes::Bytes;
use commitlog::BLOCK_BYTES;
use engine::{DirId, DiskDone, DiskErrorKind, DiskOp, DiskResult, FileId, ListedFile, OpId, WriteBody};
use fault::error;
use inode::Inode;
use names::{Name, Names};

/// The smallest piece that a disk writes whole.
pub const SECTOR_BYTES: usize = 512;

/// Who submitted an operation: operation numbers are unique only per asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asker(pub u16);

/// The answer to an operation, and whose it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Who submitted it.
    pub asker: Asker,
    /// The asker's number for it.
    pub op: OpId,
    /// How it went.
    pub result: DiskResult,
}

/// A disk with one data directory.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Everything that happened, hashed.
    pub trace: Trace,
    /// What is going to go wrong.
    pub faults: FaultPlan,
    inodes: Vec<Inode>,
    names: Names,
    pending: Vec<Pending>,
    rng: Rng,
    /// Counts submissions and completions; tells which writes a flush covers.
    tick: u64,
    submitted_count: u64,
    failed_reads: u64,
    last_written: std::collections::BTreeMap<FileId, u64>,
    keep_previous: bool,
}

#[derive(Clone, Debug)]
struct Pending {
    asker: Asker,
    op: OpId,
    work: DiskOp,
    fault: Option<OpFault>,
    submitted_at: u64,
}

impl Disk {
    /// An empty disk whose choices come from `rng`.
    pub fn new(rng: Rng) -> Self {
        Disk {
            trace: Trace::default(),
            faults: FaultPlan::default(),
            inodes: Vec::new(),
            names: Names::default(),
            pending: Vec::new(),
            rng,
            tick: 0,
            submitted_count: 0,
            failed_reads: 0,
            last_written: std::collections::BTreeMap::new(),
            keep_previous: false,
        }
    }

    /// Remembers what each sector held before its last write, for [`Rot::Stale`].
    pub fn keep_previous(&mut self) {
        self.keep_previous = true;
    }

    /// From now on choices come from another generator: forks of one disk go different ways.
    pub fn reseed(&mut self, rng: Rng) {
        self.rng = rng;
    }

    /// Takes an operation; it completes when [`Self::complete`] picks it.
    ///
    /// # Panics
    /// When offset or length of a read or write is not a multiple of the block size.
    pub fn submit(&mut self, asker: Asker, op: OpId, work: DiskOp) {
        assert_aligned(&work);
        self.tick += 1;
        self.submitted_count += 1;
        let fault = self.faults.take(self.submitted_count, &work);
        self.trace.note(format_args!("submit {} {asker:?} {op:?} {}", self.submitted_count, Brief(&work)));
        if let DiskOp::Write { body, .. } = &work {
            body.parts.iter().for_each(|part| self.trace.bytes(part));
        }
        if let Some(fault) = fault {
            self.trace.note(format_args!("  will be {fault:?}"));
        }
        self.pending.push(Pending { asker, op, work, fault, submitted_at: self.tick });
    }

    /// Carries out the pending operation at `index`, counted in the order of submission.
    ///
    /// # Panics
    /// When there is no such operation.
    pub fn complete(&mut self, index: usize) -> Completion {
        let pending = self.pending.remove(index);
        self.tick += 1;
        let result = self.execute(&pending);
        let refused = matches!(&result, Err(error) if error.kind == DiskErrorKind::Io);
        self.failed_reads += u64::from(refused && matches!(pending.work, DiskOp::Read { .. }));
        match &result {
            Ok(DiskDone::Bytes(bytes)) => {
                self.trace.note(format_args!(
                    "done {:?} {:?} {} bytes",
                    pending.asker,
                    pending.op,
                    bytes.len()
                ));
                self.trace.bytes(bytes);
            }
            result => self.trace.note(format_args!("done {:?} {:?} {result:?}", pending.asker, pending.op)),
        }
        Completion { asker: pending.asker, op: pending.op, result }
    }

    /// Operations that wait.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// Operations submitted in the disk's life, those that completed too.
    pub fn submitted_count(&self) -> u64 {
        self.submitted_count
    }

    /// Reads that failed with EIO.
    pub fn failed_reads(&self) -> u64 {
        self.failed_reads
    }

    /// When a file was last written; greater is later.
    pub fn last_written(&self, file: FileId) -> u64 {
        self.last_written.get(&file).copied().unwrap_or(0)
    }

    /// The files as they are seen now.
    pub fn files(&self) -> Vec<ListedFile> {
        let listed =
            |(file, inode): (FileId, usize)| ListedFile { file, len: self.inodes[inode].len() as u64 };
        self.names.files().map(listed).collect()
    }

    /// A file's bytes as they are seen now; `None` when there is no such file.
    pub fn content(&self, file: FileId) -> Option<Bytes> {
        self.names.inode_of(file).map(|inode| self.inodes[inode].read(0, usize::MAX))
    }

    fn execute(&mut self, pending: &Pending) -> DiskResult {
        match pending.fault {
            Some(OpFault::Io) => return self.fail_io(pending),
            Some(OpFault::NoSpace) => return self.fail_no_space(pending),
            Some(OpFault::TooManyFiles) => return Err(error(DiskErrorKind::TooManyFiles)),
            _ => (),
        }
        match &pending.work {
            DiskOp::MakeDir { dir } => self.make_dir(*dir),
            DiskOp::Create { file } => self.create(*file),
            DiskOp::Write { file, offset, body } => self.write(*file, *offset, body, pending.fault),
            DiskOp::Flush { file } => {
                let inode = self.inode(*file)?;
                if pending.fault != Some(OpFault::Lie) {
                    inode.flush(pending.submitted_at);
                }
                Ok(DiskDone::Done)
            }
            DiskOp::Read { file, offset, len } => self.read(*file, *offset, *len),
            DiskOp::Remove { file } => {
                self.inode(*file)?;
                self.names.change(self.tick, Name::File(*file), None);
                Ok(DiskDone::Done)
            }
            DiskOp::SyncDir { dir } => {
                self.need_dir(*dir)?;
                if pending.fault != Some(OpFault::Lie) {
                    self.names.sync(*dir, pending.submitted_at);
                }
                Ok(DiskDone::Done)
            }
            DiskOp::List { dir } => self.list(*dir),
        }
    }

    fn make_dir(&mut self, dir: DirId) -> DiskResult {
        if let Some(parent) = Name::Dir(dir).parent() {
            self.need_dir(parent)?;
        }
        if !self.names.has_dir(dir) {
            self.names.change(self.tick, Name::Dir(dir), Some(0));
        }
        Ok(DiskDone::Done)
    }

    fn create(&mut self, file: FileId) -> DiskResult {
        self.need_dir(file.dir())?;
        if self.names.inode_of(file).is_some() {
            return Err(error(DiskErrorKind::Exists));
        }
        self.inodes.push(Inode::new(self.keep_previous));
        self.names.change(self.tick, Name::File(file), Some(self.inodes.len() - 1));
        Ok(DiskDone::Done)
    }

    fn write(&mut self, file: FileId, offset: u64, body: &WriteBody, fault: Option<OpFault>) -> DiskResult {
        let len = body.padded_len;
        self.need_room(file, offset + len as u64)?;
        let mut bytes = bytes_of(body);
        let mut at = offset;
        match fault {
            Some(OpFault::Short) => {
                bytes.truncate(self.rng.index(len / SECTOR_BYTES) * SECTOR_BYTES);
            }
            Some(OpFault::Lie) => return self.inode(file).map(|_| DiskDone::Written(len)),
            Some(OpFault::Misdirected) => at += BLOCK_BYTES as u64,
            _ => (),
        }
        let written = bytes.len();
        let tick = self.tick;
        self.last_written.insert(file, tick);
        self.inode(file)?.write(tick, at as usize, bytes);
        self.faults.heal(file, at, written as u64);
        Ok(DiskDone::Written(written))
    }

    fn read(&mut self, file: FileId, offset: u64, len: usize) -> DiskResult {
        let bytes = self.inode(file)?.read(offset as usize, len);
        if self.faults.is_unreadable(file, offset, len as u64) {
            return Err(error(DiskErrorKind::Io));
        }
        Ok(DiskDone::Bytes(bytes))
    }

    fn list(&mut self, dir: DirId) -> DiskResult {
        self.need_dir(dir)?;
        let mut listed = self.files();
        listed.retain(|listed| listed.file.dir() == dir);
        self.rng.shuffle(&mut listed);
        Ok(DiskDone::Listing(listed))
    }

    fn fail_io(&mut self, pending: &Pending) -> DiskResult {
        let tick = self.tick;
        match &pending.work {
            DiskOp::Write { file, offset, body } => {
                self.write_scattered(tick, *file, *offset as usize, body);
            }
            DiskOp::Flush { file } => {
                let mut rng = self.rng.fork();
                if let Ok(inode) = self.inode(*file) {
                    inode.fail_flush(pending.submitted_at, &mut rng);
                }
            }
            _ => (),
        }
        Err(error(DiskErrorKind::Io))
    }

    fn fail_no_space(&mut self, pending: &Pending) -> DiskResult {
        if let DiskOp::Write { file, offset, body } = &pending.work {
            let tick = self.tick;
            let mut bytes = bytes_of(body);
            bytes.truncate(self.rng.index(body.padded_len / SECTOR_BYTES) * SECTOR_BYTES);
            if let Ok(inode) = self.inode(*file) {
                inode.write(tick, *offset as usize, bytes);
            }
        }
        Err(error(DiskErrorKind::NoSpace))
    }

    /// A write of which any sectors were done, the others not.
    fn write_scattered(&mut self, tick: u64, file: FileId, offset: usize, body: &WriteBody) {
        let Some(inode) = self.names.inode_of(file) else {
            return;
        };
        let bytes = bytes_of(body);
        for sector in (0..bytes.len()).step_by(SECTOR_BYTES) {
            if self.rng.coin() {
                let piece = bytes.slice(sector..sector + SECTOR_BYTES);
                self.inodes[inode].write(tick, offset + sector, piece);
            }
        }
    }

    fn need_room(&mut self, file: FileId, end: u64) -> Result<(), engine::DiskError> {
        let len = self.inode(file)?.len() as u64;
        let used: u64 = self.names.files().map(|(_, inode)| self.inodes[inode].len() as u64).sum();
        if self.faults.fits(used, end.saturating_sub(len)) {
            return Ok(());
        }
        Err(error(DiskErrorKind::NoSpace))
    }

    fn need_dir(&self, dir: DirId) -> Result<(), engine::DiskError> {
        if self.names.has_dir(dir) { Ok(()) } else { Err(error(DiskErrorKind::NotFound)) }
    }

    fn inode(&mut self, file: FileId) -> Result<&mut Inode, engine::DiskError> {
        match self.names.inode_of(file) {
            Some(inode) => Ok(&mut self.inodes[inode]),
            None => Err(error(DiskErrorKind::NotFound)),
        }
    }
}

fn assert_aligned(work: &DiskOp) {
    let (offset, len) = match work {
        DiskOp::Write { offset, body, .. } => (*offset, body.padded_len),
        DiskOp::Read { offset, len, .. } => (*offset, *len),
        _ => return,
    };
    let block = BLOCK_BYTES as u64;
    let aligned = offset.is_multiple_of(block) && (len as u64).is_multiple_of(block);
    assert!(aligned && len > 0, "{} is not whole blocks", Brief(work));
}

fn bytes_of(body: &WriteBody) -> Bytes {
    let mut bytes = vec![0; body.padded_len];
    body.copy_to(&mut bytes);
    Bytes::from(bytes)
}

/// An operation as one word and its place, without content.
struct Brief<'a>(&'a DiskOp);

impl std::fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            DiskOp::MakeDir { dir } => write!(f, "mkdir {dir:?}"),
            DiskOp::Create { file } => write!(f, "create {file}"),
            DiskOp::Write { file, offset, body } => write!(f, "write {file} {offset}+{}", body.padded_len),
            DiskOp::Flush { file } => write!(f, "flush {file}"),
            DiskOp::Read { file, offset, len } => write!(f, "read {file} {offset}+{len}"),
            DiskOp::Remove { file } => write!(f, "remove {file}"),
            DiskOp::SyncDir { dir } => write!(f, "syncdir {dir:?}"),
            DiskOp::List { dir } => write!(f, "list {dir:?}"),
        }
    }
}

#[cfg(test)]
mod tests;
