//! Listeners that do not read: bounded, harmless to others, and honest about what they miss.

use crate::client::Client;
use crate::heard::{EventStream, Ledger, Socket, id, post_lines};
use crate::server::{Server, fresh_dir};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

const SMALL_OUTBOX: (&str, &str) = ("MILLRACE_LIMITS__OUTBOX_BYTES_MAX", "65536");

/// Posts `count` events of 1,000 bytes.
fn post_large(addr: SocketAddr, stream: &str, count: usize) {
    let mut client = Client::connect(addr).expect("it listens");
    let filler = "x".repeat(1000);
    let lines: Vec<String> = (0..count).map(|n| format!("[{n},\"{filler}\"]")).collect();
    for batch in lines.chunks(200) {
        post_lines(&mut client, stream, batch);
    }
}

#[test]
fn a_listener_that_stops_reading_gets_everything_when_it_returns_and_delays_nobody() {
    let server = Server::start(&fresh_dir("slow-wait"), &[SMALL_OUTBOX]);
    let addr = server.addr;
    // More than all socket buffers on the way hold.
    const EVENTS: usize = 20_000;
    let stuck: Vec<EventStream> = (0..4).map(|_| EventStream::open(addr, "s=b:s")).collect();
    let mut stuck_socket = Socket::open(addr, "/listen?s=b:s:1");
    let quick = std::thread::spawn(move || {
        let mut quick = EventStream::open(addr, "s=b:s:1");
        let mut ledger = Ledger::new();
        while ledger.events < EVENTS as u64 {
            ledger.note(&quick.next_with_data().items());
        }
    });
    post_large(addr, "s", EVENTS);
    quick.join().expect("a quick listener is not delayed by stuck ones");
    for mut stream in stuck {
        let mut ledger = Ledger::new();
        while ledger.events < EVENTS as u64 {
            ledger.note(&stream.next_with_data().items());
        }
    }
    let mut ledger = Ledger::new();
    while ledger.events < EVENTS as u64 {
        ledger.note(&stuck_socket.next_items());
    }
    post_large(addr, "s", 1);
    ledger.note(&stuck_socket.next_items());
    assert_eq!(ledger.events, EVENTS as u64 + 1, "and it is live again");
}

#[test]
fn a_listener_that_skips_is_told_what_it_missed() {
    let server = Server::start(&fresh_dir("slow-skip"), &[SMALL_OUTBOX]);
    let addr = server.addr;
    const EVENTS: u64 = 20_000;
    let mut socket = Socket::open(addr, "/listen?s=b:s&slow=skip&gaps=true");
    socket.ask(r#"{"cmd":"subscribe","bucket":"b","stream":"other"}"#);
    post_large(addr, "s", EVENTS as usize);
    // Read until the present, which begins behind the last gap; then one more proves that it is live.
    let (mut next, mut missed) = (1, 0);
    while next <= EVENTS {
        for item in socket.next_items() {
            match item["meta"]["gap"].as_object() {
                Some(gap) => {
                    assert_eq!(gap["from"], next);
                    let to = gap["to"].as_u64().expect("a number");
                    missed += to + 1 - next;
                    next = to + 1;
                }
                None => {
                    assert_eq!(id(&item), next);
                    next += 1;
                }
            }
        }
    }
    assert!(missed > 0, "it was too slow for {EVENTS} events");
    post_large(addr, "s", 1);
    assert_eq!(id(&socket.next_items()[0]), EVENTS + 1);
}

#[test]
fn a_listener_that_asked_to_be_closed_when_slow_is_closed() {
    let stall = ("MILLRACE_LIMITS__BODY_TIMEOUT_MS", "500");
    let heartbeat = ("MILLRACE_LIMITS__SSE_HEARTBEAT_MS", "300");
    let server = Server::start(&fresh_dir("slow-close"), &[SMALL_OUTBOX, stall, heartbeat]);
    let addr = server.addr;
    let closing = EventStream::open(addr, "s=b:s&slow=close");
    let mut waiting = EventStream::open(addr, "s=b:s&slow=wait");
    post_large(addr, "s", 20_000);
    std::thread::sleep(Duration::from_secs(3));
    closing.wait_for_cut();
    let mut ledger = Ledger::new();
    while ledger.events < 20_000 {
        ledger.note(&waiting.next_with_data().items());
    }
}

#[test]
fn stuck_listeners_do_not_make_memory_grow() {
    let server = Server::start(&fresh_dir("slow-memory"), &[SMALL_OUTBOX]);
    let addr = server.addr;
    const LISTENERS: usize = 100;
    post_large(addr, "s", 2_000);
    let settled = server.resident_bytes();
    // Each wants 2 MB of the past and takes only what its socket holds.
    let stuck: Vec<EventStream> = (0..LISTENERS).map(|_| EventStream::open(addr, "s=b:s:1")).collect();
    std::thread::sleep(Duration::from_secs(2));
    let grown = server.resident_bytes().saturating_sub(settled);
    // An outbox of 64 KiB, what is being framed, and a connection's own state; not 2 MB each.
    assert!(grown < LISTENERS * 400 * 1024, "{grown} bytes for {LISTENERS} listeners");
    drop(stuck);
}

#[test]
fn a_small_outbox_passes_events_that_are_larger_than_itself() {
    let outbox = ("MILLRACE_LIMITS__OUTBOX_BYTES_MAX", "4096");
    let server = Server::start(&fresh_dir("slow-large"), &[outbox]);
    let mut client = Client::connect(server.addr).expect("it listens");
    let large = format!("\"{}\"", "y".repeat(100_000));
    let mut live = EventStream::open(server.addr, "s=b:s");
    for _ in 0..5 {
        post_lines(&mut client, "s", &[large.clone(), "1".to_owned(), large.clone()]);
    }
    for mut stream in [EventStream::open(server.addr, "s=b:s:1"), EventStream::open(server.addr, "s=b:*:1")] {
        let mut ledger = Ledger::new();
        while ledger.events < 15 {
            ledger.note(&stream.next_with_data().items());
        }
    }
    let mut ledger = Ledger::new();
    while ledger.events < 15 {
        let items: Vec<Value> = live.next_with_data().items();
        ledger.note(&items);
    }
}
