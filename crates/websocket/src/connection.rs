//! One WebSocket connection as a value: bytes in; events and bytes out.
//!
//! Owned by the face or the client that owns the socket. Pings and closes are answered here. After this
//! side has sent a close frame it sends nothing more; after a close was received, or a rule was broken,
//! nothing more is read. Invariants: `state == Open` exactly as long as no close frame was sent; once
//! [`Connection::poll_event`] has returned `None`, at most one incomplete frame and one incomplete message
//! are held, together within `message_bytes_max` and a header. What is answered by itself is never longer
//! than what it answers, beside the one close frame that reports a violation.

use crate::close::{self, CloseCode};
use crate::encode::{encode_close, encode_frame};
use crate::frame::{FrameHeader, HEADER_BYTES_MAX, Opcode};
use crate::mask::MaskKey;
use crate::message::{Bounds, Kind, Message};
use crate::receive::Received;
use crate::violation::Violation;
use bytes::{Bytes, BytesMut};
use sha1::{Digest, Sha1};
use std::fmt;

/// Which side of the connection this is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Receives masked frames and sends unmasked ones.
    Server,
    /// Receives unmasked frames and sends masked ones.
    Client {
        /// Secret random bytes, fresh for the connection, from which each frame's mask key is derived.
        mask_seed: [u8; 16],
    },
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Server => "Server",
            Role::Client { .. } => "Client",
        })
    }
}

/// The bounds of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Longest message, in bytes, counted over its fragments.
    pub message_bytes_max: usize,
    /// Most fragments of a message, so that a message of empty fragments ends too.
    pub fragments_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config { message_bytes_max: 1 << 20, fragments_max: 1024 }
    }
}

/// What the peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A text message; valid UTF-8.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping. Its pong is in the output already.
    Ping(Bytes),
    /// A pong, asked for or not.
    Pong(Bytes),
    /// The peer's close frame. The answer, if one was due, is in the output already.
    Close {
        /// The peer's code, if it gave one.
        code: Option<CloseCode>,
        /// The peer's reason; valid UTF-8.
        reason: Bytes,
    },
}

/// Where the closing handshake stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Both sides may send.
    Open,
    /// This side has sent a close frame and waits for the peer's; the caller sets the deadline.
    Closing,
    /// Nothing more is read or produced. The caller writes the output, ends its sending side and reads the
    /// socket empty for a moment before it closes it: a close with unread bytes resets the connection and
    /// the peer may lose the close frame.
    Closed,
}

/// A message was to be sent after a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOpen;

impl fmt::Display for NotOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the WebSocket connection is closing or closed")
    }
}

impl std::error::Error for NotOpen {}

/// The state of one connection after its handshake.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    config: Config,
    state: State,
    received: Received,
    /// Header of the frame whose payload is arriving.
    frame: Option<FrameHeader>,
    message: Message,
    output: BytesMut,
    /// Frames that this side has sent as a client: each has its own mask key.
    masked_frames: u64,
}

impl Connection {
    /// A connection whose handshake is done.
    pub fn new(role: Role, config: Config) -> Connection {
        Connection {
            role,
            config,
            state: State::Open,
            received: Received::default(),
            frame: None,
            message: Message::default(),
            output: BytesMut::new(),
            masked_frames: 0,
        }
    }

    /// Takes all bytes of `input`, which the peer sent. Call [`Connection::poll_event`] until it returns
    /// `None` before the next bytes: that bounds what is held.
    ///
    /// `input` keeps its unused capacity. Bytes after the end of the connection are dropped.
    pub fn handle_bytes(&mut self, input: &mut BytesMut) {
        if self.state == State::Closed {
            input.clear();
        } else {
            self.received.take_input(input);
        }
    }

    /// The next event, `None` until more bytes come.
    ///
    /// Messages, pings and pongs that arrive while this side is closing are checked and dropped.
    ///
    /// # Errors
    /// What the peer did wrong, once; the close frame that says so is in the output, and the connection is
    /// closed. Payloads share the memory of the input: copy a small one that is to be kept for long.
    pub fn poll_event(&mut self) -> Option<Result<Event, Violation>> {
        while self.state != State::Closed {
            match self.next_frame() {
                Ok(Some((header, payload))) => match self.handle_frame(header, payload) {
                    Ok(Some(event)) => return Some(Ok(event)),
                    Ok(None) => {}
                    Err(violation) => return Some(Err(self.fail(violation))),
                },
                Ok(None) => break,
                Err(violation) => return Some(Err(self.fail(violation))),
            }
        }
        self.assert_invariants();
        None
    }

    /// Takes the bytes that are to be written to the socket; empty if there are none.
    pub fn take_output(&mut self) -> Bytes {
        std::mem::take(&mut self.output).freeze()
    }

    /// Appends a text message to the output.
    ///
    /// # Errors
    /// A close frame was sent or received.
    pub fn send_text(&mut self, text: &str) -> Result<(), NotOpen> {
        self.send_frame(Opcode::Text, text.as_bytes())
    }

    /// Appends a binary message to the output.
    ///
    /// # Errors
    /// A close frame was sent or received.
    pub fn send_binary(&mut self, payload: &[u8]) -> Result<(), NotOpen> {
        self.send_frame(Opcode::Binary, payload)
    }

    /// Appends a ping to the output.
    ///
    /// # Errors
    /// A close frame was sent or received.
    ///
    /// # Panics
    /// If the payload is longer than 125 bytes.
    pub fn send_ping(&mut self, payload: &[u8]) -> Result<(), NotOpen> {
        self.send_frame(Opcode::Ping, payload)
    }

