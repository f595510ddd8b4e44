//! The WebSocket form of `/listen`: events out, commands in.
//!
//! Commands are carried out in the order in which they came, and answered in that order. Publishes are put
//! under way at once, as many as a connection may have; whatever else comes behind them waits for their
//! answers. While the outbox is over its bound, or the shard has no room, nothing more is received.

use super::commands::{Command, Wanted, accepted, published, reason_of, refused};
use super::guard::{self, Guard};
use super::socket::Socket;
use super::wire::{SEND_BYTES, SEND_ENTRIES, Turn, Waits};
use crate::broker::fanout::{Begin, Entry, Fault, Listener, SubscriptionId};
use crate::broker::identity::Action;
use crate::broker::{AppendRequest, Broker, Pending};
use auth::policy::Permission;
use bytes::{Bytes, BytesMut};
use engine::{AckLevel, Appended, WatchTarget};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use types::{Drafts, EventDraft, Failure, StreamKey};
use websocket::{CloseCode, Event, encode_text};

/// What answers may add to an outbox that is at its bound.
const ANSWERS_BYTES_MAX: usize = 64 * 1024;

/// An answer whose turn has not come.
enum Owed {
    /// It is known.
    Known(Bytes),
    /// The fan-out itself answers when the subscription is open.
    Open(SubscriptionId),
    Published {
        id: String,
        pending: Pending<Appended>,
    },
}

