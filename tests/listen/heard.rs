//! Listeners of the three forms over blocking sockets, on the project's own codecs, and what they heard.
//!
//! A read that takes longer than [`PATIENCE`] fails the test: nothing here waits for ever.

use crate::client::Client;
use bytes::BytesMut;
use http1::{Config, Decoded, ResponseDecoder, ResponseHead};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use websocket::{CloseCode, Connection, Event, Role, check_response, client_key};

/// Longest silence that a test bears.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(addr).expect("the server listens");
    socket.set_nodelay(true).expect("a TCP socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
    socket
}

/// Reads what there is into `input`; `false` at the end.
fn receive(socket: &mut TcpStream, input: &mut BytesMut) -> bool {
    let mut piece = [0; 64 << 10];
    match socket.read(&mut piece) {
        Ok(0) => false,
        Ok(count) => {
            input.extend_from_slice(&piece[..count]);
            true
        }
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
        Err(error) => panic!("nothing came: {error}"),
    }
}

/// One message of an event stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) event: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Vec<String>,
    pub(crate) comments: usize,
}

impl Message {
    /// The items of a message with one data line.
    pub(crate) fn items(&self) -> Vec<Value> {
        match &self.data[..] {
            [] => Vec::new(),
            [data] => serde_json::from_str(data).expect("an array"),
            lines => panic!("{} data lines", lines.len()),
        }
    }
}

/// A listener over SSE.
pub(crate) struct EventStream {
    socket: TcpStream,
    decoder: ResponseDecoder,
    input: BytesMut,
    text: Vec<u8>,
    ended: bool,
    pub(crate) head: ResponseHead,
    pub(crate) last_id: Option<String>,
}

impl EventStream {
    pub(crate) fn open(addr: SocketAddr, query: &str) -> EventStream {
        EventStream::open_with(addr, query, "")
    }

    /// Opens with more header lines.
    pub(crate) fn open_with(addr: SocketAddr, query: &str, headers: &str) -> EventStream {
        EventStream::over(connect(addr), query, headers)
    }

    /// Opens over a connection that is there.
    pub(crate) fn over(mut socket: TcpStream, query: &str, headers: &str) -> EventStream {
        let accept = "Accept: text/event-stream";
        let request = format!("GET /listen?{query} HTTP/1.1\r\nHost: a\r\n{accept}\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).expect("it is sent");
        let mut decoder = ResponseDecoder::new(Config { body_bytes_max: u64::MAX, ..Config::default() });
        let mut input = BytesMut::new();
        let head = loop {
            match decoder.decode(&mut input).expect("sound") {
                Some(Decoded::Head(head)) => break head,
                Some(other) => panic!("{other:?} before the head"),
                None => assert!(receive(&mut socket, &mut input), "the server ended without a head"),
            }
        };
        EventStream { socket, decoder, input, text: Vec::new(), ended: false, head, last_id: None }
    }

    /// The next message; `None` when the stream was ended properly.
    pub(crate) fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                let message = parse(std::str::from_utf8(&block).expect("UTF-8"));
                self.last_id = message.id.clone().or(self.last_id.take());
                return Some(message);
            }
            if self.ended {
                assert!(self.text.is_empty(), "cut in a message");
                return None;
            }
            match self.decoder.decode(&mut self.input).expect("sound chunks") {
                Some(Decoded::Body(bytes)) => self.text.extend_from_slice(&bytes),
                Some(Decoded::End) => self.ended = true,
                Some(Decoded::Head(_)) => panic!("a second head"),
                None => assert!(receive(&mut self.socket, &mut self.input), "cut without an end"),
            }
        }
    }

    /// The next message that has data.
    pub(crate) fn next_with_data(&mut self) -> Message {
        loop {
            let message = self.next().expect("the stream goes on");
            if !message.data.is_empty() {
                return message;
            }
        }
    }

    /// Reads whatever comes until the connection is cut; fails when it is not.
    pub(crate) fn wait_for_cut(mut self) {
        let mut input = BytesMut::new();
        while receive(&mut self.socket, &mut input) {
            input.clear();
        }
    }
}

