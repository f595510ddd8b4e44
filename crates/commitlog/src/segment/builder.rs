//! Builds a segment front to back from streams in ascending order.
//!
//! Fed by checkpoints and merges. Bytes come out in file order as they are ready, so that memory holds the
//! open chunk, what was not taken yet, and the footer. The order of calls is the caller's promise and
//! asserted: an unsorted segment would be sealed wrong for ever.

use super::chunk::ChunkWriter;
use super::footer::{FooterStream, FooterWriter, IdempotencyEntry, Run, StreamState};
use super::meta::{SegmentMeta, Trailer, encode_header, encode_trailer};
use crate::BLOCK_BYTES;
use bytes::Bytes;
use types::{Epoch, Record, StreamKey};

/// Bytes after which the remainder of a segment is cut into another write.
const PIECE_BYTES: usize = 1 << 20;

/// Finished bytes of a segment, to be written at `offset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPiece {
    /// Byte offset in the file, whole blocks.
    pub offset: u64,
    /// The bytes in order; together exactly `padded_len`.
    pub parts: Vec<Bytes>,
    /// Length of all parts, whole blocks.
    pub padded_len: usize,
}

/// What was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// What the segment is.
    pub meta: SegmentMeta,
    /// Bytes of the file.
    pub len: u64,
    /// Byte offset of the footer.
    pub footer_offset: u64,
    /// Bytes of the footer, whole blocks.
    pub footer_len: u64,
    /// Checksum of the footer.
    pub footer_checksum: u32,
    /// The trailer's checksum, for the manifest.
    pub checksum: u32,
}

impl SegmentSummary {
    /// The trailer as it stands at the end of the file.
    pub fn trailer(&self) -> Trailer {
        let SegmentSummary { meta, len, footer_offset, footer_len, footer_checksum, checksum } = *self;
        Trailer { meta, footer_offset, footer_len, footer_checksum, file_len: len, checksum }
    }
}

/// Builds one segment.
///
/// Invariant: `written_to = output_offset + output_len`, and the open chunk will stand there.
#[derive(Debug)]
pub struct SegmentBuilder {
    meta: SegmentMeta,
    chunk_bytes_max: usize,
    chunk: ChunkWriter,
    /// The stream that records are pushed to.
    stream: Option<FooterStream>,
    /// Ended streams with a run in the open chunk, whose length is not known yet.
    waiting: Vec<FooterStream>,
    /// Lists of runs of streams that are in the footer, for the next streams.
    empty_runs: Vec<Vec<Run>>,
    /// The last stream begun; only a greater one may follow.
    newest: Option<(StreamKey, Epoch)>,
    footer: FooterWriter,
    output: Vec<Bytes>,
    output_len: usize,
    output_offset: u64,
}

impl SegmentBuilder {
    /// A segment without streams. A chunk takes at most `chunk_bytes_max` bytes on disk (rounded down to
    /// whole blocks) unless a single record needs more.
    pub fn new(meta: SegmentMeta, chunk_bytes_max: usize) -> Self {
        meta.assert_invariants();
        let header = encode_header(&meta);
        SegmentBuilder {
            meta,
            chunk_bytes_max: chunk_bytes_max - chunk_bytes_max % BLOCK_BYTES,
            chunk: ChunkWriter::new(),
            stream: None,
            waiting: Vec::new(),
            empty_runs: Vec::new(),
            newest: None,
            footer: FooterWriter::new(&meta),
            output_len: header.len(),
            output: vec![header],
            output_offset: 0,
        }
    }

    /// Starts the next stream; one without records is its state alone.
    ///
    /// # Panics
    /// When the stream is not greater, by (key, epoch), than the one before.
    pub fn begin_stream(&mut self, state: StreamState) {
        self.end_stream();
        assert!(state.first <= state.next, "nothing alive lies behind the end: {state:?}");
        let place = (state.key.clone(), state.epoch);
        assert!(self.newest.as_ref().is_none_or(|newest| *newest < place), "streams ascend: {place:?}");
        self.newest = Some(place);
        self.stream = Some(FooterStream { state, runs: self.empty_runs.pop().unwrap_or_default() });
    }

