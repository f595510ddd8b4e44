//! Bodies in pieces, bodies nobody wants, pipelining, `100 Continue`, and what is left for the next protocol.

use bytes::{Bytes, BytesMut};
use http1::{Config, Decoded, Decoder, HttpError, RequestHead};

const LIMIT: Config =
    Config { head_bytes_max: 1_000, headers_max: 10, target_bytes_max: 100, body_bytes_max: 10 };
const NEXT: &str = "GET /next HTTP/1.0\r\n\r\n";

fn plain(length: usize) -> String {
    format!("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
}

const CHUNKED: &str = "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fn step(decoder: &mut Decoder, buf: &mut BytesMut) -> String {
    match decoder.decode(buf) {
        Ok(None) => "more".to_owned(),
        Ok(Some(Decoded::Head(head))) => head.path().to_owned(),
        Ok(Some(Decoded::Body(bytes))) => format!("[{}]", String::from_utf8_lossy(&bytes)),
        Ok(Some(Decoded::End)) => "end".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// Feeds `parts` one after the other and lists all steps, a bar after each part.
fn steps(parts: &[&str]) -> String {
    let mut decoder = Decoder::new(LIMIT);
    let mut buf = BytesMut::new();
    let mut steps = Vec::new();
    for part in parts {
        buf.extend_from_slice(part.as_bytes());
        loop {
            let step = step(&mut decoder, &mut buf);
            let is_last = step == "more" || step.starts_with(char::is_uppercase);
            steps.push(if step == "more" { "|".to_owned() } else { step });
            if is_last {
                break;
            }
        }
    }
    steps.join(" ")
}

#[test]
fn a_body_is_given_as_it_arrives() {
    assert_eq!(steps(&[&plain(5), "he", "llo"]), "/p | [he] | [llo] end |");
    assert_eq!(steps(&[&(plain(5) + "hello" + NEXT)]), "/p [hello] end /next end |");
    assert_eq!(steps(&[&plain(0)]), "/p end |");
    assert_eq!(
        steps(&[CHUNKED, "5\r\nhe", "llo\r\n", "1\r\n!\r\n0\r\n", "\r\n"]),
        "/p | [he] | [llo] | [!] | end |"
    );
    assert_eq!(steps(&[NEXT, NEXT]), "/next end | /next end |");
}

#[test]
fn a_body_too_large_is_found_out_behind_its_head() {
    assert_eq!(steps(&[&plain(11)]), "/p BodyTooLarge");
    assert_eq!(steps(&[CHUNKED, "6\r\nsixsix\r\n5\r\n"]), "/p | [sixsix] BodyTooLarge");
}

#[test]
fn pieces_are_views_into_the_read_buffer() {
    let mut decoder = Decoder::new(LIMIT);
    let mut buf = BytesMut::from((plain(5) + "hello" + CHUNKED + "3\r\nabc\r\n0\r\n\r\n").as_bytes());
    let memory = buf.as_ptr() as usize..buf.as_ptr() as usize + buf.len();
    for expected in ["hello", "abc"] {
        let request = decoder.decode_request(&mut buf).expect("sound").expect("whole");
        assert_eq!(request.body, expected);
        assert!(memory.contains(&(request.body.as_ptr() as usize)));
        assert!(memory.contains(&(request.head.path().as_ptr() as usize)));
    }
}

#[test]
fn an_announced_body_waits_in_the_buffer_until_it_is_whole() {
    let mut decoder = Decoder::new(LIMIT);
    let mut buf = BytesMut::from((plain(5) + "he").as_bytes());
    assert!(decoder.decode_request(&mut buf).expect("sound").is_none());
    assert_eq!((&buf[..], decoder.is_idle()), (&b"he"[..], false));
    assert_eq!(decoder.pending_head().map(RequestHead::path), Some("/p"));
    buf.extend_from_slice(b"lloGET");
    let request = decoder.decode_request(&mut buf).expect("sound").expect("whole");
    assert_eq!((request.body, &buf[..]), (Bytes::from("hello"), &b"GET"[..]));
    assert!(decoder.pending_head().is_none());
}

#[test]
fn a_whole_request_may_turn_into_pieces_at_any_point() {
    let mut decoder = Decoder::new(LIMIT);
    let mut buf = BytesMut::from((CHUNKED.to_owned() + "2\r\nhe\r\n3\r\nl").as_bytes());
    assert!(decoder.decode_request(&mut buf).expect("sound").is_none());
    buf.extend_from_slice(b"lo\r\n0\r\n\r\n");
    let taken: Vec<String> = (0..5).map(|_| step(&mut decoder, &mut buf)).collect();
    assert_eq!(taken, ["/p", "[hel]", "[lo]", "end", "more"]);
}

#[test]
#[should_panic(expected = "amid a body")]
fn pieces_do_not_turn_into_a_whole_request() {
    let mut decoder = Decoder::new(LIMIT);
    let mut buf = BytesMut::from((plain(5) + "he").as_bytes());
    assert_eq!(step(&mut decoder, &mut buf), "/p");
    let _ = decoder.decode_request(&mut buf);
}

#[test]
fn after_a_body_too_large_the_rest_can_be_drained() {
    for body in
        [plain(15) + "0123456789abcde", CHUNKED.to_owned() + "4\r\n0123\r\nb\r\n456789abcde\r\n0\r\n\r\n"]
    {
        let mut decoder = Decoder::new(LIMIT);
        let mut buf = BytesMut::from((body.clone() + NEXT).as_bytes());
        assert_eq!(decoder.decode_request(&mut buf).map(|_| ()), Err(HttpError::BodyTooLarge));
        assert_eq!(decoder.pending_head().map(RequestHead::path), Some("/p"));
        decoder.skip_body(15);
        let next = decoder.decode_request(&mut buf).expect("drained").expect("whole");
        assert_eq!((next.head.path(), next.body.len()), ("/next", 0));
        assert!(decoder.is_idle());
    }
}

#[test]
fn draining_has_a_limit_too() {
    for body in [plain(15), CHUNKED.to_owned() + "f\r\n"] {
        let mut decoder = Decoder::new(LIMIT);
        let mut buf = BytesMut::from(body.as_bytes());
        assert_eq!(decoder.decode_request(&mut buf).map(|_| ()), Err(HttpError::BodyTooLarge));
        decoder.skip_body(14);
        assert_eq!(decoder.decode_request(&mut buf).map(|_| ()), Err(HttpError::BodyTooLarge));
        decoder.skip_body(15);
        assert!(decoder.decode_request(&mut buf).expect("allowed now").is_none());
    }
}

#[test]
fn a_body_nobody_wants_is_skipped_up_to_the_next_request() {
    let mut decoder = Decoder::new(LIMIT);
    let mut buf = BytesMut::from((plain(5) + "he").as_bytes());
    assert_eq!(step(&mut decoder, &mut buf), "/p");
    assert_eq!(step(&mut decoder, &mut buf), "[he]");
    decoder.skip_body(1_000);
    assert_eq!(step(&mut decoder, &mut buf), "more");
    buf.extend_from_slice(("llo".to_owned() + NEXT).as_bytes());
    assert_eq!(step(&mut decoder, &mut buf), "end");
    assert_eq!(step(&mut decoder, &mut buf), "/next");
    // Without a body in progress there is nothing to skip.
    assert_eq!(step(&mut decoder, &mut buf), "end");
    decoder.skip_body(0);
    buf.extend_from_slice(NEXT.as_bytes());
    assert_eq!(step(&mut decoder, &mut buf), "/next");
}

#[test]
fn skipping_forgets_what_was_gathered() {
    let mut decoder = Decoder::new(LIMIT);
    let mut buf = BytesMut::from((CHUNKED.to_owned() + "2\r\nhe\r\n").as_bytes());
    assert!(decoder.decode_request(&mut buf).expect("sound").is_none());
    decoder.skip_body(100);
    assert!(decoder.pending_head().is_none());
    buf.extend_from_slice(("0\r\n\r\n".to_owned() + CHUNKED + "1\r\nx\r\n0\r\n\r\n").as_bytes());
    let next = decoder.decode_request(&mut buf).expect("sound").expect("whole");
    assert_eq!(next.body, "x");
}

#[test]
fn continue_is_due_once_and_only_while_the_client_waits() {
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let mut decoder = Decoder::new(LIMIT);
    let mut buf = BytesMut::from(head);
    assert!(decoder.decode_request(&mut buf).expect("sound").is_none());
    assert!(decoder.take_continue_due());
    assert!(!decoder.take_continue_due());
    // The body comes unasked: with the head, or right behind it.
    for (first, second) in [("h", "i"), ("", "h")] {
        let mut decoder = Decoder::new(LIMIT);
        let mut buf = BytesMut::from((head.to_owned() + first).as_bytes());
        assert!(decoder.decode_request(&mut buf).expect("sound").is_none());
        buf.extend_from_slice(second.as_bytes());
        decoder.decode_request(&mut buf).expect("sound");
        assert!(!decoder.take_continue_due());
    }
    // Nobody wants it.
    let mut decoder = Decoder::new(LIMIT);
    let mut buf = BytesMut::from(head);
    assert_eq!(step(&mut decoder, &mut buf), "/");
    decoder.skip_body(10);
    assert!(!decoder.take_continue_due());
    // There is none.
    let mut decoder = Decoder::new(LIMIT);
    let mut buf = BytesMut::from("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(step(&mut decoder, &mut buf), "/");
    assert!(!decoder.take_continue_due());
}

#[test]
fn a_decoder_is_idle_between_requests_only() {
    let mut decoder = Decoder::new(LIMIT);
    let mut buf = BytesMut::new();
    assert!(decoder.is_idle());
    assert_eq!(step(&mut decoder, &mut buf), "more");
    assert!(decoder.is_idle());
    buf.extend_from_slice(b"P");
    assert_eq!(step(&mut decoder, &mut buf), "more");
    assert!(!decoder.is_idle());
    buf.extend_from_slice(&plain(1).as_bytes()[1..]);
    assert_eq!(step(&mut decoder, &mut buf), "/p");
    assert!(!decoder.is_idle());
    buf.extend_from_slice(b"x");
    assert_eq!(step(&mut decoder, &mut buf), "[x]");
    assert_eq!(step(&mut decoder, &mut buf), "end");
    assert!(decoder.is_idle());
}

#[test]
fn reads_are_sized_by_what_is_missing_within_bounds() {
    let config = Config { body_bytes_max: u64::MAX, ..LIMIT };
    for (length, wanted) in [(1usize, 4_096), (100_000, 100_000 - 2), (usize::MAX, 262_144)] {
        let mut decoder = Decoder::new(config);
        let mut buf = BytesMut::from((plain(length) + "xx").as_bytes());
        assert_eq!(decoder.read_bytes_wanted(&buf), 4_096);
        let _ = decoder.decode_request(&mut buf).expect("sound");
        assert_eq!(decoder.read_bytes_wanted(&buf), wanted, "{length}");
    }
}

#[test]
fn what_follows_an_upgrade_is_left_alone() {
    let head = "GET /listen HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut decoder = Decoder::new(LIMIT);
    let mut buf = BytesMut::from((head.to_owned() + "\x01\x02").as_bytes());
    let request = decoder.decode_request(&mut buf).expect("sound").expect("whole");
    assert!(request.head.upgrades_to("WebSocket") && !request.head.upgrades_to("h2c"));
    assert_eq!((request.head.upgrade(), &buf[..]), (Some(&b"websocket"[..]), &b"\x01\x02"[..]));
}
