//! A long stream, a writer that goes on, and listeners that begin at 1: over each form, on each core.
//!
//! 20,000 events by default; `MILLRACE_RESUME_EVENTS=1000000` is the figure of a release, on a release build:
//! `MILLRACE_RESUME_EVENTS=1000000 cargo test --release --test listen -- --nocapture long_stream`. Prints how
//! fast each form catches up, how late it is once it is live, and what the server holds in memory.

use crate::client::Client;
use crate::course::{Course, lines, setting};
use crate::heard::{EventStream, FORMS, Heard, Socket, post_lines};
use crate::server::{Server, fresh_dir};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Events a second that the writer posts while others listen.
const RATE: u64 = 20_000;
/// Flights of events a second.
const BATCHES: u64 = 100;
/// Bytes of an event beside its number.
const PAD: usize = 100;
/// Bound of each cache of a shard.
const CACHE_BYTES_MAX: u64 = 4 << 20;
/// What a server takes beside what its limits name: code, stacks, rings, what the allocator keeps.
const SERVER_BYTES_MAX: u64 = 64 << 20;

/// The stream as its writer knows it.
#[derive(Default)]
struct Written {
    /// Events that are acknowledged.
    last: AtomicU64,
    stop: AtomicBool,
    /// The very last event, once it is known.
    end: AtomicU64,
}

/// A listener of `b:s` from 1.
enum Ear {
    Sse(Box<EventStream>),
    WebSocket(Box<Socket>),
    LongPoll(Box<Client>),
}

impl Ear {
    fn open(form: &str, client: Client) -> Ear {
        match form {
            "sse" => Ear::Sse(Box::new(EventStream::over(client.into_socket(), "s=b:s:1", ""))),
            "websocket" => Ear::WebSocket(Box::new(Socket::over(client.into_socket(), "/listen?s=b:s:1"))),
            _ => Ear::LongPoll(Box::new(client)),
        }
    }

    /// Notes the next array.
    fn hear(&mut self, course: &mut Course) {
        match self {
            Ear::Sse(stream) => course.note(stream.next_with_data().data[0].as_bytes()),
            Ear::WebSocket(socket) => match socket.next() {
                Heard::Text(text) => course.note(text.as_bytes()),
                other => panic!("{other:?} instead of a text"),
            },
            Ear::LongPoll(client) => {
                let target = format!("/listen?s=b:s:{}", course.last + 1);
                course.note(&client.get(&target).expect("an answer"));
            }
        }
    }
}

/// How a listener fared.
#[derive(Debug)]
struct Fared {
    /// Events that it had when it had caught up.
    past: u64,
    caught_up: Duration,
    /// The greatest age of an event on arrival, in the second after that.
    lag_ms_max: u64,
}

/// Publishes [`RATE`] events a second, each by a command of its own, until it is told to stop; then one more,
/// which is the end.
fn write(addr: SocketAddr, written: &Written) {
    let mut socket = Socket::open(addr, "/listen");
    let (begin, past) = (Instant::now(), written.last.load(Ordering::Acquire));
    for count in 1_u32.. {
        let is_last = written.stop.load(Ordering::Acquire);
        let first = written.last.load(Ordering::Acquire) + 1;
        if is_last {
            written.end.store(first, Ordering::Release);
            publish(&mut socket, first, 1);
            let (seconds, events) = (begin.elapsed().as_secs_f64(), first - past);
            return println!("the writer: {events} events, {:.0} a second", events as f64 / seconds);
        }
        publish(&mut socket, first, RATE / BATCHES);
        written.last.store(first + RATE / BATCHES - 1, Ordering::Release);
        let due = Duration::from_secs(1) / u32::try_from(BATCHES).expect("few") * count;
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
    }
}

