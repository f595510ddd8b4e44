//! Request headers that mean something here, and paths as they go out in reply headers.
//!
//! A header that cannot be understood is a malformed request (400), before permission and body are looked
//! at; only `traceparent` is forgiving, because its specification says so.

use bytes::Bytes;
use http1::{RequestHead, target};
use std::fmt;
use types::{Epoch, Failure, Limits, SeqNum, StreamKey};

/// `If-Match: "N"`: the last sequence number that the stream must have. The longer form that a GET gives as
/// `ETag` is taken too: its first part is the number.
///
/// # Errors
/// [`Failure::BadRequest`] for anything else, a list among it.
pub(super) fn if_match(head: &RequestHead) -> Result<Option<SeqNum>, Failure> {
    let Some(value) = head.header("if-match") else { return Ok(None) };
    let number = std::str::from_utf8(value).ok().and_then(Tag::parse);
    match number {
        Some(tag) => Ok(Some(tag.last)),
        None => Err(Failure::BadRequest { detail: "If-Match takes one sequence number in quotes".into() }),
    }
}

/// The `ETag` of what a stream holds: its last sequence number and, so that a stream that was trimmed, or
/// deleted and written again, is another one, its epoch and its first. Text: `"last"` or
/// `"last-epoch-first"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub last: SeqNum,
    pub rest: Option<(Epoch, SeqNum)>,
}

impl Tag {
    pub(super) fn parse(text: &str) -> Option<Tag> {
        let inner = text.trim().strip_prefix('"')?.strip_suffix('"')?;
        let mut parts = inner.split('-').map(digits);
        let last = SeqNum(parts.next()??);
        let rest = match (parts.next(), parts.next(), parts.next()) {
            (None, None, None) => None,
            (Some(epoch), Some(first), None) => Some((Epoch(epoch?), SeqNum(first?))),
            _ => return None,
        };
        Some(Tag { last, rest })
    }

    /// Whether a client that holds `self` holds `current`.
    fn is_current(self, current: Tag) -> bool {
        self.last == current.last && (self.rest.is_none() || self.rest == current.rest)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rest {
            None => write!(f, "\"{}\"", self.last),
            Some((epoch, first)) => write!(f, "\"{}-{epoch}-{first}\"", self.last),
        }
    }
}

/// Whether `If-None-Match` says that the client has what it asks for. `*` is anything that exists.
pub(super) fn has_current(head: &RequestHead, current: Tag) -> bool {
    let values = head.headers().get_all("if-none-match").filter_map(|value| std::str::from_utf8(value).ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|text| {
        let strong = text.strip_prefix("W/").unwrap_or(text);
        let is_any = text == "*" && current.last > SeqNum::ZERO;
        is_any || Tag::parse(strong).is_some_and(|tag| tag.is_current(current))
    })
}

/// `Idempotency-Key`: any bytes, within the limit.
///
/// # Errors
/// [`Failure::InvalidField`] if it is empty or too long.
pub(super) fn idempotency_key(head: &RequestHead, limits: &Limits) -> Result<Option<Bytes>, Failure> {
    let Some(value) = head.header("idempotency-key") else { return Ok(None) };
    if value.is_empty() || value.len() > limits.idempotency_key_bytes_max {
        let value = String::from_utf8_lossy(value).into_owned();
        return Err(Failure::InvalidField { field: "Idempotency-Key".into(), value });
    }
    Ok(Some(Bytes::copy_from_slice(value)))
}

/// `Millrace-Parent: B/S/N`, an event that this one follows from. It need not exist.
///
/// # Errors
/// [`Failure::InvalidField`] if it names no event.
pub(super) fn parent(head: &RequestHead, limits: &Limits) -> Result<Option<Bytes>, Failure> {
    let Some(value) = head.header("millrace-parent") else { return Ok(None) };
    let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= limits.event_header_bytes_max);
    let is_event = |text: &str| {
        let (stream, seq) = text.rsplit_once('/')?;
        let (bucket, stream) = stream.split_once('/')?;
        StreamKey::parse(bucket, stream).ok()?;
        digits(seq).filter(|seq| *seq > 0)
    };
    if text.and_then(is_event).is_none() {
        let value = String::from_utf8_lossy(value).into_owned();
        return Err(Failure::InvalidField { field: "Millrace-Parent".into(), value });
    }
    Ok(Some(Bytes::copy_from_slice(value)))
}

/// `traceparent` (W3C Trace Context §3.2). One that does not parse is ignored, as §3.2.2.5 demands.
pub(super) fn traceparent(head: &RequestHead) -> Option<Bytes> {
    let value = head.header("traceparent")?;
    let mut parts = value.split(|byte| *byte == b'-');
    let mut next_is = |count: usize| {
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        parts.next().is_some_and(|part| part.len() == count && part.iter().all(is_hex))
    };
    let is_sound = next_is(2) && next_is(32) && next_is(16) && next_is(2);
    (is_sound && parts.next().is_none()).then(|| Bytes::copy_from_slice(value))
}

fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all { text.parse().ok() } else { None }
}

/// `bucket/stream`, escaped for a path; slashes of the stream's name stay.
pub(super) struct PathOf<'a>(pub &'a StreamKey);

impl fmt::Display for PathOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&target::percent_encode(self.0.bucket.as_str()))?;
        for segment in self.0.stream.as_str().split('/') {
            f.write_str("/")?;
            f.write_str(&target::percent_encode(segment))?;
        }
        Ok(())
    }
}

/// `Content-Disposition` for a download: quotes, separators and control characters do not leave, letters
/// outside ASCII leave in the form of RFC 8187.
pub(super) fn disposition(name: &str) -> String {
    let is_unfit =
        |c: char| c.is_control() || matches!(c, '"' | '\\' | '/' | ':' | '<' | '>' | '|' | '?' | '*');
    let safe: String = name.chars().map(|c| if is_unfit(c) { '_' } else { c }).take(200).collect();
    let safe = safe.trim_matches(['.', ' ']);
    let safe = if safe.is_empty() { "download" } else { safe };
    if safe.is_ascii() {
        return format!("attachment; filename=\"{safe}\"");
    }
    let plain: String = safe.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", target::percent_encode(safe))
}

#[cfg(test)]
mod tests {
    use super::super::testing::head;
    use super::*;

    const CURRENT: Tag = Tag { last: SeqNum(7), rest: Some((Epoch(3), SeqNum(2))) };

    #[test]
    fn if_match_is_one_number_in_quotes() {
        let found = |value: &str| if_match(&head("POST", "/", &[("If-Match", value)]));
        assert_eq!(found("\"0\""), Ok(Some(SeqNum(0))));
        assert_eq!(found("\"12\""), Ok(Some(SeqNum(12))));
        assert_eq!(found("\"12-3-1\""), Ok(Some(SeqNum(12))));
        for bad in ["12", "\"\"", "\"a\"", "\"1\", \"2\"", "W/\"1\"", "*", "\"-1\"", "\"+1\"", "\"1-2\"", ""]
        {
            assert!(matches!(found(bad), Err(Failure::BadRequest { .. })), "{bad}");
        }
        assert_eq!(if_match(&head("POST", "/", &[])), Ok(None));
    }

    #[test]
    fn a_client_has_what_it_asks_for_if_its_tag_is_the_current_one() {
        for (value, expected) in [
            ("\"7-3-2\"", true),
            ("W/\"7-3-2\"", true),
            ("\"1\", \"7-3-2\"", true),
            ("\"7\"", true),
            ("*", true),
            ("\"7-4-2\"", false),
            ("\"7-3-1\"", false),
            ("\"6-3-2\"", false),
            ("7-3-2", false),
        ] {
            assert_eq!(
                has_current(&head("GET", "/", &[("If-None-Match", value)]), CURRENT),
                expected,
                "{value}"
            );
        }
        assert_eq!(Tag::parse(&CURRENT.to_string()), Some(CURRENT));
    }

    #[test]
    fn a_parent_names_an_event() {
        let found =
            |value: &str| parent(&head("POST", "/", &[("Millrace-Parent", value)]), &Limits::default());
        assert_eq!(found("b/s/1"), Ok(Some(Bytes::from_static(b"b/s/1"))));
        assert_eq!(found("b/s/t/9"), Ok(Some(Bytes::from_static(b"b/s/t/9"))));
        for bad in ["", "b", "b/s", "b/s/", "b/s/0", "b/s/x", "b//1", "/s/1"] {
            assert!(matches!(found(bad), Err(Failure::InvalidField { .. })), "{bad}");
        }
    }

    #[test]
    fn a_trace_context_that_does_not_parse_is_ignored() {
        let sound = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let found = |value: &str| traceparent(&head("POST", "/", &[("traceparent", value)]));
        assert_eq!(found(sound).as_deref(), Some(sound.as_bytes()));
        for bad in ["", "00", &sound.to_uppercase(), &sound[1..], &format!("{sound}-x")] {
            assert_eq!(found(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_name_cannot_leave_its_quotes_or_its_folder() {
        for (name, expected) in [
            ("a.json", "attachment; filename=\"a.json\""),
            ("../../etc/passwd", "attachment; filename=\"_.._etc_passwd\""),
            ("a\"; x=\"b", "attachment; filename=\"a_; x=_b\""),
            ("a\r\nX: y", "attachment; filename=\"a__X_ y\""),
            ("", "attachment; filename=\"download\""),
            ("..", "attachment; filename=\"download\""),
            ("\u{f6}.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%B6.txt"),
        ] {
            assert_eq!(disposition(name), expected, "{name:?}");
        }
    }
}
