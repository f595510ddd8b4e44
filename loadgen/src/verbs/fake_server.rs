//! A server in this process for tests: as much of Millrace's API as the verbs use, kept in memory, with
//! faults.
//!
//! One thread for each connection, blocking. It is sound unless a fault is planted; then exactly that fault
//! happens. It ends with its owner, as far as tests care: its threads end with their connections.

use bytes::BytesMut;
use http1::{Config, Decoder, Request, ResponseWriter, write_chunk};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// What goes wrong, each on every so many-th append; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Answered with 503 and not stored.
    pub(crate) refuse: usize,
    /// The connection is cut instead of an answer; the event is stored.
    pub(crate) cut: usize,
    /// Acknowledged and not stored.
    pub(crate) lose: usize,
    /// Stored and not delivered to listeners.
    pub(crate) withhold: usize,
    /// The answer of this append, counted from 1, comes so much later.
    pub(crate) stall: Option<(usize, Duration)>,
}

#[derive(Debug, Default)]
struct State {
    streams: HashMap<String, Vec<Event>>,
    connection_count: usize,
    login_count: usize,
    keys: HashMap<String, (usize, usize)>,
    append_count: usize,
}

#[derive(Clone, Debug)]
struct Event {
    content: Vec<u8>,
    is_withheld: bool,
}

/// Whom a server with users takes, and the token that it gives.
pub(crate) const USER: (&str, &str) = ("ada", "tea at five");
pub(crate) const TOKEN: &str = "to.k.en";

#[derive(Debug)]
struct Inner {
    faults: Faults,
    has_users: bool,
    state: Mutex<State>,
    changed: Condvar,
}

/// The server.
#[derive(Debug)]
pub(crate) struct FakeServer {
    inner: Arc<Inner>,
    target: SocketAddr,
}

impl FakeServer {
    /// Starts one with these faults.
    pub(crate) fn start(faults: Faults) -> FakeServer {
        FakeServer::start_with(faults, false)
    }

    /// Starts one without faults that wants the token of [`USER`] with every request.
    pub(crate) fn start_with_users() -> FakeServer {
        FakeServer::start_with(Faults::default(), true)
    }

    fn start_with(faults: Faults, has_users: bool) -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let target = listener.local_addr().expect("it is bound");
        let inner = Arc::new(Inner { faults, has_users, state: Mutex::default(), changed: Condvar::new() });
        let serving = inner.clone();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let inner = serving.clone();
                inner.state().connection_count += 1;
                // A client that goes away ends its thread.
                thread::spawn(move || drop(serve(&inner, socket)));
            }
        });
        FakeServer { inner, target }
    }

    /// Its address, as an option's value.
    pub(crate) fn target(&self) -> String {
        self.target.to_string()
    }

    /// Appends that came.
    pub(crate) fn append_count(&self) -> usize {
        self.inner.state().append_count
    }

    /// Connections that were made.
    pub(crate) fn connection_count(&self) -> usize {
        self.inner.state().connection_count
    }

    /// Logins that succeeded.
    pub(crate) fn login_count(&self) -> usize {
        self.inner.state().login_count
    }

    /// Streams that exist.
    pub(crate) fn stream_count(&self) -> usize {
        self.inner.state().streams.len()
    }

    /// Events that are stored.
    pub(crate) fn event_count(&self) -> usize {
        self.inner.state().streams.values().map(Vec::len).sum()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with it")
    }
}

fn serve(inner: &Inner, mut socket: TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut decoder = Decoder::new(Config::default());
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut scratch = vec![0; 64 << 10];
    loop {
        while let Some(request) =
            decoder.decode_request(&mut input).map_err(|e| std::io::Error::other(e.reason()))?
        {
            let path = request.head.path().to_owned();
            let is_login = path == "/sessions";
            let is_known = !inner.has_users || request.head.header_str("x-session") == Some(TOKEN);
            let is_going_on = match request.head.method() {
                http1::Method::Post if is_login => log_in(inner, &request, &mut output),
                _ if !is_known => answer(&request, 401, "{}", &mut output),
                http1::Method::Post => append(inner, &request, &path, &mut output),
                _ if path == "/listen" => return listen(inner, &request, &mut socket),
                _ => read(inner, &request, &path, &mut output),
            };
            if !is_going_on {
                return Ok(());
            }
        }
        socket.write_all(&output)?;
        output.clear();
        match socket.read(&mut scratch)? {
            0 => return Ok(()),
            count => input.extend_from_slice(&scratch[..count]),
        }
    }
}

fn answer(request: &Request, status: u16, body: &str, output: &mut BytesMut) -> bool {
    let mut reply = ResponseWriter::begin(output, status, request.head.reply_to());
    reply.header("Content-Type", "application/json");
    reply.finish_with_body(body.as_bytes()).expect("the answer is sound");
    true
}

