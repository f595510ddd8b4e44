//! What a client can do wrong: each is answered by status, type and reason, and harms nobody else.
//!
//! Two tables: bytes that are no request, which end their connection, and sound requests that are refused,
//! behind which it goes on. After every row the server answers another client.

use crate::server::Server;
use crate::wire::request;

/// A request as bytes, and how it is answered.
struct Row {
    what: &'static str,
    bytes: Vec<u8>,
    status: u16,
    type_name: &'static str,
    reason: &'static str,
}

fn row(what: &'static str, bytes: Vec<u8>, answer: (u16, &'static str, &'static str)) -> Row {
    Row { what, bytes, status: answer.0, type_name: answer.1, reason: answer.2 }
}

const BAD: (u16, &str, &str) = (400, "bad-request", "Bad Request");
const FIELD: (u16, &str, &str) = (400, "invalid-field", "Invalid Field");
const BODY: (u16, &str, &str) = (400, "invalid-body", "Invalid Request Body");
const ROUTE: (u16, &str, &str) = (404, "no-route", "Not Found");
const METHOD: (u16, &str, &str) = (405, "method-not-allowed", "Method Not Allowed");
const ACCEPT: (u16, &str, &str) = (406, "not-acceptable", "Not Acceptable");
const LARGE: (u16, &str, &str) = (413, "too-large", "Request Body Too Large");
const MEDIA: (u16, &str, &str) = (415, "unsupported-media-type", "Unsupported Media Type");
const PERM: (u16, &str, &str) = (401, "no-perm", "No Permission");
const TARGET: (u16, &str, &str) = (414, "target-too-long", "Request Target Too Long");
const HEAD: (u16, &str, &str) = (431, "head-too-large", "Header Block Too Large");
const IMPLEMENTED: (u16, &str, &str) = (501, "not-implemented", "Not Implemented");
const VERSION: (u16, &str, &str) = (505, "version-not-supported", "HTTP Version Not Supported");

const JSON: &str = "Content-Type: application/json";

