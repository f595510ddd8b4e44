//! The table of broken rules: what the peer sends, what is reported, which code closes the connection.
//!
//! Each row runs in a fresh connection, at once and byte by byte, and is followed by a ping that must not be
//! answered. The table names every kind of violation.

use crate::{CLIENT, run};
use bytes::BytesMut;
use std::mem::{Discriminant, discriminant};
use websocket::Role::Server;
use websocket::{Config, Connection, Event, InvalidUtf8, Opcode, Role, State, Violation, encode_frame};

const LIMITS: Config = Config { message_bytes_max: 200, fragments_max: 4 };
const KEY: [u8; 4] = [0; 4];

struct Row {
    law: &'static str,
    role: Role,
    input: Vec<u8>,
    violation: Violation,
    code: u16,
}

/// What a peer sends: the rule that it breaks, who receives it, the bytes.
type Sent<'a> = (&'static str, Role, &'a [&'a [u8]]);

fn rows(violation: Violation, code: u16, sent: &[Sent<'_>]) -> Vec<Row> {
    let row = |&(law, role, input): &Sent<'_>| Row { law, role, input: input.concat(), violation, code };
    sent.iter().map(row).collect()
}

/// A frame of a client, whose key of zeros keeps the payload legible.
fn masked(opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode_frame(opcode, fin, payload, Some(KEY), &mut out);
    out.to_vec()
}

fn unmasked(opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode_frame(opcode, fin, payload, None, &mut out);
    out.to_vec()
}

fn first_byte_rows() -> Vec<Row> {
    let reserved: [Sent<'_>; 4] = [
        ("5.2 RSV1", Server, &[b"\xc1\x80", &KEY]),
        ("5.2 RSV2", Server, &[b"\xa1\x80", &KEY]),
        ("5.2 RSV3", Server, &[b"\x91\x80", &KEY]),
        ("5.2 RSV1 from a server", CLIENT, &[b"\xc1\x00"]),
    ];
    let fragmented: [Sent<'_>; 3] = [
        ("5.5 ping without FIN", Server, &[b"\x09\x80", &KEY]),
        ("5.5 pong without FIN", Server, &[b"\x0a\x80", &KEY]),
        ("5.5 close without FIN", Server, &[b"\x08\x80", &KEY]),
    ];
    let mut table = rows(Violation::ReservedBits, 1002, &reserved);
    table.extend(rows(Violation::ControlFragmented, 1002, &fragmented));
    for opcode in (3..8).chain(11..16) {
        let input: [&[u8]; 2] = [&[0x80 | opcode, 0x80], &KEY];
        let sent = ("5.2 reserved opcode", Server, &input[..]);
        table.extend(rows(Violation::ReservedOpcode { opcode }, 1002, &[sent]));
    }
    table
}

fn mask_and_length_rows() -> Vec<Row> {
    let missing: [Sent<'_>; 2] = [
        ("5.1 client without mask", Server, &[b"\x81\x01a"]),
        ("5.1 ping of a client without mask", Server, &[b"\x89\x00"]),
    ];
    let forbidden: [Sent<'_>; 1] = [("5.1 server with mask", CLIENT, &[b"\x81\x81", &KEY, b"a"])];
    let long_control: [Sent<'_>; 3] = [
        ("5.5 ping of 126 bytes", Server, &[b"\x89\xfe\x00\x7e"]),
        ("5.5 pong with a 64-bit length", Server, &[b"\x8a\xff"]),
        ("5.5 close of 126 bytes from a server", CLIENT, &[b"\x88\x7e\x00\x7e"]),
    ];
    let not_minimal: [Sent<'_>; 3] = [
        ("5.2 16 bits for 125", Server, &[b"\x82\xfe\x00\x7d"]),
        ("5.2 64 bits for 65,535", Server, &[b"\x82\xff\0\0\0\0\0\0\xff\xff"]),
        ("5.2 64 bits for 0", CLIENT, &[b"\x82\x7f\0\0\0\0\0\0\0\0"]),
    ];
    let top_bit: [Sent<'_>; 1] = [("5.2 top bit of the length", Server, &[b"\x82\xff\x80\0\0\0\0\x01\0\0"])];
    let mut table = rows(Violation::MaskMissing, 1002, &missing);
    table.extend(rows(Violation::MaskForbidden, 1002, &forbidden));
    table.extend(rows(Violation::ControlTooLong, 1002, &long_control));
    table.extend(rows(Violation::LengthNotMinimal, 1002, &not_minimal));
    table.extend(rows(Violation::LengthTooLarge, 1002, &top_bit));
    table
}

fn order_rows() -> Vec<Row> {
    let start = masked(Opcode::Text, false, b"a");
    let lone: [Sent<'_>; 2] = [
        ("5.4 continuation first", Server, &[b"\x80\x80", &KEY]),
        ("5.4 continuation first, not final", Server, &[b"\x00\x80", &KEY]),
    ];
    let unfinished: [Sent<'_>; 3] = [
        ("5.4 text inside a text", Server, &[&start, b"\x81\x80", &KEY]),
        ("5.4 binary inside a text", Server, &[&start, b"\x02\x80", &KEY]),
        ("5.4 the same from a server", CLIENT, &[b"\x02\x00\x82\x00"]),
    ];
    let mut table = rows(Violation::ContinuationWithoutStart, 1002, &lone);
    table.extend(rows(Violation::MessageUnfinished, 1002, &unfinished));
    table
}

fn text_rows() -> Vec<Row> {
    let unfinished = masked(Opcode::Text, false, b"\xe2\x82");
    let sent: [Sent<'_>; 5] = [
        ("8.1 a byte that starts nothing", Server, &[&masked(Opcode::Text, true, b"a\xffb")]),
        ("8.1 unfinished at the end", Server, &[&masked(Opcode::Text, true, b"\xe2\x82")]),
        ("8.1 broken by the next fragment", Server, &[&unfinished, b"\x80\x81", &KEY, b"a"]),
        ("8.1 unfinished at an empty last fragment", Server, &[&unfinished, b"\x80\x80", &KEY]),
        ("8.1 from a server", CLIENT, &[b"\x81\x01\x80"]),
    ];
    rows(Violation::TextInvalid(InvalidUtf8), 1007, &sent)
}

fn limit_rows() -> Vec<Row> {
    let most = masked(Opcode::Binary, false, &[0; 150]);
    let (first, more) = (masked(Opcode::Binary, false, b""), masked(Opcode::Continuation, false, b"b"));
    let too_long: [Sent<'_>; 3] = [
        ("7.4.1 a frame over the limit", Server, &[b"\x82\xfe\x00\xc9", &KEY]),
        ("7.4.1 a claim of 2^63-1 bytes", Server, &[b"\x82\xff\x7f", &[0xff; 7], &KEY]),
        ("7.4.1 fragments over the limit", Server, &[&most, b"\x80\xb3", &KEY]),
    ];
    let fifth: [Sent<'_>; 1] =
        [("a fifth fragment where four may be", Server, &[&first, &more, &more, &more, &more])];
    let mut table = rows(Violation::MessageTooLong { limit: 200 }, 1009, &too_long);
    table.extend(rows(Violation::TooManyFragments { limit: 4 }, 1008, &fifth));
    table
}

fn close_rows() -> Vec<Row> {
    let cut: [Sent<'_>; 1] = [("5.5.1 a payload of one byte", Server, &[b"\x88\x81", &KEY, b"a"])];
    let reason: [Sent<'_>; 2] = [
        ("5.5.1 a reason that is not UTF-8", Server, &[b"\x88\x83", &KEY, b"\x03\xe8\xff"]),
        ("5.5.1 a reason cut inside a character", CLIENT, &[b"\x88\x04\x03\xe8\xe2\x82"]),
    ];
    let mut table = rows(Violation::CloseCodeCut, 1002, &cut);
    table.extend(rows(Violation::CloseReasonInvalid(InvalidUtf8), 1007, &reason));
    for number in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535u16] {
        let input: [&[u8]; 3] = [b"\x88\x82", &KEY, &number.to_be_bytes()];
        let sent = ("7.4 a code that is not for the wire", Server, &input[..]);
        table.extend(rows(Violation::CloseCodeInvalid { number }, 1002, &[sent]));
    }
    table
}

fn table() -> Vec<Row> {
    let tables =
        [first_byte_rows(), mask_and_length_rows(), order_rows(), text_rows(), limit_rows(), close_rows()];
    tables.into_iter().flatten().collect()
}

#[test]
fn each_broken_rule_closes_with_its_code_and_nothing_follows() {
    for Row { law, role, input, violation, code } in table() {
        for chop_bytes in [1, usize::MAX] {
            let mut connection = Connection::new(role, LIMITS);
            let pieces: Vec<&[u8]> = input.chunks(chop_bytes.min(input.len())).collect();
            let (events, got, output) = run(&mut connection, &pieces);
            assert_eq!((events, got), (vec![], Some(violation)), "{law}");
            assert_eq!(violation.close_code().number(), code, "{law}");
            assert_eq!(connection.state(), State::Closed, "{law}");
            assert_eq!(closing(role, &output), Some((code, violation.to_string())), "{law}");
            let late = if role == Server {
                masked(Opcode::Ping, true, b"?")
            } else {
                unmasked(Opcode::Ping, true, b"?")
            };
            assert_eq!(run(&mut connection, &[&late]), (vec![], None, vec![]), "{law}");
            assert_eq!(connection.held_bytes(), 0, "{law}");
        }
    }
}

/// The code and reason of the one close frame that the other side of `role` reads in `output`.
fn closing(role: Role, output: &[u8]) -> Option<(u16, String)> {
    let peer = if role == Server { CLIENT } else { Server };
    let (events, violation, _) = run(&mut Connection::new(peer, LIMITS), &[output]);
    assert_eq!(violation, None);
    match &events[..] {
        [Event::Close { code: Some(code), reason }] => {
            Some((code.number(), String::from_utf8(reason.to_vec()).ok()?))
        }
        _ => None,
    }
}

#[test]
fn what_stands_just_inside_a_limit_is_taken() {
    let fragments = [
        masked(Opcode::Binary, false, &[0; 150]),
        masked(Opcode::Continuation, false, &[0; 25]),
        masked(Opcode::Continuation, false, b""),
        masked(Opcode::Continuation, true, &[0; 25]),
    ];
    let ping = masked(Opcode::Ping, true, &[1; 125]);
    let inputs = [fragments.concat(), masked(Opcode::Text, true, &[b'a'; 200]), ping];
    for input in inputs {
        // Twice: the limits count a message, not a connection.
        let (events, violation, _) = run(&mut Connection::new(Server, LIMITS), &[&input, &input]);
        assert_eq!((events.len(), violation), (2, None));
    }
}

#[test]
fn the_table_names_every_violation() {
    let all = [
        Violation::ReservedBits,
        Violation::ReservedOpcode { opcode: 3 },
        Violation::ControlFragmented,
        Violation::ControlTooLong,
        Violation::MaskMissing,
        Violation::MaskForbidden,
        Violation::LengthNotMinimal,
        Violation::LengthTooLarge,
        Violation::ContinuationWithoutStart,
        Violation::MessageUnfinished,
        Violation::CloseCodeCut,
        Violation::CloseCodeInvalid { number: 0 },
        Violation::CloseReasonInvalid(InvalidUtf8),
        Violation::TextInvalid(InvalidUtf8),
        Violation::MessageTooLong { limit: 0 },
        Violation::TooManyFragments { limit: 0 },
    ];
    let named: Vec<Discriminant<Violation>> =
        table().iter().map(|row| discriminant(&row.violation)).collect();
    for violation in all {
        assert!(named.contains(&discriminant(&violation)), "{violation:?} has no row");
    }
}
