//! TCP for one core: a listener per core on the same address, and streams that own no buffer while idle.
//!
//! `server` binds and accepts; faces read and write. A read goes through one scratch buffer per core that is
//! borrowed only while the socket has bytes, so an idle connection costs its task and its descriptor.
//! Every future here may be dropped at any time without losing bytes (`read`) or after an error (`write_all`
//! leaves an unknown prefix sent). Nagle is always off.

use super::executor::timeout;
use super::reactor::source::Source;
use super::tls::session::Session;
use bytes::BytesMut;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

mod secure;

/// Connections that wait in the kernel to be accepted, per core.
const BACKLOG: i32 = 1024;
/// Bytes that one read can bring: large enough for a batch of pipelined requests, small enough for L2.
pub const READ_BYTES_MAX: usize = 64 * 1024;
/// How long a port in use is looked at again, and how often.
const PORT_WAIT_MAX: Duration = Duration::from_secs(2);
const PORT_WAIT: Duration = Duration::from_millis(20);
/// Parts that one gathered send takes; the kernel's own bound is 1,024.
const GATHER_PARTS_MAX: usize = 64;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES_MAX]);
}

/// An address that is taken but not yet served: connections are refused until [`Bound::listen`].
/// May be sent to the core that will serve it.
#[derive(Debug)]
pub struct Bound {
    socket: Socket,
    addr: SocketAddr,
}

impl Bound {
    /// Takes `addr` once per core. Port 0 lets the system choose one, the same for all.
    ///
    /// # Errors
    /// The system's error; `AddrInUse`, after two seconds, also when another process shares its ports
    /// (SO_REUSEPORT), because it would silently get a part of our connections.
    pub fn bind_all(addr: SocketAddr, core_count: usize) -> io::Result<Vec<Bound>> {
        let mut addr = addr;
        if addr.port() != 0 {
            wait_until_free(addr)?;
        }
        let mut bound = Vec::with_capacity(core_count);
        for _ in 0..core_count {
            let socket = open(addr, true)?;
            addr = socket.local_addr()?.as_socket().expect("a TCP socket has an internet address");
            bound.push(Bound { socket, addr });
        }
        Ok(bound)
    }

    /// The address with its real port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Begins to accept, on the executor that calls.
    ///
    /// # Errors
    /// The system's error.
    pub fn listen(self) -> io::Result<Listener> {
        self.socket.listen(BACKLOG)?;
        Ok(Listener { source: Source::new(self.socket) })
    }
}

/// Checks that nobody listens on `addr`. The kernel takes down the rings of a process that was killed after
/// the process is gone, and until then they hold its sockets: a port in use is looked at again for a while.
fn wait_until_free(addr: SocketAddr) -> io::Result<()> {
    let begin = Instant::now();
    loop {
        // Without SO_REUSEPORT this fails if anybody listens, one of our own kind too.
        match open(addr, false).and_then(|socket| socket.listen(1)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && begin.elapsed() < PORT_WAIT_MAX => {
                std::thread::sleep(PORT_WAIT);
            }
            outcome => return outcome,
        }
    }
}

fn open(addr: SocketAddr, share_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // A restart must not wait for connections of the last life that are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share_port)?;
    // Linux gives it to the connections that are accepted.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// Accepts connections on one core. Dropping it stops that.
pub struct Listener {
    source: Source,
}

impl Listener {
    /// The next connection of this core. Errors of a single connection (it went away before it was
    /// accepted) are errors here too; the caller tries again, after a pause when descriptors ran out.
    ///
    /// # Errors
    /// The system's error.
    pub async fn accept(&self) -> io::Result<Stream> {
        // There may always be another one.
        let accept = |listener: &OwnedFd| SockRef::from(listener).accept().map(|accepted| (accepted, false));
        let (socket, peer) = poll_fn(|cx| self.source.poll_read(cx, accept)).await?;
        let peer = peer.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Stream { source: Source::new(socket), peer, tls: None })
    }
}

