//! Paths and queries of a request target, decoded strictly, once.
//!
//! The faces' router and query parsers call it. A path is split at `/` *before* its segments are decoded, so
//! that `%2F` is a character of a name and never a separator. What would mean different things to different
//! programs is an error: broken escapes, bytes that are no UTF-8 (overlong forms among them), `%00`, and the
//! segments `.` and `..` in any spelling.

use std::borrow::Cow;
use std::fmt;

/// Why a part of a target cannot be decoded. Answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TargetError {
    /// `%` without two hex digits behind it.
    EscapeInvalid,
    /// The decoded bytes are not UTF-8.
    NotUtf8,
    /// A zero byte.
    Nul,
    /// A path segment that is `.` or `..`.
    DotSegment,
}

impl TargetError {
    /// What was wrong, in words that hold nothing of what the peer sent.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::EscapeInvalid => "invalid percent escape",
            Self::NotUtf8 => "target is not UTF-8",
            Self::Nul => "zero byte in target",
            Self::DotSegment => "dot segment in path",
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for TargetError {}

/// `raw` with its escapes decoded; borrowed if there are none. `+` stays what it is.
pub fn percent_decode(raw: &str) -> Result<Cow<'_, str>, TargetError> {
    decode(raw, false)
}

/// The decoded segments of a path that begins with `/`: `/a//b%2Fc/` has `a`, the empty one, `b/c`, the empty
/// one.
/// `/` has the empty one. A path without a leading `/` (the `*` of OPTIONS) is one segment.
pub fn path_segments(path: &str) -> impl Iterator<Item = Result<Cow<'_, str>, TargetError>> {
    path.strip_prefix('/').unwrap_or(path).split('/').map(|raw| {
        let segment = percent_decode(raw)?;
        if matches!(&*segment, "." | "..") { Err(TargetError::DotSegment) } else { Ok(segment) }
    })
}

/// A decoded query parameter.
pub type QueryPair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The parameters of a query (what follows `?`), in order, duplicates kept. `+` is a space, `a` means `a=`,
/// and what stands between two `&` without anything in it is nothing.
pub fn query_pairs(query: &str) -> impl Iterator<Item = Result<QueryPair<'_>, TargetError>> {
    query.split('&').filter(|part| !part.is_empty()).map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        Ok((decode(name, true)?, decode(value, true)?))
    })
}

/// `text` with everything escaped that is not `unreserved` (RFC 3986 §2.3): fit for one path segment, one
/// query name or one query value.
pub fn percent_encode(text: &str) -> Cow<'_, str> {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    if text.bytes().all(is_unreserved) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if is_unreserved(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for nibble in [byte >> 4, byte & 0xf] {
                encoded.push(char::from(b"0123456789ABCDEF"[usize::from(nibble)]));
            }
        }
    }
    Cow::Owned(encoded)
}

fn decode(raw: &str, plus_is_space: bool) -> Result<Cow<'_, str>, TargetError> {
    let is_special = |byte: &u8| *byte == b'%' || *byte == 0 || (plus_is_space && *byte == b'+');
    let Some(plain) = raw.as_bytes().iter().position(is_special) else {
        return Ok(Cow::Borrowed(raw));
    };
    let (plain, mut rest) = raw.as_bytes().split_at(plain);
    let mut decoded = Vec::with_capacity(raw.len());
    decoded.extend_from_slice(plain);
    while let [first, tail @ ..] = rest {
        let (byte, tail) = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => (hex_value(*high)? << 4 | hex_value(*low)?, tail),
            (b'%', _) => return Err(TargetError::EscapeInvalid),
            (b'+', tail) if plus_is_space => (b' ', tail),
            (byte, tail) => (*byte, tail),
        };
        if byte == 0 {
            return Err(TargetError::Nul);
        }
        decoded.push(byte);
        rest = tail;
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| TargetError::NotUtf8)
}

fn hex_value(digit: u8) -> Result<u8, TargetError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(TargetError::EscapeInvalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TargetError::{DotSegment, EscapeInvalid, NotUtf8, Nul};

    fn segments(path: &str) -> Result<Vec<String>, TargetError> {
        path_segments(path).map(|segment| segment.map(Cow::into_owned)).collect()
    }

    fn pairs(query: &str) -> Result<Vec<(String, String)>, TargetError> {
        query_pairs(query).map(|pair| pair.map(|(n, v)| (n.into_owned(), v.into_owned()))).collect()
    }

    #[test]
    fn paths_are_split_before_they_are_decoded() {
        for (path, expected) in [
            ("/", &[""][..]),
            ("*", &["*"]),
            ("/a", &["a"]),
            ("/a/", &["a", ""]),
            ("/a//b%2Fc/", &["a", "", "b/c", ""]),
            ("/a+b%20c", &["a+b c"]),
            ("/%C3%B6/\u{f6}", &["\u{f6}", "\u{f6}"]),
            ("/.../.a/..a", &["...", ".a", "..a"]),
            ("/%25%32%46", &["%2F"]),
        ] {
            assert_eq!(
                segments(path).as_deref(),
                Ok(&expected.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..]),
                "{path}"
            );
        }
    }

    #[test]
    fn paths_that_can_be_misread_are_refused() {
        for (path, error) in [
            ("/a%", EscapeInvalid),
            ("/a%2", EscapeInvalid),
            ("/a%2/b", EscapeInvalid),
            ("/%zz", EscapeInvalid),
            ("/%+1", EscapeInvalid),
            ("/%00", Nul),
            ("/a\0", Nul),
            ("/%ff", NotUtf8),
            ("/%c0%af", NotUtf8),
            ("/%ed%a0%80", NotUtf8),
            ("/..", DotSegment),
            ("/a/./b", DotSegment),
            ("/%2e%2E/b", DotSegment),
            ("/.%2e", DotSegment),
            ("..", DotSegment),
        ] {
            assert_eq!(segments(path), Err(error), "{path}");
        }
    }

    #[test]
    fn queries_keep_order_and_duplicates() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for (query, expected) in [
            ("", vec![]),
            ("&&", vec![]),
            ("a", vec![pair("a", "")]),
            ("a=", vec![pair("a", "")]),
            ("=b", vec![pair("", "b")]),
            ("a=1&b=2&a=3", vec![pair("a", "1"), pair("b", "2"), pair("a", "3")]),
            ("a=b=c", vec![pair("a", "b=c")]),
            ("a+b=c%2Bd+e", vec![pair("a b", "c+d e")]),
            ("s=b:a/b:1&%73=%26%3D", vec![pair("s", "b:a/b:1"), pair("s", "&=")]),
            ("p=/../x?y", vec![pair("p", "/../x?y")]),
        ] {
            assert_eq!(pairs(query), Ok(expected), "{query}");
        }
        for (query, error) in
            [("a=%", EscapeInvalid), ("%f", EscapeInvalid), ("a=%00", Nul), ("a=%80", NotUtf8)]
        {
            assert_eq!(pairs(query), Err(error), "{query}");
        }
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        assert!(matches!(percent_decode("a+b"), Ok(Cow::Borrowed("a+b"))));
        assert!(matches!(percent_encode("a-b_c.d~9"), Cow::Borrowed("a-b_c.d~9")));
        assert_eq!(percent_encode("a/b +\u{f6}%"), "a%2Fb%20%2B%C3%B6%25");
    }

    #[test]
    fn every_error_says_what_was_wrong() {
        for error in [EscapeInvalid, NotUtf8, Nul, DotSegment] {
            assert_eq!(error.to_string(), error.reason());
        }
    }
}
