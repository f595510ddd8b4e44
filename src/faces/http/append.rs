//! POST of a stream: one event, or the lines of `application/x-ndjson` as one atomic append.
//!
//! The head is checked before the body (`plan`); the body is validated and becomes drafts (`start`). JSON is
//! validated and never rebuilt: the engine gets the bytes as they came. A body so large that validating it
//! would hold the core up is validated on a blocking thread.

use super::access::Asker;
use super::core::Core;
use super::flight::{Answer, Flight};
use super::headers;
use super::negotiate::{self, BodyKind};
use super::parameters::{Parameters, invalid};
use crate::broker::AppendRequest;
use crate::broker::identity::Action;
use auth::policy::Permission;
use bytes::Bytes;
use engine::{AckLevel, Appended, Expect, OnMismatch};
use http1::RequestHead;
use std::rc::Rc;
use types::{Drafts, EventDraft, Failure, Idempotency, Limits, SeqNum, StreamKey};
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
    pub(super) fn of(asker: &Asker<'_>) -> Result<AppendPlan, Failure> {
        let Asker { core, head, .. } = *asker;
        let stream = core.stream_keys().of(head)?;
        let ack = ack_level(head)?;
        let limits = core.limits();
        let if_match = headers::if_match(head)?;
        let idempotency_key = headers::idempotency_key(head, limits)?;
        let parent = headers::parent(head, limits)?;
        let traceparent = headers::traceparent(head);
        asker.admit(Action::Put, Permission::Put, &stream)?;
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

    fn request(self, mut drafts: Drafts, idempotency: Option<Idempotency>) -> AppendRequest {
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
fn drafts(kind: &BodyKind, body: Bytes, limits: &Limits) -> Result<Drafts, Failure> {
    match kind {
        BodyKind::Json => {
            check_json(&body).map_err(|detail| Failure::InvalidBody { detail: detail.into() })?;
            Ok(Drafts::from([EventDraft::json(body)]))
        }
        BodyKind::Other(content_type) => {
            if content_type.len() > limits.event_header_bytes_max {
                return Err(Failure::TooLarge { limit: limits.event_header_bytes_max as u64 });
            }
            Ok(Drafts::from([EventDraft::binary(body, Bytes::copy_from_slice(content_type))]))
        }
        BodyKind::JsonLines => lines(&body, limits.append_events_max),
    }
}

/// One event a line. Lines without anything but space are passed over.
fn lines(body: &Bytes, events_max: usize) -> Result<Drafts, Failure> {
    let mut drafts = Drafts::new();
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
