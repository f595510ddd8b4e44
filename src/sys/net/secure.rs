//! The ways of a stream's bytes through TLS: socket, session, reader and sender.
//!
//! `net::Stream` calls it where it has a session. The ciphertext of a portion is made in a buffer of the core
//! and sent from there; the session keeps only what the socket does not take. A portion of plaintext is
//! reported as sent when all of its ciphertext is in the socket, so that whoever has sent everything may
//! drop the stream or wait for something else, as on a plain one. Until then the sender gives the same bytes
//! again.

use super::{GATHER_PARTS_MAX, Position, READ_BYTES_MAX, SCRATCH, Source, receive, shutdown};
use crate::sys::tls::session::{SEND_BYTES_MAX, SEND_ROOM_BYTES, Session};
use bytes::BytesMut;
use socket2::SockRef;
use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

/// Reads without plaintext in them before the task lets others run: records that are only begun, keys that
/// change.
const READS_PER_POLL: usize = 4;

/// What a core encrypts with.
#[derive(Default)]
struct Sending {
    /// Parts put together.
    plaintext: Vec<u8>,
    /// Ciphertext.
    room: Vec<u8>,
}

thread_local! {
    static SENDING: RefCell<Sending> = RefCell::new(Sending::default());
}

/// As `Stream::poll_read`.
pub(super) fn poll_read(
    session: &mut Session,
    source: &Source,
    cx: &mut Context<'_>,
    buf: &mut BytesMut,
    bytes_max: usize,
) -> Poll<io::Result<usize>> {
    match flush_now(session, source) {
        // What is received is worth reading all the same.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => source.wait_for_room(cx),
        Err(error) => return Poll::Ready(Err(error)),
        Ok(()) => {}
    }
    for _ in 0..READS_PER_POLL {
        let begin = buf.len();
        session.take_plaintext(buf, bytes_max);
        if buf.len() == begin && session.end().is_none() {
            let polled = SCRATCH.with_borrow_mut(|scratch| {
                let held = session.incoming().len();
                if held >= READ_BYTES_MAX {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "an endless message",
                    )));
                }
                let end = READ_BYTES_MAX.min(held + bytes_max);
                let read = |socket: &OwnedFd| {
                    let count = receive(socket, &mut scratch[held..end])?;
                    Ok((count, count > 0 && count < end - held))
                };
                source.poll_read(cx, read).map_ok(|count| {
                    if count == 0 {
                        session.handle_eof();
                    } else {
                        scratch[..held].copy_from_slice(session.incoming());
                        session.receive(&mut scratch[..held + count], buf, bytes_max);
                    }
                })
            });
            match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
            // An alert or another answer of the protocol's own; what does not go now goes with the next poll.
            if !session.outgoing().is_empty()
                && let Err(error) = flush_now(session, source)
                && error.kind() == io::ErrorKind::WouldBlock
            {
                source.wait_for_room(cx);
            }
        }
        match session.end() {
            _ if buf.len() > begin => return Poll::Ready(Ok(buf.len() - begin)),
            Some(end) => return Poll::Ready(end.map(|()| 0)),
            None => {}
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// One portion of what `parts` hold from `at` on. Gives how much plaintext is with the socket for good.
///
/// # Errors
/// `WouldBlock`: not all of the portion has gone; it is reported by a later call. Or the system's error.
pub(super) fn send_now<P: AsRef<[u8]>>(
    session: &mut Session,
    source: &Source,
    parts: &[P],
    at: Position,
) -> io::Result<usize> {
    flush_now(session, source)?;
    let claimed = session.take_claimed();
    if claimed > 0 {
        return Ok(claimed);
    }
    SENDING.with_borrow_mut(|Sending { plaintext, room }| {
        room.resize(SEND_ROOM_BYTES, 0);
        let first = &parts[at.part].as_ref()[at.byte..];
        let portion = if first.len() >= SEND_BYTES_MAX || at.part + 1 == parts.len() {
            &first[..first.len().min(SEND_BYTES_MAX)]
        } else {
            put_together(first, &parts[at.part + 1..], plaintext);
            &plaintext[..]
        };
        let count = session.encrypt(portion, room)?;
        // Something of the protocol's own that has come up meanwhile goes first.
        let sent = match session.outgoing() {
            [] => match send(source.descriptor(), &room[..count]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                outcome => outcome?,
            },
            _ => 0,
        };
        if sent == count {
            return Ok(portion.len());
        }
        session.keep_outgoing(&room[sent..count], portion.len());
        Err(io::ErrorKind::WouldBlock.into())
    })
}

/// Many small parts make few records.
fn put_together<P: AsRef<[u8]>>(first: &[u8], later: &[P], plaintext: &mut Vec<u8>) {
    plaintext.clear();
    let later = later.iter().take(GATHER_PARTS_MAX).map(AsRef::as_ref);
    for part in std::iter::once(first).chain(later) {
        let room = SEND_BYTES_MAX - plaintext.len();
        plaintext.extend_from_slice(&part[..part.len().min(room)]);
        if part.len() >= room {
            return;
        }
    }
}

/// Says that nothing more comes, by TLS and then by TCP.
pub(super) fn shutdown_write(session: &mut Session, source: &Source) -> io::Result<()> {
    session.close();
    match flush_now(session, source) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        outcome => outcome,
    }
}

/// Sends what the session holds, and closes the sending half behind its last word.
fn flush_now(session: &mut Session, source: &Source) -> io::Result<()> {
    while !session.outgoing().is_empty() {
        let sent = send(source.descriptor(), session.outgoing())?;
        session.advance_outgoing(sent);
    }
    if session.take_closing() { shutdown(source.descriptor()) } else { Ok(()) }
}

fn send(socket: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    SockRef::from(socket).send_with_flags(bytes, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
}
