//! Connections: pipelines, keep-alive, chunks, `100 Continue`, timeouts, memory, drain.
//!
//! Tests that need short timeouts or small limits start a server of their own. Times are asserted from
//! below only, or with room for a busy machine.

use crate::server::Server;
use crate::wire::{Client, request};
use std::time::{Duration, Instant};

const JSON: &str = "Content-Type: application/json";

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::shared();
    let mut client = server.connect();
    let mut bytes = Vec::new();
    for n in 0..50 {
        bytes.extend(request("POST", "/streams/pipe/s", &[JSON], n.to_string().as_bytes()));
        bytes.extend(request("GET", "/streams/pipe/s", &[], b""));
        bytes.extend(request("GET", "/nowhere", &[], b""));
        bytes.extend(request("HEAD", "/ping", &[], b""));
    }
    client.send(&bytes);
    for n in 0..50_u64 {
        assert_eq!(client.reply().id(), n + 1);
        let read = client.reply();
        assert_eq!(
            (read.ids(), &read.json()[0]["data"]),
            (vec![n + 1], &serde_json::json!(n)),
            "a read sees the write before it"
        );
        assert_eq!(client.reply().status, 404);
        assert_eq!(client.reply_to("HEAD").status, 200);
    }
}

#[test]
fn pipelined_appends_keep_their_order_over_many_streams() {
    let server = Server::shared();
    let mut client = server.connect();
    let mut bytes = Vec::new();
    for n in 0..500 {
        let target = format!("/streams/pipes/s{}", n % 7);
        bytes.extend(request("POST", &target, &[JSON], n.to_string().as_bytes()));
    }
    client.send(&bytes);
    for n in 0..500 {
        assert_eq!(client.reply().id(), n / 7 + 1);
    }
    let first = client.get("/streams/pipes/s3?from=1&limit=3").json();
    assert_eq!((&first[0]["data"], &first[2]["data"]), (&3.into(), &17.into()));
}

#[test]
fn pipelined_appends_share_the_flushes_of_the_disk() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let groups = |client: &mut Client| client.get("/stats").json()["storage"]["groups_written"].as_u64();
    let before = groups(&mut client).expect("a number");
    client.send(request("POST", "/streams/b/s", &[JSON], b"1").repeat(100));
    for id in 1..=100 {
        assert_eq!(client.reply().id(), id);
    }
    let written = groups(&mut client).expect("a number") - before;
    assert!(written <= 20, "{written} groups for 100 appends that came together");
}

#[test]
fn a_request_that_comes_byte_by_byte_is_a_request() {
    let server = Server::shared();
    let mut client = server.connect();
    for byte in request("POST", "/streams/drops/s", &[JSON], b"{\"a\":1}") {
        client.send([byte]);
    }
    assert_eq!(client.reply().id(), 1);
}

