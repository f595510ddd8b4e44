//! A descriptor that is read when it has bytes and written when it has room.
//!
//! The socket calls themselves are made directly; the ring only says when to try. A watch for bytes is set
//! once and reports every later arrival (a multishot poll), so waiting costs no entry. What arrives after a
//! report was made makes another one (from Linux 6.1 on): after a read that did not fill its room there is
//! nothing more to be had until then, which spares the call that would say so.

use super::ring::Ring;
use super::with_ring;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What is known of a descriptor.
#[derive(Default)]
pub(super) struct Readiness {
    /// A read is worth trying.
    is_readable: Cell<bool>,
    /// The other end has closed or the connection has failed: every read says something from now on.
    has_ended: Cell<bool>,
    /// A watch has reported room.
    has_room: Cell<bool>,
    reading: Cell<Option<usize>>,
    writing: Cell<Option<usize>>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
}

impl Readiness {
    /// A report of the watch for bytes: the events, or a negative error number.
    pub(super) fn set_readable(&self, events: i32, is_last: bool) -> Option<Waker> {
        let ends = i32::from(libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR);
        if events >= 0 && events & ends != 0 {
            self.has_ended.set(true);
        }
        if is_last {
            self.reading.set(None);
        }
        self.is_readable.set(true);
        self.reader.take()
    }

    /// The report of the watch for room.
    pub(super) fn set_writable(&self) -> Option<Waker> {
        self.has_room.set(true);
        self.writing.set(None);
        self.writer.take()
    }
}

/// A descriptor and its watches. Dropping it closes it.
pub(in crate::sys) struct Source {
    descriptor: OwnedFd,
    readiness: Rc<Readiness>,
    /// Every arrival is reported, so that a read that did not fill its room has taken all.
    trusts_reports: bool,
}

impl Source {
    /// The first read is tried at once.
    pub(in crate::sys) fn new(descriptor: impl Into<OwnedFd>) -> Source {
        let readiness = Readiness { is_readable: Cell::new(true), ..Readiness::default() };
        let trusts_reports = with_ring(|ring| ring.reports_everything()).unwrap_or(false);
        Source { descriptor: descriptor.into(), readiness: Rc::new(readiness), trusts_reports }
    }

    /// The descriptor.
    pub(in crate::sys) fn descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }

    /// Tries `read`, which must not block, when it is worth it. It gives its result and whether it took all
    /// that was there; `WouldBlock` means the same.
    pub(in crate::sys) fn poll_read<T>(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&OwnedFd) -> io::Result<(T, bool)>,
    ) -> Poll<io::Result<T>> {
        while self.readiness.is_readable.get() {
            match read(&self.descriptor) {
                Ok((value, took_all)) => {
                    let is_drained = took_all && self.trusts_reports && !self.readiness.has_ended.get();
                    self.readiness.is_readable.set(!is_drained);
                    return Poll::Ready(Ok(value));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.is_readable.set(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        keep_waker(&self.readiness.reader, cx);
        if self.readiness.reading.get().is_none() {
            let watch =
                |ring: &mut Ring| ring.watch_readable(self.descriptor.as_raw_fd(), self.readiness.clone());
            self.readiness.reading.set(with_ring(watch));
        }
        Poll::Pending
    }

    /// Waits for room to write, after a write has said that there is none: `Pending` now, and a wake-up
    /// when it is worth trying again.
    pub(in crate::sys) fn wait_for_room(&self, cx: &mut Context<'_>) {
        keep_waker(&self.readiness.writer, cx);
        if self.readiness.writing.get().is_none() {
            let watch =
                |ring: &mut Ring| ring.watch_writable(self.descriptor.as_raw_fd(), self.readiness.clone());
            self.readiness.writing.set(with_ring(watch));
        }
    }
}

impl Source {
    /// Ready when a watch that this call or an earlier one has set has reported room.
    pub(in crate::sys) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.readiness.has_room.take() {
            return Poll::Ready(());
        }
        self.wait_for_room(cx);
        Poll::Pending
    }
}

fn keep_waker(place: &Cell<Option<Waker>>, cx: &mut Context<'_>) {
    let waker = match place.take() {
        Some(known) if known.will_wake(cx.waker()) => known,
        _ => cx.waker().clone(),
    };
    place.set(Some(waker));
}

impl Drop for Source {
    fn drop(&mut self) {
        // The kernel holds the socket until the watches have ended.
        for key in [self.readiness.reading.get(), self.readiness.writing.get()].into_iter().flatten() {
            with_ring(|ring| ring.cancel(key));
        }
        // A watch that has yet to report wakes nobody.
        drop((self.readiness.reader.take(), self.readiness.writer.take()));
    }
}
