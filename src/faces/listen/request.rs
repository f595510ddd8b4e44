//! What a listen request asks for: parameters of `/listen` to the letter, and the form.
//!
//! `docs/api-listen.md` has the rules. Pure: a head's query and headers in, a [`ListenRequest`] out. Unknown
//! parameters are ignored; a malformed `s` is skipped, or refused where `strict=true`; a value of our own
//! parameters that cannot be is refused.

use crate::broker::fanout::{Place, Slow, decode, tag_of};
use engine::WatchTarget;
use http1::RequestHead;
use http1::accept::{best_match, is_media_type};
use http1::target::query_pairs;
use std::collections::HashSet;
use std::time::Duration;
use types::{BucketName, Failure, Limits, SeqNum, StreamKey, StreamPattern};

const SSE: &str = "text/event-stream";
const JSON: &str = "application/json";

/// How events are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenForm {
    WebSocket,
    Sse,
    LongPoll,
}

/// One `s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) target: WatchTarget,
    pub(super) from: Option<SeqNum>,
}

/// A listen request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListenRequest {
    pub(super) form: ListenForm,
    /// In the order of the request, each target once.
    pub(super) streams: Vec<Asked>,
    /// What an earlier connection of this listener was given last, by subscription.
    pub(super) places: Option<Vec<Place>>,
    /// Of the targets, for ids of an event stream.
    pub(super) tag: u32,
    /// Notices are wanted as items.
    pub(super) gaps: bool,
    pub(super) slow: Slow,
    /// How long a long-poll waits.
    pub(super) timeout: Duration,
}

impl ListenRequest {
    /// Reads a request. What `allow` refuses is skipped, or refused where the request is strict.
    ///
    /// # Errors
    /// [`Failure::NotAcceptable`], [`Failure::InvalidField`], [`Failure::BadRequest`], those of `allow`.
    pub(super) fn parse(
        head: &RequestHead,
        limits: &Limits,
        mut allow: impl FnMut(&WatchTarget) -> Result<(), Failure>,
    ) -> Result<ListenRequest, Failure> {
        let form = form_of(head)?;
        let mut parameters = Parameters::default();
        for pair in head.query().map(query_pairs).into_iter().flatten() {
            let (name, value) =
                pair.map_err(|error| Failure::BadRequest { detail: error.reason().into() })?;
            parameters.add(&name, &value, limits)?;
        }
        if let Some(value) = parameters.refused.filter(|_| parameters.strict) {
            return Err(invalid("s", &value));
        }
        if parameters.streams.len() > limits.subscriptions_max {
            return Err(invalid("s", &format!("{} subscriptions", parameters.streams.len())));
        }
        let is_strict = parameters.strict;
        let mut forbidden = None;
        parameters.streams.retain(|asked| match allow(&asked.target) {
            Ok(()) => true,
            Err(failure) => {
                forbidden.get_or_insert(failure);
                false
            }
        });
        if let Some(failure) = forbidden.filter(|_| is_strict) {
            return Err(failure);
        }
        let header = head.header_str("last-event-id").filter(|value| !value.is_empty()).map(str::to_owned);
        let last_event_id = header.or(parameters.last_event_id).filter(|_| form == ListenForm::Sse);
        let names: Vec<String> = parameters.streams.iter().map(|asked| name_of(&asked.target)).collect();
        let tag = tag_of(names.iter().map(String::as_str));
        let is_pattern = |asked: &Asked| matches!(asked.target, WatchTarget::Pattern(_));
        let shape: Vec<bool> = parameters.streams.iter().map(is_pattern).collect();
        let places = match last_event_id {
            None => None,
            Some(text) => Some(decode(&text, tag, &shape).map_err(|_| invalid("Last-Event-ID", &text))?),
        };
        let timeout = Duration::from_millis(parameters.timeout_ms.unwrap_or(limits.long_poll_ms));
        let Parameters { streams, gaps, slow, .. } = parameters;
        Ok(ListenRequest { form, streams, places, tag, gaps, slow, timeout })
    }
}

/// WebSocket where an upgrade is asked for; an event stream where `Accept` names it, or prefers it.
fn form_of(head: &RequestHead) -> Result<ListenForm, Failure> {
    if head.upgrades_to("websocket") {
        return Ok(ListenForm::WebSocket);
    }
    let accepts = || head.headers().get_all("accept");
    let mut members = accepts().flat_map(|value| value.split(|byte| *byte == b','));
    let names_sse =
        members.any(|member| is_media_type(member, SSE)) && best_match(accepts(), &[SSE]).is_some();
    match best_match(accepts(), &[JSON, SSE]) {
        Some(1) => Ok(ListenForm::Sse),
        _ if names_sse => Ok(ListenForm::Sse),
        Some(_) => Ok(ListenForm::LongPoll),
        None => Err(Failure::NotAcceptable),
    }
}

