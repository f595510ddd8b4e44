//! Messages out of data frames (RFC 6455 §5.4): the order of fragments, the limits, UTF-8 across frames.
//!
//! Owned by the connection, which asks [`Message::admit`] at each header, before any payload is held, then
//! gives the payload as it arrives and once more when it is complete. A message in one frame is never
//! copied. Invariants: `parts.len() <= message_bytes_max`, `fragments <= fragments_max`; between messages
//! nothing is held.

use crate::frame::{FrameHeader, Opcode};
use crate::utf8::{InvalidUtf8, Utf8Checker};
use crate::violation::Violation;
use bytes::{Bytes, BytesMut};

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
}

/// The message that is being received, if any.
#[derive(Debug, Default)]
pub(crate) struct Message {
    /// Kind of the message whose first header was admitted and whose last frame has not ended.
    kind: Option<Kind>,
    /// Frames of the message so far.
    fragments: usize,
    /// Payload of the frames that are complete, if the message has more than one.
    parts: BytesMut,
    utf8: Utf8Checker,
}

/// The limits of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) message_bytes_max: usize,
    pub(crate) fragments_max: usize,
}

impl Message {
    /// Whether a data frame with this header may come now; from here on it is the current frame.
    pub(crate) fn admit(&mut self, header: &FrameHeader, bounds: Bounds) -> Result<(), Violation> {
        self.kind = match (header.opcode, self.kind) {
            (Opcode::Continuation, Some(kind)) => Some(kind),
            (Opcode::Continuation, None) => return Err(Violation::ContinuationWithoutStart),
            (_, Some(_)) => return Err(Violation::MessageUnfinished),
            (Opcode::Text, None) => Some(Kind::Text),
            (_, None) => Some(Kind::Binary),
        };
        self.fragments += 1;
        if self.fragments > bounds.fragments_max {
            return Err(Violation::TooManyFragments { limit: bounds.fragments_max });
        }
        let room = bounds.message_bytes_max - self.parts.len();
        if header.payload_bytes > room as u64 {
            return Err(Violation::MessageTooLong { limit: bounds.message_bytes_max });
        }
        Ok(())
    }

    /// Checks payload that has arrived, in order and each byte once.
    pub(crate) fn check_arrived(&mut self, arrived: &[u8]) -> Result<(), Violation> {
        match self.kind {
            Some(Kind::Text) => self.utf8.check(arrived).map_err(Violation::TextInvalid),
            _ => Ok(()),
        }
    }

    /// Ends the current frame with its whole payload; the message, if it was the last frame.
    pub(crate) fn end_frame(
        &mut self,
        fin: bool,
        payload: BytesMut,
    ) -> Result<Option<(Kind, Bytes)>, Violation> {
        if !fin {
            self.parts.extend_from_slice(&payload);
            return Ok(None);
        }
        if !self.utf8.is_complete() {
            return Err(Violation::TextInvalid(InvalidUtf8));
        }
        let Message { kind, fragments, mut parts, .. } = std::mem::take(self);
        let kind = kind.expect("a frame is admitted before it ends");
        if fragments == 1 {
            return Ok(Some((kind, payload.freeze())));
        }
        parts.extend_from_slice(&payload);
        Ok(Some((kind, parts.freeze())))
    }

    /// Bytes that are held.
    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }
}
