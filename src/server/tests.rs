//! Whole servers in this process, with a face that is small enough to see through: a line is a command.

use super::{Face, ServeError, Server, ServerConfig, start};
use crate::shard::CoreLink;
use crate::sys::executor::{Either, Spin, race};
use crate::sys::net::{READ_BYTES_MAX, Stream};
use crate::sys::preflight::allowed_cpus;
use crate::sys::tests::TempDir;
use bytes::{Bytes, BytesMut};
use engine::{AckLevel, Append, Change, Command, Read, ReadFrom, Reply, WatchTarget};
use std::cell::RefCell;
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use types::{EventDraft, Limits, SeqNum, StreamKey};

const LONG: Duration = Duration::from_secs(20);

/// `append STREAM TEXT` → its sequence number; `read STREAM` → all texts; `watch STREAM` → `at NEXT`;
/// `seen` → the sequence numbers delivered to this core so far.
#[derive(Clone)]
struct LineFace;

struct LineCore {
    link: Rc<CoreLink>,
    delivered: Rc<RefCell<Vec<u64>>>,
}

impl Face for LineFace {
    type Core = LineCore;

    fn open(&self, link: Rc<CoreLink>) -> Rc<LineCore> {
        let delivered = Rc::new(RefCell::new(Vec::new()));
        let seen = delivered.clone();
        link.on_delivery(move |delivery| {
            if let Change::Records(records) = delivery.change {
                seen.borrow_mut().extend(records.iter().map(|record| record.seq().0));
            }
        });
        Rc::new(LineCore { link, delivered })
    }

    fn serve(core: Rc<LineCore>, stream: Stream) -> impl Future<Output = ()> + 'static {
        serve_lines(core, stream)
    }
}

async fn serve_lines(core: Rc<LineCore>, mut stream: Stream) {
    let mut buf = BytesMut::new();
    loop {
        while let Some(end) = buf.iter().position(|byte| *byte == b'\n') {
            let line = buf.split_to(end + 1);
            let line = String::from_utf8(line[..end].to_vec()).expect("text");
            let answer = answer(&core, &line).await + "\n";
            if stream.write_all(&[answer], LONG).await.is_err() {
                return;
            }
        }
        let read = race(stream.read(&mut buf, READ_BYTES_MAX), core.link.draining()).await;
        match read {
            Either::First(Ok(count)) if count > 0 => {}
            Either::First(_) => return,
            Either::Second(()) => {
                let _ = stream.write_all(&["bye\n"], LONG).await;
                return;
            }
        }
    }
}

async fn answer(core: &LineCore, line: &str) -> String {
    let mut words = line.splitn(3, ' ');
    let (verb, name, text) = (words.next(), words.next().unwrap_or("-"), words.next().unwrap_or("-"));
    let stream = StreamKey::parse("b", name).expect("a name");
    let shard = core.link.shard_of(&stream);
    let reply = match verb {
        Some("append") => {
            let drafts = [EventDraft::json(Bytes::copy_from_slice(text.as_bytes()))].into();
            let append = |to| {
                let (expect, idempotency, ack) = (None, None, AckLevel::Fsync);
                Command::Append(Append { to, stream, drafts, expect, idempotency, ack })
            };
            core.link.ask(shard, append).await
        }
        Some("read") => {
            let from = ReadFrom::Seq(SeqNum(1));
            let read = |to| Command::Read(Read { to, stream, from, limit: 100_000, bytes_max: 1 << 30 });
            core.link.ask(shard, read).await
        }
        Some("watch") => {
            let watch = |to| Command::Watch { to, route: 1, target: WatchTarget::Stream(stream) };
            core.link.ask(shard, watch).await
        }
        _ => return format!("{:?}", core.delivered.borrow()),
    };
    match reply {
        Reply::Appended(appended) => appended.first.to_string(),
        Reply::Read(read) => {
            let texts =
                read.records.iter().map(|record| String::from_utf8_lossy(record.payload()).into_owned());
            texts.collect::<Vec<_>>().join(" ")
        }
        Reply::Watching { next, .. } => format!("at {next}"),
        other => format!("{other:?}"),
    }
}

fn config(dir: &Path, core_count: usize) -> ServerConfig {
    let cpus = allowed_cpus();
    ServerConfig {
        data_dir: dir.to_path_buf(),
        http_addr: Some("127.0.0.1:0".parse().expect("an address")),
        tls: None,
        cores: (0..core_count).map(|core| cpus[core % cpus.len()]).collect(),
        partition_count: 0,
        limits: Limits { connections_max: 100, ..Limits::default() },
        strict: false,
        is_dev: false,
        spin: Spin::default(),
    }
}

struct Client {
    lines: BufReader<TcpStream>,
}

impl Client {
    fn new(server: &Server) -> Client {
        let stream = TcpStream::connect(server.ready().http_addr.expect("it listens")).expect("connects");
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Client { lines: BufReader::new(stream) }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.lines.get_mut(), "{line}").expect("sends");
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("an answer");
        line.trim_end().to_owned()
    }
}

#[test]
fn what_was_acknowledged_on_any_core_is_there_in_the_next_life() {
    let dir = TempDir::new();
    let streams: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
    for (life, core_count) in [2, 2, 1, 3].into_iter().enumerate() {
        let server = start(config(&dir.0, core_count), LineFace).expect("starts");
        let before: Vec<String> = (0..life).map(|life| format!("\"{life}\"")).collect();
        for stream in &streams {
            // The system spreads connections over the cores, streams spread over the shards.
            let mut client = Client::new(&server);
            assert_eq!(client.ask(&format!("read {stream}")), before.join(" "));
            assert_eq!(client.ask(&format!("append {stream} \"{life}\"")), (life + 1).to_string());
        }
        server.stop();
        server.wait().expect("a clean stop");
    }
}

