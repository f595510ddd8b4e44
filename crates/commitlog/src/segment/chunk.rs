//! A chunk: the unit in which a segment is read. Runs of records, one after the other, sorted by stream.
//!
//! The header says where the chunk belongs and has a checksum of its own, so that a scan can step over a
//! chunk whose content is rotten. Record bytes are those of the journal, unchanged, and share the chunk's
//! memory when they are read. Nothing is decoded before the content's checksum holds.

use crate::format_error::{
    BadRecord, FilePart, FormatError, PlaceField, UnknownVersion, WrongChecksum, WrongMagic, check_place,
};
use crate::frame::Fields;
use crate::wire::Put;
use crate::{BLOCK_BYTES, checksum};
use bytes::{Bytes, BytesMut};
use types::{
    BucketName, Epoch, PartitionId, RECORD_HEADER_BYTES, Record, RecordError, SeqNum, StreamKey, StreamName,
};

const PART: FilePart = FilePart::SegmentChunk;
const MAGIC: [u8; 8] = *b"MR.SEG.C";
const VERSION: u32 = 1;
/// Bytes of a chunk before its runs.
pub const CHUNK_HEADER_BYTES: usize = 72;
/// The header's checksum covers the header from here.
const HEADER_COVERED_FROM: usize = 12;
/// Bytes of a run before its records, without the names: two name lengths, epoch, first, count, bytes.
const RUN_FIXED_BYTES: usize = 28;

/// Where a chunk must say that it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkAddress {
    /// The data directory.
    pub directory_id: u128,
    /// The partition.
    pub partition: PartitionId,
    /// The segment.
    pub ordinal: u64,
    /// Byte offset in the segment's file.
    pub offset: u64,
}

/// A chunk's header, sound and in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkHeader {
    /// Bytes of the chunk on disk, whole blocks.
    pub padded_len: u32,
    /// Bytes behind the header that are not padding.
    pub content_len: u32,
    /// Runs of the chunk.
    pub run_count: u32,
    /// Records of the chunk.
    pub record_count: u32,
    /// Checksum of the content.
    pub content_checksum: u32,
}

/// Consecutive records of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRun {
    /// The stream.
    pub key: StreamKey,
    /// Its incarnation.
    pub epoch: Epoch,
    /// Sequence number of the first record.
    pub first_seq: SeqNum,
    /// The records, at least one, consecutive.
    pub records: Vec<Record>,
}

/// Reads a chunk's header and checks that it belongs at `address`.
///
/// # Errors
/// [`FormatError`]; needs only the first [`CHUNK_HEADER_BYTES`] bytes.
pub fn decode_chunk_header(bytes: &[u8], address: &ChunkAddress) -> Result<ChunkHeader, FormatError> {
    let found = bytes.len() as u64;
    let header = bytes
        .get(..CHUNK_HEADER_BYTES)
        .ok_or_else(|| FormatError::truncated(PART, CHUNK_HEADER_BYTES as u64, found))?;
    if header[..8] != MAGIC {
        let found = header[..8].try_into().expect("eight bytes");
        return Err(FormatError::Magic(WrongMagic { part: PART, found }));
    }
    let mut fields = Fields::new(PART, header, 8);
    let stored = fields.u32("header checksum")?;
    check_sum(stored, &header[HEADER_COVERED_FROM..], "its header")?;
    let found = fields.u32("version")?;
    if found != VERSION {
        let (part, known) = (PART, VERSION);
        return Err(FormatError::Version(UnknownVersion { part, known, found }));
    }
    take_header(&mut fields, address)
}

/// The header's fields behind the version.
fn take_header(fields: &mut Fields<'_>, address: &ChunkAddress) -> Result<ChunkHeader, FormatError> {
    let directory_id = fields.u128("directory id")?;
    check_place(PART, PlaceField::DirectoryId, address.directory_id, directory_id)?;
    check_place(PART, PlaceField::Ordinal, address.ordinal, fields.u64("ordinal")?)?;
    check_place(PART, PlaceField::Offset, address.offset, fields.u64("offset")?)?;
    let header = ChunkHeader {
        padded_len: fields.u32("padded length")?,
        content_len: fields.u32("content length")?,
        run_count: fields.u32("run count")?,
        record_count: fields.u32("record count")?,
        content_checksum: fields.u32("content checksum")?,
    };
    let partition = fields.u16("partition")?;
    check_place(PART, PlaceField::Partition, address.partition.0, partition)?;
    let (padded, content) = (u64::from(header.padded_len), u64::from(header.content_len));
    let fits = (CHUNK_HEADER_BYTES as u64 + content).next_multiple_of(BLOCK_BYTES as u64) == padded;
    let rule = "must be that of header and content in whole blocks";
    fields.require(fits, "padded length", rule, padded)?;
    Ok(header)
}

