//! The laws of the crate, tried over random input, against another implementation and row by row.
//!
//! `inputs` makes byte strings that are sound, nearly sound or raw; `connection` holds the laws of one
//! connection, `violations` the table of broken rules, `differential` compares with tungstenite, and
//! `handshake` has the table of requests and answers.

mod connection;
mod differential;
mod handshake;
mod inputs;
mod violations;

use bytes::{Bytes, BytesMut};
use websocket::{Config, Connection, Event, Role, Violation};

/// Limits that small inputs reach.
pub(crate) const SMALL: Config = Config { message_bytes_max: 70_000, fragments_max: 1000 };

pub(crate) const CLIENT: Role = Role::Client { mask_seed: [7; 16] };

/// Feeds the pieces; everything that came out: events, the violation if any, output.
pub(crate) fn run(connection: &mut Connection, pieces: &[&[u8]]) -> (Vec<Event>, Option<Violation>, Vec<u8>) {
    let (mut events, mut violation, mut output) = (Vec::new(), None, Vec::new());
    let mut input = BytesMut::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        connection.handle_bytes(&mut input);
        assert!(input.is_empty(), "all bytes are taken");
        while let Some(event) = connection.poll_event() {
            match event {
                Ok(event) => events.push(event),
                Err(error) => assert_eq!(violation.replace(error), None, "a violation is told once"),
            }
        }
        output.extend(connection.take_output());
    }
    (events, violation, output)
}

/// The message of an event as bytes, for comparisons.
pub(crate) fn payload(event: &Event) -> &Bytes {
    match event {
        Event::Text(payload) | Event::Binary(payload) | Event::Ping(payload) | Event::Pong(payload) => {
            payload
        }
        Event::Close { reason, .. } => reason,
    }
}
