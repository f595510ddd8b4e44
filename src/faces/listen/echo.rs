//! The WebSocket of `/x/echo`: every message goes back as it came, text or binary.
//!
//! For client tests and conformance suites. What waits to be sent is bounded: while it waits, nothing more
//! is received.

use super::socket::Socket;
use super::wire::{Turn, Waits};
use websocket::CloseCode;

/// Serves an echo to its end.
pub(super) async fn serve(mut socket: Box<Socket>) {
    socket.set_alarm(None);
    loop {
        while let Some(message) = socket.next_message() {
            socket.send(&message);
        }
        let output = socket.take_output();
        socket.wire.queue(output);
        if !socket.is_open() {
            return socket.close(CloseCode::NORMAL, "").await;
        }
        let core = socket.core.clone();
        let receives = socket.wire.is_flushed();
        let draining = Some(&**core.broker().link());
        match socket.wire.turn(&socket.alarm, Waits { changed: None, draining, receives }).await {
            Turn::Received => socket.handle_received(),
            Turn::Draining => return socket.close(CloseCode::GOING_AWAY, "draining").await,
            Turn::Rang if socket.is_idle() => return socket.close(CloseCode::GOING_AWAY, "idle").await,
            Turn::Rang => socket.set_alarm(None),
            Turn::Sent | Turn::Woken | Turn::Beside => {}
            Turn::Ended => return,
        }
    }
}
