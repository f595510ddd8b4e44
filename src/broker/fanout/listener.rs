//! What the fan-out keeps of one listener: its subscriptions, and the reads that it has under way.
//!
//! Pure but for the outbox it appends to. Memory is bounded: what waits stands in the outbox, what reads may
//! bring is reserved before they begin, and `turns` holds each subscription (or stream of a pattern) that
//! wants something at most once.

use super::glob::Glob;
use super::item::{Array, Kind};
use super::outbox::{ArrayEntry, Entry, Outbox};
use super::slab::Key;
use super::subscription::{Part, Position, ReadTicket, Slow, Subscription, Want};
use super::{Form, item};
use crate::broker::event_json::names_of;
use bytes::Bytes;
use engine::{ReadFrom, ReadReply};
use std::collections::VecDeque;
use std::rc::Rc;
use types::{Epoch, StreamKey, stream_hash};

/// Reads of one listener under way at once.
const READS_MAX: usize = 4;
/// A read's share of the outbox. What it brings is framed and may be base64, so twice as much is reserved.
const READ_SHARE: usize = 8;
/// Most payload bytes of one read: a slice of work that holds nobody up.
const READ_BYTES_MAX: usize = 128 * 1024;
/// What an item of a small event takes.
const ITEM_BYTES: usize = 128;

/// The number of a subscription of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionId {
    /// Its place among the listener's subscriptions, in the order of subscribing.
    pub index: usize,
    /// Never the same for two subscriptions of a listener.
    serial: u64,
}

/// What a subscription names.
#[derive(Debug)]
pub(super) enum Named {
    Stream(StreamKey, Subscription),
    Pattern(Box<Glob>),
}

#[derive(Debug)]
pub(super) struct Entrant {
    pub(super) id: SubscriptionId,
    pub(super) route: Key,
    /// Place among the route's members.
    pub(super) member: usize,
    pub(super) named: Named,
    /// Sent before anything of this subscription.
    pub(super) welcome: Option<Bytes>,
    pub(super) is_open: bool,
}

/// Something that a subscription wants when there is room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) id: SubscriptionId,
    pub(super) stream: StreamKey,
}

/// A read that is to be sent.
#[derive(Debug)]
pub(super) struct WantedRead {
    pub(super) turn: Turn,
    pub(super) from: ReadFrom,
    pub(super) ticket: ReadTicket,
    pub(super) limit: usize,
    pub(super) bytes_max: usize,
}

#[derive(Debug)]
pub(super) struct ListenerState {
    pub(super) outbox: Rc<Outbox>,
    pub(super) form: Form,
    /// Notices of gaps and resets are wanted as items.
    pub(super) notices: bool,
    pub(super) entrants: Vec<Option<Entrant>>,
    /// Places among the entrants that are empty.
    free: Vec<usize>,
    /// Subscriptions whose watch has not begun.
    unopened: usize,
    serials: u64,
    turns: VecDeque<Turn>,
    reads: usize,
}

impl ListenerState {
    pub(super) fn new(outbox: Rc<Outbox>, form: Form, notices: bool) -> ListenerState {
        let (entrants, free, turns) = (Vec::new(), Vec::new(), VecDeque::new());
        ListenerState { outbox, form, notices, entrants, free, unopened: 0, serials: 0, turns, reads: 0 }
    }

    /// Adds a subscription, in a free place or behind all others.
    pub(super) fn add(
        &mut self,
        route: Key,
        member: usize,
        named: Named,
        welcome: Option<Bytes>,
    ) -> SubscriptionId {
        let index = self.free.pop().unwrap_or(self.entrants.len());
        if index == self.entrants.len() {
            self.entrants.push(None);
        }
        self.serials += 1;
        self.unopened += 1;
        let id = SubscriptionId { index, serial: self.serials };
        self.entrants[index] = Some(Entrant { id, route, member, named, welcome, is_open: false });
        id
    }

    /// Takes a subscription out.
    pub(super) fn remove(&mut self, index: usize) -> Option<Entrant> {
        let entrant = self.entrants.get_mut(index)?.take()?;
        self.free.push(index);
        self.unopened -= usize::from(!entrant.is_open);
        Some(entrant)
    }

    /// How many subscriptions there are.
    pub(super) fn count(&self) -> usize {
        self.entrants.len() - self.free.len()
    }

    /// Whether the watches of all subscriptions have begun.
    pub(super) fn all_open(&self) -> bool {
        self.unopened == 0
    }

    pub(super) fn entrant(&self, id: SubscriptionId) -> Option<&Entrant> {
        self.entrants.get(id.index)?.as_ref().filter(|entrant| entrant.id == id)
    }

    pub(super) fn entrant_mut(&mut self, id: SubscriptionId) -> Option<&mut Entrant> {
        self.entrants.get_mut(id.index)?.as_mut().filter(|entrant| entrant.id == id)
    }

    /// The watch of a subscription has begun.
    pub(super) fn open(&mut self, index: usize, present: Position) {
        let entrant = self.entrants[index].as_mut().expect("a member is a subscription");
        assert!(!entrant.is_open, "a watch begins once");
        entrant.is_open = true;
        self.unopened -= 1;
        if let Some(welcome) = entrant.welcome.take() {
            self.outbox.push(Entry::Wire(welcome));
        }
        if let Named::Stream(stream, subscription) = &mut entrant.named {
            subscription.handle_open(present);
            let turn = Turn { id: entrant.id, stream: stream.clone() };
            if subscription.want() != Want::Nothing {
                self.turns.push_back(turn);
            }
        }
        self.outbox.wake();
    }

