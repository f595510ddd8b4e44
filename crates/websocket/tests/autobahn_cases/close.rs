//! Group 7: the closing handshake, close codes and reasons.
//!
//! Rows of `main::check`. A close is answered with its own code, and after it there is silence.

use crate::{
    Frame, INVALID_PAYLOAD, NORMAL, PROTOCOL_ERROR, Reply, check, close, continuation, echo_text, ping, text,
};

#[test]
fn case_7_1_after_a_close_nothing_is_answered() {
    let message = "Hello World!";
    check("7.1.1", &[text(message), close(1000, "")], &[echo_text(message), NORMAL]);
    check("7.1.2", &[close(1000, ""), close(1000, "")], &[NORMAL]);
    check("7.1.3", &[close(1000, ""), ping("")], &[NORMAL]);
    check("7.1.4", &[close(1000, ""), text(message)], &[NORMAL]);
    let inside = [text("fragment1").more(), close(1000, ""), continuation("fragment2")];
    check("7.1.5", &inside, &[NORMAL]);
    let long = "BAsd7&jh23".repeat(26_215);
    let frames = [text(&long), text(message), close(1000, ""), ping("")];
    check("7.1.6", &frames, &[echo_text(&long), echo_text(message), NORMAL]);
}

#[test]
fn case_7_3_a_close_payload_is_empty_or_a_code_and_a_reason() {
    check("7.3.1", &[Frame::new(8, "")], &[Reply::Close(None)]);
    check("7.3.2", &[Frame::new(8, "a")], &[PROTOCOL_ERROR]);
    check("7.3.3", &[close(1000, "")], &[NORMAL]);
    check("7.3.4", &[close(1000, "Hello World!")], &[NORMAL]);
    check("7.3.5", &[close(1000, "*".repeat(123))], &[NORMAL]);
    check("7.3.6", &[close(1000, "*".repeat(124))], &[PROTOCOL_ERROR]);
}

#[test]
fn case_7_5_1_a_reason_that_is_not_utf8_fails_the_connection() {
    let reason = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
    check("7.5.1", &[close(1000, reason)], &[INVALID_PAYLOAD]);
}

#[test]
fn case_7_7_valid_codes_are_echoed() {
    let codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    for (at, code) in codes.into_iter().enumerate() {
        check(&format!("7.7.{}", at + 1), &[close(code, "")], &[Reply::Close(Some(code))]);
    }
    // Registered since the suite was written.
    for code in [1012, 1013, 1014] {
        check("7.7, later codes", &[close(code, "")], &[Reply::Close(Some(code))]);
    }
}

#[test]
fn case_7_9_invalid_codes_fail_the_connection() {
    let codes = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    for (at, code) in codes.into_iter().enumerate() {
        check(&format!("7.9.{}", at + 1), &[close(code, "")], &[PROTOCOL_ERROR]);
    }
    check("7.9, TLS failure", &[close(1015, "")], &[PROTOCOL_ERROR]);
}

#[test]
fn case_7_13_codes_beyond_the_private_ones_fail_the_connection() {
    check("7.13.1", &[close(5000, "")], &[PROTOCOL_ERROR]);
    check("7.13.2", &[close(65_535, "")], &[PROTOCOL_ERROR]);
}