/// Publishes events in one flight and waits until all are acknowledged.
fn publish(socket: &mut Socket, first: u64, count: u64) {
    for (line, id) in lines(first, count, PAD).iter().zip(first..) {
        let command = format!(r#"{{"cmd":"publish","bucket":"b","stream":"s","data":{line},"id":{id}}}"#);
        socket.connection.send_text(&command).expect("open");
    }
    socket.flush();
    for id in first..first + count {
        let answer = socket.next_json();
        assert!(answer["ok"] == true && answer["meta"]["id"] == id, "{answer}");
    }
}

/// Listens from 1, catches up, stays live for a second and, where there is something to report to, goes on
/// to the end of the stream.
fn listen(form: &str, client: Client, written: &Written, is_live: Option<&AtomicU64>) -> Fared {
    let begin = Instant::now();
    let (mut ear, mut course) = (Ear::open(form, client), Course::default());
    while course.last + 2 * RATE / BATCHES < written.last.load(Ordering::Acquire) {
        ear.hear(&mut course);
    }
    let mut fared = Fared { past: course.last, caught_up: begin.elapsed(), lag_ms_max: 0 };
    while course.last < fared.past + RATE {
        ear.hear(&mut course);
        fared.lag_ms_max = fared.lag_ms_max.max(course.lag_ms());
    }
    if let Some(count) = is_live {
        count.fetch_add(1, Ordering::AcqRel);
        let has_ended = |course: &Course| {
            let end = written.end.load(Ordering::Acquire);
            end != 0 && course.last >= end
        };
        while !has_ended(&course) {
            ear.hear(&mut course);
        }
        assert_eq!(course.last, written.end.load(Ordering::Acquire));
    }
    assert_eq!(course.events, course.last, "every event came");
    fared
}

fn report(what: &str, fared: &Fared) {
    let seconds = fared.caught_up.as_secs_f64();
    println!(
        "{what}: {} events in {seconds:.2} s, {:.0} a second; live at most {} ms late",
        fared.past,
        fared.past as f64 / seconds,
        fared.lag_ms_max
    );
}

/// One connection to each of two cores, where there are two.
fn each_core(addr: SocketAddr) -> Vec<(Client, String)> {
    let (first, name) = Client::connect_to_a_core_but(addr, &[]).expect("it listens");
    let mut clients = vec![(first, name.clone())];
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
        clients.push(Client::connect_to_a_core_but(addr, &[name]).expect("another core accepts too"));
    }
    clients
}

/// All forms on each core at once; when all are live the writer ends.
fn listen_together(addr: SocketAddr, written: &Written) {
    let live = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let mut listeners = Vec::new();
        for form in FORMS {
            for (client, core) in each_core(addr) {
                let live = &live;
                let listener = scope.spawn(move || listen(form, client, written, Some(live)));
                listeners.push((form, core, listener));
            }
        }
        let begin = Instant::now();
        while live.load(Ordering::Acquire) < listeners.len() as u64 {
            let has_failed = listeners.iter().any(|(_, _, listener)| listener.is_finished());
            assert!(!has_failed && begin.elapsed() < Duration::from_secs(600), "not all became live");
            std::thread::sleep(Duration::from_millis(10));
        }
        written.stop.store(true, Ordering::Release);
        for (form, core, listener) in listeners {
            let fared = listener.join().expect("it hears everything once, in order");
            report(&format!("{form} on core {core}, all at once"), &fared);
        }
    });
}

/// A server whose shards hold a fraction of the stream in memory, and what it may hold in all.
fn start(past: u64) -> (Server, u64) {
    let memory_bytes_max = (32 * past).max(2 << 20);
    let (memory, cache) = (memory_bytes_max.to_string(), CACHE_BYTES_MAX.to_string());
    let settings = [
        ("MILLRACE_LIMITS__MEMORY_BYTES_MAX", &*memory),
        ("MILLRACE_LIMITS__FOOTER_CACHE_BYTES_MAX", &*cache),
        ("MILLRACE_LIMITS__CHUNK_CACHE_BYTES_MAX", &*cache),
        ("MILLRACE_LIMITS__TAIL_BYTES_MAX", &*cache),
    ];
    let shards = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let outboxes = (FORMS.len() as u64 * 2) << 20;
    let bound = SERVER_BYTES_MAX + shards * (memory_bytes_max + 3 * CACHE_BYTES_MAX) + outboxes;
    (Server::start(&fresh_dir("long-stream"), &settings), bound)
}

/// Posts the events of the past.
fn write_past(client: &mut Client, past: u64, written: &Written) {
    let begin = Instant::now();
    while written.last.load(Ordering::Acquire) < past {
        let first = written.last.load(Ordering::Acquire) + 1;
        let count = (past + 1 - first).min(1000);
        assert_eq!(post_lines(client, "s", &lines(first, count, PAD)), first);
        written.last.store(first + count - 1, Ordering::Release);
    }
    println!("{past} events posted in {:.1} s", begin.elapsed().as_secs_f64());
}

#[test]
fn a_long_stream_is_heard_once_and_in_order_over_each_form_on_each_core_while_a_writer_goes_on() {
    let past = setting("MILLRACE_RESUME_EVENTS", 20_000);
    let (server, bound) = start(past);
    let (addr, written) = (server.addr, Written::default());
    let mut client = Client::connect(addr).expect("it listens");
    write_past(&mut client, past, &written);
    server.forget_peak();
    let before = server.resident_bytes();
    std::thread::scope(|scope| {
        scope.spawn(|| write(addr, &written));
        for form in FORMS {
            for (client, core) in each_core(addr) {
                let fared = listen(form, client, &written, None);
                report(&format!("{form} on core {core}, alone"), &fared);
            }
        }
        listen_together(addr, &written);
    });
    let (peak, events) = (server.resident_bytes_peak() as u64, written.last.load(Ordering::Acquire));
    println!(
        "server: {} MiB before, at most {} MiB of {} MiB; {events} events in the end",
        before >> 20,
        peak >> 20,
        bound >> 20
    );
    assert!(peak < bound, "{peak} bytes");
}
