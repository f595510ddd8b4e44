//! The listeners of one worker: connect, subscribe, receive, check, and come back where they left.
//!
//! Called by the worker's loop with tokens above its writers'. A listener that is slow on purpose reads a
//! budget every [`SLOW_TICK_NS`] and is not asked for its latency. Invariant: a listener's follower sees
//! every stamp that it receives, on any of its connections, in the order received.

use super::plan::{From, ListenPlan, LoadPlan};
use super::reactor::Ready;
use super::shared::Shared;
use super::socket::{Filled, Socket};
use crate::decide::choice::Mix;
use crate::decide::follow::{Faults, Follower};
use crate::decide::payload::Scanner;
use crate::decide::window::{Meter, Sample};
use crate::wire::listen::{ListenWire, Progress, Resume};
use mio::Registry;
use std::sync::Arc;

/// Listeners that connect at the same time; more would overflow a server's backlog.
const CONNECTING_MAX: usize = 128;
const RETRY_NS: u64 = 100_000_000;
const CONNECT_TICK_NS: u64 = 2_000_000;
const SLOW_TICK_NS: u64 = 50_000_000;
/// What the kernel takes in for a slow listener.
const SLOW_RECEIVE_BYTES: usize = 64 << 10;
/// The same once it may read everything.
const WIDE_RECEIVE_BYTES: usize = 4 << 20;
/// A server closes a WebSocket on which the client says nothing for a minute.
const PING_NS: u64 = 20_000_000_000;

#[derive(Debug)]
enum Link {
    Down { retry_ns: u64 },
    Connecting(Socket, ListenWire),
    Open(Socket, ListenWire),
}

#[derive(Debug)]
struct Listener {
    link: Link,
    follower: Follower,
    resume_id: Vec<u8>,
    is_slow: bool,
    /// Has once been subscribed.
    was_open: bool,
    /// Asks for the present when it comes for the first time.
    is_live: bool,
    /// Leaves then and comes back.
    leave_ns: u64,
}

/// What the listeners of a worker found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// What was wrong with the order.
    pub(crate) faults: Faults,
    /// The same of listeners that were slow on purpose.
    pub(crate) slow_faults: Faults,
    /// Acknowledged events that did not come before the end.
    pub(crate) behind: u64,
    /// Listeners for whom that is so.
    pub(crate) behind_listeners: u64,
    /// Connections made, beyond one for each listener.
    pub(crate) reconnects: u64,
}

impl Heard {
    /// Adds another worker's.
    pub(crate) fn add(&mut self, other: Heard) {
        self.faults.add(other.faults);
        self.slow_faults.add(other.slow_faults);
        self.behind += other.behind;
        self.behind_listeners += other.behind_listeners;
        self.reconnects += other.reconnects;
    }
}

/// The listeners of one worker.
#[derive(Debug)]
pub(crate) struct Listeners {
    plan: Arc<LoadPlan>,
    listen: ListenPlan,
    shared: Arc<Shared>,
    worker: usize,
    token_base: usize,
    listeners: Vec<Listener>,
    scanner: Scanner,
    random: Mix,
    event_bytes: u64,
    delivered_count: u64,
    open_count: usize,
    connecting_count: usize,
    reconnects: u64,
    next_connect_ns: u64,
    next_slow_ns: u64,
    next_ping_ns: u64,
}

impl Listeners {
    /// The listeners of `worker`, every `plan.threads`th one; `secret` makes WebSocket keys unpredictable.
    pub(crate) fn new(
        plan: Arc<LoadPlan>,
        shared: Arc<Shared>,
        worker: usize,
        token_base: usize,
        secret: u64,
    ) -> Option<Listeners> {
        let listen = plan.listen.clone()?;
        let mut random = Mix::new(secret ^ worker as u64);
        let own = (worker..listen.count).step_by(plan.threads);
        let listeners = own.map(|index| listener(&plan, &listen, index, &mut random)).collect();
        let event_bytes = plan.append.event_bytes as u64;
        Some(Listeners {
            plan,
            listen,
            shared,
            worker,
            token_base,
            listeners,
            scanner: Scanner::new(),
            random,
            event_bytes,
            delivered_count: 0,
            open_count: 0,
            connecting_count: 0,
            reconnects: 0,
            next_connect_ns: 0,
            next_slow_ns: 0,
            next_ping_ns: 0,
        })
    }

