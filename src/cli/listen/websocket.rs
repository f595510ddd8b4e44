//! The WebSocket form of `listen`.
//!
//! Framing is the crate `websocket`'s; this file moves bytes. The server closes what says nothing for a
//! minute, so a ping goes out after [`QUIET`]; when several go unanswered, the connection is taken for dead.

use super::super::answer::refusal;
use super::super::client::{Call, Client, Server, lost};
use super::super::error::{CliError, Exit};
use super::super::transport::Transport;
use super::{Ended, Feed};
use crate::sys::random;
use bytes::BytesMut;
use std::io::ErrorKind;
use std::time::Duration;
use websocket::{CloseCode, Config, Connection, Event, Role, check_response, client_key};

/// Time without a byte from the server after which it is pinged.
const QUIET: Duration = Duration::from_secs(20);
/// Pings in a row that may go without a byte in answer.
const PINGS_UNANSWERED_MAX: u32 = 2;
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Listens over one connection until it ends.
///
/// # Errors
/// As [`super::listen`].
pub(crate) fn run(server: &Server, mut client: Client, feed: &mut Feed) -> Result<Ended, CliError> {
    let target = feed.target();
    let key = client_key(random::bits_128().to_le_bytes());
    let call = Call::new("GET", target.as_str())
        .upgrade("websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", String::from_utf8_lossy(&key));
    client.send(&call)?;
    let head = client.receive_head()?;
    if head.status() != 101 {
        let mut body = Vec::new();
        while let Some(piece) = client.receive_piece()? {
            body.extend_from_slice(&piece);
        }
        return Err(refusal(head.status(), &body, head.header_str("retry-after").map(str::to_owned)));
    }
    check_response(head.status(), head.headers().iter(), &key, &[])
        .map_err(|error| CliError::new(Exit::Unreachable, error.to_string()).next("check -H and -P"))?;
    feed.connections += 1;
    client.set_patience(QUIET)?;
    let (socket, input) = client.into_parts();
    let mask_seed = random::bits_128().to_le_bytes();
    // The server bounds what it sends by its own limits; the largest event is 1 GiB.
    let config = Config { message_bytes_max: 2 << 30, fragments_max: 1 << 20 };
    Conversation { server, socket, connection: Connection::new(Role::Client { mask_seed }, config) }
        .follow(input, feed)
}

/// One upgraded connection.
struct Conversation<'a> {
    server: &'a Server,
    socket: Transport,
    connection: Connection,
}

impl Conversation<'_> {
    fn follow(&mut self, mut input: BytesMut, feed: &mut Feed) -> Result<Ended, CliError> {
        let mut buffer = [0_u8; READ_BYTES];
        let mut pings_unanswered = 0;
        loop {
            self.connection.handle_bytes(&mut input);
            while let Some(event) = self.connection.poll_event() {
                let event = event.map_err(|violation| lost(self.server, &violation.to_string()))?;
                if let Some(ended) = self.handle_event(event, feed)? {
                    self.connection.send_close(CloseCode::NORMAL, "");
                    // The end was asked for; whether the goodbye arrives changes nothing.
                    let _ = self.write();
                    return Ok(ended);
                }
            }
            self.write()?;
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(lost(self.server, "the server closed the connection")),
                Ok(count) => {
                    pings_unanswered = 0;
                    input.extend_from_slice(&buffer[..count]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if pings_unanswered == PINGS_UNANSWERED_MAX || self.connection.send_ping(b"").is_err() {
                        return Err(lost(self.server, "no answer to a ping"));
                    }
                    pings_unanswered += 1;
                }
                Err(error) => return Err(lost(self.server, &error.to_string())),
            }
        }
    }

    /// Arrays are items; objects answer commands, of which `listen` sends none.
    fn handle_event(&mut self, event: Event, feed: &mut Feed) -> Result<Option<Ended>, CliError> {
        match event {
            Event::Text(text) if text.trim_ascii_start().first() == Some(&b'[') => feed.take_array(&text),
            Event::Text(_) | Event::Binary(_) | Event::Ping(_) | Event::Pong(_) => Ok(None),
            Event::Close { code, reason } => {
                let code = code.map_or_else(|| "no code".to_owned(), |code| code.number().to_string());
                let reason = String::from_utf8_lossy(&reason);
                Err(lost(self.server, &format!("the server closed the WebSocket ({code}) {reason}")))
            }
        }
    }

    fn write(&mut self) -> Result<(), CliError> {
        let output = self.connection.take_output();
        self.socket.write_all(&output).map_err(|error| lost(self.server, &error.to_string()))
    }
}
