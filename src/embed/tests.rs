//! The promises of the embedding interface, on whole servers in this process.

use super::{AppendOptions, Builder, Error, Event, Failure, Message, ReadFrom, SeqNum, Server};
use crate::sys::preflight::allowed_cpus;
use crate::sys::tests::TempDir;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use types::{Epoch, Limits};

const LONG: Duration = Duration::from_secs(20);

fn small() -> Limits {
    Limits {
        body_bytes_max: 64 << 10,
        append_events_max: 64,
        journal_file_bytes: 1 << 20,
        ..Limits::default()
    }
}

fn started(dir: &TempDir) -> Server {
    let builder = Builder::new(&dir.0).admin_password("secret").limits(small()).partitions(8);
    builder.cores(allowed_cpus().into_iter().take(2)).start().expect("the server starts")
}

fn number(n: u64) -> Event {
    Event::json(n.to_string()).expect("JSON")
}

fn seqs(subscription: &mut super::Subscription, count: usize) -> Vec<u64> {
    let next = |subscription: &mut super::Subscription| match subscription.next(LONG) {
        Ok(Some(Message::Event(record))) => record.seq().0,
        other => panic!("an event is due: {other:?}"),
    };
    (0..count).map(|_| next(subscription)).collect()
}

#[test]
fn what_is_appended_is_read_and_heard_and_there_after_a_restart() {
    let dir = TempDir::new();
    let server = started(&dir);
    let stream = server.stream("b", "s").expect("a name");
    let under_way: Vec<_> = (1..=500).map(|n| stream.append(number(n))).collect();
    for (n, pending) in (1..).zip(under_way) {
        assert_eq!(pending.wait().expect("stored").first, SeqNum(n), "calls keep their order");
    }
    let mut subscription = stream.subscribe(SeqNum(499));
    assert_eq!(seqs(&mut subscription, 2), [499, 500]);
    assert_eq!(subscription.next(Duration::from_millis(10)), Ok(None));
    let writer = stream.clone();
    let writing = std::thread::spawn(move || writer.append(number(501)).wait());
    assert_eq!(seqs(&mut subscription, 1), [501]);
    assert_eq!(subscription.next_seq(), SeqNum(502));
    writing.join().expect("it does not panic").expect("stored");
    server.shutdown().expect("a clean stop");
    let server = started(&dir);
    let page = server.stream("b", "s").expect("a name").read(ReadFrom::Newest, 2).wait().expect("read");
    let texts: Vec<_> = page.records.iter().map(|record| record.payload()).collect();
    assert_eq!(texts, [&b"500"[..], b"501"]);
    server.shutdown().expect("a clean stop");
}

#[test]
fn http_and_calls_share_one_log() {
    let dir = TempDir::new();
    let server = started(&dir);
    server.stream("b", "s").expect("a name").append(number(7)).wait().expect("stored");
    let ask = |request: &str| {
        let mut socket = TcpStream::connect(server.http_addr()).expect("HTTP listens");
        socket.write_all(request.as_bytes()).expect("sent");
        let mut reply = String::new();
        socket.read_to_string(&mut reply).expect("answered");
        reply
    };
    let get = "GET /streams/b/s HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    assert!(ask(&format!("{get}\r\n")).starts_with("HTTP/1.1 401"), "who comes over HTTP must log in");
    let body = r#"{"username":"admin","password":"secret"}"#;
    let login = ask(&format!(
        "POST /sessions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let token = login.split("\"token\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a token");
    let reply = ask(&format!("{get}x-session: {token}\r\n\r\n"));
    assert!(reply.ends_with("\"data\":7}]"), "{reply}");
    server.shutdown().expect("a clean stop");
}

#[test]
fn conditions_keys_and_limits_hold_as_over_http() {
    let dir = TempDir::new();
    let server = started(&dir);
    let stream = server.stream("b", "s").expect("a name");
    let options = |last: u64| AppendOptions { expect_last: Some(SeqNum(last)), ..AppendOptions::default() };
    let append = |n, options| stream.append_all(vec![number(n)], options).wait();
    assert!(append(1, options(0)).is_ok());
    let lost = Failure::PreconditionFailed { last: SeqNum(1) };
    assert_eq!(append(2, options(0)), Err(Error::Failed(lost)));
    let keyed = || AppendOptions { idempotency_key: Some("k".into()), ..AppendOptions::default() };
    let first = append(3, keyed()).expect("stored");
    let again = append(3, keyed()).expect("the same append");
    assert_eq!((again.first, again.replayed), (first.first, true));
    let mismatch = Failure::IdempotencyMismatch { seq: first.first };
    assert_eq!(append(4, keyed()), Err(Error::Failed(mismatch)));
    let refused = |events: Vec<Event>| stream.append_all(events, AppendOptions::default()).wait();
    assert!(matches!(refused(Vec::new()), Err(Error::Failed(Failure::InvalidBody { .. }))));
    let many = (0..65).map(number).collect();
    assert_eq!(refused(many), Err(Error::Failed(Failure::TooLarge { limit: 64 })));
    let large = Event::binary(vec![0; (64 << 10) + 1], "application/octet-stream");
    assert_eq!(refused(vec![large]), Err(Error::Failed(Failure::TooLarge { limit: 64 << 10 })));
    assert!(matches!(Event::json("{"), Err(Error::Failed(Failure::InvalidBody { .. }))));
    assert!(matches!(server.stream("$meta", "x"), Err(Error::Failed(Failure::NoPermission))));
    assert!(matches!(server.stream("b", ""), Err(Error::Failed(Failure::BadRequest { .. }))));
    server.shutdown().expect("a clean stop");
}

#[test]
fn a_subscription_is_told_what_is_gone_and_that_the_stream_began_anew() {
    let dir = TempDir::new();
    let server = started(&dir);
    let stream = server.stream("b", "s").expect("a name");
    for n in 1..=10 {
        stream.append(number(n)).wait().expect("stored");
    }
    stream.trim(SeqNum(4)).wait().expect("trimmed");
    let mut subscription = stream.subscribe(SeqNum(2));
    match subscription.next(LONG) {
        Ok(Some(Message::Gap(gap))) => assert_eq!((gap.from, gap.to), (SeqNum(2), SeqNum(3))),
        other => panic!("a gap is due: {other:?}"),
    }
    assert_eq!(seqs(&mut subscription, 7), [4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(stream.delete().wait(), Ok(true));
    stream.append(number(1)).wait().expect("stored");
    match subscription.next(LONG) {
        Ok(Some(Message::Reset(epoch))) => assert!(epoch > Epoch(0)),
        other => panic!("a reset is due: {other:?}"),
    }
    assert_eq!(seqs(&mut subscription, 1), [1]);
    server.shutdown().expect("a clean stop");
}

#[test]
fn calls_after_the_end_fail_and_hang_nobody() {
    let dir = TempDir::new();
    let server = started(&dir);
    let stream = server.stream("b", "s").expect("a name");
    let mut subscription = stream.subscribe(SeqNum(1));
    let waiting = std::thread::spawn(move || subscription.next(LONG));
    std::thread::sleep(Duration::from_millis(50));
    server.shutdown().expect("a clean stop");
    assert_eq!(waiting.join().expect("it does not panic"), Ok(None), "the wait ends with the server");
    assert_eq!(stream.append(number(1)).wait(), Err(Error::Stopped));
}
