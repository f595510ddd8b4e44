//! Commands of a WebSocket listener: text in, a [`Command`] or the reason why not out, and their answers.
//!
//! `docs/api-listen.md` lists them. Pure. A payload to publish is kept byte for byte; it is valid JSON
//! because
//! the command that holds it is.

use super::request::{parse_slow, parse_target};
use crate::broker::fanout::Slow;
use bytes::Bytes;
use engine::WatchTarget;
use serde_json::value::RawValue;
use std::collections::HashMap;
use types::{Failure, SeqNum, StreamKey};

/// What a client wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    Ping,
    Subscribe { target: WatchTarget, from: Option<SeqNum>, slow: Slow },
    Unsubscribe { target: WatchTarget },
    Publish { stream: StreamKey, data: Bytes },
}

/// A command and its number, or why it is none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    /// The client's own number, 0 without one; as text, so that it goes back as it came.
    pub(super) id: String,
    pub(super) wanted: Result<Wanted, &'static str>,
}

type Members = HashMap<String, Box<RawValue>>;

impl Command {
    /// Reads a text message.
    pub(super) fn parse(text: &[u8]) -> Command {
        let members: Members = match serde_json::from_slice(text) {
            Ok(members) => members,
            Err(_) => {
                let is_json = serde_json::from_slice::<&RawValue>(text).is_ok();
                let reason = if is_json { "unknown command" } else { "invalid json" };
                return Command { id: "0".to_owned(), wanted: Err(reason) };
            }
        };
        let id = members.get("id").map(|id| id.get()).filter(|id| is_integer(id)).unwrap_or("0");
        Command { id: id.to_owned(), wanted: wanted(&members) }
    }
}

fn wanted(members: &Members) -> Result<Wanted, &'static str> {
    match text(members, "cmd").as_deref() {
        Some("ping") => Ok(Wanted::Ping),
        Some("subscribe") => {
            let (from, slow) = (number(members, "from")?, slow(members)?);
            Ok(Wanted::Subscribe { target: target(members)?, from, slow })
        }
        Some("unsubscribe") => Ok(Wanted::Unsubscribe { target: target(members)? }),
        Some("publish") => {
            let (bucket, stream) = names(members)?;
            let stream = StreamKey::parse(&bucket, &stream).map_err(|_| "invalid bucket or stream")?;
            let data = members.get("data").ok_or("missing data")?;
            Ok(Wanted::Publish { stream, data: Bytes::copy_from_slice(data.get().as_bytes()) })
        }
        _ => Err("unknown command"),
    }
}

fn target(members: &Members) -> Result<WatchTarget, &'static str> {
    let (bucket, stream) = names(members)?;
    parse_target(&bucket, &stream).ok_or("invalid bucket or stream")
}

fn names(members: &Members) -> Result<(String, String), &'static str> {
    match (text(members, "bucket"), text(members, "stream")) {
        (Some(bucket), Some(stream)) => Ok((bucket, stream)),
        (None, None) => Err("missing bucket and stream"),
        (None, Some(_)) => Err("missing bucket"),
        (Some(_), None) => Err("missing stream"),
    }
}

/// A member that is a string.
fn text(members: &Members, name: &str) -> Option<String> {
    members.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok())
}

fn number(members: &Members, name: &str) -> Result<Option<SeqNum>, &'static str> {
    match members.get(name).map(|raw| raw.get()) {
        None | Some("null") => Ok(None),
        Some(raw) if !is_integer(raw) => Err("invalid from"),
        Some(raw) if raw.starts_with('-') => Ok(Some(SeqNum::ZERO)),
        Some(raw) => Ok(Some(SeqNum(raw.parse().unwrap_or(u64::MAX)))),
    }
}

fn slow(members: &Members) -> Result<Slow, &'static str> {
    match members.get("slow") {
        None => Ok(Slow::default()),
        Some(_) => text(members, "slow").as_deref().and_then(parse_slow).ok_or("invalid slow"),
    }
}

