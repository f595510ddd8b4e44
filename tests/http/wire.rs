//! One connection in bytes: requests as text, replies taken apart without the server's own codec.
//!
//! A reply that is not framed as it says fails the test that reads it. Nothing here waits for ever: a silent
//! server fails after half a minute.

use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A client on one connection.
pub(crate) struct Client {
    socket: TcpStream,
    input: Vec<u8>,
}

/// A reply as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names as sent.
    pub(crate) headers: Vec<(String, String)>,
    /// Without the chunks' framing.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} comes twice");
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// `meta.id` of a reply to a write.
    pub(crate) fn id(&self) -> u64 {
        self.json()["meta"]["id"].as_u64().unwrap_or_else(|| panic!("no id in {}", self.text()))
    }

    /// The ids of a reply that is an array of events.
    pub(crate) fn ids(&self) -> Vec<u64> {
        assert_eq!(self.status, 200, "{}", self.text());
        let items = self.json().as_array().cloned().expect("an array");
        items.iter().map(|item| item["meta"]["id"].as_u64().expect("an id")).collect()
    }
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Client {
        let socket = TcpStream::connect(addr).expect("the server listens");
        socket.set_nodelay(true).expect("a TCP option");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a TCP option");
        Client { socket, input: Vec::new() }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Sends bytes; the server may have closed already.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).is_ok()
    }

    /// One request and its reply.
    pub(crate) fn request(&mut self, method: &str, target: &str, lines: &[&str], body: &[u8]) -> Reply {
        self.send(request(method, target, lines, body));
        self.reply_to(method)
    }

    pub(crate) fn get(&mut self, target: &str) -> Reply {
        self.request("GET", target, &[], b"")
    }

    /// POST of JSON.
    pub(crate) fn post(&mut self, target: &str, body: &str) -> Reply {
        self.request("POST", target, &["Content-Type: application/json"], body.as_bytes())
    }

    /// PUT of JSON.
    pub(crate) fn put(&mut self, target: &str, body: &str) -> Reply {
        self.request("PUT", target, &["Content-Type: application/json"], body.as_bytes())
    }

    pub(crate) fn patch(&mut self, target: &str, body: &str) -> Reply {
        self.request("PATCH", target, &["Content-Type: application/json-patch+json"], body.as_bytes())
    }

    pub(crate) fn delete(&mut self, target: &str) -> Reply {
        self.request("DELETE", target, &[], b"")
    }

    /// The next reply to a request that is not HEAD.
    pub(crate) fn reply(&mut self) -> Reply {
        self.reply_to("GET")
    }

    /// The next reply to a request with this method.
    pub(crate) fn reply_to(&mut self, method: &str) -> Reply {
        let (status, headers) = self.head();
        let mut reply = Reply { status, headers, body: Vec::new() };
        if method == "HEAD" || matches!(status, 100..200 | 204 | 304) {
            return reply;
        }
        reply.body = if reply.header("transfer-encoding") == Some("chunked") {
            self.chunks()
        } else if let Some(length) = reply.header("content-length") {
            self.take(length.parse().expect("a length"))
        } else {
            self.rest()
        };
        reply
    }

    fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let end = loop {
            if let Some(end) = self.input.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            assert!(self.read() > 0, "closed before a head: {:?}", String::from_utf8_lossy(&self.input));
        };
        let head: Vec<u8> = self.input.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("a head is text");
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().expect("a status line");
        assert!(status_line.starts_with("HTTP/1.1 "), "{status_line}");
        let status = status_line[9..12].parse().expect("a status");
        let split =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        (status, lines.map(|line| split(line).expect("a header line")).collect())
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(end) = self.input.windows(2).position(|two| two == b"\r\n") {
                    break self.take(end + 2);
                }
                assert!(self.read() > 0, "closed before a chunk");
            };
            let size = std::str::from_utf8(&line).expect("a size is text").trim();
            let size = usize::from_str_radix(size, 16).expect("a size is hexadecimal");
            let piece = self.take(size + 2);
            assert!(piece.ends_with(b"\r\n"));
            if size == 0 {
                return body;
            }
            body.extend_from_slice(&piece[..size]);
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.input.len() < count {
            assert!(self.read() > 0, "closed inside a body");
        }
        self.input.drain(..count).collect()
    }

    /// Everything until the server closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.read() > 0 {}
        std::mem::take(&mut self.input)
    }

    /// Whether the server closes without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.input.is_empty() && self.read() == 0
    }

    /// Whether nothing comes for a while.
    pub(crate) fn is_silent_for(&mut self, time: Duration) -> bool {
        self.socket.set_read_timeout(Some(time)).expect("a TCP option");
        let mut piece = [0; 1];
        let read = self.socket.peek(&mut piece);
        self.socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a TCP option");
        self.input.is_empty()
            && read.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Tells the server that nothing more comes.
    pub(crate) fn finish(&self) {
        self.socket.shutdown(Shutdown::Write).expect("still connected");
    }

    fn read(&mut self) -> usize {
        let mut piece = [0; 64 * 1024];
        match self.socket.read(&mut piece) {
            Ok(count) => {
                self.input.extend_from_slice(&piece[..count]);
                count
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}

/// A request's bytes.
pub(crate) fn request(method: &str, target: &str, lines: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
