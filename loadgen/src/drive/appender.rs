//! The writing connections of one worker: fills them as the schedule says and takes answers in order.
//!
//! Called by the worker's loop. Where events are numbered, stream s belongs to connection s modulo their
//! count, so that a stream's events are sent in order. Invariants: a connection has at most `pipeline`
//! requests under way, and sends no more in all than the plan allows before it is replaced; each request is
//! answered, or counted as lost when its connection ends.

use super::plan::{LoadPlan, Order};
use super::reactor::Ready;
use super::shared::Shared;
use super::socket::{Filled, Socket};
use crate::decide::choice::{Choice, Mix, zipf_sums};
use crate::decide::payload::Stamp;
use crate::decide::schedule::Schedule;
use crate::decide::window::{Meter, Sample};
use crate::wire::append::{Answer, AppendTemplate, AppendWire};
use mio::Registry;
use std::collections::VecDeque;
use std::sync::Arc;

/// How long a connection that failed is left alone.
const RETRY_NS: u64 = 100_000_000;
/// How soon a closed window is looked at again, when deliveries happen on other threads.
const WINDOW_POLL_NS: u64 = 100_000;

#[derive(Debug)]
enum Link {
    Down { retry_ns: u64 },
    Connecting(Socket),
    Open(Socket),
}

#[derive(Debug)]
struct Flight {
    intended_ns: u64,
    stream: u32,
    /// The number of the last event in it.
    number: u64,
}

#[derive(Debug)]
struct Writer {
    link: Link,
    wire: AppendWire,
    in_flight: VecDeque<Flight>,
    /// Requests sent on this connection.
    sent: u64,
    choice: Choice,
    has_room_entry: bool,
    is_dirty: bool,
}

/// The writers of one worker.
#[derive(Debug)]
pub(crate) struct Appender {
    plan: Arc<LoadPlan>,
    shared: Arc<Shared>,
    template: AppendTemplate,
    schedule: Option<Schedule>,
    writers: Vec<Writer>,
    /// Writers that may send, each at most once.
    room: VecDeque<usize>,
    dirty: Vec<usize>,
    /// Per stream the number of the last event sent, where events are numbered.
    numbers: Vec<u64>,
    /// Per stream how many listeners get an event, where somebody listens.
    copies: Vec<u64>,
    /// Deliveries that may be due; 0 for any number.
    window_deliveries: u64,
    /// Each stream in turn, whichever connection is next: a connection of its own turn could run ahead.
    turn: Option<Choice>,
    in_flight_count: usize,
    is_window_shut: bool,
}

impl Appender {
    /// The writers of `worker`, not yet connected.
    ///
    /// # Errors
    /// A request that cannot be written.
    pub(crate) fn new(plan: Arc<LoadPlan>, shared: Arc<Shared>, worker: usize) -> Result<Appender, String> {
        let count = plan.writers_of(worker);
        let before: usize = (0..worker).map(|earlier| plan.writers_of(earlier)).sum();
        let sums = match plan.order {
            Order::Random { skew } if skew > 0.0 && !plan.is_numbered() => {
                Some(zipf_sums(plan.streams, skew))
            }
            _ => None,
        };
        let writer = |index: usize| Writer {
            link: Link::Down { retry_ns: 0 },
            wire: AppendWire::new(plan.append.peer, plan.append.batch),
            in_flight: VecDeque::with_capacity(plan.pipeline),
            sent: 0,
            choice: choice(&plan, before + index, sums.clone()),
            has_room_entry: false,
            is_dirty: false,
        };
        let (template, numbers) = (AppendTemplate::new(&plan.append)?, plan.history.clone());
        let writers = (0..count).map(writer).collect();
        let is_in_turn = plan.order == Order::Round && !plan.is_numbered();
        let turn = is_in_turn.then_some(Choice::Turn { next: worker as u64, step: plan.threads as u64 });
        let copies = plan.copies();
        let window = plan.listen.as_ref().map_or(0, |listen| listen.window);
        let window_deliveries = window * copies.iter().max().copied().unwrap_or(0);
        let (room, dirty) = (VecDeque::with_capacity(count), Vec::with_capacity(count));
        let appender = Appender {
            plan,
            shared,
            template,
            schedule: None,
            writers,
            room,
            dirty,
            numbers,
            copies,
            window_deliveries,
            turn,
            in_flight_count: 0,
            is_window_shut: false,
        };
        Ok(appender)
    }

    /// Begins to send by `schedule`.
    pub(crate) fn begin(&mut self, schedule: Schedule) {
        self.schedule = Some(schedule);
    }

