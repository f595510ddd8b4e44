//! The socket of a listener: sends, receives and waits in one future, without a buffer while nothing moves.
//!
//! One task per connection owns it. Sending never blocks receiving: a client that does not read may still be
//! heard. What is queued here was taken from a bounded outbox; nothing is queued before the last was sent.

use crate::faces::http::counters::ListenerForm;
use crate::faces::http::{Alarm, Core, Stamp};
use crate::observe::Trail;
use crate::shard::CoreLink;
use crate::sys::clock;
use crate::sys::executor::yield_if_needed;
use crate::sys::net::{READ_BYTES_MAX, Stream};
use crate::sys::notify::Notify;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Bytes and parts that are taken from an outbox at once: enough for one full send.
pub(super) const SEND_BYTES: usize = 256 * 1024;
/// See [`SEND_BYTES`].
pub(super) const SEND_ENTRIES: usize = 64;

/// What happened first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// All that was queued is in the socket.
    Sent,
    /// The server is stopping.
    Draining,
    /// The alarm rang.
    Rang,
    /// The notification came.
    Woken,
    /// What was polled beside is ready.
    Beside,
    /// Bytes were received into `input`.
    Received,
    /// The other end has finished, or the connection is broken.
    Ended,
}

/// What a turn waits for beside sending and the alarm.
pub(super) struct Waits<'a> {
    /// Woken by this.
    pub(super) changed: Option<&'a Notify>,
    /// Told when the server stops.
    pub(super) draining: Option<&'a CoreLink>,
    /// Bytes are wanted.
    pub(super) receives: bool,
}

pub(super) struct Wire {
    stream: Stream,
    core: Rc<Core>,
    presence: Option<Presence>,
    /// What the reply's head gets for its page.
    stamp: Stamp,
    /// The request's way to the access log; its line is written when the wire goes.
    trail: Option<Box<Trail>>,
    /// Received and not yet handled.
    pub(super) input: BytesMut,
    output: VecDeque<Bytes>,
    /// Monotonic time of the last byte that the socket took.
    progress_ns: u64,
}

impl Wire {
    pub(super) fn new(
        core: Rc<Core>,
        stream: Stream,
        input: BytesMut,
        (stamp, trail): (Stamp, Option<Box<Trail>>),
    ) -> Box<Wire> {
        let input = if input.is_empty() { BytesMut::new() } else { input };
        let (output, progress_ns) = (VecDeque::new(), clock::monotonic_ns());
        // Boxed, so that a future that hands it on does not hold it twice.
        Box::new(Wire { stream, core, presence: None, stamp, trail, input, output, progress_ns })
    }

    /// The connection is a listener's from now on.
    pub(super) fn open_listener(&mut self, form: ListenerForm) {
        self.core.counters().open_listener(form);
        self.name_form(form.label());
        let before = self.presence.replace(Presence { core: self.core.clone(), form });
        assert!(before.is_none(), "a connection is one listener at a time");
    }

    /// The access log is told what the connection has become.
    pub(super) fn name_form(&mut self, form: &'static str) {
        if let Some(trail) = &mut self.trail {
            trail.set_form(form);
        }
    }

    /// Queues the reply to the request, or its head.
    pub(super) fn queue_reply(&mut self, status: u16, mut reply: BytesMut) {
        self.core.counters().count_reply(status);
        self.core.cors().stamp(self.stamp, &mut reply, 0);
        if let Some(trail) = &mut self.trail {
            trail.set_status(status);
        }
        self.queue(reply.freeze());
    }

    /// Counts what is queued as so many things for the listener.
    pub(super) fn count_deliveries(&self, count: usize) {
        self.core.counters().deliveries.add(count as u64);
    }

    /// The address at the other end.
    pub(super) fn peer(&self) -> SocketAddr {
        self.stream.peer_addr()
    }

