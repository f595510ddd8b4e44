//! The reply to an append: the hot path of every writer.
//!
//! Nothing is allocated but in the connection's output. The usual reply, to a new append over a connection
//! that goes on, is put together on the stack and copied once; every other one goes through
//! [`ResponseWriter`], which would write the usual one to the same bytes.

use super::headers::PathOf;
use super::negotiate::JSON;
use bytes::{BufMut, BytesMut};
use engine::{AckLevel, Appended};
use http1::{HTTP_DATE_BYTES, ReplyTo, ResponseWriter, Version};
use types::StreamKey;

/// Longest `bucket/stream` of a usual reply.
const PATH_BYTES_MAX: usize = 128;

/// Appends the reply to an append.
pub fn encode_appended(
    stream: &StreamKey,
    appended: &Appended,
    out: &mut BytesMut,
    to: ReplyTo,
    date: &[u8; HTTP_DATE_BYTES],
) {
    if is_usual(stream, appended, to) {
        put_usual(stream, appended, out, date);
    } else {
        put_any(stream, appended, out, to, date);
    }
}

/// Whether [`put_usual`] writes what [`put_any`] would write.
fn is_usual(stream: &StreamKey, appended: &Appended, to: ReplyTo) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/');
    let (bucket, name) = (stream.bucket.as_str(), stream.stream.as_str());
    !appended.replayed
        && matches!(to, ReplyTo { version: Version::Http11, head_only: false, keep_alive: true })
        && bucket.len() + name.len() <= PATH_BYTES_MAX
        && bucket.bytes().chain(name.bytes()).all(is_plain)
}

fn put_usual(stream: &StreamKey, appended: &Appended, out: &mut BytesMut, date: &[u8; HTTP_DATE_BYTES]) {
    let mut body = Text::<BODY_BYTES_MAX>::new();
    put_body(&mut body, appended);
    let mut text = Text::<USUAL_BYTES_MAX>::new();
    text.put(b"HTTP/1.1 201 Created\r\nDate: ");
    text.put(date);
    text.put(b"\r\nContent-Type: application/json\r\nLocation: /streams/");
    text.put(stream.bucket.as_str().as_bytes());
    text.put(b"/");
    text.put(stream.stream.as_str().as_bytes());
    text.put(b"/?limit=");
    text.put_decimal(u64::from(appended.count));
    text.put(b"&from=");
    text.put_decimal(appended.first.0);
    text.put(b"\r\nETag: \"");
    text.put_decimal(last_of(appended));
    text.put(b"\"\r\nMillrace-Durability: ");
    text.put(durability(appended.ack).as_bytes());
    text.put(b"\r\nContent-Length: ");
    text.put_decimal(body.as_bytes().len() as u64);
    text.put(b"\r\n\r\n");
    text.put(body.as_bytes());
    out.put_slice(text.as_bytes());
}

fn put_any(
    stream: &StreamKey,
    appended: &Appended,
    out: &mut BytesMut,
    to: ReplyTo,
    date: &[u8; HTTP_DATE_BYTES],
) {
    let Appended { first, count, replayed, ack, .. } = *appended;
    let mut body = Text::<BODY_BYTES_MAX>::new();
    put_body(&mut body, appended);
    let mut writer = ResponseWriter::begin(out, if replayed { 200 } else { 201 }, to);
    writer.date(date);
    writer.header("Content-Type", JSON);
    let path = PathOf(stream);
    writer.header_fmt("Location", format_args!("/streams/{path}/?limit={count}&from={first}"));
    writer.header_fmt("ETag", format_args!("\"{}\"", last_of(appended)));
    writer.header("Millrace-Durability", durability(ack));
    if replayed {
        writer.header("Idempotent-Replayed", "true");
    }
    writer
        .finish_with_body(body.as_bytes())
        .expect("every header is written from numbers and an escaped path");
}

/// `{"meta":{"id":7,"t":1700000000000}}`, with `count` where it is not 1.
fn put_body(text: &mut Text<BODY_BYTES_MAX>, appended: &Appended) {
    text.put(b"{\"meta\":{\"id\":");
    text.put_decimal(appended.first.0);
    text.put(b",\"t\":");
    text.put_decimal(appended.time.0);
    if appended.count > 1 {
        text.put(b",\"count\":");
        text.put_decimal(u64::from(appended.count));
    }
    text.put(b"}}");
}

/// Sequence number of the last event.
fn last_of(appended: &Appended) -> u64 {
    appended.first.0 + u64::from(appended.count) - 1
}

fn durability(ack: AckLevel) -> &'static str {
    match ack {
        AckLevel::Fsync => "fsync",
        AckLevel::Memory => "memory",
    }
}

