//! Which form a reply takes, and what a body is.
//!
//! `Accept` decides among the forms that a resource has (406 when none fits). Errors are sent as RFC 9457
//! problem details to a client that names that type; naming it never makes a reply unacceptable.

use http1::{RequestHead, accept};
use types::Failure;

/// The type of every JSON reply: no charset, clients compare the string.
pub(super) const JSON: &str = "application/json";
/// One JSON text a line.
pub(super) const NDJSON: &str = "application/x-ndjson";
/// Bytes as they are.
pub(super) const OCTETS: &str = "application/octet-stream";
/// Problem details for HTTP APIs (RFC 9457).
pub(super) const PROBLEM: &str = "application/problem+json";
/// JSON patch (RFC 6902).
pub(super) const JSON_PATCH: &str = "application/json-patch+json";
/// JSON merge patch (RFC 7396).
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

/// The index of the offered type that the client wants most.
///
/// # Errors
/// [`Failure::NotAcceptable`].
pub(super) fn choose(head: &RequestHead, offered: &[&str]) -> Result<usize, Failure> {
    match accept::best_match(head.headers().get_all("accept"), offered) {
        Some(index) => Ok(index),
        None if wants_problem(head) => Ok(0),
        None => Err(Failure::NotAcceptable),
    }
}

/// Whether errors are to be sent as problem details.
pub(super) fn wants_problem(head: &RequestHead) -> bool {
    let mut members = head.headers().get_all("accept").flat_map(|value| value.split(|byte| *byte == b','));
    members.any(|member| accept::is_media_type(member, PROBLEM))
}

/// What an event's body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// One JSON text.
    Json,
    /// One JSON text a line, each an event.
    JsonLines,
    /// Anything else, with the type it came with.
    Other(Vec<u8>),
}

impl BodyKind {
    /// The kind by `Content-Type`. Without one a body is bytes (RFC 9110 §8.3).
    ///
    /// # Errors
    /// [`Failure::UnsupportedMediaType`] if the value is no media type.
    pub(super) fn of(head: &RequestHead) -> Result<BodyKind, Failure> {
        let Some(value) = head.header("content-type") else {
            return Ok(BodyKind::Other(OCTETS.into()));
        };
        let essence = accept::essence(value).ok_or(Failure::UnsupportedMediaType)?;
        if essence.eq_ignore_ascii_case(JSON) {
            Ok(BodyKind::Json)
        } else if essence.eq_ignore_ascii_case(NDJSON) {
            Ok(BodyKind::JsonLines)
        } else {
            Ok(BodyKind::Other(value.to_vec()))
        }
    }
}

/// Checks that the body has the one type that the resource takes.
///
/// # Errors
/// [`Failure::UnsupportedMediaType`].
pub(super) fn require_type(head: &RequestHead, media_type: &str) -> Result<(), Failure> {
    let value = head.header("content-type").unwrap_or_default();
    if accept::is_media_type(value, media_type) { Ok(()) } else { Err(Failure::UnsupportedMediaType) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::head;
    use super::*;

    #[test]
    fn the_form_is_what_accept_wants_most() {
        let offered = [JSON, NDJSON, OCTETS];
        for (accept, expected) in [
            ("*/*", Ok(0)),
            ("application/x-ndjson", Ok(1)),
            ("application/octet-stream, */*;q=0.1", Ok(2)),
            ("application/problem+json", Ok(0)),
            ("application/problem+json, application/x-ndjson", Ok(1)),
            ("text/html", Err(Failure::NotAcceptable)),
            ("application/json;q=0", Err(Failure::NotAcceptable)),
        ] {
            let head = head("GET", "/", &[("Accept", accept)]);
            assert_eq!(choose(&head, &offered), expected, "{accept}");
        }
        assert_eq!(choose(&head("GET", "/", &[]), &offered), Ok(0));
    }

    #[test]
    fn problem_details_are_sent_only_where_they_are_named() {
        for (accept, expected) in [
            ("application/problem+json", true),
            ("application/json, Application/Problem+JSON;q=0.5", true),
            ("*/*", false),
            ("application/*", false),
        ] {
            assert_eq!(wants_problem(&head("GET", "/", &[("Accept", accept)])), expected, "{accept}");
        }
    }

    #[test]
    fn a_body_is_json_lines_or_what_it_says_it_is() {
        let kind = |value: &str| BodyKind::of(&head("POST", "/", &[("Content-Type", value)]));
        assert_eq!(kind("application/json"), Ok(BodyKind::Json));
        assert_eq!(kind("Application/JSON ; charset=utf-8"), Ok(BodyKind::Json));
        assert_eq!(kind("application/x-ndjson"), Ok(BodyKind::JsonLines));
        assert_eq!(kind("text/plain; charset=x"), Ok(BodyKind::Other(b"text/plain; charset=x".to_vec())));
        assert_eq!(kind("application/vnd.a+json"), Ok(BodyKind::Other(b"application/vnd.a+json".to_vec())));
        assert_eq!(kind("json"), Err(Failure::UnsupportedMediaType));
        assert_eq!(kind(""), Err(Failure::UnsupportedMediaType));
        assert_eq!(BodyKind::of(&head("POST", "/", &[])), Ok(BodyKind::Other(OCTETS.into())));
    }
}
