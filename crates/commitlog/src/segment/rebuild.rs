//! Makes a segment's footer anew from its chunks, when the footer cannot be read.
//!
//! Driven like every core: it says which bytes it wants, the caller reads them (or says that the disk
//! would not), and memory holds one read of about 1 MiB and the index. A chunk that is bad is a damaged
//! range; the search goes on at the next block, and no bytes count as a chunk that do not name this
//! segment and their own offset. What only the footer knew (trims, deletions) is estimated.

use super::chunk::{ChunkRun, decode_chunk, decode_chunk_header};
use super::footer::{Footer, FooterStream, IdempotencyEntry, Run, StreamState, is_footer_start};
use super::meta::{SegmentMeta, Trailer};
use crate::BLOCK_BYTES;
use crate::format_error::FormatError;
use bytes::Bytes;
use std::collections::BTreeMap;
use types::{Epoch, Idempotency, StreamKey};

/// Bytes of one read, so that a scan runs near the disk's rate.
const READ_BYTES: usize = 1 << 20;

/// Bytes that a rebuild wants to see next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRange {
    /// Byte offset in the file, whole blocks.
    pub offset: u64,
    /// Length in bytes, whole blocks; never past the end of the file.
    pub len: usize,
}

/// Bytes of a segment that hold no sound chunk although they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedRange {
    /// Byte offset in the file.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

/// A rebuild under way. Call [`Self::wanted`] and answer it until it gives `None`, then [`Self::finish`].
#[derive(Debug)]
pub struct FooterRebuild {
    meta: SegmentMeta,
    /// Where the scan is.
    at: u64,
    /// Where the chunks end, as far as is known.
    end: u64,
    /// See [`Self::knows_the_end`].
    end_is_known: bool,
    /// Bytes without which the scan cannot go on: a block, or a whole chunk once its header was seen.
    need: usize,
    /// Whether to read more than that; not after the disk refused a longer read.
    read_ahead: bool,
    streams: BTreeMap<(StreamKey, Epoch), Vec<Run>>,
    idempotency: Vec<IdempotencyEntry>,
    damaged: Vec<DamagedRange>,
}

impl FooterRebuild {
    /// A rebuild of a segment whose file has `file_len` bytes; `trailer` when it could be read.
    pub fn new(meta: SegmentMeta, file_len: u64, trailer: Option<&Trailer>) -> Self {
        let whole_blocks = file_len - file_len % BLOCK_BYTES as u64;
        FooterRebuild {
            meta,
            at: BLOCK_BYTES as u64,
            end: trailer.map_or(whole_blocks, |trailer| trailer.footer_offset.min(whole_blocks)),
            end_is_known: trailer.is_some_and(|trailer| trailer.footer_offset <= whole_blocks),
            need: BLOCK_BYTES,
            read_ahead: true,
            streams: BTreeMap::new(),
            idempotency: Vec::new(),
            damaged: Vec::new(),
        }
    }

    /// Takes the bytes that were wanted; fewer mean that the file ends.
    pub fn handle_read(&mut self, bytes: &Bytes) {
        let mut rest = bytes.clone();
        self.read_ahead = true;
        while self.at < self.end && rest.len() >= self.need {
            let Some(step) = self.scan_one(&rest) else {
                return;
            };
            self.at += step as u64;
            self.need = BLOCK_BYTES;
            rest = rest.slice(step..);
        }
        let wanted_more = self.at < self.end && rest.len() == bytes.len();
        if wanted_more {
            self.set_damaged(self.end - self.at);
            self.at = self.end;
        }
    }

    /// The disk would not give the bytes that were wanted: asks for less, or gives the place up.
    pub fn handle_unreadable(&mut self) {
        let Some(wanted) = self.wanted() else {
            return;
        };
        if wanted.len > self.need {
            self.read_ahead = false;
            return;
        }
        self.set_damaged(self.need as u64);
        self.at += self.need as u64;
        self.need = BLOCK_BYTES;
    }

    /// Whether the end of the chunks is known: the trailer said where it is, or the footer stands there. If
    /// not, the file was cut, and what came after nobody knows.
    pub fn knows_the_end(&self) -> bool {
        self.end_is_known
    }

    /// What to read next; `None` when the scan is done.
    pub fn wanted(&self) -> Option<ReadRange> {
        let left = self.end.checked_sub(self.at).filter(|&left| left > 0)?;
        let len = if self.read_ahead { self.need.max(READ_BYTES) } else { self.need };
        Some(ReadRange { offset: self.at, len: usize::try_from(left).map_or(len, |left| len.min(left)) })
    }