    /// Connects, leaves, pings and lets slow listeners read, as far as it is time for it.
    ///
    /// # Errors
    /// What cannot be asked for; the run makes no sense.
    pub(crate) fn tick(
        &mut self,
        now_ns: u64,
        registry: &Registry,
        scratch: &mut [u8],
        meter: &mut Meter,
    ) -> Result<(), String> {
        if self.is_connecting() && now_ns >= self.next_connect_ns {
            // Looks at every listener, so not in every turn of the loop.
            self.next_connect_ns = now_ns + CONNECT_TICK_NS;
            self.connect_due(now_ns, registry, meter)?;
        }
        if now_ns >= self.next_slow_ns {
            self.next_slow_ns = now_ns + SLOW_TICK_NS;
            self.read_slowly(scratch, registry, meter);
        }
        if now_ns >= self.next_ping_ns {
            self.next_ping_ns = now_ns + PING_NS;
            self.ping_all();
        }
        Ok(())
    }

    fn is_connecting(&self) -> bool {
        self.open_count < self.listeners.len() || self.listen.reconnect_every.is_some()
    }

    fn connect_due(&mut self, now_ns: u64, registry: &Registry, meter: &mut Meter) -> Result<(), String> {
        for index in 0..self.listeners.len() {
            let listener = &mut self.listeners[index];
            let is_leaving = matches!(listener.link, Link::Open(..)) && now_ns >= listener.leave_ns;
            if is_leaving && !self.shared.is_writer_done() {
                self.leave(index, now_ns, registry);
            }
            let Link::Down { retry_ns } = self.listeners[index].link else { continue };
            if retry_ns > now_ns || self.connecting_count >= CONNECTING_MAX {
                continue;
            }
            if let Err(error) = self.connect(index, registry)? {
                meter.handle_error(&format!("listener connect: {}", error.kind()), 1);
                self.listeners[index].link = Link::Down { retry_ns: now_ns + RETRY_NS };
            }
        }
        Ok(())
    }

    /// The outer error is a request that cannot be written, the inner one a socket that cannot be made.
    fn connect(&mut self, index: usize, registry: &Registry) -> Result<std::io::Result<()>, String> {
        let mut random = [0; 32];
        for chunk in random.chunks_mut(8) {
            chunk.copy_from_slice(&self.random.next_u64().to_le_bytes());
        }
        let listener = &mut self.listeners[index];
        let receive_bytes = listener.is_slow.then_some(SLOW_RECEIVE_BYTES);
        let token = self.token_base + index;
        let secure = self.plan.secure.as_ref();
        let mut socket = match Socket::connect(self.plan.target, registry, token, receive_bytes, secure) {
            Ok(socket) => socket,
            Err(error) => return Ok(Err(error)),
        };
        let resume = Resume {
            streams: listener.follower.streams(),
            is_live: listener.is_live && !listener.was_open,
            last_id: &listener.resume_id,
        };
        let wire = ListenWire::open(&self.listen.form, &resume, random, &mut socket.output)?;
        wire.ask(&self.listen.form, &resume, &mut socket.output)?;
        self.reconnects += u64::from(listener.was_open);
        self.connecting_count += 1;
        listener.link = Link::Connecting(socket, wire);
        Ok(Ok(()))
    }

    /// Goes on with the listener that `ready` is about.
    pub(crate) fn handle_ready(
        &mut self,
        ready: Ready,
        scratch: &mut [u8],
        meter: &mut Meter,
        registry: &Registry,
    ) {
        let index = ready.token - self.token_base;
        let is_slow = self.listeners[index].is_slow && !self.shared.is_writer_done();
        if let Err(kind) = self.advance(index, ready, scratch, meter, is_slow) {
            self.drop_link(index, &kind, registry, meter);
        }
    }

    fn advance(
        &mut self,
        index: usize,
        ready: Ready,
        scratch: &mut [u8],
        meter: &mut Meter,
        is_slow: bool,
    ) -> Result<(), String> {
        let io = |error: std::io::Error| format!("listener: {}", error.kind());
        let (socket, wire) = match &mut self.listeners[index].link {
            Link::Down { .. } => return Ok(()),
            Link::Connecting(socket, wire) | Link::Open(socket, wire) => (socket, wire),
        };
        if !socket.check_connected().map_err(|error| format!("listener connect: {}", error.kind()))? {
            return Ok(());
        }
        if ready.is_writable {
            socket.flush().map_err(io)?;
        }
        if wire.is_open_at_once() {
            self.set_open(index);
        }
        while ready.is_readable && !(is_slow && matches!(self.listeners[index].link, Link::Open(..))) {
            let Some(filled) = self.read_once(index, scratch, meter)? else { break };
            match filled {
                Filled::Drained => break,
                Filled::More => {}
                Filled::Ended => return Err("listener: ended by the server".to_owned()),
            }
        }
        Ok(())
    }

