//! The head of a request: request line and header lines, checked, with the common questions answered once.
//!
//! Parsed by the decoder from a complete head, frozen; read by the faces. The head's bytes are kept as
//! received and everything else is positions in them: no copy, and no allocation for up to 14 header lines.
//!
//! Invariant: a `RequestHead` that exists passed every check of RFC 9112 that this crate makes.

use std::mem::MaybeUninit;

use bytes::Bytes;

use crate::config::{Config, HEADERS_CAP};
use crate::diagnose;
use crate::error::HttpError;
use crate::fields::Fields;
use crate::headers::{Headers, Lines, Span};
use crate::request_target::TargetParts;
use crate::token::list_members;

/// A request method. Names are case-sensitive (RFC 9110 §9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    /// Any other token; its text is `RequestHead::method_name`.
    Other,
}

impl Method {
    /// The method called `name`.
    pub fn from_name(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

/// The version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0: no chunks, and one message per connection unless `keep-alive` was asked for.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl Version {
    pub(crate) fn from_minor(minor: u8) -> Self {
        if minor == 0 { Self::Http10 } else { Self::Http11 }
    }
}

/// What a reply must know of its request to be framed rightly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The request's version: HTTP/1.0 gets no chunks.
    pub version: Version,
    /// The request was HEAD: headers as for GET, no body.
    pub head_only: bool,
    /// The connection goes on after this reply. Set to `false` to announce its end.
    pub keep_alive: bool,
}

impl ReplyTo {
    /// For a reply to bytes that were no request: HTTP/1.1, with a body, closing.
    pub const UNREADABLE: Self = Self { version: Version::Http11, head_only: false, keep_alive: false };
}

/// A request's head.
#[derive(Clone, Debug)]
pub struct RequestHead {
    method: Method,
    version: Version,
    method_name: Span,
    target: TargetParts,
    fields: Fields,
    headers: Headers,
}

