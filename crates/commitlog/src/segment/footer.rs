//! The footer: a segment's index. Per stream its state and where its records are; then idempotency keys.
//!
//! Written once by the builder, which encodes it stream by stream; read on demand into a bounded cache. An
//! index is never evidence: when it cannot be read it is rebuilt from the chunks. Invariants, checked at
//! both ends: streams ascend by (key, epoch), runs ascend by sequence number and do not overlap, every
//! chunk lies between header and footer.

use super::meta::{SegmentMeta, Trailer};
use crate::BLOCK_BYTES;
use crate::format_error::{FilePart, FormatError, PlaceField, WrongChecksum, check_place};
use crate::frame::{FRAME_HEADER_BYTES, Fields, FrameKind};
use crate::wire::{Put, Reader};
use bytes::{Bytes, BytesMut};
use types::{Epoch, Idempotency, LogIndex, SeqNum, StreamKey, Timestamp};

const KIND: FrameKind = FrameKind { part: FilePart::SegmentFooter, magic: *b"MR.SEG.F", version: 1 };
/// Least bytes of a stream: two names of one byte, state, no run.
const STREAM_BYTES_MIN: usize = 59;
const RUN_BYTES: usize = 48;
/// Least bytes of an idempotency entry: two names of one byte, numbers, an empty key.
const IDEMPOTENCY_BYTES_MIN: usize = 44;
/// Where the footer says at which offset it stands.
const OWN_OFFSET_AT: usize = FRAME_HEADER_BYTES;

/// What the partition knew of a stream when the segment was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// The stream.
    pub key: StreamKey,
    /// Its incarnation.
    pub epoch: Epoch,
    /// Oldest sequence number that is alive; `next` when none is.
    pub first: SeqNum,
    /// The sequence number that the next event takes.
    pub next: SeqNum,
    /// Time of the newest event, alive or not.
    pub last_time: Timestamp,
    /// Log index of the last record that touched the stream.
    pub last_index: LogIndex,
    /// Whether the stream is deleted.
    pub deleted: bool,
    /// Bytes of all alive events of the stream, in this and other segments.
    pub bytes: u64,
}

/// Consecutive records of one stream in one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First sequence number.
    pub first_seq: SeqNum,
    /// Last sequence number.
    pub last_seq: SeqNum,
    /// Byte offset of the chunk in the file.
    pub chunk_offset: u64,
    /// Bytes of the chunk on disk, whole blocks.
    pub chunk_len: u32,
    /// Bytes of the run's records.
    pub bytes: u32,
    /// Time of the first record.
    pub first_time: Timestamp,
    /// Time of the last record.
    pub last_time: Timestamp,
}

/// A stream in a footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FooterStream {
    /// Its state.
    pub state: StreamState,
    /// Its records in this segment, ascending; between runs there may be gaps.
    pub runs: Vec<Run>,
}

/// An idempotency key that was alive when the segment was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyEntry {
    /// The stream.
    pub key: StreamKey,
    /// Its incarnation.
    pub epoch: Epoch,
    /// The client's key and the digest of what it appended.
    pub idempotency: Idempotency,
    /// First sequence number of that append.
    pub first: SeqNum,
    /// Events of that append.
    pub count: u32,
    /// When it was appended.
    pub time: Timestamp,
}

/// A segment's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// What the segment is.
    pub meta: SegmentMeta,
    /// The streams, ascending by (key, epoch).
    pub streams: Vec<FooterStream>,
    /// The idempotency keys, in the order they were written.
    pub idempotency: Vec<IdempotencyEntry>,
}

impl Footer {
    /// The stream's entry, when the segment has one.
    pub fn stream(&self, key: &StreamKey, epoch: Epoch) -> Option<&FooterStream> {
        let place = self.streams.binary_search_by(|stream| stream.order().cmp(&(key, epoch)));
        place.ok().map(|index| &self.streams[index])
    }
}

impl FooterStream {
    /// The runs that hold `from` or anything behind it, ascending.
    pub fn runs_from(&self, from: SeqNum) -> &[Run] {
        &self.runs[self.runs.partition_point(|run| run.last_seq < from)..]
    }

    pub(super) fn order(&self) -> (&StreamKey, Epoch) {
        (&self.state.key, self.state.epoch)
    }
}

