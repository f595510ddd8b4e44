//! Group 6: UTF-8 in text messages, valid and not, cut at every byte and failed at the first wrong one.
//!
//! 6.1 to 6.4 are rows of `main::check`; 6.5 to 6.23 are the sequences of Markus Kuhn's decoder stress test
//! in the order and with the numbers of the suite. Each is sent whole, in two fragments cut at every byte,
//! and one fragment a byte.

use crate::{Echo, Frame, INVALID_PAYLOAD, check, check_pieces, continuation, echo_text, fragmented, text};

/// "kosme" in Greek: characters of two and three bytes.
const KOSME: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

#[test]
fn case_6_1_empty_fragments_change_nothing() {
    check("6.1.1", &[text("")], &[echo_text("")]);
    let empty = [text("").more(), continuation("").more(), continuation("")];
    check("6.1.2", &empty, &[echo_text("")]);
    let middle = [text("").more(), continuation("middle frame payload").more(), continuation("")];
    check("6.1.3", &middle, &[echo_text("middle frame payload")]);
}

#[test]
fn case_6_2_valid_text_comes_back_however_it_is_fragmented() {
    let first = "Hello-\u{b5}@\u{df}\u{f6}\u{e4}";
    let second = "\u{fc}\u{e0}\u{e1}-UTF-8!!";
    let whole = format!("{first}{second}");
    check("6.2.1", &[text(&whole)], &[echo_text(&whole)]);
    check("6.2.2", &[text(first).more(), continuation(second)], &[echo_text(&whole)]);
    check("6.2.3", &fragmented(1, whole.as_bytes(), 1), &[echo_text(&whole)]);
    check("6.2.4", &fragmented(1, KOSME, 1), &[echo_text(KOSME)]);
}

#[test]
fn case_6_3_invalid_text_fails_however_it_is_fragmented() {
    let payload = [KOSME, b"\xed\xa0\x80edited"].concat();
    check("6.3.1", &[text(&payload)], &[INVALID_PAYLOAD]);
    check("6.3.2", &fragmented(1, &payload, 1), &[INVALID_PAYLOAD]);
}

/// Sends the pieces one by one; returns how many were taken without a reply.
fn pieces_before_failure(pieces: &[Vec<u8>]) -> usize {
    let mut echo = Echo::new();
    for (at, piece) in pieces.iter().enumerate() {
        echo.receive(piece);
        if !echo.replies().is_empty() {
            assert_eq!(echo.replies(), [INVALID_PAYLOAD]);
            return at;
        }
    }
    pieces.len()
}

#[test]
fn case_6_4_invalid_text_fails_at_the_first_byte_that_is_wrong() {
    // The second byte of the second part, 0x90, makes a character above U+10FFFF.
    let whole = [KOSME, b"\xf4\x90\x80\x80", b"edited"].concat();
    let in_frames = |cuts: [&[u8]; 3]| {
        let [a, b, c] = cuts;
        [text(a).more().wire(), continuation(b).more().wire(), continuation(c).wire()]
    };
    assert_eq!(pieces_before_failure(&in_frames([KOSME, b"\xf4\x90\x80\x80", b"edited"])), 1, "6.4.1");
    let at_the_byte = in_frames([&whole[..12], &whole[12..13], &whole[13..]]);
    assert_eq!(pieces_before_failure(&at_the_byte), 1, "6.4.2");
    let wire = text(&whole).wire();
    let header_bytes = wire.len() - whole.len();
    let in_chops = |first: usize, second: usize| {
        let (first, second) = (header_bytes + first, header_bytes + second);
        [wire[..first].to_vec(), wire[first..second].to_vec(), wire[second..].to_vec()]
    };
    assert_eq!(pieces_before_failure(&in_chops(11, 15)), 1, "6.4.3");
    assert_eq!(pieces_before_failure(&in_chops(12, 13)), 1, "6.4.4");
}

/// Sends `payload` as a text message cut at every byte.
fn check_everywhere(case: &str, payload: &[u8], valid: bool) {
    let expected = if valid { echo_text(payload) } else { INVALID_PAYLOAD };
    let expected = [expected];
    check(case, &[text(payload)], &expected);
    check(case, &fragmented(1, payload, 1), &expected);
    for cut in 0..=payload.len() {
        let (left, right) = payload.split_at(cut);
        let frames: [Frame; 2] = [text(left).more(), continuation(right)];
        let wire = [frames[0].wire(), frames[1].wire()];
        check_pieces(case, &format!("cut at {cut}"), wire.iter().map(Vec::as_slice), &expected);
    }
}

fn check_group(group: u32, valid: bool, payloads: &[&[u8]]) {
    for (at, payload) in payloads.iter().enumerate() {
        check_everywhere(&format!("6.{group}.{}", at + 1), payload, valid);
    }
}

#[test]
fn case_6_5_correct_text_is_taken() {
    check_group(
        5,
        true,
        &[
            b"hello\x24world",
            b"hello\xc2\xa2world",
            b"hello\xe2\x82\xacworld",
            b"hello\xf0\xa4\xad\xa2world",
            KOSME,
        ],
    );
}

