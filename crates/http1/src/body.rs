//! The body of one message, taken out of the read buffer piece by piece (RFC 9112 §6.3).
//!
//! Called by the request and the response decoder once a head is parsed. It enforces the body limit before
//! the bytes arrive where the length is announced, and as they are announced where it comes in chunks.
//!
//! Invariant: delivered bytes plus `budget` = the limit, as long as `refill` is not called.

use bytes::{Bytes, BytesMut};

use crate::chunked::ChunkedDecoder;
use crate::config::Config;
use crate::error::HttpError;

/// What came out of the buffer.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Some of the body; never empty.
    Bytes(Bytes),
    /// The body, its trailers included, is over.
    End,
}

#[derive(Clone, Debug)]
enum Framing {
    Length { left: u64 },
    Chunked(ChunkedDecoder),
    UntilClose,
}

/// Decodes one body.
#[derive(Clone, Debug)]
pub(crate) struct BodyDecoder {
    framing: Framing,
    budget: u64,
}

impl BodyDecoder {
    /// A body of `length` bytes.
    pub(crate) fn with_length(length: u64, config: &Config) -> Self {
        Self { framing: Framing::Length { left: length }, budget: config.body_bytes_max }
    }

    /// A body in chunks.
    pub(crate) fn chunked(config: &Config) -> Self {
        Self { framing: Framing::Chunked(ChunkedDecoder::new(config)), budget: config.body_bytes_max }
    }

    /// A body that ends with the connection; only responses have such.
    pub(crate) fn until_close(config: &Config) -> Self {
        Self { framing: Framing::UntilClose, budget: config.body_bytes_max }
    }

    /// Takes the next piece from `buf`; `None` means that more bytes are needed.
    pub(crate) fn next(&mut self, buf: &mut BytesMut) -> Result<Option<Piece>, HttpError> {
        let left = match &mut self.framing {
            Framing::Chunked(chunks) => return chunks.next(buf, &mut self.budget),
            Framing::Length { left: 0 } => return Ok(Some(Piece::End)),
            Framing::Length { left } if *left > self.budget => return Err(HttpError::BodyTooLarge),
            Framing::Length { left } => *left,
            Framing::UntilClose if self.budget == 0 && !buf.is_empty() => {
                return Err(HttpError::BodyTooLarge);
            }
            Framing::UntilClose => self.budget,
        };
        if buf.is_empty() {
            return Ok(None);
        }
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        self.budget -= taken as u64;
        if let Framing::Length { left } = &mut self.framing {
            *left -= taken as u64;
        }
        Ok(Some(Piece::Bytes(buf.split_to(taken).freeze())))
    }

    /// What is still to come, if it was announced.
    pub(crate) fn announced_left(&self) -> Option<u64> {
        match self.framing {
            Framing::Length { left } => Some(left),
            Framing::Chunked(_) | Framing::UntilClose => None,
        }
    }

    /// Whether the end of the connection is the end of this body.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self.framing, Framing::UntilClose)
    }

    /// Allows `bytes_max` more from here, whatever was allowed before.
    pub(crate) fn refill(&mut self, bytes_max: u64) {
        self.budget = bytes_max;
    }
}

/// Puts the pieces of a body together. One piece stays what it is, a view; the second makes it a copy.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    first: Bytes,
    joined: BytesMut,
}

impl Gathered {
    pub(crate) fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() && self.joined.is_empty() {
            self.first = piece;
            return;
        }
        self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        self.joined.extend_from_slice(&piece);
    }

    /// The body so far; empty again afterwards.
    pub(crate) fn take(&mut self) -> Bytes {
        if self.joined.is_empty() { std::mem::take(&mut self.first) } else { self.joined.split().freeze() }
    }
}