/// Reads a whole chunk; bytes behind it are not looked at.
///
/// # Errors
/// [`FormatError`]; no record of a chunk is given when any byte of its content is bad.
pub fn decode_chunk(bytes: &Bytes, address: &ChunkAddress) -> Result<Vec<ChunkRun>, FormatError> {
    let (header, content) = open_content(bytes, address)?;
    let mut fields = Fields::new(PART, &content, CHUNK_HEADER_BYTES);
    let (mut runs, mut records) = (Vec::new(), 0);
    for _ in 0..header.run_count {
        let run = RawRun::take(&mut fields)?;
        records += run.count;
        runs.push(run.decode(&content, &fields)?);
    }
    fields.end()?;
    fields.require(records == header.record_count as usize, "record count", "is wrong", records as u64)?;
    Ok(runs)
}

/// The records of one stream from `from` on, in order, at most `events_max`; the other streams of the
/// chunk are stepped over. Empty when the chunk has none.
///
/// # Errors
/// [`FormatError`], as [`decode_chunk`].
pub fn chunk_records(
    bytes: &Bytes,
    address: &ChunkAddress,
    key: &StreamKey,
    epoch: Epoch,
    from: SeqNum,
    events_max: usize,
) -> Result<Vec<Record>, FormatError> {
    let (header, content) = open_content(bytes, address)?;
    let mut fields = Fields::new(PART, &content, CHUNK_HEADER_BYTES);
    let mut records = Vec::new();
    for _ in 0..header.run_count {
        let run = RawRun::take(&mut fields)?;
        if run.is_of(key, epoch) {
            run.records_from(&content, from, events_max, &mut records)?;
        }
    }
    Ok(records)
}

/// Checks header and content; gives the chunk without its padding.
fn open_content(bytes: &Bytes, address: &ChunkAddress) -> Result<(ChunkHeader, Bytes), FormatError> {
    let header = decode_chunk_header(bytes, address)?;
    let end = CHUNK_HEADER_BYTES + header.content_len as usize;
    if bytes.len() < end {
        return Err(FormatError::truncated(PART, u64::from(header.padded_len), bytes.len() as u64));
    }
    let content = bytes.slice(..end);
    check_sum(header.content_checksum, &content[CHUNK_HEADER_BYTES..], "its content")?;
    Ok((header, content))
}

fn check_sum(stored: u32, covered: &[u8], covers: &'static str) -> Result<(), FormatError> {
    let computed = checksum(covered);
    if computed == stored {
        return Ok(());
    }
    Err(FormatError::Checksum(WrongChecksum { part: PART, covers, stored, computed }))
}

/// A run whose names and records are not looked at yet. Invariant: `first + count` does not overflow.
struct RawRun<'a> {
    bucket: &'a [u8],
    stream: &'a [u8],
    epoch: Epoch,
    first: SeqNum,
    count: usize,
    /// The records' bytes in the chunk.
    start: usize,
    end: usize,
}

impl<'a> RawRun<'a> {
    fn take(fields: &mut Fields<'a>) -> Result<Self, FormatError> {
        let (bucket_len, stream_len) = (fields.u16("bucket length")?, fields.u16("stream length")?);
        let bucket = fields.take("bucket", usize::from(bucket_len))?;
        let stream = fields.take("stream", usize::from(stream_len))?;
        let (epoch, first) = (fields.u64("epoch")?, fields.u64("first sequence number")?);
        let (count, len) = (fields.u32("record count of a run")?, fields.u32("byte length of a run")?);
        let room = len as usize / RECORD_HEADER_BYTES;
        let counts = count >= 1 && count as usize <= room && first.checked_add(u64::from(count)).is_some();
        fields.require(counts, "record count of a run", "does not fit its bytes", u64::from(count))?;
        let start = fields.position();
        fields.take("records", len as usize)?;
        Ok(RawRun {
            bucket,
            stream,
            epoch: Epoch(epoch),
            first: SeqNum(first),
            count: count as usize,
            start,
            end: start + len as usize,
        })
    }

    fn is_of(&self, key: &StreamKey, epoch: Epoch) -> bool {
        self.epoch == epoch
            && self.bucket == key.bucket.as_str().as_bytes()
            && self.stream == key.stream.as_str().as_bytes()
    }

    fn decode(&self, content: &Bytes, fields: &Fields<'_>) -> Result<ChunkRun, FormatError> {
        let names = (BucketName::parse_bytes(self.bucket), StreamName::parse_bytes(self.stream));
        let (Ok(bucket), Ok(stream)) = names else {
            return Err(fields.bad("stream name", "is no name", None));
        };
        let mut records = Vec::with_capacity(self.count);
        let end = self.records_from(content, SeqNum::ZERO, usize::MAX, &mut records)?;
        fields.require(end == self.end, "byte length of a run", "is not that of its records", end as u64)?;
        Ok(ChunkRun { key: StreamKey { bucket, stream }, epoch: self.epoch, first_seq: self.first, records })
    }

