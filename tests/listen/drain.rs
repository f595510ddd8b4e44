//! The server stops: every listener is told, and nothing accepted is lost.

use crate::client::Client;
use crate::heard::{EventStream, Heard, Socket, post_many};
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

/// Opens a listener over a connection, and gives what waits for the reason of its end: a close frame with
/// 1001, a last message, or 204 for a poll.
fn wait_for_reason(form: usize, client: Client) -> Box<dyn FnOnce() -> String + Send> {
    match form {
        0 => {
            let mut stream = EventStream::over(client.into_socket(), "s=b:s&s=b:quiet/**", "");
            Box::new(move || {
                let message = stream.next_with_data();
                assert_eq!(stream.next(), None, "and the body is ended properly");
                format!("{} {}", message.event, message.data[0])
            })
        }
        1 => {
            let mut socket = Socket::over(client.into_socket(), "/listen?s=b:s&s=b:quiet/**");
            Box::new(move || {
                let heard = socket.next();
                socket.flush();
                format!("{heard:?}")
            })
        }
        _ => {
            let mut client = client;
            let poll = std::thread::spawn(move || {
                let reply = client.send("GET", "/listen?s=b:s&s=b:quiet/**", &[], b"").expect("an answer");
                format!("{} {}", reply.head.status(), reply.head.keep_alive())
            });
            Box::new(move || poll.join().expect("it is answered"))
        }
    }
}

#[test]
fn a_hundred_listeners_on_each_core_are_told_that_the_server_stops_and_stuck_ones_delay_it_little() {
    let server = Server::start(&fresh_dir("drain-hundred"), &[]);
    let addr = server.addr;
    let mut waiting = Vec::new();
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2));
    let mut names = Vec::new();
    for _ in 0..cores {
        let core = Client::connect_to_a_core_but(addr, &names).expect("it listens").1;
        for n in 0..100 {
            let (client, name) = Client::connect_to_a_core_but(addr, &names).expect("it listens");
            if name == core {
                waiting.push((n % 3, wait_for_reason(n % 3, client)));
            }
        }
        names.push(core);
    }
    // These want more than all buffers hold and read nothing.
    let mut client = Client::connect(addr).expect("it listens");
    post_many(&mut client, "past", 300_000);
    let stuck: Vec<_> = (0..10)
        .map(|n| match n % 2 {
            0 => (Some(EventStream::open(addr, "s=b:past:1")), None),
            _ => (None, Some(Socket::open(addr, "/listen?s=b:past:1"))),
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let begin = Instant::now();
    let stopping = std::thread::spawn(move || server.stop());
    let count = waiting.len();
    assert!(count >= 100, "{count} listeners");
    for (form, wait) in waiting {
        let expected = [
            "close {\"reason\":\"draining\"}".to_owned(),
            format!("{:?}", Heard::Closed(Some(1001), "draining".to_owned())),
            "204 false".to_owned(),
        ];
        assert_eq!(wait(), expected[form]);
    }
    let told = begin.elapsed();
    assert!(stopping.join().expect("it stops").success());
    println!("{count} listeners were told in {told:?}, the server ended after {:?}", begin.elapsed());
    assert!(told < Duration::from_secs(5) && begin.elapsed() < Duration::from_secs(14));
    drop(stuck);
}
