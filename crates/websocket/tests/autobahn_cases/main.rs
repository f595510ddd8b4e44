//! The case groups 1 to 7, 9 and 10 of the Autobahn test suite, against an echo over a server connection.
//!
//! A row has the number of the case there, the frames that a fuzzing client sends and the frames that must
//! come back. Each row runs with the bytes at once, frame by frame and in chops, which the suite numbers as
//! cases of their own. Frames are built and read by hand here, so that no code under test judges itself.
//! Group 12 and 13 are about compression, an extension that is not negotiated.

mod close;
mod framing;
mod limits;
mod utf8;

use bytes::BytesMut;
use websocket::{Config, Connection, Event, Role};

/// A frame as the fuzzing client sends it; nothing needs to be valid.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    fin: bool,
    rsv: u8,
    opcode: u8,
    payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
        Frame { fin: true, rsv: 0, opcode, payload: payload.as_ref().to_vec() }
    }

    /// The same frame without FIN.
    pub(crate) fn more(self) -> Frame {
        Frame { fin: false, ..self }
    }

    pub(crate) fn rsv(self, rsv: u8) -> Frame {
        Frame { rsv, ..self }
    }

    /// The frame on the wire, masked.
    pub(crate) fn wire(&self) -> Vec<u8> {
        let first = u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode;
        let mut wire = vec![first];
        match self.payload.len() {
            length @ 0..=125 => wire.push(0x80 | length as u8),
            length @ 126..=65_535 => {
                wire.push(0x80 | 126);
                wire.extend((length as u16).to_be_bytes());
            }
            length => {
                wire.push(0x80 | 127);
                wire.extend((length as u64).to_be_bytes());
            }
        }
        let key = [0x37, 0xfa, 0x21, 0x3d];
        wire.extend(key);
        wire.extend(self.payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        wire
    }
}

pub(crate) fn text(payload: impl AsRef<[u8]>) -> Frame {
    Frame::new(1, payload)
}

pub(crate) fn binary(payload: impl AsRef<[u8]>) -> Frame {
    Frame::new(2, payload)
}

pub(crate) fn continuation(payload: impl AsRef<[u8]>) -> Frame {
    Frame::new(0, payload)
}

pub(crate) fn ping(payload: impl AsRef<[u8]>) -> Frame {
    Frame::new(9, payload)
}

pub(crate) fn pong(payload: impl AsRef<[u8]>) -> Frame {
    Frame::new(10, payload)
}

pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Frame {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend(reason.as_ref());
    Frame::new(8, payload)
}

/// A message in frames of `piece_bytes`.
pub(crate) fn fragmented(opcode: u8, payload: &[u8], piece_bytes: usize) -> Vec<Frame> {
    let mut frames: Vec<Frame> =
        payload.chunks(piece_bytes).map(|piece| continuation(piece).more()).collect();
    frames.first_mut().expect("a payload of at least one byte").opcode = opcode;
    frames.last_mut().expect("a payload of at least one byte").fin = true;
    frames
}

/// A frame that came back.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// The code of a close frame, if it had one.
    Close(Option<u16>),
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, payload) = match self {
            Reply::Text(payload) => ("Text", payload),
            Reply::Binary(payload) => ("Binary", payload),
            Reply::Pong(payload) => ("Pong", payload),
            Reply::Close(code) => return write!(f, "Close({code:?})"),
        };
        write!(f, "{name}({} bytes: {:02x?})", payload.len(), &payload[..payload.len().min(16)])
    }
}

pub(crate) fn echo_text(payload: impl AsRef<[u8]>) -> Reply {
    Reply::Text(payload.as_ref().to_vec())
}

pub(crate) fn echo_binary(payload: impl AsRef<[u8]>) -> Reply {
    Reply::Binary(payload.as_ref().to_vec())
}

pub(crate) fn pong_of(payload: impl AsRef<[u8]>) -> Reply {
    Reply::Pong(payload.as_ref().to_vec())
}

pub(crate) const NORMAL: Reply = Reply::Close(Some(1000));
pub(crate) const PROTOCOL_ERROR: Reply = Reply::Close(Some(1002));
pub(crate) const INVALID_PAYLOAD: Reply = Reply::Close(Some(1007));

/// A server that sends every message back, as `/x/echo` does.
pub(crate) struct Echo {
    connection: Connection,
    output: Vec<u8>,
}

impl Echo {
    pub(crate) fn new() -> Echo {
        let config = Config { message_bytes_max: 16 << 20, fragments_max: 1 << 17 };
        Echo { connection: Connection::new(Role::Server, config), output: Vec::new() }
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.connection.handle_bytes(&mut BytesMut::from(bytes));
        while let Some(event) = self.connection.poll_event() {
            match event {
                Ok(Event::Text(text)) => {
                    let text = std::str::from_utf8(&text).expect("a text message is UTF-8");
                    self.connection.send_text(text).expect("an event before the close");
                }
                Ok(Event::Binary(payload)) => {
                    self.connection.send_binary(&payload).expect("an event before the close");
                }
                Ok(_) | Err(_) => {}
            }
        }
        self.output.extend(self.connection.take_output());
    }

    /// What came back so far, read by hand: unmasked, final, in the shortest form.
    pub(crate) fn replies(&self) -> Vec<Reply> {
        let mut replies = Vec::new();
        let mut rest = &self.output[..];
        while let [first, second, after @ ..] = rest {
            let (length, after) = match second {
                126 => (u16::from_be_bytes([after[0], after[1]]) as usize, &after[2..]),
                127 => (u64::from_be_bytes(*after.first_chunk().expect("eight bytes")) as usize, &after[8..]),
                length => (usize::from(*length), after),
            };
            assert!(*second != 126 || length > 125, "shortest form");
            assert!(*second != 127 || length > 65_535, "shortest form");
            let (payload, after) = after.split_at(length);
            replies.push(match first {
                0x81 => Reply::Text(payload.to_vec()),
                0x82 => Reply::Binary(payload.to_vec()),
                0x88 if length == 0 => Reply::Close(None),
                0x88 => Reply::Close(Some(u16::from_be_bytes([payload[0], payload[1]]))),
                0x8a => Reply::Pong(payload.to_vec()),
                other => panic!("unexpected first byte {other:02x}"),
            });
            rest = after;
        }
        assert!(rest.is_empty(), "whole frames only");
        replies
    }
}

/// Runs one case in every way of cutting its bytes.
pub(crate) fn check(case: &str, frames: &[Frame], expected: &[Reply]) {
    let wires: Vec<Vec<u8>> = frames.iter().map(Frame::wire).collect();
    let all = wires.concat();
    check_pieces(case, "frame by frame", wires.iter().map(Vec::as_slice), expected);
    check_pieces(case, "at once", [all.as_slice()].into_iter(), expected);
    for chop_bytes in [1, 7, 1460] {
        check_pieces(case, &format!("in chops of {chop_bytes}"), all.chunks(chop_bytes), expected);
    }
}

pub(crate) fn check_pieces<'a>(
    case: &str,
    how: &str,
    pieces: impl Iterator<Item = &'a [u8]>,
    expected: &[Reply],
) {
    let mut echo = Echo::new();
    pieces.for_each(|piece| echo.receive(piece));
    assert_eq!(echo.replies(), expected, "case {case} {how}");
}