fn parse(block: &str) -> Message {
    let mut message = Message::default();
    for line in block.lines().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| line.split_once(':').expect("a field"));
        match name {
            "data" => message.data.push(value.to_owned()),
            "event" => message.event = value.to_owned(),
            "id" => message.id = Some(value.to_owned()),
            "" => message.comments += 1,
            other => panic!("field {other:?}"),
        }
    }
    message
}

/// What a WebSocket heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    Closed(Option<u16>, String),
    /// The connection ended without a close frame.
    Cut,
}

/// A client of a WebSocket.
pub(crate) struct Socket {
    pub(crate) socket: TcpStream,
    pub(crate) connection: Connection,
    input: BytesMut,
    events: VecDeque<Heard>,
}

impl Socket {
    pub(crate) fn open(addr: SocketAddr, target: &str) -> Socket {
        Socket::over(connect(addr), target)
    }

    /// Upgrades a connection that is there.
    pub(crate) fn over(mut socket: TcpStream, target: &str) -> Socket {
        let key = client_key([7; 16]);
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
            std::str::from_utf8(&key).expect("base64"),
        );
        socket.write_all(request.as_bytes()).expect("it is sent");
        let mut decoder = ResponseDecoder::new(Config::default());
        let mut input = BytesMut::new();
        let head = loop {
            match decoder.decode(&mut input).expect("sound") {
                Some(Decoded::Head(head)) => break head,
                Some(other) => panic!("{other:?} before the head"),
                None => assert!(receive(&mut socket, &mut input), "the server ended without a head"),
            }
        };
        check_response(head.status(), head.headers().iter(), &key, &[]).expect("the upgrade is accepted");
        let config = websocket::Config { message_bytes_max: 64 << 20, fragments_max: 1 << 20 };
        let connection = Connection::new(Role::Client { mask_seed: [9; 16] }, config);
        let mut socket = Socket { socket, connection, input, events: VecDeque::new() };
        socket.take_events();
        socket
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.connection.send_text(text).expect("it is open");
        self.flush();
    }

    /// Sends a command and gives the answer.
    pub(crate) fn ask(&mut self, command: &str) -> Value {
        self.send(command);
        self.next_json()
    }

    /// Writes what the connection has for the other end.
    pub(crate) fn flush(&mut self) {
        let output = self.connection.take_output();
        self.socket.write_all(&output).expect("it is sent");
    }

    pub(crate) fn next(&mut self) -> Heard {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if !receive(&mut self.socket, &mut self.input) {
                return Heard::Cut;
            }
            self.take_events();
        }
    }

    fn take_events(&mut self) {
        self.connection.handle_bytes(&mut self.input);
        while let Some(event) = self.connection.poll_event() {
            let heard = match event.expect("the server keeps the protocol") {
                Event::Text(text) => Heard::Text(String::from_utf8(text.to_vec()).expect("checked")),
                Event::Binary(bytes) => Heard::Binary(bytes.to_vec()),
                Event::Pong(bytes) => Heard::Pong(bytes.to_vec()),
                Event::Ping(_) => continue,
                Event::Close { code, reason } => {
                    let reason = String::from_utf8(reason.to_vec()).expect("checked");
                    Heard::Closed(code.map(CloseCode::number), reason)
                }
            };
            self.events.push_back(heard);
        }
    }

    /// The next text, which is JSON.
    pub(crate) fn next_json(&mut self) -> Value {
        match self.next() {
            Heard::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("{other:?} instead of a text"),
        }
    }

    /// The next array of items.
    pub(crate) fn next_items(&mut self) -> Vec<Value> {
        match self.next_json() {
            Value::Array(items) => items,
            other => panic!("{other} instead of an array"),
        }
    }
}

/// A listener by long-polls: asks again from where each stream stands.
pub(crate) struct Polling {
    addr: SocketAddr,
    client: Client,
    /// Next event by `bucket:stream`.
    next: BTreeMap<String, u64>,
}

impl Polling {
    pub(crate) fn new(addr: SocketAddr, streams: &[(String, u64)]) -> Polling {
        let client = Client::connect(addr).expect("the server listens");
        Polling { addr, client, next: streams.iter().cloned().collect() }
    }

