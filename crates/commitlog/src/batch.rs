//! A batch: what one block group holds for one partition; the unit that will be replicated.
//!
//! Encoded once by [`BatchBuilder`] while appends arrive; the same bytes are journalled, cached and, later,
//! sent to replicas. `docs/formats/journal.md` draws it. Every record takes one log index, and so does
//! every other kind of change. Decoding trusts nothing.

use crate::checksum;
use crate::wire::{Put, Reader};
use bytes::{Bytes, BytesMut};
use std::fmt;
use types::{Epoch, LogIndex, PartitionId, Record, RecordError, SeqNum, StreamKey, Term, Timestamp};

/// Bytes of a batch before its content.
pub const BATCH_HEADER_BYTES: usize = 40;

const FORMAT: u8 = 1;
const KIND_EVENTS: u8 = 1;
const KIND_NOOP: u8 = 2;
const KIND_TRIM: u8 = 3;
const KIND_DELETE: u8 = 4;
const KIND_GAP: u8 = 5;
/// Set in a stream reference that is followed by the stream's epoch and name.
pub(crate) const INTRODUCES: u32 = 1 << 31;

/// Why bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchError {
    /// Fewer bytes than the batch says it has, or than a header has.
    Truncated,
    /// The checksum does not hold.
    Checksum,
    /// A format number that this version does not know.
    UnknownFormat(u8),
    /// A kind that this version does not know; never skipped, since it may change state.
    UnknownKind(u8),
    /// The content contradicts itself.
    Malformed(&'static str),
    /// A record inside is not sound.
    Record(RecordError),
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchError::Truncated => write!(f, "batch is cut short"),
            BatchError::Checksum => write!(f, "batch fails its checksum"),
            BatchError::UnknownFormat(format) => write!(f, "batch has unknown format {format}"),
            BatchError::UnknownKind(kind) => write!(f, "batch has unknown kind {kind}"),
            BatchError::Malformed(what) => write!(f, "batch is malformed: {what}"),
            BatchError::Record(error) => write!(f, "batch holds a bad record: {error}"),
        }
    }
}

impl std::error::Error for BatchError {}

/// What every batch says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The partition that the batch belongs to.
    pub partition: PartitionId,
    /// Term of the leader that built it; 1 while a server is alone.
    pub term: Term,
    /// Log index of its first record.
    pub first_index: LogIndex,
    /// How many log indexes it takes.
    pub record_count: u32,
    /// The leader's clock when the batch was opened.
    pub leader_time: Timestamp,
}

impl BatchHeader {
    /// Log index of its last record.
    pub fn last_index(&self) -> LogIndex {
        LogIndex(self.first_index.0 + u64::from(self.record_count) - 1)
    }
}

/// A change of a partition's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchBody {
    /// Events, in log order.
    Events(Vec<BatchEvent>),
    /// Nothing; takes an index.
    Noop,
    /// The events of a stream before `before` are forgotten.
    Trim {
        /// Which stream.
        key: StreamKey,
        /// Which incarnation.
        epoch: Epoch,
        /// The first event that stays.
        before: SeqNum,
    },
    /// A stream is deleted.
    Delete {
        /// Which stream.
        key: StreamKey,
        /// Which incarnation.
        epoch: Epoch,
    },
    /// Log indexes that were lost to damage; recovery writes it so that every later life agrees.
    Gap {
        /// First lost index.
        from: LogIndex,
        /// Last lost index.
        to: LogIndex,
    },
}

/// One event of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchEvent {
    /// The stream's place in [`Batch::streams`].
    pub stream: u32,
    /// The event.
    pub record: Record,
}

/// A decoded batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Where it belongs.
    pub header: BatchHeader,
    /// The streams that its events belong to, in order of first use.
    pub streams: Vec<(StreamKey, Epoch)>,
    /// What it changes.
    pub body: BatchBody,
}

/// Builds a batch of events while appends arrive. Dropped or finished; never empty when finished.
#[derive(Debug)]
pub struct BatchBuilder {
    bytes: BytesMut,
    header: BatchHeader,
    streams: u32,
}

impl BatchBuilder {
    /// Opens a batch of events whose first one takes `first_index`.
    pub fn new(partition: PartitionId, term: Term, first_index: LogIndex, leader_time: Timestamp) -> Self {
        Self::in_room(BytesMut::with_capacity(1024), partition, term, first_index, leader_time)
    }