/// Reads the footer that `trailer` describes; bytes behind it are not looked at.
///
/// # Errors
/// [`FormatError`]; rebuild the footer then.
pub fn decode_footer(bytes: &[u8], trailer: &Trailer) -> Result<Footer, FormatError> {
    let (mut fields, meta) = open_footer(bytes, trailer)?;
    let stream_count = fields.count("stream count", STREAM_BYTES_MIN)?;
    let idempotency_count = fields.count("idempotency count", IDEMPOTENCY_BYTES_MIN)?;
    let mut footer = Footer { meta, streams: Vec::new(), idempotency: Vec::new() };
    for _ in 0..stream_count {
        let stream = take_stream(&mut fields, trailer.footer_offset)?;
        let ascends = footer.streams.last().is_none_or(|last| last.order() < stream.order());
        let rule = "must be greater than the one before";
        fields.require(ascends, "stream", rule, stream.state.epoch.0)?;
        footer.streams.push(stream);
    }
    for _ in 0..idempotency_count {
        footer.idempotency.push(take_idempotency(&mut fields)?);
    }
    fields.end()?;
    Ok(footer)
}

/// Checks that this is the footer that `trailer` names; gives the fields behind the meta.
fn open_footer<'a>(bytes: &'a [u8], trailer: &Trailer) -> Result<(Fields<'a>, SegmentMeta), FormatError> {
    let (mut fields, stored) = KIND.open(bytes)?;
    if stored != trailer.footer_checksum {
        let (part, covers, computed) = (KIND.part, "what its trailer names", trailer.footer_checksum);
        return Err(FormatError::Checksum(WrongChecksum { part, covers, stored, computed }));
    }
    let own_offset = fields.u64("own offset")?;
    check_place(KIND.part, PlaceField::Offset, trailer.footer_offset, own_offset)?;
    let meta = SegmentMeta::take(&mut fields)?;
    meta.check_place(trailer.meta.directory_id, trailer.meta.partition, trailer.meta.ordinal)?;
    Ok((fields, meta))
}

/// Whether `bytes`, found at `offset`, look like the beginning of this segment's footer. No checksum is
/// asked for: it tells a scan where the chunks end.
pub(super) fn is_footer_start(bytes: &[u8], meta: &SegmentMeta, offset: u64) -> bool {
    let mut reader = Reader::new(bytes);
    let magic = reader.take(8) == Some(&KIND.magic);
    let rest_of_frame = reader.take(FRAME_HEADER_BYTES - 8).is_some();
    let place = (reader.u64(), reader.u128(), reader.u64());
    magic && rest_of_frame && place == (Some(offset), Some(meta.directory_id), Some(meta.ordinal))
}

fn take_stream(fields: &mut Fields<'_>, footer_offset: u64) -> Result<FooterStream, FormatError> {
    let state = StreamState {
        key: fields.stream_key()?,
        epoch: Epoch(fields.u64("epoch")?),
        first: SeqNum(fields.u64("first alive")?),
        next: SeqNum(fields.u64("next")?),
        last_time: Timestamp(fields.u64("last time")?),
        last_index: LogIndex(fields.u64("last index")?),
        bytes: fields.u64("alive bytes")?,
        deleted: fields.flag("deleted")?,
    };
    fields.require(state.first <= state.next, "first alive", "must not be behind next", state.first.0)?;
    let run_count = fields.count("run count", RUN_BYTES)?;
    let mut runs: Vec<Run> = Vec::with_capacity(run_count);
    for _ in 0..run_count {
        let run = take_run(fields, footer_offset)?;
        let ascends = runs.last().is_none_or(|last| last.last_seq < run.first_seq);
        fields.require(ascends, "run", "must be greater than the one before", run.first_seq.0)?;
        runs.push(run);
    }
    let below_next = runs.last().is_none_or(|last| last.last_seq < state.next);
    fields.require(below_next, "next", "must be greater than every record", state.next.0)?;
    Ok(FooterStream { state, runs })
}

