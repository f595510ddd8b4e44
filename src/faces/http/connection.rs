//! One connection, one task: read all there is, start what may start, answer in order, send once.
//!
//! Requests wait for their turn in `queue`; only its front is polled, so answers leave in the order of the
//! requests. Requests of one class run together (see `plan::Class`): sixteen pipelined appends are all with
//! their shards before the first is awaited. While nothing is under way the connection owns no buffer.
//!
//! Invariant: whatever is in `output` belongs before the answer of the queue's front.

use super::access::Asker;
use super::alarm::Alarm;
use super::core::{Account, Core};
use super::cors::Stamp;
use super::endpoint::Endpoint;
use super::flight::{Answer, Flight};
use super::handoff::{Ending, Handoff, Wanted};
use super::linger::linger;
use super::outgoing::{Outgoing, WriteFailed};
use super::plan::{Class, Plan};
use super::queued::{Queued, trail_of};
use super::reply::failure_of_bytes;
use crate::observe::Trail;
use crate::sys::executor::{Either, race, yield_if_needed};
use crate::sys::net::{READ_BYTES_MAX, Stream};
use bytes::BytesMut;
use http1::{Decoder, HttpError, ReplyTo, Request, RequestHead};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use types::{Failure, Unavailable};

/// Bytes of further requests that are read while others are under way.
const READ_AHEAD_BYTES_MAX: usize = 64 * 1024;
/// Reads that run together; each may hold a page of events.
const READS_AT_ONCE_MAX: usize = 16;

/// Serves a connection to its end.
pub(super) async fn serve(core: Rc<Core>, stream: Stream) {
    core.counters().connections.add(1);
    core.counters().connections_open.add(1);
    // Only in the first moments of a server's life does this wait.
    if let Either::First(()) = race(core.broker().loaded(), core.broker().link().draining()).await {
        let mut next = Some((stream, BytesMut::new()));
        while let Some((stream, input)) = next.take() {
            // In a box of its own: a listener, which may be silent for days, keeps nothing of it.
            if let Some(handoff) = Box::pin(serve_requests(core.clone(), stream, input)).await {
                next = hand_over(handoff).await;
            }
        }
    }
    core.counters().connections_open.subtract(1);
}

/// Serves requests until the connection ends or is wanted for something long.
async fn serve_requests(core: Rc<Core>, stream: Stream, input: BytesMut) -> Option<Box<Handoff>> {
    let alarm = core.new_alarm();
    let mut connection = Connection::new(core, stream, alarm, input);
    match connection.run().await {
        End::Closed => None,
        End::Handoff(wanted, trail) => Some(connection.into_handoff(*wanted, trail)),
    }
}

/// Lets the registered task serve the connection; gives it back if it goes on afterwards.
async fn hand_over(handoff: Box<Handoff>) -> Option<(Stream, BytesMut)> {
    let (serve, keeps_alive) = (handoff.core.listen(), handoff.head.keep_alive());
    // The box is gone before the wait, which may last for days.
    let serving = {
        let handoff = handoff;
        serve(*handoff)
    };
    match serving.await {
        Ending::GoOn { stream, leftover } if keeps_alive => Some((stream, leftover)),
        Ending::GoOn { .. } | Ending::Close => None,
    }
}

/// What the connection waits for while nothing is under way. Decides which timeout holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Just accepted or handed back.
    New,
    /// A request, of which no byte has come.
    Idle,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// Answers; no timeout.
    Busy,
}

/// How a failure is told: as problem details, and with which lines for its page.
type Form = (bool, Stamp);

/// How [`Connection::run`] ends.
enum End {
    Closed,
    Handoff(Box<Wanted>, Option<Box<Trail>>),
}

/// Why [`Connection::wait`] returned.
enum Woken {
    Answer(Answer),
    /// So many bytes came; 0 is the end.
    Bytes(usize),
    /// The socket failed.
    Broken,
    Timeout,
    Drain,
}

struct Connection {
    core: Rc<Core>,
    stream: Stream,
    alarm: Alarm,
    decoder: Decoder,
    input: BytesMut,
    output: BytesMut,
    queue: VecDeque<Queued>,
    /// Bodies of the queue, in bytes.
    queued_bytes: usize,
    /// Bytes that came of the request whose body is arriving.
    arriving_bytes: usize,
    account: Account,
    /// A request that may not start before the queue is empty.
    held: Option<(Plan, Request, u64)>,
    /// The client waits for `100 Continue`, behind the answers of the queue.
    continue_due: bool,
    /// No request is taken any more.
    is_closing: bool,
    /// The client has finished sending.
    is_eof: bool,
    phase: Phase,
}

