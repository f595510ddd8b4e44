//! What can be wrong with received bytes ([`HttpError`]) and with a message about to be written
//! ([`EncodeError`]).
//!
//! The decoders return the first, the faces answer it: every variant knows its status and a reason that may
//! be shown to the peer. After an `HttpError` the connection is closed, because where the next message begins
//! is unknown or in dispute. The second is a programming error of the caller, reported instead of emitted.

use std::fmt;

/// Why received bytes are not an acceptable HTTP/1.x message. Every one of them closes the connection; after
/// [`HttpError::BodyTooLarge`] the rest of the body may be drained first (`Decoder::skip_body`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the table in `row` says of each what it means")]
pub enum HttpError {
    // The head's lines (RFC 9112 §2.2).
    BareLf,
    BareCr,
    EmptyLines,
    HeadTooLarge,
    // The request line (RFC 9112 §3) and the status line (§4).
    MethodInvalid,
    MethodTooLong,
    ConnectUnsupported,
    RequestLineInvalid,
    TargetInvalid,
    TargetNotAscii,
    TargetTooLong,
    VersionMissing,
    VersionInvalid,
    VersionUnsupported,
    StatusLineInvalid,
    // Header lines (RFC 9112 §5), also in trailers.
    ColonMissing,
    HeaderNameInvalid,
    SpaceBeforeColon,
    ObsoleteFold,
    ControlInValue,
    TooManyHeaders,
    HostMissing,
    HostDuplicate,
    HostInvalid,
    // Framing (RFC 9112 §6).
    ContentLengthInvalid,
    ContentLengthDuplicate,
    ContentLengthWithTransferEncoding,
    TransferEncodingInvalid,
    TransferEncodingDuplicate,
    TransferEncodingOnHttp10,
    TransferCodingUnsupported,
    BodyTooLarge,
    // Chunks (RFC 9112 §7.1).
    ChunkSizeInvalid,
    ChunkSizeTooLong,
    ChunkLineTooLong,
    ChunkExtensionInvalid,
    ChunkExtensionsTooLong,
    ChunkEndMissing,
    TrailersTooLarge,
    // The end of the connection, seen by a client.
    Truncated,
}

impl HttpError {
    /// The status a server answers with: 400, 413, 414, 431, 501 or 505.
    pub const fn status(self) -> u16 {
        self.row().0
    }