#[derive(Default)]
struct Parameters {
    streams: Vec<Asked>,
    /// Their names: none stands twice.
    known: HashSet<String>,
    /// The first `s` that was skipped.
    refused: Option<String>,
    strict: bool,
    gaps: bool,
    slow: Slow,
    timeout_ms: Option<u64>,
    last_event_id: Option<String>,
}

impl Parameters {
    fn add(&mut self, name: &str, value: &str, limits: &Limits) -> Result<(), Failure> {
        match name {
            "s" => match parse_s(value) {
                Some(asked) if self.known.insert(name_of(&asked.target)) => self.streams.push(asked),
                _ => {
                    self.refused.get_or_insert_with(|| value.to_owned());
                }
            },
            "strict" => self.strict = parse_flag(name, value)?,
            "gaps" => self.gaps = parse_flag(name, value)?,
            "slow" => self.slow = parse_slow(value).ok_or_else(|| invalid(name, value))?,
            "timeout" => self.timeout_ms = Some(parse_timeout(name, value, limits)?),
            // Polyfills of EventSource cannot set a header and send a parameter instead.
            "Last-Event-ID" | "last-event-id" | "lastEventId" if !value.is_empty() => {
                self.last_event_id = Some(value.to_owned());
            }
            _ => {}
        }
        Ok(())
    }
}

/// `bucket:stream` or `bucket:stream:seqnum`. The bucket ends at the first colon; the last part is a sequence
/// number if it is an integer and there are at least three parts, else the colon belongs to the stream.
pub(super) fn parse_s(text: &str) -> Option<Asked> {
    let (bucket, rest) = text.split_once(':')?;
    let with_number = rest.rsplit_once(':').and_then(|(stream, last)| Some((stream, parse_integer(last)?)));
    let (stream, from) = match with_number {
        Some((stream, from)) => (stream, Some(from)),
        None => (rest, None),
    };
    if stream.ends_with(':') {
        return None;
    }
    Some(Asked { target: parse_target(bucket, stream)?, from })
}

/// A stream, or a pattern where the name holds `*`, `?` or `[`.
pub(super) fn parse_target(bucket: &str, stream: &str) -> Option<WatchTarget> {
    if StreamPattern::is_pattern(stream) {
        let bucket = BucketName::parse(bucket).ok()?;
        return StreamPattern::parse(bucket, stream).ok().map(WatchTarget::Pattern);
    }
    StreamKey::parse(bucket, stream).ok().map(WatchTarget::Stream)
}

/// An integer of any length. What lies before the first event is the first one, what is too large lies in the
/// future.
fn parse_integer(text: &str) -> Option<SeqNum> {
    let (is_negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(if is_negative { SeqNum::ZERO } else { SeqNum(digits.parse().unwrap_or(u64::MAX)) })
}

/// What [`Slow`] a text names.
pub(super) fn parse_slow(text: &str) -> Option<Slow> {
    match text {
        "wait" => Some(Slow::Wait),
        "skip" => Some(Slow::Skip),
        "close" => Some(Slow::Close),
        _ => None,
    }
}

fn parse_flag(name: &str, value: &str) -> Result<bool, Failure> {
    match value {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(name, value)),
    }
}

/// Seconds, at most the limit; more is the limit.
fn parse_timeout(name: &str, value: &str, limits: &Limits) -> Result<u64, Failure> {
    let seconds: u64 = value.parse().map_err(|_| invalid(name, value))?;
    Ok(seconds.saturating_mul(1000).min(limits.long_poll_ms_max))
}

fn name_of(target: &WatchTarget) -> String {
    match target {
        WatchTarget::Stream(stream) => format!("{}:{}", stream.bucket, stream.stream),
        WatchTarget::Pattern(pattern) => format!("{}:{}", pattern.bucket, pattern.as_str()),
    }
}

