//! The header fields that decide framing and the connection's life, read once while a head is parsed.
//!
//! Called by the request and response parsers for every line, in order. It never merges what arrives twice:
//! two Content-Length lines, equal or not, are refused, and so is everything else that two parsers could
//! weigh differently (RFC 9112 §6.1, §6.3, §11.2).

use crate::error::HttpError;
use crate::headers::Span;
use crate::host::is_authority;
use crate::token::list_members;

/// What the known fields said. Also decides between them, in [`Fields::check_framing`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) content_length: Option<u64>,
    pub(crate) chunked: bool,
    pub(crate) host: Option<Span>,
    pub(crate) upgrade: Option<Span>,
    pub(crate) expect_continue: bool,
    pub(crate) connection_close: bool,
    pub(crate) connection_keep_alive: bool,
    pub(crate) connection_upgrade: bool,
}

impl Fields {
    /// Reads all lines of the request head `block`.
    pub(crate) fn of_request(parsed: &[httparse::Header<'_>], block: &[u8]) -> Result<Self, HttpError> {
        let mut fields = Self::default();
        for header in parsed {
            fields.note(header, block)?;
        }
        Ok(fields)
    }

    /// Reads all lines of the response head `block`. Host means nothing there, so it is not even looked at.
    pub(crate) fn of_response(parsed: &[httparse::Header<'_>], block: &[u8]) -> Result<Self, HttpError> {
        let mut fields = Self::default();
        for header in parsed.iter().filter(|header| !header.name.eq_ignore_ascii_case("host")) {
            fields.note(header, block)?;
        }
        Ok(fields)
    }

    /// The same fields of a head whose lines stand `by` bytes further on.
    pub(crate) fn moved(self, by: isize) -> Self {
        let moved = |span: Span| span.moved(by);
        Self { host: self.host.map(moved), upgrade: self.upgrade.map(moved), ..self }
    }

    /// Takes in one line. The length of the name is asked first: most lines are none of these.
    fn note(&mut self, header: &httparse::Header<'_>, block: &[u8]) -> Result<(), HttpError> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        match header.name.len() {
            4 if is("host") => self.note_host(header.value, block)?,
            6 if is("expect") => {
                self.expect_continue |= header.value.eq_ignore_ascii_case(b"100-continue");
            }
            7 if is("upgrade") => self.upgrade = self.upgrade.or(Some(Span::of(header.value, block))),
            10 if is("connection") => self.note_connection(header.value),
            14 if is("content-length") => self.note_content_length(header.value)?,
            17 if is("transfer-encoding") => self.note_transfer_encoding(header.value)?,
            _ => {}
        }
        Ok(())
    }

    fn note_host(&mut self, value: &[u8], block: &[u8]) -> Result<(), HttpError> {
        if self.host.is_some() {
            return Err(HttpError::HostDuplicate);
        }
        if !is_authority(value) {
            return Err(HttpError::HostInvalid);
        }
        self.host = Some(Span::of(value, block));
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) {
        for option in list_members(value) {
            self.connection_close |= option.eq_ignore_ascii_case(b"close");
            self.connection_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.connection_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    /// Digits only, once. `5, 5` is a list, which RFC 9110 §8.6 permits to accept and to refuse: refused.
    fn note_content_length(&mut self, value: &[u8]) -> Result<(), HttpError> {
        if self.content_length.is_some() {
            return Err(HttpError::ContentLengthDuplicate);
        }
        self.content_length = Some(parse_digits(value).ok_or(HttpError::ContentLengthInvalid)?);
        Ok(())
    }

    /// Exactly `chunked`, once. A coding in front of it would have to be undone: 501 (RFC 9112 §6.1). Where
    /// chunked is not last, or twice, the length cannot be known: 400 (§6.3).
    fn note_transfer_encoding(&mut self, value: &[u8]) -> Result<(), HttpError> {
        if self.chunked {
            return Err(HttpError::TransferEncodingDuplicate);
        }
        let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
        if !is_chunked(&value) {
            let count = list_members(value).filter(is_chunked).count();
            let is_last = list_members(value).last().is_some_and(|coding| is_chunked(&coding));
            let has_other = list_members(value).any(|coding| !is_chunked(&coding));
            return Err(match (count, is_last, has_other) {
                (1, true, true) => HttpError::TransferCodingUnsupported,
                _ => HttpError::TransferEncodingInvalid,
            });
        }
        self.chunked = true;
        Ok(())
    }

    /// What only all lines together can break. `minor` is the digit behind `HTTP/1.`.
    pub(crate) fn check_framing(&self, minor: u8) -> Result<(), HttpError> {
        if self.chunked && self.content_length.is_some() {
            return Err(HttpError::ContentLengthWithTransferEncoding);
        }
        if self.chunked && minor == 0 {
            return Err(HttpError::TransferEncodingOnHttp10);
        }
        Ok(())
    }

    /// Whether the connection may carry another message (RFC 9112 §9.3).
    pub(crate) fn keep_alive(&self, minor: u8) -> bool {
        !self.connection_close && (minor > 0 || self.connection_keep_alive)
    }
}

/// `1*DIGIT` that fits: no sign, no space, no list. Leading zeros are digits.
pub(crate) fn parse_digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_that_fit() {
        assert_eq!(parse_digits(b"0"), Some(0));
        assert_eq!(parse_digits(b"0042"), Some(42));
        assert_eq!(parse_digits(b"18446744073709551615"), Some(u64::MAX));
        for bad in [&b""[..], b"+1", b"-1", b"1 ", b"0x1", b"1,1", b"18446744073709551616", b"\xd9\xa1"] {
            assert_eq!(parse_digits(bad), None, "{bad:?}");
        }
    }
}
