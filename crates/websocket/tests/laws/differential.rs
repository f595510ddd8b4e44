//! Our connection against tungstenite, in memory: what one sends the other reads, and any input gets the
//! same verdict from both.
//!
//! The differences that are allowed, each a rule of RFC 6455 or of its registry that tungstenite 0.30 does
//! not keep, or keeps later:
//!
//! 1. It judges a frame when all of it has arrived, we at the first wrong byte: we may refuse while it waits.
//! 2. It takes lengths that are not in their shortest form (§5.2), also of control frames; we refuse.
//! 3. It does not know close code 1014 (IANA); we take it.
//! 4. It tells an invalid close code to the caller as a close by 1002; that counts as refused here.

use crate::inputs::{Saying, any_input, saying};
use crate::{CLIENT, SMALL, run};
use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::io::{self, Read, Write};
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{Message, WebSocketConfig};
use tungstenite::{Error, WebSocket};
use websocket::{CloseCode, Connection, Event, Opcode, Role, State, Violation};

/// Both directions of a socket in memory.
#[derive(Default)]
struct Wire {
    input: io::Cursor<Vec<u8>>,
    output: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            length => Ok(length),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn oracle(role: Role, input: &[u8]) -> WebSocket<Wire> {
    let wire = Wire { input: io::Cursor::new(input.to_vec()), output: Vec::new() };
    let role = match role {
        Role::Server => tungstenite::protocol::Role::Server,
        Role::Client { .. } => tungstenite::protocol::Role::Client,
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(SMALL.message_bytes_max))
        .max_frame_size(Some(SMALL.message_bytes_max));
    WebSocket::from_raw_socket(wire, role, Some(config))
}

/// How an input ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Waiting,
    Closed,
    Refused,
}

fn close_event(frame: Option<CloseFrame>) -> Event {
    match frame {
        None => Event::Close { code: None, reason: Bytes::new() },
        Some(frame) => Event::Close {
            code: CloseCode::new(frame.code.into()),
            reason: Bytes::copy_from_slice(frame.reason.as_bytes()),
        },
    }
}

/// What tungstenite makes of the input.
fn their_verdict(role: Role, input: &[u8]) -> (Vec<Event>, End) {
    let mut socket = oracle(role, input);
    let mut events = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => events.push(Event::Text(text.into())),
            Ok(Message::Binary(payload)) => events.push(Event::Binary(payload)),
            Ok(Message::Ping(payload)) => events.push(Event::Ping(payload)),
            Ok(Message::Pong(payload)) => events.push(Event::Pong(payload)),
            Ok(Message::Close(Some(frame))) if frame.reason.as_str() == "Protocol violation" => {
                return (events, End::Refused);
            }
            Ok(Message::Close(frame)) => {
                events.push(close_event(frame));
                return (events, End::Closed);
            }
            Ok(Message::Frame(_)) => unreachable!("only written, never read"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (events, End::Waiting);
            }
            Err(_) => return (events, End::Refused),
        }
    }
}

fn our_verdict(role: Role, input: &[u8]) -> (Vec<Event>, End, Option<Violation>) {
    let mut connection = Connection::new(role, SMALL);
    let (events, violation, _) = run(&mut connection, &[input]);
    let end = match (violation, connection.state()) {
        (Some(_), _) => End::Refused,
        (None, State::Closed) => End::Closed,
        (None, _) => End::Waiting,
    };
    (events, end, violation)
}

/// Compares the verdicts; returns how the input ended and whether a difference was allowed.
fn compare(role: Role, input: &[u8]) -> Result<(End, bool), TestCaseError> {
    let (ours, end, violation) = our_verdict(role, input);
    let (theirs, their_end) = their_verdict(role, input);
    let bad_gateway = matches!(ours.last(), Some(Event::Close { code: Some(CloseCode::BAD_GATEWAY), .. }));
    let long_form = matches!(violation, Some(Violation::LengthNotMinimal | Violation::ControlTooLong));
    let allowed = match (end, their_end) {
        (End::Refused, _) if long_form => {
            prop_assert!(theirs.starts_with(&ours));
            return Ok((end, true));
        }
        (End::Closed, End::Refused) if bad_gateway => {
            prop_assert_eq!(&ours[..ours.len() - 1], &theirs[..]);
            return Ok((end, true));
        }
        (End::Refused, End::Waiting) => true,
        _ => {
            prop_assert_eq!(end, their_end, "we said {:?}", violation);
            false
        }
    };
    prop_assert_eq!(ours, theirs);
    Ok((end, allowed))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_bytes_to_a_server_get_the_verdict_of_tungstenite(input in any_input(true)) {
        compare(Role::Server, &input)?;
    }

    #[test]
    fn any_bytes_to_a_client_get_the_verdict_of_tungstenite(input in any_input(false)) {
        compare(CLIENT, &input)?;
    }
}

