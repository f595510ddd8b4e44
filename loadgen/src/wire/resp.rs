//! RESP2, the protocol of Redis, from a client: commands out, replies in.
//!
//! Used by the Redis wires. A reply is taken from the buffer once it is all there; any split of the input
//! gives the same replies. Bounds: depth [`DEPTH_MAX`], one string [`STRING_BYTES_MAX`]; a claimed length
//! never allocates anything.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::fmt;

/// Deepest nesting of arrays. XREAD answers with four.
pub(crate) const DEPTH_MAX: usize = 8;
/// Longest string taken, as Redis' own default limit.
pub(crate) const STRING_BYTES_MAX: usize = 512 << 20;
/// Longest line of a simple string, an error or a number.
const LINE_BYTES_MAX: usize = 64 << 10;

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `+OK`
    Simple(Bytes),
    /// `-ERR …`
    Error(Bytes),
    /// `:1`
    Integer(i64),
    /// `$2\r\nhi`; `None` for `$-1`.
    Bulk(Option<Bytes>),
    /// `*2 …`; `None` for `*-1`.
    Array(Option<Vec<Reply>>),
}

/// Bytes that are no RESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RespFault {
    /// A reply begins with a byte that no kind of reply begins with.
    KindUnknown(u8),
    /// A line does not end, or ends without CR LF.
    LineInvalid,
    /// A number or a length that is none.
    NumberInvalid,
    /// A string is longer than [`STRING_BYTES_MAX`].
    StringTooLong,
    /// Arrays are nested deeper than [`DEPTH_MAX`].
    TooDeep,
}

impl fmt::Display for RespFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RespFault::KindUnknown(byte) => write!(f, "a RESP reply cannot begin with byte {byte:#04x}"),
            RespFault::LineInvalid => f.write_str("a RESP line does not end with CR LF"),
            RespFault::NumberInvalid => f.write_str("a RESP number is none"),
            RespFault::StringTooLong => write!(f, "a RESP string is over {STRING_BYTES_MAX} bytes"),
            RespFault::TooDeep => write!(f, "RESP arrays are nested deeper than {DEPTH_MAX}"),
        }
    }
}

/// Appends a command.
pub(crate) fn encode_command(parts: &[&[u8]], out: &mut BytesMut) {
    write_length(b'*', parts.len(), out);
    for part in parts {
        write_length(b'$', part.len(), out);
        out.put_slice(part);
        out.put_slice(b"\r\n");
    }
}

/// Appends `KIND LENGTH CR LF`.
pub(crate) fn write_length(kind: u8, length: usize, out: &mut BytesMut) {
    out.put_u8(kind);
    out.put_slice(length.to_string().as_bytes());
    out.put_slice(b"\r\n");
}

/// Takes the next reply from `buf`, once it is there.
pub(crate) fn decode_reply(buf: &mut BytesMut) -> Result<Option<Reply>, RespFault> {
    // Its length is found first without touching anything, so that an incomplete reply costs no copy.
    let Some(length) = measure(buf, 0)? else { return Ok(None) };
    let mut whole = buf.split_to(length).freeze();
    let reply = take(&mut whole);
    assert!(whole.is_empty(), "a reply is as long as it was measured");
    Ok(Some(reply))
}

/// The length of the reply at the beginning of `bytes`; `None` while it is incomplete.
fn measure(bytes: &[u8], depth: usize) -> Result<Option<usize>, RespFault> {
    let Some(kind) = bytes.first() else { return Ok(None) };
    if !b"+-:$*".contains(kind) {
        return Err(RespFault::KindUnknown(*kind));
    }
    let Some(line) = line_length(bytes)? else { return Ok(None) };
    let text = &bytes[1..line - 2];
    match kind {
        b'+' | b'-' => Ok(Some(line)),
        b':' => number(text).map(|_| Some(line)),
        b'$' => measure_string(bytes, line, number(text)?),
        _ => {
            let mut length = line;
            for _ in 0..number(text)?.max(0) {
                if depth == DEPTH_MAX {
                    return Err(RespFault::TooDeep);
                }
                match measure(&bytes[length..], depth + 1)? {
                    Some(more) => length += more,
                    None => return Ok(None),
                }
            }
            Ok(Some(length))
        }
    }
}

fn measure_string(bytes: &[u8], line: usize, length: i64) -> Result<Option<usize>, RespFault> {
    if length < 0 {
        return Ok(Some(line));
    }
    let length = usize::try_from(length).ok().filter(|length| *length <= STRING_BYTES_MAX);
    let end = line + length.ok_or(RespFault::StringTooLong)? + 2;
    match bytes.get(end - 2..end) {
        Some(b"\r\n") => Ok(Some(end)),
        Some(_) => Err(RespFault::LineInvalid),
        None => Ok(None),
    }
}

