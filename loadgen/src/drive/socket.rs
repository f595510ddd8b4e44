//! A non-blocking TCP connection with its buffers: one read and one write per wake-up.
//!
//! Owned by appenders and listeners. What is read is whatever is there, up to the worker's scratch buffer;
//! what is to be sent gathers in `output` until it is flushed. A short read means that nothing is left, so
//! there is no second call that only says so.

use super::secure::{Secure, Session};
use bytes::{Buf, BytesMut};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, Read, Write};
use std::net::SocketAddr;

/// Bytes read at once.
pub(crate) const SCRATCH_BYTES: usize = 256 << 10;
/// Output capacity beyond which a buffer is not kept.
const OUTPUT_KEEP_BYTES: usize = 1 << 20;

/// Bytes of a handshake read at once: what a server sends in one go.
const HANDSHAKE_SCRATCH_BYTES: usize = 8 << 10;

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Nothing was there, or all of it is in `input` now.
    Drained,
    /// There may be more.
    More,
    /// The peer has ended the connection.
    Ended,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    /// Bytes received and not yet taken.
    pub(crate) input: BytesMut,
    /// Bytes to send.
    pub(crate) output: BytesMut,
    is_connected: bool,
    tls: Option<Box<Session>>,
}

impl Socket {
    /// Begins a connection; `token` will become writable when it is made. `receive_bytes` bounds what the
    /// kernel takes in beyond what is read.
    pub(crate) fn connect(
        target: SocketAddr,
        registry: &Registry,
        token: usize,
        receive_bytes: Option<usize>,
        secure: Option<&Secure>,
    ) -> io::Result<Socket> {
        let tls = secure.map(Secure::session).transpose()?;
        let mut stream = TcpStream::connect(target)?;
        let options = socket2::SockRef::from(&stream);
        options.set_tcp_nodelay(true)?;
        if let Some(bytes) = receive_bytes {
            options.set_recv_buffer_size(bytes)?;
        }
        registry.register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Socket { stream, input: BytesMut::new(), output: BytesMut::new(), is_connected: false, tls })
    }

    /// Whether the connection is made, with TLS after the handshake; asks the kernel until it is.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub(crate) fn check_connected(&mut self) -> io::Result<bool> {
        if !self.is_connected {
            if let Some(error) = self.stream.take_error()? {
                return Err(error);
            }
            match self.stream.peer_addr() {
                Ok(_) => self.is_connected = true,
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.shake_hands()
    }

    /// Goes on with the handshake, if there is one; whether it is over.
    fn shake_hands(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        let mut scratch = [0; HANDSHAKE_SCRATCH_BYTES];
        while tls.is_handshaking() {
            tls.send(&mut self.stream)?;
            match self.stream.read(&mut scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => tls.take_in(&scratch[..count], &mut self.input)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        tls.send(&mut self.stream)?;
        Ok(!tls.is_handshaking())
    }

    /// Reads once what is there into `input`, at most `scratch.len()` bytes.
    pub(crate) fn fill(&mut self, scratch: &mut [u8]) -> io::Result<Filled> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return Ok(Filled::Ended),
                Ok(count) => {
                    match &mut self.tls {
                        None => self.input.extend_from_slice(&scratch[..count]),
                        Some(tls) => {
                            tls.take_in(&scratch[..count], &mut self.input)?;
                            tls.send(&mut self.stream)?;
                        }
                    }
                    return Ok(if count < scratch.len() { Filled::Drained } else { Filled::More });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Filled::Drained),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends what is to be sent, as far as there is room.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            if !self.is_connected || tls.is_handshaking() {
                return Ok(());
            }
            tls.put(&self.output)?;
            self.output.clear();
            return tls.send(&mut self.stream);
        }
        while !self.output.is_empty() && self.is_connected {
            match self.stream.write(&self.output) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) if count == self.output.len() => {
                    // Keeps the room for the next request.
                    self.output.clear();
                    if self.output.capacity() > OUTPUT_KEEP_BYTES {
                        self.output = BytesMut::new();
                    }
                }
                Ok(count) => self.output.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Lets the kernel take in more from now on. A window smaller than a segment is served by the sender's
    /// timer only, so a reader that is no longer slow must not keep it.
    pub(crate) fn widen(&self, receive_bytes: usize) {
        // Without effect it is merely slower.
        let _ = socket2::SockRef::from(&self.stream).set_recv_buffer_size(receive_bytes);
    }

    /// Takes it out of the event loop before it is dropped.
    pub(crate) fn close(mut self, registry: &Registry) {
        // A descriptor that is closed leaves the loop by itself; this only makes it sooner.
        let _ = registry.deregister(&mut self.stream);
    }
}
