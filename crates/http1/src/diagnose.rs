//! Why a head was refused: turns `httparse`'s few codes into the precise reason, on the failure path only.
//!
//! Called with a complete head (every line ends in CRLF) after the parser refused it. It always gives an
//! error: what it cannot name it reports by the parser's own code, so a refusal never becomes an acceptance
//! here.

use crate::error::HttpError;
use crate::token::{is_field_value, is_token, is_token_byte};

/// The reason why the request head `block` was refused with `error`.
pub(crate) fn request_head(block: &[u8], error: httparse::Error) -> HttpError {
    let (line, headers) = split_line(block);
    request_line(line).unwrap_or_else(|| header_section(headers, error))
}

/// The reason why the response head `block` was refused with `error`.
pub(crate) fn response_head(block: &[u8], error: httparse::Error) -> HttpError {
    let (line, headers) = split_line(block);
    match (error, line.get(..8).unwrap_or(line)) {
        // The version is sound; what is missing is the space behind it.
        (httparse::Error::Version, b"HTTP/1.0" | b"HTTP/1.1") => HttpError::StatusLineInvalid,
        (httparse::Error::Version, text) => version(text),
        (httparse::Error::Status, _) => HttpError::StatusLineInvalid,
        _ => header_section(headers, error),
    }
}

/// The reason why header lines (of a head or of trailers) were refused with `error`.
pub(crate) fn header_section(section: &[u8], error: httparse::Error) -> HttpError {
    if error == httparse::Error::TooManyHeaders {
        return HttpError::TooManyHeaders;
    }
    let mut rest = section;
    while !rest.is_empty() {
        let (line, tail) = split_line(rest);
        if let Some(reason) = header_line(line) {
            return reason;
        }
        rest = tail;
    }
    match error {
        httparse::Error::HeaderName => HttpError::HeaderNameInvalid,
        httparse::Error::HeaderValue => HttpError::ControlInValue,
        _ => HttpError::RequestLineInvalid,
    }
}

/// The first line without its CRLF, and what follows.
fn split_line(block: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\n', block).map_or(block.len(), |at| at + 1);
    let (line, rest) = block.split_at(end);
    (line.strip_suffix(b"\r\n").unwrap_or(line), rest)
}

fn request_line(line: &[u8]) -> Option<HttpError> {
    if memchr::memchr(b'\r', line).is_some() {
        return Some(HttpError::BareCr);
    }
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let method = parts.next().unwrap_or_default();
    if !is_token(method) {
        return Some(HttpError::MethodInvalid);
    }
    let target = parts.next().unwrap_or_default();
    if target.is_empty() {
        return Some(HttpError::RequestLineInvalid);
    }
    if !target.is_ascii() {
        return Some(HttpError::TargetNotAscii);
    }
    if target.iter().any(u8::is_ascii_control) {
        return Some(HttpError::TargetInvalid);
    }
    match parts.next() {
        None => Some(HttpError::VersionMissing),
        Some(b"HTTP/1.1" | b"HTTP/1.0") => None,
        Some(text) => Some(version(text)),
    }
}

/// `HTTP/2.0` is a version we do not speak; `http/1.1` or `HTTP/1.1 ` is none.
fn version(text: &[u8]) -> HttpError {
    match text {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            HttpError::VersionUnsupported
        }
        _ => HttpError::VersionInvalid,
    }
}

fn header_line(line: &[u8]) -> Option<HttpError> {
    if line.is_empty() {
        return None;
    }
    if matches!(line[0], b' ' | b'\t') {
        return Some(HttpError::ObsoleteFold);
    }
    if memchr::memchr(b'\r', line).is_some() {
        return Some(HttpError::BareCr);
    }
    let Some(colon) = memchr::memchr(b':', line) else {
        let is_name = line.iter().all(|byte| is_token_byte(*byte) || matches!(byte, b' ' | b'\t'));
        return Some(if is_name { HttpError::ColonMissing } else { HttpError::HeaderNameInvalid });
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if matches!(name, [before @ .., b' ' | b'\t'] if is_token(before.trim_ascii_end())) {
        return Some(HttpError::SpaceBeforeColon);
    }
    if !is_token(name) {
        return Some(HttpError::HeaderNameInvalid);
    }
    (!is_field_value(value)).then_some(HttpError::ControlInValue)
}
