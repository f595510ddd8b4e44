//! The last head of a connection, so that the same one again is recognized instead of parsed.
//!
//! A client that appends to one stream sends the same head over and over, but for the length of the body.
//! Parsing is a function of the head's bytes alone: equal bytes are an equal head, and digits of a
//! Content-Length that are others, but as many, change nothing but that length. The decoder asks before it
//! looks at a head and tells what it has parsed. A client whose heads keep differing is no longer noted.

use bytes::{Buf, Bytes, BytesMut};

use crate::fields::parse_digits;
use crate::head::RequestHead;
use crate::headers::Span;

/// Longer heads are not noted: what a connection keeps while it is idle is bounded by this.
const BYTES_MAX: usize = 512;
/// After so many heads in a row that were others, noting is given up.
const MISSES_MAX: u8 = 8;

/// The last head, if it is worth remembering.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    noted: Option<Box<Noted>>,
    /// Heads in a row that were parsed.
    misses: u8,
}

#[derive(Debug)]
struct Noted {
    head: RequestHead,
    /// Where the digits of the Content-Length lie.
    length: Option<Span>,
}

impl Memo {
    /// Takes a head off the front of `buf` if it is the one that is noted.
    pub(crate) fn recall(&mut self, buf: &mut BytesMut) -> Option<RequestHead> {
        let noted = self.noted.as_deref()?;
        let block = noted.head.headers().block();
        let found = buf.get(..block.len())?;
        let head = if found == block {
            buf.advance(block.len());
            noted.head.clone()
        } else {
            let length = noted.with_other_length(found)?;
            noted.head.with_length(buf.split_to(block.len()).freeze(), length)
        };
        self.misses = 0;
        Some(head)
    }

    /// Notes a head that was parsed. The first one of a connection may be the only one and is not worth it.
    pub(crate) fn note(&mut self, head: &RequestHead) {
        let is_first = self.misses == 0 && self.noted.is_none();
        self.misses = self.misses.saturating_add(1);
        let block = head.headers().block();
        if is_first || block.len() > BYTES_MAX {
            return;
        }
        if self.misses > MISSES_MAX {
            self.noted = None;
            return;
        }
        let length = head.headers().get("content-length").map(|value| Span::of(value, block));
        // A copy: the read buffer must not be kept alive by what is only remembered.
        let head = head.with_block(Bytes::copy_from_slice(block));
        self.noted = Some(Box::new(Noted { head, length }));
    }
}

impl Noted {
    /// The Content-Length of `found`, if that is all that makes it another head. As long as the noted one.
    fn with_other_length(&self, found: &[u8]) -> Option<u64> {
        let block = self.head.headers().block();
        let digits = self.length?.range();
        let is_same_around =
            found[..digits.start] == block[..digits.start] && found[digits.end..] == block[digits.end..];
        if is_same_around { parse_digits(&found[digits]) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn head(length: &str) -> String {
        format!("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\nX: y\r\n\r\n")
    }

    /// A memo that has seen `text` twice.
    fn memo(text: &str) -> Memo {
        let block = Bytes::copy_from_slice(text.as_bytes());
        let parsed = RequestHead::parse(block, &Config::default()).expect("a good head");
        let mut memo = Memo::default();
        memo.note(&parsed);
        assert!(memo.noted.is_none(), "the first one is not noted");
        memo.note(&parsed);
        memo
    }

    fn recalled(memo: &mut Memo, text: &str) -> Option<(u64, Vec<u8>)> {
        let mut buf = BytesMut::from(text);
        let head = memo.recall(&mut buf)?;
        let shown = head.header("content-length").expect("it has one");
        assert_eq!(parse_digits(shown), head.content_length(), "the header says what the head says");
        Some((head.content_length().expect("it has one"), buf.to_vec()))
    }

    #[test]
    fn the_same_head_is_recalled_and_what_follows_is_left() {
        let mut memo = memo(&head("12"));
        assert_eq!(recalled(&mut memo, &(head("12") + "body")), Some((12, b"body".to_vec())));
        assert_eq!(recalled(&mut memo, &(head("99") + "!")), Some((99, b"!".to_vec())));
    }

    #[test]
    fn any_other_head_is_not_recalled() {
        let mut memo = memo(&head("12"));
        for other in ["123", "1", "1a", "+1", " 2", "1\r"] {
            assert_eq!(recalled(&mut memo, &head(other)), None, "{other:?}");
        }
        let good = head("12");
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'#' { b'$' } else { b'#' };
            assert!(memo.recall(&mut BytesMut::from(&bytes[..])).is_none(), "byte {at}");
            assert!(memo.recall(&mut BytesMut::from(&good.as_bytes()[..at])).is_none(), "{at} bytes");
        }
    }

    #[test]
    fn heads_that_keep_differing_are_no_longer_noted() {
        let mut memo = memo(&head("12"));
        for number in 0..2 * MISSES_MAX {
            let text = format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n");
            let block = Bytes::copy_from_slice(text.as_bytes());
            memo.note(&RequestHead::parse(block, &Config::default()).expect("a good head"));
        }
        assert!(memo.noted.is_none());
        let long = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "y".repeat(BYTES_MAX));
        let mut memo = Memo::default();
        for _ in 0..3 {
            memo.note(
                &RequestHead::parse(Bytes::from(long.clone()), &Config::default()).expect("a good head"),
            );
        }
        assert!(memo.noted.is_none(), "a long head is not kept");
    }
}
