//! What the writers emit, to the byte, and what they refuse to emit.

use bytes::BytesMut;
use http1::{
    BodyForm, EncodeError, ReplyTo, RequestWriter, ResponseWriter, Version, format_http_date, reason_phrase,
    write_chunk, write_continue, write_last_chunk,
};

const KEEP: ReplyTo = ReplyTo { version: Version::Http11, head_only: false, keep_alive: true };
const HEAD: ReplyTo = ReplyTo { head_only: true, ..KEEP };
const CLOSE: ReplyTo = ReplyTo { keep_alive: false, ..KEEP };
const OLD: ReplyTo = ReplyTo { version: Version::Http10, ..CLOSE };
const OLD_KEEP: ReplyTo = ReplyTo { keep_alive: true, ..OLD };

/// What `write` appends to a buffer that holds something already, with its result.
fn written<T>(write: impl FnOnce(&mut BytesMut) -> T) -> (String, T) {
    let mut out = BytesMut::from("before");
    let result = write(&mut out);
    let text = String::from_utf8(out.to_vec()).expect("text in, text out");
    (text.strip_prefix("before").expect("nothing before is touched").to_owned(), result)
}

fn check<T: PartialEq + std::fmt::Debug>(write: impl FnOnce(&mut BytesMut) -> T, text: &str, result: T) {
    assert_eq!(written(write), (text.to_owned(), result));
}

#[test]
fn a_reply_has_a_status_line_headers_and_a_length() {
    check(
        |out| {
            let mut reply = ResponseWriter::begin(out, 201, KEEP);
            reply.date(&format_http_date(784_111_777)).header("Content-Type", "application/json");
            reply.header_fmt("ETag", format_args!("\"{}\"", 7)).header("X-Empty", b"");
            reply.finish_with_body(b"{}")
        },
        "HTTP/1.1 201 Created\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: application/json\r\n\
         ETag: \"7\"\r\nX-Empty: \r\nContent-Length: 2\r\n\r\n{}",
        Ok(()),
    );
    check(
        |out| ResponseWriter::begin(out, 299, KEEP).finish_empty(),
        "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n",
        Ok(()),
    );
}

#[test]
fn connection_is_said_where_the_version_does_not_imply_it() {
    for (reply_to, line) in [
        (KEEP, ""),
        (CLOSE, "Connection: close\r\n"),
        (OLD, "Connection: close\r\n"),
        (OLD_KEEP, "Connection: keep-alive\r\n"),
        (ReplyTo::UNREADABLE, "Connection: close\r\n"),
    ] {
        check(
            |out| ResponseWriter::begin(out, 200, reply_to).finish_with_body(b"x"),
            &format!("HTTP/1.1 200 OK\r\n{line}Content-Length: 1\r\n\r\nx"),
            Ok(()),
        );
    }
}

#[test]
fn head_gets_the_headers_of_get_and_no_body() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    check(|out| ResponseWriter::begin(out, 200, HEAD).finish_with_body(b"hello"), head, Ok(()));
    check(|out| ResponseWriter::begin(out, 200, HEAD).finish_length(5), head, Ok(BodyForm::None));
    check(|out| ResponseWriter::begin(out, 200, KEEP).finish_length(5), head, Ok(BodyForm::Plain));
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(|out| ResponseWriter::begin(out, 200, HEAD).finish_chunked(), head, Ok(BodyForm::None));
    check(|out| ResponseWriter::begin(out, 200, KEEP).finish_chunked(), head, Ok(BodyForm::Chunks));
}

#[test]
fn http_1_0_gets_no_chunks_but_the_end_of_the_connection() {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    for reply_to in [OLD, OLD_KEEP] {
        check(
            |out| ResponseWriter::begin(out, 200, reply_to).finish_chunked(),
            head,
            Ok(BodyForm::UntilClose),
        );
    }
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(|out| ResponseWriter::begin(out, 200, CLOSE).finish_chunked(), head, Ok(BodyForm::Chunks));
}

