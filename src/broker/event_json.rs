//! An event as JSON: `{"meta":{…},"data":…}`, the same for every reader.
//!
//! Arrays, lines and listeners write through here. A JSON payload is copied as it was stored, byte for byte;
//! anything else becomes base64 and says so. Nothing is parsed and nothing is allocated but in the output.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};
use types::{Record, StreamKey};

/// Bytes of an event beside its payload, usually.
const FRAME_BYTES_USUAL: usize = 96;

/// The members that name a stream, as [`write_event`] wants them: `"bucket":"b","stream":"s"`.
pub fn names_of(stream: &StreamKey) -> String {
    let mut out = BytesMut::new();
    out.put_slice(b"\"bucket\":");
    put_json_string(&mut out, stream.bucket.as_str());
    out.put_slice(b",\"stream\":");
    put_json_string(&mut out, stream.stream.as_str());
    String::from_utf8(out.to_vec()).expect("JSON is UTF-8")
}

/// Appends an event. Its stream is named in `meta` where a reader hears of several (`/listen`): `names` is
/// from [`names_of`], made once for all events of a delivery.
pub fn write_event(out: &mut BytesMut, record: &Record, names: Option<&str>) {
    out.reserve(FRAME_BYTES_USUAL + record.payload().len());
    write_meta(out, record, names);
    out.put_slice(b",\"data\":");
    write_data(out, record);
    out.put_u8(b'}');
}

/// Appends an event and a line end. Line breaks inside a JSON text can only be space between its tokens, so
/// a space replaces each of them.
pub fn write_event_line(out: &mut BytesMut, record: &Record) {
    out.reserve(FRAME_BYTES_USUAL + record.payload().len());
    write_meta(out, record, None);
    out.put_slice(b",\"data\":");
    let start = out.len();
    write_data(out, record);
    blank_line_ends(&mut out[start..]);
    out.put_slice(b"}\n");
}

/// Puts a space in the place of each line break. Most texts have none.
pub fn blank_line_ends(mut text: &mut [u8]) {
    while let Some(at) = memchr::memchr2(b'\n', b'\r', text) {
        text[at] = b' ';
        text = &mut text[at + 1..];
    }
}

fn write_meta(out: &mut BytesMut, record: &Record, names: Option<&str>) {
    out.put_slice(b"{\"meta\":{\"id\":");
    put_decimal(out, record.seq().0);
    out.put_slice(b",\"t\":");
    put_decimal(out, record.time().0);
    if let Some(names) = names {
        out.put_u8(b',');
        out.put_slice(names.as_bytes());
    }
    if let Some(parent) = record.parent() {
        put_member(out, "parent", &String::from_utf8_lossy(parent));
    }
    if let Some(traceparent) = record.traceparent() {
        put_member(out, "traceparent", &String::from_utf8_lossy(traceparent));
    }
    if !record.is_json() {
        let content_type = record.content_type().unwrap_or(b"application/octet-stream");
        put_member(out, "content_type", &String::from_utf8_lossy(content_type));
        put_member(out, "encoding", "base64");
    }
    out.put_u8(b'}');
}

fn write_data(out: &mut BytesMut, record: &Record) {
    if record.is_json() {
        out.put_slice(record.payload());
    } else {
        out.put_u8(b'"');
        put_base64(out, record.payload());
        out.put_u8(b'"');
    }
}

/// Appends `,"name":"text"`; `name` needs no escapes.
fn put_member(out: &mut BytesMut, name: &str, text: &str) {
    out.put_slice(b",\"");
    out.put_slice(name.as_bytes());
    out.put_slice(b"\":");
    put_json_string(out, text);
}

/// Appends `text` as a JSON string.
pub fn put_json_string(out: &mut BytesMut, text: &str) {
    serde_json::to_writer(out.writer(), text).expect("a buffer in memory takes what it is given");
}

