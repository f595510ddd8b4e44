//! One listener's place in one stream, from the past to the present and back, as a value.
//!
//! The fan-out tells it what arrives (the watch began, events, a deletion, a read's reply) and asks what is
//! to
//! be given on, and whether it wants a read. It decides nothing by time and touches nothing. The deliveries
//! of a stream and the replies of reads arrive in one order, that of the shard; therefore a reply that is at
//! the tail makes the next delivery the continuation.
//! Invariants: `position.next` is the next sequence number that the listener gets; every one below it (of the
//! same epoch, from the start on) was given or told as a gap; exactly the state `Reading` has a read under
//! way.

use engine::{Gap, GapCause, ReadFrom, ReadReply};
use types::{Epoch, Record, SeqNum, Timestamp};

/// A place in a stream: the next sequence number to be given, of which incarnation (zero: of none yet).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Position {
    /// The incarnation that `next` belongs to.
    pub epoch: Epoch,
    /// The next event.
    pub next: SeqNum,
}

/// Where a subscription starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With the next event that comes.
    Now,
    /// With this event or, where it lies in the future, with the next one that comes.
    From(SeqNum),
    /// Where an earlier listener stopped; from the start of the stream if it was made anew since.
    After(Position),
    /// With the first event that is not older.
    Since(Timestamp),
}

/// What happens when the listener cannot take a live event because its outbox is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Slow {
    /// It catches up from the log.
    #[default]
    Wait,
    /// It misses events, is told which, and goes on in the present.
    Skip,
    /// As `Wait`, but a listener that takes nothing for long is closed.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The watch has not begun.
    Opening(Start),
    /// The next delivery continues at `position`.
    Live,
    /// A read from `position` is due.
    Behind,
    /// A read from `position` is under way.
    Reading,
    /// Live events are missed until there is room; `position` would have to be this.
    Skipping(Position),
}

/// Live events that the listener could take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) epoch: Epoch,
    pub(super) first: SeqNum,
    /// One after the last.
    pub(super) next: SeqNum,
}

/// What becomes of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Give it on; first say that the stream was made anew, if there is an epoch here.
    Take(Option<Epoch>),
    /// Nothing: it comes from the log, or is missed.
    Leave,
}

/// What a subscription wants as soon as its listener has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Nothing,
    /// [`Subscription::begin_read`].
    Read,
    /// [`Subscription::jump`].
    Jump,
}

/// Something to be given on, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// The stream was made anew.
    Reset(Epoch),
    /// Events that will not come.
    Gap(Gap),
    /// Events, contiguous.
    Records(Vec<Record>),
}

/// The number of a read, to know its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReadTicket(u32);

#[derive(Clone, Debug)]
pub(super) struct Subscription {
    state: State,
    position: Position,
    /// The first read starts at a time instead of `position`.
    since: Option<Timestamp>,
    /// The listener has to be told that the stream was made anew, once it is.
    reset_due: bool,
    slow: Slow,
    /// Raised when a read that is under way no longer counts.
    ticket: u32,
}

impl Subscription {
    pub(super) fn new(start: Start, slow: Slow) -> Subscription {
        let position = Position { epoch: Epoch(0), next: SeqNum::FIRST };
        Subscription {
            state: State::Opening(start),
            position,
            since: None,
            reset_due: false,
            slow,
            ticket: 0,
        }
    }

    /// The watch has begun; the next delivery will be at `present`.
    pub(super) fn handle_open(&mut self, present: Position) {
        let State::Opening(start) = self.state else { unreachable!("a watch begins once") };
        self.position = present;
        self.state = State::Live;
        match start {
            Start::Now => {}
            Start::From(from) => self.go_back_to(from.max(SeqNum::FIRST)),
            Start::After(Position { epoch, next }) if epoch == present.epoch => self.go_back_to(next),
            Start::After(Position { epoch, .. }) => {
                self.reset_due = epoch != Epoch(0);
                self.go_back_to(SeqNum::FIRST);
            }
            Start::Since(time) => {
                self.go_back_to(SeqNum::FIRST);
                self.since = (self.state == State::Behind).then_some(time);
            }
        }
        self.assert_invariants();
    }

    /// Starts at `from`, if that lies in the past.
    fn go_back_to(&mut self, from: SeqNum) {
        if from < self.position.next {
            self.position.next = from;
            self.state = State::Behind;
        }
    }

    /// New events arrived; `has_room` says whether the listener could take them.
    pub(super) fn offer(&mut self, offer: Offer, has_room: bool) -> Answer {
        assert!(offer.first < offer.next, "an offer has events");
        let after = Position { epoch: offer.epoch, next: offer.next };
        let answer = match self.state {
            State::Live if offer.first != self.position.next => {
                // The shard keeps deliveries contiguous; where it does not, the log knows better.
                self.state = State::Behind;
                Answer::Leave
            }
            State::Live if has_room => {
                self.position = after;
                Answer::Take(self.take_reset(offer.epoch))
            }
            State::Live if self.slow == Slow::Skip => {
                self.state = State::Skipping(after);
                Answer::Leave
            }
            State::Live => {
                self.state = State::Behind;
                Answer::Leave
            }
            State::Skipping(_) => {
                self.state = State::Skipping(after);
                Answer::Leave
            }
            State::Opening(_) | State::Behind | State::Reading => Answer::Leave,
        };
        self.assert_invariants();
        answer
    }

