//! What the engine asks of a disk, and what a disk answers.
//!
//! The shell (`src/shard/files`) and the simulated disk (`sim`) both implement exactly this list. Files are
//! named by what they are ([`FileId`]); nobody but the shell knows a path, and no user's text is ever in one.
//! All offsets and lengths of reads and writes are multiples of [`commitlog::BLOCK_BYTES`].

use bytes::Bytes;
use std::fmt;
use types::{PartitionId, ShardId};

/// Names one disk operation between the engine and whoever executes it. Unique per engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// A file of a data directory (`docs/formats/README.md` has the tree).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileId {
    /// `IDENTITY`
    Identity,
    /// `EPOCH`
    Epoch,
    /// `journal/SS/FFF.jnl`
    Journal {
        /// Whose journal.
        shard: ShardId,
        /// Place in the shard's ring of files, from 0.
        slot: u16,
    },
    /// `partitions/PPPP/NNNNNNNNNN.seg`
    Segment {
        /// Whose events.
        partition: PartitionId,
        /// Number of the segment in its partition, never used twice.
        ordinal: u64,
    },
    /// `partitions/PPPP/MANIFEST.0` or `.1`; written in turn.
    Manifest {
        /// Whose manifest.
        partition: PartitionId,
        /// 0 or 1.
        slot: u8,
    },
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileId::Identity => write!(f, "IDENTITY"),
            FileId::Epoch => write!(f, "EPOCH"),
            FileId::Journal { shard, slot } => write!(f, "journal/{:02}/{slot:03}.jnl", shard.0),
            FileId::Segment { partition, ordinal } => {
                write!(f, "partitions/{:04}/{ordinal:010}.seg", partition.0)
            }
            FileId::Manifest { partition, slot } => {
                write!(f, "partitions/{:04}/MANIFEST.{slot}", partition.0)
            }
        }
    }
}

impl FileId {
    /// The directory that holds the file.
    pub fn dir(&self) -> DirId {
        match *self {
            FileId::Identity | FileId::Epoch => DirId::Root,
            FileId::Journal { shard, .. } => DirId::Journal(shard),
            FileId::Segment { partition, .. } | FileId::Manifest { partition, .. } => {
                DirId::Partition(partition)
            }
        }
    }
}

/// A directory of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DirId {
    /// The data directory itself.
    Root,
    /// `journal/`
    Journals,
    /// `journal/SS/`
    Journal(ShardId),
    /// `partitions/`
    Partitions,
    /// `partitions/PPPP/`
    Partition(PartitionId),
}

/// How urgent an operation is; the shell gives each class its own share of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// An acknowledgement waits for it.
    Commit,
    /// A reader waits for it.
    Read,
    /// Checkpoints, merges, zeroing ahead.
    Background,
}

/// Bytes to be written: the parts in order, then zeros up to `padded_len`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteBody {
    /// The content, gathered without a copy.
    pub parts: Vec<Bytes>,
    /// Whole length on disk, a multiple of the block size.
    pub padded_len: usize,
}

impl WriteBody {
    /// A body of these parts, padded to a whole block.
    pub fn new(parts: Vec<Bytes>) -> Self {
        let len: usize = parts.iter().map(Bytes::len).sum();
        WriteBody { parts, padded_len: len.next_multiple_of(commitlog::BLOCK_BYTES) }
    }

    /// `len` zero bytes.
    pub fn zeros(len: usize) -> Self {
        assert!(len.is_multiple_of(commitlog::BLOCK_BYTES), "writes are whole blocks");
        WriteBody { parts: Vec::new(), padded_len: len }
    }

    /// The body from byte `start` on, a multiple of the block size; shares the memory.
    pub fn from(&self, start: usize) -> WriteBody {
        assert!(start.is_multiple_of(commitlog::BLOCK_BYTES) && start <= self.padded_len);
        let mut skip = start;
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let now = skip.min(part.len());
            skip -= now;
            if now < part.len() {
                parts.push(part.slice(now..));
            }
        }
        WriteBody { parts, padded_len: self.padded_len - start }
    }

    /// Copies the whole body, padding too, into `out`, which has exactly `padded_len` bytes.
    pub fn copy_to(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.padded_len);
        let mut at = 0;
        for part in &self.parts {
            out[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        out[at..].fill(0);
    }
}

/// One operation. Each is answered by exactly one [`DiskResult`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Creates a directory; one that exists already is a success.
    MakeDir {
        /// Which.
        dir: DirId,
    },
    /// Creates an empty file; one that exists already is [`DiskErrorKind::Exists`].
    Create {
        /// Which.
        file: FileId,
    },
    /// Writes at an offset. Answers [`DiskDone::Written`] with a count that may be short.
    Write {
        /// Which.
        file: FileId,
        /// Byte offset, block aligned.
        offset: u64,
        /// What.
        body: WriteBody,
    },
    /// Makes everything written to the file durable (fdatasync).
    Flush {
        /// Which.
        file: FileId,
    },
    /// Reads up to `len` bytes; fewer come back only at the end of the file.
    Read {
        /// Which.
        file: FileId,
        /// Byte offset, block aligned.
        offset: u64,
        /// Bytes wanted, block aligned.
        len: usize,
    },
    /// Removes a file; one that is not there is [`DiskErrorKind::NotFound`].
    Remove {
        /// Which.
        file: FileId,
    },
    /// Makes creations and removals in the directory durable.
    SyncDir {
        /// Which.
        dir: DirId,
    },
    /// Lists the files of a directory that have a [`FileId`]; a directory that is not there is
    /// [`DiskErrorKind::NotFound`].
    List {
        /// Which.
        dir: DirId,
    },
}

/// A file found by [`DiskOp::List`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedFile {
    /// Which file.
    pub file: FileId,
    /// Its length in bytes.
    pub len: u64,
}

/// What a successful operation gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskDone {
    /// Nothing more to say.
    Done,
    /// So many bytes were written.
    Written(usize),
    /// The bytes that were read.
    Bytes(Bytes),
    /// The files of a directory, in any order.
    Listing(Vec<ListedFile>),
}

/// What kind of error an operation met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskErrorKind {
    /// The device failed (EIO and anything that is not listed here).
    Io,
    /// No room (ENOSPC, EDQUOT).
    NoSpace,
    /// No such file or directory.
    NotFound,
    /// The file is there already.
    Exists,
    /// No file descriptor left.
    TooManyFiles,
    /// The file system is read-only or was shut down.
    ReadOnly,
}

/// A failed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// What kind.
    pub kind: DiskErrorKind,
    /// The system's number, 0 when there is none.
    pub errno: i32,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (errno {})", self.kind, self.errno)
    }
}

/// The answer to one [`DiskOp`].
pub type DiskResult = Result<DiskDone, DiskError>;
