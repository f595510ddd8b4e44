//! RFC 6455 framing and connection state without I/O, for a server and for a client.
//!
//! The listen face and the load generator drive it. A caller checks the upgrade ([`check_upgrade`]),
//! answers it, and then owns one [`Connection`] per socket:
//!
//! ```text
//! read bytes  → connection.handle_bytes(&mut input)
//! loop        → connection.poll_event()      Ok(Event) | Err(Violation), until None
//! write       → connection.take_output()     pongs, close frames and what send_* appended
//! end         → connection.state() == State::Closed and the output is written: close the socket
//! ```
//!
//! ```
//! use bytes::BytesMut;
//! use websocket::{Config, Connection, Event, Role, encode_text};
//!
//! let mut connection = Connection::new(Role::Server, Config::default());
//! let mut input = BytesMut::new();
//! encode_text("hello", Some([1, 2, 3, 4]), &mut input);
//! connection.handle_bytes(&mut input);
//! while let Some(event) = connection.poll_event() {
//!     match event {
//!         Ok(Event::Text(text)) => connection.send_text(std::str::from_utf8(&text)?)?,
//!         Ok(other) => panic!("only a text was sent, not {other:?}"),
//!         Err(violation) => eprintln!("closed with {}: {violation}", violation.close_code()),
//!     }
//! }
//! assert_eq!(&connection.take_output()[..], b"\x81\x05hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Frames that many connections share are built once with [`frame_header`] or [`encode_frame`] and sent
//! beside the connection while it [`is_open`](Connection::is_open). Nothing here reads a clock, draws a
//! random number, allocates by a length that a peer claimed, or panics on input.

#![forbid(unsafe_code)]

mod close;
mod connection;
mod encode;
mod frame;
mod handshake;
mod mask;
mod message;
mod receive;
mod trace;
mod utf8;
mod violation;

pub use close::{CLOSE_REASON_BYTES_MAX, CloseCode};
pub use connection::{Config, Connection, Event, NotOpen, Role, State};
pub use encode::{encode_binary, encode_close, encode_frame, encode_ping, encode_pong, encode_text};
pub use frame::{
    CONTROL_PAYLOAD_BYTES_MAX, EncodedHeader, FrameHeader, HEADER_BYTES_MAX, Opcode, decode_header,
    frame_header, masked_frame_header,
};
pub use handshake::{
    ResponseRefused, Upgrade, UpgradeRefused, accept_key, check_response, check_upgrade, client_key,
    encode_switching_protocols,
};
pub use mask::{MaskKey, apply_mask};
#[doc(hidden)]
pub use trace::fuzz_connection;
pub use utf8::{InvalidUtf8, Utf8Checker};
pub use violation::Violation;