    pub(crate) fn next_items(&mut self) -> Vec<Value> {
        loop {
            let parameters: Vec<String> =
                self.next.iter().map(|(name, from)| format!("s={name}:{from}")).collect();
            let target = format!("/listen?timeout=10&{}", parameters.join("&"));
            let reply = self.client.send("GET", &target, &[], b"").expect("an answer");
            if !reply.head.keep_alive() {
                self.client = Client::connect(self.addr).expect("the server listens");
            }
            match reply.head.status() {
                204 => continue,
                200 => {}
                other => panic!("status {other}"),
            }
            let items: Vec<Value> = serde_json::from_slice(&reply.body).expect("an array");
            assert!(!items.is_empty());
            for item in &items {
                let name = format!("{}:{}", text(item, "bucket"), text(item, "stream"));
                self.next.insert(name, id(item) + 1);
            }
            return items;
        }
    }
}

/// One form of listening to streams from given places.
pub(crate) enum Listening {
    Sse(Box<EventStream>),
    WebSocket(Box<Socket>),
    LongPoll(Box<Polling>),
}

pub(crate) const FORMS: [&str; 3] = ["sse", "websocket", "long-poll"];

impl Listening {
    /// Listens to `(name, from)`, each as `bucket:stream`.
    pub(crate) fn open(form: &str, addr: SocketAddr, streams: &[(String, u64)]) -> Listening {
        let query: Vec<String> = streams.iter().map(|(name, from)| format!("s={name}:{from}")).collect();
        let query = query.join("&");
        match form {
            "sse" => Listening::Sse(Box::new(EventStream::open(addr, &query))),
            "websocket" => Listening::WebSocket(Box::new(Socket::open(addr, &format!("/listen?{query}")))),
            "long-poll" => Listening::LongPoll(Box::new(Polling::new(addr, streams))),
            other => panic!("no form {other}"),
        }
    }

    pub(crate) fn next_items(&mut self) -> Vec<Value> {
        match self {
            Listening::Sse(stream) => stream.next_with_data().items(),
            Listening::WebSocket(socket) => socket.next_items(),
            Listening::LongPoll(polling) => polling.next_items(),
        }
    }
}

/// Events by stream, each checked to come once and in order.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    next: BTreeMap<String, u64>,
    pub(crate) events: u64,
}

impl Ledger {
    /// A ledger whose streams begin at 1.
    pub(crate) fn new() -> Ledger {
        Ledger::default()
    }

    /// Notes items; every one must be the next of its stream.
    pub(crate) fn note(&mut self, items: &[Value]) {
        for item in items {
            let next = self.next.entry(text(item, "stream").to_owned()).or_insert(1);
            assert_eq!(id(item), *next, "stream {}", text(item, "stream"));
            *next += 1;
            self.events += 1;
        }
    }
}

pub(crate) fn id(item: &Value) -> u64 {
    item["meta"]["id"].as_u64().unwrap_or_else(|| panic!("no id in {item}"))
}

pub(crate) fn text<'a>(item: &'a Value, member: &str) -> &'a str {
    item["meta"][member].as_str().unwrap_or_else(|| panic!("no {member} in {item}"))
}

/// Appends events to `b/<stream>` as one batch of lines; gives the first id.
pub(crate) fn post_lines(client: &mut Client, stream: &str, lines: &[String]) -> u64 {
    let headers = [("content-type", "application/x-ndjson")];
    let body = lines.join("\n");
    let reply =
        client.send("POST", &format!("/streams/b/{stream}"), &headers, body.as_bytes()).expect("an answer");
    assert_eq!(reply.head.status(), 201, "{:?}", reply.body);
    let reply: Value = serde_json::from_slice(&reply.body).expect("JSON");
    reply["meta"]["id"].as_u64().expect("an id")
}

/// Appends `count` small events in batches of 1,000.
pub(crate) fn post_many(client: &mut Client, stream: &str, count: usize) {
    let lines: Vec<String> = (0..count).map(|n| format!("{{\"n\":{n}}}")).collect();
    for batch in lines.chunks(1000) {
        post_lines(client, stream, batch);
    }
}

pub(crate) fn post(client: &mut Client, stream: &str, json: &str) -> u64 {
    post_lines(client, stream, &[json.to_owned()])
}
