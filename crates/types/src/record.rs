//! A record: an event as it stands in the log, in memory, on disk and on its way to a reader.
//!
//! The bytes are encoded once, when the engine assigns the sequence number; journal, cache, segment and
//! reader share them. `docs/formats/record.md` draws them. Two checksums: one over header and tagged
//! headers, one over the payload that was computed when the payload was parsed.
//! Decoding trusts nothing: any input gives a record or a [`RecordError`].

use crate::draft::{EventDraft, Idempotency};
use crate::number::{SeqNum, Timestamp};
use bytes::{Bytes, BytesMut};
use std::fmt;

/// Bytes of the fixed header before the tagged headers.
pub const RECORD_HEADER_BYTES: usize = 32;

const FLAG_JSON: u8 = 1;
const FORMAT: u8 = 1;
const TAG_CONTENT_TYPE: u8 = 1;
const TAG_IDEMPOTENCY: u8 = 2;
const TAG_PARENT: u8 = 3;
const TAG_TRACEPARENT: u8 = 4;
/// Digest and count before the key itself.
const IDEMPOTENCY_FIXED_BYTES: usize = 12;

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Fewer bytes than the record says it has, or than a header has.
    Truncated,
    /// The lengths inside the record contradict each other.
    BadLength,
    /// A format number that this version does not know.
    UnknownFormat(u8),
    /// The checksum of the header does not hold.
    HeaderChecksum,
    /// The checksum of the payload does not hold.
    PayloadChecksum,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Truncated => write!(f, "record is cut short"),
            RecordError::BadLength => write!(f, "record has contradictory lengths"),
            RecordError::UnknownFormat(format) => write!(f, "record has unknown format {format}"),
            RecordError::HeaderChecksum => write!(f, "record header fails its checksum"),
            RecordError::PayloadChecksum => write!(f, "record payload fails its checksum"),
        }
    }
}

impl std::error::Error for RecordError {}

/// A sound record; a cheap clone (a reference count).
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    bytes: Bytes,
}

impl Record {
    /// How many bytes [`Self::encode`] will write.
    pub fn encoded_len(draft: &EventDraft, idempotency: Option<&Idempotency>) -> usize {
        RECORD_HEADER_BYTES + headers_len(draft, idempotency) + draft.payload.len()
    }

    /// Appends the record to `out`. `count` is how many events the request that carries `idempotency`
    /// appended in all; it is stored beside the key.
    ///
    /// # Panics
    /// When the tagged headers exceed 64 KiB or the record 4 GiB: `Limits` keep them far below.
    pub fn encode(
        out: &mut BytesMut,
        draft: &EventDraft,
        seq: SeqNum,
        time: Timestamp,
        idempotency: Option<(&Idempotency, u32)>,
    ) {
        let headers = headers_len(draft, idempotency.map(|(key, _)| key));
        let headers_len = u16::try_from(headers).expect("Limits bound every tagged header");
        let total = RECORD_HEADER_BYTES + headers + draft.payload.len();
        let start = out.len();
        out.reserve(total);
        let total = u32::try_from(total).expect("Limits bound a body to 1 GiB");
        let mut fixed = [0; RECORD_HEADER_BYTES];
        fixed[..4].copy_from_slice(&total.to_le_bytes());
        fixed[8..16].copy_from_slice(&seq.0.to_le_bytes());
        fixed[16..24].copy_from_slice(&time.0.to_le_bytes());
        fixed[24..28].copy_from_slice(&draft.payload_crc.to_le_bytes());
        fixed[28..30].copy_from_slice(&headers_len.to_le_bytes());
        fixed[30] = if draft.json { FLAG_JSON } else { 0 };
        fixed[31] = FORMAT;
        out.extend_from_slice(&fixed);
        if let Some(content_type) = &draft.content_type {
            put_header(out, TAG_CONTENT_TYPE, &[content_type]);
        }
        if let Some((idempotency, count)) = idempotency {
            let parts = [&idempotency.digest.to_le_bytes()[..], &count.to_le_bytes(), &idempotency.key];
            put_header(out, TAG_IDEMPOTENCY, &parts);
        }
        if let Some(parent) = &draft.parent {
            put_header(out, TAG_PARENT, &[parent]);
        }
        if let Some(traceparent) = &draft.traceparent {
            put_header(out, TAG_TRACEPARENT, &[traceparent]);
        }
        let crc = crc32fast::hash(&out[start + 8..]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&draft.payload);
    }

