//! An event as a client offers it, before it has a sequence number.
//!
//! Faces build drafts, the engine turns them into records. The payload's checksum is computed here, where
//! the bytes are parsed, and travels unchanged to the segment and to every reader.

use bytes::Bytes;

/// One event to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDraft {
    /// The payload, byte for byte as the client sent it.
    pub payload: Bytes,
    /// CRC-32 of `payload`, computed when it was parsed.
    pub payload_crc: u32,
    /// Whether the payload was validated as JSON.
    pub json: bool,
    /// The media type of a payload that is not JSON.
    pub content_type: Option<Bytes>,
    /// The parent id as the client wrote it, `B/S/N`.
    pub parent: Option<Bytes>,
    /// The W3C trace context, stored and given back.
    pub traceparent: Option<Bytes>,
}

/// The events of one append. A single one, which is the usual case, has no allocation of its own.
pub type Drafts = smallvec::SmallVec<[EventDraft; 1]>;

impl EventDraft {
    /// A JSON event. The caller has validated that `payload` is one JSON value.
    pub fn json(payload: Bytes) -> Self {
        let payload_crc = crc32fast::hash(&payload);
        EventDraft { payload, payload_crc, json: true, content_type: None, parent: None, traceparent: None }
    }

    /// An event of any other media type.
    pub fn binary(payload: Bytes, content_type: Bytes) -> Self {
        EventDraft { json: false, content_type: Some(content_type), ..EventDraft::json(payload) }
    }
}

/// A key that makes the retry of an append safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The client's key, 1 to `Limits::idempotency_key_bytes_max` bytes.
    pub key: Bytes,
    /// A 64-bit digest of everything the request would store, to tell a retry from another body.
    pub digest: u64,
}
