//! What a request may say, and what it is told when it may not.

use crate::client::Client;
use crate::heard::{id, post_many};
use crate::server::{Server, fresh_dir};
use serde_json::Value;
use std::io::{Read, Write};

struct Asked {
    status: u16,
    body: Value,
}

fn ask(client: &mut Client, method: &str, target: &str, headers: &[(&str, &str)]) -> Asked {
    let reply = client.send(method, target, headers, b"").expect("an answer");
    let body = serde_json::from_slice(&reply.body).unwrap_or_default();
    Asked { status: reply.head.status(), body }
}

#[test]
fn a_malformed_s_is_skipped_unless_the_request_is_strict() {
    let server = Server::start(&fresh_dir("request-s"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    post_many(&mut client, "s", 2);
    let lenient = ask(&mut client, "GET", "/listen?s=x&s=b:&s=b:s:1&s=a%2Fb:s&_=1", &[]);
    assert_eq!((lenient.status, id(&lenient.body[0])), (200, 1));
    let strict = ask(&mut client, "GET", "/listen?s=b:s:1&s=x&strict=true", &[]);
    assert_eq!((strict.status, strict.body["type"].as_str()), (400, Some("invalid-field")));
    assert_eq!((strict.body["field"].as_str(), strict.body["value"].as_str()), (Some("s"), Some("x")));
    let reply = ask(&mut client, "GET", "/listen?s=b:s:1", &[]);
    assert_eq!(reply.status, 200, "the connection goes on");
}

#[test]
fn values_that_cannot_be_are_named() {
    let settings = [("MILLRACE_LIMITS__SUBSCRIPTIONS_MAX", "2")];
    let server = Server::start(&fresh_dir("request-values"), &settings);
    let mut client = Client::connect(server.addr).expect("it listens");
    for (query, field) in [
        ("s=b:1&s=b:2&s=b:3", "s"),
        ("s=b:1&timeout=soon", "timeout"),
        ("s=b:1&gaps=perhaps", "gaps"),
        ("s=b:1&slow=very", "slow"),
        ("s=b:1&strict=2", "strict"),
    ] {
        let asked = ask(&mut client, "GET", &format!("/listen?{query}"), &[]);
        assert_eq!((asked.status, asked.body["field"].as_str()), (400, Some(field)), "{query}");
    }
    let headers = [("accept", "text/event-stream"), ("last-event-id", "garbage")];
    let asked = ask(&mut client, "GET", "/listen?s=b:1", &headers);
    assert_eq!((asked.status, asked.body["field"].as_str()), (400, Some("Last-Event-ID")));
    let asked = ask(&mut client, "GET", "/listen?s=b:1", &[("accept", "image/png")]);
    assert_eq!((asked.status, asked.body["type"].as_str()), (406, Some("not-acceptable")));
    assert_eq!(ask(&mut client, "POST", "/listen?s=b:1", &[]).status, 405);
}

#[test]
fn an_upgrade_that_cannot_be_is_refused_with_the_reason() {
    let server = Server::start(&fresh_dir("request-upgrade"), &[]);
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (more, status) in [
        (String::new(), "426"),
        (format!("{key}Sec-WebSocket-Version: 8\r\n"), "426"),
        ("Sec-WebSocket-Version: 13\r\n".to_owned(), "400"),
        ("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n".to_owned(), "400"),
    ] {
        let mut socket = crate::heard::connect(server.addr);
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        let request = format!("GET /listen?s=b:s HTTP/1.1\r\nHost: a\r\n{upgrade}{more}\r\n");
        socket.write_all(request.as_bytes()).expect("it is sent");
        let mut reply = String::new();
        socket.read_to_string(&mut reply).expect("an answer and the end");
        assert_eq!(reply.split(' ').nth(1), Some(status), "{more}{reply}");
        assert_eq!(reply.contains("Sec-WebSocket-Version: 13\r\n"), status == "426", "{reply}");
        assert!(reply.contains("\"type\":\"bad-request\""), "{reply}");
    }
}

#[test]
fn head_is_answered_at_once() {
    let server = Server::start(&fresh_dir("request-head"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    let asked = ask(&mut client, "HEAD", "/listen?s=b:s", &[]);
    assert_eq!((asked.status, asked.body), (200, Value::Null));
    assert_eq!(ask(&mut client, "GET", "/ping", &[]).status, 200, "and the connection goes on");
}

#[test]
fn clients_that_go_away_leave_nothing_behind() {
    let server = Server::start(&fresh_dir("request-gone"), &[]);
    for _ in 0..300 {
        drop(crate::heard::EventStream::open(server.addr, "s=b:s&s=b:*"));
        drop(crate::heard::Socket::open(server.addr, "/listen?s=b:s:1"));
    }
    let mut client = Client::connect(server.addr).expect("it listens");
    post_many(&mut client, "s", 1);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("it runs").count();
    let begin = std::time::Instant::now();
    while descriptors() > 150 {
        assert!(begin.elapsed() < crate::heard::PATIENCE, "{} descriptors are open", descriptors());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