#[test]
fn a_body_in_chunks_is_put_together() {
    let server = Server::shared();
    let mut client = server.connect();
    let head =
        format!("POST /streams/chunks/s HTTP/1.1\r\nHost: a\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(format!("{head}3;x=y\r\n{{\"a\r\n4\r\n\":1}}\r\n0\r\nTrailer: t\r\n\r\n"));
    assert_eq!(client.reply().id(), 1);
    assert_eq!(client.get("/streams/chunks/s").json()[0]["data"]["a"], 1);
}

#[test]
fn a_client_that_waits_for_leave_gets_it_or_its_refusal() {
    let server = Server::shared();
    let mut client = server.connect();
    let head = |target: &str, length: u64| {
        let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\n{JSON}\r\nExpect: 100-continue\r\n");
        format!("{head}Content-Length: {length}\r\n\r\n")
    };
    client.send(head("/streams/leave/s", 1));
    assert_eq!(client.reply().status, 100);
    client.send("1");
    assert_eq!(client.reply().id(), 1);
    client.send(head("/streams/$meta/s", 1));
    let refused = client.reply();
    assert_eq!((refused.status, refused.header("Connection")), (401, Some("close")));
    let mut client = server.connect();
    client.send(head("/streams/leave/s", 1 << 40));
    assert_eq!(client.reply().status, 413);
}

#[test]
fn leave_comes_behind_the_answers_of_earlier_requests() {
    let server = Server::shared();
    let mut client = server.connect();
    let mut bytes = request("POST", "/streams/leave/after", &[JSON], b"1");
    let mut waiting = request("POST", "/streams/leave/after", &[JSON, "Expect: 100-continue"], b"2");
    assert_eq!(waiting.pop(), Some(b'2'));
    bytes.extend(waiting);
    client.send(&bytes);
    assert_eq!(client.reply().id(), 1);
    assert_eq!(client.reply().status, 100);
    client.send("2");
    assert_eq!(client.reply().id(), 2);
}

/// A client that does not wait for the leave it asked for must not find it behind its answer.
#[test]
fn leave_never_comes_after_the_answer_that_it_was_for() {
    let server = Server::shared();
    let mut client = server.connect();
    for round in 0..50 {
        let mut bytes = request("POST", "/streams/leave/late", &[JSON], b"1");
        let mut waiting = request("POST", "/streams/leave/late", &[JSON, "Expect: 100-continue"], b"2");
        assert_eq!(waiting.pop(), Some(b'2'));
        bytes.extend(waiting);
        client.send(&bytes);
        client.send("2");
        assert_eq!(client.reply().id(), 2 * round + 1);
        let mut reply = client.reply();
        if reply.status == 100 {
            reply = client.reply();
        }
        assert_eq!(reply.id(), 2 * round + 2);
    }
    assert_eq!(client.get("/ping").status, 200);
}

#[test]
fn connections_last_as_long_as_their_client_wants() {
    let server = Server::shared();
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/ping").header("Connection"), None);
    }
    let last = client.request("GET", "/ping", &["Connection: close"], b"");
    assert_eq!(last.header("Connection"), Some("close"));
    assert!(client.is_closed());
    let mut old = server.connect();
    old.send("GET /ping HTTP/1.0\r\n\r\n");
    assert_eq!(old.reply().header("Connection"), Some("close"));
    assert!(old.is_closed());
    let mut kept = server.connect();
    for _ in 0..2 {
        kept.send("GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(kept.reply().header("Connection"), Some("keep-alive"));
    }
}

#[test]
fn nothing_behind_a_last_request_is_carried_out() {
    let server = Server::shared();
    let mut client = server.connect();
    let mut bytes = request("GET", "/ping", &["Connection: close"], b"");
    bytes.extend(request("POST", "/streams/behind/s", &[JSON], b"1"));
    client.send(&bytes);
    assert_eq!(client.reply().status, 200);
    assert!(client.is_closed());
    assert_eq!(server.connect().get("/streams/behind/s").text(), "[]");
}

#[test]
fn a_client_that_stops_sending_still_gets_its_answers() {
    let server = Server::shared();
    let mut client = server.connect();
    let mut bytes = request("POST", "/streams/half/s", &[JSON], b"1");
    bytes.extend(request("GET", "/streams/half/s", &[], b""));
    client.send(&bytes);
    client.finish();
    assert_eq!(client.reply().id(), 1);
    assert_eq!(client.reply().ids(), [1]);
    assert!(client.is_closed());
}

#[test]
fn slow_clients_are_timed_out_and_told_why() {
    let server = Server::start(&[
        ("MILLRACE_LIMITS__HEAD_TIMEOUT_MS", "600"),
        ("MILLRACE_LIMITS__BODY_TIMEOUT_MS", "600"),
        ("MILLRACE_LIMITS__IDLE_TIMEOUT_MS", "1200"),
    ]);
    let (mut head, mut body, mut idle) = (server.connect(), server.connect(), server.connect());
    let begun = Instant::now();
    head.send("GET /ping HTTP/1.1\r\n");
    body.send(format!("POST /streams/b/s HTTP/1.1\r\nHost: a\r\n{JSON}\r\nContent-Length: 9\r\n\r\n1"));
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(300));
        assert!(body.try_send("1"), "a body that makes progress is not late");
        head.try_send("X: a\r\n");
    }
    let reply = head.reply();
    assert_eq!((reply.status, reply.json()["type"].as_str()), (408, Some("request-timeout")));
    assert_eq!(reply.header("Connection"), Some("close"));
    assert_eq!(body.reply().status, 408);
    assert!(begun.elapsed() >= Duration::from_millis(1400), "{:?}", begun.elapsed());
    assert!(idle.is_closed(), "an idle connection is closed without a word");
    assert!(begun.elapsed() >= Duration::from_millis(1200));
}

