//! Close codes and the payload of a close frame (RFC 6455 §5.5.1, §7.4).
//!
//! The connection decodes a peer's close here and encodes its own. A [`CloseCode`] is always one that may
//! stand on the wire: 1005, 1006 and 1015 are for local use and have no value of this type.

use crate::frame::CONTROL_PAYLOAD_BYTES_MAX;
use crate::utf8::InvalidUtf8;
use crate::violation::Violation;
use bytes::Bytes;
use std::fmt;

/// Longest reason of a close frame, in bytes: a control payload less the code.
pub const CLOSE_REASON_BYTES_MAX: usize = CONTROL_PAYLOAD_BYTES_MAX - 2;

/// Why a side closes. Only codes that may stand in a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// The server goes down or the browser leaves the page.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// A rule of the protocol was broken.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// A kind of message that this endpoint does not take.
    pub const UNSUPPORTED: CloseCode = CloseCode(1003);
    /// The content of a message does not fit its kind, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode(1007);
    /// A rule of this endpoint, not of the protocol, was broken.
    pub const POLICY_VIOLATION: CloseCode = CloseCode(1008);
    /// A message is too long.
    pub const MESSAGE_TOO_BIG: CloseCode = CloseCode(1009);
    /// A client needs an extension that the server did not accept.
    pub const EXTENSION_REQUIRED: CloseCode = CloseCode(1010);
    /// The server met a condition that it did not expect.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);
    /// The server restarts; the client may come back (IANA registry).
    pub const SERVICE_RESTART: CloseCode = CloseCode(1012);
    /// The server is overloaded; the client may come back later (IANA registry).
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);
    /// A gateway got an invalid answer (IANA registry).
    pub const BAD_GATEWAY: CloseCode = CloseCode(1014);

    /// The code with this number, if it may stand on the wire: 1000–1003, 1007–1014, 3000–4999.
    pub fn new(number: u16) -> Option<CloseCode> {
        match number {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(CloseCode(number)),
            _ => None,
        }
    }

    /// The number on the wire.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Decodes a close payload: nothing, or a code and a reason in UTF-8.
pub(crate) fn decode(payload: Bytes) -> Result<(Option<CloseCode>, Bytes), Violation> {
    match payload[..] {
        [] => Ok((None, payload)),
        [_] => Err(Violation::CloseCodeCut),
        [high, low, ..] => {
            let number = u16::from_be_bytes([high, low]);
            let code = CloseCode::new(number).ok_or(Violation::CloseCodeInvalid { number })?;
            let reason = payload.slice(2..);
            std::str::from_utf8(&reason).map_err(|_| Violation::CloseReasonInvalid(InvalidUtf8))?;
            Ok((Some(code), reason))
        }
    }
}

/// A close payload with what fits of `reason`, cut between characters; its bytes and their count.
pub(crate) fn encode(code: Option<CloseCode>, reason: &str) -> ([u8; CONTROL_PAYLOAD_BYTES_MAX], usize) {
    let mut payload = [0u8; CONTROL_PAYLOAD_BYTES_MAX];
    let Some(code) = code else {
        return (payload, 0);
    };
    let mut reason_bytes = reason.len().min(CLOSE_REASON_BYTES_MAX);
    while !reason.is_char_boundary(reason_bytes) {
        reason_bytes -= 1;
    }
    payload[..2].copy_from_slice(&code.0.to_be_bytes());
    payload[2..2 + reason_bytes].copy_from_slice(&reason.as_bytes()[..reason_bytes]);
    (payload, 2 + reason_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registered_and_private_codes_have_a_value() {
        let valid: Vec<u16> = (0..=u16::MAX).filter(|n| CloseCode::new(*n).is_some()).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(valid, expected);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = format!("{}\u{20ac}\u{20ac}", "a".repeat(CLOSE_REASON_BYTES_MAX - 4));
        let (payload, length) = encode(Some(CloseCode::NORMAL), &reason);
        assert_eq!(length, 2 + CLOSE_REASON_BYTES_MAX - 1);
        assert_eq!(std::str::from_utf8(&payload[2..length]), Ok(&reason[..CLOSE_REASON_BYTES_MAX - 1]));
    }

    #[test]
    fn a_reason_without_a_code_is_not_sent() {
        assert_eq!(encode(None, "lost").1, 0);
    }

    #[test]
    fn a_payload_decodes_to_what_was_encoded() {
        for (code, reason) in [(1000, ""), (1001, "drain"), (3000, "\u{1f600}"), (4999, "x")] {
            let code = CloseCode::new(code);
            let (payload, length) = encode(code, reason);
            let decoded = decode(Bytes::copy_from_slice(&payload[..length]));
            assert_eq!(decoded, Ok((code, Bytes::from_static(reason.as_bytes()))));
        }
        assert_eq!(decode(Bytes::new()), Ok((None, Bytes::new())));
    }
}
