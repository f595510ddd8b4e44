//! The frame header (RFC 6455 §5.2): FIN, opcode, length and mask key, from 2 to 14 bytes.
//!
//! The receiver decodes headers here, senders encode them. A header that decodes obeys every rule that
//! can be seen in it alone; rules between frames are `message`'s. A length is a number here and nothing is
//! ever allocated by it.

use crate::mask::MaskKey;
use crate::violation::Violation;
use std::ops::Deref;

/// Longest payload of a control frame, in bytes (§5.5).
pub const CONTROL_PAYLOAD_BYTES_MAX: usize = 125;

/// Longest header: two bytes, a 64-bit length and a mask key.
pub const HEADER_BYTES_MAX: usize = 14;

const FIN_BIT: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
const OPCODE_BITS: u8 = 0x0f;
const MASK_BIT: u8 = 0x80;
const LENGTH_BITS: u8 = 0x7f;
/// Length field that says: the length stands in the next two bytes.
const LENGTH_16: u8 = 126;
/// Length field that says: the length stands in the next eight bytes.
const LENGTH_64: u8 = 127;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// The next part of a fragmented message.
    Continuation,
    /// A text message or its first part.
    Text,
    /// A binary message or its first part.
    Binary,
    /// The end of the connection.
    Close,
    /// A question whether the peer is there.
    Ping,
    /// The answer to a ping.
    Pong,
}

impl Opcode {
    /// The opcode with this number, if it is not reserved.
    pub fn new(number: u8) -> Option<Opcode> {
        match number {
            0x0 => Some(Opcode::Continuation),
            0x1 => Some(Opcode::Text),
            0x2 => Some(Opcode::Binary),
            0x8 => Some(Opcode::Close),
            0x9 => Some(Opcode::Ping),
            0xa => Some(Opcode::Pong),
            _ => None,
        }
    }

    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Opcode::Continuation => 0x0,
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xa,
        }
    }

    /// Whether it is close, ping or pong.
    pub fn is_control(self) -> bool {
        self.number() & 0x8 != 0
    }
}

/// A decoded header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether it is the last frame of its message.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The mask of the payload, if it is masked.
    pub mask: Option<MaskKey>,
    /// Bytes of the payload, below 2^63, as the peer claims them.
    pub payload_bytes: u64,
}

/// Decodes the header at the start of `input`; `None` while it is incomplete.
///
/// Returns the header and its own length in bytes. Fails as early as the bytes allow, and at the same byte
/// however the input was cut.
///
/// # Errors
/// The first rule of §5.2 and §5.5 that the header breaks. Masks are not judged here.
pub fn decode_header(input: &[u8]) -> Result<Option<(FrameHeader, usize)>, Violation> {
    let Some((&first, rest)) = input.split_first() else {
        return Ok(None);
    };
    let opcode = decode_first_byte(first)?;
    let Some((&second, rest)) = rest.split_first() else {
        return Ok(None);
    };
    if opcode.is_control() && usize::from(second & LENGTH_BITS) > CONTROL_PAYLOAD_BYTES_MAX {
        return Err(Violation::ControlTooLong);
    }
    let Some((payload_bytes, rest)) = decode_length(second & LENGTH_BITS, rest)? else {
        return Ok(None);
    };
    let (mask, rest) = if second & MASK_BIT == 0 {
        (None, rest)
    } else if let Some((key, rest)) = rest.split_first_chunk::<4>() {
        (Some(*key), rest)
    } else {
        return Ok(None);
    };
    let header = FrameHeader { fin: first & FIN_BIT != 0, opcode, mask, payload_bytes };
    Ok(Some((header, input.len() - rest.len())))
}

fn decode_first_byte(first: u8) -> Result<Opcode, Violation> {
    if first & RESERVED_BITS != 0 {
        return Err(Violation::ReservedBits);
    }
    let number = first & OPCODE_BITS;
    let opcode = Opcode::new(number).ok_or(Violation::ReservedOpcode { opcode: number })?;
    if opcode.is_control() && first & FIN_BIT == 0 {
        return Err(Violation::ControlFragmented);
    }
    Ok(opcode)
}

/// Decodes the length whose 7-bit field is `field`; returns it and the bytes after it.
fn decode_length(field: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (length, shortest, rest) = match field {
        LENGTH_16 => match rest.split_first_chunk::<2>() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), u64::from(LENGTH_16), rest),
            None => return Ok(None),
        },
        LENGTH_64 => match rest.split_first_chunk::<8>() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), u64::from(u16::MAX) + 1, rest),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, rest),
    };
    if length > i64::MAX as u64 {
        return Err(Violation::LengthTooLarge);
    }
    if length < shortest {
        return Err(Violation::LengthNotMinimal);
    }
    Ok(Some((length, rest)))
}

