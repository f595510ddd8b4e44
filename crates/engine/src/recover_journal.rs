//! Loading the journal files of one shard into memory, unreadable ranges marked.
//!
//! Files are flushed before they are read (what only the device's cache holds must not be shown), then read
//! in pieces. A piece that the disk refuses is asked for again block by block, so that one bad block costs
//! one block. Nothing is judged here.

use crate::disk::{DirId, DiskDone, DiskError, DiskErrorKind, DiskOp, DiskResult, FileId};
use crate::refusal::Refusal;
use bytes::{Bytes, BytesMut};
use commitlog::{BLOCK_BYTES, JournalFile};
use std::collections::VecDeque;
use std::ops::Range;
use types::ShardId;

/// Bytes of one read.
const PIECE_BYTES: u64 = 1 << 20;

/// The loading of one shard's journal.
#[derive(Debug)]
pub(crate) struct JournalLoad {
    shard: ShardId,
    flush_first: bool,
    stage: Stage,
    todo: VecDeque<DiskOp>,
    files: VecDeque<(u16, u64)>,
    reading: Option<Reading>,
    pub(crate) loaded: Vec<LoadedFile>,
}

/// A journal file in memory, and its length on disk.
#[derive(Debug)]
pub(crate) struct LoadedFile {
    pub(crate) file: JournalFile,
    pub(crate) len: u64,
}

#[derive(Debug)]
struct Reading {
    slot: u16,
    len: u64,
    content: BytesMut,
    unreadable: Vec<Range<u64>>,
    /// Read block by block up to here, after a refused piece.
    careful_until: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    List,
    MakeDir,
    Flush,
    Read,
}

/// What a load wants next.
pub(crate) enum JournalStep {
    Disk(DiskOp),
    Loaded,
    Refused(Refusal),
}

impl JournalLoad {
    pub(crate) fn start(shard: ShardId, flush_first: bool) -> (JournalLoad, DiskOp) {
        let load = JournalLoad {
            shard,
            flush_first,
            stage: Stage::List,
            todo: VecDeque::new(),
            files: VecDeque::new(),
            reading: None,
            loaded: Vec::new(),
        };
        (load, DiskOp::List { dir: DirId::Journal(shard) })
    }

    pub(crate) fn shard(&self) -> ShardId {
        self.shard
    }

    /// The operation that was asked for is done.
    pub(crate) fn handle_disk(&mut self, result: DiskResult) -> JournalStep {
        match (self.stage, result) {
            (Stage::List, Ok(DiskDone::Listing(files))) => {
                let slot = |file| match file {
                    FileId::Journal { slot, .. } => Some(slot),
                    _ => None,
                };
                let mut found: Vec<(u16, u64)> =
                    files.iter().filter_map(|found| Some((slot(found.file)?, found.len))).collect();
                found.sort_unstable();
                self.after_list(found)
            }
            (Stage::List, Err(error)) if error.kind == DiskErrorKind::NotFound => {
                self.stage = Stage::MakeDir;
                JournalStep::Disk(DiskOp::MakeDir { dir: DirId::Journal(self.shard) })
            }
            (Stage::MakeDir, Ok(_)) => JournalStep::Loaded,
            (Stage::Flush, Ok(_)) => self.flush_or_read(),
            (Stage::Read, result) => self.after_read(result),
            (_, Err(error)) => self.refuse(error),
            (Stage::List, Ok(_)) => self.after_list(Vec::new()),
        }
    }

    fn after_list(&mut self, found: Vec<(u16, u64)>) -> JournalStep {
        if self.flush_first {
            let flush = |&(slot, _): &(u16, u64)| DiskOp::Flush { file: self.file(slot) };
            self.todo = found.iter().map(flush).collect();
            self.todo.push_back(DiskOp::SyncDir { dir: DirId::Journal(self.shard) });
        }
        self.files = found.into();
        self.flush_or_read()
    }

    fn file(&self, slot: u16) -> FileId {
        FileId::Journal { shard: self.shard, slot }
    }

    fn flush_or_read(&mut self) -> JournalStep {
        match self.todo.pop_front() {
            Some(work) => {
                self.stage = Stage::Flush;
                JournalStep::Disk(work)
            }
            None => self.next_read(),
        }
    }

    fn next_read(&mut self) -> JournalStep {
        self.stage = Stage::Read;
        if self.reading.is_none() {
            let Some((slot, len)) = self.files.pop_front() else { return JournalStep::Loaded };
            let (content, unreadable) = (BytesMut::new(), Vec::new());
            self.reading = Some(Reading { slot, len, content, unreadable, careful_until: 0 });
        }
        let reading = self.reading.as_ref().expect("set above");
        let at = reading.content.len() as u64;
        if at >= reading.len {
            let reading = self.reading.take().expect("set above");
            self.loaded.push(LoadedFile {
                len: reading.len,
                file: JournalFile {
                    shard: self.shard,
                    slot: reading.slot,
                    bytes: reading.content.freeze(),
                    unreadable: reading.unreadable,
                },
            });
            return self.next_read();
        }
        let step = if at < reading.careful_until { BLOCK_BYTES as u64 } else { PIECE_BYTES };
        let len = step.min((reading.len - at).next_multiple_of(BLOCK_BYTES as u64));
        let len = usize::try_from(len).expect("a piece is small");
        JournalStep::Disk(DiskOp::Read { file: self.file(reading.slot), offset: at, len })
    }

    fn after_read(&mut self, result: DiskResult) -> JournalStep {
        let reading = self.reading.as_mut().expect("a file is being read");
        let at = reading.content.len() as u64;
        match result {
            Ok(DiskDone::Bytes(bytes)) if !bytes.is_empty() => reading.take(&bytes),
            // The file is shorter than its directory entry said.
            Ok(_) => reading.len = at,
            // It says nothing of the file: to go on would take sound data for damaged.
            Err(error) if error.kind == DiskErrorKind::TooManyFiles => return self.refuse(error),
            Err(_) if at >= reading.careful_until => {
                reading.careful_until = (at + PIECE_BYTES).min(reading.len);
            }
            Err(_) => {
                let end = at + BLOCK_BYTES as u64;
                match reading.unreadable.last_mut() {
                    Some(last) if last.end == at => last.end = end,
                    _ => reading.unreadable.push(at..end),
                }
                reading.content.resize(reading.content.len() + BLOCK_BYTES, 0);
            }
        }
        self.next_read()
    }

    fn refuse(&self, error: DiskError) -> JournalStep {
        JournalStep::Refused(Refusal::new(
            "journal-io",
            format!("the journal of shard {} cannot be opened: {error}", self.shard),
            "check the disk's health and the directory's permissions, then start again",
        ))
    }
}

impl Reading {
    fn take(&mut self, bytes: &Bytes) {
        self.content.extend_from_slice(bytes);
    }
}
