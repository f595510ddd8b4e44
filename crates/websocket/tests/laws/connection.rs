//! Laws of one connection: any split gives the same, what is sent is received, bounds hold, masks differ.
//!
//! Both roles run over the same inputs. What comes out is compared whole: events, violation and output.

use crate::inputs::{self, Input, any_input, cuts, pieces};
use crate::{CLIENT, SMALL, payload, run};
use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use websocket::{
    CloseCode, Config, Connection, Event, NotOpen, Opcode, Role, State, Violation, encode_frame, frame_header,
};

fn roles() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(CLIENT)]
}

fn role_and_input() -> impl Strategy<Value = (Role, Input)> {
    roles().prop_flat_map(|role| (Just(role), any_input(role == Role::Server)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_split_of_the_input_gives_the_same_events_and_output(
        (role, input) in role_and_input(),
        cuts in cuts(),
    ) {
        let whole = run(&mut Connection::new(role, SMALL), &[&input]);
        let split = run(&mut Connection::new(role, SMALL), &pieces(&input, &cuts));
        prop_assert_eq!(&split, &whole);
        if input.len() < 2000 {
            let bytes: Vec<&[u8]> = input.chunks(1).collect();
            prop_assert_eq!(&run(&mut Connection::new(role, SMALL), &bytes), &whole);
        }
    }

    #[test]
    fn the_body_of_the_fuzz_target_holds((role, input) in role_and_input(), cut: u8) {
        let choice = u8::from(role != Role::Server);
        websocket::fuzz_connection(&[&[choice, cut], &input[..]].concat());
    }

    #[test]
    fn a_connection_holds_no_more_than_a_message_and_a_header((role, input) in role_and_input()) {
        let mut connection = Connection::new(role, SMALL);
        for piece in input.chunks(100) {
            let _ = run(&mut connection, &[piece]);
            prop_assert!(connection.held_bytes() < SMALL.message_bytes_max + 14);
            prop_assert!(connection.held_bytes() <= input.len());
        }
    }

    #[test]
    fn texts_are_utf8_and_messages_within_the_limit((role, input) in role_and_input()) {
        let (events, violation, _) = run(&mut Connection::new(role, SMALL), &[&input]);
        for event in &events {
            prop_assert!(payload(event).len() <= SMALL.message_bytes_max);
            if let Event::Text(text) = event {
                prop_assert!(std::str::from_utf8(text).is_ok());
            }
        }
        if let Some(violation) = violation {
            prop_assert!(violation.to_string().len() <= websocket::CLOSE_REASON_BYTES_MAX);
        }
    }

    #[test]
    fn answers_are_never_longer_than_what_they_answer(input in inputs::sound(true)) {
        let config = Config { message_bytes_max: 1 << 20, ..SMALL };
        let (_, violation, output) = run(&mut Connection::new(Role::Server, config), &[&input]);
        prop_assert_eq!(violation, None);
        prop_assert!(output.len() <= input.len());
    }

    #[test]
    fn what_one_side_sends_the_other_receives(
        messages in vec((any::<bool>(), "[a-z\u{e4}\u{20ac}\u{1f600}]{0,200}"), 0..8),
        client_sends: bool,
        cuts in cuts(),
    ) {
        let (mut near, mut far) = (Connection::new(Role::Server, SMALL), Connection::new(CLIENT, SMALL));
        if client_sends {
            std::mem::swap(&mut near, &mut far);
        }
        let mut expected = Vec::new();
        for (is_text, text) in &messages {
            let payload = Bytes::copy_from_slice(text.as_bytes());
            if *is_text {
                prop_assert_eq!(near.send_text(text), Ok(()));
                expected.push(Event::Text(payload));
            } else {
                prop_assert_eq!(near.send_binary(text.as_bytes()), Ok(()));
                expected.push(Event::Binary(payload));
            }
        }
        prop_assert_eq!(near.send_ping(b"here?"), Ok(()));
        near.send_close(CloseCode::GOING_AWAY, "drain");
        expected.push(Event::Ping(Bytes::from_static(b"here?")));
        let reason = Bytes::from_static(b"drain");
        expected.push(Event::Close { code: Some(CloseCode::GOING_AWAY), reason });
        let sent = near.take_output();
        let (events, violation, answer) = run(&mut far, &pieces(&sent, &cuts));
        prop_assert_eq!((events, violation), (expected, None));
        let (events, violation, silence) = run(&mut near, &[&answer]);
        // The pong came while this side was closing: only the close is told.
        let close = Event::Close { code: Some(CloseCode::GOING_AWAY), reason: Bytes::new() };
        prop_assert_eq!((events, violation, silence), (vec![close], None, Vec::new()));
        prop_assert_eq!((near.state(), far.state()), (State::Closed, State::Closed));
    }

    #[test]
    fn fragmentation_does_not_change_a_message(message in inputs::message(), key: [u8; 4]) {
        let inputs::Saying::Message { opcode, fragments } = &message else {
            unreachable!("a message was asked for");
        };
        let whole: Vec<u8> = fragments.iter().flat_map(|(piece, _)| piece.clone()).collect();
        let (mut cut, mut at_once) = (BytesMut::new(), BytesMut::new());
        message.encode(Some(key), &mut cut);
        encode_frame(*opcode, true, &whole, Some(key), &mut at_once);
        let is_message = |event: &Event| matches!(event, Event::Text(_) | Event::Binary(_));
        let config = Config { message_bytes_max: 1 << 20, ..SMALL };
        let (mut events, _, _) = run(&mut Connection::new(Role::Server, config), &[&cut]);
        events.retain(is_message);
        let (expected, _, _) = run(&mut Connection::new(Role::Server, config), &[&at_once]);
        prop_assert_eq!(events, expected);
    }

    #[test]
    fn a_shared_header_and_payload_are_a_frame(text in "[a-z\u{20ac}]{0,200}", fin: bool) {
        let mut shared = frame_header(Opcode::Text, fin, text.len()).to_vec();
        shared.extend(text.as_bytes());
        let mut encoded = BytesMut::new();
        encode_frame(Opcode::Text, fin, text.as_bytes(), None, &mut encoded);
        prop_assert_eq!(&shared[..], &encoded[..]);
    }
}

#[test]
fn a_message_in_one_frame_is_not_copied() {
    let mut input = BytesMut::new();
    encode_frame(Opcode::Binary, true, &[1; 5000], Some([1, 2, 3, 4]), &mut input);
    let memory = input.as_ptr_range();
    let mut connection = Connection::new(Role::Server, Config::default());
    connection.handle_bytes(&mut input);
    let Some(Ok(Event::Binary(payload))) = connection.poll_event() else {
        panic!("one binary message was sent");
    };
    assert!(memory.contains(&payload.as_ptr()));
    assert_eq!(payload, vec![1; 5000]);
}

#[test]
fn an_input_buffer_gets_its_memory_back_when_its_frames_are_done() {
    let mut connection = Connection::new(Role::Server, Config::default());
    let mut input = BytesMut::with_capacity(4096);
    for _ in 0..100 {
        encode_frame(Opcode::Pong, true, &[0; 50], Some([9; 4]), &mut input);
        connection.handle_bytes(&mut input);
        assert!(matches!(connection.poll_event(), Some(Ok(Event::Pong(_)))));
        assert_eq!(connection.poll_event(), None);
        assert_eq!(connection.held_bytes(), 0);
        assert!(input.try_reclaim(4096), "the connection holds no part of it");
    }
}

#[test]
fn a_claimed_length_holds_nothing_until_its_bytes_arrive() {
    let mut connection = Connection::new(Role::Server, Config::default());
    let header = websocket::masked_frame_header(Opcode::Binary, true, 1 << 20, [0; 4]);
    assert_eq!(run(&mut connection, &[&header]), (vec![], None, vec![]));
    assert_eq!(connection.held_bytes(), 0);
    assert_eq!(run(&mut connection, &[&[0; 10]]), (vec![], None, vec![]));
    assert_eq!(connection.held_bytes(), 10);
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Connection>() <= 256, "{} bytes", size_of::<Connection>());
}

#[test]
fn nothing_is_sent_after_a_close() {
    let mut connection = Connection::new(Role::Server, Config::default());
    connection.send_close(CloseCode::NORMAL, "done");
    assert_eq!(connection.state(), State::Closing);
    assert!(connection.has_output() && !connection.is_open());
    let close = connection.take_output();
    connection.send_close(CloseCode::NORMAL, "twice");
    assert_eq!(connection.send_text("late"), Err(NotOpen));
    assert_eq!(connection.send_binary(b"late"), Err(NotOpen));
    assert_eq!(connection.send_ping(b"late"), Err(NotOpen));
    assert_eq!(connection.send_pong(b"late"), Err(NotOpen));
    let mut late = BytesMut::new();
    websocket::encode_ping(b"late", Some([3; 4]), &mut late);
    websocket::encode_text("late", Some([3; 4]), &mut late);
    assert_eq!(run(&mut connection, &[&late]), (vec![], None, vec![]));
    assert_eq!(&close[..], b"\x88\x06\x03\xe8done");
    assert_eq!(connection.state(), State::Closing, "the peer has not closed yet");
}

#[test]
fn a_violation_while_closing_ends_the_connection_without_a_second_close() {
    let mut connection = Connection::new(Role::Server, Config::default());
    connection.send_close(CloseCode::NORMAL, "");
    let _ = connection.take_output();
    let (events, violation, output) = run(&mut connection, &[b"\xff"]);
    assert_eq!((events, violation, output), (vec![], Some(Violation::ReservedBits), vec![]));
    assert_eq!(connection.state(), State::Closed);
}

#[test]
fn each_frame_of_a_client_has_its_own_mask() {
    let mut client = Connection::new(CLIENT, Config::default());
    for _ in 0..100 {
        client.send_text("same").expect("open");
    }
    let output = client.take_output();
    let mut keys: Vec<&[u8]> = output.chunks(10).map(|frame| &frame[2..6]).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 100);
    assert!(!format!("{client:?}").contains("mask_seed"), "the seed is secret");
}
