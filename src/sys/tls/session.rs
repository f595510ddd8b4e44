//! One TLS connection as a value: ciphertext and plaintext in and out, no socket.
//!
//! `net::Stream` moves the bytes, `handshake` the first ones. Idle, it owns the keys and no buffer: received
//! ciphertext lies in a core's scratch and only an unfinished record is kept; sent ciphertext is kept only
//! while the socket has no room.
//!
//! Invariants: plaintext is reported as sent only when all of its ciphertext has gone; nothing is encrypted
//! while `outgoing` holds something.

use super::certificate;
use bytes::{Buf, BytesMut};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus,
    WriteTraffic,
};
use rustls::{Error, ProtocolVersion, ServerConfig};
use std::io;
use std::sync::Arc;

/// Plaintext that is encrypted at once: four full records, 64 KiB, take some 50 µs.
pub(in crate::sys) const SEND_BYTES_MAX: usize = 64 * 1024;
/// What records and a key update add to [`SEND_BYTES_MAX`] at most: 4 records with at most 64 bytes around
/// each, and a message of the handshake.
const SEND_OVERHEAD_BYTES: usize = 1024;
/// Room for the ciphertext of one portion.
pub(in crate::sys) const SEND_ROOM_BYTES: usize = SEND_BYTES_MAX + SEND_OVERHEAD_BYTES;
/// Room for a close_notify, and a key update before it.
const ALERT_ROOM_BYTES: usize = 256;

type Writing<'a> = WriteTraffic<'a, ServerConnectionData>;

/// How receiving has ended.
#[derive(Clone, Debug)]
enum End {
    /// The other end has said that nothing more comes.
    Closed,
    /// The connection is of no more use.
    Failed(io::ErrorKind, String),
}

/// The server's end of a TLS connection.
pub(in crate::sys) struct Session {
    connection: UnbufferedServerConnection,
    /// Received, the beginning of a record or of a message.
    incoming: Vec<u8>,
    /// Decrypted, more than was asked for.
    plaintext: BytesMut,
    /// Ciphertext that the socket has yet to take.
    outgoing: BytesMut,
    /// Plaintext that lies in `outgoing`.
    claimed: usize,
    end: Option<End>,
    /// The last word was said.
    is_closing: bool,
    /// The socket's half is to be closed behind it.
    closes_socket: bool,
}

impl Session {
    pub(in crate::sys) fn new(config: Arc<ServerConfig>) -> Result<Session, Error> {
        Ok(Session {
            connection: UnbufferedServerConnection::new(config)?,
            incoming: Vec::new(),
            plaintext: BytesMut::new(),
            outgoing: BytesMut::new(),
            claimed: 0,
            end: None,
            is_closing: false,
            closes_socket: false,
        })
    }

    // --- receiving ---

    /// Takes in received bytes. `input` begins with what [`Session::incoming`] gave; plaintext goes to `buf`
    /// until it has `bytes_max` more, and waits here beyond that.
    pub(in crate::sys) fn receive(&mut self, input: &mut [u8], buf: &mut BytesMut, bytes_max: usize) {
        let full = buf.len() + bytes_max;
        let taken = self.take_in(input, |plaintext, later| {
            let (now, rest) = plaintext.split_at(plaintext.len().min(full - buf.len()));
            buf.extend_from_slice(now);
            later.extend_from_slice(rest);
        });
        self.incoming.clear();
        if self.end.is_none() && taken < input.len() {
            self.incoming.extend_from_slice(&input[taken..]);
        } else {
            self.incoming = Vec::new();
        }
    }