fn take_run(fields: &mut Fields<'_>, footer_offset: u64) -> Result<Run, FormatError> {
    let run = Run {
        first_seq: SeqNum(fields.u64("first of a run")?),
        last_seq: SeqNum(fields.u64("last of a run")?),
        chunk_offset: fields.u64("chunk offset")?,
        first_time: Timestamp(fields.u64("first time of a run")?),
        last_time: Timestamp(fields.u64("last time of a run")?),
        chunk_len: fields.u32("chunk length")?,
        bytes: fields.u32("bytes of a run")?,
    };
    fields.require(run.first_seq <= run.last_seq, "first of a run", "is behind its last", run.first_seq.0)?;
    let (block, offset, len) = (BLOCK_BYTES as u64, run.chunk_offset, u64::from(run.chunk_len));
    let aligned = offset.is_multiple_of(block) && len.is_multiple_of(block) && len > 0;
    let inside = offset >= block && offset.checked_add(len).is_some_and(|end| end <= footer_offset);
    fields.require(
        aligned && inside,
        "chunk offset",
        "must be whole blocks between header and footer",
        offset,
    )?;
    Ok(run)
}

fn take_idempotency(fields: &mut Fields<'_>) -> Result<IdempotencyEntry, FormatError> {
    let key = fields.stream_key()?;
    let epoch = Epoch(fields.u64("epoch")?);
    let digest = fields.u64("digest")?;
    let first = SeqNum(fields.u64("first of an append")?);
    let time = Timestamp(fields.u64("time of an append")?);
    let count = fields.u32("event count of an append")?;
    let len = usize::from(fields.u16("idempotency key length")?);
    let client_key = Bytes::copy_from_slice(fields.take("idempotency key", len)?);
    let idempotency = Idempotency { key: client_key, digest };
    Ok(IdempotencyEntry { key, epoch, idempotency, first, count, time })
}

/// Gathers a footer in encoded form.
#[derive(Debug)]
pub(super) struct FooterWriter {
    /// Frame, place, counts, streams.
    out: BytesMut,
    counts_at: usize,
    stream_count: u32,
    idempotency: Vec<u8>,
    idempotency_count: u32,
}

impl FooterWriter {
    pub(super) fn new(meta: &SegmentMeta) -> Self {
        let mut out = KIND.begin();
        out.put_u64(0);
        meta.put(&mut out);
        let counts_at = out.len();
        out.put_u64(0);
        FooterWriter { out, counts_at, stream_count: 0, idempotency: Vec::new(), idempotency_count: 0 }
    }

    pub(super) fn push_stream(&mut self, stream: &FooterStream) {
        let FooterStream { state, runs } = stream;
        self.stream_count += 1;
        let out = &mut self.out;
        out.put_stream_key(&state.key);
        for number in [state.epoch.0, state.first.0, state.next.0, state.last_time.0, state.last_index.0] {
            out.put_u64(number);
        }
        out.put_u64(state.bytes);
        out.put_u8(u8::from(state.deleted));
        out.put_u32(u32::try_from(runs.len()).expect("a run takes a block of a file"));
        for run in runs {
            assert!(run.chunk_len > 0, "the run's chunk is closed");
            let times = [run.first_time.0, run.last_time.0];
            for number in [run.first_seq.0, run.last_seq.0, run.chunk_offset].into_iter().chain(times) {
                out.put_u64(number);
            }
            out.put_u32(run.chunk_len);
            out.put_u32(run.bytes);
        }
    }

    pub(super) fn push_idempotency(&mut self, entry: &IdempotencyEntry) {
        self.idempotency_count += 1;
        let out = &mut self.idempotency;
        out.put_stream_key(&entry.key);
        out.put_u64(entry.epoch.0);
        out.put_u64(entry.idempotency.digest);
        out.put_u64(entry.first.0);
        out.put_u64(entry.time.0);
        out.put_u32(entry.count);
        let key = &entry.idempotency.key;
        out.put_u16(u16::try_from(key.len()).expect("Limits bound an idempotency key"));
        out.put(key);
    }

    /// The footer for this offset, padded to whole blocks, and its checksum.
    pub(super) fn finish(mut self, offset: u64) -> (Bytes, u32) {
        self.out[OWN_OFFSET_AT..OWN_OFFSET_AT + 8].copy_from_slice(&offset.to_le_bytes());
        let at = self.counts_at;
        self.out[at..at + 4].copy_from_slice(&self.stream_count.to_le_bytes());
        self.out[at + 4..at + 8].copy_from_slice(&self.idempotency_count.to_le_bytes());
        self.out.extend_from_slice(&self.idempotency);
        KIND.seal(self.out)
    }
}