    /// The stream was deleted: its next event is the first one of a new incarnation.
    pub(super) fn handle_deleted(&mut self) {
        if matches!(self.state, State::Opening(_)) {
            return;
        }
        self.reset_due |= self.position.epoch != Epoch(0);
        self.position = Position { epoch: Epoch(0), next: SeqNum::FIRST };
        self.since = None;
        // Nothing of the old incarnation is left to read, and a read that is under way no longer counts.
        self.ticket = self.ticket.wrapping_add(1);
        self.state = State::Live;
        self.assert_invariants();
    }

    /// The shard skipped `from..next` after damage. Gives the gap to be told.
    pub(super) fn handle_skipped(&mut self, from: SeqNum, next: SeqNum) -> Option<Gap> {
        match &mut self.state {
            State::Live if from == self.position.next && from < next => {
                self.position.next = next;
                Some(Gap { from, to: next.previous(), cause: GapCause::Damaged })
            }
            State::Live => {
                self.state = State::Behind;
                None
            }
            State::Skipping(upto) => {
                upto.next = next;
                None
            }
            State::Opening(_) | State::Behind | State::Reading => None,
        }
    }

    /// Starts the read that is wanted.
    pub(super) fn begin_read(&mut self) -> (ReadFrom, ReadTicket) {
        assert_eq!(self.state, State::Behind, "a read is begun when it is due");
        self.state = State::Reading;
        let from = self.since.map_or(ReadFrom::Seq(self.position.next), ReadFrom::Time);
        (from, ReadTicket(self.ticket))
    }

    /// A read's reply arrived. Gives what it brings, in order; `None` when it no longer counts.
    pub(super) fn handle_read(&mut self, ticket: ReadTicket, reply: ReadReply) -> Option<Vec<Part>> {
        if self.state != State::Reading || ticket.0 != self.ticket {
            return None;
        }
        let mut parts = Vec::new();
        parts.extend(self.take_reset(reply.epoch).map(Part::Reset));
        let is_by_time = self.since.take().is_some();
        if let (Some(first), false) = (reply.records.first(), is_by_time) {
            assert!(first.seq() >= self.position.next, "a read goes on where it was asked to");
        }
        split_at_gaps(reply.records, &reply.gaps, &mut parts);
        self.position = Position { epoch: reply.epoch, next: reply.next };
        self.state = if reply.at_tail { State::Live } else { State::Behind };
        self.assert_invariants();
        Some(parts)
    }

    /// Goes on in the present after missed events. Gives the epoch, what was missed, and the reset that is
    /// due.
    pub(super) fn jump(&mut self) -> (Epoch, Vec<Part>) {
        let State::Skipping(upto) = self.state else { unreachable!("only what skips jumps") };
        let mut parts = Vec::new();
        parts.extend(self.take_reset(upto.epoch).map(Part::Reset));
        let (from, to) = (self.position.next, upto.next.previous());
        parts.push(Part::Gap(Gap { from, to, cause: GapCause::Trimmed }));
        self.position = upto;
        self.state = State::Live;
        self.assert_invariants();
        (upto.epoch, parts)
    }

    pub(super) fn want(&self) -> Want {
        match self.state {
            State::Behind => Want::Read,
            State::Skipping(_) => Want::Jump,
            State::Opening(_) | State::Live | State::Reading => Want::Nothing,
        }
    }

    /// Whether the next delivery is for the listener.
    pub(super) fn is_live(&self) -> bool {
        self.state == State::Live
    }

    /// Whether it is live and owes its listener no word of a reset.
    pub(super) fn is_settled(&self) -> bool {
        self.is_live() && !self.reset_due
    }

    pub(super) fn slow(&self) -> Slow {
        self.slow
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    fn take_reset(&mut self, epoch: Epoch) -> Option<Epoch> {
        let is_due = self.reset_due && epoch != Epoch(0);
        self.reset_due &= !is_due;
        is_due.then_some(epoch)
    }

    fn assert_invariants(&self) {
        assert!(self.position.next >= SeqNum::FIRST, "no event has number 0");
        if let State::Skipping(upto) = self.state {
            assert!(self.position.next < upto.next, "what is skipped lies between here and the present");
        }
        assert!(self.since.is_none() || !self.is_live(), "a start by time is used up by its first read");
    }
}

/// Puts records and the gaps between them in order.
fn split_at_gaps(mut records: Vec<Record>, gaps: &[Gap], parts: &mut Vec<Part>) {
    for gap in gaps {
        let later = records.split_off(records.partition_point(|record| record.seq() < gap.from));
        if !records.is_empty() {
            parts.push(Part::Records(records));
        }
        parts.push(Part::Gap(*gap));
        records = later;
    }
    if !records.is_empty() {
        parts.push(Part::Records(records));
    }
}

#[cfg(test)]
#[path = "subscription_tests.rs"]
mod tests;