    fn read_once(
        &mut self,
        index: usize,
        scratch: &mut [u8],
        meter: &mut Meter,
    ) -> Result<Option<Filled>, String> {
        let io = |error: std::io::Error| format!("listener: {}", error.kind());
        let listener = &mut self.listeners[index];
        let (Link::Connecting(socket, _) | Link::Open(socket, _)) = &mut listener.link else {
            return Ok(None);
        };
        let filled = socket.fill(scratch).map_err(io)?;
        let mut is_ended = false;
        loop {
            let before = self.input_length(index);
            let progress = self.receive(index, meter)?;
            is_ended |= progress.is_ended;
            if progress.is_open {
                self.set_open(index);
            }
            let is_stuck = self.input_length(index) == before;
            if is_stuck || is_ended {
                break;
            }
        }
        let link = &mut self.listeners[index].link;
        let (Link::Connecting(socket, _) | Link::Open(socket, _)) = link else { return Ok(None) };
        socket.flush().map_err(io)?;
        Ok(Some(if is_ended { Filled::Ended } else { filled }))
    }

    fn input_length(&self, index: usize) -> usize {
        match &self.listeners[index].link {
            Link::Connecting(socket, _) | Link::Open(socket, _) => socket.input.len(),
            Link::Down { .. } => 0,
        }
    }

    /// One step of the wire: what it brought is followed and counted, and a long-poll asks again.
    fn receive(&mut self, index: usize, meter: &mut Meter) -> Result<Progress, String> {
        let now_ns = self.shared.clock.now_ns();
        let begin_ns = self.shared.begin_ns().unwrap_or(u64::MAX);
        let Listener { link, follower, is_slow, resume_id, .. } = &mut self.listeners[index];
        let (Link::Connecting(socket, wire) | Link::Open(socket, wire)) = link else {
            return Ok(Progress::default());
        };
        let (scanner, event_bytes, count) = (&self.scanner, self.event_bytes, &mut self.delivered_count);
        let mut on_text = |text: &[u8]| {
            for stamp in scanner.stamps(text) {
                let sample = Sample { intended_ns: stamp.intended_ns, events: 1, bytes: event_bytes };
                follower.handle_stamp(stamp);
                *count += u64::from(stamp.intended_ns >= begin_ns && !*is_slow);
                if *is_slow {
                    meter.handle_delivered_late(now_ns, sample);
                } else {
                    meter.handle_delivered(now_ns, sample);
                }
            }
        };
        let held = socket.input.len();
        let progress = wire.receive(&mut socket.input, &mut socket.output, &mut on_text)?;
        if !wire.resume_id().is_empty() && wire.resume_id() != resume_id.as_slice() {
            resume_id.clear();
            resume_id.extend_from_slice(wire.resume_id());
        }
        if progress.is_open && wire.is_open_at_once() && socket.input.len() < held {
            let resume = Resume { streams: follower.streams(), is_live: false, last_id: b"" };
            wire.ask(&self.listen.form, &resume, &mut socket.output)?;
        }
        self.shared.set_delivered(self.worker, self.delivered_count);
        Ok(progress)
    }

    fn set_open(&mut self, index: usize) {
        let listener = &mut self.listeners[index];
        match std::mem::replace(&mut listener.link, Link::Down { retry_ns: 0 }) {
            Link::Connecting(socket, wire) => {
                listener.link = Link::Open(socket, wire);
                self.connecting_count -= 1;
                self.open_count += 1;
                if !listener.was_open {
                    listener.was_open = true;
                    self.shared.add_ready(1);
                }
                if let Some(every) = self.listen.reconnect_every {
                    // Spread, so that not all leave at once.
                    let every_ns = every.as_nanos() as u64;
                    let jitter_ns = self.random.below(every_ns.max(1));
                    listener.leave_ns = self.shared.clock.now_ns() + every_ns / 2 + jitter_ns;
                }
            }
            other => listener.link = other,
        }
    }

    fn leave(&mut self, index: usize, now_ns: u64, registry: &Registry) {
        let listener = &mut self.listeners[index];
        if let Link::Open(socket, _) = std::mem::replace(&mut listener.link, Link::Down { retry_ns: now_ns })
        {
            self.open_count -= 1;
            socket.close(registry);
        }
    }