#[test]
fn a_client_that_does_not_read_is_given_up_and_others_are_served() {
    let server = Server::start(&[("MILLRACE_LIMITS__BODY_TIMEOUT_MS", "500")]);
    let mut client = server.connect();
    let event = format!("\"{}\"", "x".repeat(1 << 20));
    for _ in 0..20 {
        client.post("/streams/b/s", &event);
    }
    let mut deaf = server.connect();
    deaf.send(request("GET", "/streams/b/s?from=1&limit=99", &[], b""));
    std::thread::sleep(Duration::from_millis(2000));
    assert_eq!(client.get("/ping").status, 200);
    assert!(!deaf.rest().ends_with(b"0\r\n\r\n"), "a body that was cut has no end");
}

#[test]
fn connections_over_the_limit_are_closed_and_make_room_again() {
    let server = Server::start(&[("MILLRACE_LIMITS__CONNECTIONS_PER_ADDRESS_MAX", "3")]);
    let mut held: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in &mut held {
        assert_eq!(client.get("/ping").status, 200);
    }
    assert!(server.connect().is_closed());
    drop(held);
    std::thread::sleep(Duration::from_millis(300));
    let stats = server.connect().get("/stats").json();
    assert_eq!(stats["http"]["connections_refused"], 1, "{stats}");
}

#[test]
fn a_draining_server_finishes_what_it_accepted_and_closes() {
    let server = Server::start(&[]);
    let (mut idle, mut waiting, mut half) = (server.connect(), server.connect(), server.connect());
    assert_eq!(idle.get("/ping").status, 200);
    waiting.send("GET /streams/b/s?wait=60 HTTP/1.1\r\nHost: a\r\n\r\n");
    half.send(format!("POST /streams/b/s HTTP/1.1\r\nHost: a\r\n{JSON}\r\nContent-Length: 3\r\n\r\n1"));
    assert!(waiting.is_silent_for(Duration::from_millis(300)));
    server.terminate();
    assert!(idle.is_closed());
    let reply = waiting.reply();
    assert_eq!((reply.status, reply.text(), reply.header("Connection")), (200, "[]", Some("close")));
    half.send("23");
    let reply = half.reply();
    assert_eq!((reply.status, reply.header("Connection")), (201, Some("close")));
    assert!(half.is_closed());
    let server = server.restart(&[]);
    assert_eq!(server.connect().get("/streams/b/s").json()[0]["data"], 123);
}

#[test]
fn many_connections_at_once_are_all_served() {
    let server = Server::shared();
    let mut clients: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(request("POST", "/streams/many/s", &[JSON], b"1"));
    }
    let mut ids: Vec<u64> = clients.iter_mut().map(|client| client.reply().id()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=200).collect::<Vec<u64>>());
}

#[test]
fn bodies_that_the_core_has_no_memory_for_are_told_to_come_again() {
    let limit = "1000000";
    let server = Server::start(&[
        ("MILLRACE_SERVER__CORES", "1"),
        ("MILLRACE_LIMITS__BODY_BYTES_MAX", limit),
        ("MILLRACE_LIMITS__REQUEST_BYTES_MAX", limit),
    ]);
    let begin = |is_chunked: bool| {
        let mut client = server.connect();
        let length = if is_chunked { "Transfer-Encoding: chunked" } else { "Content-Length: 900000" };
        client.send(format!("POST /streams/b/s HTTP/1.1\r\nHost: a\r\n{JSON}\r\n{length}\r\n\r\n"));
        let text = "1".repeat(600_000);
        client.try_send(if is_chunked { format!("{:x}\r\n{text}\r\n", text.len()) } else { text });
        client
    };
    for is_chunked in [false, true] {
        let mut first = begin(is_chunked);
        assert!(first.is_silent_for(Duration::from_millis(300)));
        let mut second = begin(is_chunked);
        let reply = second.reply();
        assert_eq!((reply.status, reply.header("Retry-After")), (503, Some("1")));
        assert_eq!(reply.json()["reason"], "Overloaded");
        assert_eq!(server.connect().post("/streams/b/small", "1").status, 201);
        drop((first, second));
        std::thread::sleep(Duration::from_millis(300));
        assert!(begin(is_chunked).is_silent_for(Duration::from_millis(300)), "there is room again");
        std::thread::sleep(Duration::from_millis(300));
    }
}
