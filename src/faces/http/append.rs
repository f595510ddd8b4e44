//! POST of a stream: one event, or the lines of `application/x-ndjson` as one atomic append.
//!
//! The head is checked before the body (`plan`); the body is validated and becomes drafts (`start`). JSON is
//! validated and never rebuilt: the engine gets the bytes as they came. A body so large that validating it
//! would hold the core up is validated on a blocking thread.

use super::core::Core;
use super::flight::{Answer, Flight};
use super::headers;
use super::negotiate::{self, BodyKind};
use super::parameters::{Parameters, invalid};
use crate::broker::AppendRequest;
use bytes::{Bytes, BytesMut};
use engine::{AckLevel, Appended, Expect, OnMismatch};
use http1::{HTTP_DATE_BYTES, ReplyTo, RequestHead, ResponseWriter};
use std::rc::Rc;
use types::{EventDraft, Failure, Idempotency, Limits, SeqNum, StreamKey};
use xxhash_rust::xxh3::Xxh3;

/// Bodies up to this size are validated on the core: about 0.3 ms at 1 GB/s.
pub(super) const INLINE_BYTES_MAX: usize = 256 * 1024;

/// What the head of a POST says.
pub(super) struct AppendPlan {
    stream: StreamKey,
    kind: BodyKind,
    if_match: Option<SeqNum>,
    idempotency_key: Option<Bytes>,
    parent: Option<Bytes>,
    traceparent: Option<Bytes>,
    ack: AckLevel,
}

impl AppendPlan {
    /// Checks the head.
    ///
    /// # Errors
    /// In the order of `docs/api.md`: malformed target or header, permission, `Accept`, `Content-Type`.
    pub(super) fn of(core: &Core, head: &RequestHead) -> Result<AppendPlan, Failure> {
        let stream = core.stream_keys().of(head)?;
        let ack = ack_level(head)?;
        let limits = core.limits();
        let if_match = headers::if_match(head)?;
        let idempotency_key = headers::idempotency_key(head, limits)?;
        let parent = headers::parent(head, limits)?;
        let traceparent = headers::traceparent(head);
        core.broker().may_write(&stream)?;
        negotiate::choose(head, &[negotiate::JSON])?;
        let kind = BodyKind::of(head)?;
        Ok(AppendPlan { stream, kind, if_match, idempotency_key, parent, traceparent, ack })
    }

    /// Whether the body is large enough to be validated elsewhere.
    pub(super) fn is_offloaded(&self, body: &Bytes) -> bool {
        body.len() > INLINE_BYTES_MAX && !matches!(self.kind, BodyKind::Other(_))
    }

    /// Puts the append under way.
    pub(super) fn start(self, core: &Rc<Core>, head: &RequestHead, body: Bytes) -> Flight {
        let content_type = head.header("content-type").unwrap_or_default();
        let digest = || digest([(content_type, &body[..])]);
        let idempotency = self.idempotency_key.clone().map(|key| Idempotency { key, digest: digest() });
        if self.is_offloaded(&body) {
            return self.start_large(core, idempotency, body);
        }
        let drafts = match drafts(&self.kind, body, core.limits()) {
            Ok(drafts) => drafts,
            Err(failure) => return Flight::Done(Answer::Failed(failure)),
        };
        let request = self.request(drafts, idempotency);
        let (broker, stream) = (core.broker(), request.stream.clone());
        if !broker.has_room(&stream) {
            let broker = broker.clone();
            return Flight::task(async move { answer(stream, broker.append(request).await) });
        }
        match broker.submit_append(request) {
            Ok(outcome) => Flight::Append { stream, outcome },
            Err(failure) => Flight::Done(Answer::Failed(failure)),
        }
    }

    fn start_large(self, core: &Rc<Core>, idempotency: Option<Idempotency>, body: Bytes) -> Flight {
        let core = core.clone();
        Flight::task(async move {
            let (kind, limits) = (self.kind.clone(), core.limits().clone());
            let drafts = core.offload().run(move || drafts(&kind, body, &limits)).await;
            let (stream, drafts) = match drafts {
                Ok(drafts) => (self.stream.clone(), drafts),
                Err(failure) => return Answer::Failed(failure),
            };
            let request = self.request(drafts, idempotency);
            answer(stream, core.broker().append(request).await)
        })
    }

