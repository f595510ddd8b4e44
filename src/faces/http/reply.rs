//! Replies as values, and failures as replies: the one way from `types::Failure` to HTTP.
//!
//! A reply is encoded when its turn on the connection comes. The hot path (an append) does not come through
//! here: it is written straight into the connection's output.

use super::event_json::{put_decimal, put_json_string};
use super::negotiate::{JSON, PROBLEM};
use bytes::{BufMut, Bytes, BytesMut};
use http1::{BodyForm, HTTP_DATE_BYTES, ReplyTo, ResponseWriter};
use types::{Failure, FailureMember};

/// A complete reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub status: u16,
    /// `None` for a reply without body.
    pub content_type: Option<Bytes>,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Reply {
    /// A reply with a JSON body.
    pub(super) fn json(status: u16, body: impl Into<Bytes>) -> Reply {
        Reply::with_type(status, Bytes::from_static(JSON.as_bytes()), body)
    }

    /// A reply with a body of this type.
    pub(super) fn with_type(status: u16, content_type: Bytes, body: impl Into<Bytes>) -> Reply {
        Reply { status, content_type: Some(content_type), headers: Vec::new(), body: body.into() }
    }

    /// A reply without body.
    pub(super) fn empty(status: u16) -> Reply {
        Reply { status, content_type: None, headers: Vec::new(), body: Bytes::new() }
    }

    /// With one more header line.
    #[must_use]
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    /// Appends the head of a reply whose body has no known length; its own body is not looked at. `None` if
    /// it cannot be written.
    pub(super) fn begin(
        &self,
        out: &mut BytesMut,
        to: ReplyTo,
        date: &[u8; HTTP_DATE_BYTES],
    ) -> Option<BodyForm> {
        self.head(out, to, date).finish_chunked().ok()
    }

    /// Appends it to `out`.
    pub(super) fn encode(&self, out: &mut BytesMut, to: ReplyTo, date: &[u8; HTTP_DATE_BYTES]) {
        if self.head(out, to, date).finish_with_body(&self.body).is_err() {
            // A header value that cannot be sent; names and statuses are our own.
            let failure = Failure::Internal { detail: "a stored value cannot stand in a header".into() };
            encode_failure(&failure, false, out, to, date);
        }
    }

    fn head<'a>(
        &self,
        out: &'a mut BytesMut,
        to: ReplyTo,
        date: &[u8; HTTP_DATE_BYTES],
    ) -> ResponseWriter<'a> {
        let mut writer = ResponseWriter::begin(out, self.status, to);
        writer.date(date);
        if let Some(content_type) = &self.content_type {
            writer.header("Content-Type", content_type);
        }
        for (name, value) in &self.headers {
            writer.header(name, value);
        }
        writer
    }
}

/// Appends the reply that tells of a failure.
pub(crate) fn encode_failure(
    failure: &Failure,
    as_problem: bool,
    out: &mut BytesMut,
    to: ReplyTo,
    date: &[u8; HTTP_DATE_BYTES],
) {
    let body = failure_body(failure, as_problem);
    let mut writer = ResponseWriter::begin(out, failure.status(), to);
    writer.date(date);
    writer.header("Content-Type", if as_problem { PROBLEM } else { JSON });
    if failure.status() == 401 {
        writer.header("WWW-Authenticate", "jwt");
        writer.header("Cache-Control", "no-store");
    }
    if let Failure::MethodNotAllowed { allow } = failure {
        writer.header("Allow", allow);
    }
    if let Some(seconds) = failure.retry_after_s() {
        writer.header_fmt("Retry-After", format_args!("{seconds}"));
    }
    writer.finish_with_body(&body).expect("every header is our own and every failure has a body");
}

/// `{"type","reason",…}`, or the same as problem details.
fn failure_body(failure: &Failure, as_problem: bool) -> BytesMut {
    let mut out = BytesMut::with_capacity(128);
    if as_problem {
        out.put_slice(b"{\"type\":");
        put_json_string(&mut out, &format!("urn:millrace:{}", failure.type_name()));
        out.put_slice(b",\"title\":");
        put_json_string(&mut out, failure.reason());
        out.put_slice(b",\"status\":");
        put_decimal(&mut out, failure.status().into());
    } else {
        out.put_slice(b"{\"type\":");
        put_json_string(&mut out, failure.type_name());
    }
    out.put_slice(b",\"reason\":");
    put_reason(&mut out, failure);
    for member in failure.members() {
        out.put_u8(b',');
        match member {
            FailureMember::Number(name, value) => {
                put_json_string(&mut out, name);
                out.put_u8(b':');
                put_decimal(&mut out, value);
            }
            FailureMember::Text(name, value) => {
                put_json_string(&mut out, name);
                out.put_u8(b':');
                put_json_string(&mut out, &value);
            }
        }
    }
    out.put_u8(b'}');
    out
}

