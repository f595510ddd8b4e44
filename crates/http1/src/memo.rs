//! The last head of a connection, so that the same one again is recognized instead of parsed.
//!
//! A client that appends sends the same head over and over, but for the stream's path and the length of the
//! body. Parsing is a function of the head's bytes alone: equal bytes are an equal head; digits of a
//! Content-Length that are others, but as many, change nothing but that length; another path of plain
//! characters changes nothing but the target, and where the rest stands. The decoder asks before it looks at
//! a head and tells what it has parsed. A client whose heads keep differing is no longer noted.

use bytes::{Buf, Bytes, BytesMut};

use crate::config::Config;
use crate::fields::parse_digits;
use crate::head::RequestHead;
use crate::headers::Span;
use crate::request_target::TargetParts;

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
    /// Where the target lies, if it is a path.
    target: Option<Span>,
}

/// A head that is another only in its target and its Content-Length.
struct Similar {
    /// Bytes of the head.
    bytes: usize,
    /// Where its target lies.
    target: Span,
    content_length: Option<u64>,
}

impl Memo {
    /// Takes a head off the front of `buf` if it is the one that is noted, or one like it within the limits
    /// of `config`.
    pub(crate) fn recall(&mut self, buf: &mut BytesMut, config: &Config) -> Option<RequestHead> {
        let noted = self.noted.as_deref()?;
        let block = noted.head.headers().block();
        let head = match buf.get(..block.len()) {
            Some(found) if found == block => {
                buf.advance(block.len());
                noted.head.clone()
            }
            found => match found.and_then(|found| noted.with_other_length(found)) {
                Some(length) => noted.head.with_length(buf.split_to(block.len()).freeze(), length),
                None => noted.with_other_target(buf, config)?,
            },
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
        let target = head.path_target();
        // A copy: the read buffer must not be kept alive by what is only remembered.
        let head = head.with_block(Bytes::copy_from_slice(block));
        self.noted = Some(Box::new(Noted { head, length, target }));
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

    /// Takes the head off the front of `buf` if it is another only in its target and its Content-Length.
    fn with_other_target(&self, buf: &mut BytesMut, config: &Config) -> Option<RequestHead> {
        let Similar { bytes, target, content_length } = self.find_similar(buf, config)?;
        let by = bytes as isize - self.head.headers().block().len() as isize;
        let text = std::str::from_utf8(target.of_block(buf)).ok()?;
        let parts = TargetParts::split(text, buf, false).ok()?;
        Some(self.head.with_target(buf.split_to(bytes).freeze(), parts, by, content_length))
    }

    fn find_similar(&self, buf: &[u8], config: &Config) -> Option<Similar> {
        let block = self.head.headers().block();
        let noted = self.target?.range();
        let (method, after) = (&block[..noted.start], &block[noted.end..]);
        if !buf.starts_with(method) || buf.get(noted.start) != Some(&b'/') {
            return None;
        }
        // One more than the target may have: the byte that ends it.
        let bytes_max = config.target_bytes_max.saturating_add(1).min(BYTES_MAX);
        let target = &buf[noted.start..(noted.start + bytes_max).min(buf.len())];
        let len = target.iter().position(|byte| !IS_PLAIN[usize::from(*byte)])?;
        let found = buf[noted.start + len..].get(..after.len())?;
        let bytes = noted.start + len + after.len();
        let content_length = match self.length.map(Span::range) {
            Some(digits) => {
                let (start, end) = (digits.start - noted.end, digits.end - noted.end);
                let is_same_around = found[..start] == after[..start] && found[end..] == after[end..];
                Some(parse_digits(&found[start..end]).filter(|_| is_same_around)?)
            }
            None if found == after => None,
            None => return None,
        };
        let target = Span::new(noted.start, len);
        (bytes <= config.head_bytes_max).then_some(Similar { bytes, target, content_length })
    }
}

/// Characters that never make a target that begins with `/` invalid, or of another form: letters, digits, and
/// some of RFC 3986's unreserved and reserved ones.
const IS_PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(byte as u8, b'/' | b'-' | b'_' | b'.' | b'~' | b'%' | b'?' | b'=' | b'&');
        byte += 1;
    }
    plain
};