fn log_in(inner: &Inner, request: &Request, output: &mut BytesMut) -> bool {
    let body: serde_json::Value = serde_json::from_slice(&request.body).expect("the login is JSON");
    if (body["username"].as_str(), body["password"].as_str()) != (Some(USER.0), Some(USER.1)) {
        return answer(request, 401, r#"{"type":"unauthorized"}"#, output);
    }
    inner.state().login_count += 1;
    answer(request, 201, &format!(r#"{{"ok":true,"token":"{TOKEN}","username":"{}"}}"#, USER.0), output)
}

/// Whether the connection goes on.
fn append(inner: &Inner, request: &Request, path: &str, output: &mut BytesMut) -> bool {
    let mut state = inner.state();
    state.append_count += 1;
    let count = state.append_count;
    let hits = |every: usize| every > 0 && count.is_multiple_of(every);
    if let Some((_, pause)) = inner.faults.stall.filter(|(at, _)| *at == count) {
        thread::sleep(pause);
    }
    if hits(inner.faults.refuse) {
        return answer(request, 503, "{}", output);
    }
    let key = request.head.header_str("idempotency-key").map(str::to_owned);
    if let Some((first, _)) = key.as_ref().and_then(|key| state.keys.get(key)) {
        let body = format!("{{\"meta\":{{\"id\":{first},\"t\":1}}}}");
        return answer(request, 200, &body, output);
    }
    let events = state.streams.entry(path.to_owned()).or_default();
    let condition = request.head.header_str("if-match").map(|text| text.trim_matches('"').to_owned());
    if condition.is_some_and(|after| after != events.len().to_string()) {
        let body = format!("{{\"seq\":{}}}", events.len());
        return answer(request, 412, &body, output);
    }
    let first = events.len() + 1;
    if !hits(inner.faults.lose) {
        let is_batch = request.head.header_str("content-type") == Some("application/x-ndjson");
        let is_end = |byte: &u8| is_batch && *byte == b'\n';
        let lines = request.body.split(is_end).filter(|line| !line.is_empty());
        let is_withheld = hits(inner.faults.withhold);
        events.extend(lines.map(|line| Event { content: line.to_vec(), is_withheld }));
    }
    if let Some(key) = key {
        let last = state.streams[path].len();
        state.keys.insert(key, (first, last));
    }
    inner.changed.notify_all();
    !hits(inner.faults.cut)
        && answer(request, 201, &format!("{{\"meta\":{{\"id\":{first},\"t\":1}}}}"), output)
}

fn parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let query = request.head.query()?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn item(number: usize, content: &[u8]) -> Vec<u8> {
    [format!("{{\"meta\":{{\"id\":{number},\"t\":1}},\"data\":").as_bytes(), content, b"}"].concat()
}

fn read(inner: &Inner, request: &Request, path: &str, output: &mut BytesMut) -> bool {
    let state = inner.state();
    let events = state.streams.get(path).map_or(&[][..], Vec::as_slice);
    let number = |name: &str| parameter(request, name).and_then(|text| text.parse::<usize>().ok());
    let limit = number("limit").unwrap_or(1);
    let from = number("from").unwrap_or_else(|| (events.len() + 1).saturating_sub(limit).max(1));
    let chosen = (1..).zip(events).skip(from - 1).take(limit);
    let items: Vec<Vec<u8>> = chosen.map(|(number, event)| item(number, &event.content)).collect();
    let body = [&b"["[..], &items.join(&b","[..]), b"]"].concat();
    answer(request, 200, std::str::from_utf8(&body).expect("events are JSON"), output)
}

/// An event stream of one stream, until the client goes.
fn listen(inner: &Inner, request: &Request, socket: &mut TcpStream) -> std::io::Result<()> {
    let asked = parameter(request, "s").unwrap_or_default();
    let mut parts = asked.split(':');
    let (bucket, stream) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let path = format!("/streams/{bucket}/{stream}");
    let length = |state: &State| state.streams.get(&path).map_or(0, Vec::len);
    let mut state = inner.state();
    let mut next =
        parts.next().and_then(|from| from.parse::<usize>().ok()).map_or(length(&state), |from| from - 1);
    socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    loop {
        let mut text = BytesMut::new();
        for event in state.streams.get(&path).into_iter().flatten().skip(next) {
            next += 1;
            if !event.is_withheld {
                let line = [b"data: [", &item(next, &event.content)[..], b"]\n\n"].concat();
                write_chunk(&mut text, &line);
            }
        }
        drop(state);
        socket.write_all(&text)?;
        state = inner.state();
        if length(&state) == next {
            let waited = inner.changed.wait_timeout(state, Duration::from_millis(50));
            state = waited.expect("no thread panics with it").0;
        }
    }
}