    /// As [`Self::new`], in memory that is there already. `room` is empty; it grows when it is too small.
    pub fn in_room(
        room: BytesMut,
        partition: PartitionId,
        term: Term,
        first_index: LogIndex,
        leader_time: Timestamp,
    ) -> Self {
        assert!(room.is_empty(), "a batch begins where its bytes begin");
        let mut bytes = room;
        bytes.resize(BATCH_HEADER_BYTES, 0);
        let header = BatchHeader { partition, term, first_index, record_count: 0, leader_time };
        BatchBuilder { bytes, header, streams: 0 }
    }

    /// Length of a batch that holds `count` events of one stream, whose records take `record_bytes`.
    pub fn len_of(key: &StreamKey, count: usize, record_bytes: usize) -> usize {
        let introduction = 8 + 4 + key.bucket.as_str().len() + key.stream.as_str().len();
        BATCH_HEADER_BYTES + introduction + count * 4 + record_bytes
    }

    /// Names a stream that the next events refer to; gives its reference in this batch.
    pub fn introduce(&mut self) -> u32 {
        self.streams += 1;
        self.streams - 1
    }

    /// Appends one event through `encode`, which must write exactly one record. `introduced` is set for
    /// the first event of a stream in this batch. Gives the range of the record's bytes in the batch.
    pub fn push(
        &mut self,
        stream: u32,
        introduced: Option<(&StreamKey, Epoch)>,
        encode: impl FnOnce(&mut BytesMut),
    ) -> std::ops::Range<usize> {
        match introduced {
            Some((key, epoch)) => {
                self.bytes.put_u32(stream | INTRODUCES);
                self.bytes.put_u64(epoch.0);
                self.bytes.put_stream_key(key);
            }
            None => self.bytes.put_u32(stream),
        }
        let start = self.bytes.len();
        encode(&mut self.bytes);
        self.header.record_count += 1;
        start..self.bytes.len()
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no event was pushed.
    pub fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    /// Log index that the next event would take.
    pub fn next_index(&self) -> LogIndex {
        self.header.first_index.plus(u64::from(self.header.record_count))
    }

    /// Seals the batch.
    ///
    /// # Panics
    /// When no event was pushed.
    pub fn finish(self) -> (BatchHeader, Bytes) {
        let (header, bytes, _) = self.finish_in_room();
        (header, bytes)
    }

    /// As [`Self::finish`]; gives what is left of the memory too, for the next batch.
    ///
    /// # Panics
    /// When no event was pushed.
    pub fn finish_in_room(mut self) -> (BatchHeader, Bytes, BytesMut) {
        assert!(!self.is_empty(), "an empty batch is never written");
        let sealed = seal(self.bytes.split(), &self.header, KIND_EVENTS);
        (self.header, sealed, self.bytes)
    }
}

/// Encodes a batch that holds one change which is not an event.
///
/// # Panics
/// When `body` is [`BatchBody::Events`]: those are built by [`BatchBuilder`].
pub fn encode_change(header: &BatchHeader, body: &BatchBody) -> Bytes {
    assert_eq!(header.record_count, 1, "a change takes one index");
    let mut bytes = BytesMut::new();
    bytes.resize(BATCH_HEADER_BYTES, 0);
    let kind = match body {
        BatchBody::Events(_) => unreachable!("events are built by BatchBuilder"),
        BatchBody::Noop => KIND_NOOP,
        BatchBody::Trim { key, epoch, before } => {
            bytes.put_u64(epoch.0);
            bytes.put_u64(before.0);
            bytes.put_stream_key(key);
            KIND_TRIM
        }
        BatchBody::Delete { key, epoch } => {
            bytes.put_u64(epoch.0);
            bytes.put_stream_key(key);
            KIND_DELETE
        }
        BatchBody::Gap { from, to } => {
            bytes.put_u64(from.0);
            bytes.put_u64(to.0);
            KIND_GAP
        }
    };
    seal(bytes, header, kind)
}

fn seal(mut bytes: BytesMut, header: &BatchHeader, kind: u8) -> Bytes {
    let mut fixed = &mut bytes[8..BATCH_HEADER_BYTES];
    fixed.put_u8(FORMAT);
    fixed.put_u8(kind);
    fixed.put_u16(header.partition.0);
    fixed.put_u32(header.record_count);
    fixed.put_u64(header.term.0);
    fixed.put_u64(header.first_index.0);
    fixed.put_u64(header.leader_time.0);
    let len = u32::try_from(bytes.len()).expect("Limits bound a batch far below 4 GiB");
    bytes[..4].copy_from_slice(&len.to_le_bytes());
    let crc = checksum(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes.freeze()
}

impl Batch {
    /// Reads the batch at the start of `bytes`; gives it and its length. Records share the memory.
    ///
    /// # Errors
    /// [`BatchError`] names what is wrong; nothing is allocated by a claimed length.
    pub fn decode(bytes: &Bytes) -> Result<(Batch, usize), BatchError> {
        let mut reader = Reader::new(bytes);
        let len = reader.u32().ok_or(BatchError::Truncated)? as usize;
        let crc = reader.u32().ok_or(BatchError::Truncated)?;
        if len < BATCH_HEADER_BYTES || len > bytes.len() {
            return Err(BatchError::Truncated);
        }
        if checksum(&bytes[8..len]) != crc {
            return Err(BatchError::Checksum);
        }
        let mut reader = Reader::new(&bytes[8..len]);
        let (header, kind) = decode_header(&mut reader).ok_or(BatchError::Truncated)??;
        let content = bytes.slice(BATCH_HEADER_BYTES..len);
        let mut streams = Vec::new();
        let body = match kind {
            KIND_EVENTS => BatchBody::Events(decode_events(&content, header.record_count, &mut streams)?),
            _ => decode_change(kind, &content)?,
        };
        if !matches!(body, BatchBody::Events(_)) && header.record_count != 1 {
            return Err(BatchError::Malformed("a change takes one index"));
        }
        Ok((Batch { header, streams, body }, len))
    }
}

pub(crate) fn decode_header(reader: &mut Reader<'_>) -> Option<Result<(BatchHeader, u8), BatchError>> {
    let format = reader.u8()?;
    let kind = reader.u8()?;
    let partition = PartitionId(reader.u16()?);
    let record_count = reader.u32()?;
    let term = Term(reader.u64()?);
    let first_index = LogIndex(reader.u64()?);
    let leader_time = Timestamp(reader.u64()?);
    if format != FORMAT {
        return Some(Err(BatchError::UnknownFormat(format)));
    }
    if record_count == 0 || first_index.0 == 0 || first_index.0.checked_add(record_count.into()).is_none() {
        return Some(Err(BatchError::Malformed("the log indexes are out of range")));
    }
    Some(Ok((BatchHeader { partition, term, first_index, record_count, leader_time }, kind)))
}

fn decode_events(
    content: &Bytes,
    count: u32,
    streams: &mut Vec<(StreamKey, Epoch)>,
) -> Result<Vec<BatchEvent>, BatchError> {
    let mut events = Vec::new();
    let mut at = 0;
    while at < content.len() {
        let mut reader = Reader::new(&content[at..]);
        let reference = reader.u32().ok_or(BatchError::Truncated)?;
        let stream = reference & !INTRODUCES;
        if reference & INTRODUCES != 0 {
            let epoch = Epoch(reader.u64().ok_or(BatchError::Truncated)?);
            let key = reader.stream_key().ok_or(BatchError::Malformed("a stream's name"))?;
            streams.push((key, epoch));
            if stream as usize + 1 != streams.len() {
                return Err(BatchError::Malformed("a stream is introduced out of turn"));
            }
        } else if stream as usize >= streams.len() {
            return Err(BatchError::Malformed("a stream is used before it is introduced"));
        }
        at += reader.position();
        let record = Record::decode(&content.slice(at..)).map_err(BatchError::Record)?;
        at += record.encoded().len();
        events.push(BatchEvent { stream, record });
    }
    if events.len() != count as usize {
        return Err(BatchError::Malformed("the record count"));
    }
    Ok(events)
}

fn decode_change(kind: u8, content: &Bytes) -> Result<BatchBody, BatchError> {
    let mut reader = Reader::new(content);
    let body = match kind {
        KIND_NOOP => Some(BatchBody::Noop),
        KIND_TRIM => (|| {
            let (epoch, before) = (Epoch(reader.u64()?), SeqNum(reader.u64()?));
            Some(BatchBody::Trim { key: reader.stream_key()?, epoch, before })
        })(),
        KIND_DELETE => (|| {
            let epoch = Epoch(reader.u64()?);
            Some(BatchBody::Delete { key: reader.stream_key()?, epoch })
        })(),
        KIND_GAP => (|| {
            let (from, to) = (LogIndex(reader.u64()?), LogIndex(reader.u64()?));
            (from <= to).then_some(BatchBody::Gap { from, to })
        })(),
        unknown => return Err(BatchError::UnknownKind(unknown)),
    };
    match body {
        Some(body) if reader.remaining() == 0 => Ok(body),
        _ => Err(BatchError::Malformed("the change's content")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::EventDraft;

    fn sample(events: &[(u8, Vec<u8>)]) -> (BatchHeader, Bytes) {
        let mut builder = BatchBuilder::new(PartitionId(3), Term(1), LogIndex(10), Timestamp(99));
        let mut seen: Vec<u8> = Vec::new();
        for (stream, payload) in events {
            let key = StreamKey::parse("b", &format!("s{stream}")).expect("a valid name");
            let known = seen.iter().position(|s| s == stream);
            let reference = known.map_or_else(|| builder.introduce(), |at| at as u32);
            let introduced = known.is_none().then_some((&key, Epoch(u64::from(*stream) + 1)));
            if known.is_none() {
                seen.push(*stream);
            }
            let draft = EventDraft::json(Bytes::from(payload.clone()));
            builder.push(reference, introduced, |out| {
                Record::encode(out, &draft, SeqNum(5), Timestamp(6), None);
            });
        }
        builder.finish()
    }

    fn some_events() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
        proptest::collection::vec((0_u8..4, proptest::collection::vec(any::<u8>(), 0..60)), 1..12)
    }

    proptest! {
        #[test]
        fn what_was_built_is_decoded(
            events in some_events(),
            tail in proptest::collection::vec(any::<u8>(), 0..9),
        ) {
            let (header, bytes) = sample(&events);
            let mut longer = bytes.to_vec();
            longer.extend_from_slice(&tail);
            let (batch, len) = Batch::decode(&Bytes::from(longer)).expect("sound");
            prop_assert_eq!(len, bytes.len());
            prop_assert_eq!(batch.header, header);
            let BatchBody::Events(decoded) = batch.body else { panic!("events expected") };
            if let [(key, _)] = &batch.streams[..] {
                let records = decoded.iter().map(|event| event.record.encoded().len());
                prop_assert_eq!(BatchBuilder::len_of(key, decoded.len(), records.sum()), len);
            }
            prop_assert_eq!(decoded.len(), events.len());
            for (event, (stream, payload)) in decoded.iter().zip(&events) {
                prop_assert_eq!(event.record.payload(), &payload[..]);
                let name = format!("s{stream}");
                prop_assert_eq!(batch.streams[event.stream as usize].0.stream.as_str(), name.as_str());
            }
        }

        #[test]
        fn a_flipped_bit_is_noticed(
            events in some_events(),
            at in any::<proptest::sample::Index>(),
            bit in 0..8,
        ) {
            let mut bytes = sample(&events).1.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            prop_assert!(Batch::decode(&Bytes::from(bytes)).is_err());
        }

        #[test]
        fn no_input_panics(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            fix in any::<bool>(),
        ) {
            if fix && bytes.len() >= BATCH_HEADER_BYTES {
                // A right checksum lets the fuzz reach the content.
                let len = bytes.len() as u32;
                bytes[..4].copy_from_slice(&len.to_le_bytes());
                bytes[8] = FORMAT;
                bytes[9] %= 6;
                let crc = checksum(&bytes[8..]);
                bytes[4..8].copy_from_slice(&crc.to_le_bytes());
            }
            let _ = Batch::decode(&Bytes::from(bytes));
        }
    }

    #[test]
    fn every_kind_of_change_comes_back_as_it_was() {
        let key = StreamKey::parse("b", "s/t").expect("a valid name");
        let header = BatchHeader {
            partition: PartitionId(1),
            term: Term(1),
            first_index: LogIndex(4),
            record_count: 1,
            leader_time: Timestamp(5),
        };
        for body in [
            BatchBody::Noop,
            BatchBody::Trim { key: key.clone(), epoch: Epoch(2), before: SeqNum(9) },
            BatchBody::Delete { key, epoch: Epoch(2) },
            BatchBody::Gap { from: LogIndex(2), to: LogIndex(3) },
        ] {
            let bytes = encode_change(&header, &body);
            let (batch, len) = Batch::decode(&bytes).expect("sound");
            assert_eq!((batch.header, batch.body, len), (header, body, bytes.len()));
        }
    }

    #[test]
    fn an_unknown_kind_is_refused_by_its_number() {
        let header = BatchHeader {
            partition: PartitionId(1),
            term: Term(1),
            first_index: LogIndex(4),
            record_count: 1,
            leader_time: Timestamp(5),
        };
        let bytes = seal(BytesMut::zeroed(BATCH_HEADER_BYTES), &header, 77);
        assert_eq!(Batch::decode(&bytes), Err(BatchError::UnknownKind(77)));
    }
}