#[test]
fn statuses_without_body_have_no_length_either() {
    for (status, line) in [(204, "204 No Content"), (304, "304 Not Modified"), (100, "100 Continue")] {
        check(
            |out| ResponseWriter::begin(out, status, KEEP).finish_empty(),
            &format!("HTTP/1.1 {line}\r\n\r\n"),
            Ok(()),
        );
        let refused = EncodeError::BodyNotAllowed;
        check(|out| ResponseWriter::begin(out, status, KEEP).finish_with_body(b"x"), "", Err(refused));
        check(|out| ResponseWriter::begin(out, status, KEEP).finish_length(1), "", Err(refused));
        check(|out| ResponseWriter::begin(out, status, KEEP).finish_chunked(), "", Err(refused));
    }
}

#[test]
fn an_upgrade_says_so_and_needs_101() {
    check(
        |out| {
            let mut reply = ResponseWriter::begin(out, 101, KEEP);
            reply.header("Sec-WebSocket-Accept", "k");
            reply.finish_upgrade("websocket")
        },
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: k\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        Ok(()),
    );
    let upgrade =
        |status, protocol| written(|out| ResponseWriter::begin(out, status, KEEP).finish_upgrade(protocol)).1;
    assert_eq!(upgrade(200, "websocket"), Err(EncodeError::StatusInvalid));
    assert_eq!(upgrade(101, "web\r\nsocket"), Err(EncodeError::HeaderValueInvalid));
}

#[test]
fn no_text_of_a_caller_becomes_a_line_of_its_own() {
    for value in ["a\r\nX: y", "a\n", "\r", "\0", "a\x1fb", "\x7f"] {
        let refused = Err(EncodeError::HeaderValueInvalid);
        check(
            |out| {
                let mut reply = ResponseWriter::begin(out, 200, KEEP);
                reply.header("X", value).header("Y", "fine");
                reply.finish_empty()
            },
            "",
            refused,
        );
        check(
            |out| {
                let mut reply = ResponseWriter::begin(out, 200, KEEP);
                reply.header_fmt("X", format_args!("{value}"));
                reply.finish_length(3).map(|_| ())
            },
            "",
            refused,
        );
    }
    for (name, refused) in [
        ("", EncodeError::HeaderNameInvalid),
        ("X Y", EncodeError::HeaderNameInvalid),
        ("X:", EncodeError::HeaderNameInvalid),
        ("X\r\nY", EncodeError::HeaderNameInvalid),
        ("Connection", EncodeError::HeaderReserved),
        ("content-length", EncodeError::HeaderReserved),
        ("Transfer-ENCODING", EncodeError::HeaderReserved),
    ] {
        for is_formatted in [false, true] {
            let write = |out: &mut BytesMut| {
                let mut reply = ResponseWriter::begin(out, 200, KEEP);
                if is_formatted {
                    reply.header_fmt(name, format_args!("1"))
                } else {
                    reply.header(name, "1")
                };
                reply.finish_empty()
            };
            check(write, "", Err(refused));
        }
    }
}

#[test]
fn the_first_fault_is_the_one_reported() {
    let write = |out: &mut BytesMut| {
        let mut reply = ResponseWriter::begin(out, 99, KEEP);
        reply.header("X", "\n").header("", "");
        reply.finish_with_body(b"body")
    };
    check(write, "", Err(EncodeError::StatusInvalid));
    check(|out| ResponseWriter::begin(out, 1_000, KEEP).finish_empty(), "", Err(EncodeError::StatusInvalid));
}

#[test]
fn a_head_that_is_not_finished_leaves_nothing() {
    check(|out| drop(ResponseWriter::begin(out, 200, KEEP)), "", ());
    check(|out| drop(RequestWriter::begin(out, "GET", "/", "a")), "", ());
}

#[test]
fn a_failing_formatter_is_a_fault() {
    struct Broken;
    impl std::fmt::Display for Broken {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            Err(std::fmt::Error)
        }
    }
    let write = |out: &mut BytesMut| {
        let mut reply = ResponseWriter::begin(out, 200, KEEP);
        reply.header_fmt("X", format_args!("{Broken}"));
        reply.finish_empty()
    };
    check(write, "", Err(EncodeError::HeaderValueInvalid));
}

#[test]
fn chunks_are_their_size_in_hex_and_the_data() {
    check(|out| write_chunk(out, b""), "", ());
    check(|out| write_chunk(out, b"x"), "1\r\nx\r\n", ());
    for size in [15usize, 16, 255, 256, 4_095, 4_096, 65_536] {
        let piece = "p".repeat(size);
        check(|out| write_chunk(out, piece.as_bytes()), &format!("{size:x}\r\n{piece}\r\n"), ());
    }
    check(write_last_chunk, "0\r\n\r\n", ());
    check(write_continue, "HTTP/1.1 100 Continue\r\n\r\n", ());
}

