//! Every limit is inclusive: exactly this much passes, one more does not, and a slow sender gains nothing.

use bytes::{BufMut, BytesMut};
use http1::{Config, Decoder, HEAD_BYTES_CAP, HEADERS_CAP, HttpError, HttpError::*};

use crate::requests_of;

const SMALL: Config =
    Config { head_bytes_max: 200, headers_max: 4, target_bytes_max: 40, body_bytes_max: 10 };

/// A head of exactly `head_bytes` bytes.
fn head_of(head_bytes: usize) -> String {
    let fixed = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
    format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(head_bytes - fixed))
}

fn check(config: Config, raw: &str, expected: Option<HttpError>) {
    let (requests, error) = requests_of(config, raw.as_bytes());
    assert_eq!(error, expected, "{raw:?}");
    assert_eq!(requests.len(), usize::from(expected.is_none()), "{raw:?}");
}

#[test]
fn a_head_is_at_most_as_long_as_allowed() {
    check(SMALL, &head_of(200), None);
    check(SMALL, &head_of(201), Some(HeadTooLarge));
    // The tolerated empty line in front does not count.
    check(SMALL, &("\r\n".to_owned() + &head_of(200)), None);
    check(SMALL, &format!("GET / HTTP/1.1 {}", "x".repeat(300)), Some(TargetTooLong));
}

#[test]
fn a_head_that_never_ends_stops_at_the_limit() {
    let raw = head_of(500);
    let mut decoder = Decoder::new(SMALL);
    let mut buf = BytesMut::new();
    for (index, byte) in raw.bytes().enumerate() {
        buf.put_u8(byte);
        let result = decoder.decode_request(&mut buf);
        if index < 199 {
            assert!(matches!(result, Ok(None)), "at {index}");
        } else {
            assert_eq!(result.map(|_| ()), Err(HeadTooLarge), "at {index}");
        }
    }
}

#[test]
fn an_error_is_for_good() {
    let mut decoder = Decoder::new(SMALL);
    let mut buf = BytesMut::from("GET / HTTP/3.0\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    for _ in 0..3 {
        assert_eq!(decoder.decode(&mut buf).map(|_| ()), Err(VersionUnsupported));
        assert_eq!(decoder.decode_request(&mut buf).map(|_| ()), Err(VersionUnsupported));
        decoder.skip_body(100);
        assert!(!decoder.is_idle());
    }
}

#[test]
fn there_are_at_most_as_many_header_lines_as_allowed() {
    let lines = |count: usize| format!("GET / HTTP/1.0\r\n{}\r\n", "X: y\r\n".repeat(count));
    check(SMALL, &lines(4), None);
    check(SMALL, &lines(5), Some(TooManyHeaders));
}

#[test]
fn a_target_is_at_most_as_long_as_allowed() {
    let target = |bytes: usize| format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(bytes - 1));
    check(SMALL, &target(40), None);
    check(SMALL, &target(41), Some(TargetTooLong));
    // Found out before the line is complete, and before the line end is looked for.
    let (_, error) = requests_of(SMALL, format!("GET /{}", "x".repeat(40)).as_bytes());
    assert_eq!(error, Some(TargetTooLong));
    let (_, error) = requests_of(SMALL, format!("GET /{}\r", "x".repeat(39)).as_bytes());
    assert_eq!(error, None);
    check(SMALL, &format!("GET /{}\r\n\r\n", "x".repeat(39)), Some(VersionMissing));
}

#[test]
fn a_method_is_at_most_24_bytes_long() {
    let method = |bytes: usize| format!("{} / HTTP/1.0\r\n\r\n", "M".repeat(bytes));
    check(SMALL, &method(24), None);
    check(SMALL, &method(25), Some(MethodTooLong));
}

#[test]
fn a_body_is_at_most_as_long_as_allowed() {
    let plain =
        |bytes: usize| format!("POST / HTTP/1.0\r\nContent-Length: {bytes}\r\n\r\n{}", "b".repeat(bytes));
    check(SMALL, &plain(10), None);
    check(SMALL, &plain(11), Some(BodyTooLarge));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(SMALL, &format!("{head}a\r\n0123456789\r\n0\r\n\r\n"), None);
    check(SMALL, &format!("{head}9\r\n012345678\r\n1\r\n9\r\n0\r\n\r\n"), None);
    check(SMALL, &format!("{head}b\r\n"), Some(BodyTooLarge));
    check(SMALL, &format!("{head}9\r\n012345678\r\n2\r\n"), Some(BodyTooLarge));
}

/// A chunked request with `body`.
fn chunked(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

#[test]
fn chunk_extensions_are_bounded_by_line_and_in_all() {
    let wide = Config { head_bytes_max: 1_000, ..SMALL };
    // 256 bytes of a line: digit, semicolon, text, line end.
    let line = |bytes: usize| format!("1;{}\r\n", "x".repeat(bytes - 4));
    check(wide, &chunked(&format!("{}b\r\n0\r\n\r\n", line(256))), None);
    check(wide, &chunked(&format!("{}b\r\n0\r\n\r\n", line(257))), Some(ChunkLineTooLong));
    // 100 bytes of extensions a chunk, 1,000 in all.
    let chunk = format!("{}b\r\n", line(103));
    check(wide, &chunked(&(chunk.repeat(10) + "0\r\n\r\n")), None);
    check(wide, &chunked(&(chunk.repeat(10) + "0;\r\n\r\n")), Some(ChunkExtensionsTooLong));
}

#[test]
fn trailers_are_bounded_like_a_head() {
    let section = |bytes: usize| format!("0\r\nX: {}\r\n\r\n", "x".repeat(bytes - 7));
    check(SMALL, &chunked(&section(200)), None);
    check(SMALL, &chunked(&section(201)), Some(TrailersTooLarge));
    check(SMALL, &chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(4))), None);
    check(SMALL, &chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(5))), Some(TooManyHeaders));
}

#[test]
fn limits_beyond_the_caps_act_as_the_caps() {
    let all = Config {
        head_bytes_max: usize::MAX,
        headers_max: usize::MAX,
        target_bytes_max: usize::MAX,
        body_bytes_max: u64::MAX,
    };
    check(all, &head_of(HEAD_BYTES_CAP), None);
    check(all, &head_of(HEAD_BYTES_CAP + 1), Some(HeadTooLarge));
    check(all, &format!("GET / HTTP/1.0\r\n{}\r\n", "X: y\r\n".repeat(HEADERS_CAP)), None);
    check(
        all,
        &format!("GET / HTTP/1.0\r\n{}\r\n", "X: y\r\n".repeat(HEADERS_CAP + 1)),
        Some(TooManyHeaders),
    );
    // The largest length there is can be announced; nothing is allocated for it.
    let (requests, error) =
        requests_of(all, b"PUT / HTTP/1.0\r\nContent-Length: 18446744073709551615\r\n\r\nx");
    assert_eq!((requests.len(), error), (0, None));
}

#[test]
fn zero_limits_refuse_and_do_not_panic() {
    let none = Config { head_bytes_max: 0, headers_max: 0, target_bytes_max: 0, body_bytes_max: 0 };
    check(none, "GET / HTTP/1.0\r\n\r\n", Some(TargetTooLong));
    check(Config { head_bytes_max: 100, target_bytes_max: 1, ..none }, "GET / HTTP/1.0\r\n\r\n", None);
}