#[test]
fn many_connections_append_at_once_and_every_event_has_its_own_number() {
    const CLIENTS: usize = 16;
    const EACH: usize = 50;
    let dir = TempDir::new();
    let server = start(config(&dir.0, 2), LineFace).expect("starts");
    let mut numbers: Vec<usize> = std::thread::scope(|scope| {
        let append = |_| {
            let mut client = Client::new(&server);
            move || {
                (0..EACH).map(|_| client.ask("append one 1").parse().expect("a number")).collect::<Vec<_>>()
            }
        };
        let clients: Vec<_> = (0..CLIENTS).map(append).map(|client| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=CLIENTS * EACH).collect::<Vec<_>>());
    server.stop();
    server.wait().expect("a clean stop");
}

#[test]
fn a_watcher_on_any_core_gets_what_comes_after_the_reply_once_and_in_order() {
    let dir = TempDir::new();
    let server = start(config(&dir.0, 2), LineFace).expect("starts");
    for stream in ["w0", "w1", "w2", "w3", "w4", "w5"] {
        let mut watcher = Client::new(&server);
        let mut writer = Client::new(&server);
        writer.ask(&format!("append {stream} 1"));
        let before: Vec<u64> = parse_list(&watcher.ask("seen"));
        assert_eq!(watcher.ask(&format!("watch {stream}")), "at 2");
        for _ in 2..=30 {
            writer.ask(&format!("append {stream} 1"));
        }
        let mut seen = Vec::new();
        for _ in 0..1000 {
            seen = parse_list(&watcher.ask("seen")).split_off(before.len());
            if seen.len() >= 29 {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(seen, (2..=30).collect::<Vec<u64>>(), "{stream}");
    }
    server.stop();
    server.wait().expect("a clean stop");
}

fn parse_list(text: &str) -> Vec<u64> {
    let inner = text.trim_matches(['[', ']']);
    inner.split(", ").filter(|word| !word.is_empty()).map(|word| word.parse().expect("a number")).collect()
}

#[test]
fn a_stop_tells_the_connections_and_refuses_new_ones() {
    let dir = TempDir::new();
    let server = start(config(&dir.0, 2), LineFace).expect("starts");
    let addr = server.ready().http_addr.expect("it listens");
    let mut clients: Vec<Client> = (0..8).map(|_| Client::new(&server)).collect();
    assert!(clients.iter_mut().all(|client| client.ask("append s 1").parse::<u64>().is_ok()));
    server.stop();
    assert!(clients.iter_mut().all(|client| client.line() == "bye"));
    server.wait().expect("a clean stop");
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn a_directory_in_use_is_refused_with_the_holders_name() {
    let dir = TempDir::new();
    let server = start(config(&dir.0, 1), LineFace).expect("starts");
    let error = start(config(&dir.0, 1), LineFace).err().expect("the directory is in use");
    let text = error.to_string();
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    assert_eq!(error.exit_code(), 75);
    server.stop();
    server.wait().expect("a clean stop");
}

#[test]
fn an_address_in_use_is_refused_and_leaves_the_directory_free() {
    let (dir, other) = (TempDir::new(), TempDir::new());
    let server = start(config(&dir.0, 2), LineFace).expect("starts");
    let taken = ServerConfig { http_addr: server.ready().http_addr, ..config(&other.0, 2) };
    let error = start(taken, LineFace).err().expect("the port is taken");
    assert!(matches!(error, ServeError::Address { .. }) && error.to_string().contains("ss -ltnp"), "{error}");
    server.stop();
    server.wait().expect("a clean stop");
    let server = start(config(&other.0, 2), LineFace).expect("the lock was given back");
    server.stop();
    server.wait().expect("a clean stop");
}

#[test]
fn what_must_not_be_served_is_refused_before_anything_is_touched() {
    let dir = TempDir::new();
    let http_addr = "0.0.0.0:8080".parse().ok();
    let open = ServerConfig { http_addr, is_dev: true, ..config(&dir.0, 1) };
    let error = start(open, LineFace).err().expect("everybody could reach it");
    assert!(error.to_string().starts_with("refusing to listen on 0.0.0.0:8080 in development mode"));
    assert_eq!(error.exit_code(), 78);
    let missing = ServerConfig { cores: vec![4095], ..config(&dir.0, 1) };
    let error = start(missing, LineFace).err().expect("no such processor");
    assert!(matches!(error, ServeError::Host(_)) && error.to_string().contains("--cores"), "{error}");
    assert_eq!(std::fs::read_dir(&dir.0).expect("there").count(), 0);
}

#[test]
fn a_refusal_of_the_directory_names_code_and_next_step() {
    let dir = TempDir::new();
    let server = start(config(&dir.0, 1), LineFace).expect("starts");
    server.stop();
    server.wait().expect("a clean stop");
    let other = ServerConfig { partition_count: 7, ..config(&dir.0, 1) };
    let error = start(other, LineFace).err().expect("the directory has 64 partitions");
    assert!(error.to_string().starts_with("[partition-count]"), "{error}");
    assert_eq!(error.exit_code(), 65);
}
