//! Groups 1 to 5: framing, pings, reserved bits, opcodes, fragmentation.
//!
//! Rows of `main::check`. What the suite calls a strict pass is asked for: messages before a violation are
//! answered, the violation by 1002, and nothing after it.

use crate::{
    NORMAL, PROTOCOL_ERROR, Reply, binary, check, continuation, echo_binary, echo_text, fragmented, ping,
    pong, pong_of, text,
};

const HELLO: &str = "Hello, world!";

#[test]
fn case_1_1_text_messages_of_every_length_form_come_back() {
    for (case, length) in
        [("1.1.1", 0), ("1.1.2", 125), ("1.1.3", 126), ("1.1.4", 127), ("1.1.5", 128), ("1.1.6", 65_535)]
    {
        let payload = "*".repeat(length);
        check(case, &[text(&payload)], &[echo_text(&payload)]);
    }
    // 1.1.8 is 1.1.7 in chops of 997; every case here runs in chops.
    let payload = "*".repeat(65_536);
    check("1.1.7, 1.1.8", &[text(&payload)], &[echo_text(&payload)]);
}

#[test]
fn case_1_2_binary_messages_of_every_length_form_come_back() {
    for (case, length) in
        [("1.2.1", 0), ("1.2.2", 125), ("1.2.3", 126), ("1.2.4", 127), ("1.2.5", 128), ("1.2.6", 65_535)]
    {
        let payload = vec![0xfe; length];
        check(case, &[binary(&payload)], &[echo_binary(&payload)]);
    }
    let payload = vec![0xfe; 65_536];
    check("1.2.7, 1.2.8", &[binary(&payload)], &[echo_binary(&payload)]);
}

#[test]
fn case_2_pings_are_answered_and_pongs_are_not() {
    let bytes = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    check("2.1", &[ping("")], &[pong_of("")]);
    check("2.2", &[ping(HELLO)], &[pong_of(HELLO)]);
    check("2.3", &[ping(bytes)], &[pong_of(bytes)]);
    // 2.6 is 2.4 octet by octet.
    check("2.4, 2.6", &[ping([0xfe; 125])], &[pong_of([0xfe; 125])]);
    check("2.5", &[ping([0xfe; 126])], &[PROTOCOL_ERROR]);
    check("2.7", &[pong("")], &[]);
    check("2.8", &[pong("unsolicited")], &[]);
    check("2.9", &[pong("unsolicited"), ping("asked")], &[pong_of("asked")]);
    let pings: Vec<_> = (0..10).map(|i| ping(format!("payload {i}"))).collect();
    let pongs: Vec<_> = (0..10).map(|i| pong_of(format!("payload {i}"))).collect();
    check("2.10, 2.11", &pings, &pongs);
}

#[test]
fn case_3_reserved_bits_fail_the_connection() {
    check("3.1", &[text(HELLO).rsv(1)], &[PROTOCOL_ERROR]);
    let echo_and_fail = [echo_text(HELLO), PROTOCOL_ERROR];
    check("3.2", &[text(HELLO), text(HELLO).rsv(2), ping("")], &echo_and_fail);
    check("3.3", &[text(HELLO), text(HELLO).rsv(3), ping("")], &echo_and_fail);
    check("3.4", &[text(HELLO), text(HELLO).rsv(4), ping("")], &echo_and_fail);
    check("3.5", &[binary([0xfe; 8]).rsv(5)], &[PROTOCOL_ERROR]);
    check("3.6", &[ping(HELLO).rsv(6)], &[PROTOCOL_ERROR]);
    check("3.7", &[crate::close(1000, "").rsv(7)], &[PROTOCOL_ERROR]);
}

#[test]
fn case_4_reserved_opcodes_fail_the_connection() {
    let reserved = crate::Frame::new;
    for (case, opcode) in [("4.1.1", 3), ("4.2.1", 11)] {
        check(case, &[reserved(opcode, "")], &[PROTOCOL_ERROR]);
    }
    for (case, opcode) in [("4.1.2", 4), ("4.2.2", 12)] {
        check(case, &[reserved(opcode, "reserved opcode payload")], &[PROTOCOL_ERROR]);
    }
    let rows = [("4.1.3", 5), ("4.1.4", 6), ("4.1.5", 7), ("4.2.3", 13), ("4.2.4", 14), ("4.2.5", 15)];
    for (case, opcode) in rows {
        let frames = [text(HELLO), reserved(opcode, ""), ping("")];
        check(case, &frames, &[echo_text(HELLO), PROTOCOL_ERROR]);
    }
}

#[test]
fn case_5_1_to_5_2_control_frames_are_never_fragmented() {
    check("5.1", &[ping("frag").more(), continuation("ment")], &[PROTOCOL_ERROR]);
    check("5.2", &[pong("frag").more(), continuation("ment")], &[PROTOCOL_ERROR]);
}

#[test]
fn case_5_3_to_5_8_fragments_make_one_message_and_pings_stand_between() {
    let message = [text("fragment1").more(), continuation("fragment2")];
    check("5.3, 5.4, 5.5", &message, &[echo_text("fragment1fragment2")]);
    let with_ping = [text("fragment1").more(), ping("ping payload"), continuation("fragment2")];
    let expected = [pong_of("ping payload"), echo_text("fragment1fragment2")];
    check("5.6, 5.7, 5.8", &with_ping, &expected);
}

#[test]
fn case_5_9_to_5_18_the_order_of_fragments_is_kept() {
    let lone = continuation("non-continuation payload");
    check("5.9, 5.10, 5.11", &[lone.clone(), text(HELLO)], &[PROTOCOL_ERROR]);
    check("5.12, 5.13, 5.14", &[lone.clone().more(), text(HELLO)], &[PROTOCOL_ERROR]);
    let frames = [
        text("fragment1").more(),
        continuation("fragment2"),
        continuation("fragment3").more(),
        text("fragment4"),
    ];
    check("5.15", &frames, &[echo_text("fragment1fragment2"), PROTOCOL_ERROR]);
    let twice = |lone: crate::Frame| {
        [lone.clone(), text("fragment2").more(), continuation("fragment3"), lone, text("fragment4")]
    };
    check("5.16", &twice(continuation("fragment1").more()), &[PROTOCOL_ERROR]);
    check("5.17", &twice(continuation("fragment1")), &[PROTOCOL_ERROR]);
    check("5.18", &[text("fragment1").more(), text("fragment2")], &[PROTOCOL_ERROR]);
}

#[test]
fn case_5_19_to_5_20_pings_are_answered_between_many_fragments() {
    let frames = [
        text("fragment1").more(),
        continuation("fragment2").more(),
        ping("pongme 1!"),
        continuation("fragment3").more(),
        continuation("fragment4").more(),
        ping("pongme 2!"),
        continuation("fragment5"),
    ];
    let expected = [
        pong_of("pongme 1!"),
        pong_of("pongme 2!"),
        echo_text("fragment1fragment2fragment3fragment4fragment5"),
    ];
    check("5.19, 5.20", &frames, &expected);
}

#[test]
fn case_10_1_1_a_message_in_fragments_of_1300_comes_back() {
    let payload = "*".repeat(65_536);
    let mut frames = fragmented(1, payload.as_bytes(), 1300);
    assert_eq!(frames.len(), 51, "50 whole fragments and the rest");
    frames.push(crate::close(1000, ""));
    let expected: [Reply; 2] = [echo_text(&payload), NORMAL];
    check("10.1.1", &frames, &expected);
}
