//! Commands over a WebSocket, each answered in its turn.

use crate::client::Client;
use crate::heard::{Heard, Socket, id, post, post_many};
use crate::server::{Server, fresh_dir};
use serde_json::{Value, json};
use std::time::Duration;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn every_command_has_its_answer_and_every_fault_its_reason() {
    let server = Server::start(&fresh_dir("command-table"), &[]);
    let mut socket = Socket::open(server.addr, "/listen");
    for (command, answer) in [
        (r#"{"cmd":"ping","id":1}"#, r#"{"ok":true,"id":1,"type":"ping"}"#),
        (r#"{"cmd":"ping"}"#, r#"{"ok":true,"id":0,"type":"ping"}"#),
        (
            r#"{"cmd":"subscribe","bucket":"b","stream":"s","id":2}"#,
            r#"{"ok":true,"id":2,"type":"subscribe"}"#,
        ),
        (
            r#"{"cmd":"subscribe","bucket":"b","stream":"s","id":3}"#,
            r#"{"ok":false,"id":3,"reason":"already subscribed"}"#,
        ),
        (
            r#"{"cmd":"unsubscribe","bucket":"b","stream":"s","id":4}"#,
            r#"{"ok":true,"id":4,"type":"unsubscribe"}"#,
        ),
        (
            r#"{"cmd":"unsubscribe","bucket":"b","stream":"s","id":5}"#,
            r#"{"ok":false,"id":5,"reason":"not subscribed"}"#,
        ),
        (r#"{"cmd":"subscribe","id":6}"#, r#"{"ok":false,"id":6,"reason":"missing bucket and stream"}"#),
        (r#"{"cmd":"subscribe","stream":"s","id":7}"#, r#"{"ok":false,"id":7,"reason":"missing bucket"}"#),
        (r#"{"cmd":"unsubscribe","bucket":"b","id":8}"#, r#"{"ok":false,"id":8,"reason":"missing stream"}"#),
        (r#"{"cmd":"fly","id":9}"#, r#"{"ok":false,"id":9,"reason":"unknown command"}"#),
        (r#"{"cmd":"#, r#"{"ok":false,"id":0,"reason":"invalid json"}"#),
        (
            r#"{"cmd":"publish","bucket":"$meta","stream":"s","data":1,"id":10}"#,
            r#"{"ok":false,"id":10,"reason":"unauthorized"}"#,
        ),
        (
            r#"{"cmd":"publish","bucket":"b","stream":"s","id":11}"#,
            r#"{"ok":false,"id":11,"reason":"missing data"}"#,
        ),
    ] {
        assert_eq!(socket.ask(command), parsed(answer), "{command}");
    }
}

#[test]
fn a_subscription_by_command_begins_where_it_is_told_and_ends_when_it_is_told() {
    let server = Server::start(&fresh_dir("command-subscribe"), &[]);
    let mut client = Client::connect(server.addr).expect("it listens");
    post_many(&mut client, "s", 5);
    let mut socket = Socket::open(server.addr, "/listen");
    let subscribe = r#"{"cmd":"subscribe","bucket":"b","stream":"s","from":4,"id":1}"#;
    assert_eq!(socket.ask(subscribe)["type"], "subscribe");
    assert_eq!(socket.next_items().iter().map(id).collect::<Vec<_>>(), [4, 5]);
    post(&mut client, "s", "1");
    assert_eq!(id(&socket.next_items()[0]), 6);
    assert_eq!(socket.ask(r#"{"cmd":"unsubscribe","bucket":"b","stream":"s"}"#)["ok"], true);
    post(&mut client, "s", "1");
    assert_eq!(socket.ask(r#"{"cmd":"ping","id":2}"#)["id"], 2, "nothing came in between");
    assert_eq!(socket.ask(r#"{"cmd":"subscribe","bucket":"b","stream":"s"}"#)["ok"], true);
    post(&mut client, "s", "1");
    assert_eq!(id(&socket.next_items()[0]), 8);
}

#[test]
fn publishes_keep_their_order_and_are_answered_in_it() {
    let server = Server::start(&fresh_dir("command-publish"), &[]);
    let mut socket = Socket::open(server.addr, "/listen");
    const COUNT: u64 = 500;
    for n in 0..COUNT {
        let stream = if n % 2 == 0 { "even" } else { "odd" };
        let data = format!("{{ \"n\" : {n} }}");
        let command =
            format!(r#"{{"cmd":"publish","bucket":"b","stream":"{stream}","data":{data},"id":{n}}}"#);
        socket.connection.send_text(&command).expect("open");
    }
    socket.connection.send_text(r#"{"cmd":"ping","id":-1}"#).expect("open");
    socket.flush();
    for n in 0..COUNT {
        let answer = socket.next_json();
        assert_eq!(
            (&answer["ok"], &answer["id"], &answer["type"]),
            (&json!(true), &json!(n), &json!("publish"))
        );
        assert_eq!(answer["meta"]["id"], n / 2 + 1);
        assert!(answer["meta"]["t"].is_u64());
    }
    assert_eq!(socket.next_json()["id"], -1, "what came behind is answered behind");
    let mut client = Client::connect(server.addr).expect("it listens");
    let body = client.get("/streams/b/odd?from=1&limit=1").expect("an answer");
    assert!(String::from_utf8_lossy(&body).contains("{ \"n\" : 1 }"), "byte for byte: {body:?}");
    let events = client.events("even").expect("an answer");
    let numbers: Vec<u64> = events.iter().map(|(_, _, data)| data["n"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (0..COUNT).step_by(2).collect::<Vec<_>>());
}

#[test]
fn what_is_published_comes_back_to_who_listens_on_the_same_connection() {
    let server = Server::start(&fresh_dir("command-own"), &[]);
    let mut socket = Socket::open(server.addr, "/listen");
    // In one flight: the subscription is open before the publish is carried out.
    socket.connection.send_text(r#"{"cmd":"subscribe","bucket":"b","stream":"s","id":1}"#).expect("open");
    socket
        .connection
        .send_text(r#"{"cmd":"publish","bucket":"b","stream":"s","data":7,"id":2}"#)
        .expect("open");
    socket.flush();
    let heard: Vec<Value> = (0..3).map(|_| socket.next_json()).collect();
    assert_eq!(heard[0]["id"], 1, "the subscription is answered before anything of it: {heard:?}");
    assert!(heard[1..].iter().any(|json| json["type"] == "publish"));
    assert!(heard[1..].iter().any(|json| json.is_array()));
}

#[test]
fn more_subscriptions_than_allowed_are_refused() {
    let server = Server::start(&fresh_dir("command-limit"), &[("MILLRACE_LIMITS__SUBSCRIPTIONS_MAX", "2")]);
    let mut socket = Socket::open(server.addr, "/listen?s=b:1&s=b:2");
    let answer = socket.ask(r#"{"cmd":"subscribe","bucket":"b","stream":"3"}"#);
    assert_eq!(answer, json!({"ok":false,"id":0,"reason":"too many subscriptions"}));
    assert_eq!(socket.ask(r#"{"cmd":"unsubscribe","bucket":"b","stream":"1"}"#)["ok"], true);
    assert_eq!(socket.ask(r#"{"cmd":"subscribe","bucket":"b","stream":"3"}"#)["ok"], true);
}

#[test]
fn a_client_that_says_nothing_is_closed_and_one_that_pings_is_not() {
    let idle = ("MILLRACE_LIMITS__WEBSOCKET_IDLE_TIMEOUT_MS", "1500");
    let server = Server::start(&fresh_dir("command-idle"), &[idle]);
    let mut silent = Socket::open(server.addr, "/listen");
    let mut lively = Socket::open(server.addr, "/listen");
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(300));
        lively.connection.send_ping(b"").expect("open");
        lively.flush();
        assert_eq!(lively.next(), Heard::Pong(Vec::new()));
    }
    assert_eq!(silent.next(), Heard::Closed(Some(1001), "idle".to_owned()));
}

#[test]
fn what_is_no_text_or_too_long_ends_the_connection_with_a_reason() {
    let server = Server::start(&fresh_dir("command-bad"), &[]);
    let mut socket = Socket::open(server.addr, "/listen");
    socket.connection.send_binary(b"x").expect("open");
    socket.flush();
    assert_eq!(socket.next(), Heard::Closed(Some(1003), "commands are text".to_owned()));
    let mut socket = Socket::open(server.addr, "/listen");
    socket.send(&"x".repeat((1 << 20) + 1));
    assert!(matches!(socket.next(), Heard::Closed(Some(1009), _)));
}