/// Bytes that are no request at all: the connection cannot go on behind them.
fn unreadable() -> Vec<Row> {
    let raw = |what, text: &str, answer| row(what, text.as_bytes().to_vec(), answer);
    vec![
        raw("another protocol", "\x16\x03\x01\x02\r\n\r\n", BAD),
        raw("no version", "GET /ping\r\n\r\n", BAD),
        raw("HTTP/2.0", "GET /ping HTTP/2.0\r\nHost: a\r\n\r\n", VERSION),
        raw("a bare line feed", "GET /ping HTTP/1.1\nHost: a\n\n", BAD),
        raw("no Host", "GET /ping HTTP/1.1\r\n\r\n", BAD),
        raw("two Hosts", "GET /ping HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", BAD),
        raw("a folded header", "GET /ping HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", BAD),
        raw("a space before the colon", "GET /ping HTTP/1.1\r\nHost : a\r\n\r\n", BAD),
        raw("a header without colon", "GET /ping HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", BAD),
        raw("a zero byte in a header", "GET /ping HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", BAD),
        raw("CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", IMPLEMENTED),
        raw(
            "both lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            BAD,
        ),
        raw(
            "two lengths",
            "POST /streams/b/s HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n123",
            BAD,
        ),
        raw(
            "a length that is no number",
            "POST /streams/b/s HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n123",
            BAD,
        ),
        raw(
            "gzip and chunked",
            "POST /ping HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            IMPLEMENTED,
        ),
        raw(
            "a chunk size that is none",
            "POST /streams/b/s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            BAD,
        ),
        raw(
            "a target of 9 KiB",
            &format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9 * 1024)),
            TARGET,
        ),
        raw(
            "a head of 17 KiB",
            &format!("GET /ping HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(17 * 1024)),
            HEAD,
        ),
        raw("101 headers", &format!("GET /ping HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(100)), HEAD),
        raw(
            "a body over the limit",
            &format!(
                "POST /streams/b/s HTTP/1.1\r\nHost: a\r\n{JSON}\r\nContent-Length: 99999999999\r\n\r\n"
            ),
            LARGE,
        ),
        raw(
            "such a body for a route that is none",
            "POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
            ROUTE,
        ),
        raw(
            "such a body where no write is allowed",
            "POST /streams/$meta/s HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
            PERM,
        ),
    ]
}

/// Sound requests for something that is refused: the connection goes on.
fn refused() -> Vec<Row> {
    let mut rows = refused_targets();
    rows.extend(refused_requests());
    rows.extend(refused_for_the_first_reason());
    rows
}

fn get(what: &'static str, target: &str, answer: (u16, &'static str, &'static str)) -> Row {
    row(what, request("GET", target, &[], b""), answer)
}

fn send(
    what: &'static str,
    method: &str,
    target: &str,
    lines: &[&str],
    body: &[u8],
    answer: (u16, &'static str, &'static str),
) -> Row {
    row(what, request(method, target, lines, body), answer)
}

fn refused_targets() -> Vec<Row> {
    let long = format!("/streams/b/{}", "x".repeat(513));
    vec![
        get("no route", "/nowhere", ROUTE),
        get("the root", "/", ROUTE),
        get("streams without a bucket", "/streams", ROUTE),
        get("a bucket without settings", "/buckets/b", ROUTE),
        get("a handler that does not exist", "/x/nothing", IMPLEMENTED),
        get("an escape that is none", "/streams/b/%zz", BAD),
        get("a zero byte in a name", "/streams/b/%00", BAD),
        get("a name that is not UTF-8", "/streams/b/%ff", BAD),
        get("a dot segment", "/streams/b/../s", BAD),
        get("an escaped dot segment", "/streams/b/%2e%2e", BAD),
        get("a plus in a name", "/streams/b/a+b", BAD),
        get("a number sign in a name", "/streams/b/a%23b", BAD),
        get("a control character in a name", "/streams/b/a%0ab", BAD),
        get("a name of 513 bytes", &long, BAD),
        get("an empty bucket", "/streams//s", BAD),
        get("an escape in the query that is none", "/streams/b/s?limit=%z", BAD),
        get("a time that is none", "/streams/b/s?at=noon", FIELD),
        get("a wait that is none", "/streams/b/s?wait=long", FIELD),
        get("a list's limit that is none", "/buckets?limit=x", FIELD),
        get("details that are neither", "/streams/b?details=perhaps", FIELD),
    ]
}

fn refused_requests() -> Vec<Row> {
    let patch = "Content-Type: application/json-patch+json";
    let long_key = format!("Idempotency-Key: {}", "k".repeat(256));
    vec![
        send("PUT of a stream", "PUT", "/streams/b/s", &[JSON], b"1", METHOD),
        send("POST of a list", "POST", "/streams/b", &[JSON], b"1", METHOD),
        send("DELETE of buckets", "DELETE", "/buckets", &[], b"", METHOD),
        send("a method of nobody", "BREW", "/ping", &[], b"", METHOD),
        send("a method in small letters", "get", "/ping", &[], b"", METHOD),
        send("a form that nobody has", "GET", "/streams/b/s", &["Accept: text/html"], b"", ACCEPT),
        send("JSON unwanted", "GET", "/buckets", &["Accept: application/json;q=0"], b"", ACCEPT),
        send("a content type that is none", "POST", "/streams/b/s", &["Content-Type: json"], b"1", MEDIA),
        send("a patch as plain JSON", "PATCH", "/streams/b/s", &[JSON], b"[]", MEDIA),
        send("settings as text", "PUT", "/streams/b/s?settings", &["Content-Type: text/plain"], b"{}", MEDIA),
        send("no JSON", "POST", "/streams/b/s", &[JSON], b"{", BODY),
        send("no body where JSON is said", "POST", "/streams/b/s", &[JSON], b"", BODY),
        send("two JSON values", "POST", "/streams/b/s", &[JSON], b"1 2", BODY),
        send("JSON that is not UTF-8", "POST", "/streams/b/s", &[JSON], b"\"\xff\"", BODY),
        send("JSON behind a byte order mark", "POST", "/streams/b/s", &[JSON], b"\xef\xbb\xbf1", BODY),
        send(
            "a line that is no JSON",
            "POST",
            "/streams/b/s",
            &["Content-Type: application/x-ndjson"],
            b"1\n{",
            BODY,
        ),
        send(
            "lines without an event",
            "POST",
            "/streams/b/s",
            &["Content-Type: application/x-ndjson"],
            b"\n\n",
            BODY,
        ),
        send(
            "a patch of nothing",
            "PATCH",
            "/streams/bad/none",
            &[patch],
            b"[]",
            (400, "not-found", "Not Found"),
        ),
        send("If-Match that is none", "POST", "/streams/b/s", &[JSON, "If-Match: 1"], b"1", BAD),
        send("If-Match of several", "POST", "/streams/b/s", &[JSON, "If-Match: \"1\", \"2\""], b"1", BAD),
        send("an empty key", "POST", "/streams/b/s", &[JSON, "Idempotency-Key:"], b"1", FIELD),
        send("a key of 256 bytes", "POST", "/streams/b/s", &[JSON, &long_key], b"1", FIELD),
        send("a parent that is no event", "POST", "/streams/b/s", &[JSON, "Millrace-Parent: x"], b"1", FIELD),
        send("an acknowledgement of nobody", "POST", "/streams/b/s?ack=soon", &[JSON], b"1", FIELD),
        send("a write to the server's own", "POST", "/streams/$sys/metrics", &[JSON], b"1", PERM),
    ]
}

/// Two things are wrong with each: the earlier check answers.
fn refused_for_the_first_reason() -> Vec<Row> {
    vec![
        send("route before method", "BREW", "/nowhere", &[], b"", ROUTE),
        send("method before target", "PUT", "/streams/b/%zz", &[JSON], b"1", METHOD),
        send("target before permission", "POST", "/streams/$meta/%zz", &[JSON], b"1", BAD),
        send("header before permission", "POST", "/streams/$meta/s", &[JSON, "If-Match: x"], b"1", BAD),
        send("permission before Accept", "POST", "/streams/$meta/s", &["Accept: text/html"], b"1", PERM),
        send(
            "Accept before Content-Type",
            "POST",
            "/streams/b/s",
            &["Accept: text/html", "Content-Type: x"],
            b"1",
            ACCEPT,
        ),
        send("Content-Type before body", "PATCH", "/streams/b/s", &[JSON], b"{", MEDIA),
    ]
}

fn check(row: &Row, reply: &crate::wire::Reply) {
    let what = row.what;
    assert_eq!(reply.status, row.status, "{what}: {}", reply.text());
    assert_eq!(reply.header("Content-Type"), Some("application/json"), "{what}");
    let json = reply.json();
    let found = (json["type"].as_str(), json["reason"].as_str());
    assert_eq!(found, (Some(row.type_name), Some(row.reason)), "{what}");
    let head_of_401 = reply.header("WWW-Authenticate");
    assert_eq!(head_of_401, (row.status == 401).then_some("jwt"), "{what}");
    assert_eq!(reply.header("Allow").is_some(), row.status == 405, "{what}");
}

#[test]
fn bytes_that_are_no_request_are_answered_and_end_their_connection() {
    let server = Server::shared();
    for row in unreadable() {
        let mut client = server.connect();
        assert!(client.try_send(&row.bytes));
        let reply = client.reply();
        check(&row, &reply);
        assert_eq!(reply.header("Connection"), Some("close"), "{}", row.what);
        assert!(client.is_closed(), "{}", row.what);
        assert_eq!(server.connect().get("/ping").status, 200, "after {}", row.what);
    }
}

#[test]
fn requests_that_are_refused_leave_their_connection_as_it_was() {
    let server = Server::shared();
    let mut client = server.connect();
    for row in refused() {
        client.send(&row.bytes);
        let reply = client.reply();
        check(&row, &reply);
        assert_eq!(reply.header("Connection"), None, "{}", row.what);
        assert_eq!(client.get("/ping").status, 200, "after {}", row.what);
    }
}

#[test]
fn refusals_are_problem_details_for_clients_that_ask_for_them() {
    let server = Server::shared();
    let mut client = server.connect();
    let lines = ["Accept: application/json, application/problem+json"];
    let reply = client.request("GET", "/nowhere", &lines, b"");
    assert_eq!((reply.status, reply.header("Content-Type")), (404, Some("application/problem+json")));
    let expected =
        r#"{"type":"urn:millrace:no-route","title":"Not Found","status":404,"reason":"Not Found"}"#;
    assert_eq!(reply.text(), expected);
    let only = client.request("GET", "/streams/b/s?at=x", &["Accept: application/problem+json"], b"");
    assert_eq!((only.status, only.json()["field"].as_str()), (400, Some("at")));
}

#[test]
fn a_request_hidden_behind_an_ambiguous_length_is_never_carried_out() {
    let server = Server::shared();
    let hidden = request("POST", "/streams/smuggled/s", &[JSON], b"1");
    let hidden = String::from_utf8(hidden).expect("text");
    for lengths in [
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 0\r\nContent-Length: 200",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked, identity",
    ] {
        let mut client = server.connect();
        client.try_send(format!("POST /x/echo HTTP/1.1\r\nHost: a\r\n{lengths}\r\n\r\n0\r\n\r\n{hidden}"));
        assert!(matches!(client.reply().status, 400 | 501), "{lengths}");
        assert!(client.is_closed(), "{lengths}");
    }
    assert_eq!(server.connect().get("/streams/smuggled").json()["data"], serde_json::json!([]));
}
