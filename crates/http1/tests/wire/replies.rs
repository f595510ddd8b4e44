//! Replies as a client reads them: whole, in pieces, cut short, and interim ones passed over.

use bytes::BytesMut;
use http1::{Config, Decoded, HttpError, HttpError::*, ResponseDecoder, Version};

const LIMIT: Config = Config { head_bytes_max: 100, headers_max: 3, target_bytes_max: 0, body_bytes_max: 10 };

/// What becomes of `raw`, the connection closed behind it: `status[body]` per reply, and the error.
fn outcome(head_replies: &[bool], raw: &[u8]) -> String {
    let mut decoder = ResponseDecoder::new(LIMIT);
    for is_head in head_replies {
        decoder.handle_request_sent(*is_head);
    }
    let mut buf = BytesMut::from(raw);
    let mut parts = Vec::new();
    for is_closed in [false, true] {
        if is_closed {
            parts.push("|".to_owned());
            decoder.handle_close();
        }
        loop {
            match decoder.decode_response(&mut buf) {
                Ok(Some(reply)) => {
                    parts.push(format!("{}[{}]", reply.head.status(), String::from_utf8_lossy(&reply.body)));
                }
                Ok(None) => break,
                Err(error) => {
                    parts.push(format!("{error:?}"));
                    return parts.join(" ");
                }
            }
        }
    }
    parts.join(" ")
}

fn check(raw: &str, expected: &str) {
    assert_eq!(outcome(&[], raw.as_bytes()), expected, "{raw:?}");
}

fn refuse(raw: &str, error: HttpError) {
    check(raw, &format!("{error:?}"));
}

#[test]
fn a_reply_ends_where_its_framing_says() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "200[hi] |");
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 201 \r\nContent-Length: 1\r\n\r\nx",
        "200[] 201[x] |",
    );
    check(
        "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\nX: y\r\n\r\n",
        "200[ab] |",
    );
    check("HTTP/1.1 200 OK\r\n\r\nall of it", "| 200[all of it]");
    check("HTTP/1.0 200 OK\r\n\r\n", "| 200[]");
    check("", "|");
}

#[test]
fn some_replies_have_no_body_whatever_they_announce() {
    check("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 \r\nContent-Length: 9\r\n\r\n", "204[] 304[] |");
    let raw = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(outcome(&[true, false], raw), "200[] 200[abc] |");
    let raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(outcome(&[true], raw), "200[] |");
}

#[test]
fn interim_replies_are_passed_over_and_do_not_answer_a_request() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let raw = format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
    assert_eq!(outcome(&[true], raw.as_bytes()), "200[] |");
    check(interim, "|");
}

#[test]
fn switching_protocols_leaves_the_rest_alone() {
    let mut decoder = ResponseDecoder::new(LIMIT);
    let mut buf =
        BytesMut::from("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x02");
    let reply = decoder.decode_response(&mut buf).expect("sound").expect("whole");
    assert_eq!((reply.head.status(), reply.body.len(), &buf[..]), (101, 0, &b"\x01\x02"[..]));
}

#[test]
fn a_reply_cut_short_is_no_reply() {
    for raw in [
        "H",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    ] {
        check(raw, "| Truncated");
    }
}

#[test]
fn malformed_replies_are_refused() {
    refuse("\r\nHTTP/1.1 200 OK\r\n\r\n", StatusLineInvalid);
    refuse("SSH-2.0", StatusLineInvalid);
    refuse("HTTP/2.0 200 OK\r\n\r\n", VersionUnsupported);
    refuse("HTTP/1.x 200 OK\r\n\r\n", VersionInvalid);
    refuse("HTTP/1\r\n\r\n", VersionInvalid);
    refuse("HTTP/1.1\r\n\r\n", StatusLineInvalid);
    refuse("HTTP/1.1 20 OK\r\n\r\n", StatusLineInvalid);
    refuse("HTTP/1.1 099 OK\r\n\r\n", StatusLineInvalid);
    refuse("HTTP/1.1 2000 OK\r\n\r\n", StatusLineInvalid);
    refuse("HTTP/1.1 200 O\x01K\r\n\r\n", StatusLineInvalid);
    refuse("HTTP/1.1 200 OK\n\n", BareLf);
    refuse("HTTP/1.1 200 OK\r\nX : y\r\n\r\n", SpaceBeforeColon);
    refuse("HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", ObsoleteFold);
    refuse("HTTP/1.1 200 OK\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n\r\n", TooManyHeaders);
    refuse("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", ContentLengthDuplicate);
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    refuse(both, ContentLengthWithTransferEncoding);
    refuse("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", TransferEncodingOnHttp10);
    refuse("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", TransferCodingUnsupported);
}

#[test]
fn limits_hold_for_replies_too() {
    let head = |bytes: usize| format!("HTTP/1.1 204 \r\nX: {}\r\n\r\n", "x".repeat(bytes - 22));
    check(&head(100), "204[] |");
    refuse(&head(101), HeadTooLarge);
    check("HTTP/1.1 200 OK\r\n\r\n0123456789", "| 200[0123456789]");
    refuse("HTTP/1.1 200 OK\r\n\r\n0123456789a", BodyTooLarge);
    refuse("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", BodyTooLarge);
}

#[test]
fn an_error_is_for_good() {
    let mut decoder = ResponseDecoder::new(LIMIT);
    let mut buf = BytesMut::from("nonsense");
    for _ in 0..2 {
        assert_eq!(decoder.decode(&mut buf).map(|_| ()), Err(StatusLineInvalid));
        buf = BytesMut::from("HTTP/1.1 204 \r\n\r\n");
    }
    assert!(!decoder.is_idle());
}

#[test]
fn a_reply_head_answers_what_is_asked_of_it() {
    let mut decoder = ResponseDecoder::new(LIMIT);
    assert!(decoder.is_idle());
    let mut buf =
        BytesMut::from("HTTP/1.1 200 \u{e9}\r\nHost: ,\r\nETag: \"1\"\r\nTransfer-Encoding: chunked\r\n\r\n");
    let Ok(Some(Decoded::Head(head))) = decoder.decode(&mut buf) else { panic!("a head") };
    assert_eq!((head.status(), head.version(), head.keep_alive()), (200, Version::Http11, true));
    assert_eq!((head.header("etag"), head.header_str("ETAG")), (Some(&b"\"1\""[..]), Some("\"1\"")));
    assert_eq!((head.chunked(), head.content_length(), head.headers().len()), (true, None, 3));
    let mut buf = BytesMut::from("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n");
    let Ok(Some(Decoded::Head(head))) = ResponseDecoder::new(LIMIT).decode(&mut buf) else {
        panic!("a head")
    };
    assert_eq!((head.keep_alive(), head.content_length()), (false, Some(5)));
}

#[test]
#[should_panic(expected = "a whole reply is taken from its head on")]
fn pieces_do_not_turn_into_a_whole_reply() {
    let mut decoder = ResponseDecoder::new(LIMIT);
    let mut buf = BytesMut::from("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    assert!(matches!(decoder.decode(&mut buf), Ok(Some(Decoded::Head(_)))));
    let _ = decoder.decode_response(&mut buf);
}