    /// Adds the next record of the stream.
    ///
    /// # Panics
    /// Before the first stream, or when the sequence number does not ascend below the stream's `next`.
    pub fn push_record(&mut self, record: &Record) {
        let stream = self.stream.as_ref().expect("a record belongs to a stream");
        let seq = record.seq();
        let last = stream.runs.last().map(|run| run.last_seq);
        assert!(last.is_none_or(|last| last < seq) && seq < stream.state.next, "{record:?} out of order");
        if last.map(|last| last.next()) != Some(seq) {
            self.chunk.end_run();
        }
        let len = record.encoded().len();
        let overhead =
            if self.chunk.has_open_run() { 0 } else { ChunkWriter::run_overhead(&stream.state.key) };
        if !self.chunk.is_empty() && self.chunk.len() + overhead + len > self.chunk_bytes_max {
            self.close_chunk();
        }
        let chunk_offset = self.written_to();
        let stream = self.stream.as_mut().expect("checked above");
        if !self.chunk.has_open_run() {
            self.chunk.begin_run(&stream.state.key, stream.state.epoch, seq);
            let (first_time, last_time) = (record.time(), record.time());
            let run = Run {
                first_seq: seq,
                last_seq: seq,
                chunk_offset,
                chunk_len: 0,
                bytes: 0,
                first_time,
                last_time,
            };
            stream.runs.push(run);
        }
        self.chunk.push(record);
        let run = stream.runs.last_mut().expect("a run is open");
        run.last_seq = seq;
        run.last_time = record.time();
        run.bytes += u32::try_from(len).expect("a record is less than 4 GiB");
    }

    /// Adds an idempotency key, in any order among streams and records.
    pub fn push_idempotency(&mut self, entry: IdempotencyEntry) {
        self.footer.push_idempotency(&entry);
    }

    /// All finished bytes, once there are at least `min_len`.
    pub fn take_output(&mut self, min_len: usize) -> Option<SegmentPiece> {
        if self.output.is_empty() || self.output_len < min_len {
            return None;
        }
        let piece = SegmentPiece {
            offset: self.output_offset,
            parts: std::mem::take(&mut self.output),
            padded_len: self.output_len,
        };
        self.output_offset += self.output_len as u64;
        self.output_len = 0;
        Some(piece)
    }

    /// Seals the segment: what was not taken yet, in pieces of about 1 MiB, and what was built.
    pub fn finish(mut self) -> (Vec<SegmentPiece>, SegmentSummary) {
        self.end_stream();
        if !self.chunk.is_empty() {
            self.close_chunk();
        }
        assert!(self.waiting.is_empty(), "closing a chunk releases every stream");
        let footer_offset = self.written_to();
        let (footer, footer_checksum) = self.footer.finish(footer_offset);
        let footer_len = footer.len() as u64;
        let len = footer_offset + footer_len + BLOCK_BYTES as u64;
        let meta = self.meta;
        let trailer =
            Trailer { meta, footer_offset, footer_len, footer_checksum, file_len: len, checksum: 0 };
        let (trailer, checksum) = encode_trailer(&trailer);
        let mut parts = self.output;
        for start in (0..footer.len()).step_by(PIECE_BYTES) {
            parts.push(footer.slice(start..footer.len().min(start + PIECE_BYTES)));
        }
        parts.push(trailer);
        let pieces = cut_pieces(self.output_offset, parts);
        (pieces, SegmentSummary { meta, len, footer_offset, footer_len, footer_checksum, checksum })
    }

    /// Bytes that wait to be taken.
    pub fn output_len(&self) -> usize {
        self.output_len
    }

    /// Where the open chunk will stand.
    fn written_to(&self) -> u64 {
        self.output_offset + self.output_len as u64
    }

    fn end_stream(&mut self) {
        self.chunk.end_run();
        let Some(stream) = self.stream.take() else {
            return;
        };
        // While a chunk is open, streams wait for its length; the footer keeps their order.
        if self.chunk.is_empty() {
            self.footer.push_stream(&stream);
            self.empty_runs.push(emptied(stream.runs));
        } else {
            self.waiting.push(stream);
        }
    }

    fn close_chunk(&mut self) {
        let offset = self.written_to();
        let chunk = self.chunk.finish(&self.meta.chunk_address(offset));
        let chunk_len = u32::try_from(chunk.len()).expect("a chunk is less than 4 GiB");
        for stream in self.waiting.iter_mut().chain(&mut self.stream) {
            let in_chunk = stream.runs.iter_mut().rev().take_while(|run| run.chunk_offset == offset);
            in_chunk.for_each(|run| run.chunk_len = chunk_len);
        }
        for stream in self.waiting.drain(..) {
            self.footer.push_stream(&stream);
            self.empty_runs.push(emptied(stream.runs));
        }
        self.output_len += chunk.len();
        self.output.push(chunk);
    }
}

fn emptied(mut runs: Vec<Run>) -> Vec<Run> {
    runs.clear();
    runs
}

/// Groups parts into pieces of at least [`PIECE_BYTES`], the last one apart.
fn cut_pieces(mut offset: u64, parts: Vec<Bytes>) -> Vec<SegmentPiece> {
    let mut pieces: Vec<SegmentPiece> = Vec::new();
    for part in parts {
        let len = part.len();
        match pieces.last_mut() {
            Some(piece) if piece.padded_len < PIECE_BYTES => {
                piece.parts.push(part);
                piece.padded_len += len;
            }
            _ => pieces.push(SegmentPiece { offset, parts: vec![part], padded_len: len }),
        }
        offset += len as u64;
    }
    pieces
}
