//! Gaps and resets: told once, and only to who asked.

use crate::client::Client;
use crate::heard::{EventStream, Socket, id, post, post_many};
use crate::server::{Server, fresh_dir};
use serde_json::{Value, json};

fn polled(client: &mut Client, query: &str) -> Vec<Value> {
    let body = client.get(&format!("/listen?{query}")).expect("an answer");
    serde_json::from_slice(&body).expect("an array")
}

fn is_notice(item: &Value, kind: &str) -> bool {
    item["meta"][kind].is_object()
}

#[test]
fn a_trimmed_past_is_told_once() {
    let server = Server::start(&fresh_dir("notice-gap"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    post_many(&mut client, "s", 10);
    let reply = client.send("DELETE", "/streams/b/s?before=6", &[], b"").expect("an answer");
    assert_eq!(reply.head.status(), 204);
    let gap = json!([{"meta":{"bucket":"b","stream":"s","gap":{"from":2,"to":5}}}]);
    let items = polled(&mut client, "s=b:s:2&gaps=true");
    assert_eq!((&items[0], id(&items[1])), (&gap[0], 6));
    assert_eq!(id(&polled(&mut client, "s=b:s:2")[0]), 6, "without gaps=true nobody is told");

    let mut stream = EventStream::open(server.addr, "s=b:s:2");
    let message = stream.next_with_data();
    assert_eq!((message.event.as_str(), Value::Array(message.items())), ("gap", gap.clone()));
    let behind_gap = message.id.expect("an id");
    let message = stream.next_with_data();
    assert_eq!((message.event.as_str(), id(&message.items()[0])), ("", 6));
    let mut stream =
        EventStream::open_with(server.addr, "s=b:s:2", &format!("Last-Event-ID: {behind_gap}\r\n"));
    assert_eq!(stream.next_with_data().event, "", "it is not told again");

    let mut socket = Socket::open(server.addr, "/listen?s=b:s:2&gaps=true");
    assert_eq!(Value::Array(socket.next_items()), gap);
    assert_eq!(id(&socket.next_items()[0]), 6);
    let mut socket = Socket::open(server.addr, "/listen?s=b:s:2");
    assert_eq!(id(&socket.next_items()[0]), 6);
}

#[test]
fn a_stream_that_was_deleted_and_written_again_is_told() {
    let server = Server::start(&fresh_dir("notice-reset"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    post_many(&mut client, "s", 3);
    let mut told = Socket::open(server.addr, "/listen?s=b:s:1&gaps=true");
    let mut silent = Socket::open(server.addr, "/listen?s=b:s:1");
    let mut stream = EventStream::open(server.addr, "s=b:s:1");
    let first = told.next_items();
    assert_eq!((first.len(), silent.next_items().len(), stream.next_with_data().items().len()), (3, 3, 3));
    client.send("DELETE", "/streams/b/s", &[], b"").expect("an answer");
    assert_eq!(post(&mut client, "s", "\"new\""), 1);
    let reset = told.next_items();
    assert!(is_notice(&reset[0], "reset") && reset[0]["meta"]["reset"]["epoch"].is_u64(), "{reset:?}");
    assert_eq!(told.next_items()[0]["data"], "new");
    assert_eq!(silent.next_items()[0]["data"], "new");
    let message = stream.next_with_data();
    assert_eq!((message.event.as_str(), message.items()), ("reset", reset));
    assert_eq!(id(&stream.next_with_data().items()[0]), 1);
}

#[test]
fn a_listener_that_was_away_is_told_that_its_stream_was_made_anew() {
    let server = Server::start(&fresh_dir("notice-away"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    post_many(&mut client, "s", 3);
    let mut stream = EventStream::open(server.addr, "s=b:s:1");
    let last_id = stream.next_with_data().id.expect("an id");
    drop(stream);
    client.send("DELETE", "/streams/b/s", &[], b"").expect("an answer");
    post_many(&mut client, "s", 5);
    let mut stream = EventStream::open_with(server.addr, "s=b:s:1", &format!("Last-Event-ID: {last_id}\r\n"));
    assert_eq!(stream.next_with_data().event, "reset");
    let ids: Vec<u64> = stream.next_with_data().items().iter().map(id).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5], "also those whose ids it had seen before");
}

#[test]
fn a_pattern_listener_is_told_of_gaps_and_resets_too() {
    let server = Server::start(&fresh_dir("notice-pattern"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    post_many(&mut client, "s", 10);
    client.send("DELETE", "/streams/b/s?before=6", &[], b"").expect("an answer");
    let mut socket = Socket::open(server.addr, "/listen?s=b:*:1&gaps=true");
    assert!(is_notice(&socket.next_items()[0], "gap"));
    assert_eq!(id(&socket.next_items()[0]), 6);
    client.send("DELETE", "/streams/b/s", &[], b"").expect("an answer");
    post(&mut client, "s", "1");
    assert!(is_notice(&socket.next_items()[0], "reset"));
    assert_eq!(id(&socket.next_items()[0]), 1);
}