impl Connection {
    fn new(core: Rc<Core>, stream: Stream, alarm: Alarm, input: BytesMut) -> Connection {
        let decoder = Decoder::new(core.decoder_config());
        Connection {
            account: Account::new(core.clone()),
            core,
            stream,
            alarm,
            decoder,
            input,
            output: BytesMut::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            arriving_bytes: 0,
            held: None,
            continue_due: false,
            is_closing: false,
            is_eof: false,
            phase: Phase::New,
        }
    }

    /// Serves requests until the connection ends or is wanted for something long.
    async fn run(&mut self) -> End {
        loop {
            self.start_requests();
            if let Some(answer) = self.answer_now().await {
                if self.write_answer(answer).await.is_err() {
                    return End::Closed;
                }
                continue;
            }
            if self.flush().await.is_err() {
                return End::Closed;
            }
            if let Some(Queued { flight: Flight::Handoff(..), .. }) = self.queue.front() {
                return self.take_handoff();
            }
            if self.is_over() {
                linger(&mut self.stream, self.is_eof).await;
                return End::Closed;
            }
            yield_if_needed().await;
            let woken = self.wait().await;
            if !self.react(woken).await {
                return End::Closed;
            }
        }
    }

    /// Takes in what woke the connection; `false` ends it.
    async fn react(&mut self, woken: Woken) -> bool {
        match woken {
            Woken::Answer(answer) => return self.write_answer(answer).await.is_ok(),
            Woken::Bytes(0) if self.only_waits() => return false,
            Woken::Bytes(0) => self.is_eof = true,
            Woken::Bytes(count) => {
                self.core.counters().bytes_in.add(count as u64);
                self.arriving_bytes += count;
                self.refuse_if_overloaded();
            }
            Woken::Timeout if self.phase != Phase::Idle => self.refuse_late(),
            Woken::Broken => return false,
            Woken::Timeout | Woken::Drain => {
                self.stream.say_end();
                return false;
            }
        }
        true
    }

    // --- requests ---

    /// Starts every request that is there and may run beside those under way.
    fn start_requests(&mut self) {
        while let Some((plan, request)) = self.next_request() {
            let (class, endpoint) = (plan.class(&request.body), Endpoint::of(&plan));
            if !self.may_start(class) {
                let generation = self.core.broker().identity().generation();
                self.held = Some((plan, request, generation));
                return;
            }
            let Request { head, body } = request;
            let (to, as_problem) = (head.reply_to(), super::negotiate::wants_problem(&head));
            self.is_closing |= !to.keep_alive;
            let size = (body.len(), self.core.cors().judge(&head));
            let trail = trail_of(&self.core, self.stream.peer_addr(), Some(&head), body.len());
            let flight = plan.start(&self.core, head, body);
            let queued = Queued::new((flight, class, endpoint), (to, as_problem), size, &self.core);
            self.push(queued.with(trail));
        }
    }

    fn next_request(&mut self) -> Option<(Plan, Request)> {
        if let Some((plan, request, generation)) = self.held.take() {
            // What was permitted then may not be any more.
            let is_fresh = generation == self.core.broker().identity().generation();
            let plan = if is_fresh { plan } else { self.plan(&request.head) };
            return Some((plan, request));
        }
        let limits = self.core.limits();
        let has_room =
            self.queue.len() < limits.pipeline_depth_max && self.queued_bytes <= limits.body_bytes_max;
        let is_handing_over = matches!(self.queue.back(), Some(Queued { flight: Flight::Handoff(..), .. }));
        if self.is_closing || !has_room || is_handing_over {
            return None;
        }
        match self.decoder.decode_request(&mut self.input) {
            Ok(Some(request)) => {
                self.arriving_bytes = self.input.len();
                // Leave that was not yet given is not needed any more.
                self.continue_due = false;
                Some((self.plan(&request.head), request))
            }
            Ok(None) => {
                self.look_at_pending_head();
                None
            }
            Err(error) => {
                self.refuse_bytes(error);
                None
            }
        }
    }

    fn plan(&self, head: &RequestHead) -> Plan {
        Plan::of(&Asker { core: &self.core, head, peer: self.stream.peer_addr().ip() })
    }

