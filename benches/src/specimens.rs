//! The events, names and requests that the cases are fed with: always the same bytes.
//!
//! Payloads are JSON of 128 bytes unless a case says otherwise, in the form that the load generator
//! sends. Nothing is drawn by chance: a count must be the same in every run.

use bytes::{BufMut, Bytes, BytesMut};
use types::{EventDraft, Record, SeqNum, StreamKey, Timestamp};

/// Bytes of a payload.
pub(crate) const PAYLOAD_BYTES: usize = 128;

/// A JSON payload of [`PAYLOAD_BYTES`].
pub(crate) fn payload() -> Bytes {
    let mut out = BytesMut::with_capacity(PAYLOAD_BYTES);
    out.put_slice(b"{\"celsius\":21.5,\"text\":\"");
    out.put_bytes(b'x', PAYLOAD_BYTES - out.len() - 2);
    out.put_slice(b"\"}");
    assert_eq!(out.len(), PAYLOAD_BYTES);
    out.freeze()
}

/// An event as a face hands it on: its payload is a view into memory that others share.
pub(crate) fn draft() -> EventDraft {
    EventDraft::json(payload())
}

/// The name of stream `number`.
pub(crate) fn key(number: usize) -> StreamKey {
    StreamKey::parse("bench", &format!("house/{number:06}")).expect("a valid name")
}

/// `count` records of one stream, from sequence number 1.
pub(crate) fn records(count: u64) -> Vec<Record> {
    let draft = draft();
    let record = |seq| {
        let mut out = BytesMut::new();
        Record::encode(&mut out, &draft, SeqNum(seq), Timestamp(1_700_000_000_000), None);
        Record::from_encoded(out.freeze())
    };
    (1..=count).map(record).collect()
}

/// A POST as programs send it, with `lines` as further header lines.
pub(crate) fn post(lines: &[&str]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_slice(b"POST /streams/bench/house/000007 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n");
    for line in lines {
        out.put_slice(line.as_bytes());
        out.put_slice(b"\r\n");
    }
    out.put_slice(format!("Content-Length: {PAYLOAD_BYTES}\r\n\r\n").as_bytes());
    out.put_slice(&payload());
    out.freeze()
}
