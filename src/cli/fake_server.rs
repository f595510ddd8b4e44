//! A server for tests: accepts on a free port of the loopback address and follows a script.
//!
//! Requests are decoded by `http1`, answers are bytes as the script writes them.

use super::args::Cli;
use super::error::CliError;
use bytes::BytesMut;
use clap::Parser;
use http1::{Config, Decoder, Request};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

/// A script that runs on a thread of its own.
pub(crate) struct FakeServer<T> {
    /// Where it listens.
    pub(crate) port: u16,
    script: JoinHandle<T>,
}

impl<T: Send + 'static> FakeServer<T> {
    /// Starts a script.
    pub(crate) fn start(script: impl FnOnce(&Listener) -> T + Send + 'static) -> FakeServer<T> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback address is there");
        let port = listener.local_addr().expect("it is bound").port();
        FakeServer { port, script: std::thread::spawn(move || script(&Listener(listener))) }
    }

    /// What the script gives back at its end.
    pub(crate) fn join(self) -> T {
        self.script.join().expect("the script runs to its end")
    }

    /// Runs a verb against it; gives what it printed and how it ended.
    pub(crate) fn run(&self, words: &[&str]) -> (String, Result<(), CliError>) {
        run_on(self.port, words)
    }
}

/// Runs a client verb against a port.
pub(crate) fn run_on(port: u16, words: &[&str]) -> (String, Result<(), CliError>) {
    let port = port.to_string();
    // Nothing of the person who runs the tests is looked at or changed.
    let before = ["millrace", "-P", &port, "--timeout", "5", "--no-cache"];
    let cli = Cli::try_parse_from(before.iter().chain(words)).expect("the words parse");
    let mut out = Vec::new();
    let result = super::dispatch(&cli, &mut out);
    (String::from_utf8(out).expect("output is text"), result)
}

/// The listening socket of a script.
pub(crate) struct Listener(TcpListener);

impl Listener {
    /// The next connection.
    pub(crate) fn accept(&self) -> Peer {
        let (stream, _) = self.0.accept().expect("a client connects");
        Peer { stream, decoder: Decoder::new(Config::default()), input: BytesMut::new() }
    }
}

/// One accepted connection.
pub(crate) struct Peer {
    /// The socket.
    pub(crate) stream: TcpStream,
    decoder: Decoder,
    input: BytesMut,
}

impl Peer {
    /// The next request.
    pub(crate) fn request(&mut self) -> Request {
        loop {
            if let Some(request) = self.decoder.decode_request(&mut self.input).expect("a sound request") {
                return request;
            }
            let mut buffer = [0_u8; 4096];
            let count = self.stream.read(&mut buffer).expect("the client sends");
            assert!(count > 0, "the client hung up in place of a request");
            self.input.extend_from_slice(&buffer[..count]);
        }
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the client reads");
    }

    /// Sends a whole answer with a JSON body.
    pub(crate) fn reply(&mut self, status: u16, body: &str) {
        self.reply_with(status, "Content-Type: application/json\r\n", body);
    }

    /// Sends a whole answer with more header lines.
    pub(crate) fn reply_with(&mut self, status: u16, headers: &str, body: &str) {
        let length = body.len();
        self.send(format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n{body}"));
    }
}

/// The header of a request, as text.
pub(crate) fn header(request: &Request, name: &str) -> String {
    request.head.header_str(name).unwrap_or("(none)").to_owned()
}