#[test]
fn case_6_6_a_prefix_is_valid_only_between_characters() {
    let ends_of_characters = [2, 5, 7, 9, 11];
    for end in 1..=KOSME.len() {
        check_everywhere(&format!("6.6.{end}"), &KOSME[..end], ends_of_characters.contains(&end));
    }
}

#[test]
fn case_6_7_to_6_11_first_and_last_characters_of_each_length() {
    check_group(7, true, &[b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]);
    check_group(8, false, &[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]);
    check_group(9, true, &[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]);
    check_group(10, false, &[b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]);
    check_group(11, true, &[b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"]);
    check_everywhere("6.11.5", b"\xf4\x90\x80\x80", false);
}

#[test]
fn case_6_12_continuation_bytes_without_a_start_are_refused() {
    let mixed = b"\x80\xbf\x80\xbf\x80\xbf";
    check_group(12, false, &[b"\x80", b"\xbf", &mixed[..2], &mixed[..3], &mixed[..4], &mixed[..5], mixed]);
    let all: Vec<u8> = (0x80..0xbf).collect();
    check_everywhere("6.12.8", &all, false);
}

#[test]
fn case_6_13_start_bytes_without_their_continuation_are_refused() {
    let ranges = [0xc0..0xdf, 0xe0..0xef, 0xf0..0xf7, 0xf8..0xfb, 0xfc..0xfdu8];
    for (at, range) in ranges.into_iter().enumerate() {
        let payload: Vec<u8> = range.flat_map(|start| [start, b' ']).collect();
        check_everywhere(&format!("6.13.{}", at + 1), &payload, false);
    }
}

const UNFINISHED: [&[u8]; 10] = [
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xf8\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xf7\xbf\xbf",
    b"\xfb\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf",
];

#[test]
fn case_6_14_to_6_16_unfinished_characters_and_impossible_bytes_are_refused() {
    check_group(14, false, &UNFINISHED);
    check_everywhere("6.15.1", &UNFINISHED.concat(), false);
    check_group(16, false, &[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]);
}

#[test]
fn case_6_17_to_6_19_overlong_forms_are_refused() {
    let slash: [&[u8]; 5] = [
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xf8\x80\x80\x80\xaf",
        b"\xfc\x80\x80\x80\x80\xaf",
    ];
    check_group(17, false, &slash);
    let longest: [&[u8]; 5] = [
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xf8\x87\xbf\xbf\xbf",
        b"\xfc\x83\xbf\xbf\xbf\xbf",
    ];
    check_group(18, false, &longest);
    let nul: [&[u8]; 5] = [
        b"\xc0\x80",
        b"\xe0\x80\x80",
        b"\xf0\x80\x80\x80",
        b"\xf8\x80\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80\x80",
    ];
    check_group(19, false, &nul);
}

#[test]
fn case_6_20_to_6_21_surrogates_are_refused_alone_and_in_pairs() {
    let alone: [&[u8]; 7] = [
        b"\xed\xa0\x80",
        b"\xed\xad\xbf",
        b"\xed\xae\x80",
        b"\xed\xaf\xbf",
        b"\xed\xb0\x80",
        b"\xed\xbe\x80",
        b"\xed\xbf\xbf",
    ];
    check_group(20, false, &alone);
    let mut number = 0;
    for high in [b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"] {
        for low in [b"\xed\xb0\x80", b"\xed\xbf\xbf"] {
            number += 1;
            check_everywhere(&format!("6.21.{number}"), &[&high[..], &low[..]].concat(), false);
        }
    }
    assert_eq!(number, 8);
}

#[test]
fn case_6_22_to_6_23_non_characters_and_specials_are_valid() {
    // The last two code points of each plane: U+FFFE, U+FFFF, U+1FFFE, and so on.
    let mut number = 0;
    for plane in 0..=16u32 {
        for last in [0xfffe, 0xffff] {
            number += 1;
            let character = char::from_u32(plane << 16 | last).expect("not a surrogate");
            check_everywhere(&format!("6.22.{number}"), character.to_string().as_bytes(), true);
        }
    }
    assert_eq!(number, 34);
    for (at, special) in ('\u{fff9}'..='\u{ffff}').enumerate() {
        check_everywhere(&format!("6.23.{}", at + 1), special.to_string().as_bytes(), true);
    }
}

#[test]
fn every_code_point_is_taken_and_every_surrogate_refused() {
    let all: String = ('\0'..=char::MAX).collect();
    let mut echo = Echo::new();
    for piece in text(&all).wire().chunks(65_537) {
        echo.receive(piece);
    }
    assert_eq!(echo.replies(), [echo_text(&all)]);
    for surrogate in 0xd800u32..0xe000 {
        let bytes = [0xed, 0x80 | (surrogate >> 6 & 0x3f) as u8, 0x80 | (surrogate & 0x3f) as u8];
        let mut echo = Echo::new();
        echo.receive(&text(bytes).wire());
        assert_eq!(echo.replies(), [INVALID_PAYLOAD], "U+{surrogate:04X}");
    }
}
