//! Requests over TLS: versions, ALPN, resumption, sizes, pipelines, and the clean end.

use crate::client::{Client, Speaks};
use crate::server::{Dir, Server};
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

#[test]
fn requests_are_answered_over_both_versions_and_the_streams_are_those_of_plain_http() {
    let dir = Dir::new();
    let pair = dir.pair("server");
    let server = Server::start(&dir, &pair);
    for (index, version) in (1..).zip([&TLS12, &TLS13]) {
        let speaks = Speaks { versions: &[version], alpn: &[b"h2", b"http/1.1"], ..Speaks::all(&pair) };
        let mut client = Client::connect(server.https(), &speaks).expect("connects");
        assert_eq!(client.stream.conn.protocol_version(), Some(version.version));
        assert_eq!(client.stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(client.post("b/s", r#"{"a":1}"#).expect("stored"), index);
    }
    let mut plain = TcpStream::connect(server.addr("http://").expect("both are served")).expect("connects");
    plain
        .write_all(b"GET /streams/b/s?from=1&limit=9 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("sends");
    let mut text = String::new();
    plain.read_to_string(&mut text).expect("an answer and an end");
    assert_eq!(text.matches(r#""data":{"a":1}"#).count(), 2, "{text}");
}

#[test]
fn a_client_that_wants_another_protocol_is_refused_and_one_that_names_none_is_not() {
    let dir = Dir::new();
    let pair = dir.pair("server");
    let server = Server::start(&dir, &pair);
    let other = Speaks { alpn: &[b"h2"], ..Speaks::all(&pair) };
    let error = Client::connect(server.https(), &other).err().expect("there is no HTTP/2");
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    let mut client = Client::connect(server.https(), &Speaks::all(&pair)).expect("connects");
    assert_eq!(client.ask("GET", "/ping", b"").expect("answers").head.status(), 200);
}

#[test]
fn a_second_connection_resumes_by_a_ticket_on_any_core() {
    let dir = Dir::new();
    let pair = dir.pair("server");
    let server = Server::start(&dir, &pair);
    for version in [&TLS12, &TLS13] {
        let config = Arc::new(Speaks { versions: &[version], ..Speaks::all(&pair) }.config());
        let mut kinds = Vec::new();
        for _ in 0..6 {
            let mut client = Client::connect_as(server.https(), config.clone()).expect("connects");
            client.ask("GET", "/ping", b"").expect("answers");
            kinds.push(client.stream.conn.handshake_kind());
        }
        assert_eq!(kinds[0], Some(HandshakeKind::Full));
        assert!(kinds[1..].iter().all(|kind| *kind == Some(HandshakeKind::Resumed)), "{kinds:?}");
    }
}

#[test]
fn megabytes_go_up_and_come_down_whole() {
    let dir = Dir::new();
    let pair = dir.pair("server");
    let server = Server::start(&dir, &pair);
    let mut client = Client::connect(server.https(), &Speaks::all(&pair)).expect("connects");
    let event = format!("\"{}\"", "0123456789abcdef".repeat(400_000));
    for id in 1..=3 {
        assert_eq!(client.post("b/big", &event).expect("stored"), id);
    }
    let page = client.ask("GET", "/streams/b/big?from=1&limit=3", b"").expect("an answer");
    let page: Vec<serde_json::Value> = serde_json::from_slice(&page.body).expect("an array");
    let expected = serde_json::from_str::<serde_json::Value>(&event).expect("JSON");
    assert_eq!(page.len(), 3);
    assert!(page.iter().all(|item| item["data"] == expected));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let dir = Dir::new();
    let pair = dir.pair("server");
    let server = Server::start(&dir, &pair);
    let mut client = Client::connect(server.https(), &Speaks::all(&pair)).expect("connects");
    for n in 1..=200 {
        client.send("POST", "/streams/b/p", n.to_string().as_bytes()).expect("the server reads");
    }
    for n in 1..=200_u64 {
        let reply = client.answer().expect("an answer");
        let reply: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert_eq!(reply["meta"]["id"], n);
    }
}

#[test]
fn the_end_of_a_connection_is_said_by_tls() {
    let dir = Dir::new();
    let pair = dir.pair("server");
    let server = Server::start_with(&dir, &pair, &[], &[("MILLRACE_LIMITS__IDLE_TIMEOUT_MS", "300")]);
    let mut rest = Vec::new();
    // Asked for by the client, by the idle timeout, and by the end of the server.
    let mut asked = Client::connect(server.https(), &Speaks::all(&pair)).expect("connects");
    asked.stream.write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sends");
    asked.stream.read_to_end(&mut rest).expect("a close_notify, not a cut");
    let mut idle = Client::connect(server.https(), &Speaks::all(&pair)).expect("connects");
    idle.ask("GET", "/ping", b"").expect("answers");
    idle.stream.read_to_end(&mut rest).expect("a close_notify, not a cut");
    let mut last = Client::connect(server.https(), &Speaks::all(&pair)).expect("connects");
    last.ask("GET", "/ping", b"").expect("answers");
    server.signal("TERM");
    last.stream.read_to_end(&mut rest).expect("a close_notify, not a cut");
    let mut server = server;
    assert!(server.wait().0.success());
}

#[test]
fn handshakes_are_counted_by_how_they_ended() {
    let dir = Dir::new();
    let pair = dir.pair("server");
    let server = Server::start(&dir, &pair);
    let mut client = Client::connect(server.https(), &Speaks::all(&pair)).expect("connects");
    let mut counts = || {
        let stats = client.ask("GET", "/stats", b"").expect("an answer");
        let stats: serde_json::Value = serde_json::from_slice(&stats.body).expect("JSON");
        ["tls_handshakes", "tls_handshakes_failed"].map(|key| stats["http"][key].as_u64().expect("a count"))
    };
    let [done, failed] = counts();
    assert!(done >= 1, "its own");
    let others: Vec<Client> =
        (0..3).map(|_| Client::connect(server.https(), &Speaks::all(&pair)).expect("connects")).collect();
    for _ in 0..2 {
        let mut plain = TcpStream::connect(server.https()).expect("connects");
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sends");
        plain.read_to_end(&mut Vec::new()).expect("an end");
    }
    assert_eq!(counts(), [done + others.len() as u64, failed + 2]);
}

#[test]
fn plain_http_on_the_tls_port_gets_an_alert_and_nothing_else() {
    let dir = Dir::new();
    let pair = dir.pair("server");
    let server = Server::start(&dir, &pair);
    let mut plain = TcpStream::connect(server.https()).expect("connects");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sends");
    let mut heard = Vec::new();
    plain.read_to_end(&mut heard).expect("an end, not a reset");
    assert_eq!(heard, [0x15, 3, 3, 0, 2, 2, 50], "a fatal alert, decode_error");
    let error = Client::connect(server.addr("http://").expect("plain"), &Speaks::all(&pair)).err();
    assert_eq!(error.expect("no TLS there").kind(), ErrorKind::InvalidData);
}
