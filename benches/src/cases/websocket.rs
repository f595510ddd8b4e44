//! WebSocket: frames of a client through a connection, frames of a server into an output buffer.
//!
//! What a listener sends is little and what it is sent is much, so the shared form counts most: one frame
//! header for any number of listeners.

use super::repeat;
use crate::specimens::{PAYLOAD_BYTES, payload};
use crate::{Case, Work};
use bytes::{Bytes, BytesMut};
use std::hint::black_box;
use websocket::{Config, Connection, Event, Opcode, Role, encode_frame, encode_text, frame_header};

/// Frames that one read brings.
const FRAMES: usize = 64;
/// Payload of a long frame.
const LONG_BYTES: usize = 64 * 1024;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "websocket/receive/128",
        event: "masked text frame of 128 B, 64 in a read",
        rounds: 64,
        prepare: || receive(PAYLOAD_BYTES, FRAMES),
    },
    Case {
        name: "websocket/receive/64k",
        event: "masked text frame of 64 KiB",
        rounds: 64,
        prepare: || receive(LONG_BYTES, 4),
    },
    Case {
        name: "websocket/header",
        event: "header of a server's frame",
        rounds: 64,
        prepare: frame_headers,
    },
    Case {
        name: "websocket/encode/128",
        event: "text frame of 128 B into one output buffer",
        rounds: 64,
        prepare: encode,
    },
    Case {
        name: "websocket/send/128",
        event: "text frame of 128 B through a connection, 64 in a write",
        rounds: 64,
        prepare: send,
    },
];

struct Receiving {
    one_read: Bytes,
    frames: usize,
    connection: Connection,
    input: BytesMut,
}

fn receive(payload_bytes: usize, frames: usize) -> Box<dyn Work> {
    let text = "x".repeat(payload_bytes);
    let mut one_read = BytesMut::new();
    for _ in 0..frames {
        encode_text(&text, Some([1, 2, 3, 4]), &mut one_read);
    }
    let connection = Connection::new(Role::Server, Config::default());
    let state = Receiving { one_read: one_read.freeze(), frames, connection, input: BytesMut::new() };
    repeat(state, |state| state.input.extend_from_slice(&state.one_read), receive_all)
}

fn receive_all(state: &mut Receiving) -> u64 {
    state.connection.handle_bytes(&mut state.input);
    let mut count = 0;
    while let Some(event) = state.connection.poll_event() {
        assert!(matches!(black_box(event), Ok(Event::Text(_))));
        count += 1;
    }
    assert_eq!(count, state.frames);
    count as u64
}

fn frame_headers() -> Box<dyn Work> {
    repeat(
        (),
        |()| {},
        |()| {
            for at in 0..FRAMES {
                black_box(frame_header(Opcode::Text, true, black_box(PAYLOAD_BYTES + at)));
            }
            FRAMES as u64
        },
    )
}

fn encode() -> Box<dyn Work> {
    let state = (payload(), BytesMut::with_capacity(FRAMES * (PAYLOAD_BYTES + 16)));
    repeat(
        state,
        |(_, out)| out.clear(),
        |(payload, out)| {
            for _ in 0..FRAMES {
                encode_frame(Opcode::Text, true, black_box(payload), None, out);
            }
            FRAMES as u64
        },
    )
}

fn send() -> Box<dyn Work> {
    let connection = Connection::new(Role::Server, Config::default());
    repeat(
        ("x".repeat(PAYLOAD_BYTES), connection),
        |_| {},
        |(text, connection)| {
            for _ in 0..FRAMES {
                connection.send_text(black_box(text)).expect("the connection is open");
            }
            black_box(connection.take_output());
            FRAMES as u64
        },
    )
}
