//! A client's requests: request line, headers and framing into an output buffer.
//!
//! The CLI and the load generator call it. The target is given as it goes out (see
//! [`crate::target::percent_encode`]); a request with a fault in it leaves nothing in the buffer.

use std::fmt;

use bytes::{BufMut, BytesMut};

use crate::error::EncodeError;
use crate::host::is_authority;
use crate::token::is_token;
use crate::writer::HeadWriter;

/// Writes one request. Every `finish_*` ends it; dropped without one it leaves nothing in the buffer.
#[derive(Debug)]
#[must_use = "a request must be finished"]
pub struct RequestWriter<'a> {
    head: HeadWriter<'a>,
    /// The method is one that usually has a body, so that its absence is said.
    says_empty: bool,
}

impl<'a> RequestWriter<'a> {
    /// Begins a request for `target` (`/path?query`, percent-encoded) at `host` (with its port, unless it is
    /// the scheme's) at the end of `out`.
    pub fn begin(out: &'a mut BytesMut, method: &str, target: &str, host: &str) -> Self {
        let mut head = HeadWriter::begin(out);
        if !is_token(method.as_bytes()) {
            head.fail(EncodeError::MethodInvalid);
        }
        if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            head.fail(EncodeError::TargetInvalid);
        }
        if !is_authority(host.as_bytes()) {
            head.fail(EncodeError::HostInvalid);
        }
        for part in [method, " ", target, " HTTP/1.1\r\nHost: ", host, "\r\n"] {
            head.out.put_slice(part.as_bytes());
        }
        Self { head, says_empty: matches!(method, "POST" | "PUT" | "PATCH") }
    }

    /// Appends a header line. A fault is reported by `finish_*`.
    pub fn header(&mut self, name: &str, value: impl AsRef<[u8]>) -> &mut Self {
        if name.eq_ignore_ascii_case("host") {
            self.head.fail(EncodeError::HeaderReserved);
        }
        self.head.header(name, value.as_ref());
        self
    }

    /// Appends a header line whose value is formatted in place.
    pub fn header_fmt(&mut self, name: &str, value: fmt::Arguments<'_>) -> &mut Self {
        if name.eq_ignore_ascii_case("host") {
            self.head.fail(EncodeError::HeaderReserved);
        }
        self.head.header_fmt(name, value);
        self
    }

    /// Announces that the connection ends with the reply.
    pub fn close(&mut self) -> &mut Self {
        self.head.line("Connection", b"close");
        self
    }

    /// Ends a request without body.
    pub fn finish_empty(mut self) -> Result<(), EncodeError> {
        if self.says_empty {
            self.head.content_length(0);
        }
        self.head.finish()
    }

    /// Ends the head and appends `body` with its length.
    pub fn finish_with_body(mut self, body: &[u8]) -> Result<(), EncodeError> {
        self.head.content_length(body.len() as u64);
        self.head.finish()?;
        self.head.out.put_slice(body);
        Ok(())
    }

    /// Ends the head of a request whose body of `length` bytes the caller sends.
    pub fn finish_length(mut self, length: u64) -> Result<(), EncodeError> {
        self.head.content_length(length);
        self.head.finish()
    }

    /// Ends the head of a request whose body goes out with [`crate::write_chunk`] and
    /// [`crate::write_last_chunk`].
    pub fn finish_chunked(mut self) -> Result<(), EncodeError> {
        self.head.line("Transfer-Encoding", b"chunked");
        self.head.finish()
    }

    /// Ends a request without body that offers to go on in `protocol`.
    pub fn finish_upgrade(mut self, protocol: &str) -> Result<(), EncodeError> {
        if !is_token(protocol.as_bytes()) {
            self.head.fail(EncodeError::HeaderValueInvalid);
        }
        self.head.line("Connection", b"Upgrade");
        self.head.line("Upgrade", protocol.as_bytes());
        self.head.finish()
    }
}