    /// Lets `rustls` handle all of `input` that it can; gives how much that was.
    fn take_in(&mut self, input: &mut [u8], mut keep: impl FnMut(&[u8], &mut BytesMut)) -> usize {
        let mut at = 0;
        while !matches!(self.end, Some(End::Failed(..))) {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut input[at..]);
            let mut is_waiting = false;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.expect("records are decrypted before they are given");
                        discard += record.discard;
                        keep(record.payload, &mut self.plaintext);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(message)) => encode(message, &mut self.outgoing),
                // It goes before anything that is encrypted later: see the invariants.
                Ok(ConnectionState::TransmitTlsData(transmit)) => transmit.done(),
                Ok(ConnectionState::PeerClosed) => self.end = Some(End::Closed),
                Ok(_) => is_waiting = true,
                Err(error) => {
                    at += discard;
                    self.fail(&error, &mut input[at..]);
                    return at;
                }
            }
            at += discard;
            if is_waiting {
                break;
            }
        }
        at
    }

    /// Remembers the error and fetches the alert that tells the other end.
    fn fail(&mut self, error: &Error, input: &mut [u8]) {
        self.end = Some(End::Failed(io::ErrorKind::InvalidData, error.to_string()));
        let mut at = 0;
        // Only while there is a message: after an error `rustls` asserts that it sees no bytes any more.
        while self.connection.wants_write() {
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut input[at..]);
            at += discard;
            let Ok(ConnectionState::EncodeTlsData(message)) = state else { return };
            encode(message, &mut self.outgoing);
        }
    }

    /// The socket has ended. Without a word before, somebody else may have cut it (RFC 8446 §6.1).
    pub(in crate::sys) fn handle_eof(&mut self) {
        if self.end.is_none() {
            let text = "the connection was cut without a close_notify";
            self.end = Some(End::Failed(io::ErrorKind::UnexpectedEof, text.to_owned()));
        }
    }

    /// What was received of a record or a message that is not complete.
    pub(in crate::sys) fn incoming(&self) -> &[u8] {
        &self.incoming
    }

    /// Moves plaintext that waits here; gives how much.
    pub(in crate::sys) fn take_plaintext(&mut self, buf: &mut BytesMut, bytes_max: usize) -> usize {
        let count = self.plaintext.len().min(bytes_max);
        if count > 0 {
            buf.extend_from_slice(&self.plaintext[..count]);
            self.plaintext.advance(count);
            if self.plaintext.is_empty() {
                self.plaintext = BytesMut::new();
            }
        }
        count
    }

    /// How receiving has ended, once all plaintext is taken: `Ok` by a word of the other end.
    pub(in crate::sys) fn end(&self) -> Option<io::Result<()>> {
        match &self.end {
            _ if !self.plaintext.is_empty() => None,
            None => None,
            Some(End::Closed) => Some(Ok(())),
            Some(End::Failed(kind, text)) => Some(Err(io::Error::new(*kind, text.clone()))),
        }
    }

    // --- sending ---

    /// Ciphertext that is to be sent before anything else.
    pub(in crate::sys) fn outgoing(&self) -> &[u8] {
        &self.outgoing
    }

    /// Takes all of it.
    pub(in crate::sys) fn take_outgoing(&mut self) -> BytesMut {
        std::mem::take(&mut self.outgoing)
    }

    /// So much of [`Session::outgoing`] has gone.
    pub(in crate::sys) fn advance_outgoing(&mut self, count: usize) {
        self.outgoing.advance(count);
        if self.outgoing.is_empty() {
            self.outgoing = BytesMut::new();
        }
    }

    /// Plaintext whose ciphertext has gone and that was not told yet.
    pub(in crate::sys) fn take_claimed(&mut self) -> usize {
        assert!(self.outgoing.is_empty(), "it is sent when all of it is");
        std::mem::take(&mut self.claimed)
    }

    /// Encrypts `plaintext`, at most [`SEND_BYTES_MAX`], into `room`, which has [`SEND_ROOM_BYTES`]; gives
    /// how much ciphertext that is.
    ///
    /// # Errors
    /// The connection is of no more use, or its end was said.
    pub(in crate::sys) fn encrypt(&mut self, plaintext: &[u8], room: &mut [u8]) -> io::Result<usize> {
        assert!(plaintext.len() <= SEND_BYTES_MAX && self.outgoing.is_empty(), "one portion at a time");
        self.write(room, |traffic, room| traffic.encrypt(plaintext, room))
    }

    /// What is left of a portion that the socket did not take whole: `plaintext_bytes` are told later.
    pub(in crate::sys) fn keep_outgoing(&mut self, rest: &[u8], plaintext_bytes: usize) {
        self.outgoing.extend_from_slice(rest);
        self.claimed = plaintext_bytes;
    }

    /// Says that nothing more will be sent; it stands in [`Session::outgoing`] then.
    pub(in crate::sys) fn close(&mut self) {
        if self.is_closing {
            return;
        }
        let mut room = [0; ALERT_ROOM_BYTES];
        if let Ok(count) = self.write(&mut room, |traffic, room| traffic.queue_close_notify(room)) {
            self.outgoing.extend_from_slice(&room[..count]);
        }
        (self.is_closing, self.closes_socket) = (true, true);
    }

    /// Whether the socket's half is to be closed now, once.
    pub(in crate::sys) fn take_closing(&mut self) -> bool {
        std::mem::take(&mut self.closes_socket)
    }

    /// Lets `act` write into `room` once `rustls` is ready for it; gives how much it wrote.
    fn write(
        &mut self,
        room: &mut [u8],
        act: impl FnOnce(&mut Writing<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> io::Result<usize> {
        if self.is_closing {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // What is received and unfinished has to lie before `rustls`, whose positions count from there.
        let mut input = std::mem::take(&mut self.incoming);
        let mut taken = self.take_in(&mut input, |plaintext, later| later.extend_from_slice(plaintext));
        if let Some(End::Failed(kind, text)) = &self.end {
            return Err(io::Error::new(*kind, text.clone()));
        }
        let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut input[taken..]);
        taken += discard;
        let written = match state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => act(&mut traffic, room),
            _ => Err(EncryptError::EncryptExhausted),
        };
        input.drain(..taken);
        self.incoming = input;
        written.map_err(|error| io::Error::other(error.to_string()))
    }

    // --- looking ---

    pub(in crate::sys) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The protocol's version, once the handshake is over.
    pub(in crate::sys) fn is_tls13(&self) -> bool {
        self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// The common name of the certificate that the client has shown and that was verified.
    pub(in crate::sys) fn client_name(&self) -> Option<String> {
        let certificates = self.connection.peer_certificates()?;
        certificate::common_name(certificates.first()?)
    }
}

/// Puts a message of `rustls` behind what is to be sent.
fn encode(mut message: EncodeTlsData<'_, ServerConnectionData>, outgoing: &mut BytesMut) {
    let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) = message.encode(&mut [])
    else {
        return;
    };
    let begin = outgoing.len();
    outgoing.resize(begin + required_size, 0);
    message.encode(&mut outgoing[begin..]).expect("it has the room that it asked for");
}