    /// Connects what is down and due.
    pub(crate) fn connect_due(&mut self, now_ns: u64, registry: &Registry, meter: &mut Meter) {
        for (index, writer) in self.writers.iter_mut().enumerate() {
            let Link::Down { retry_ns } = writer.link else { continue };
            if retry_ns > now_ns {
                continue;
            }
            match Socket::connect(self.plan.target, registry, index, None, self.plan.secure.as_ref()) {
                Ok(socket) => writer.link = Link::Connecting(socket),
                Err(error) => {
                    meter.handle_error(&format!("connect: {}", error.kind()), 1);
                    writer.link = Link::Down { retry_ns: now_ns + RETRY_NS };
                }
            }
        }
    }

    /// Goes on with writer `ready.token`.
    pub(crate) fn handle_ready(
        &mut self,
        ready: Ready,
        scratch: &mut [u8],
        meter: &mut Meter,
        registry: &Registry,
    ) {
        let index = ready.token;
        match self.advance(index, ready, scratch, meter) {
            Ok(()) => self.replace_used_up(index, registry),
            Err(kind) => self.drop_link(index, &kind, meter, registry),
        }
    }

    /// Ends a connection that has had all its answers and may send no more; the next turn makes a new one.
    fn replace_used_up(&mut self, index: usize, registry: &Registry) {
        let writer = &mut self.writers[index];
        if self.plan.reconnect_after.is_none_or(|most| writer.sent < most) || !writer.in_flight.is_empty() {
            return;
        }
        close(writer, 0, registry);
        writer.wire = AppendWire::new(self.plan.append.peer, self.plan.append.batch);
    }

    fn advance(
        &mut self,
        index: usize,
        ready: Ready,
        scratch: &mut [u8],
        meter: &mut Meter,
    ) -> Result<(), String> {
        let io = |error: std::io::Error| format!("connection: {}", error.kind());
        let writer = &mut self.writers[index];
        if let Link::Connecting(socket) = &mut writer.link {
            if !socket.check_connected().map_err(|error| format!("connect: {}", error.kind()))? {
                return Ok(());
            }
            let link = std::mem::replace(&mut writer.link, Link::Down { retry_ns: 0 });
            let Link::Connecting(socket) = link else { unreachable!("it was connecting above") };
            writer.link = Link::Open(socket);
            self.add_room(index);
        }
        let Link::Open(socket) = &mut self.writers[index].link else { return Ok(()) };
        if ready.is_writable {
            socket.flush().map_err(io)?;
        }
        if ready.is_readable { self.read(index, scratch, meter) } else { Ok(()) }
    }

    /// Reads and takes answers until nothing is left.
    fn read(&mut self, index: usize, scratch: &mut [u8], meter: &mut Meter) -> Result<(), String> {
        loop {
            let Link::Open(socket) = &mut self.writers[index].link else { return Ok(()) };
            let filled = socket.fill(scratch).map_err(|error| format!("connection: {}", error.kind()))?;
            self.take_answers(index, meter)?;
            match filled {
                Filled::Drained => return Ok(()),
                Filled::More => {}
                Filled::Ended => return Err("connection: ended by the server".to_owned()),
            }
        }
    }

    fn take_answers(&mut self, index: usize, meter: &mut Meter) -> Result<(), String> {
        let now_ns = self.shared.clock.now_ns();
        let (events, bytes) = (self.template.batch() as u64, self.template.request_payload_bytes() as u64);
        let writer = &mut self.writers[index];
        let Link::Open(socket) = &mut writer.link else { return Ok(()) };
        let before = writer.in_flight.len();
        while let Some(answer) = writer.wire.decode(&mut socket.input)? {
            let flight = writer.in_flight.pop_front().ok_or("an answer that nobody asked for")?;
            self.in_flight_count -= 1;
            match answer {
                Answer::Stored => {
                    meter.handle_appended(now_ns, Sample { intended_ns: flight.intended_ns, events, bytes });
                    self.shared.set_acknowledged(flight.stream, flight.number);
                }
                Answer::Refused(kind) => meter.handle_error(&kind, 1),
            }
        }
        if writer.in_flight.len() < before {
            self.add_room(index);
        }
        Ok(())
    }

    /// Sends what is due and has room, then flushes.
    pub(crate) fn pump(&mut self, now_ns: u64, meter: &mut Meter, registry: &Registry) {
        self.is_window_shut = false;
        while let Some(index) = self.room.front().copied() {
            if self.is_window_full() {
                self.is_window_shut = true;
                break;
            }
            let Some(schedule) = &mut self.schedule else { break };
            let Some(intended_ns) = schedule.take_due(now_ns) else { break };
            self.room.pop_front();
            self.writers[index].has_room_entry = false;
            self.send(index, intended_ns);
        }
        while let Some(index) = self.dirty.pop() {
            self.writers[index].is_dirty = false;
            let Link::Open(socket) = &mut self.writers[index].link else { continue };
            if let Err(error) = socket.flush() {
                self.drop_link(index, &format!("connection: {}", error.kind()), meter, registry);
            }
        }
    }