    fn request(self, mut drafts: Vec<EventDraft>, idempotency: Option<Idempotency>) -> AppendRequest {
        if self.parent.is_some() || self.traceparent.is_some() {
            for draft in &mut drafts {
                draft.parent.clone_from(&self.parent);
                draft.traceparent.clone_from(&self.traceparent);
            }
        }
        let expect = self.if_match.map(|last| Expect { last, on_mismatch: OnMismatch::PreconditionFailed });
        AppendRequest { stream: self.stream, drafts, expect, idempotency, ack: self.ack }
    }
}

fn answer(stream: StreamKey, outcome: Result<Appended, Failure>) -> Answer {
    match outcome {
        Ok(appended) => Answer::Appended(stream, appended),
        Err(failure) => Answer::Failed(failure),
    }
}

fn ack_level(head: &RequestHead) -> Result<AckLevel, Failure> {
    match Parameters::of(head)?.get("ack") {
        None | Some("fsync") => Ok(AckLevel::Fsync),
        Some("memory") => Ok(AckLevel::Memory),
        Some(other) => Err(invalid("ack", other)),
    }
}

/// What tells a retry from another append under the same key: content types and bodies, in order.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> u64 {
    let mut hasher = Xxh3::new();
    for (content_type, body) in parts {
        hasher.update(content_type);
        hasher.update(&[0]);
        hasher.update(body);
    }
    hasher.digest()
}

/// The events of a body.
fn drafts(kind: &BodyKind, body: Bytes, limits: &Limits) -> Result<Vec<EventDraft>, Failure> {
    match kind {
        BodyKind::Json => {
            check_json(&body).map_err(|detail| Failure::InvalidBody { detail: detail.into() })?;
            Ok(vec![EventDraft::json(body)])
        }
        BodyKind::Other(content_type) => {
            if content_type.len() > limits.event_header_bytes_max {
                return Err(Failure::TooLarge { limit: limits.event_header_bytes_max as u64 });
            }
            Ok(vec![EventDraft::binary(body, Bytes::copy_from_slice(content_type))])
        }
        BodyKind::JsonLines => lines(&body, limits.append_events_max),
    }
}

/// One event a line. Lines without anything but space are passed over.
fn lines(body: &Bytes, events_max: usize) -> Result<Vec<EventDraft>, Failure> {
    let mut drafts = Vec::new();
    for (number, line) in (1_u64..).zip(body.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if drafts.len() >= events_max {
            return Err(Failure::TooLarge { limit: events_max as u64 });
        }
        let wrong = |reason| Failure::InvalidBody { detail: format!("line {number}: {reason}").into() };
        check_json(line).map_err(wrong)?;
        drafts.push(EventDraft::json(body.slice_ref(line)));
    }
    if drafts.is_empty() {
        return Err(Failure::InvalidBody { detail: "no event in any line".into() });
    }
    Ok(drafts)
}

/// Checks that `text` is one JSON text in UTF-8. The parser alone does not look at the encoding of what it
/// skips, hence both checks.
pub(crate) fn check_json(text: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("not UTF-8: {error}"))?;
    let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_str(text);
    parsed.map(|_| ()).map_err(|error| format!("not JSON: {error}"))
}