#[test]
fn a_request_has_a_host_and_says_what_body_it_has() {
    fn begin<'a>(out: &'a mut BytesMut, method: &str) -> RequestWriter<'a> {
        RequestWriter::begin(out, method, "/p?q=%20", "h:80")
    }
    check(|out| begin(out, "GET").finish_empty(), "GET /p?q=%20 HTTP/1.1\r\nHost: h:80\r\n\r\n", Ok(()));
    for (method, length) in [("POST", "Content-Length: 0\r\n"), ("DELETE", "")] {
        let text = format!("{method} /p?q=%20 HTTP/1.1\r\nHost: h:80\r\nConnection: close\r\n{length}\r\n");
        let write = |out: &mut BytesMut| {
            let mut request = begin(out, method);
            request.close();
            request.finish_empty()
        };
        check(write, &text, Ok(()));
    }
    let write = |out: &mut BytesMut| {
        let mut request = begin(out, "PUT");
        request.header("X-Session", "t").header_fmt("If-Match", format_args!("\"{}\"", 3));
        request.finish_with_body(b"hello")
    };
    let head = "PUT /p?q=%20 HTTP/1.1\r\nHost: h:80\r\n";
    check(write, &format!("{head}X-Session: t\r\nIf-Match: \"3\"\r\nContent-Length: 5\r\n\r\nhello"), Ok(()));
    check(|out| begin(out, "PUT").finish_length(5), &format!("{head}Content-Length: 5\r\n\r\n"), Ok(()));
    check(
        |out| begin(out, "PUT").finish_chunked(),
        &format!("{head}Transfer-Encoding: chunked\r\n\r\n"),
        Ok(()),
    );
    let upgrade = "GET /p?q=%20 HTTP/1.1\r\nHost: h:80\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    check(|out| begin(out, "GET").finish_upgrade("websocket"), upgrade, Ok(()));
}

#[test]
fn a_request_with_a_fault_is_not_written() {
    let begin =
        |method, target, host| written(|out| RequestWriter::begin(out, method, target, host).finish_empty());
    for (method, target, host, refused) in [
        ("", "/", "a", EncodeError::MethodInvalid),
        ("G T", "/", "a", EncodeError::MethodInvalid),
        ("GET", "", "a", EncodeError::TargetInvalid),
        ("GET", "/a b", "a", EncodeError::TargetInvalid),
        ("GET", "/\u{f6}", "a", EncodeError::TargetInvalid),
        ("GET", "/#", "a", EncodeError::TargetInvalid),
        ("GET", "/\r\n", "a", EncodeError::TargetInvalid),
        ("GET", "/", "", EncodeError::HostInvalid),
        ("GET", "/", "a\r\nX: y", EncodeError::HostInvalid),
    ] {
        assert_eq!(begin(method, target, host), (String::new(), Err(refused)));
    }
    for is_formatted in [false, true] {
        let write = |out: &mut BytesMut| {
            let mut request = RequestWriter::begin(out, "GET", "/", "a");
            if is_formatted {
                request.header_fmt("HOST", format_args!("b"))
            } else {
                request.header("hOst", "b")
            };
            request.finish_empty()
        };
        check(write, "", Err(EncodeError::HeaderReserved));
    }
    let upgrade = written(|out| RequestWriter::begin(out, "GET", "/", "a").finish_upgrade(""));
    assert_eq!(upgrade, (String::new(), Err(EncodeError::HeaderValueInvalid)));
    assert_eq!(EncodeError::HostInvalid.to_string(), EncodeError::HostInvalid.reason());
}

#[test]
fn every_status_that_the_server_answers_has_its_words() {
    let used = [
        200, 201, 204, 304, 307, 400, 401, 404, 405, 406, 409, 412, 413, 414, 415, 422, 426, 429, 431, 501,
        503, 505, 507,
    ];
    for status in used {
        assert!(!reason_phrase(status).is_empty(), "{status}");
    }
    assert_eq!(reason_phrase(599), "");
}