    fn may_start(&self, class: Class) -> bool {
        match self.queue.back() {
            None => true,
            Some(_) if class == Class::Alone => false,
            Some(_) if class == Class::Read && self.queue.len() >= READS_AT_ONCE_MAX => false,
            Some(queued) => queued.class == class,
        }
    }

    fn push(&mut self, queued: Queued) {
        self.queued_bytes += queued.body_bytes;
        self.queue.push_back(queued);
    }

    /// Puts an answer behind all others, after which the connection ends.
    fn push_last(&mut self, failure: Failure, to: ReplyTo, (form, trail): (Form, Option<Box<Trail>>)) {
        self.is_closing = true;
        self.push(Queued::last(failure, to, form, &self.core).with(trail));
    }

    /// The same for what cannot be read as a request.
    fn push_unread(&mut self, failure: Failure) {
        let trail = trail_of(&self.core, self.stream.peer_addr(), None, 0);
        self.push_last(failure, ReplyTo::UNREADABLE, ((false, self.core.cors().unread()), trail));
    }

    fn form_of_failure(&self, head: &RequestHead) -> (Form, Option<Box<Trail>>) {
        let trail = trail_of(&self.core, self.stream.peer_addr(), Some(head), 0);
        ((super::negotiate::wants_problem(head), self.core.cors().judge(head)), trail)
    }

    /// A client that waits for leave to send its body gets it, or the failure that its head deserves.
    fn look_at_pending_head(&mut self) {
        if !self.decoder.take_continue_due() {
            return;
        }
        let Some(head) = self.decoder.pending_head() else { return };
        match self.plan(head).failure() {
            Some(failure) => {
                let (failure, to, form) = (failure.clone(), head.reply_to(), self.form_of_failure(head));
                self.push_last(failure, to, form);
            }
            None => self.continue_due = true,
        }
    }

    /// Answers bytes that are no request. A body that is too large is told only to a request whose head is
    /// in order.
    fn refuse_bytes(&mut self, error: HttpError) {
        let limit = self.core.limits().body_bytes_max;
        let failure = failure_of_bytes(error, limit);
        let Some(head) = self.decoder.pending_head() else {
            return self.push_unread(failure);
        };
        let of_head = self.plan(head).failure().cloned();
        let (to, form) = (head.reply_to(), self.form_of_failure(head));
        self.push_last(of_head.unwrap_or(failure), to, form);
    }

    /// Gives up a request that the core has no memory for.
    fn refuse_if_overloaded(&mut self) {
        let held_bytes = self.held.as_ref().map_or(0, |(_, request, _)| request.body.len());
        let has_memory = self.account.set(self.arriving_bytes + self.queued_bytes + held_bytes);
        if !has_memory && self.queue.is_empty() && !self.is_closing {
            self.input = BytesMut::new();
            let failure = Failure::Unavailable(Unavailable::Overloaded);
            self.push_unread(failure);
            self.account.set(0);
        }
    }

    /// Answers a request that took too long to arrive.
    fn refuse_late(&mut self) {
        self.push_unread(Failure::RequestTimeout);
    }

    // --- answers ---

