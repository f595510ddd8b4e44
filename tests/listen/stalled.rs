//! Many listeners that stop reading while the writer goes on: what they cost, and what they get afterwards.
//!
//! 40 listeners by default; `MILLRACE_STALLED_LISTENERS=200` is the figure of a release, on a release build:
//! `MILLRACE_STALLED_LISTENERS=200 cargo test --release --test listen -- --nocapture stalled`. The stream
//! grows with their number, so that each misses far more than its outbox and the socket's buffers hold.

use crate::client::Client;
use crate::course::{Course, lines, setting};
use crate::heard::{EventStream, Heard, Socket, post_lines};
use crate::server::{Server, fresh_dir};
use socket2::{Domain, SockAddr, Type};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const OUTBOX_BYTES_MAX: usize = 256 * 1024;
/// What a connection costs beside its outbox, and what its allocations leave unused between them.
const CONNECTION_BYTES_MAX: usize = 64 * 1024;
/// What the writer's own traffic may still add after the first round: caches, and the allocator's spare.
const WRITER_BYTES_MAX: usize = 48 << 20;
/// Bytes of an event beside its number.
const PAD: usize = 1000;
/// Events posted at once.
const BATCH: u64 = 100;

/// A small journal, so that the memory of the writer's traffic is soon at its bound.
const SETTINGS: [(&str, &str); 3] = [
    ("MILLRACE_LIMITS__OUTBOX_BYTES_MAX", "262144"),
    ("MILLRACE_LIMITS__JOURNAL_FILES_MAX", "4"),
    ("MILLRACE_LIMITS__MEMORY_BYTES_MAX", "33554432"),
];

/// A connection whose receiving side holds little, so that the server soon cannot send.
fn connect_narrow(addr: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(16 * 1024).expect("before it is connected");
    socket.connect(&SockAddr::from(addr)).expect("the server listens");
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(crate::heard::PATIENCE)).expect("a TCP socket");
    socket
}

enum Ear {
    Sse(Box<EventStream>),
    WebSocket(Box<Socket>),
}

impl Ear {
    /// The `n`th: both forms, from the start and from now, waiting and skipping.
    fn open(addr: SocketAddr, n: usize) -> Ear {
        let socket = connect_narrow(addr);
        let from = if n % 4 < 2 { "" } else { ":1" };
        let slow = if n % 8 < 4 { "wait" } else { "skip" };
        let query = format!("s=b:s{from}&slow={slow}&gaps=true");
        match n % 2 {
            0 => Ear::Sse(Box::new(EventStream::over(socket, &query, ""))),
            _ => Ear::WebSocket(Box::new(Socket::over(socket, &format!("/listen?{query}")))),
        }
    }

    fn hear(&mut self, course: &mut Course) {
        match self {
            Ear::Sse(stream) => course.note(stream.next_with_data().data[0].as_bytes()),
            Ear::WebSocket(socket) => match socket.next() {
                Heard::Text(text) => course.note(text.as_bytes()),
                other => panic!("{other:?} instead of a text"),
            },
        }
    }
}

/// Posts `b/<stream>` up to the event `last` and tells each that is acknowledged.
fn write(client: &mut Client, stream: &str, last: u64, written: &AtomicU64) {
    while written.load(Ordering::Acquire) < last {
        let first = written.load(Ordering::Acquire) + 1;
        let count = BATCH.min(last + 1 - first);
        assert_eq!(post_lines(client, stream, &lines(first, count, PAD)), first);
        written.store(first + count - 1, Ordering::Release);
    }
}

/// Everything behind `past` up to `last`, by a listener that reads. Gives the longest time between arrays.
fn hear_quickly(stream: EventStream, past: u64, last: u64) -> Duration {
    let (mut ear, mut course) = (Ear::Sse(Box::new(stream)), Course::after(past));
    let (mut longest, mut before) = (Duration::ZERO, None::<Instant>);
    while course.last < last {
        ear.hear(&mut course);
        longest = longest.max(before.map_or(Duration::ZERO, |before| before.elapsed()));
        before = Some(Instant::now());
    }
    assert_eq!((course.events, course.missed), (last - past, 0), "who reads misses nothing");
    longest
}

#[test]
fn stalled_listeners_cost_their_outboxes_at_most_and_get_their_events_or_a_gap_when_they_return() {
    let server = Server::start(&fresh_dir("stalled"), &SETTINGS);
    let (addr, count) = (server.addr, setting("MILLRACE_STALLED_LISTENERS", 40) as usize);
    let events = 100 * count as u64;
    let mut client = Client::connect(addr).expect("it listens");
    // The same traffic without listeners comes first: what it takes is the writer's.
    write(&mut client, "alone", 2 * events, &AtomicU64::new(0));
    let before = server.resident_bytes_peak();
    let (written, past) = (AtomicU64::new(0), events / 2);
    write(&mut client, "s", past, &written);
    let mut ears: Vec<Ear> = (0..count).map(|n| Ear::open(addr, n)).collect();
    let stream = EventStream::open(addr, "s=b:s");
    let quick = std::thread::spawn(move || hear_quickly(stream, past, events));
    let begin = Instant::now();
    write(&mut client, "s", events, &written);
    let seconds = begin.elapsed().as_secs_f64();
    let longest = quick.join().expect("a listener that reads is not disturbed");
    std::thread::sleep(Duration::from_secs(1));
    let grown = server.resident_bytes_peak().saturating_sub(before);
    println!(
        "{count} stalled, {past} events of 1 KB more in {seconds:.1} s: {} MiB before, {} KiB more, \
         {} KiB each; the longest silence for who reads: {} ms",
        before >> 20,
        grown >> 10,
        grown / 1024 / count,
        longest.as_millis()
    );
    assert!(grown < count * (OUTBOX_BYTES_MAX + CONNECTION_BYTES_MAX) + WRITER_BYTES_MAX, "{grown} bytes");
    let (mut heard, mut missed) = (0, 0);
    for (n, ear) in ears.iter_mut().enumerate() {
        let mut course = Course::after(if n % 4 < 2 { past } else { 0 });
        while course.last < events {
            ear.hear(&mut course);
        }
        assert!(course.missed == 0 || n % 8 >= 4, "who waits gets everything");
        (heard, missed) = (heard + course.events, missed + course.missed);
    }
    assert!(missed > 0, "who skips was too slow for {events} events");
    println!("returned: {heard} events heard, {missed} told as missing");
    // All of them are live again.
    write(&mut client, "s", events + 1, &written);
    for ear in &mut ears {
        let mut course = Course::after(events);
        ear.hear(&mut course);
        assert_eq!(course.last, events + 1);
    }
}