    /// Appends the run's records from `from` on until `out` has `events_max`; gives where it stopped.
    fn records_from(
        &self,
        content: &Bytes,
        from: SeqNum,
        events_max: usize,
        out: &mut Vec<Record>,
    ) -> Result<usize, FormatError> {
        let mut at = self.start;
        for index in 0..self.count {
            if out.len() >= events_max {
                break;
            }
            let seq = self.first.plus(index as u64);
            let bad = |error| FormatError::Record(BadRecord { at: at as u64, error });
            let rest = content.slice(at..self.end);
            if seq < from {
                at += claimed_len(&rest).ok_or_else(|| bad(RecordError::Truncated))?;
                continue;
            }
            let record = Record::decode(&rest).map_err(bad)?;
            if record.seq() != seq {
                let fields = Fields::new(PART, content, at);
                let rule = "must count on from the run's first";
                return Err(fields.bad("sequence number of a record", rule, Some(record.seq().0)));
            }
            at += record.encoded().len();
            out.push(record);
        }
        Ok(at)
    }
}

/// The length that the record at the start of `bytes` claims, when it is there.
fn claimed_len(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    (RECORD_HEADER_BYTES..=bytes.len()).contains(&len).then_some(len)
}

/// Gathers one chunk.
#[derive(Debug)]
pub(super) struct ChunkWriter {
    /// Room for the header, then the content.
    out: BytesMut,
    /// Where the open run's count stands, and how many records it has.
    run: Option<(usize, u32)>,
    run_count: u32,
    record_count: u32,
}

impl ChunkWriter {
    pub(super) fn new() -> Self {
        let mut out = BytesMut::with_capacity(BLOCK_BYTES);
        out.resize(CHUNK_HEADER_BYTES, 0);
        ChunkWriter { out, run: None, run_count: 0, record_count: 0 }
    }

    /// Bytes that a run of this stream takes before its records.
    pub(super) fn run_overhead(key: &StreamKey) -> usize {
        RUN_FIXED_BYTES + key.bucket.as_str().len() + key.stream.as_str().len()
    }

    /// Starts a run; the one before must be ended.
    pub(super) fn begin_run(&mut self, key: &StreamKey, epoch: Epoch, first: SeqNum) {
        assert!(self.run.is_none(), "one run at a time");
        self.out.put_stream_key(key);
        self.out.put_u64(epoch.0);
        self.out.put_u64(first.0);
        self.run = Some((self.out.len(), 0));
        self.run_count += 1;
        self.out.put_u64(0);
    }

    /// Appends the next record of the open run.
    pub(super) fn push(&mut self, record: &Record) {
        let (_, count) = self.run.as_mut().expect("a record belongs to a run");
        *count += 1;
        self.record_count += 1;
        self.out.extend_from_slice(record.encoded());
    }

    /// Ends the open run, if there is one.
    pub(super) fn end_run(&mut self) {
        let Some((at, count)) = self.run.take() else {
            return;
        };
        assert!(count >= 1, "a run has records");
        let len = u32::try_from(self.out.len() - at - 8).expect("a body is at most 1 GiB");
        self.out[at..at + 4].copy_from_slice(&count.to_le_bytes());
        self.out[at + 4..at + 8].copy_from_slice(&len.to_le_bytes());
    }

    /// The finished chunk, padded to whole blocks; the writer is empty again.
    pub(super) fn finish(&mut self, address: &ChunkAddress) -> Bytes {
        self.end_run();
        assert!(self.record_count >= 1, "no chunk is empty");
        let mut done = std::mem::replace(self, ChunkWriter::new());
        let content_len = done.out.len() - CHUNK_HEADER_BYTES;
        let padded_len = done.out.len().next_multiple_of(BLOCK_BYTES);
        let mut header = Vec::with_capacity(CHUNK_HEADER_BYTES);
        header.put(&MAGIC);
        header.put_u32(0);
        header.put_u32(VERSION);
        header.put_u128(address.directory_id);
        header.put_u64(address.ordinal);
        header.put_u64(address.offset);
        header.put_u32(u32::try_from(padded_len).expect("a chunk holds one body of at most 1 GiB or 64 KiB"));
        header.put_u32(u32::try_from(content_len).expect("less than padded"));
        header.put_u32(done.run_count);
        header.put_u32(done.record_count);
        header.put_u32(checksum(&done.out[CHUNK_HEADER_BYTES..]));
        header.put_u16(address.partition.0);
        header.put_u16(0);
        let sum = checksum(&header[HEADER_COVERED_FROM..]);
        header[8..12].copy_from_slice(&sum.to_le_bytes());
        done.out[..CHUNK_HEADER_BYTES].copy_from_slice(&header);
        done.out.resize(padded_len, 0);
        done.out.freeze()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Bytes so far, header included.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    pub(super) fn has_open_run(&self) -> bool {
        self.run.is_some()
    }
}