#[cfg(test)]
mod tests {
    use super::*;

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
        let head = memo.recall(&mut buf, &Config::default())?;
        let shown = head.header("content-length").expect("it has one");
        assert_eq!(parse_digits(shown), head.content_length(), "the header says what the head says");
        Some((head.content_length().expect("it has one"), buf.to_vec()))
    }

    fn recall_bytes(memo: &mut Memo, bytes: &[u8]) -> Option<RequestHead> {
        memo.recall(&mut BytesMut::from(bytes), &Config::default())
    }

    /// Everything that a head says.
    fn told(head: &RequestHead) -> String {
        let lines: Vec<(&str, &[u8])> = head.headers().iter().collect();
        let target = (head.raw_target(), head.path(), head.query(), head.host(), head.upgrade());
        let rest = (head.content_length(), head.keep_alive(), head.expect_continue(), head.chunked());
        format!("{} {:?} {target:?} {lines:?} {rest:?}", head.method_name(), head.version())
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
            assert!(recall_bytes(&mut memo, &bytes).is_none(), "byte {at}");
            assert!(recall_bytes(&mut memo, &good.as_bytes()[..at]).is_none(), "{at} bytes");
        }
    }

    #[test]
    fn a_head_with_another_path_says_what_it_says_when_parsed() {
        let lines = [
            "Host: h\r\nContent-Length: 12\r\nX: y\r\n\r\n",
            "Content-Length: 12\r\nhost: example.com:80\r\nConnection: upgrade, close\r\nUpgrade: z\r\n\r\n",
            "Host:\t h \r\n\r\n",
            &("Host: h\r\nContent-Length: 12\r\n".to_owned() + &"N: v\r\n".repeat(30) + "\r\n"),
        ];
        let targets =
            ["/", "/a", "/b", "/b/c?d=e&f", "/%41/~x_y-z.?", "/a//b", &format!("/{}", "s".repeat(90))];
        for lines in lines {
            for (from, to) in targets.iter().flat_map(|from| targets.map(|to| (from, to))) {
                let text = |target: &str| format!("POST {target} HTTP/1.1\r\n{lines}");
                let mut memo = memo(&text(from));
                let other = text(to).replace("Length: 12", "Length: 34");
                let mut buf = BytesMut::from(format!("{other}body").as_str());
                let recalled = memo.recall(&mut buf, &Config::default()).expect("it is like the noted one");
                let parsed = RequestHead::parse(Bytes::from(other), &Config::default()).expect("a good head");
                assert_eq!(told(&recalled), told(&parsed));
                assert_eq!(&buf[..], b"body");
            }
        }
    }

    #[test]
    fn a_head_with_a_target_that_needs_a_parser_is_not_recalled() {
        let lines = "Host: h\r\nContent-Length: 1\r\n\r\n";
        let text = |target: &str| format!("POST {target} HTTP/1.1\r\n{lines}");
        let long = format!("/{}", "s".repeat(BYTES_MAX));
        for other in
            ["", "*", "a", "/a#b", "/a b", "/a\r", "/\u{e9}", "/\u{0}", "http://other/a", "//a\tb", &long]
        {
            let mut memo = memo(&text("/a"));
            assert!(recall_bytes(&mut memo, text(other).as_bytes()).is_none(), "{other:?}");
        }
        let mut memo = memo(&text("http://h/a"));
        assert!(recall_bytes(&mut memo, text("/a").as_bytes()).is_none(), "the target named the host");
        let options = |target: &str| text(target).replace("POST", "OPTIONS");
        for (from, to) in [("*", "/a"), ("/a", "*")] {
            let mut memo = self::memo(&options(from));
            assert!(recall_bytes(&mut memo, options(to).as_bytes()).is_none(), "{from} and then {to}");
        }
    }

    #[test]
    fn the_limits_hold_for_what_is_recalled() {
        let text = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let long = text("/abcdefgh");
        for (config, is_taken) in [
            (Config { target_bytes_max: 8, ..Config::default() }, false),
            (Config { target_bytes_max: 9, ..Config::default() }, true),
            (Config { target_bytes_max: usize::MAX, ..Config::default() }, true),
            (Config { head_bytes_max: long.len() - 1, ..Config::default() }, false),
            (Config { head_bytes_max: long.len(), ..Config::default() }, true),
        ] {
            let mut memo = memo(&text("/a"));
            let recalled = memo.recall(&mut BytesMut::from(long.as_str()), &config);
            assert_eq!(recalled.is_some(), is_taken, "{config:?}");
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
