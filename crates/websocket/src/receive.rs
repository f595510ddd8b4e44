//! Received bytes on their way to frames: holds what is incomplete, finds headers, unmasks in place.
//!
//! Owned by the connection. A payload is unmasked as it arrives and each byte once; a complete one is split
//! off without a copy. Invariant: `plain_bytes <= received.len()`, and `plain_bytes == 0` between frames.

use crate::frame::{FrameHeader, decode_header};
use crate::mask::apply_mask;
use crate::violation::Violation;
use bytes::{Buf, BytesMut};

/// The received bytes that are not yet a frame.
#[derive(Debug, Default)]
pub(crate) struct Received {
    received: BytesMut,
    /// Bytes at the front that belong to the current payload and are unmasked.
    plain_bytes: usize,
}

impl Received {
    /// Takes all of `input`. Copies nothing when nothing is held or `input` follows in the same memory.
    pub(crate) fn take_input(&mut self, input: &mut BytesMut) {
        if self.received.is_empty() {
            self.received = input.split();
        } else {
            self.received.unsplit(input.split());
        }
    }

    /// Takes the header at the front, if it is complete.
    pub(crate) fn take_header(&mut self) -> Result<Option<FrameHeader>, Violation> {
        assert_eq!(self.plain_bytes, 0, "the last payload was taken");
        let Some((header, header_bytes)) = decode_header(&self.received)? else {
            return Ok(None);
        };
        self.received.advance(header_bytes);
        Ok(Some(header))
    }

    /// Unmasks what has arrived of the payload since the last call, and returns it.
    pub(crate) fn unmask_arrived(&mut self, header: &FrameHeader) -> &[u8] {
        let start = self.plain_bytes;
        let end = usize::try_from(header.payload_bytes).unwrap_or(usize::MAX).min(self.received.len());
        assert!(start <= end, "a payload only grows");
        if let Some(key) = header.mask {
            apply_mask(&mut self.received[start..end], key, start);
        }
        self.plain_bytes = end;
        &self.received[start..end]
    }

    /// Takes the payload once all of it is unmasked.
    pub(crate) fn take_payload(&mut self, header: &FrameHeader) -> Option<BytesMut> {
        if (self.plain_bytes as u64) < header.payload_bytes {
            return None;
        }
        let payload = self.received.split_to(self.plain_bytes);
        self.plain_bytes = 0;
        if self.received.is_empty() {
            // Let go of the memory: an idle connection holds none, and the caller can use it again.
            self.received = BytesMut::new();
        }
        Some(payload)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Received::default();
    }

    /// Bytes that are held.
    pub(crate) fn len(&self) -> usize {
        self.received.len()
    }
}