    /// What was wrong, in words that hold nothing of what the peer sent.
    pub const fn reason(self) -> &'static str {
        self.row().1
    }

    const fn row(self) -> (u16, &'static str) {
        match self {
            Self::BareLf => (400, "line feed without carriage return"),
            Self::BareCr => (400, "carriage return without line feed"),
            Self::EmptyLines => (400, "more than one empty line before the request line"),
            Self::HeadTooLarge => (431, "header block too large"),
            Self::MethodInvalid => (400, "malformed method"),
            Self::MethodTooLong => (501, "method too long"),
            Self::ConnectUnsupported => (501, "CONNECT is not supported"),
            Self::RequestLineInvalid => (400, "malformed request line"),
            Self::TargetInvalid => (400, "malformed request target"),
            Self::TargetNotAscii => (400, "request target is not ASCII"),
            Self::TargetTooLong => (414, "request target too long"),
            Self::VersionMissing => (400, "request line without a version"),
            Self::VersionInvalid => (400, "malformed HTTP version"),
            Self::VersionUnsupported => (505, "only HTTP/1.0 and HTTP/1.1 are supported"),
            Self::StatusLineInvalid => (400, "malformed status line"),
            Self::ColonMissing => (400, "header line without a colon"),
            Self::HeaderNameInvalid => (400, "invalid header name"),
            Self::SpaceBeforeColon => (400, "space between header name and colon"),
            Self::ObsoleteFold => (400, "folded header line"),
            Self::ControlInValue => (400, "control character in a header value"),
            Self::TooManyHeaders => (431, "too many headers"),
            Self::HostMissing => (400, "missing Host"),
            Self::HostDuplicate => (400, "more than one Host"),
            Self::HostInvalid => (400, "invalid Host"),
            Self::ContentLengthInvalid => (400, "invalid Content-Length"),
            Self::ContentLengthDuplicate => (400, "more than one Content-Length"),
            Self::ContentLengthWithTransferEncoding => (400, "both Content-Length and Transfer-Encoding"),
            Self::TransferEncodingInvalid => (400, "invalid Transfer-Encoding"),
            Self::TransferEncodingDuplicate => (400, "more than one Transfer-Encoding"),
            Self::TransferEncodingOnHttp10 => (400, "Transfer-Encoding in HTTP/1.0"),
            Self::TransferCodingUnsupported => (501, "only the chunked transfer coding is supported"),
            Self::BodyTooLarge => (413, "request body too large"),
            Self::ChunkSizeInvalid => (400, "invalid chunk size"),
            Self::ChunkSizeTooLong => (400, "chunk size of more than 16 digits"),
            Self::ChunkLineTooLong => (400, "chunk size line too long"),
            Self::ChunkExtensionInvalid => (400, "invalid chunk extension"),
            Self::ChunkExtensionsTooLong => (400, "too many chunk extensions"),
            Self::ChunkEndMissing => (400, "chunk not followed by a line end"),
            Self::TrailersTooLarge => (431, "trailers too large"),
            Self::Truncated => (400, "connection closed inside a message"),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for HttpError {}

/// Why a head was not written. Nothing of the message is left in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodeError {
    /// A header name that is empty or no token (RFC 9110 §5.1).
    HeaderNameInvalid,
    /// A header value with CR, LF, NUL or another control character: it would let a caller's text write
    /// headers.
    HeaderValueInvalid,
    /// `Content-Length`, `Transfer-Encoding`, `Connection` and a request's `Host` are written by the writer
    /// alone.
    HeaderReserved,
    /// A status outside 100–999, or one the chosen end does not fit (an upgrade needs 101).
    StatusInvalid,
    /// A body with a status that has none (1xx, 204, 304).
    BodyNotAllowed,
    /// A method that is no token.
    MethodInvalid,
    /// A target that is empty or holds a control character, a space, `#` or bytes outside ASCII.
    TargetInvalid,
    /// A `Host` that is no host.
    HostInvalid,
}

impl EncodeError {
    /// What was wrong.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::HeaderNameInvalid => "invalid header name",
            Self::HeaderValueInvalid => "control character in a header value",
            Self::HeaderReserved => "header written by the encoder itself",
            Self::StatusInvalid => "invalid status",
            Self::BodyNotAllowed => "status without a body",
            Self::MethodInvalid => "invalid method",
            Self::TargetInvalid => "invalid request target",
            Self::HostInvalid => "invalid host",
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for EncodeError {}

#[cfg(test)]
mod tests {
    use super::{EncodeError as E, HttpError as H};

    const EVERY: [H; 40] = [
        H::BareLf,
        H::BareCr,
        H::EmptyLines,
        H::HeadTooLarge,
        H::MethodInvalid,
        H::MethodTooLong,
        H::ConnectUnsupported,
        H::RequestLineInvalid,
        H::TargetInvalid,
        H::TargetNotAscii,
        H::TargetTooLong,
        H::VersionMissing,
        H::VersionInvalid,
        H::VersionUnsupported,
        H::StatusLineInvalid,
        H::ColonMissing,
        H::HeaderNameInvalid,
        H::SpaceBeforeColon,
        H::ObsoleteFold,
        H::ControlInValue,
        H::TooManyHeaders,
        H::HostMissing,
        H::HostDuplicate,
        H::HostInvalid,
        H::ContentLengthInvalid,
        H::ContentLengthDuplicate,
        H::ContentLengthWithTransferEncoding,
        H::TransferEncodingInvalid,
        H::TransferEncodingDuplicate,
        H::TransferEncodingOnHttp10,
        H::TransferCodingUnsupported,
        H::BodyTooLarge,
        H::ChunkSizeInvalid,
        H::ChunkSizeTooLong,
        H::ChunkLineTooLong,
        H::ChunkExtensionInvalid,
        H::ChunkExtensionsTooLong,
        H::ChunkEndMissing,
        H::TrailersTooLarge,
        H::Truncated,
    ];

    #[test]
    fn every_error_has_a_status_of_the_documented_ones_and_a_reason_of_its_own() {
        let mut reasons: Vec<String> = EVERY.iter().map(ToString::to_string).collect();
        for error in EVERY {
            assert!([400, 413, 414, 431, 501, 505].contains(&error.status()), "{error:?}");
        }
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), EVERY.len());
    }

    #[test]
    fn what_was_not_written_says_why() {
        let every = [
            E::HeaderNameInvalid,
            E::HeaderValueInvalid,
            E::HeaderReserved,
            E::StatusInvalid,
            E::BodyNotAllowed,
            E::MethodInvalid,
            E::TargetInvalid,
            E::HostInvalid,
        ];
        let reasons: std::collections::BTreeSet<String> = every.iter().map(ToString::to_string).collect();
        assert_eq!(reasons.len(), every.len());
    }
}