fn invalid(field: &str, value: &str) -> Failure {
    Failure::InvalidField { field: field.to_owned().into(), value: value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use http1::{Config, Decoder};

    fn parse_with(target: &str, headers: &str) -> Result<ListenRequest, Failure> {
        let mut input = BytesMut::from(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_str());
        let request = Decoder::new(Config::default()).decode_request(&mut input).expect("sound");
        let limits = Limits { subscriptions_max: 3, ..Limits::default() };
        ListenRequest::parse(&request.expect("whole").head, &limits, |_| Ok(()))
    }

    fn parse(target: &str) -> Result<ListenRequest, Failure> {
        parse_with(target, "")
    }

    fn check_s(text: &str, expected: Option<(&str, Option<u64>)>) {
        let found = parse_s(text).map(|asked| (name_of(&asked.target), asked.from));
        let expected = expected.map(|(name, from)| (name.to_owned(), from.map(SeqNum)));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn an_s_is_a_bucket_a_stream_and_perhaps_a_number() {
        check_s("b:s", Some(("b:s", None)));
        check_s("b:s:7", Some(("b:s", Some(7))));
        check_s("b:a/b:0", Some(("b:a/b", Some(0))));
        check_s("b:s:-3", Some(("b:s", Some(0))));
        check_s("b:s:99999999999999999999", Some(("b:s", Some(u64::MAX))));
        check_s("b:urn:x", Some(("b:urn:x", None)));
        check_s("b:urn:x:9", Some(("b:urn:x", Some(9))));
        check_s("b:5", Some(("b:5", None)));
        check_s("b:a/**:1", Some(("b:a/**", Some(1))));
        check_s("b:*", Some(("b:*", None)));
        for malformed in ["", "b", "b:", ":s", "b:s:", "b::1", "b/c:s", "b:a+b", "b:[a", "b:a**", "b:s:1:"] {
            check_s(malformed, None);
        }
    }

    #[test]
    fn a_malformed_s_is_skipped_unless_the_request_is_strict() {
        let request = parse("/listen?s=x&s=b:s:3&s=b:s&_=12345&jwt=z").expect("sound");
        assert_eq!(request.streams, [parse_s("b:s:3").expect("sound")]);
        assert_eq!(parse("/listen?s=x&s=b:s&strict=true"), Err(invalid("s", "x")));
        assert_eq!(parse("/listen").expect("sound").streams, []);
    }

    #[test]
    fn more_subscriptions_than_allowed_are_refused() {
        assert!(parse("/listen?s=b:1&s=b:2&s=b:3").is_ok());
        assert_eq!(parse("/listen?s=b:1&s=b:2&s=b:3&s=b:4"), Err(invalid("s", "4 subscriptions")));
    }

    #[test]
    fn the_form_follows_upgrade_and_accept() {
        use ListenForm::{LongPoll, Sse, WebSocket};
        for (headers, expected) in [
            ("", LongPoll),
            ("Accept: */*\r\n", LongPoll),
            ("Accept: application/json\r\n", LongPoll),
            ("Accept: text/event-stream\r\n", Sse),
            ("Accept: application/json, text/event-stream\r\n", Sse),
            ("Accept: text/*\r\n", Sse),
            ("Accept: text/event-stream;q=0, */*\r\n", LongPoll),
            ("Connection: Upgrade\r\nUpgrade: WebSocket\r\nAccept: image/png\r\n", WebSocket),
            ("Connection: Upgrade\r\nUpgrade: h2c\r\n", LongPoll),
        ] {
            assert_eq!(parse_with("/listen", headers).expect(headers).form, expected, "{headers}");
        }
        assert_eq!(parse_with("/listen", "Accept: image/png\r\n"), Err(Failure::NotAcceptable));
    }

    #[test]
    fn our_own_parameters_are_checked() {
        let request = parse("/listen?timeout=900&gaps&slow=skip&strict=false").expect("sound");
        assert_eq!(request.timeout, Duration::from_millis(Limits::default().long_poll_ms_max));
        assert!(request.gaps && request.slow == Slow::Skip);
        for (query, field) in [("timeout=x", "timeout"), ("gaps=1", "gaps"), ("slow=fast", "slow")] {
            let refused = matches!(parse(&format!("/listen?{query}")),
                Err(Failure::InvalidField { field: found, .. }) if found == field);
            assert!(refused, "{query}");
        }
    }

    #[test]
    fn the_last_event_id_comes_by_header_or_query_and_must_fit() {
        let accept = "Accept: text/event-stream\r\n";
        let empty = parse_with("/listen?s=b:s", accept).expect("sound");
        let place =
            Place::Stream(crate::broker::fanout::Position { epoch: types::Epoch(4), next: SeqNum(9) });
        let id = crate::broker::fanout::encode(empty.tag, [&place]).expect("short");
        let by_header = parse_with("/listen?s=b:s", &format!("{accept}Last-Event-ID: {id}\r\n"));
        assert_eq!(by_header.expect("sound").places, Some(vec![place.clone()]));
        let by_query = parse_with(&format!("/listen?s=b:s:1&lastEventId={id}"), accept);
        assert_eq!(by_query.expect("sound").places, Some(vec![place]));
        let other = parse_with("/listen?s=b:t", &format!("{accept}Last-Event-ID: {id}\r\n"));
        assert_eq!(other, Err(invalid("Last-Event-ID", &id)));
        assert_eq!(parse(&format!("/listen?s=b:t&lastEventId={id}")).expect("no event stream").places, None);
    }
}
