//! The limits of a connection's decoder. Filled from `limits.*` by the faces; read by every decoder of this
//! crate.
//!
//! Two caps bound what can be configured: header positions are kept as 16-bit offsets, and header lines are
//! parsed into an array on the stack. A larger configured value acts as its cap.

/// Largest `head_bytes_max` that takes effect: offsets into a head are 16 bits wide.
pub const HEAD_BYTES_CAP: usize = u16::MAX as usize;
/// Largest `headers_max` that takes effect: the parser's table (4 KiB) stands on the stack.
pub const HEADERS_CAP: usize = 128;
/// Longest method looked at. No registered method has more than 17 letters (`UPDATEREDIRECTREF`).
pub const METHOD_BYTES_MAX: usize = 24;

/// Limits of one decoder. Each is inclusive: exactly this much is accepted, one more is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Request or status line and header lines with all their line ends, and the empty line. Trailers and the
    /// chunk extensions of one body are bounded by the same figure.
    pub head_bytes_max: usize,
    /// Header lines in a head, and again in trailers.
    pub headers_max: usize,
    /// The request target as sent.
    pub target_bytes_max: usize,
    /// A body after removal of the chunked coding.
    pub body_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            head_bytes_max: 16 * 1024,
            headers_max: 100,
            target_bytes_max: 8 * 1024,
            body_bytes_max: 8 * 1024 * 1024,
        }
    }
}

impl Config {
    /// The limits that take effect, with the caps applied.
    pub(crate) fn capped(self) -> Self {
        Self {
            head_bytes_max: self.head_bytes_max.min(HEAD_BYTES_CAP),
            headers_max: self.headers_max.min(HEADERS_CAP),
            ..self
        }
    }
}
