//! The chunked transfer coding (RFC 9112 §7.1), both ways.
//!
//! The decoder takes sizes, data, line ends and trailers out of the read buffer and yields the data as views
//! into it. Extensions and trailers are checked, counted against a limit and dropped. A size is never trusted
//! further than the caller's budget, and nothing is ever allocated for one.
//!
//! Invariant: `state` says what the first byte of the buffer is, also after an error about the budget, so
//! that a body that is too large can still be drained.

use bytes::{Buf, BufMut, BytesMut};

use crate::body::Piece;
use crate::config::{Config, HEADERS_CAP};
use crate::diagnose;
use crate::error::HttpError;
use crate::scan::LineScan;

/// Longest size line with its extensions and its line end. Real ones have 3 to 10 bytes.
const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Most hex digits of a size: 64 bits.
const CHUNK_SIZE_DIGITS_MAX: usize = 16;

#[derive(Clone, Copy, Debug)]
enum State {
    Size,
    Data { left: u64 },
    DataEnd,
    Trailers,
    Done,
}

/// Decodes one chunked body.
#[derive(Clone, Debug)]
pub(crate) struct ChunkedDecoder {
    state: State,
    trailers: LineScan,
    /// What extensions may still take: unbounded, they would be work without progress.
    extension_bytes_left: usize,
    trailer_bytes_max: usize,
    trailers_max: usize,
}

impl ChunkedDecoder {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            state: State::Size,
            trailers: LineScan::default(),
            extension_bytes_left: config.head_bytes_max,
            trailer_bytes_max: config.head_bytes_max,
            trailers_max: config.headers_max,
        }
    }

    /// Takes the next piece from `buf`; `None` means that more bytes are needed. `budget` is how much data
    /// the body may still have: an announced chunk beyond it is [`HttpError::BodyTooLarge`] before its data
    /// is looked at.
    pub(crate) fn next(&mut self, buf: &mut BytesMut, budget: &mut u64) -> Result<Option<Piece>, HttpError> {
        loop {
            match self.state {
                State::Size => match self.take_size(buf)? {
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::Data { left: size },
                    None => return Ok(None),
                },
                State::Data { left } => return self.take_data(buf, left, budget),
                State::DataEnd => {
                    if !take_line_end(buf)? {
                        return Ok(None);
                    }
                    self.state = State::Size;
                }
                State::Trailers => {
                    if !self.take_trailers(buf)? {
                        return Ok(None);
                    }
                    self.state = State::Done;
                }
                State::Done => return Ok(Some(Piece::End)),
            }
        }
    }

    fn take_size(&mut self, buf: &mut BytesMut) -> Result<Option<u64>, HttpError> {
        let window = &buf[..buf.len().min(CHUNK_LINE_BYTES_MAX)];
        let Some(line_feed) = memchr::memchr(b'\n', window) else {
            let is_full = window.len() == CHUNK_LINE_BYTES_MAX;
            return if is_full { Err(HttpError::ChunkLineTooLong) } else { Ok(None) };
        };
        let line = window[..line_feed].strip_suffix(b"\r").ok_or(HttpError::BareLf)?;
        let (size, extension_bytes) = parse_size_line(line)?;
        let left = self.extension_bytes_left.checked_sub(extension_bytes);
        self.extension_bytes_left = left.ok_or(HttpError::ChunkExtensionsTooLong)?;
        buf.advance(line_feed + 1);
        Ok(Some(size))
    }

    fn take_data(
        &mut self,
        buf: &mut BytesMut,
        left: u64,
        budget: &mut u64,
    ) -> Result<Option<Piece>, HttpError> {
        if left > *budget {
            return Err(HttpError::BodyTooLarge);
        }
        if buf.is_empty() {
            return Ok(None);
        }
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let left = left - taken as u64;
        *budget -= taken as u64;
        self.state = if left == 0 { State::DataEnd } else { State::Data { left } };
        Ok(Some(Piece::Bytes(buf.split_to(taken).freeze())))
    }

    fn take_trailers(&mut self, buf: &mut BytesMut) -> Result<bool, HttpError> {
        let window = &buf[..buf.len().min(self.trailer_bytes_max)];
        let Some(end) = self.trailers.find_end(window)? else {
            let is_full = window.len() == self.trailer_bytes_max;
            return if is_full { Err(HttpError::TrailersTooLarge) } else { Ok(false) };
        };
        let mut slots = [httparse::EMPTY_HEADER; HEADERS_CAP];
        let section = &window[..end];
        let parsed = httparse::parse_headers(section, &mut slots[..self.trailers_max]);
        if let Err(error) = parsed {
            return Err(diagnose::header_section(section, error));
        }
        buf.advance(end);
        Ok(true)
    }
}

/// The size that `line` announces, and how many bytes its extensions take.
fn parse_size_line(line: &[u8]) -> Result<(u64, usize), HttpError> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits == 0 {
        return Err(HttpError::ChunkSizeInvalid);
    }
    if digits > CHUNK_SIZE_DIGITS_MAX {
        return Err(HttpError::ChunkSizeTooLong);
    }
    let (size, extension) = line.split_at(digits);
    check_extension(extension)?;
    // 16 digits of 4 bits fit 64 bits, so nothing is shifted out.
    let size = size.iter().fold(0u64, |size, digit| size << 4 | u64::from(hex_value(*digit)));
    Ok((size, extension.len()))
}

/// Nothing, or `BWS ";"` and text (RFC 9112 §7.1.1). What the text says does not matter, control characters
/// do.
fn check_extension(extension: &[u8]) -> Result<(), HttpError> {
    if extension.is_empty() {
        return Ok(());
    }
    if !extension.trim_ascii_start().starts_with(b";") {
        return Err(HttpError::ChunkSizeInvalid);
    }
    if !crate::token::is_field_value(extension) {
        return Err(HttpError::ChunkExtensionInvalid);
    }
    Ok(())
}

const fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// Takes the CRLF behind a chunk's data; `false` if it is not there yet.
fn take_line_end(buf: &mut BytesMut) -> Result<bool, HttpError> {
    match buf.as_ref() {
        [b'\r', b'\n', ..] => {
            buf.advance(2);
            Ok(true)
        }
        [] | [b'\r'] => Ok(false),
        _ => Err(HttpError::ChunkEndMissing),
    }
}

/// Appends `piece` to `out` as one chunk. An empty piece writes nothing: an empty chunk would end the body.
pub fn write_chunk(out: &mut BytesMut, piece: &[u8]) {
    if piece.is_empty() {
        return;
    }
    out.reserve(piece.len() + CHUNK_SIZE_DIGITS_MAX + 4);
    let digits = (usize::BITS - piece.len().leading_zeros()).div_ceil(4);
    for index in (0..digits).rev() {
        let nibble = piece.len() >> (index * 4) & 0xf;
        out.put_u8(b"0123456789abcdef"[nibble]);
    }
    out.put_slice(b"\r\n");
    out.put_slice(piece);
    out.put_slice(b"\r\n");
}

/// Appends the end of a chunked body to `out`.
pub fn write_last_chunk(out: &mut BytesMut) {
    out.put_slice(b"0\r\n\r\n");
}