/// A header on the wire, on the stack. Derefs to its bytes.
#[derive(Clone, Copy, Debug)]
pub struct EncodedHeader {
    bytes: [u8; HEADER_BYTES_MAX],
    length: u8,
}

impl EncodedHeader {
    fn push(&mut self, bytes: &[u8]) {
        let start = usize::from(self.length);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len() as u8;
    }
}

impl Deref for EncodedHeader {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// The header of an unmasked frame: what a server sends, shared by all that receive the frame.
///
/// # Panics
/// If a control frame is not final or longer than 125 bytes.
pub fn frame_header(opcode: Opcode, fin: bool, payload_bytes: usize) -> EncodedHeader {
    encode_header(opcode, fin, payload_bytes, None)
}

/// The header of a frame that a client sends; its payload must then be masked with `key`.
///
/// # Panics
/// If a control frame is not final or longer than 125 bytes.
pub fn masked_frame_header(opcode: Opcode, fin: bool, payload_bytes: usize, key: MaskKey) -> EncodedHeader {
    encode_header(opcode, fin, payload_bytes, Some(key))
}

pub(crate) fn encode_header(
    opcode: Opcode,
    fin: bool,
    payload_bytes: usize,
    mask: Option<MaskKey>,
) -> EncodedHeader {
    if opcode.is_control() {
        assert!(fin, "a control frame is never fragmented");
        assert!(payload_bytes <= CONTROL_PAYLOAD_BYTES_MAX, "a control payload has at most 125 bytes");
    }
    let mut header = EncodedHeader { bytes: [0; HEADER_BYTES_MAX], length: 0 };
    let first = if fin { FIN_BIT | opcode.number() } else { opcode.number() };
    let mask_bit = if mask.is_some() { MASK_BIT } else { 0 };
    if payload_bytes < usize::from(LENGTH_16) {
        header.push(&[first, mask_bit | payload_bytes as u8]);
    } else if let Ok(length) = u16::try_from(payload_bytes) {
        header.push(&[first, mask_bit | LENGTH_16]);
        header.push(&length.to_be_bytes());
    } else {
        header.push(&[first, mask_bit | LENGTH_64]);
        header.push(&(payload_bytes as u64).to_be_bytes());
    }
    if let Some(key) = mask {
        header.push(&key);
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_opcode() -> impl Strategy<Value = Opcode> {
        (0u8..16).prop_filter_map("reserved", Opcode::new)
    }

    #[test]
    fn the_lengths_take_the_shortest_form() {
        for (payload_bytes, header_bytes) in
            [(0, 2), (125, 2), (126, 4), (127, 4), (65_535, 4), (65_536, 10), (usize::MAX >> 1, 10)]
        {
            let header = frame_header(Opcode::Binary, true, payload_bytes);
            assert_eq!(header.len(), header_bytes, "{payload_bytes}");
        }
    }

    #[test]
    fn a_length_with_the_top_bit_is_refused() {
        let input = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(decode_header(&input), Err(Violation::LengthTooLarge));
    }

    proptest! {
        #[test]
        fn a_header_decodes_to_what_was_encoded_and_only_when_complete(
            opcode in any_opcode(),
            fin: bool,
            length in prop_oneof![0usize..300, 65_000usize..66_000, 0..usize::MAX >> 1],
            mask: Option<MaskKey>,
        ) {
            let (fin, length) = if opcode.is_control() { (true, length % 126) } else { (fin, length) };
            let encoded = encode_header(opcode, fin, length, mask);
            for cut in 0..encoded.len() {
                prop_assert_eq!(decode_header(&encoded[..cut]), Ok(None));
            }
            let header = FrameHeader { fin, opcode, mask, payload_bytes: length as u64 };
            prop_assert_eq!(decode_header(&encoded), Ok(Some((header, encoded.len()))));
        }

        #[test]
        fn any_bytes_give_the_same_verdict_with_more_behind_them(
            input in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let whole = decode_header(&input);
            for cut in 0..=input.len() {
                match decode_header(&input[..cut]) {
                    Ok(None) => {}
                    verdict => prop_assert_eq!(verdict, whole),
                }
            }
        }
    }
}