    /// Reads the record at the start of `bytes` and checks both checksums; shares the memory.
    ///
    /// # Errors
    /// [`RecordError`]; nothing is allocated on any path.
    pub fn decode(bytes: &Bytes) -> Result<Record, RecordError> {
        let length = check(bytes)?;
        let record = Record { bytes: bytes.slice(..length) };
        if crc32fast::hash(record.payload()) != record.payload_crc() {
            return Err(RecordError::PayloadChecksum);
        }
        Ok(record)
    }

    /// Length and sequence number of the record at the start of `bytes`; its payload may be bad. For those
    /// who name what is damaged.
    ///
    /// # Errors
    /// [`RecordError`]: not even the header can be trusted.
    pub fn survey(bytes: &[u8]) -> Result<(usize, SeqNum), RecordError> {
        let length = check(bytes)?;
        Ok((length, SeqNum(u64_at(bytes, 8))))
    }

    /// As [`Self::decode`] for bytes that this process has just encoded: structure is asserted, the
    /// payload is not read again.
    ///
    /// # Panics
    /// When `bytes` does not start with a record.
    #[inline]
    pub fn from_encoded(bytes: Bytes) -> Record {
        let length = u32_at(&bytes, 0) as usize;
        assert!(length >= RECORD_HEADER_BYTES && length == bytes.len(), "not an encoded record");
        Record { bytes }
    }

    /// Position in its stream.
    #[inline]
    pub fn seq(&self) -> SeqNum {
        SeqNum(u64_at(&self.bytes, 8))
    }
    /// When it was appended.
    #[inline]
    pub fn time(&self) -> Timestamp {
        Timestamp(u64_at(&self.bytes, 16))
    }
    /// CRC-32 of the payload.
    #[inline]
    pub fn payload_crc(&self) -> u32 {
        u32_at(&self.bytes, 24)
    }
    /// Whether the payload is JSON.
    #[inline]
    pub fn is_json(&self) -> bool {
        self.bytes[30] & FLAG_JSON != 0
    }
    /// The payload.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.payload_offset()..]
    }
    /// The payload as a share of the record's memory.
    pub fn payload_bytes(&self) -> Bytes {
        self.bytes.slice(self.payload_offset()..)
    }
    /// The record's own bytes, as they stand in the log.
    #[inline]
    pub fn encoded(&self) -> &Bytes {
        &self.bytes
    }
    /// The media type of a payload that is not JSON.
    pub fn content_type(&self) -> Option<&[u8]> {
        self.header(TAG_CONTENT_TYPE)
    }
    /// The parent id as the client wrote it.
    pub fn parent(&self) -> Option<&[u8]> {
        self.header(TAG_PARENT)
    }
    /// The W3C trace context.
    pub fn traceparent(&self) -> Option<&[u8]> {
        self.header(TAG_TRACEPARENT)
    }
    /// The idempotency key of the request that appended this record as its first, and how many events
    /// that request appended.
    pub fn idempotency(&self) -> Option<(Idempotency, u32)> {
        let value = self.header(TAG_IDEMPOTENCY)?;
        let digest = u64_at(value, 0);
        let count = u32_at(value, 8);
        let key = self.bytes.slice_ref(&value[IDEMPOTENCY_FIXED_BYTES..]);
        Some((Idempotency { key, digest }, count))
    }
    /// A copy in memory of its own, so that a small record does not keep a large buffer alive.
    pub fn detached(&self) -> Record {
        Record { bytes: Bytes::copy_from_slice(&self.bytes) }
    }

    fn payload_offset(&self) -> usize {
        RECORD_HEADER_BYTES + u16_at(&self.bytes, 28) as usize
    }

    fn header(&self, wanted: u8) -> Option<&[u8]> {
        let headers = &self.bytes[RECORD_HEADER_BYTES..self.payload_offset()];
        Headers(headers).find(|(tag, _)| *tag == wanted).map(|(_, value)| value)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({} @{} {} B)", self.seq(), self.time(), self.payload().len())
    }
}

/// Iterates over tagged headers whose lengths were checked by [`check`].
struct Headers<'a>(&'a [u8]);

impl<'a> Iterator for Headers<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let length = u16_at(self.0, 1) as usize;
        let (tag, value) = (self.0[0], &self.0[3..3 + length]);
        self.0 = &self.0[3 + length..];
        Some((tag, value))
    }
}