    /// The footer and what is missing from it. A stream's state is estimated: everything found is alive,
    /// nothing is deleted, the last index is the segment's.
    pub fn finish(self) -> (Footer, Vec<DamagedRange>) {
        assert_eq!(self.wanted(), None, "the scan is done");
        let last_index = self.meta.last_index;
        let stream = |((key, epoch), runs): ((StreamKey, Epoch), Vec<Run>)| {
            let first = runs.first().expect("a stream is entered with a run").first_seq;
            let last = runs.last().expect("a stream is entered with a run");
            let state = StreamState {
                key,
                epoch,
                first,
                next: last.last_seq.next(),
                last_time: last.last_time,
                last_index,
                deleted: false,
                bytes: runs.iter().map(|run| u64::from(run.bytes)).sum(),
            };
            FooterStream { state, runs }
        };
        let streams = self.streams.into_iter().map(stream).collect();
        (Footer { meta: self.meta, streams, idempotency: self.idempotency }, self.damaged)
    }

    /// Looks at what stands at `self.at`; gives how far to go on, or `None` to read first.
    fn scan_one(&mut self, rest: &Bytes) -> Option<usize> {
        let address = self.meta.chunk_address(self.at);
        let Ok(header) = decode_chunk_header(rest, &address) else {
            if is_footer_start(rest, &self.meta, self.at) {
                (self.end, self.end_is_known) = (self.at, true);
                return None;
            }
            self.set_damaged(BLOCK_BYTES as u64);
            return Some(BLOCK_BYTES);
        };
        let len = header.padded_len as usize;
        if self.at + len as u64 > self.end {
            self.set_damaged(BLOCK_BYTES as u64);
            return Some(BLOCK_BYTES);
        }
        if rest.len() < len {
            self.need = len;
            return None;
        }
        let entered = decode_chunk(rest, &address).is_ok_and(|runs| self.enter(runs, header.padded_len));
        if !entered {
            self.set_damaged(len as u64);
        }
        Some(len)
    }

    /// Enters a chunk's runs; false, and nothing entered, when they overlap what was found before.
    fn enter(&mut self, chunk: Vec<ChunkRun>, chunk_len: u32) -> bool {
        let mut newest = BTreeMap::new();
        for run in &chunk {
            let place = (&run.key, run.epoch);
            let known = || self.streams.get(&(run.key.clone(), run.epoch)).and_then(|runs| runs.last());
            let last = newest.get(&place).copied().or_else(|| known().map(|run| run.last_seq));
            if last.is_some_and(|last| last >= run.first_seq) {
                return false;
            }
            newest.insert(place, run.records.last().expect("a run has records").seq());
        }
        for run in chunk {
            let found = self.index_of(&run, chunk_len);
            self.note_idempotency(&run);
            self.streams.entry((run.key, run.epoch)).or_default().push(found);
        }
        true
    }

    fn index_of(&self, run: &ChunkRun, chunk_len: u32) -> Run {
        let (first, last) = (&run.records[0], &run.records[run.records.len() - 1]);
        let bytes: usize = run.records.iter().map(|record| record.encoded().len()).sum();
        Run {
            first_seq: run.first_seq,
            last_seq: last.seq(),
            chunk_offset: self.at,
            chunk_len,
            bytes: u32::try_from(bytes).expect("less than the chunk"),
            first_time: first.time(),
            last_time: last.time(),
        }
    }

    /// Records carry the idempotency key of the append that they began.
    fn note_idempotency(&mut self, run: &ChunkRun) {
        for record in &run.records {
            if let Some((Idempotency { key, digest }, count)) = record.idempotency() {
                // A copy: a share would keep the whole read in memory.
                let idempotency = Idempotency { key: Bytes::copy_from_slice(&key), digest };
                let (key, epoch) = (run.key.clone(), run.epoch);
                let (first, time) = (record.seq(), record.time());
                self.idempotency.push(IdempotencyEntry { key, epoch, idempotency, first, count, time });
            }
        }
    }

    fn set_damaged(&mut self, len: u64) {
        match self.damaged.last_mut() {
            Some(last) if last.offset + last.len == self.at => last.len += len,
            _ => self.damaged.push(DamagedRange { offset: self.at, len }),
        }
    }
}

/// As [`FooterRebuild`], for a file that is in memory as a whole.
pub fn rebuild_footer(file: &Bytes, meta: SegmentMeta) -> (Footer, Vec<DamagedRange>) {
    let trailer = trailer_of(file, &meta).ok();
    let mut rebuild = FooterRebuild::new(meta, file.len() as u64, trailer.as_ref());
    while let Some(ReadRange { offset, len }) = rebuild.wanted() {
        let start = usize::try_from(offset).expect("inside a slice");
        rebuild.handle_read(&file.slice(start..start + len));
    }
    rebuild.finish()
}

fn trailer_of(file: &Bytes, meta: &SegmentMeta) -> Result<Trailer, FormatError> {
    let last_block = file.len().saturating_sub(BLOCK_BYTES);
    let trailer = super::decode_trailer(&file[last_block..], file.len() as u64)?;
    trailer.meta.check_place(meta.directory_id, meta.partition, meta.ordinal)?;
    Ok(trailer)
}
