//! What each form looks like on the wire.

use crate::client::Client;
use crate::heard::{EventStream, Heard, Socket, id, post, post_lines, post_many};
use crate::server::{Server, fresh_dir};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[test]
fn an_item_has_its_meta_and_the_payload_as_it_was_sent() {
    let server = Server::start(&fresh_dir("form-item"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    let json_type = [("content-type", "application/json"), ("millrace-parent", "b/other/3")];
    client.send("POST", "/streams/b/s", &json_type, b"{ \"a\" : 1.50 }").expect("an answer");
    client.send("POST", "/streams/b/s", &[("content-type", "text/plain")], b"hi\n").expect("an answer");
    let reply = client.get("/listen?s=b:s:1").expect("an answer");
    let text = String::from_utf8(reply.to_vec()).expect("UTF-8");
    assert!(text.contains("\"data\":{ \"a\" : 1.50 }}"), "{text}");
    let items: Vec<Value> = serde_json::from_str(&text).expect("an array");
    let meta = |item: &Value| {
        let mut meta = item["meta"].clone();
        assert!(meta["t"].is_u64());
        meta.as_object_mut().expect("an object").remove("t");
        meta
    };
    assert_eq!(meta(&items[0]), json!({"id":1,"bucket":"b","stream":"s","parent":"b/other/3"}));
    let expected = json!({"id":2,"bucket":"b","stream":"s","content_type":"text/plain","encoding":"base64"});
    assert_eq!(meta(&items[1]), expected);
    assert_eq!(items[1]["data"], "aGkK");
}

#[test]
fn an_event_stream_has_the_headers_that_proxies_need_and_one_data_line() {
    let server = Server::start(&fresh_dir("form-sse"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    let headers = [("content-type", "application/json")];
    client.send("POST", "/streams/b/s", &headers, b"{\n \"a\":\r\n1}").expect("an answer");
    let mut stream = EventStream::open(server.addr, "s=b:s:1");
    let header = |name| stream.head.header_str(name).map(str::to_owned);
    assert_eq!(header("content-type").as_deref(), Some("text/event-stream"));
    assert_eq!(header("cache-control").as_deref(), Some("no-store, no-transform"));
    assert_eq!(header("x-accel-buffering").as_deref(), Some("no"));
    assert_eq!(header("content-encoding"), None);
    assert!(stream.head.chunked());
    let message = stream.next_with_data();
    assert_eq!(message.items()[0]["data"], json!({"a":1}));
    assert!(message.id.is_some() && message.event.is_empty());
}

#[test]
fn a_quiet_event_stream_says_that_it_is_there() {
    let server = Server::start(&fresh_dir("form-heartbeat"), &[("MILLRACE_LIMITS__SSE_HEARTBEAT_MS", "300")]);
    let mut stream = EventStream::open(server.addr, "s=b:s");
    let first = stream.next().expect("the place where it begins");
    assert!(first.id.is_some());
    for _ in 0..3 {
        let message = stream.next().expect("it goes on");
        assert_eq!((message.comments, message.data.len()), (1, 0));
    }
}

#[test]
fn an_event_stream_for_http_1_0_ends_with_the_connection() {
    use std::io::{Read, Write};
    let server = Server::start(&fresh_dir("form-http10"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    post_many(&mut client, "s", 2);
    let mut socket = crate::heard::connect(server.addr);
    let request = "GET /listen?s=b:s:1 HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n";
    socket.write_all(request.as_bytes()).expect("it is sent");
    let mut text = String::new();
    while !text.contains("\"n\":1}}]\n\n") {
        let mut piece = [0; 4096];
        let count = socket.read(&mut piece).expect("bytes");
        assert!(count > 0, "{text}");
        text.push_str(std::str::from_utf8(&piece[..count]).expect("UTF-8"));
    }
    assert!(text.contains("Connection: close\r\n") && !text.contains("chunked"), "{text}");
    assert!(text.contains("\n\nid: "), "messages stand as they are: {text}");
}

#[test]
fn a_long_poll_answers_with_the_first_event_or_204_and_the_connection_goes_on() {
    let server = Server::start(&fresh_dir("form-poll"), &[("MILLRACE_LIMITS__LONG_POLL_MS", "400")]);
    let mut client = Client::connect(server.addr).expect("it listens");
    let begin = Instant::now();
    let reply = client.send("GET", "/listen?s=b:s", &[], b"").expect("an answer");
    assert_eq!((reply.head.status(), reply.body.len()), (204, 0));
    assert!(begin.elapsed() >= Duration::from_millis(400));
    let addr = server.addr;
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        post(&mut Client::connect(addr).expect("it listens"), "s", "7")
    });
    let reply = client.send("GET", "/listen?s=b:s&timeout=20", &[], b"").expect("an answer");
    assert_eq!(reply.head.status(), 200);
    assert_eq!(reply.head.header_str("content-type"), Some("application/json"));
    let items: Vec<Value> = serde_json::from_slice(&reply.body).expect("an array");
    assert_eq!(id(&items[0]), writer.join().expect("posted"));
    assert!(client.get("/ping").expect("the connection goes on").starts_with(b"{\"pong\""));
}

#[test]
fn a_long_poll_brings_all_that_is_there_in_one_array() {
    let server = Server::start(&fresh_dir("form-poll-all"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    // More than one array of the other forms, and what one read brings.
    let lines: Vec<String> = (1..=600).map(|n| format!("[{n},\"{}\"]", "z".repeat(190))).collect();
    post_lines(&mut client, "s", &lines);
    let reply = client.get("/listen?s=b:s:1").expect("an answer");
    let items: Vec<Value> = serde_json::from_slice(&reply).expect("an array");
    assert!(items.iter().map(id).eq(1..=600), "{} items", items.len());
    assert!(items.iter().all(|item| item["data"][0] == item["meta"]["id"]));
}

#[test]
fn requests_behind_a_long_poll_wait_for_it_and_are_answered() {
    use std::io::{Read, Write};
    let server = Server::start(&fresh_dir("form-pipelined"), &[]);
    let mut socket = crate::heard::connect(server.addr);
    let poll = "GET /listen?s=b:s&timeout=1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let ping = "GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    socket.write_all(poll.as_bytes()).expect("it is sent");
    std::thread::sleep(Duration::from_millis(100));
    socket.write_all(ping.as_bytes()).expect("it is sent");
    let mut text = String::new();
    socket.read_to_string(&mut text).expect("both are answered");
    assert!(text.starts_with("HTTP/1.1 204 ") && text.contains("HTTP/1.1 200 OK"), "{text}");
}

#[test]
fn a_delivery_over_a_websocket_is_an_array_in_one_text() {
    let server = Server::start(&fresh_dir("form-websocket"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    let mut socket = Socket::open(server.addr, "/listen?s=b:s:1");
    socket.ask(r#"{"cmd":"subscribe","bucket":"b","stream":"other"}"#);
    let lines: Vec<String> = (1..=3).map(|n| n.to_string()).collect();
    post_lines(&mut client, "s", &lines);
    let items = socket.next_items();
    assert_eq!(items.iter().map(id).collect::<Vec<_>>(), [1, 2, 3]);
    socket.connection.send_ping(b"there?").expect("open");
    socket.flush();
    assert_eq!(socket.next(), Heard::Pong(b"there?".to_vec()));
}