/// Appends the reply to an append. The hot path: nothing is allocated but in `out`.
pub(super) fn encode_appended(
    stream: &StreamKey,
    appended: &Appended,
    out: &mut BytesMut,
    to: ReplyTo,
    date: &[u8; HTTP_DATE_BYTES],
) {
    let Appended { first, time, count, replayed, ack } = *appended;
    let last = first.0 + u64::from(count) - 1;
    let mut body = BodyText::new();
    body.put(format_args!("{{\"meta\":{{\"id\":{first},\"t\":{time}"));
    if count > 1 {
        body.put(format_args!(",\"count\":{count}"));
    }
    body.put(format_args!("}}}}"));
    let mut writer = ResponseWriter::begin(out, if replayed { 200 } else { 201 }, to);
    writer.date(date);
    writer.header("Content-Type", negotiate::JSON);
    let path = headers::PathOf(stream);
    writer.header_fmt("Location", format_args!("/streams/{path}/?limit={count}&from={first}"));
    writer.header_fmt("ETag", format_args!("\"{last}\""));
    writer.header(
        "Millrace-Durability",
        match ack {
            AckLevel::Fsync => "fsync",
            AckLevel::Memory => "memory",
        },
    );
    if replayed {
        writer.header("Idempotent-Replayed", "true");
    }
    writer
        .finish_with_body(body.as_bytes())
        .expect("every header is written from numbers and an escaped path");
}

/// A short text on the stack.
struct BodyText {
    bytes: [u8; BodyText::BYTES_MAX],
    len: usize,
}

impl BodyText {
    /// `{"meta":{"id":,"t":,"count":}}` and three numbers of at most twenty digits.
    const BYTES_MAX: usize = 96;

    fn new() -> BodyText {
        BodyText { bytes: [0; BodyText::BYTES_MAX], len: 0 }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        use std::io::Write;
        let mut room = &mut self.bytes[self.len..];
        let before = room.len();
        room.write_fmt(text).expect("three numbers fit");
        self.len += before - room.len();
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http1::Version;
    use types::Timestamp;

    fn texts(body: &'static [u8], events_max: usize) -> Result<Vec<String>, Failure> {
        let drafts = lines(&Bytes::from_static(body), events_max)?;
        Ok(drafts.iter().map(|draft| String::from_utf8_lossy(&draft.payload).into_owned()).collect())
    }

    #[test]
    fn json_is_any_one_value_in_utf_8() {
        for good in ["1", "null", " {\"a\":[1,2]} ", "\"\u{f6}\"", "1e999", "-0.0", "[[[[]]]]", "\"\\ud800\""]
        {
            assert_eq!(check_json(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in
            ["", " ", "{", "1 2", "{\"a\":1,}", "'a'", "nul", "\u{feff}1", "01", "\"\n\"", "NaN", "//x"]
        {
            assert!(check_json(bad.as_bytes()).is_err(), "{bad}");
        }
        for bad in [&b"\"\xff\""[..], b"{\"\xc0\xaf\":1}", b"\"\xed\xa0\x80\""] {
            assert!(check_json(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn json_however_deep_is_validated_without_recursion() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(check_json(deep.as_bytes()), Ok(()));
    }

    #[test]
    fn lines_become_events_in_order_and_a_bad_one_is_named() {
        assert_eq!(texts(b"1\n\n {\"a\":2} \r\n3", 9), Ok(vec!["1".into(), "{\"a\":2}".into(), "3".into()]));
        let detail = |body| match texts(body, 9) {
            Err(Failure::InvalidBody { detail }) => detail.into_owned(),
            other => panic!("{other:?}"),
        };
        assert!(detail(b"1\n\n{").starts_with("line 3: not JSON"));
        assert_eq!(detail(b"\n \r\n"), "no event in any line");
        assert_eq!(texts(b"1\n2\n3", 2), Err(Failure::TooLarge { limit: 2 }));
    }

    #[test]
    fn a_digest_tells_bodies_and_types_apart() {
        let of = |content_type: &str, body: &[u8]| digest([(content_type.as_bytes(), body)]);
        let first = of("application/json", b"1");
        assert_eq!(first, of("application/json", b"1"));
        assert_ne!(first, of("application/json", b"2"));
        assert_ne!(first, of("text/plain", b"1"));
    }

    fn reply(stream: &StreamKey, appended: &Appended) -> String {
        let to = ReplyTo { version: Version::Http11, head_only: false, keep_alive: true };
        let mut out = BytesMut::new();
        encode_appended(stream, appended, &mut out, to, b"Thu, 01 Jan 1970 00:00:00 GMT");
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
}