/// How a conversation ends: with a close frame, or with a connection that is of no more use.
type End = Option<(CloseCode, &'static str)>;

struct Conversation {
    socket: Box<Socket>,
    broker: Rc<Broker>,
    listener: Listener,
    guard: Box<Guard>,
    owed: VecDeque<Owed>,
    /// A command that cannot be carried out yet.
    waiting: Option<Command>,
    /// The stream whose shard has no room for it.
    without_room: Option<StreamKey>,
    draining: bool,
    /// What the entries that are being sent count for in the outbox.
    cost: usize,
}

/// Serves a WebSocket to its end, for a listener whose subscriptions are open.
pub(super) async fn serve(socket: Box<Socket>, listener: Listener, guard: Box<Guard>) {
    let broker = socket.core.broker().clone();
    let (owed, waiting, without_room) = (VecDeque::new(), None, None);
    let mut conversation = Conversation {
        socket,
        broker,
        listener,
        guard,
        owed,
        waiting,
        without_room,
        draining: false,
        cost: 0,
    };
    let end = conversation.follow().await;
    let Conversation { mut socket, listener, .. } = conversation;
    if let Some((code, reason)) = end {
        // What was accepted goes out before the last word.
        let entries = listener.outbox().take(usize::MAX, usize::MAX).0;
        socket.wire.count_deliveries(entries.len());
        entries.into_iter().for_each(|entry| socket.wire.queue(wire_bytes(entry)));
        drop(listener);
        socket.close(code, reason).await;
    }
}

impl Conversation {
    async fn follow(&mut self) -> End {
        let outbox = self.listener.outbox().clone();
        let link = self.broker.link().clone();
        self.set_alarm();
        loop {
            if let Err(failure) = self.guard.check(&self.broker) {
                // What waits may be what the session may not have any more.
                self.listener.outbox().clear();
                return Some((CloseCode::POLICY_VIOLATION, guard::reason_of(&failure)));
            }
            self.converse();
            if !self.socket.is_open() {
                // The close frame is in the outbox, and nothing more is read.
                return Some((CloseCode::NORMAL, ""));
            }
            if self.draining && self.owed.is_empty() {
                return Some((CloseCode::GOING_AWAY, "draining"));
            }
            self.queue_entries();
            self.listener.pump();
            let draining = (!self.draining).then_some(&*link);
            let waits = Waits { changed: Some(outbox.changed()), draining, receives: self.may_receive() };
            let Conversation { socket, listener, owed, broker, without_room, .. } = self;
            let beside = |cx: &mut Context<'_>| {
                let answered = poll_owed(owed, listener, cx);
                let has_room = poll_room(broker, without_room, cx);
                if answered || has_room { Poll::Ready(()) } else { Poll::Pending }
            };
            match socket.wire.turn_beside(&socket.alarm, waits, beside).await {
                Turn::Sent => outbox.sent(std::mem::take(&mut self.cost)),
                Turn::Received => self.socket.handle_received(),
                Turn::Woken => {
                    if let Some(fault) = outbox.fault() {
                        return Some(close_of(&fault));
                    }
                }
                Turn::Beside => {}
                Turn::Draining => self.draining = true,
                Turn::Rang if self.socket.is_idle() => return Some((CloseCode::GOING_AWAY, "idle")),
                Turn::Rang if self.is_stuck() => return None,
                Turn::Rang => self.set_alarm(),
                Turn::Ended => return None,
            }
        }
    }

    /// Carries out what was received, as far as it goes without waiting.
    fn converse(&mut self) {
        while self.owed.len() < self.socket.core.limits().pipeline_depth_max && self.without_room.is_none() {
            if let Some(command) = self.waiting.take() {
                if !self.is_ready_for(&command) {
                    self.waiting = Some(command);
                    break;
                }
                self.carry_out(command);
                continue;
            }
            match self.socket.next_message() {
                None => break,
                Some(Event::Text(text)) => self.waiting = Some(Command::parse(&text)),
                Some(_) => self.socket.refuse(CloseCode::UNSUPPORTED, "commands are text"),
            }
        }
        let output = self.socket.take_output();
        if !output.is_empty() {
            self.listener.outbox().push(Entry::Wire(output));
        }
    }

    /// Whether a command may be carried out now: a publish while the shard has room, others while nothing is
    /// owed.
    fn is_ready_for(&mut self, command: &Command) -> bool {
        match &command.wanted {
            Ok(Wanted::Publish { stream, .. }) if !self.broker.has_room(stream) => {
                self.without_room = Some(stream.clone());
                false
            }
            Ok(Wanted::Publish { .. }) => true,
            _ => self.owed.is_empty(),
        }
    }

    fn carry_out(&mut self, command: Command) {
        let Command { id, wanted } = command;
        let answer = match wanted {
            Err(reason) => refused(&id, reason),
            Ok(Wanted::Ping) => accepted(&id, "ping"),
            Ok(Wanted::Subscribe { target, from, slow }) => {
                let welcome = Some(frame(&accepted(&id, "subscribe")));
                match self.subscribe(target, Begin { from, slow, welcome, after: None }) {
                    Ok(subscription) => return self.owed.push_back(Owed::Open(subscription)),
                    Err(reason) => refused(&id, reason),
                }
            }
            Ok(Wanted::Unsubscribe { target }) => match self.listener.unsubscribe(&target) {
                true => {
                    self.guard.forget(&target);
                    accepted(&id, "unsubscribe")
                }
                false => refused(&id, "not subscribed"),
            },
            Ok(Wanted::Publish { stream, data }) => match self.publish(stream, data) {
                Ok(pending) => return self.owed.push_back(Owed::Published { id, pending }),
                Err(failure) => refused(&id, reason_of(&failure)),
            },
        };
        self.owed.push_back(Owed::Known(frame(&answer)));
        if self.owed.len() == 1 {
            self.push_known();
        }
    }

    /// The answer that is known and whose turn it is.
    fn push_known(&mut self) {
        if let Some(Owed::Known(answer)) = self.owed.pop_front() {
            self.listener.outbox().push(Entry::Wire(answer));
        }
    }

    fn subscribe(&mut self, target: WatchTarget, begin: Begin) -> Result<SubscriptionId, &'static str> {
        if self.listener.subscription_count() >= self.socket.core.limits().subscriptions_max {
            return Err("too many subscriptions");
        }
        let (session, peer) = (self.guard.session(), self.socket.wire.peer().ip());
        let admitted = self.broker.may_listen(session, &target);
        let admitted = admitted.and_then(|()| self.broker.identity().count(Action::Listen, session, peer));
        admitted.map_err(|failure| reason_of(&failure))?;
        let subscribed = self.listener.subscribe(target.clone(), begin).map_err(|_| "already subscribed")?;
        self.guard.allow(&self.broker, &target).map_err(|failure| reason_of(&failure))?;
        Ok(subscribed)
    }

    fn publish(&self, stream: StreamKey, data: Bytes) -> Result<Pending<Appended>, Failure> {
        let (session, peer) = (self.guard.session(), self.socket.wire.peer().ip());
        self.broker.may(session, Permission::Put, &stream)?;
        self.broker.identity().count(Action::Put, session, peer)?;
        let limit = self.broker.limits().body_bytes_max;
        if data.len() > limit {
            return Err(Failure::TooLarge { limit: limit as u64 });
        }
        let (drafts, ack) = (Drafts::from([EventDraft::json(data)]), AckLevel::Fsync);
        self.broker.submit_append(AppendRequest { stream, drafts, expect: None, idempotency: None, ack })
    }

    /// Takes from the outbox once the last was sent.
    fn queue_entries(&mut self) {
        let outbox = self.listener.outbox();
        if !self.socket.wire.is_flushed() || outbox.is_empty() {
            return;
        }
        let (entries, cost) = outbox.take(SEND_BYTES, SEND_ENTRIES);
        self.socket.wire.count_deliveries(entries.len());
        self.cost += cost;
        entries.into_iter().for_each(|entry| self.socket.wire.queue(wire_bytes(entry)));
    }

    fn may_receive(&self) -> bool {
        let outbox = self.listener.outbox();
        let has_room = outbox.bytes() <= outbox.bytes_max() + ANSWERS_BYTES_MAX;
        let is_behind =
            self.waiting.is_some() || self.owed.len() >= self.socket.core.limits().pipeline_depth_max;
        has_room && !is_behind && !self.draining
    }

    fn stall_max(&self) -> Duration {
        Duration::from_millis(self.socket.core.limits().body_timeout_ms)
    }

    fn set_alarm(&self) {
        let stalled = self.socket.wire.stalled_for().unwrap_or_default();
        let left = self.stall_max().checked_sub(stalled).filter(|left| !left.is_zero());
        let sooner = self.guard.at_most_left(left.unwrap_or(self.stall_max()));
        self.socket.set_alarm(Some(sooner));
    }

    /// Whether the client has taken nothing for long, and asked to be closed then.
    fn is_stuck(&self) -> bool {
        let is_stalled = self.socket.wire.stalled_for().is_some_and(|stalled| stalled >= self.stall_max());
        is_stalled && self.listener.closes_when_slow()
    }
}

