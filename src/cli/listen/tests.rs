//! Laws of `listen`, against a scripted server.
//!
//! The loop runs as the verb runs it, but for the signals; each test says what the server sends on every
//! connection, and checks what is printed and what the next connection asks for.

use super::super::args::{Cli, Verb};
use super::super::error::{CliError, Exit};
use super::super::fake_server::{FakeServer, Listener, Peer, header};
use super::super::remote_args::{ListenArgs, RemoteFlags};
use super::Feed;
use bytes::BytesMut;
use clap::Parser;
use http1::Request;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use websocket::{CloseCode, Config, Connection, Event, Role};

/// A writer that shares what it was given.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics with it").write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn arguments(port: u16, words: &[&str]) -> (ListenArgs, RemoteFlags) {
    let port = port.to_string();
    let before = ["millrace", "-P", &port, "--timeout", "5", "listen"];
    let cli = Cli::try_parse_from(before.iter().chain(words)).expect("the words parse");
    let Verb::Listen(args) = cli.verb else { panic!("not a listen") };
    (args, cli.remote)
}

fn listen_on<T: Send + 'static>(server: &FakeServer<T>, words: &[&str]) -> (String, Result<(), CliError>) {
    let (args, flags) = arguments(server.port, words);
    let out = Shared::default();
    let feed = Feed::to(Box::new(out.clone()), &args.streams, args.from, args.limit).expect("streams parse");
    let result = super::follow(&args, &flags, feed);
    let text = out.0.lock().expect("nobody panics with it").clone();
    (String::from_utf8(text).expect("output is text"), result)
}

fn accept_sse(listener: &Listener) -> (Peer, Request) {
    let mut peer = listener.accept();
    let request = peer.request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n");
    (peer, request)
}

fn item(stream: &str, id: u64) -> String {
    format!("{{\"meta\":{{\"id\":{id},\"bucket\":\"b\",\"stream\":\"{stream}\"}},\"data\":{id}}}")
}

#[test]
fn items_are_printed_one_a_line_until_the_limit() {
    let server = FakeServer::start(|listener| {
        let (mut peer, request) = accept_sse(listener);
        let (one, two, three) = (item("s", 1), item("s", 2), item("s", 3));
        peer.send(format!("id: x\ndata: [{one},{two}]\n\ndata: [{two},{three}]\n\n"));
        request
    });
    let (out, result) = listen_on(&server, &["b:s", "b:a/**", "c:x:y:4", "-f", "9", "-l", "3"]);
    assert_eq!(result, Ok(()));
    assert_eq!(out, format!("{}\n{}\n{}\n", item("s", 1), item("s", 2), item("s", 2)));
    let request = server.join();
    let query = "strict=true&gaps=true&s=b%3As%3A9&s=b%3Aa%2F%2A%2A%3A9&s=c%3Ax%3Ay%3A4";
    assert_eq!(request.head.raw_target(), format!("/listen?{query}"));
    assert_eq!(header(&request, "accept"), "text/event-stream");
}

