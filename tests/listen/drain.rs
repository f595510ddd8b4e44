//! The server stops: every listener is told, and nothing accepted is lost.

use crate::client::Client;
use crate::heard::{EventStream, Heard, Socket};
use crate::server::{Server, fresh_dir};
use std::time::{Duration, Instant};

#[test]
fn every_form_is_told_that_the_server_stops() {
    let server = Server::start(&fresh_dir("drain-forms"), &[]);
    let addr = server.addr;
    let mut stream = EventStream::open(addr, "s=b:s");
    assert!(stream.next().expect("the place where it begins").id.is_some());
    let mut socket = Socket::open(addr, "/listen?s=b:s");
    let mut echo = Socket::open(addr, "/x/echo");
    assert_eq!(socket.ask(r#"{"cmd":"ping"}"#)["ok"], true);
    let poll = std::thread::spawn(move || {
        let mut client = Client::connect(addr).expect("it listens");
        let reply = client.send("GET", "/listen?s=b:s", &[], b"").expect("an answer");
        (reply.head.status(), reply.head.keep_alive())
    });
    std::thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    let stopping = std::thread::spawn(move || server.stop());
    let message = stream.next_with_data();
    assert_eq!((message.event.as_str(), &*message.data[0]), ("close", "{\"reason\":\"draining\"}"));
    assert_eq!(stream.next(), None, "and the body is ended properly");
    let told = Heard::Closed(Some(1001), "draining".to_owned());
    assert_eq!((socket.next(), echo.next()), (told.clone(), told));
    socket.flush();
    echo.flush();
    assert_eq!(poll.join().expect("answered"), (204, false));
    drop((stream, socket, echo));
    assert!(stopping.join().expect("it stops").success());
    assert!(begin.elapsed() < Duration::from_secs(9), "nobody was waited for");
}

#[test]
fn publishes_that_were_accepted_are_answered_before_the_end() {
    let dir = fresh_dir("drain-publish");
    let server = Server::start(&dir, &[]);
    let mut socket = Socket::open(server.addr, "/listen");
    for n in 0..100 {
        let command = format!(r#"{{"cmd":"publish","bucket":"b","stream":"s","data":{n},"id":{n}}}"#);
        socket.connection.send_text(&command).expect("open");
    }
    socket.flush();
    let first = socket.next_json();
    assert_eq!(first["ok"], true);
    let stopping = std::thread::spawn(move || server.stop());
    let mut answered = 1;
    loop {
        match socket.next() {
            Heard::Text(text) => {
                assert!(text.starts_with("{\"ok\":true"), "{text}");
                answered += 1;
            }
            Heard::Closed(code, reason) => {
                assert_eq!((code, reason.as_str()), (Some(1001), "draining"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    socket.flush();
    drop(socket);
    assert!(stopping.join().expect("it stops").success());
    let server = Server::start(&dir, &[]);
    let events = Client::connect(server.addr).expect("it listens").events("s").expect("an answer");
    assert!(events.len() >= answered, "{} events, {answered} answers", events.len());
}