#[test]
fn the_inputs_of_the_comparison_end_in_every_way() {
    let mut runner = TestRunner::deterministic();
    let inputs = any_input(true);
    let (mut waiting, mut closed, mut refused, mut differing) = (0, 0, 0, 0);
    for _ in 0..2000 {
        let input = inputs.new_tree(&mut runner).expect("nothing is filtered").current();
        let (end, allowed) = compare(Role::Server, &input).expect("the same verdict");
        match end {
            End::Waiting => waiting += 1,
            End::Closed => closed += 1,
            End::Refused => refused += 1,
        }
        differing += usize::from(allowed);
    }
    assert!(waiting > 300 && closed > 100 && refused > 500, "{waiting} {closed} {refused}");
    assert!(differing * 2 < refused, "most refusals are the same: {differing} of {refused} differ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_we_send_tungstenite_reads(sayings in vec(saying(), 0..6), from_client: bool, key: [u8; 4]) {
        let (sender, receiver) = if from_client { (CLIENT, Role::Server) } else { (Role::Server, CLIENT) };
        let mut sent = BytesMut::new();
        for saying in &sayings {
            saying.encode((sender == CLIENT).then_some(key), &mut sent);
        }
        let (events, end, violation) = our_verdict(receiver, &sent);
        let too_long = matches!(violation, Some(Violation::MessageTooLong { .. }));
        prop_assert!(violation.is_none() || too_long, "{:?}", violation);
        prop_assert!(too_long || end != End::Refused);
        let (theirs, _) = their_verdict(receiver, &sent);
        // Close code 1014 is the one event that they refuse.
        prop_assert!(events.starts_with(&theirs) && theirs.len() + 1 >= events.len());
    }

    #[test]
    fn what_tungstenite_sends_we_read(sayings in vec(saying(), 0..6), from_client: bool) {
        let (sender, receiver) = if from_client { (CLIENT, Role::Server) } else { (Role::Server, CLIENT) };
        let mut socket = oracle(sender, b"");
        let mut expected = Vec::new();
        for saying in &sayings {
            if let Saying::Message { opcode, fragments } = saying {
                let whole: Vec<u8> = fragments.iter().flat_map(|(piece, _)| piece.clone()).collect();
                if whole.len() > SMALL.message_bytes_max {
                    continue;
                }
                for frame in their_frames(*opcode, fragments.iter().map(|(piece, _)| piece.clone())) {
                    prop_assert!(socket.write(Message::Frame(frame)).is_ok());
                }
                let is_text = *opcode == Opcode::Text;
                expected.push(if is_text { Event::Text(whole.into()) } else { Event::Binary(whole.into()) });
            }
        }
        prop_assert!(socket.flush().is_ok());
        let sent = std::mem::take(&mut socket.get_mut().output);
        let (events, end, violation) = our_verdict(receiver, &sent);
        prop_assert_eq!((events, end, violation), (expected, End::Waiting, None));
    }
}

/// A message as tungstenite's frames.
fn their_frames(opcode: Opcode, pieces: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<Frame> {
    let count = pieces.len();
    pieces
        .enumerate()
        .map(|(at, piece)| {
            let opcode = match opcode {
                _ if at > 0 => Data::Continue,
                Opcode::Text => Data::Text,
                _ => Data::Binary,
            };
            Frame::message(piece, OpCode::Data(opcode), at + 1 == count)
        })
        .collect()
}

#[test]
fn a_conversation_with_tungstenite_ends_with_both_sides_closed() {
    for role in [Role::Server, CLIENT] {
        let peer = if role == Role::Server { CLIENT } else { Role::Server };
        let mut connection = Connection::new(role, SMALL);
        connection.send_text("hello").expect("open");
        connection.send_ping(b"there?").expect("open");
        connection.send_close(CloseCode::GOING_AWAY, "drain");
        let mut socket = oracle(peer, &connection.take_output());
        assert_eq!(socket.read().expect("a text"), Message::text("hello"));
        assert_eq!(socket.read().expect("a ping"), Message::Ping(Bytes::from_static(b"there?")));
        assert!(matches!(socket.read(), Ok(Message::Close(Some(_)))));
        let _ = socket.flush();
        let answer = std::mem::take(&mut socket.get_mut().output);
        let (events, violation, output) = run(&mut connection, &[&answer]);
        assert!(matches!(&events[..], [Event::Close { code: Some(CloseCode::GOING_AWAY), .. }]));
        assert_eq!((violation, output, connection.state()), (None, vec![], State::Closed));
    }
}