/// A conflict's reason is an object (with the misspelling of Iorio's wire), every other a string.
fn put_reason(out: &mut BytesMut, failure: &Failure) {
    let Failure::Conflict { expected, got } = failure else {
        return put_json_string(out, failure.reason());
    };
    out.put_slice(b"{\"reason\":\"confict\",\"field\":\"seqnum\",\"expected\":");
    put_decimal(out, expected.0);
    out.put_slice(b",\"got\":");
    put_decimal(out, got.0);
    out.put_u8(b'}');
}

/// The failure that bytes which are no request stand for.
pub(super) fn failure_of_bytes(error: http1::HttpError, body_bytes_max: usize) -> Failure {
    match error.status() {
        413 => Failure::TooLarge { limit: body_bytes_max as u64 },
        414 => Failure::TargetTooLong,
        431 => Failure::HeadTooLarge,
        501 => Failure::NotImplemented,
        505 => Failure::VersionNotSupported,
        _ => Failure::BadRequest { detail: error.reason().into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http1::Version;
    use types::{SeqNum, Unavailable};

    const DATE: &[u8; HTTP_DATE_BYTES] = b"Thu, 01 Jan 1970 00:00:00 GMT";
    const TO: ReplyTo = ReplyTo { version: Version::Http11, head_only: false, keep_alive: true };

    fn body(failure: &Failure) -> String {
        String::from_utf8(failure_body(failure, false).to_vec()).expect("text")
    }

    #[test]
    fn a_failure_has_type_and_reason_and_what_its_row_adds() {
        for (failure, expected) in [
            (Failure::NoEvents, r#"{"type":"not-found","reason":"Not Found"}"#),
            (Failure::NoPermission, r#"{"type":"no-perm","reason":"No Permission"}"#),
            (
                Failure::PreconditionFailed { last: SeqNum(7) },
                r#"{"type":"precondition-failed","reason":"Precondition Failed","seq":7}"#,
            ),
            (
                Failure::Conflict { expected: SeqNum(1), got: SeqNum(2) },
                r#"{"type":"error","reason":{"reason":"confict","field":"seqnum","expected":1,"got":2}}"#,
            ),
            (
                Failure::InvalidField { field: "at".into(), value: "\"\n".to_owned() },
                r#"{"type":"invalid-field","reason":"Invalid Field","field":"at","value":"\"\n"}"#,
            ),
            (
                Failure::TooLarge { limit: 9 },
                r#"{"type":"too-large","reason":"Request Body Too Large","limit":9}"#,
            ),
        ] {
            assert_eq!(body(&failure), expected);
        }
    }

    #[test]
    fn problem_details_have_the_same_members_and_title_and_status() {
        let failure = Failure::Corrupt { from: SeqNum(3), to: SeqNum(5) };
        let body = failure_body(&failure, true);
        let start = r#"{"type":"urn:millrace:corrupt","title":"Events Damaged On Disk","status":500,"#;
        let expected = format!("{start}{}", r#""reason":"Events Damaged On Disk","from":3,"to":5}"#);
        assert_eq!(std::str::from_utf8(&body), Ok(&*expected));
    }

    #[test]
    fn a_failure_brings_the_headers_that_go_with_its_status() {
        for (failure, line) in [
            (Failure::NoPermission, "WWW-Authenticate: jwt\r\n"),
            (Failure::MethodNotAllowed { allow: "GET, HEAD" }, "Allow: GET, HEAD\r\n"),
            (Failure::Unavailable(Unavailable::Draining), "Retry-After: 1\r\n"),
            (Failure::NoRoute, "Content-Type: application/json\r\n"),
        ] {
            let mut out = BytesMut::new();
            encode_failure(&failure, false, &mut out, TO, DATE);
            let text = String::from_utf8(out.to_vec()).expect("text");
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_sent_becomes_an_error_and_not_a_broken_reply() {
        let mut out = BytesMut::new();
        Reply::empty(200).header("X-A", "a\r\nb").encode(&mut out, TO, DATE);
        assert!(out.starts_with(b"HTTP/1.1 500 "), "{out:?}");
    }
}