/// Answers what can be answered, in order; tells whether something was.
fn poll_owed(owed: &mut VecDeque<Owed>, listener: &Listener, cx: &mut Context<'_>) -> bool {
    let mut has_answered = false;
    loop {
        let answer = match owed.front_mut() {
            None => return has_answered,
            Some(Owed::Known(answer)) => Some(std::mem::take(answer)),
            Some(Owed::Open(id)) if listener.is_open(*id) => None,
            Some(Owed::Open(_)) => return has_answered,
            Some(Owed::Published { id, pending }) => match Pin::new(pending).poll(cx) {
                Poll::Pending => return has_answered,
                Poll::Ready(Ok(appended)) => Some(frame(&published(id, &appended))),
                Poll::Ready(Err(failure)) => Some(frame(&refused(id, reason_of(&failure)))),
            },
        };
        owed.pop_front();
        has_answered = true;
        if let Some(answer) = answer {
            listener.outbox().push(Entry::Wire(answer));
        }
    }
}

/// Looks whether the shard that had no room has some; tells whether it has.
fn poll_room(broker: &Broker, without_room: &mut Option<StreamKey>, cx: &mut Context<'_>) -> bool {
    let Some(stream) = without_room else { return false };
    let is_ready = pin!(broker.room(stream)).poll(cx).is_ready();
    if is_ready {
        *without_room = None;
    }
    is_ready
}

/// A text message.
fn frame(text: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(text.len() + 4);
    encode_text(text, None, &mut out);
    out.freeze()
}

fn wire_bytes(entry: Entry) -> Bytes {
    match entry {
        Entry::Wire(bytes) => bytes,
        Entry::Array(_) => unreachable!("this form gets frames"),
    }
}

fn close_of(fault: &Fault) -> (CloseCode, &'static str) {
    match fault {
        Fault::Failed(failure) => (CloseCode::INTERNAL_ERROR, reason_of(failure)),
        Fault::TooManyBehind => (CloseCode::POLICY_VIOLATION, "slow"),
    }
}
