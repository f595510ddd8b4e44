//! From the past to the present: no event is missed, none comes twice.

use crate::client::Client;
use crate::heard::{EventStream, FORMS, Ledger, Listening, post_lines, post_many};
use crate::server::{Server, fresh_dir};
use std::net::SocketAddr;

/// Listens from 1 until every stream has given `count` events.
fn hear_all(form: &'static str, addr: SocketAddr, streams: &[(String, u64)], count: u64) -> Ledger {
    let mut listening = Listening::open(form, addr, streams);
    let mut ledger = Ledger::new();
    while ledger.events < count {
        ledger.note(&listening.next_items());
    }
    ledger
}

#[test]
fn every_form_resumes_at_the_start_while_a_writer_goes_on() {
    let server = Server::start(&fresh_dir("resume-forms"), &[]);
    let addr = server.addr;
    let mut client = Client::connect(addr).expect("it listens");
    const PAST: usize = 10_000;
    const MORE: usize = 3_000;
    post_many(&mut client, "s", PAST);
    let writer = std::thread::spawn(move || {
        for n in 0..MORE / 5 {
            let lines: Vec<String> = (0..5).map(|m| format!("{{\"more\":{n},\"m\":{m}}}")).collect();
            post_lines(&mut client, "s", &lines);
        }
    });
    // Twice each, so that both cores are likely to serve some.
    let listeners: Vec<_> = FORMS
        .into_iter()
        .cycle()
        .take(2 * FORMS.len())
        .map(|form| {
            let streams = [("b:s".to_owned(), 1)];
            std::thread::spawn(move || hear_all(form, addr, &streams, (PAST + MORE) as u64))
        })
        .collect();
    writer.join().expect("the writer ends");
    for listener in listeners {
        let ledger = listener.join().expect("a listener hears everything once, in order");
        assert_eq!(ledger.events, (PAST + MORE) as u64);
    }
}

#[test]
fn one_listener_hears_many_streams_on_all_cores() {
    let server = Server::start(&fresh_dir("resume-many"), &[]);
    let addr = server.addr;
    let mut client = Client::connect(addr).expect("it listens");
    const STREAMS: usize = 120;
    let streams: Vec<(String, u64)> = (0..STREAMS).map(|n| (format!("b:m{n}"), 1)).collect();
    for n in 0..STREAMS {
        post_many(&mut client, &format!("m{n}"), 20);
    }
    let listeners: Vec<_> = FORMS
        .into_iter()
        .map(|form| {
            let streams = streams.clone();
            std::thread::spawn(move || hear_all(form, addr, &streams, (STREAMS * 30) as u64))
        })
        .collect();
    for n in 0..STREAMS {
        post_many(&mut client, &format!("m{n}"), 10);
    }
    for listener in listeners {
        listener.join().expect("a listener hears everything once, in order");
    }
}

#[test]
fn an_event_stream_comes_back_where_it_stopped_in_every_stream() {
    let server = Server::start(&fresh_dir("resume-id"), &[]);
    let addr = server.addr;
    let mut client = Client::connect(addr).expect("it listens");
    let names = ["x", "y", "z"];
    for name in names {
        post_many(&mut client, name, 3_000);
    }
    let query = "s=b:x:1&s=b:y:1&s=b:z:1";
    let mut ledger = Ledger::new();
    let mut last_id: Option<String> = None;
    let mut connections = 0;
    while ledger.events < 9_090 {
        let headers = last_id.as_ref().map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let mut stream = EventStream::open_with(addr, query, &headers);
        connections += 1;
        // One message a connection, then it is cut; meanwhile more comes.
        ledger.note(&stream.next_with_data().items());
        last_id = stream.last_id.clone();
        if connections <= 30 {
            post_many(&mut client, names[connections % 3], 3);
        }
    }
    assert!(connections > 10, "{connections} connections");
}

#[test]
fn a_listener_that_heard_nothing_comes_back_without_a_hole() {
    let server = Server::start(&fresh_dir("resume-quiet"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    post_many(&mut client, "s", 5);
    let mut stream = EventStream::open(server.addr, "s=b:s");
    let first = stream.next().expect("the place where it begins");
    assert!(first.data.is_empty());
    let id = first.id.expect("an id");
    drop(stream);
    post_many(&mut client, "s", 2);
    let mut stream = EventStream::open_with(server.addr, "s=b:s", &format!("Last-Event-ID: {id}\r\n"));
    let ids: Vec<u64> = stream.next_with_data().items().iter().map(crate::heard::id).collect();
    assert_eq!(ids, [6, 7]);
}

#[test]
fn a_start_in_the_future_hears_what_comes_whatever_its_id() {
    let server = Server::start(&fresh_dir("resume-future"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    post_many(&mut client, "s", 3);
    for form in ["sse", "websocket"] {
        let mut listening = Listening::open(form, server.addr, &[("b:s".to_owned(), 1000)]);
        if form == "websocket" {
            // Its upgrade is accepted before its subscriptions are open; a command is answered after that.
            let Listening::WebSocket(socket) = &mut listening else { unreachable!() };
            socket.ask(r#"{"cmd":"subscribe","bucket":"b","stream":"other"}"#);
        }
        let expected = crate::heard::post(&mut client, "s", "1");
        let ids: Vec<u64> = listening.next_items().iter().map(crate::heard::id).collect();
        assert_eq!(ids, [expected], "{form}");
    }
}
