//! Patterns: every stream that exists, and every one that will.

use crate::client::Client;
use crate::heard::{EventStream, Ledger, Socket, id, post, post_many, text};
use crate::server::{Server, fresh_dir};

#[test]
fn a_pattern_hears_the_past_and_the_present_of_all_its_streams() {
    let server = Server::start(&fresh_dir("pattern-past"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    // More than one page of the listing, and more streams than are read at once.
    for n in 0..700 {
        post_many(&mut client, &format!("in/{n}"), 3);
    }
    post_many(&mut client, "out", 3);
    let addr = server.addr;
    let writer = std::thread::spawn(move || {
        for n in (0..900).step_by(3) {
            post_many(&mut client, &format!("in/{n}"), 2);
        }
    });
    let mut socket = Socket::open(addr, "/listen?s=b:in/**:1");
    let mut ledger = Ledger::new();
    while ledger.events < 700 * 3 + 300 * 2 {
        let items = socket.next_items();
        assert!(items.iter().all(|item| text(item, "stream").starts_with("in/")));
        ledger.note(&items);
    }
    writer.join().expect("the writer ends");
}

#[test]
fn a_live_pattern_hears_new_streams_and_nothing_of_the_past() {
    let server = Server::start(&fresh_dir("pattern-live"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    post_many(&mut client, "old", 3);
    let mut stream = EventStream::open(server.addr, "s=b:*");
    assert_eq!(post(&mut client, "old", "1"), 4);
    let items = stream.next_with_data().items();
    assert_eq!((text(&items[0], "stream"), id(&items[0])), ("old", 4));
    for n in 0..20 {
        post(&mut client, &format!("new{n}"), "1");
        let items = stream.next_with_data().items();
        assert_eq!((text(&items[0], "stream"), id(&items[0])), (format!("new{n}").as_str(), 1));
    }
}

#[test]
fn an_event_stream_of_a_pattern_comes_back_without_a_hole() {
    let server = Server::start(&fresh_dir("pattern-resume"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    post_many(&mut client, "seen", 2);
    let mut stream = EventStream::open(server.addr, "s=b:*");
    assert!(stream.next().expect("the place where it begins").id.is_some());
    post(&mut client, "seen", "1");
    assert_eq!(id(&stream.next_with_data().items()[0]), 3);
    let last_id = stream.last_id.clone().expect("an id");
    drop(stream);
    // While it is away: more of a stream that it heard, and the first of one that it did not.
    post_many(&mut client, "seen", 2);
    post_many(&mut client, "new", 2);
    let mut stream = EventStream::open_with(server.addr, "s=b:*", &format!("Last-Event-ID: {last_id}\r\n"));
    let mut heard = Vec::new();
    while heard.len() < 4 {
        let items = stream.next_with_data().items();
        heard.extend(items.iter().map(|item| format!("{}:{}", text(item, "stream"), id(item))));
    }
    heard.sort();
    assert_eq!(heard, ["new:1", "new:2", "seen:4", "seen:5"]);
    post(&mut client, "new", "1");
    assert_eq!(id(&stream.next_with_data().items()[0]), 3, "and it is live");
}