    fn send(&mut self, index: usize, intended_ns: u64) {
        let batch = self.template.batch() as u64;
        let writer = &mut self.writers[index];
        let Link::Open(socket) = &mut writer.link else { return };
        let choice = self.turn.as_mut().unwrap_or(&mut writer.choice);
        let stream = choice.next_stream(self.plan.streams);
        let before = match self.numbers.get_mut(stream) {
            Some(number) => std::mem::replace(number, *number + batch),
            None => 0,
        };
        let stamp = Stamp { intended_ns, stream: stream as u32, number: before + 1 };
        self.template.encode(stamp, &mut socket.output);
        writer.sent += 1;
        writer.in_flight.push_back(Flight { intended_ns, stream: stamp.stream, number: before + batch });
        self.in_flight_count += 1;
        if let Some(copies) = self.copies.get(stream) {
            self.shared.add_due(copies * batch);
        }
        if !writer.is_dirty {
            writer.is_dirty = true;
            self.dirty.push(index);
        }
        self.add_room(index);
    }

    fn add_room(&mut self, index: usize) {
        let writer = &mut self.writers[index];
        let may_send = self.plan.reconnect_after.is_none_or(|most| writer.sent < most);
        let has_place = writer.in_flight.len() < self.plan.pipeline;
        let has_room = matches!(writer.link, Link::Open(_)) && may_send && has_place;
        if has_room && !writer.has_room_entry {
            writer.has_room_entry = true;
            self.room.push_back(index);
        }
    }

    /// Whether, in a closed loop with listeners, as much is on its way as may be.
    fn is_window_full(&self) -> bool {
        self.window_deliveries > 0
            && self.shared.due_count().saturating_sub(self.shared.delivered_count()) >= self.window_deliveries
    }

    fn drop_link(&mut self, index: usize, kind: &str, meter: &mut Meter, registry: &Registry) {
        let retry_ns = self.shared.clock.now_ns() + RETRY_NS;
        let writer = &mut self.writers[index];
        close(writer, retry_ns, registry);
        meter.handle_error(kind, 1);
        meter.handle_error("request lost with its connection", writer.in_flight.len() as u64);
        self.in_flight_count -= writer.in_flight.len();
        writer.in_flight.clear();
        writer.wire = AppendWire::new(self.plan.append.peer, self.plan.append.batch);
        if writer.has_room_entry {
            writer.has_room_entry = false;
            self.room.retain(|other| *other != index);
        }
    }

    /// When to pump again if no socket is ready before.
    pub(crate) fn deadline_ns(&self, now_ns: u64) -> Option<u64> {
        if self.is_window_shut {
            return Some(now_ns + WINDOW_POLL_NS);
        }
        // Without room, an answer will wake us.
        let schedule = self.schedule.as_ref().filter(|_| !self.room.is_empty())?;
        schedule.next_ns()
    }

    /// Whether all connections are made.
    pub(crate) fn is_open(&self) -> bool {
        self.writers.iter().all(|writer| matches!(writer.link, Link::Open(_)))
    }

    /// Whether everything was sent and answered.
    pub(crate) fn is_done(&self, now_ns: u64) -> bool {
        let is_over = self.schedule.as_ref().is_some_and(|schedule| schedule.is_over(now_ns));
        (is_over && self.in_flight_count == 0) || self.writers.is_empty()
    }

    /// Connections of this worker.
    pub(crate) fn writer_count(&self) -> usize {
        self.writers.len()
    }

    /// Counts what was due and not sent, or sent and not answered, when the run is given up.
    pub(crate) fn count_rest(&self, now_ns: u64, meter: &mut Meter) -> u64 {
        meter.handle_error("no answer before the end", self.in_flight_count as u64);
        self.schedule.as_ref().map_or(0, |schedule| schedule.unsent_count(now_ns))
    }
}

/// Ends the writer's connection; the next is made when it is `retry_ns`.
fn close(writer: &mut Writer, retry_ns: u64, registry: &Registry) {
    let link = std::mem::replace(&mut writer.link, Link::Down { retry_ns });
    if let Link::Connecting(socket) | Link::Open(socket) = link {
        socket.close(registry);
    }
    writer.sent = 0;
}

fn choice(plan: &LoadPlan, index: usize, sums: Option<Arc<[f64]>>) -> Choice {
    let mix = Mix::new(plan.seed ^ (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    if plan.is_numbered() {
        return Choice::Own { first: index, step: plan.connections, next: index };
    }
    match sums {
        Some(sums) => Choice::Zipf(mix, sums),
        None => Choice::Even(mix),
    }
}
