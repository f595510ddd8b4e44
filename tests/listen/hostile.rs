//! Clients that vanish, ask for too much, or listen to what is being made and deleted: nobody else notices.
//!
//! What they leave behind is counted in descriptors and memory; what others are owed is read to the end.

use crate::client::Client;
use crate::heard::{EventStream, FORMS, Heard, Listening, Socket, connect, id, post, post_many};
use crate::server::{Server, fresh_dir};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Ends a connection without a word: the other end gets a reset.
fn vanish(socket: &TcpStream) {
    SockRef::from(socket).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
}

fn descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("it runs").count()
}

fn wait_for_descriptors(server: &Server, at_most: usize) {
    let begin = Instant::now();
    while descriptors(server) > at_most {
        assert!(begin.elapsed() < crate::heard::PATIENCE, "{} descriptors are open", descriptors(server));
        std::thread::sleep(Duration::from_millis(20));
    }
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// One of the ways to go away half-way.
fn go_half_way(addr: SocketAddr, way: usize) {
    let mut socket = connect(addr);
    let upgrade = format!("GET /listen?s=b:s:1&s=b:* HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n");
    let cut = upgrade.len() / (1 + way % 4);
    socket.write_all(&upgrade.as_bytes()[..cut]).expect("it is sent");
    match way % 5 {
        0 => {}
        1 => vanish(&socket),
        // Half a frame, of a message that was said to be long.
        2 => {
            let _ = socket.write_all(&[0x01, 0xff, 0, 0, 0, 0]);
            vanish(&socket);
        }
        // The first fragment of a message, and half of the next.
        3 => {
            let _ = socket.write_all(&[0x01, 0x81, 1, 2, 3, 4, 0x61, 0x00]);
        }
        // Heard the beginning of the answer.
        _ => {
            let _ = socket.set_read_timeout(Some(Duration::from_millis(5)));
            let _ = socket.read(&mut [0; 20]);
            vanish(&socket);
        }
    }
}

#[test]
fn listeners_that_vanish_half_way_in_an_upgrade_leave_nothing_behind() {
    let server = Server::start(&fresh_dir("hostile-vanish"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    post_many(&mut client, "s", 1000);
    (0..100).for_each(|way| go_half_way(server.addr, way));
    let (open, resident) = (descriptors(&server), server.resident_bytes());
    (0..2000).for_each(|way| go_half_way(server.addr, way));
    wait_for_descriptors(&server, open.min(60));
    let grown = server.resident_bytes().saturating_sub(resident);
    assert!(grown < 16 << 20, "{grown} bytes for connections that are gone");
    let mut socket = Socket::open(server.addr, "/listen?s=b:s:1001");
    socket.ask(r#"{"cmd":"ping"}"#);
    post(&mut client, "s", "1");
    assert_eq!(id(&socket.next_items()[0]), 1001);
}

/// The longest answer to a ping until `stop` says so.
fn longest_ping(addr: SocketAddr, stop: &AtomicBool) -> Duration {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2));
    let mut names = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..cores {
        let (client, name) = Client::connect_to_a_core_but(addr, &names).expect("it listens");
        clients.push(client);
        names.push(name);
    }
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Acquire) {
        for client in &mut clients {
            let begin = Instant::now();
            client.get("/ping").expect("an answer");
            longest = longest.max(begin.elapsed());
        }
    }
    longest
}

/// A short name: a request's head is 64 KiB at most.
fn short_name(n: usize) -> String {
    let digit = |n: usize| char::from_digit(u32::try_from(n % 36).expect("below 36"), 36).expect("below 36");
    [digit(n / 1296), digit(n / 36), digit(n)].iter().collect()
}

#[test]
fn thousands_of_subscriptions_in_one_request_are_served_where_they_are_allowed_and_hold_nobody_up() {
    const IN_REQUEST: usize = 7_500;
    const STREAMS: usize = 10_000;
    let settings = [
        ("MILLRACE_LIMITS__SUBSCRIPTIONS_MAX", "10000"),
        ("MILLRACE_LIMITS__TARGET_BYTES_MAX", "65535"),
        ("MILLRACE_LIMITS__HEAD_BYTES_MAX", "65535"),
    ];
    let server = Server::start(&fresh_dir("hostile-many"), &settings);
    let addr = server.addr;
    let mut client = Client::connect(addr).expect("it listens");
    let query: Vec<String> = (0..IN_REQUEST).map(|n| format!("s=b:{}", short_name(n))).collect();
    let query = query.join("&");
    let stop = AtomicBool::new(false);
    let pings = std::thread::scope(|scope| {
        let pings = scope.spawn(|| longest_ping(addr, &stop));
        let begin = Instant::now();
        let mut stream = EventStream::open(addr, &query);
        let mut socket = Socket::open(addr, &format!("/listen?{query}"));
        let opened = begin.elapsed();
        for n in IN_REQUEST..STREAMS {
            let name = short_name(n);
            let command = format!(r#"{{"cmd":"subscribe","bucket":"b","stream":"{name}"}}"#);
            socket.connection.send_text(&command).expect("open");
        }
        socket.flush();
        (IN_REQUEST..STREAMS).for_each(|_| assert_eq!(socket.next_json()["ok"], true));
        for n in [0, IN_REQUEST / 2, IN_REQUEST - 1, STREAMS - 1] {
            let name = short_name(n);
            assert_eq!(post(&mut client, &name, "1"), 1);
            assert_eq!(socket.next_items()[0]["meta"]["stream"], *name);
            if n < IN_REQUEST {
                assert_eq!(stream.next_with_data().items()[0]["meta"]["stream"], *name);
            }
        }
        drop((stream, socket));
        wait_for_descriptors(&server, 60);
        stop.store(true, Ordering::Release);
        println!("opened in {} ms", opened.as_millis());
        pings.join().expect("pings are answered")
    });
    println!("the longest ping: {} ms", pings.as_millis());
    assert!(pings < Duration::from_secs(2), "a ping took {pings:?}");
}

#[test]
fn ten_thousand_subscriptions_where_a_thousand_are_allowed_are_refused_in_every_form() {
    let server = Server::start(&fresh_dir("hostile-refused"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    let query: Vec<String> = (0..10_000).map(|n| format!("s=b:{n}")).collect();
    let reply = client.send("GET", &format!("/listen?{}", query.join("&")), &[], b"").expect("an answer");
    assert!(matches!(reply.head.status(), 414 | 431), "{}", reply.head.status());
    let query: Vec<String> = (0..1_001).map(|n| format!("s=b:{n}")).collect();
    let mut client = Client::connect(server.addr).expect("it listens");
    let target = format!("/listen?{}", query.join("&"));
    let reply = client.send("GET", &target[..target.len().min(8192)], &[], b"").expect("an answer");
    assert!(matches!(reply.head.status(), 400 | 414), "{}", reply.head.status());
    // By commands, all in one flight: each is answered.
    let mut socket = Socket::open(server.addr, "/listen");
    let mut out = bytes::BytesMut::new();
    for n in 0..10_000 {
        let command = format!(r#"{{"cmd":"subscribe","bucket":"b","stream":"{n}","id":{n}}}"#);
        websocket::encode_text(&command, Some([1, 2, 3, 4]), &mut out);
    }
    let mut sender = socket.socket.try_clone().expect("a TCP socket");
    let sending = std::thread::spawn(move || sender.write_all(&out).expect("it is sent"));
    let accepted = (0..10_000).filter(|n| {
        let answer = socket.next_json();
        assert_eq!(answer["id"], *n);
        assert!(answer["ok"] == true || answer["reason"] == "too many subscriptions", "{answer}");
        answer["ok"] == true
    });
    assert_eq!(accepted.count(), 1000);
    sending.join().expect("all was taken");
}

#[test]
fn a_subscription_to_a_deleted_stream_hears_its_next_life() {
    let server = Server::start(&fresh_dir("hostile-deleted"), &[]);
    let addr = server.addr;
    for form in FORMS {
        let mut client = Client::connect(addr).expect("it listens");
        post_many(&mut client, form, 5);
        assert_eq!(
            client.send("DELETE", &format!("/streams/b/{form}"), &[], b"").expect("gone").head.status(),
            204
        );
        let listener = std::thread::spawn(move || {
            let mut listening = Listening::open(form, addr, &[(format!("b:{form}"), 1)]);
            let mut ids = Vec::new();
            while ids.len() < 2 {
                ids.extend(listening.next_items().iter().map(id));
            }
            ids
        });
        std::thread::sleep(Duration::from_millis(200));
        post(&mut client, form, "1");
        post(&mut client, form, "2");
        assert_eq!(listener.join().expect("it hears"), [1, 2], "{form}");
    }
}

/// Listens to rounds of `{"round":R,"n":N}`, each of which ends with the deletion of the stream. Within a
/// life of the stream the events are 1, 2, 3 …; a new life is told before its first event.
fn hear_lives(mut next: impl FnMut() -> Vec<serde_json::Value>, last_round: u64, events: u64) -> u64 {
    let (mut round, mut last, mut resets) = (0, 0, 0);
    while (round, last) != (last_round, events) {
        for item in next() {
            if item["meta"]["reset"].is_object() {
                (last, resets) = (0, resets + 1);
                continue;
            }
            let now = item["data"]["round"].as_u64().expect("a number");
            let is_new_life = last == 0 && now > round;
            assert!(is_new_life || now == round, "round {now} without a reset, in round {round}");
            assert_eq!(id(&item), last + 1, "in round {now}");
            assert_eq!(item["data"]["n"], last + 1);
            (round, last) = (now, last + 1);
        }
    }
    resets
}

#[test]
fn a_stream_that_is_deleted_again_and_again_is_heard_life_by_life() {
    const ROUNDS: u64 = 30;
    const EVENTS: u64 = 60;
    let server = Server::start(&fresh_dir("hostile-lives"), &[]);
    let addr = server.addr;
    let mut client = Client::connect(addr).expect("it listens");
    let mut stream = EventStream::open(addr, "s=b:s:1");
    let mut socket = Socket::open(addr, "/listen?s=b:s:1&gaps=true");
    let mut pattern = Socket::open(addr, "/listen?s=b:*:1&gaps=true");
    let listeners = [
        std::thread::spawn(move || hear_lives(|| stream.next_with_data().items(), ROUNDS, EVENTS)),
        std::thread::spawn(move || hear_lives(|| socket.next_items(), ROUNDS, EVENTS)),
        std::thread::spawn(move || hear_lives(|| pattern.next_items(), ROUNDS, EVENTS)),
    ];
    for round in 1..=ROUNDS {
        for n in 1..=EVENTS {
            post(&mut client, "s", &format!("{{\"round\":{round},\"n\":{n}}}"));
        }
        if round < ROUNDS {
            let reply = client.send("DELETE", "/streams/b/s", &[], b"").expect("an answer");
            assert_eq!(reply.head.status(), 204);
        }
    }
    for listener in listeners {
        let resets = listener.join().expect("it hears every life in order");
        assert!(resets >= 1, "{resets} resets");
    }
}

#[test]
fn patterns_hear_every_stream_that_is_being_made_while_they_subscribe() {
    const WRITERS: usize = 4;
    const STREAMS: usize = 150;
    let server = Server::start(&fresh_dir("hostile-new"), &[]);
    let addr = server.addr;
    let hear = move |form: &'static str| {
        let mut listening = Listening::open(form, addr, &[("b:new/**".to_owned(), 1)]);
        let mut ledger = crate::heard::Ledger::new();
        while ledger.events < (WRITERS * STREAMS * 2) as u64 {
            ledger.note(&listening.next_items());
        }
    };
    let mut listeners = vec![std::thread::spawn(move || hear("sse"))];
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            std::thread::spawn(move || {
                let mut client = Client::connect(addr).expect("it listens");
                for n in 0..STREAMS {
                    post_many(&mut client, &format!("new/{writer}/{n}"), 1);
                    post_many(&mut client, &format!("new/{writer}/{n}"), 1);
                }
            })
        })
        .collect();
    for n in 0..12 {
        let form = if n % 2 == 0 { "websocket" } else { "sse" };
        listeners.push(std::thread::spawn(move || hear(form)));
        std::thread::sleep(Duration::from_millis(20));
    }
    writers.into_iter().for_each(|writer| writer.join().expect("it writes"));
    listeners.into_iter().for_each(|listener| listener.join().expect("it hears all, each once"));
}

#[test]
fn hundreds_of_long_polls_wait_at_once_and_one_event_answers_them_all() {
    let server = Server::start(&fresh_dir("hostile-polls"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    let mut sockets: Vec<TcpStream> = (0..300).map(|_| connect(server.addr)).collect();
    for socket in &mut sockets {
        // Slowly said, too.
        for piece in ["GET /listen?s=b:s HT", "TP/1.1\r\nHost: a\r\nConnection: ", "close\r\n\r\n"] {
            socket.write_all(piece.as_bytes()).expect("it is sent");
        }
    }
    std::thread::sleep(Duration::from_millis(500));
    let begin = Instant::now();
    post(&mut client, "s", "7");
    for socket in &mut sockets {
        let mut reply = String::new();
        socket.read_to_string(&mut reply).expect("an answer and the end");
        assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("\"data\":7}]"), "{reply}");
    }
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_long_poll_is_answered_as_slowly_as_its_client_reads_and_is_cut_when_it_does_not() {
    let settings = [("MILLRACE_LIMITS__BODY_TIMEOUT_MS", "1000")];
    let server = Server::start(&fresh_dir("hostile-slow-poll"), &settings);
    let mut client = Client::connect(server.addr).expect("it listens");
    let large = format!("\"{}\"", "y".repeat(6 << 20));
    post(&mut client, "s", &large);
    let open = descriptors(&server);
    let ask = || {
        let mut socket = connect(server.addr);
        let _ = SockRef::from(&socket).set_recv_buffer_size(64 << 10);
        socket
            .write_all(b"GET /listen?s=b:s:1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .expect("it is sent");
        socket
    };
    let (mut slow, stuck) = (ask(), ask());
    let (mut heard, mut piece, begin) = (0, vec![0; 256 << 10], Instant::now());
    loop {
        match slow.read(&mut piece).expect("it goes on while it is read") {
            0 => break,
            count => heard += count,
        }
        // Longer in all than the time that one may be silent.
        let is_beginning = begin.elapsed() < Duration::from_secs(3);
        std::thread::sleep(Duration::from_millis(if is_beginning { 200 } else { 0 }));
    }
    assert!(heard > large.len(), "{heard} bytes");
    wait_for_descriptors(&server, open);
    drop(stuck);
}

#[test]
fn what_is_said_after_a_close_frame_changes_nothing() {
    let server = Server::start(&fresh_dir("hostile-after-close"), &[]);
    let mut socket = Socket::open(server.addr, "/listen");
    let mut out = bytes::BytesMut::new();
    websocket::encode_frame(websocket::Opcode::Close, true, &[0x03, 0xe8], Some([1, 2, 3, 4]), &mut out);
    let publish = r#"{"cmd":"publish","bucket":"b","stream":"s","data":1,"id":1}"#;
    websocket::encode_text(publish, Some([1, 2, 3, 4]), &mut out);
    socket.socket.write_all(&out).expect("it is sent");
    assert_eq!(socket.next(), Heard::Closed(Some(1000), String::new()));
    let mut client = Client::connect(server.addr).expect("it listens");
    let reply = client.send("GET", "/streams/b/s", &[], b"").expect("an answer");
    assert_eq!(&reply.body[..], b"[]", "nothing was published");
}