impl RequestHead {
    /// Parses `block`, which ends with its empty line and is no longer than the limits allow.
    pub(crate) fn parse(block: Bytes, config: &Config) -> Result<Self, HttpError> {
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS_CAP];
        let mut request = httparse::Request::new(&mut []);
        let slots = &mut slots[..config.headers_max.min(HEADERS_CAP)];
        match request.parse_with_uninit_headers(&block, slots) {
            Ok(httparse::Status::Complete(len)) => assert_eq!(len, block.len(), "two ends of one head"),
            Ok(httparse::Status::Partial) => return Err(HttpError::RequestLineInvalid),
            Err(error) => return Err(diagnose::request_head(&block, error)),
        }
        let (Some(name), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
            return Err(HttpError::RequestLineInvalid);
        };
        if name == "CONNECT" {
            return Err(HttpError::ConnectUnsupported);
        }
        let method = Method::from_name(name);
        let target = TargetParts::split(target, &block, method == Method::Options)?;
        let mut fields = Fields::of_request(request.headers, &block)?;
        fields.check_framing(minor)?;
        if fields.host.is_none() && minor > 0 {
            return Err(HttpError::HostMissing);
        }
        // An absolute target names the host, whatever the header says (RFC 9112 §3.2.2).
        fields.host = target.authority.or(fields.host);
        let lines = Lines::locate(request.headers, &block);
        let method_name = Span::of(name.as_bytes(), &block);
        let version = Version::from_minor(minor);
        Ok(Self { method, version, method_name, target, fields, headers: Headers::new(block, lines) })
    }

    /// The same head in other memory: `block` has the same bytes.
    pub(crate) fn with_block(&self, block: Bytes) -> Self {
        Self { headers: self.headers.with_block(block), ..*self }
    }

    /// The head whose bytes are `block`: another only in its Content-Length, which says `length`.
    pub(crate) fn with_length(&self, block: Bytes, length: u64) -> Self {
        let fields = Fields { content_length: Some(length), ..self.fields };
        Self { headers: self.headers.with_block(block), fields, ..*self }
    }

    /// The head whose bytes are `block`: another in its target, which does not name the host, and in its
    /// Content-Length. What follows the target stands `by` bytes further on.
    pub(crate) fn with_target(
        &self,
        block: Bytes,
        target: TargetParts,
        by: isize,
        content_length: Option<u64>,
    ) -> Self {
        let fields = Fields { content_length, ..self.fields.moved(by) };
        Self { target, fields, headers: self.headers.moved(block, by), ..*self }
    }

    /// Where the target lies, if it is a path (`/...`).
    pub(crate) fn path_target(&self) -> Option<Span> {
        self.raw_target().starts_with('/').then_some(self.target.whole)
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method as sent.
    pub fn method_name(&self) -> &str {
        self.text(self.method_name)
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The target as sent, for logs.
    pub fn raw_target(&self) -> &str {
        self.text(self.target.whole)
    }

    /// The path as sent, still percent-encoded: begins with `/`, or is `*`. See
    /// [`crate::target::path_segments`].
    pub fn path(&self) -> &str {
        if self.target.path.is_empty() { "/" } else { self.text(self.target.path) }
    }

    /// What follows the first `?`, still percent-encoded; `None` without one. See
    /// [`crate::target::query_pairs`].
    pub fn query(&self) -> Option<&str> {
        self.target.query.map(|span| self.text(span))
    }

    /// The host with its port as sent: of an absolute target, otherwise of the Host header. `None` only in
    /// HTTP/1.0.
    pub fn host(&self) -> Option<&str> {
        self.fields.host.map(|span| self.text(span))
    }

    /// The header lines.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The value of the first header line called `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name)
    }

    /// As [`RequestHead::header`]; `None` also if the value is not UTF-8.
    pub fn header_str(&self, name: &str) -> Option<&str> {
        self.headers.get_str(name)
    }

    /// The announced length of the body, in bytes. Nothing of it need have arrived.
    pub fn content_length(&self) -> Option<u64> {
        self.fields.content_length
    }

    /// Whether the body comes in chunks.
    pub fn chunked(&self) -> bool {
        self.fields.chunked
    }

    /// Whether there is a body of at least one byte, or may be (chunked).
    pub fn has_body(&self) -> bool {
        self.fields.chunked || self.fields.content_length.is_some_and(|length| length > 0)
    }

    /// Whether the client expects the connection to go on (RFC 9112 §9.3). If not, whatever follows in the
    /// buffer must not be handled: the caller stops here.
    pub fn keep_alive(&self) -> bool {
        self.fields.keep_alive(self.version as u8)
    }

    /// Whether the client waits for `100 Continue` before it sends the body. HTTP/1.0 knows no such thing.
    pub fn expect_continue(&self) -> bool {
        self.fields.expect_continue && self.version == Version::Http11
    }

    /// The value of Upgrade, where `Connection: upgrade` made it count and the version is 1.1 (RFC 9110
    /// §7.8).
    pub fn upgrade(&self) -> Option<&[u8]> {
        let span = self.fields.upgrade?;
        let counts = self.fields.connection_upgrade && self.version == Version::Http11;
        counts.then(|| span.of_block(self.headers.block()))
    }

    /// Whether the client offers to go on in `protocol`, for example `websocket`.
    pub fn upgrades_to(&self, protocol: &str) -> bool {
        let is_it = |offer: &[u8]| offer.eq_ignore_ascii_case(protocol.as_bytes());
        self.upgrade().is_some_and(|value| list_members(value).any(is_it))
    }

    /// What the reply must know.
    pub fn reply_to(&self) -> ReplyTo {
        let head_only = self.method == Method::Head;
        ReplyTo { version: self.version, head_only, keep_alive: self.keep_alive() }
    }

    /// Spans read as text lie in the method, the target or the host, all of them checked to be ASCII.
    fn text(&self, span: Span) -> &str {
        std::str::from_utf8(span.of_block(self.headers.block())).unwrap_or_default()
    }
}

/// A request with its whole body.
#[derive(Clone, Debug)]
pub struct Request {
    /// Request line and headers.
    pub head: RequestHead,
    /// The body; a view into the read buffer unless it came in several chunks. Kept for long, it keeps all of
    /// that buffer alive: copy what outlives the request.
    pub body: Bytes,
}