    /// Appends a pong that nobody asked for to the output.
    ///
    /// # Errors
    /// A close frame was sent or received.
    ///
    /// # Panics
    /// If the payload is longer than 125 bytes.
    pub fn send_pong(&mut self, payload: &[u8]) -> Result<(), NotOpen> {
        self.send_frame(Opcode::Pong, payload)
    }

    /// Starts the closing handshake. A reason over 123 bytes is cut between two characters. Does nothing
    /// if a close frame was sent before.
    pub fn send_close(&mut self, code: CloseCode, reason: &str) {
        if self.state == State::Open {
            self.append_close(Some(code), reason);
            self.state = State::Closing;
        }
    }

    /// Where the closing handshake stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether frames may still be sent.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether [`Connection::take_output`] has something.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Received bytes that are held, waiting for the rest of a frame or message.
    pub fn held_bytes(&self) -> usize {
        self.received.len() + self.message.len()
    }

    /// The next whole frame; payload of a text is checked as it arrives, not when it is whole.
    fn next_frame(&mut self) -> Result<Option<(FrameHeader, BytesMut)>, Violation> {
        let header = match self.frame {
            Some(header) => header,
            None => match self.received.take_header()? {
                Some(header) => self.admit(header)?,
                None => return Ok(None),
            },
        };
        let arrived = self.received.unmask_arrived(&header);
        if !header.opcode.is_control() {
            self.message.check_arrived(arrived)?;
        }
        let payload = self.received.take_payload(&header);
        self.frame = if payload.is_some() { None } else { Some(header) };
        Ok(payload.map(|payload| (header, payload)))
    }

    /// Checks what a header alone cannot say: who may mask (§5.1), the order of frames, the limits.
    fn admit(&mut self, header: FrameHeader) -> Result<FrameHeader, Violation> {
        match (self.role, header.mask) {
            (Role::Server, None) => return Err(Violation::MaskMissing),
            (Role::Client { .. }, Some(_)) => return Err(Violation::MaskForbidden),
            _ => {}
        }
        if !header.opcode.is_control() {
            let Config { message_bytes_max, fragments_max } = self.config;
            self.message.admit(&header, Bounds { message_bytes_max, fragments_max })?;
        }
        Ok(header)
    }

    /// What a whole frame means; `None` if nothing that the caller is told.
    fn handle_frame(&mut self, header: FrameHeader, payload: BytesMut) -> Result<Option<Event>, Violation> {
        let event = match header.opcode {
            Opcode::Close => return self.handle_close(payload.freeze()).map(Some),
            Opcode::Ping => Event::Ping(payload.freeze()),
            Opcode::Pong => Event::Pong(payload.freeze()),
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                match self.message.end_frame(header.fin, payload)? {
                    Some((Kind::Text, text)) => Event::Text(text),
                    Some((Kind::Binary, payload)) => Event::Binary(payload),
                    None => return Ok(None),
                }
            }
        };
        if self.state != State::Open {
            return Ok(None);
        }
        if let Event::Ping(payload) = &event {
            self.append_frame(Opcode::Pong, payload);
        }
        Ok(Some(event))
    }

    /// Answers a peer's close with its own code (§5.5.1), unless this side has sent one already.
    fn handle_close(&mut self, payload: Bytes) -> Result<Event, Violation> {
        let (code, reason) = close::decode(payload)?;
        if self.state == State::Open {
            self.append_close(code, "");
        }
        self.end();
        Ok(Event::Close { code, reason })
    }

    /// Fails the connection (§7.1.7): says why, unless a close frame was sent already, and reads no more.
    fn fail(&mut self, violation: Violation) -> Violation {
        if self.state == State::Open {
            self.append_close(Some(violation.close_code()), &violation.to_string());
        }
        self.end();
        violation
    }

    fn end(&mut self) {
        self.state = State::Closed;
        self.received.clear();
        self.message = Message::default();
        self.frame = None;
    }

    fn send_frame(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), NotOpen> {
        if self.state != State::Open {
            return Err(NotOpen);
        }
        self.append_frame(opcode, payload);
        Ok(())
    }

    fn append_frame(&mut self, opcode: Opcode, payload: &[u8]) {
        let mask = self.next_mask();
        encode_frame(opcode, true, payload, mask, &mut self.output);
    }

    fn append_close(&mut self, code: Option<CloseCode>, reason: &str) {
        let mask = self.next_mask();
        encode_close(code, reason, mask, &mut self.output);
    }

    /// A client's next mask key: unpredictable to whoever does not know the seed (§5.3, §10.3).
    fn next_mask(&mut self) -> Option<MaskKey> {
        let Role::Client { mask_seed } = self.role else {
            return None;
        };
        self.masked_frames += 1;
        let digest =
            Sha1::new().chain_update(mask_seed).chain_update(self.masked_frames.to_be_bytes()).finalize();
        Some([digest[0], digest[1], digest[2], digest[3]])
    }

    fn assert_invariants(&self) {
        let bound = self.config.message_bytes_max.max(crate::CONTROL_PAYLOAD_BYTES_MAX);
        assert!(self.message.len() <= self.config.message_bytes_max);
        assert!(self.received.len() < bound + HEADER_BYTES_MAX, "at most one incomplete frame is held");
        assert!(self.state != State::Closed || self.held_bytes() == 0, "a closed connection holds nothing");
    }
}
