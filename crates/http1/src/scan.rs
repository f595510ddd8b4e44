//! Finds the empty line that ends a head or a trailer section, without looking at a byte twice.
//!
//! The decoders call it with a growing window of the read buffer. It refuses a line feed without carriage
//! return at once (RFC 9112 §2.2 lets a recipient accept it; two recipients that differ in this are how
//! requests are smuggled).
//!
//! Invariant: `line_start <= scanned`, and no line feed in `..scanned` lacks its carriage return.

use crate::error::HttpError;

/// How far a head has been searched. One per message; [`LineScan::default`] starts the next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LineScan {
    scanned: usize,
    line_start: usize,
}

impl LineScan {
    /// Looks at the new part of `window`, which begins where it began before. Gives the length of the
    /// section, its empty line included, once that line is there.
    pub(crate) fn find_end(&mut self, window: &[u8]) -> Result<Option<usize>, HttpError> {
        assert!(self.line_start <= self.scanned && self.scanned <= window.len());
        for at in memchr::memchr_iter(b'\n', &window[self.scanned..]) {
            let line_feed = self.scanned + at;
            if line_feed == 0 || window[line_feed - 1] != b'\r' {
                return Err(HttpError::BareLf);
            }
            if line_feed - self.line_start == 1 {
                return Ok(Some(line_feed + 1));
            }
            self.line_start = line_feed + 1;
        }
        self.scanned = window.len();
        Ok(None)
    }

    /// Whether the first line is complete.
    pub(crate) fn has_line(&self) -> bool {
        self.line_start > 0
    }

    /// Whether anything was looked at.
    pub(crate) fn is_begun(&self) -> bool {
        self.scanned > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_of(bytes: &[u8]) -> Result<Option<usize>, HttpError> {
        let whole = LineScan::default().find_end(bytes);
        let mut scan = LineScan::default();
        let mut last = Ok(None);
        for end in 0..=bytes.len() {
            last = scan.find_end(&bytes[..end]);
            if last != Ok(None) {
                break;
            }
        }
        assert_eq!(whole, last, "byte by byte and at once differ");
        whole
    }

    #[test]
    fn the_end_is_behind_the_first_empty_line() {
        assert_eq!(end_of(b"a\r\nb\r\n\r\nrest\r\n\r\n"), Ok(Some(8)));
        assert_eq!(end_of(b"\r\nrest"), Ok(Some(2)));
        assert_eq!(end_of(b"a\r\nb\r\n\r"), Ok(None));
        assert_eq!(end_of(b""), Ok(None));
    }

    #[test]
    fn a_line_feed_alone_is_refused() {
        for bad in [&b"\n"[..], b"a\n", b"a\r\n\n", b"a\r\n\r\r\n\n", b"a\r\nb\nc\r\n\r\n"] {
            assert_eq!(end_of(bad), Err(HttpError::BareLf), "{bad:?}");
        }
    }
}