/// Appends `bytes` as base64 (RFC 4648 §4, with padding).
pub fn put_base64(out: &mut BytesMut, bytes: &[u8]) {
    /// Whole groups of three, so that only the last piece has padding.
    const PIECE_BYTES: usize = 3 * 1024;
    let mut text = [0; PIECE_BYTES / 3 * 4];
    for piece in bytes.chunks(PIECE_BYTES) {
        let count = STANDARD.encode_slice(piece, &mut text).expect("four characters for three bytes");
        out.put_slice(&text[..count]);
    }
}

/// Appends a number in decimal digits.
pub fn put_decimal(out: &mut BytesMut, value: u64) {
    out.put_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use types::{EventDraft, SeqNum, Timestamp};

    fn record(draft: &EventDraft) -> Record {
        let mut bytes = BytesMut::new();
        Record::encode(&mut bytes, draft, SeqNum(3), Timestamp(1700), None);
        Record::from_encoded(bytes.freeze())
    }

    fn check(draft: &EventDraft, stream: Option<&StreamKey>, expected: &str) {
        let mut out = BytesMut::new();
        write_event(&mut out, &record(draft), stream.map(names_of).as_deref());
        assert_eq!(std::str::from_utf8(&out), Ok(expected));
    }

    #[test]
    fn a_json_payload_is_given_back_byte_for_byte() {
        let draft = EventDraft::json(Bytes::from_static(b" {\"b\" : 1.50,\n\"a\":\"\\u00e4\"}"));
        let expected = "{\"meta\":{\"id\":3,\"t\":1700},\"data\": {\"b\" : 1.50,\n\"a\":\"\\u00e4\"}}";
        check(&draft, None, expected);
    }

    #[test]
    fn a_listener_is_told_which_stream_an_event_is_of() {
        let draft = EventDraft::json(Bytes::from_static(b"1"));
        let stream = StreamKey::parse("b\"", "s/\u{f6}").expect("a valid name");
        let expected =
            "{\"meta\":{\"id\":3,\"t\":1700,\"bucket\":\"b\\\"\",\"stream\":\"s/\u{f6}\"},\"data\":1}";
        check(&draft, Some(&stream), expected);
    }

    #[test]
    fn any_other_payload_is_base64_and_says_so() {
        let draft = EventDraft::binary(Bytes::from_static(b"\x00\xff!"), Bytes::from_static(b"image/x"));
        let meta = "{\"id\":3,\"t\":1700,\"content_type\":\"image/x\",\"encoding\":\"base64\"}";
        check(&draft, None, &format!("{{\"meta\":{meta},\"data\":\"AP8h\"}}"));
    }

    #[test]
    fn parent_and_trace_context_are_given_back() {
        let mut draft = EventDraft::json(Bytes::from_static(b"1"));
        draft.parent = Some(Bytes::from_static(b"a/b/1"));
        draft.traceparent = Some(Bytes::from_static(b"00-x"));
        let expected =
            "{\"meta\":{\"id\":3,\"t\":1700,\"parent\":\"a/b/1\",\"traceparent\":\"00-x\"},\"data\":1}";
        check(&draft, None, expected);
    }

    #[test]
    fn a_line_holds_no_line_break_but_its_own() {
        let draft = EventDraft::json(Bytes::from_static(b"{\r\n \"a\": \"\\n\"\n}"));
        let mut out = BytesMut::new();
        write_event_line(&mut out, &record(&draft));
        assert_eq!(&out[..], b"{\"meta\":{\"id\":3,\"t\":1700},\"data\":{   \"a\": \"\\n\" }}\n");
    }

    #[test]
    fn decimals_and_base64_are_those_of_their_libraries() {
        for value in [0, 7, 10, 12_345, u64::MAX] {
            let mut out = BytesMut::new();
            put_decimal(&mut out, value);
            assert_eq!(&out[..], value.to_string().as_bytes());
        }
        for len in [0, 1, 2, 3, 3071, 3072, 3073, 9000] {
            let bytes: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            let mut out = BytesMut::new();
            put_base64(&mut out, &bytes);
            assert_eq!(&out[..], STANDARD.encode(&bytes).as_bytes(), "{len} bytes");
        }
    }
}
