//! A server's replies: status line, headers and framing into the output buffer of a connection.
//!
//! The faces call it. The framing fits the request by itself: HEAD gets no body, 204 and 304 get no length,
//! HTTP/1.0 gets no chunks, and `Connection` is said where the version does not already imply it. A reply
//! with a fault in it leaves nothing in the buffer.

use std::fmt;

use bytes::{BufMut, BytesMut};

use crate::date::HTTP_DATE_BYTES;
use crate::error::EncodeError;
use crate::head::{ReplyTo, Version};
use crate::token::is_token;
use crate::writer::{HeadWriter, put_decimal};

/// How the body of a reply has to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a body sent in another form breaks the connection"]
pub enum BodyForm {
    /// Not at all.
    None,
    /// As it is, exactly as long as announced.
    Plain,
    /// With [`crate::write_chunk`] and, at its end, [`crate::write_last_chunk`].
    Chunks,
    /// As it is; the end of the connection ends it. (HTTP/1.0)
    UntilClose,
}

/// Writes one reply. Every `finish_*` ends it; dropped without one it leaves nothing in the buffer.
#[derive(Debug)]
#[must_use = "a reply must be finished"]
pub struct ResponseWriter<'a> {
    head: HeadWriter<'a>,
    status: u16,
    reply_to: ReplyTo,
}

impl<'a> ResponseWriter<'a> {
    /// Begins a reply with `status` (100 to 999) at the end of `out`.
    pub fn begin(out: &'a mut BytesMut, status: u16, reply_to: ReplyTo) -> Self {
        let mut head = HeadWriter::begin(out);
        if (100..1_000).contains(&status) {
            // Also to HTTP/1.0: the version says what the sender can do (RFC 9110 §2.5).
            head.out.put_slice(b"HTTP/1.1 ");
            put_decimal(head.out, u64::from(status));
            head.out.put_u8(b' ');
            head.out.put_slice(reason_phrase(status).as_bytes());
            head.out.put_slice(b"\r\n");
        } else {
            head.fail(EncodeError::StatusInvalid);
        }
        Self { head, status, reply_to }
    }

    /// Appends `Date`, see [`crate::format_http_date`].
    pub fn date(&mut self, date: &[u8; HTTP_DATE_BYTES]) -> &mut Self {
        self.header("Date", date)
    }

    /// Appends a header line. A fault is reported by `finish_*`.
    pub fn header(&mut self, name: &str, value: impl AsRef<[u8]>) -> &mut Self {
        self.head.header(name, value.as_ref());
        self
    }

    /// Appends a header line whose value is formatted in place: `header_fmt("ETag",
    /// format_args!("\"{seq}\""))`.
    pub fn header_fmt(&mut self, name: &str, value: fmt::Arguments<'_>) -> &mut Self {
        self.head.header_fmt(name, value);
        self
    }

    /// Ends the head and appends `body` with its length; only the length for HEAD. An empty `body` fits any
    /// status.
    pub fn finish_with_body(mut self, body: &[u8]) -> Result<(), EncodeError> {
        if !body.is_empty() && !has_body(self.status) {
            self.head.fail(EncodeError::BodyNotAllowed);
        }
        self.connection(self.reply_to.keep_alive);
        if has_body(self.status) {
            self.head.content_length(body.len() as u64);
        }
        self.head.finish()?;
        if !self.reply_to.head_only {
            self.head.out.put_slice(body);
        }
        Ok(())
    }

    /// Ends a reply without body: length 0, or none at all for a status that cannot have a body.
    pub fn finish_empty(self) -> Result<(), EncodeError> {
        self.finish_with_body(&[])
    }

    /// Ends the head of a reply whose body of `length` bytes the caller sends.
    pub fn finish_length(mut self, length: u64) -> Result<BodyForm, EncodeError> {
        if !has_body(self.status) {
            self.head.fail(EncodeError::BodyNotAllowed);
        }
        self.connection(self.reply_to.keep_alive);
        self.head.content_length(length);
        self.head.finish()?;
        Ok(if self.reply_to.head_only { BodyForm::None } else { BodyForm::Plain })
    }

    /// Ends the head of a reply whose body has no known length. Where the form is `UntilClose` the connection
    /// has to be closed behind the body, and the head said so.
    pub fn finish_chunked(mut self) -> Result<BodyForm, EncodeError> {
        if !has_body(self.status) {
            self.head.fail(EncodeError::BodyNotAllowed);
        }
        let form = match self.reply_to.version {
            Version::Http11 => BodyForm::Chunks,
            Version::Http10 => BodyForm::UntilClose,
        };
        self.connection(self.reply_to.keep_alive && form == BodyForm::Chunks);
        if form == BodyForm::Chunks {
            self.head.line("Transfer-Encoding", b"chunked");
        }
        self.head.finish()?;
        Ok(if self.reply_to.head_only { BodyForm::None } else { form })
    }

    /// Ends a 101 reply: from here on the connection speaks `protocol`.
    pub fn finish_upgrade(mut self, protocol: &str) -> Result<(), EncodeError> {
        if self.status != 101 {
            self.head.fail(EncodeError::StatusInvalid);
        }
        if !is_token(protocol.as_bytes()) {
            self.head.fail(EncodeError::HeaderValueInvalid);
        }
        self.head.line("Connection", b"Upgrade");
        self.head.line("Upgrade", protocol.as_bytes());
        self.head.finish()
    }

    fn connection(&mut self, keep_alive: bool) {
        match (keep_alive, self.reply_to.version) {
            (false, _) => self.head.line("Connection", b"close"),
            (true, Version::Http10) => self.head.line("Connection", b"keep-alive"),
            (true, Version::Http11) => {}
        }
    }
}

/// Whether a reply with `status` has a body and says its length (RFC 9110 §6.4.1, §8.6).
pub(crate) fn has_body(status: u16) -> bool {
    !matches!(status, 100..200 | 204 | 304)
}

/// Appends `100 Continue`: the client may send its body.
pub fn write_continue(out: &mut BytesMut) {
    out.put_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
}

/// The usual words for `status`, empty for one that has none (RFC 9112 §4 lets them be empty).
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}