/// Checks structure and header checksum; gives the record's length.
fn check(bytes: &[u8]) -> Result<usize, RecordError> {
    if bytes.len() < RECORD_HEADER_BYTES {
        return Err(RecordError::Truncated);
    }
    let length = u32_at(bytes, 0) as usize;
    let headers_end = RECORD_HEADER_BYTES + u16_at(bytes, 28) as usize;
    if length < headers_end {
        return Err(RecordError::BadLength);
    }
    if length > bytes.len() {
        return Err(RecordError::Truncated);
    }
    if crc32fast::hash(&bytes[8..headers_end]) != u32_at(bytes, 4) {
        return Err(RecordError::HeaderChecksum);
    }
    if bytes[31] != FORMAT {
        return Err(RecordError::UnknownFormat(bytes[31]));
    }
    let mut headers = &bytes[RECORD_HEADER_BYTES..headers_end];
    while !headers.is_empty() {
        if headers.len() < 3 {
            return Err(RecordError::BadLength);
        }
        let value_len = u16_at(headers, 1) as usize;
        let too_short = headers[0] == TAG_IDEMPOTENCY && value_len < IDEMPOTENCY_FIXED_BYTES;
        if headers.len() < 3 + value_len || too_short {
            return Err(RecordError::BadLength);
        }
        headers = &headers[3 + value_len..];
    }
    Ok(length)
}

fn headers_len(draft: &EventDraft, idempotency: Option<&Idempotency>) -> usize {
    let plain = [&draft.content_type, &draft.parent, &draft.traceparent];
    let plain: usize = plain.into_iter().flatten().map(|value| 3 + value.len()).sum();
    plain + idempotency.map_or(0, |i| 3 + IDEMPOTENCY_FIXED_BYTES + i.key.len())
}

fn put_header(out: &mut BytesMut, tag: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&[tag]);
    out.extend_from_slice(&u16::try_from(length).expect("Limits bound every tagged header").to_le_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[inline]
fn field<const BYTES: usize>(bytes: &[u8], at: usize) -> [u8; BYTES] {
    *bytes[at..].first_chunk().expect("every caller has checked the length, or asserts it here")
}
#[inline]
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(field(bytes, at))
}
#[inline]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(field(bytes, at))
}
#[inline]
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(field(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(draft: &EventDraft, idempotency: Option<&Idempotency>) -> Bytes {
        let mut out = BytesMut::new();
        Record::encode(&mut out, draft, SeqNum(7), Timestamp(9), idempotency.map(|i| (i, 3)));
        assert_eq!(out.len(), Record::encoded_len(draft, idempotency));
        out.freeze()
    }

    fn text() -> impl Strategy<Value = Option<Bytes>> {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from))
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            payload in proptest::collection::vec(any::<u8>(), 0..200),
            json in any::<bool>(),
            (content_type, parent, traceparent, key) in (text(), text(), text(), text()),
            digest in any::<u64>(),
        ) {
            let mut draft = EventDraft::json(Bytes::from(payload));
            draft.json = json;
            draft.content_type = content_type;
            draft.parent = parent;
            draft.traceparent = traceparent;
            let idempotency = key.map(|key| Idempotency { key, digest });
            let record = Record::decode(&encode(&draft, idempotency.as_ref())).expect("sound");
            prop_assert_eq!(record.seq(), SeqNum(7));
            prop_assert_eq!(record.time(), Timestamp(9));
            prop_assert_eq!(record.payload(), &draft.payload[..]);
            prop_assert_eq!(record.is_json(), json);
            prop_assert_eq!(record.content_type(), draft.content_type.as_deref());
            prop_assert_eq!(record.parent(), draft.parent.as_deref());
            prop_assert_eq!(record.traceparent(), draft.traceparent.as_deref());
            prop_assert_eq!(record.idempotency(), idempotency.map(|i| (i, 3)));
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::decode(&Bytes::from(bytes));
        }

        #[test]
        fn one_flipped_bit_is_always_noticed(at in 0_usize..72 * 8) {
            let (payload, kind) = (Bytes::from_static(b"0123456789"), Bytes::from_static(b"text/plain"));
            let draft = EventDraft::binary(payload, kind);
            let mut bytes = encode(&draft, None).to_vec();
            prop_assume!(at < bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
            prop_assert!(Record::decode(&Bytes::from(bytes)).is_err());
        }
    }

    #[test]
    fn a_cut_record_is_truncated() {
        let bytes = encode(&EventDraft::json(Bytes::from_static(b"{}")), None);
        for cut in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes.slice(..cut)), Err(RecordError::Truncated), "cut at {cut}");
        }
    }
}