    fn drop_link(&mut self, index: usize, kind: &str, registry: &Registry, meter: &mut Meter) {
        let retry_ns = self.shared.clock.now_ns() + RETRY_NS;
        match std::mem::replace(&mut self.listeners[index].link, Link::Down { retry_ns }) {
            Link::Open(socket, _) => {
                self.open_count -= 1;
                socket.close(registry);
            }
            Link::Connecting(socket, _) => {
                self.connecting_count -= 1;
                socket.close(registry);
            }
            Link::Down { .. } => {}
        }
        meter.handle_error(kind, 1);
    }

    /// Each slow listener reads what its budget allows, and all of them everything once the writer is done.
    fn read_slowly(&mut self, scratch: &mut [u8], registry: &Registry, meter: &mut Meter) {
        let Some(slow) = self.listen.slow else { return };
        let budget = (slow.bytes_per_s as u64 * SLOW_TICK_NS / 1_000_000_000).max(1) as usize;
        let is_over = self.shared.is_writer_done();
        let length = if is_over { scratch.len() } else { budget.min(scratch.len()) };
        for index in 0..self.listeners.len() {
            let listener = &self.listeners[index];
            let (true, Link::Open(socket, _)) = (listener.is_slow, &listener.link) else { continue };
            if is_over {
                socket.widen(WIDE_RECEIVE_BYTES);
            }
            let failed = loop {
                match self.read_once(index, &mut scratch[..length], meter) {
                    Ok(Some(Filled::More)) if is_over => {}
                    Ok(Some(Filled::Ended)) => break Some("slow listener: ended by the server".to_owned()),
                    Ok(_) => break None,
                    Err(kind) => break Some(kind),
                }
            };
            if let Some(kind) = failed {
                self.drop_link(index, &kind, registry, meter);
            }
        }
    }

    fn ping_all(&mut self) {
        for listener in &mut self.listeners {
            if let Link::Open(socket, wire) = &mut listener.link {
                wire.ping(&mut socket.output);
                // A failure shows when it is read.
                let _ = socket.flush();
            }
        }
    }

    /// When to tick again, if no socket is ready before.
    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        let slow = self.listen.slow.map(|_| self.next_slow_ns);
        let connect = self.is_connecting().then_some(self.next_connect_ns);
        [slow, connect].into_iter().flatten().min()
    }

    /// Whether everybody has everything that was acknowledged.
    pub(crate) fn is_complete(&self) -> bool {
        let last_of = |stream: u32| self.shared.last_number(stream);
        let mut owed = self.listeners.iter().filter(|listener| !self.may_miss(listener));
        owed.all(|listener| listener.follower.is_complete(last_of))
    }

    /// Whether the server was allowed to leave events out, the last ones too.
    fn may_miss(&self, listener: &Listener) -> bool {
        listener.is_slow && self.listen.form.slow.as_deref() == Some("skip")
    }

    /// What was found, at the end.
    pub(crate) fn heard(&self) -> Heard {
        let mut heard = Heard { reconnects: self.reconnects, ..Heard::default() };
        for listener in &self.listeners {
            let behind = listener.follower.behind_count(|stream| self.shared.last_number(stream));
            let faults = if listener.is_slow { &mut heard.slow_faults } else { &mut heard.faults };
            faults.add(listener.follower.faults());
            if self.may_miss(listener) {
                faults.missing += behind;
                continue;
            }
            heard.behind += behind;
            heard.behind_listeners += u64::from(behind > 0);
        }
        heard
    }
}

fn listener(plan: &LoadPlan, listen: &ListenPlan, index: usize, random: &mut Mix) -> Listener {
    let mut first = |stream: &u32| {
        let history = plan.history.get(*stream as usize).copied().unwrap_or(0);
        match listen.from {
            From::Live => (*stream, history + 1),
            From::Start => (*stream, 1),
            From::Random => (*stream, 1 + random.below(history + 1)),
        }
    };
    let streams = plan.streams_of(listen, index).iter().map(&mut first).collect();
    Listener {
        link: Link::Down { retry_ns: 0 },
        follower: Follower::new(streams),
        resume_id: Vec::new(),
        is_slow: listen.slow.is_some_and(|slow| index < slow.count),
        was_open: false,
        is_live: listen.from == From::Live,
        leave_ns: u64::MAX,
    }
}
