//! Requests, good and bad: what each becomes, or the exact error it dies of. The bad ones are the list of RFC
//! 9112 and of known ways to smuggle a request past one parser and into another.

use http1::{Config, HttpError, HttpError::*, Method, Request, Version};

use crate::requests_of;

/// Checks what becomes of `raw`, alone and behind a sound request: one line per request, then the error.
fn check(raw: &str, expected: &str) {
    check_bytes(raw.as_bytes(), expected);
}

fn check_bytes(raw: &[u8], expected: &str) {
    assert_eq!(outcome(raw), expected, "{:?}", String::from_utf8_lossy(raw));
    let behind = [b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n", raw].concat();
    let expected = format!("GET /first a keep []\n{expected}");
    assert_eq!(outcome(&behind), expected, "behind another: {:?}", String::from_utf8_lossy(raw));
}

/// Checks that `raw` is refused with `error`.
fn refuse(raw: &str, error: HttpError) {
    check(raw, &format!("{error:?}\n"));
}

fn outcome(raw: &[u8]) -> String {
    let (requests, error) = requests_of(Config::default(), raw);
    let mut text: String = requests.iter().map(|request| line_of(request) + "\n").collect();
    if let Some(error) = error {
        text += &format!("{error:?}\n");
    }
    text
}

fn line_of(request: &Request) -> String {
    let head = &request.head;
    let mut line = format!("{} {}", head.method_name(), head.path());
    if let Some(query) = head.query() {
        line += &format!("?{query}");
    }
    line += &format!(" {}", head.host().unwrap_or("-"));
    line += if head.keep_alive() { " keep" } else { " close" };
    for (is_so, word) in [
        (head.version() == Version::Http10, " 1.0"),
        (head.chunked(), " chunked"),
        (head.expect_continue(), " expects"),
        (head.upgrades_to("websocket"), " websocket"),
    ] {
        line += if is_so { word } else { "" };
    }
    line + &format!(" [{}]", String::from_utf8_lossy(&request.body))
}

/// `lines` between a sound request line with Host, and the end of the head.
fn with_headers(lines: &str) -> String {
    format!("POST /p HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[test]
fn sound_requests_are_what_they_say() {
    check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / a keep []\n");
    check("GET /a/b%20c?x=1&y HTTP/1.1\r\nhOST:a:80\r\n\r\n", "GET /a/b%20c?x=1&y a:80 keep []\n");
    check("GET /? HTTP/1.1\r\nHost: a\r\n\r\n", "GET /? a keep []\n");
    check("GET /a?b?c HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a?b?c a keep []\n");
    check("GET //a HTTP/1.1\r\nHost: a\r\n\r\n", "GET //a a keep []\n");
    check("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", "BREW /pot a keep []\n");
    check("get / HTTP/1.1\r\nHost: a\r\n\r\n", "get / a keep []\n");
    check("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * a keep []\n");
    check("GET /\"{}|\\^` HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\"{}|\\^` a keep []\n");
    check("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / a keep []\n");
    check("GET / HTTP/1.1\r\nHost: \t a \t\r\nX:\r\nY: \t\r\n\r\n", "GET / a keep []\n");
    check("GET / HTTP/1.1\r\nHost: a\r\nX: caf\u{e9}\r\n\r\n", "GET / a keep []\n");
    check("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "GET / [::1]:8080 keep []\n");
}

#[test]
fn an_absolute_target_names_path_and_host() {
    check("GET http://b:81/p?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET /p?q b:81 keep []\n");
    check("GET HTTPS://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET / b keep []\n");
    check("GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?q b keep []\n");
    check("GET http://b/ HTTP/1.0\r\n\r\n", "GET / b close 1.0 []\n");
}

#[test]
fn http_1_0_closes_unless_told_otherwise_and_needs_no_host() {
    check("GET / HTTP/1.0\r\n\r\n", "GET / - close 1.0 []\n");
    check("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / - keep 1.0 []\n");
    check("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET / - close 1.0 []\n");
    check("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", "POST / - close 1.0 [hi]\n");
    let wishes = "Expect: 100-continue\r\nConnection: upgrade\r\nUpgrade: websocket\r\n";
    check(&format!("GET / HTTP/1.0\r\n{wishes}\r\n"), "GET / - close 1.0 []\n");
}

#[test]
fn connection_options_are_found_in_lists_and_over_lines() {
    check(&with_headers("Connection: x, CLOSE ,y\r\n"), "POST /p a close []\n");
    check(&with_headers("Connection: x\r\nConnection: close\r\n"), "POST /p a close []\n");
    check(&with_headers("Connection: closed\r\n"), "POST /p a keep []\n");
    check(
        &with_headers("Connection: keep-alive, Upgrade\r\nUpgrade: h2c, WebSocket\r\n"),
        "POST /p a keep websocket []\n",
    );
    check(&with_headers("Upgrade: websocket\r\n"), "POST /p a keep []\n");
    check(&with_headers("Connection: upgrade\r\n"), "POST /p a keep []\n");
    check(&with_headers("Connection: upgrade\r\nUpgrade: websocket2\r\n"), "POST /p a keep []\n");
}

#[test]
fn bodies_are_as_long_as_announced() {
    check(&(with_headers("Content-Length: 5\r\n") + "hello"), "POST /p a keep [hello]\n");
    check(&(with_headers("content-length: 005\r\n") + "hello"), "POST /p a keep [hello]\n");
    check(&with_headers("Content-Length: 0\r\n"), "POST /p a keep []\n");
    check(&(with_headers("Content-Length: 5\r\n") + "hell"), "");
    check(
        &(with_headers("Content-Length: 2\r\nExpect: 100-Continue\r\n") + "hi"),
        "POST /p a keep expects [hi]\n",
    );
    let expects = with_headers("Expect: 100-continue\r\nExpect: x\r\nContent-Length: 1\r\n");
    check(&(expects + "x"), "POST /p a keep expects [x]\n");
    let two = with_headers("Content-Length: 1\r\n") + "x" + &with_headers("Content-Length: 1\r\n") + "y";
    check(&two, "POST /p a keep [x]\nPOST /p a keep [y]\n");
    check(
        &(with_headers("Content-Length: 1\r\n") + "x\r\nGET / HTTP/1.0\r\n\r\n"),
        "POST /p a keep [x]\nGET / - close 1.0 []\n",
    );
}

/// A request with a chunked body.
fn chunked(body: &str) -> String {
    with_headers("Transfer-Encoding: chunked\r\n") + body
}

#[test]
fn chunks_are_put_together() {
    for (body, text) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", "hello"),
        ("1\r\na\r\n1\r\nb\r\n1\r\nc\r\n000\r\n\r\n", "abc"),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("a;x=y;z=\"q\"\r\n0123456789\r\n0;end\r\n\r\n", "0123456789"),
        ("1 \t;x\r\nh\r\n0\r\n\r\n", "h"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ("1\r\nh\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n", "h"),
    ] {
        check(&chunked(body), &format!("POST /p a keep chunked [{text}]\n"));
    }
    let exact = with_headers("Transfer-Encoding:  CHUNKED \r\n") + "0\r\n\r\n";
    check(&exact, "POST /p a keep chunked []\n");
}

#[test]
fn broken_chunks_are_refused() {
    for (body, error) in [
        ("\r\n", ChunkSizeInvalid),
        ("x\r\n", ChunkSizeInvalid),
        ("-1\r\n", ChunkSizeInvalid),
        ("+1\r\n", ChunkSizeInvalid),
        ("0x1\r\n", ChunkSizeInvalid),
        (" 1\r\nh\r\n", ChunkSizeInvalid),
        ("1 \r\nh\r\n", ChunkSizeInvalid),
        ("1 2\r\nh\r\n", ChunkSizeInvalid),
        (";x\r\n", ChunkSizeInvalid),
        ("00000000000000001\r\nh\r\n", ChunkSizeTooLong),
        ("fffffffffffffffff\r\nh\r\n", ChunkSizeTooLong),
        ("ffffffffffffffff\r\nh", BodyTooLarge),
        ("1\nh\r\n0\r\n\r\n", BareLf),
        ("1;x\nh\r\n0\r\n\r\n", BareLf),
        ("1;\rx\r\nh\r\n", ChunkExtensionInvalid),
        ("1;a\0b\r\nh\r\n", ChunkExtensionInvalid),
        ("1\r\nhh\r\n", ChunkEndMissing),
        ("1\r\nh\n0\r\n\r\n", ChunkEndMissing),
        ("1\r\nh\rx", ChunkEndMissing),
        ("1\r\nh\r\n\r\n", ChunkSizeInvalid),
        ("0\r\nX: 1\n\r\n", BareLf),
        ("0\r\n\n", BareLf),
        ("0\r\n X: 1\r\n\r\n", ObsoleteFold),
        ("0\r\nX : 1\r\n\r\n", SpaceBeforeColon),
        ("0\r\nX\r\n\r\n", ColonMissing),
        ("0\r\nX: \x01\r\n\r\n", ControlInValue),
    ] {
        refuse(&chunked(body), error);
    }
}

#[test]
fn a_request_has_one_length() {
    let both = with_headers("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n");
    refuse(&(both + "0\r\n\r\n"), ContentLengthWithTransferEncoding);
    let both = with_headers("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n");
    refuse(&(both + "0\r\n\r\n"), ContentLengthWithTransferEncoding);
    for (lines, error) in [
        ("Content-Length: 1\r\nContent-Length: 2\r\n", ContentLengthDuplicate),
        ("Content-Length: 1\r\ncontent-length: 1\r\n", ContentLengthDuplicate),
        ("Content-Length: 1, 1\r\n", ContentLengthInvalid),
        ("Content-Length: +1\r\n", ContentLengthInvalid),
        ("Content-Length: -1\r\n", ContentLengthInvalid),
        ("Content-Length: 1 2\r\n", ContentLengthInvalid),
        ("Content-Length: 0x1\r\n", ContentLengthInvalid),
        ("Content-Length: 1.0\r\n", ContentLengthInvalid),
        ("Content-Length: \r\n", ContentLengthInvalid),
        ("Content-Length: 18446744073709551616\r\n", ContentLengthInvalid),
        ("Content-Length: 18446744073709551615\r\n", BodyTooLarge),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", TransferEncodingDuplicate),
        ("Transfer-Encoding: chunked, chunked\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: chunked,\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: chunked, gzip\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: identity\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: xchunked\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: chunked;x=1\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: \"chunked\"\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding:\r\n", TransferEncodingInvalid),
        ("Transfer-Encoding: gzip, chunked\r\n", TransferCodingUnsupported),
        ("Transfer-Encoding: \x0bchunked\r\n", ControlInValue),
        ("Transfer-Encoding : chunked\r\n", SpaceBeforeColon),
        ("Content-Length\t: 1\r\n", SpaceBeforeColon),
        (" Content-Length: 1\r\n", ObsoleteFold),
    ] {
        refuse(&with_headers(lines), error);
    }
    refuse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", TransferEncodingOnHttp10);
}

#[test]
fn every_request_of_1_1_has_one_sound_host() {
    refuse("GET / HTTP/1.1\r\n\r\n", HostMissing);
    refuse("GET http://a/ HTTP/1.1\r\n\r\n", HostMissing);
    for (lines, error) in [
        ("Host: a\r\nHost: a\r\n", HostDuplicate),
        ("Host: a\r\nX: y\r\nhost: b\r\n", HostDuplicate),
        ("Host:\r\n", HostInvalid),
        ("Host: a b\r\n", HostInvalid),
        ("Host: a/b\r\n", HostInvalid),
        ("Host: user@a\r\n", HostInvalid),
        ("Host: a:x\r\n", HostInvalid),
        ("Host: a:65536\r\n", HostInvalid),
        ("Host: caf\u{e9}\r\n", HostInvalid),
        ("Host: http://a\r\n", HostInvalid),
    ] {
        refuse(&format!("GET / HTTP/1.1\r\n{lines}\r\n"), error);
    }
    refuse("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", HostDuplicate);
}

#[test]
fn malformed_request_lines_are_refused() {
    for (line, error) in [
        ("GET / HTTP/1.2", VersionUnsupported),
        ("GET / HTTP/0.9", VersionUnsupported),
        ("PRI * HTTP/2.0", VersionUnsupported),
        ("GET / HTTP/11", VersionInvalid),
        ("GET / http/1.1", VersionInvalid),
        ("GET / HTTP/1.1 ", VersionInvalid),
        ("GET /  HTTP/1.1", VersionInvalid),
        ("GET / HTTP/1.10", VersionInvalid),
        ("GET / ", VersionInvalid),
        ("GET / x HTTP/1.1", VersionInvalid),
        ("GET /", VersionMissing),
        ("GET  / HTTP/1.1", RequestLineInvalid),
        ("GET ", RequestLineInvalid),
        ("GET", MethodInvalid),
        (" GET / HTTP/1.1", MethodInvalid),
        ("GET\t/ HTTP/1.1", MethodInvalid),
        ("G@T / HTTP/1.1", MethodInvalid),
        ("\x16\x03\x01\x02 / HTTP/1.1", MethodInvalid),
        ("GET:/ HTTP/1.1", MethodInvalid),
        ("GET /\t HTTP/1.1", TargetInvalid),
        ("GET /\x7f HTTP/1.1", TargetInvalid),
        ("GET /\0 HTTP/1.1", TargetInvalid),
        ("GET /a#b HTTP/1.1", TargetInvalid),
        ("GET a HTTP/1.1", TargetInvalid),
        ("GET ? HTTP/1.1", TargetInvalid),
        ("GET * HTTP/1.1", TargetInvalid),
        ("OPTIONS ** HTTP/1.1", TargetInvalid),
        ("GET a:80 HTTP/1.1", TargetInvalid),
        ("GET ftp://a/ HTTP/1.1", TargetInvalid),
        ("GET http:/a HTTP/1.1", TargetInvalid),
        ("GET http:// HTTP/1.1", HostInvalid),
        ("GET http:///p HTTP/1.1", HostInvalid),
        ("GET http://u@a/ HTTP/1.1", HostInvalid),
        ("GET http://a:b/ HTTP/1.1", HostInvalid),
        ("GET /\u{f6} HTTP/1.1", TargetNotAscii),
        ("CONNECT a:443 HTTP/1.1", ConnectUnsupported),
        ("ABCDEFGHIJKLMNOPQRSTUVWXY / HTTP/1.1", MethodTooLong),
        ("GET /a\rb HTTP/1.1", BareCr),
    ] {
        refuse(&format!("{line}\r\nHost: a\r\n\r\n"), error);
    }
    check_bytes(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", "TargetNotAscii\n");
}

#[test]
fn other_protocols_are_refused_by_their_first_bytes() {
    for first_bytes in [" ", "\x16\x03\x01", "SSH-2.0:", "{", "\0"] {
        refuse(first_bytes, MethodInvalid);
    }
}

#[test]
fn malformed_header_lines_are_refused() {
    for (lines, error) in [
        ("X : y\r\n", SpaceBeforeColon),
        ("X\t: y\r\n", SpaceBeforeColon),
        ("X: y\r\n z\r\n", ObsoleteFold),
        ("X: y\r\n\tz: 1\r\n", ObsoleteFold),
        ("X\r\n", ColonMissing),
        (": y\r\n", HeaderNameInvalid),
        ("X Y: z\r\n", HeaderNameInvalid),
        ("X@: z\r\n", HeaderNameInvalid),
        ("X\0: z\r\n", HeaderNameInvalid),
        ("X\u{e9}: z\r\n", HeaderNameInvalid),
        ("(X)\r\n", HeaderNameInvalid),
        ("X: a\0b\r\n", ControlInValue),
        ("X: a\x01\r\n", ControlInValue),
        ("X: \x7f\r\n", ControlInValue),
        ("X: a\rb\r\n", BareCr),
        ("X: a\r\r\n", BareCr),
        ("X: a\n", BareLf),
        ("X: a\nY: b\r\n", BareLf),
        ("X: a\r\n\n", BareLf),
    ] {
        refuse(&with_headers(lines), error);
    }
    refuse("GET / HTTP/1.1\r\n Host: a\r\n\r\n", ObsoleteFold);
    refuse("GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", ObsoleteFold);
}

#[test]
fn line_ends_are_cr_lf_and_nothing_else() {
    refuse("GET / HTTP/1.1\nHost: a\n\n", BareLf);
    refuse("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareLf);
    refuse("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", EmptyLines);
    refuse("\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareCr);
    check("GET / HTTP/1.1\r\nHost: a\r\n\r", "");
    check("\r", "");
    check("", "");
}

#[test]
fn every_error_has_a_status_that_is_sent_and_a_reason() {
    for (error, status) in [
        (BareLf, 400),
        (HostMissing, 400),
        (BodyTooLarge, 413),
        (TargetTooLong, 414),
        (HeadTooLarge, 431),
        (TooManyHeaders, 431),
        (TrailersTooLarge, 431),
        (MethodTooLong, 501),
        (ConnectUnsupported, 501),
        (TransferCodingUnsupported, 501),
        (VersionUnsupported, 505),
    ] {
        assert_eq!(error.status(), status, "{error:?}");
        assert_eq!(error.to_string(), error.reason());
    }
}

#[test]
fn a_head_answers_what_is_asked_of_it() {
    let raw = b"PATCH /a/b?c=d HTTP/1.1\r\nHost: h:1\r\nX-A: 1\r\nx-a: 2\r\n\
        X-Bin: \xff\r\nContent-Length: 0\r\n\r\n";
    let (requests, error) = requests_of(Config::default(), raw);
    assert_eq!((requests.len(), error), (1, None));
    let head = &requests[0].head;
    assert_eq!(head.method(), Method::Patch);
    assert_eq!(head.raw_target(), "/a/b?c=d");
    assert_eq!(head.header("X-a"), Some(&b"1"[..]));
    assert_eq!(head.header_str("x-A"), Some("1"));
    assert_eq!(head.headers().get_all("X-A").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!((head.header("x-bin"), head.header_str("x-bin")), (Some(&b"\xff"[..]), None));
    assert_eq!((head.header("x"), head.header_str("x")), (None, None));
    assert_eq!(
        head.headers().iter().map(|(name, _)| name).collect::<Vec<_>>().join(" "),
        "Host X-A x-a X-Bin Content-Length"
    );
    assert_eq!((head.content_length(), head.has_body(), head.upgrade()), (Some(0), false, None));
    assert!(!head.reply_to().head_only && head.reply_to().keep_alive);
}

#[test]
fn methods_are_known_by_their_exact_names() {
    for (name, method) in [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("PATCH", Method::Patch),
        ("DELETE", Method::Delete),
        ("OPTIONS", Method::Options),
        ("TRACE", Method::Other),
        ("Get", Method::Other),
    ] {
        let raw = format!("{name} / HTTP/1.1\r\nHost: a\r\n\r\n");
        let (requests, _) = requests_of(Config::default(), raw.as_bytes());
        assert_eq!(requests[0].head.method(), method);
        assert_eq!(requests[0].head.reply_to().head_only, name == "HEAD");
    }
}