/// `{"meta":{"id":,"t":,"count":}}` and three numbers of at most twenty digits.
const BODY_BYTES_MAX: usize = 96;
/// 188 bytes of words, a date, a path, four numbers, `memory` and a body.
const USUAL_BYTES_MAX: usize = 188 + HTTP_DATE_BYTES + PATH_BYTES_MAX + 4 * 20 + 6 + BODY_BYTES_MAX;

/// A short text on the stack.
struct Text<const BYTES_MAX: usize> {
    bytes: [u8; BYTES_MAX],
    len: usize,
}

impl<const BYTES_MAX: usize> Text<BYTES_MAX> {
    fn new() -> Self {
        Text { bytes: [0; BYTES_MAX], len: 0 }
    }

    /// # Panics
    /// There is no room: what is written has a known greatest length.
    #[inline]
    fn put(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    fn put_decimal(&mut self, value: u64) {
        self.put(itoa::Buffer::new().format(value).as_bytes());
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::{SeqNum, Timestamp};

    const DATE: &[u8; HTTP_DATE_BYTES] = b"Thu, 01 Jan 1970 00:00:00 GMT";
    const TO: ReplyTo = ReplyTo { version: Version::Http11, head_only: false, keep_alive: true };

    fn reply(stream: &StreamKey, appended: &Appended) -> String {
        let mut out = BytesMut::new();
        encode_appended(stream, appended, &mut out, TO, DATE);
        String::from_utf8(out.to_vec()).expect("text")
    }

    #[test]
    fn the_reply_to_one_event_is_this_to_the_byte() {
        let stream = StreamKey::parse("iot", "house1/a b").expect("a valid name");
        let time = Timestamp(1_700_000_000_000);
        let appended = Appended { first: SeqNum(7), time, count: 1, replayed: false, ack: AckLevel::Fsync };
        let expected = "HTTP/1.1 201 Created\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
            Content-Type: application/json\r\nLocation: /streams/iot/house1/a%20b/?limit=1&from=7\r\n\
            ETag: \"7\"\r\nMillrace-Durability: fsync\r\nContent-Length: 35\r\n\r\n\
            {\"meta\":{\"id\":7,\"t\":1700000000000}}";
        assert_eq!(reply(&stream, &appended), expected);
    }

    #[test]
    fn the_reply_to_several_events_counts_them_and_the_greatest_numbers_fit() {
        let stream = StreamKey::parse("b", "s").expect("a valid name");
        let (first, time) = (SeqNum(u64::MAX - u64::from(u32::MAX)), Timestamp(u64::MAX));
        let appended = Appended { first, time, count: u32::MAX, replayed: true, ack: AckLevel::Memory };
        let text = reply(&stream, &appended);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains("Idempotent-Replayed: true\r\n"), "{text}");
        assert!(text.contains("Millrace-Durability: memory\r\n"), "{text}");
        assert!(text.ends_with(&format!(",\"t\":{time},\"count\":{}}}}}", u32::MAX)), "{text}");
    }

    proptest! {
        #[test]
        fn a_usual_reply_is_written_to_the_same_bytes_either_way(
            bucket in "[a-z0-9._~-]{1,8}",
            name in "[a-zA-Z0-9._~ é/-]{1,140}",
            (first, count) in (1..=u64::MAX - u64::from(u32::MAX), 1..=u32::MAX),
            time: u64,
            is_memory: bool,
            is_single: bool,
        ) {
            let Ok(stream) = StreamKey::parse(&bucket, &name) else { return Ok(()) };
            let ack = if is_memory { AckLevel::Memory } else { AckLevel::Fsync };
            let count = if is_single { 1 } else { count };
            let (first, time) = (SeqNum(first), Timestamp(time));
            let appended = Appended { first, time, count, replayed: false, ack };
            let mut plainly = BytesMut::new();
            put_any(&stream, &appended, &mut plainly, TO, DATE);
            prop_assert_eq!(reply(&stream, &appended), String::from_utf8_lossy(&plainly));
        }
    }

    #[test]
    fn the_longest_usual_reply_finds_room() {
        let stream = StreamKey::parse("bucket", &"s".repeat(PATH_BYTES_MAX - 6)).expect("a valid name");
        let (first, time) = (SeqNum(u64::MAX - u64::from(u32::MAX)), Timestamp(u64::MAX));
        let appended = Appended { first, time, count: u32::MAX, replayed: false, ack: AckLevel::Memory };
        assert!(is_usual(&stream, &appended, TO));
        assert!(reply(&stream, &appended).contains("Millrace-Durability: memory"));
    }
}
