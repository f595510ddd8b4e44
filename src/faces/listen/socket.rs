//! One WebSocket on the wire: the upgrade, received messages, and the close in all its ways.
//!
//! The listener and the echo drive it. RFC 6455 itself is `crates/websocket`'s; here are the socket and the
//! clock: a client that says nothing for `websocket_idle_timeout_ms` is closed with 1001, and a close is
//! given two seconds.

use super::wire::{Turn, Waits, Wire};
use crate::faces::http::{Alarm, Core};
use crate::sys::clock;
use bytes::{Bytes, BytesMut};
use http1::RequestHead;
use std::rc::Rc;
use std::time::Duration;
use websocket::{
    CloseCode, Config, Connection, Event, Role, State, Upgrade, UpgradeRefused, check_upgrade,
    encode_switching_protocols,
};

/// How long a close may take.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// Fragments of a message beside one for every 64 bytes.
const FRAGMENTS_MIN: usize = 1024;

pub(super) struct Socket {
    pub(super) core: Rc<Core>,
    pub(super) wire: Box<Wire>,
    pub(super) alarm: Alarm,
    connection: Connection,
    heard_ns: u64,
}

/// Checks that a request may become a WebSocket.
///
/// # Errors
/// Why not.
pub(super) fn check(head: &RequestHead) -> Result<Upgrade<'_>, UpgradeRefused> {
    check_upgrade(head.method_name(), head.version() as u8, head.headers().iter())
}

impl Socket {
    /// Accepts the upgrade. Frames may have arrived behind the request.
    pub(super) fn accept(
        core: Rc<Core>,
        mut wire: Box<Wire>,
        alarm: Alarm,
        accept: &[u8; 28],
    ) -> Box<Socket> {
        let mut out = BytesMut::new();
        encode_switching_protocols(accept, None, &mut out);
        wire.queue_reply(101, out);
        let message_bytes_max = core.limits().websocket_message_bytes_max;
        let fragments_max = FRAGMENTS_MIN + message_bytes_max / 64;
        let mut connection = Connection::new(Role::Server, Config { message_bytes_max, fragments_max });
        connection.handle_bytes(&mut wire.input);
        wire.clear_input();
        Box::new(Socket { core, wire, alarm, connection, heard_ns: clock::monotonic_ns() })
    }

    /// Hands received bytes over. Take the events before more are received.
    pub(super) fn handle_received(&mut self) {
        self.heard_ns = clock::monotonic_ns();
        self.connection.handle_bytes(&mut self.wire.input);
        self.wire.clear_input();
    }

    /// The next message; pings and closes are answered in [`Socket::take_output`]. `None` when more bytes
    /// are needed, or nothing more is read.
    pub(super) fn next_message(&mut self) -> Option<Event> {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Ok(message @ (Event::Text(_) | Event::Binary(_))) => return Some(message),
                Ok(Event::Ping(_) | Event::Pong(_) | Event::Close { .. }) | Err(_) => {}
            }
        }
        None
    }

    /// Frames that answer control frames.
    pub(super) fn take_output(&mut self) -> Bytes {
        self.connection.take_output()
    }

    /// Appends a message to the output.
    pub(super) fn send(&mut self, message: &Event) {
        // Once a close frame was sent there is nobody to send to.
        let _ = match message {
            Event::Text(text) => self.connection.send_text(std::str::from_utf8(text).unwrap_or_default()),
            Event::Binary(bytes) => self.connection.send_binary(bytes),
            Event::Ping(_) | Event::Pong(_) | Event::Close { .. } => Ok(()),
        };
    }

    /// Starts to close, because of a message that this end does not take.
    pub(super) fn refuse(&mut self, code: CloseCode, reason: &str) {
        self.connection.send_close(code, reason);
    }

    /// Whether frames may be sent and received.
    pub(super) fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Sets the alarm for the next look at the clock: when the client has been silent for too long, or when
    /// `sooner` has passed.
    pub(super) fn set_alarm(&self, sooner: Option<Duration>) {
        let left = self.idle_max().saturating_sub(self.silent_for());
        self.alarm.set(sooner.map_or(left, |sooner| left.min(sooner)));
    }

    /// Whether the client has been silent for too long.
    pub(super) fn is_idle(&self) -> bool {
        self.silent_for() >= self.idle_max()
    }

    fn silent_for(&self) -> Duration {
        Duration::from_nanos(clock::monotonic_ns().saturating_sub(self.heard_ns))
    }

    fn idle_max(&self) -> Duration {
        Duration::from_millis(self.core.limits().websocket_idle_timeout_ms)
    }

    /// Says why, unless a close frame was sent already, and ends the connection.
    pub(super) async fn close(mut self: Box<Self>, code: CloseCode, reason: &str) {
        self.connection.send_close(code, reason);
        self.alarm.set(CLOSE_WAIT);
        loop {
            let output = self.take_output();
            self.wire.queue(output);
            if self.connection.state() == State::Closed && self.wire.is_flushed() {
                break;
            }
            let waits =
                Waits { changed: None, draining: None, receives: self.connection.state() != State::Closed };
            match self.wire.turn(&self.alarm, waits).await {
                Turn::Sent => {}
                Turn::Received => {
                    self.connection.handle_bytes(&mut self.wire.input);
                    self.wire.clear_input();
                    while self.connection.poll_event().is_some() {}
                }
                _ => break,
            }
        }
        if self.wire.is_flushed() {
            self.wire.close(&self.alarm, CLOSE_WAIT).await;
        }
    }
}