/// One TCP connection, plain or with TLS in it, which makes no difference to who reads and sends. Dropping it
/// closes it.
pub struct Stream {
    source: Source,
    peer: SocketAddr,
    tls: Option<Box<Session>>,
}

impl Stream {
    /// Opens a connection (for tests and tools that run on an executor).
    ///
    /// # Errors
    /// The system's error.
    pub async fn connect(addr: SocketAddr) -> io::Result<Stream> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        let begun = socket.connect(&addr.into());
        let source = Source::new(socket);
        if let Err(error) = begun {
            if error.raw_os_error() != Some(libc::EINPROGRESS) {
                return Err(error);
            }
            poll_fn(|cx| source.poll_room(cx)).await;
            if let Some(error) = SockRef::from(source.descriptor()).take_error()? {
                return Err(error);
            }
        }
        Ok(Stream { source, peer: addr, tls: None })
    }

    /// The address at the other end.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Waits for bytes and appends what is there, at most `bytes_max` (and [`READ_BYTES_MAX`]), to `buf`.
    /// Gives their count; 0 means that the other end has finished sending. `buf` is not touched and gets no
    /// capacity before bytes are there: give it empty and the idle connection owns nothing.
    /// Dropping the future loses nothing, so it can race with a timer or an outbox.
    ///
    /// # Errors
    /// The system's error, e.g. `ConnectionReset`.
    pub async fn read(&mut self, buf: &mut BytesMut, bytes_max: usize) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buf, bytes_max)).await
    }

    /// [`Stream::read`] for callers that poll several things in one future.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut BytesMut,
        bytes_max: usize,
    ) -> Poll<io::Result<usize>> {
        assert!(bytes_max > 0, "a read of nothing cannot be told from the end");
        if let Some(session) = &mut self.tls {
            return secure::poll_read(session, &self.source, cx, buf, bytes_max);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let room = &mut scratch[..bytes_max.min(READ_BYTES_MAX)];
            let read = |socket: &OwnedFd| {
                let count = receive(socket, room)?;
                // The end is there for every read.
                Ok((count, count > 0 && count < room.len()))
            };
            let polled = self.source.poll_read(cx, read);
            if let Poll::Ready(Ok(count)) = polled {
                buf.extend_from_slice(&room[..count]);
            }
            polled
        })
    }

    /// Sends all parts in order with as few system calls as the socket's buffer allows. `stall_max` bounds
    /// the time *without progress*, not the whole.
    ///
    /// # Errors
    /// `TimedOut`, or the system's error. Some prefix may have been sent; the connection is of no more use.
    pub async fn write_all<P: AsRef<[u8]>>(&mut self, parts: &[P], stall_max: Duration) -> io::Result<()> {
        let mut at = Position::default();
        at.advance(parts, 0);
        while at.part < parts.len() {
            let sent = match self.send_now(parts, at) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let sending = poll_fn(|cx| self.poll_send_at(cx, parts, at));
                    timeout(stall_max, sending).await.ok_or(io::ErrorKind::TimedOut)??
                }
                outcome => outcome?,
            };
            at.advance(parts, sent);
        }
        Ok(())
    }

    /// One gathered send for callers that poll several things in one future: gives how many bytes went, or
    /// waits until the socket takes some. `parts` hold at least one byte. Nothing is lost when it is not
    /// polled again; who waits for progress sets a deadline of its own.
    pub fn poll_send<P: AsRef<[u8]>>(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[P],
    ) -> Poll<io::Result<usize>> {
        let mut at = Position::default();
        at.advance(parts, 0);
        assert!(at.part < parts.len(), "there is something to send");
        self.poll_send_at(cx, parts, at)
    }

    fn poll_send_at<P: AsRef<[u8]>>(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[P],
        at: Position,
    ) -> Poll<io::Result<usize>> {
        match self.send_now(parts, at) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.source.wait_for_room(cx);
                Poll::Pending
            }
            outcome => Poll::Ready(outcome),
        }
    }

    /// Tells the other end that nothing more will be sent. With TLS and a socket that has no room, it is told
    /// by the reads that follow.
    ///
    /// # Errors
    /// The system's error.
    pub fn shutdown_write(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(session) => secure::shutdown_write(session, &self.source),
            None => shutdown(self.source.descriptor()),
        }
    }

    /// With TLS, tells the other end that this is the end and no cut (RFC 8446 §6.1), if the socket has room
    /// for it; for a stream that is dropped next. On a plain one the drop says all there is to say.
    pub fn say_end(&mut self) {
        if let Some(session) = &mut self.tls {
            // Whoever is gone needs no goodbye.
            let _ = secure::shutdown_write(session, &self.source);
        }
    }

    /// Tells the other end that nothing more will be sent, and hears it out for a while: a connection that is
    /// closed with unread bytes is reset, and what was sent last may be lost with it.
    pub async fn linger(&mut self, limit: Duration, bytes_max: usize) {
        if self.shutdown_write().is_err() {
            return;
        }
        let hear_out = async {
            let (mut rest, mut left) = (BytesMut::new(), bytes_max);
            while let Ok(count @ 1..) = self.read(&mut rest, READ_BYTES_MAX).await {
                rest.clear();
                left = left.saturating_sub(count);
                if left == 0 {
                    return;
                }
            }
        };
        timeout(limit, hear_out).await;
    }

    /// What is known of the other end by TLS; `None` on a plain connection.
    pub fn security(&self) -> Option<Security> {
        self.tls
            .as_ref()
            .map(|session| Security { is_tls13: session.is_tls13(), client_name: session.client_name() })
    }

    /// From now on, TLS: all bytes of the handshake have been read and sent.
    pub(in crate::sys) fn secure(&mut self, session: Box<Session>) {
        self.tls = Some(session);
    }

    /// One send without waiting, gathered if there are several parts.
    fn send_now<P: AsRef<[u8]>>(&mut self, parts: &[P], at: Position) -> io::Result<usize> {
        if let Some(session) = &mut self.tls {
            return secure::send_now(session, &self.source, parts, at);
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let socket = SockRef::from(self.source.descriptor());
        let first = &parts[at.part].as_ref()[at.byte..];
        let later = &parts[at.part + 1..];
        if later.is_empty() {
            return socket.send_with_flags(first, flags);
        }
        let mut slices = [IoSlice::new(&[]); GATHER_PARTS_MAX];
        slices[0] = IoSlice::new(first);
        let mut count = 1;
        for (slice, part) in slices[1..].iter_mut().zip(later) {
            *slice = IoSlice::new(part.as_ref());
            count += 1;
        }
        socket.send_vectored_with_flags(&slices[..count], flags)
    }
}

/// What TLS has made sure of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// Version 1.3, otherwise 1.2.
    pub is_tls13: bool,
    /// The common name in the certificate that the client has shown and that an authority of ours has signed.
    pub client_name: Option<String>,
}

/// Closes the sending half.
fn shutdown(socket: &OwnedFd) -> io::Result<()> {
    SockRef::from(socket).shutdown(Shutdown::Write)
}

/// What a socket has now, without waiting.
fn receive(socket: &OwnedFd, room: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer and the length are those of one live slice.
    #[allow(unsafe_code)]
    let count =
        unsafe { libc::recv(socket.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), libc::MSG_DONTWAIT) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// How far a list of parts has been sent.
#[derive(Clone, Copy, Default)]
struct Position {
    part: usize,
    byte: usize,
}

impl Position {
    /// Moves on by `count` bytes, and past parts that are empty or finished.
    fn advance<P: AsRef<[u8]>>(&mut self, parts: &[P], count: usize) {
        self.byte += count;
        while self.part < parts.len() && self.byte >= parts[self.part].as_ref().len() {
            self.byte -= parts[self.part].as_ref().len();
            self.part += 1;
        }
    }
}
