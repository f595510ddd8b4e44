//! Runs a connection over bytes in two ways and demands the same result: the body of a fuzz target.
//!
//! Called by fuzz targets and by this crate's tests, never by the server. The first byte of the input
//! chooses the role, the second how the rest is cut. It panics where a law of the crate does not hold.

use crate::connection::{Config, Connection, Event, Role, State};
use crate::violation::Violation;
use bytes::BytesMut;

/// Limits that short inputs reach.
const CONFIG: Config = Config { message_bytes_max: 300, fragments_max: 8 };

/// What came out of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    events: Vec<Event>,
    violation: Option<Violation>,
    output: Vec<u8>,
    state: State,
}

/// Feeds `bytes` to a connection at once and in pieces.
///
/// # Panics
/// If the results differ, a bound is passed, or a text is not UTF-8.
pub fn fuzz_connection(bytes: &[u8]) {
    let [choice, cut, input @ ..] = bytes else {
        return;
    };
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client { mask_seed: [*choice; 16] } };
    let whole = trace(role, input, input.len().max(1));
    let pieces = trace(role, input, usize::from(*cut).max(1));
    assert_eq!(whole, pieces, "any split of the input gives the same result");
    for event in &whole.events {
        if let Event::Text(text) = event {
            assert!(std::str::from_utf8(text).is_ok(), "a text is UTF-8");
        }
    }
    assert!(whole.violation.is_none() || whole.state == State::Closed, "a violation ends the connection");
}

fn trace(role: Role, input: &[u8], piece_bytes: usize) -> Trace {
    let mut connection = Connection::new(role, CONFIG);
    let (mut events, mut violation, mut output) = (Vec::new(), None, Vec::new());
    for piece in input.chunks(piece_bytes) {
        connection.handle_bytes(&mut BytesMut::from(piece));
        while let Some(event) = connection.poll_event() {
            match event {
                Ok(event) => events.push(event),
                Err(error) => assert_eq!(violation.replace(error), None, "a violation is told once"),
            }
        }
        output.extend(connection.take_output());
    }
    Trace { events, violation, output, state: connection.state() }
}
