//! Whole frames into a buffer: a server's unmasked, a client's with the mask key that it is given.
//!
//! Used by the connection for its own answers and by senders that build a frame once for many receivers.
//! Nothing here knows the state of a connection; whoever sends asks it first.

use crate::close::{self, CloseCode};
use crate::frame::{Opcode, encode_header};
use crate::mask::{MaskKey, apply_mask};
use bytes::BytesMut;

/// Appends a frame. `mask` is `None` for a server and a fresh unpredictable key for a client (§5.3).
///
/// # Panics
/// If a control frame is not final or longer than 125 bytes.
pub fn encode_frame(opcode: Opcode, fin: bool, payload: &[u8], mask: Option<MaskKey>, out: &mut BytesMut) {
    let header = encode_header(opcode, fin, payload.len(), mask);
    out.reserve(header.len() + payload.len());
    out.extend_from_slice(&header);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        apply_mask(&mut out[start..], key, 0);
    }
}

/// Appends a text message in one frame.
pub fn encode_text(text: &str, mask: Option<MaskKey>, out: &mut BytesMut) {
    encode_frame(Opcode::Text, true, text.as_bytes(), mask, out);
}

/// Appends a binary message in one frame.
pub fn encode_binary(payload: &[u8], mask: Option<MaskKey>, out: &mut BytesMut) {
    encode_frame(Opcode::Binary, true, payload, mask, out);
}

/// Appends a ping.
///
/// # Panics
/// If the payload is longer than 125 bytes.
pub fn encode_ping(payload: &[u8], mask: Option<MaskKey>, out: &mut BytesMut) {
    encode_frame(Opcode::Ping, true, payload, mask, out);
}

/// Appends a pong.
///
/// # Panics
/// If the payload is longer than 125 bytes.
pub fn encode_pong(payload: &[u8], mask: Option<MaskKey>, out: &mut BytesMut) {
    encode_frame(Opcode::Pong, true, payload, mask, out);
}

/// Appends a close frame. A reason over 123 bytes is cut between two characters; without a code there is
/// no reason.
pub fn encode_close(code: Option<CloseCode>, reason: &str, mask: Option<MaskKey>, out: &mut BytesMut) {
    let (payload, length) = close::encode(code, reason);
    encode_frame(Opcode::Close, true, &payload[..length], mask, out);
}