#[test]
fn a_broken_connection_is_made_anew_and_goes_on_where_it_was() {
    let server = FakeServer::start(|listener| {
        let (mut peer, first) = accept_sse(listener);
        peer.send(format!("id: mark-1\ndata: [{}]\n\nid: half\ndata: [", item("s", 7)));
        drop(peer);
        let mut starting = listener.accept();
        starting.request();
        starting.reply_with(503, "Retry-After: 1\r\n", r#"{"type":"unavailable","reason":"starting"}"#);
        drop(starting);
        let (mut peer, second) = accept_sse(listener);
        peer.send(format!("data: [{}]\n\n", item("s", 8)));
        (first, second)
    });
    let (out, result) = listen_on(&server, &["b:s", "b:other", "-l", "2"]);
    assert_eq!((out, result), (format!("{}\n{}\n", item("s", 7), item("s", 8)), Ok(())));
    let (first, second) = server.join();
    assert_eq!(header(&first, "last-event-id"), "(none)");
    assert_eq!(header(&second, "last-event-id"), "mark-1");
    assert!(second.head.raw_target().ends_with("&s=b%3As%3A8&s=b%3Aother"), "{}", second.head.raw_target());
}

#[test]
fn gaps_and_resets_are_printed_and_move_the_position_but_are_not_counted() {
    let gap = r#"{"meta":{"bucket":"b","stream":"s","gap":{"from":1,"to":5}}}"#;
    let reset = r#"{"meta":{"bucket":"b","stream":"s","reset":{"epoch":2}}}"#;
    let server = FakeServer::start(move |listener| {
        let mut targets = Vec::new();
        for array in [gap, reset] {
            let (mut peer, request) = accept_sse(listener);
            targets.push(request.head.raw_target().to_owned());
            peer.send(format!("event: gap\ndata: [{array}]\n\n"));
        }
        let (mut peer, request) = accept_sse(listener);
        targets.push(request.head.raw_target().to_owned());
        peer.send(format!("data: [{}]\n\n", item("s", 1)));
        targets
    });
    let (out, result) = listen_on(&server, &["b:s:1", "-l", "1"]);
    assert_eq!((out, result), (format!("{gap}\n{reset}\n{}\n", item("s", 1)), Ok(())));
    let positions: Vec<String> = server
        .join()
        .iter()
        .map(|target| target.rsplit("%3A").next().expect("a position").to_owned())
        .collect();
    assert_eq!(positions, ["1", "6", "1"]);
}

#[test]
fn a_refusal_and_a_first_connection_that_fails_end_at_once() {
    let server = FakeServer::start(|listener| {
        let mut peer = listener.accept();
        peer.request();
        peer.reply(400, r#"{"type":"invalid-field","reason":"s","field":"s","value":"b:+"}"#);
    });
    let (out, result) = listen_on(&server, &["b:+"]);
    assert_eq!((out.as_str(), result.expect_err("refused").exit), ("", Exit::Refused));
    server.join();
    let server = FakeServer::start(|listener| drop(listener.accept()));
    assert_eq!(listen_on(&server, &["b:s"]).1.expect_err("hung up").exit, Exit::Unreachable);
    server.join();
}

#[test]
fn no_reconnect_ends_with_the_connection() {
    let server = FakeServer::start(|listener| drop(accept_sse(listener)));
    assert_eq!(listen_on(&server, &["b:s", "--no-reconnect"]).1.expect_err("broken").exit, Exit::Unreachable);
    server.join();
}

#[test]
fn a_stream_of_which_nothing_was_heard_is_warned_about_once() {
    let mut feed = Feed::to(Box::new(io::sink()), &["b:s".to_owned()], None, None).expect("sound");
    assert!(feed.take_hole_warning().is_some_and(|warning| warning.contains("b:s")));
    assert_eq!(feed.take_hole_warning(), None);
    let mut feed = Feed::to(Box::new(io::sink()), &["b:s".to_owned()], None, None).expect("sound");
    feed.last_event_id = Some("mark".to_owned());
    assert_eq!(feed.take_hole_warning(), None);
}

#[test]
fn what_names_no_stream_is_a_usage_error() {
    for text in ["b", "b:", ":s", ":"] {
        let result = Feed::to(Box::new(io::sink()), &[text.to_owned()], None, None);
        assert_eq!(result.map(|_| ()).expect_err(text).exit, Exit::Usage, "{text}");
    }
}

/// Upgrades a connection as a server does.
fn accept_websocket(listener: &Listener) -> (Peer, Connection, Request) {
    let mut peer = listener.accept();
    let request = peer.request();
    let accept = websocket::accept_key(header(&request, "sec-websocket-key").as_bytes());
    let mut answer = BytesMut::new();
    websocket::encode_switching_protocols(&accept, None, &mut answer);
    let connection = Connection::new(Role::Server, Config::default());
    peer.send(&answer);
    (peer, connection, request)
}

#[test]
fn a_websocket_carries_the_same_items_and_resumes_by_id() {
    let server = FakeServer::start(|listener| {
        let (mut peer, mut connection, _) = accept_websocket(listener);
        connection.send_text(&format!("[{}]", item("s", 5))).expect("open");
        connection.send_text(r#"{"ok":true,"id":0,"type":"ping"}"#).expect("open");
        connection.send_close(CloseCode::GOING_AWAY, "draining");
        peer.send(connection.take_output());
        drop(peer);
        let (mut peer, mut connection, request) = accept_websocket(listener);
        connection.send_text(&format!("[{}]", item("s", 6))).expect("open");
        peer.send(connection.take_output());
        let mut bytes = BytesMut::new();
        let mut buffer = [0_u8; 1024];
        while let Ok(count @ 1..) = peer.stream.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..count]);
        }
        connection.handle_bytes(&mut bytes);
        (request, connection.poll_event())
    });
    let (out, result) = listen_on(&server, &["b:s:5", "--websocket", "-l", "2"]);
    assert_eq!((out, result), (format!("{}\n{}\n", item("s", 5), item("s", 6)), Ok(())));
    let (request, goodbye) = server.join();
    assert!(request.head.raw_target().ends_with("&s=b%3As%3A6"), "{}", request.head.raw_target());
    assert!(matches!(goodbye, Some(Ok(Event::Close { code: Some(CloseCode::NORMAL), .. }))), "{goodbye:?}");
}

#[test]
fn an_answer_that_is_no_upgrade_is_told_as_what_it_is() {
    let server = FakeServer::start(|listener| {
        let mut peer = listener.accept();
        peer.request();
        peer.reply(401, r#"{"type":"no-perm","reason":"No Permission"}"#);
    });
    let error = listen_on(&server, &["b:s", "--websocket"]).1.expect_err("refused");
    assert_eq!((error.exit, error.message.contains("401 no-perm")), (Exit::Refused, true));
    server.join();
}