    /// Queues bytes to be sent.
    pub(super) fn queue(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            if self.output.is_empty() {
                self.progress_ns = clock::monotonic_ns();
            }
            self.output.push_back(bytes);
        }
    }

    /// Forgets what was received, and its memory: an idle connection owns none.
    pub(super) fn clear_input(&mut self) {
        self.input = BytesMut::new();
    }

    /// Whether everything queued is sent.
    pub(super) fn is_flushed(&self) -> bool {
        self.output.is_empty()
    }

    /// How long the socket has not taken anything, if something waits.
    pub(super) fn stalled_for(&self) -> Option<Duration> {
        let since = clock::monotonic_ns().saturating_sub(self.progress_ns);
        (!self.output.is_empty()).then(|| Duration::from_nanos(since))
    }

    /// Waits for the first thing that happens.
    pub(super) async fn turn(&mut self, alarm: &Alarm, waits: Waits<'_>) -> Turn {
        self.turn_beside(alarm, waits, |_| Poll::Pending).await
    }

    /// As [`Wire::turn`], with one thing more.
    pub(super) async fn turn_beside(
        &mut self,
        alarm: &Alarm,
        waits: Waits<'_>,
        mut beside: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Turn {
        let Waits { changed, draining, receives } = waits;
        // A client that always has something to say must not keep the core to itself.
        yield_if_needed().await;
        poll_fn(|cx| {
            if !self.output.is_empty() {
                match self.poll_flush(cx) {
                    Poll::Ready(true) => return Poll::Ready(Turn::Sent),
                    Poll::Ready(false) => return Poll::Ready(Turn::Ended),
                    Poll::Pending => {}
                }
            }
            if alarm.poll_ring(cx).is_ready() {
                return Poll::Ready(Turn::Rang);
            }
            if draining.is_some_and(CoreLink::is_draining) {
                return Poll::Ready(Turn::Draining);
            }
            if changed.is_some_and(|changed| pin!(changed.notified()).poll(cx).is_ready()) {
                return Poll::Ready(Turn::Woken);
            }
            if beside(cx).is_ready() {
                return Poll::Ready(Turn::Beside);
            }
            if !receives {
                return Poll::Pending;
            }
            self.stream.poll_read(cx, &mut self.input, READ_BYTES_MAX).map(|read| match read {
                Ok(count) if count > 0 => {
                    self.core.counters().listen_bytes_in.add(count as u64);
                    if let Some(trail) = &mut self.trail {
                        trail.add_bytes_in(count);
                    }
                    Turn::Received
                }
                Ok(_) | Err(_) => Turn::Ended,
            })
        })
        .await
    }

    /// Sends what the socket takes. `true` when all is sent, `false` when the connection is broken.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while !self.output.is_empty() {
            match self.stream.poll_send(cx, self.output.make_contiguous()) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Ready(Ok(count)) => self.advance(count),
            }
        }
        // An idle listener holds no memory for a queue.
        self.output = VecDeque::new();
        Poll::Ready(true)
    }

    fn advance(&mut self, mut count: usize) {
        self.progress_ns = clock::monotonic_ns();
        self.core.counters().listen_bytes_out.add(count as u64);
        if let Some(trail) = &mut self.trail {
            trail.add_bytes_out(count);
        }
        while count > 0 {
            let first = self.output.front_mut().expect("no more is sent than was queued");
            if first.len() > count {
                return first.advance(count);
            }
            count -= first.len();
            self.output.pop_front();
        }
    }

    /// Sends all that is queued and nothing else; `false` when the connection breaks or does not take a byte
    /// for `stall_max`.
    pub(super) async fn flush(&mut self, alarm: &Alarm, stall_max: Duration) -> bool {
        alarm.set(stall_max);
        while !self.is_flushed() {
            match self.turn(alarm, Waits { changed: None, draining: None, receives: false }).await {
                Turn::Sent => return true,
                Turn::Rang => match self.stalled_for() {
                    Some(stalled) if stalled < stall_max => alarm.set(stall_max - stalled),
                    _ => return false,
                },
                _ => return false,
            }
        }
        true
    }

    /// Ends the connection so that the other end gets what was sent: a close with unread bytes would reset
    /// it. Waits for the other end at most `linger`.
    pub(super) async fn close(mut self: Box<Self>, alarm: &Alarm, linger: Duration) {
        if self.stream.shutdown_write().is_err() {
            return;
        }
        alarm.set(linger);
        loop {
            self.clear_input();
            let waits = Waits { changed: None, draining: None, receives: true };
            if self.turn(alarm, waits).await != Turn::Received {
                return;
            }
        }
    }

    /// The connection and what was received but not handled.
    pub(super) fn into_parts(self) -> (Stream, BytesMut) {
        (self.stream, self.input)
    }
}

/// A listener that is counted as open while this lives.
struct Presence {
    core: Rc<Core>,
    form: ListenerForm,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.core.counters().close_listener(self.form);
    }
}