/// Whether a JSON value is an integer.
fn is_integer(raw: &str) -> bool {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    !digits.is_empty() && digits.len() <= 40 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// `{"ok":true,"id":I,"type":T}`.
pub(super) fn accepted(id: &str, kind: &str) -> String {
    format!("{{\"ok\":true,\"id\":{id},\"type\":\"{kind}\"}}")
}

/// The answer to a publish, once durable.
pub(super) fn published(id: &str, appended: &engine::Appended) -> String {
    let (seq, time) = (appended.first, appended.time);
    format!("{{\"ok\":true,\"id\":{id},\"type\":\"publish\",\"meta\":{{\"id\":{seq},\"t\":{time}}}}}")
}

/// `{"ok":false,"id":I,"reason":R}`.
pub(super) fn refused(id: &str, reason: &str) -> String {
    format!("{{\"ok\":false,\"id\":{id},\"reason\":\"{reason}\"}}")
}

/// The reason that a failure is told by: the same table as everywhere.
pub(super) fn reason_of(failure: &Failure) -> &'static str {
    match failure.status() {
        401 => "unauthorized",
        _ => failure.type_name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> &'static str {
        Command::parse(text.as_bytes()).wanted.expect_err(text)
    }

    fn parsed(text: &str) -> (String, Wanted) {
        let command = Command::parse(text.as_bytes());
        (command.id, command.wanted.expect(text))
    }

    fn stream() -> StreamKey {
        StreamKey::parse("b", "s").expect("a valid name")
    }

    #[test]
    fn every_fault_has_its_reason() {
        for (text, expected) in [
            ("", "invalid json"),
            ("{", "invalid json"),
            ("{\"cmd\":\"ping\"} x", "invalid json"),
            ("[]", "unknown command"),
            ("1", "unknown command"),
            ("{}", "unknown command"),
            (r#"{"cmd":1}"#, "unknown command"),
            (r#"{"cmd":"Ping"}"#, "unknown command"),
            (r#"{"cmd":"subscribe"}"#, "missing bucket and stream"),
            (r#"{"cmd":"subscribe","stream":"s"}"#, "missing bucket"),
            (r#"{"cmd":"subscribe","bucket":"b"}"#, "missing stream"),
            (r#"{"cmd":"unsubscribe","bucket":"b","stream":7}"#, "missing stream"),
            (r#"{"cmd":"subscribe","bucket":"b/c","stream":"s"}"#, "invalid bucket or stream"),
            (r#"{"cmd":"subscribe","bucket":"b","stream":"s","from":1.5}"#, "invalid from"),
            (r#"{"cmd":"subscribe","bucket":"b","stream":"s","slow":"x"}"#, "invalid slow"),
            (r#"{"cmd":"publish","bucket":"b","stream":"s"}"#, "missing data"),
            (r#"{"cmd":"publish","data":1}"#, "missing bucket and stream"),
        ] {
            assert_eq!(reason(text), expected, "{text}");
        }
    }

    #[test]
    fn ids_go_back_as_they_came() {
        assert_eq!(parsed(r#"{"cmd":"ping"}"#), ("0".to_owned(), Wanted::Ping));
        assert_eq!(parsed(r#"{"cmd":"ping","id":-12}"#).0, "-12");
        assert_eq!(parsed(r#"{"cmd":"ping","id":18446744073709551616}"#).0, "18446744073709551616");
        assert_eq!(parsed(r#"{"cmd":"ping","id":"x"}"#).0, "0");
        assert_eq!(Command::parse(br#"{"cmd":"x","id":4}"#).id, "4", "also of a command that is refused");
    }

    #[test]
    fn a_subscription_may_begin_in_the_past() {
        let target = WatchTarget::Stream(stream());
        let (_, wanted) = parsed(r#"{"cmd":"subscribe","bucket":"b","stream":"s","from":-1,"slow":"skip"}"#);
        let from = Some(SeqNum::ZERO);
        assert_eq!(wanted, Wanted::Subscribe { target: target.clone(), from, slow: Slow::Skip });
        let (_, wanted) = parsed(r#"{"cmd":"subscribe","bucket":"b","stream":"s","from":null}"#);
        assert_eq!(wanted, Wanted::Subscribe { target, from: None, slow: Slow::Wait });
        let (_, wanted) = parsed(r#"{"cmd":"unsubscribe","bucket":"b","stream":"a/*"}"#);
        assert!(matches!(wanted, Wanted::Unsubscribe { target: WatchTarget::Pattern(_) }));
    }

    #[test]
    fn what_is_published_is_kept_byte_for_byte() {
        let (_, wanted) =
            parsed("{\"cmd\":\"publish\",\"bucket\":\"b\",\"stream\":\"s\",\"data\": { \"a\" : 1.0e0 } }");
        assert_eq!(
            wanted,
            Wanted::Publish { stream: stream(), data: Bytes::from_static(b"{ \"a\" : 1.0e0 }") }
        );
    }
}
