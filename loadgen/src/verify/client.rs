//! A blocking HTTP connection for what is not measured: the verifier's writers and readers, settings.
//!
//! One request at a time, with a deadline for each. Whatever goes wrong after a request was sent leaves its
//! outcome unknown; the caller is told which of the two it was.

use crate::failure::{Exit, Failure};
use crate::wire::token::Token;
use bytes::BytesMut;
use http1::{Config, RequestWriter, Response, ResponseDecoder};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take before it is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest answer: more than a server's `limits.read_bytes_max` with its frame.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Nothing was sent: it is certain that nothing was done.
    NotSent(std::io::Error),
    /// Something was: the outcome is unknown.
    Unknown(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::NotSent(error) => error.fmt(f),
            NoAnswer::Unknown(what) => f.write_str(what),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    socket: TcpStream,
    host: String,
    token: Token,
    decoder: ResponseDecoder,
    input: BytesMut,
    output: BytesMut,
}

impl Client {
    /// Connects, for requests with this token.
    pub(crate) fn connect(target: SocketAddr, token: &Token) -> std::io::Result<Client> {
        let socket = TcpStream::connect_timeout(&target, CONNECT_TIMEOUT)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        socket.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        let config = Config { body_bytes_max: ANSWER_BYTES_MAX, ..Config::default() };
        let (input, output) = (BytesMut::new(), BytesMut::new());
        let (host, decoder) = (target.to_string(), ResponseDecoder::new(config));
        Ok(Client { socket, host, token: token.clone(), decoder, input, output })
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, NoAnswer> {
        self.output.clear();
        let mut writer = RequestWriter::begin(&mut self.output, method, target, &self.host);
        self.token.write(&mut writer);
        for (name, value) in headers {
            writer.header(name, value);
        }
        let written = writer.finish_with_body(body);
        written.map_err(|error| NoAnswer::NotSent(std::io::Error::other(error.reason())))?;
        self.socket.write_all(&self.output).map_err(|error| NoAnswer::Unknown(error.to_string()))?;
        self.receive().map_err(NoAnswer::Unknown)
    }

    fn receive(&mut self) -> Result<Response, String> {
        let mut scratch = [0; 64 << 10];
        loop {
            let reply =
                self.decoder.decode_response(&mut self.input).map_err(|error| error.reason().to_owned())?;
            if let Some(reply) = reply {
                return Ok(reply);
            }
            match self.socket.read(&mut scratch) {
                Ok(0) => return Err("the server ended the connection".to_owned()),
                Ok(count) => self.input.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// Lets a bucket acknowledge before the disk.
pub(crate) fn allow_memory_ack(target: SocketAddr, token: &Token, bucket: &str) -> Result<(), Failure> {
    let failed = |what: String| Failure::new(Exit::Unreachable, format!("the settings of {bucket}: {what}"));
    let mut client = Client::connect(target, token).map_err(|error| failed(error.to_string()))?;
    let target = format!("/buckets/{bucket}?settings");
    let json = [("Content-Type", "application/json")];
    let reply = client.send("PUT", &target, &json, br#"{"ack":"memory"}"#);
    match reply.map(|reply| reply.head.status()) {
        Ok(200..=299) => Ok(()),
        Ok(status) => Err(failed(format!("status {status}"))),
        Err(error) => Err(failed(error.to_string())),
    }
}