    /// Notes that a subscription left live delivery.
    pub(super) fn push_turn(&mut self, id: SubscriptionId, stream: &StreamKey) {
        self.turns.push_back(Turn { id, stream: stream.clone() });
        self.outbox.wake();
    }

    /// Whether something of the past is wanted.
    pub(super) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// The next turn, if there is room for what it may bring.
    pub(super) fn take_turn(&mut self) -> Option<Turn> {
        let share = self.read_share();
        let reserved = 2 * share * (self.reads + 1);
        let is_alone = self.reads == 0 && self.outbox.bytes() <= self.outbox.bytes_max() / 2;
        let has_room = self.outbox.bytes() + reserved <= self.outbox.bytes_max();
        if self.reads >= READS_MAX || !(is_alone || has_room) {
            return None;
        }
        self.turns.pop_front()
    }

    /// Puts a turn back that the shard has no room for.
    pub(super) fn give_turn_back(&mut self, turn: Turn) {
        self.turns.push_front(turn);
    }

    /// What a subscription whose turn it is wants now.
    pub(super) fn want(&self, turn: &Turn) -> Want {
        match self.entrant(turn.id).map(|entrant| &entrant.named) {
            None => Want::Nothing,
            Some(Named::Stream(_, subscription)) => subscription.want(),
            Some(Named::Pattern(glob)) => glob.want(&turn.stream.stream),
        }
    }

    /// Starts the read of a turn.
    pub(super) fn begin_read(&mut self, turn: Turn) -> WantedRead {
        let bytes_max = self.read_share();
        let entrant = self.entrant_mut(turn.id).expect("it wants a read");
        let (from, ticket) = match &mut entrant.named {
            Named::Stream(_, subscription) => subscription.begin_read(),
            Named::Pattern(glob) => glob.begin_read(&turn.stream.stream),
        };
        self.reads += 1;
        WantedRead { turn, from, ticket, limit: (bytes_max / ITEM_BYTES).max(1), bytes_max }
    }

    /// Goes on in the present.
    pub(super) fn jump(&mut self, turn: &Turn) {
        let entrant = self.entrant_mut(turn.id).expect("it wants to jump");
        let (epoch, parts) = match &mut entrant.named {
            Named::Stream(_, subscription) => subscription.jump(),
            Named::Pattern(glob) => glob.jump(&turn.stream),
        };
        self.push_parts(turn, epoch, parts);
    }

    /// A read came back without a result.
    pub(super) fn end_read(&mut self) {
        self.reads -= 1;
    }

    /// A read's reply arrived.
    pub(super) fn handle_read(&mut self, turn: &Turn, ticket: ReadTicket, reply: ReadReply) {
        self.end_read();
        let epoch = reply.epoch;
        let Some(entrant) = self.entrant_mut(turn.id) else { return self.outbox.wake() };
        let parts = match &mut entrant.named {
            Named::Stream(_, subscription) => subscription.handle_read(ticket, reply),
            Named::Pattern(glob) => glob.handle_read(&turn.stream, ticket, reply),
        };
        if let Some(parts) = parts {
            self.push_parts(turn, epoch, parts);
            if self.want(turn) == Want::Read {
                self.turns.push_back(turn.clone());
            }
        }
        self.outbox.wake();
    }

    fn push_parts(&mut self, turn: &Turn, epoch: Epoch, parts: Vec<Part>) {
        let names = names_of(&turn.stream);
        for part in parts {
            match part {
                Part::Reset(epoch) => self.push(turn.id, &turn.stream, &item::reset_notice(&names, epoch)),
                Part::Gap(gap) => self.push(turn.id, &turn.stream, &item::gap_notice(&names, epoch, &gap)),
                Part::Records(records) => {
                    for array in item::arrays_of(&names, epoch, &records) {
                        self.push(turn.id, &turn.stream, &array);
                    }
                }
            }
        }
    }

    /// Appends an array in the listener's form, if it wants such.
    pub(super) fn push(&self, id: SubscriptionId, stream: &StreamKey, array: &Array) {
        let is_notice = array.kind != Kind::Events;
        let entry = match self.form {
            Form::WebSocket | Form::LongPoll if is_notice && !self.notices => return,
            Form::WebSocket => Entry::Wire(array.websocket()),
            Form::SseOfOne { tag } => Entry::Wire(array.sse(tag)),
            Form::LongPoll | Form::Sse => {
                let is_pattern = self.entrant(id).is_some_and(|e| matches!(e.named, Named::Pattern(_)));
                Entry::Array(ArrayEntry {
                    json: array.json(),
                    kind: array.kind,
                    subscription: id.index,
                    stream: is_pattern.then(|| stream_hash(stream)),
                    after: array.after,
                })
            }
        };
        self.outbox.push(entry);
    }

    /// Whether live events of so many bytes could be taken.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.outbox.has_room(bytes)
    }

    /// Whether a subscription that is to be closed when it is slow waits for room.
    pub(super) fn closes_when_slow(&self) -> bool {
        self.entrants.iter().flatten().any(|entrant| match &entrant.named {
            Named::Stream(_, subscription) => subscription.slow() == Slow::Close && !subscription.is_live(),
            Named::Pattern(glob) => glob.slow() == Slow::Close && !glob.is_live(),
        })
    }

    fn read_share(&self) -> usize {
        (self.outbox.bytes_max() / READ_SHARE).min(READ_BYTES_MAX)
    }
}