    /// The answer of the queue's front, if it is there.
    async fn answer_now(&mut self) -> Option<Answer> {
        let front = self.queue.front_mut()?;
        poll_fn(|cx| match front.flight.poll_answer(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Writes the front's answer, and sends if there is much to send.
    async fn write_answer(&mut self, answer: Answer) -> Result<(), WriteFailed> {
        let queued = self.queue.pop_front().expect("an answer has its request at the front");
        self.queued_bytes -= queued.body_bytes;
        self.account.set(self.arriving_bytes + self.queued_bytes);
        let is_last = self.queue.is_empty() && self.held.is_none();
        let keep_alive = queued.to.keep_alive && !(is_last && self.core.is_draining());
        self.is_closing |= !keep_alive;
        if self.output.capacity() == 0 {
            self.output = self.core.take_buffer();
        }
        let to = ReplyTo { keep_alive, ..queued.to };
        let mut outgoing = Outgoing { core: &self.core, stream: &mut self.stream, output: &mut self.output };
        let (status, bytes) = outgoing.write(answer, to, (queued.as_problem, queued.stamp)).await?;
        queued.finish(status, bytes);
        if self.continue_due && self.queue.is_empty() {
            self.put_continue();
        }
        Ok(())
    }

    fn put_continue(&mut self) {
        self.continue_due = false;
        http1::write_continue(&mut self.output);
    }

    async fn flush(&mut self) -> Result<(), WriteFailed> {
        if self.continue_due && self.queue.is_empty() {
            self.put_continue();
        }
        Outgoing { core: &self.core, stream: &mut self.stream, output: &mut self.output }.flush().await
    }

    // --- waiting ---

    /// Waits for the front's answer, for bytes, for the alarm or for the end of the server.
    async fn wait(&mut self) -> Woken {
        self.enter_phase();
        if self.phase == Phase::Idle {
            self.core.give_buffer(std::mem::take(&mut self.input));
            self.core.give_buffer(std::mem::take(&mut self.output));
        }
        poll_fn(|cx| self.poll_wake(cx)).await
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Woken> {
        if let Some(front) = self.queue.front_mut()
            && let Poll::Ready(answer) = front.flight.poll_answer(cx)
        {
            return Poll::Ready(Woken::Answer(answer));
        }
        let wants_more = self.queue.is_empty() && !self.is_closing;
        if !self.is_eof
            && (wants_more || self.input.len() < READ_AHEAD_BYTES_MAX)
            && let Poll::Ready(woken) = self.poll_read(cx)
        {
            return Poll::Ready(woken);
        }
        if self.alarm.poll_ring(cx).is_ready() {
            return Poll::Ready(Woken::Timeout);
        }
        if self.phase == Phase::Idle && self.core.is_draining() {
            return Poll::Ready(Woken::Drain);
        }
        Poll::Pending
    }

    /// Reads into the connection's buffer, or one of the core's that is given back when nothing came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Woken> {
        if self.input.capacity() == 0 {
            self.input = self.core.take_buffer();
        }
        match self.stream.poll_read(cx, &mut self.input, READ_BYTES_MAX) {
            Poll::Ready(Ok(count)) => Poll::Ready(Woken::Bytes(count)),
            Poll::Ready(Err(_)) => Poll::Ready(Woken::Broken),
            Poll::Pending => {
                // While requests are under way they may lie in it, and it is of use to nobody else.
                if self.input.is_empty() && self.queue.is_empty() {
                    self.core.give_buffer(std::mem::take(&mut self.input));
                }
                Poll::Pending
            }
        }
    }

    /// Finds out what is waited for, and sets the alarm for it.
    fn enter_phase(&mut self) {
        let before = self.phase;
        self.phase = if !self.queue.is_empty() {
            Phase::Busy
        } else if self.decoder.pending_head().is_some() {
            Phase::Body
        } else if !self.input.is_empty() || !self.decoder.is_idle() {
            Phase::Head
        } else {
            Phase::Idle
        };
        let limits = self.core.limits();
        let timeout_ms = match self.phase {
            Phase::Busy | Phase::New => return self.alarm.off(),
            // Progress is being made whenever we come here: bytes have come.
            Phase::Body => limits.body_timeout_ms,
            // A head has so much time in all, and an idle connection too.
            phase if phase == before => return,
            Phase::Head => limits.head_timeout_ms,
            Phase::Idle => limits.idle_timeout_ms,
        };
        self.alarm.set(Duration::from_millis(timeout_ms));
    }

    /// Whether all that is under way only waits for its client's sake.
    fn only_waits(&self) -> bool {
        matches!(self.queue.front(), Some(Queued { flight: Flight::Task { ends_with_client: true, .. }, .. }))
    }

    // --- the end ---

    fn is_over(&self) -> bool {
        let is_done = self.queue.is_empty() && self.held.is_none();
        (is_done && (self.is_closing || self.is_eof)) || (self.is_eof && self.only_waits())
    }

    fn take_handoff(&mut self) -> End {
        match self.queue.pop_front() {
            Some(Queued { flight: Flight::Handoff(wanted), trail, .. }) => End::Handoff(wanted, trail),
            _ => unreachable!("it was just seen at the front"),
        }
    }

    fn into_handoff(self, wanted: Wanted, mut trail: Option<Box<Trail>>) -> Box<Handoff> {
        let Wanted { purpose, head, session } = wanted;
        if let (Some(trail), Some(session)) = (&mut trail, &session) {
            trail.set_user(session.user());
        }
        let Connection { core, stream, alarm, input, output, .. } = self;
        core.give_buffer(output);
        alarm.off();
        Box::new(Handoff { core, stream, head, leftover: input, alarm, purpose, session, trail })
    }
}
