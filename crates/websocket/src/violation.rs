//! Every way in which a peer can break RFC 6455 or a limit, and the close code that answers it.
//!
//! Returned by [`crate::Connection::poll_event`], once, after the close frame has been put into the output.
//! The text of a violation is that frame's reason, so each stays below 123 bytes and names no secret.

use crate::close::CloseCode;
use crate::utf8::InvalidUtf8;
use std::fmt;

/// What the peer did that ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A reserved bit is set and no extension was agreed (§5.2).
    ReservedBits,
    /// An opcode from 3 to 7 or from 11 to 15 (§5.2).
    ReservedOpcode {
        /// The opcode.
        opcode: u8,
    },
    /// A control frame without FIN (§5.5).
    ControlFragmented,
    /// A control frame of more than 125 bytes (§5.5).
    ControlTooLong,
    /// A client's frame without a mask (§5.1).
    MaskMissing,
    /// A server's frame with a mask (§5.1).
    MaskForbidden,
    /// A length in a longer form than it needs (§5.2).
    LengthNotMinimal,
    /// A length of 2^63 or more (§5.2).
    LengthTooLarge,
    /// A continuation frame while no message is unfinished (§5.4).
    ContinuationWithoutStart,
    /// A new text or binary frame while a message is unfinished (§5.4).
    MessageUnfinished,
    /// A close payload of one byte (§5.5.1).
    CloseCodeCut,
    /// A close code that may not stand on the wire (§7.4).
    CloseCodeInvalid {
        /// The number.
        number: u16,
    },
    /// A close reason that is not UTF-8 (§5.5.1).
    CloseReasonInvalid(InvalidUtf8),
    /// A text message that is not UTF-8 (§8.1).
    TextInvalid(InvalidUtf8),
    /// A message, counted over its fragments, that is longer than the limit.
    MessageTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A message in more fragments than the limit.
    TooManyFragments {
        /// The limit.
        limit: usize,
    },
}

impl Violation {
    /// The code of the close frame that answers it.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Violation::ReservedBits
            | Violation::ReservedOpcode { .. }
            | Violation::ControlFragmented
            | Violation::ControlTooLong
            | Violation::MaskMissing
            | Violation::MaskForbidden
            | Violation::LengthNotMinimal
            | Violation::LengthTooLarge
            | Violation::ContinuationWithoutStart
            | Violation::MessageUnfinished
            | Violation::CloseCodeCut
            | Violation::CloseCodeInvalid { .. } => CloseCode::PROTOCOL_ERROR,
            Violation::CloseReasonInvalid(_) | Violation::TextInvalid(_) => CloseCode::INVALID_PAYLOAD,
            Violation::MessageTooLong { .. } => CloseCode::MESSAGE_TOO_BIG,
            Violation::TooManyFragments { .. } => CloseCode::POLICY_VIOLATION,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::ReservedBits => f.write_str("reserved bits are set"),
            Violation::ReservedOpcode { opcode } => write!(f, "opcode {opcode} is reserved"),
            Violation::ControlFragmented => f.write_str("a control frame is fragmented"),
            Violation::ControlTooLong => f.write_str("a control frame is longer than 125 bytes"),
            Violation::MaskMissing => f.write_str("a client frame is not masked"),
            Violation::MaskForbidden => f.write_str("a server frame is masked"),
            Violation::LengthNotMinimal => f.write_str("a frame length is not in its shortest form"),
            Violation::LengthTooLarge => f.write_str("a frame length has its top bit set"),
            Violation::ContinuationWithoutStart => f.write_str("a continuation without a message"),
            Violation::MessageUnfinished => f.write_str("a new message inside an unfinished one"),
            Violation::CloseCodeCut => f.write_str("a close payload of one byte"),
            Violation::CloseCodeInvalid { number } => write!(f, "close code {number} is not valid"),
            Violation::CloseReasonInvalid(error) => write!(f, "the close reason is {error}"),
            Violation::TextInvalid(error) => write!(f, "a text message is {error}"),
            Violation::MessageTooLong { limit } => write!(f, "a message is longer than {limit} bytes"),
            Violation::TooManyFragments { limit } => write!(f, "a message has over {limit} fragments"),
        }
    }
}

impl std::error::Error for Violation {}
