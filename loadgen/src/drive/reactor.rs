//! Waiting for sockets with a deadline finer than a millisecond.
//!
//! Each worker has one. epoll counts in milliseconds, too coarse for thousands of intended times a second, so
//! a timer file descriptor stands among the sockets; a deadline nearer than [`SPIN_NS`] is polled for. A wait
//! ends after [`WAIT_MAX`] at the latest, so that a worker sees the end of its run.

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// The longest wait.
const WAIT_MAX: Duration = Duration::from_millis(50);
/// Nearer than this, sleeping costs more precision than it saves.
const SPIN_NS: u64 = 30_000;
/// Sockets told about in one wait.
const EVENTS_MAX: usize = 1024;
const TIMER: Token = Token(usize::MAX);

/// A socket that can go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// The number it was registered with.
    pub(crate) token: usize,
    /// There is something to read, or an end.
    pub(crate) is_readable: bool,
    /// There is room to write, or the connection is made.
    pub(crate) is_writable: bool,
}

/// The event loop of one worker.
#[derive(Debug)]
pub(crate) struct Reactor {
    poll: Poll,
    events: Events,
    timer: TimerFd,
    /// The deadline that the timer is set to; 0 if none.
    armed_ns: u64,
}

impl Reactor {
    /// A reactor without sockets.
    pub(crate) fn new() -> io::Result<Reactor> {
        let poll = Poll::new()?;
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let fd = timer.as_fd().as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), TIMER, Interest::READABLE)?;
        Ok(Reactor { poll, events: Events::with_capacity(EVENTS_MAX), timer, armed_ns: 0 })
    }

    /// Where sockets are registered.
    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Waits until a socket is ready or `until_ns` has come; fills `ready`.
    pub(crate) fn wait(
        &mut self,
        now_ns: u64,
        until_ns: Option<u64>,
        ready: &mut Vec<Ready>,
    ) -> io::Result<()> {
        ready.clear();
        let timeout = self.arm(now_ns, until_ns)?;
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            if event.token() == TIMER {
                self.armed_ns = 0;
                continue;
            }
            let is_readable = event.is_readable() || event.is_read_closed() || event.is_error();
            ready.push(Ready { token: event.token().0, is_readable, is_writable: event.is_writable() });
        }
        Ok(())
    }

    fn arm(&mut self, now_ns: u64, until_ns: Option<u64>) -> io::Result<Duration> {
        let Some(until_ns) = until_ns else { return Ok(WAIT_MAX) };
        let wait_ns = until_ns.saturating_sub(now_ns);
        if wait_ns < SPIN_NS {
            // Whoever shares the processor goes first: on the machine of the server these are the threads of
            // the kernel that complete its writes, and a client that looks for ever holds them up for as long
            // as the scheduler lets it, some 3 ms.
            std::thread::yield_now();
            return Ok(Duration::ZERO);
        }
        if wait_ns < WAIT_MAX.as_nanos() as u64 && self.armed_ns != until_ns {
            // Wakes a little early; the rest is polled for.
            let wait = TimeSpec::nanoseconds((wait_ns - SPIN_NS / 2) as i64);
            self.timer.set(Expiration::OneShot(wait), TimerSetTimeFlags::empty())?;
            self.armed_ns = until_ns;
        }
        Ok(WAIT_MAX)
    }
}