/// The length of the first line with its end; `None` while the end is not there.
fn line_length(bytes: &[u8]) -> Result<Option<usize>, RespFault> {
    let window = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    match memchr::memchr(b'\n', window) {
        Some(at) if window[at - 1] == b'\r' && at >= 2 => Ok(Some(at + 1)),
        Some(_) => Err(RespFault::LineInvalid),
        None if window.len() == LINE_BYTES_MAX => Err(RespFault::LineInvalid),
        None => Ok(None),
    }
}

fn number(text: &[u8]) -> Result<i64, RespFault> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(RespFault::NumberInvalid);
    }
    let text = std::str::from_utf8(text).map_err(|_| RespFault::NumberInvalid)?;
    text.parse().map_err(|_| RespFault::NumberInvalid)
}

/// Takes a reply that was measured.
fn take(bytes: &mut Bytes) -> Reply {
    let line = line_length(bytes).ok().flatten().expect("it was measured");
    let kind = bytes[0];
    let text = bytes.slice(1..line - 2);
    bytes.advance(line);
    if kind == b'+' {
        return Reply::Simple(text);
    }
    if kind == b'-' {
        return Reply::Error(text);
    }
    let number = number(&text).expect("it was measured");
    match kind {
        b':' => Reply::Integer(number),
        b'$' if number < 0 => Reply::Bulk(None),
        b'$' => {
            let string = bytes.split_to(number as usize);
            bytes.advance(2);
            Reply::Bulk(Some(string))
        }
        _ if number < 0 => Reply::Array(None),
        _ => Reply::Array(Some((0..number).map(|_| take(bytes)).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(reply: &Reply, out: &mut BytesMut) {
        match reply {
            Reply::Simple(text) => out.put_slice(&[b"+", &text[..], b"\r\n"].concat()),
            Reply::Error(text) => out.put_slice(&[b"-", &text[..], b"\r\n"].concat()),
            Reply::Integer(number) => out.put_slice(format!(":{number}\r\n").as_bytes()),
            Reply::Bulk(None) => out.put_slice(b"$-1\r\n"),
            Reply::Bulk(Some(text)) => {
                write_length(b'$', text.len(), out);
                out.put_slice(&[&text[..], b"\r\n"].concat());
            }
            Reply::Array(None) => out.put_slice(b"*-1\r\n"),
            Reply::Array(Some(parts)) => {
                write_length(b'*', parts.len(), out);
                parts.iter().for_each(|part| encode(part, out));
            }
        }
    }

    fn replies() -> impl Strategy<Value = Reply> {
        let line = || "[a-zA-Z 0-9]{0,12}".prop_map(|text| Bytes::from(text.into_bytes()));
        let leaf = prop_oneof![
            line().prop_map(Reply::Simple),
            line().prop_map(Reply::Error),
            any::<i64>().prop_map(Reply::Integer),
            prop::option::of(prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from))
                .prop_map(Reply::Bulk),
            Just(Reply::Array(None)),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop::collection::vec(inner, 0..4).prop_map(|parts| Reply::Array(Some(parts)))
        })
    }

    fn decode_in_pieces(bytes: &[u8], piece: usize) -> Result<Vec<Reply>, RespFault> {
        let (mut buf, mut found) = (BytesMut::new(), Vec::new());
        for part in bytes.chunks(piece) {
            buf.extend_from_slice(part);
            while let Some(reply) = decode_reply(&mut buf)? {
                found.push(reply);
            }
        }
        Ok(found)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_in_any_split(
            all in prop::collection::vec(replies(), 0..5), piece in 1..40usize,
        ) {
            let mut bytes = BytesMut::new();
            all.iter().for_each(|reply| encode(reply, &mut bytes));
            prop_assert_eq!(decode_in_pieces(&bytes, piece), Ok(all));
        }

        #[test]
        fn no_input_panics_and_any_split_gives_the_same(
            bytes in prop::collection::vec(prop::sample::select(b"+-:$*019\r\nA".to_vec()), 0..60),
            piece in 1..60usize,
        ) {
            prop_assert_eq!(decode_in_pieces(&bytes, piece), decode_in_pieces(&bytes, 1));
        }
    }

    #[test]
    fn a_command_is_an_array_of_strings() {
        let mut out = BytesMut::new();
        encode_command(&[b"XADD", b"s", b"*"], &mut out);
        assert_eq!(&out[..], b"*3\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n");
    }

    #[test]
    fn faults_are_named() {
        let long = format!("${}\r\n", STRING_BYTES_MAX + 1);
        let deep = "*1\r\n".repeat(DEPTH_MAX + 1);
        for (text, fault) in [
            ("?1\r\n", RespFault::KindUnknown(b'?')),
            ("+OK\n", RespFault::LineInvalid),
            ("$2\r\nhixx", RespFault::LineInvalid),
            (":1x\r\n", RespFault::NumberInvalid),
            ("*99999999999999999999\r\n", RespFault::NumberInvalid),
            (&long, RespFault::StringTooLong),
            (&deep, RespFault::TooDeep),
        ] {
            assert_eq!(decode_reply(&mut BytesMut::from(text)), Err(fault), "{text}");
        }
    }
}
