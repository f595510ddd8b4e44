//! Laws of [`Subscription`]: a property against a model of shard, queues and outbox, and rows by hand.
//!
//! The model appends, trims, deletes, answers reads and delivers in one queue, in every order that a shard
//! may choose; the outbox fills and empties at random. Whatever the interleaving, each event is given once
//! and in order, a hole is told, and at rest the listener has everything.

use super::*;
use bytes::BytesMut;
use proptest::prelude::*;
use std::collections::VecDeque;
use types::EventDraft;

fn record(seq: u64) -> Record {
    let mut out = BytesMut::new();
    let draft = EventDraft::json(bytes::Bytes::from_static(b"1"));
    Record::encode(&mut out, &draft, SeqNum(seq), Timestamp(seq), None);
    Record::from_encoded(out.freeze())
}

fn reply(records: std::ops::Range<u64>, epoch: u64, at_tail: bool) -> ReadReply {
    let next = SeqNum(records.end);
    let (first, last) = (SeqNum::FIRST, next.previous());
    let records = records.map(record).collect();
    ReadReply { records, epoch: Epoch(epoch), first, last, gaps: Vec::new(), next, at_tail }
}

fn position(epoch: u64, next: u64) -> Position {
    Position { epoch: Epoch(epoch), next: SeqNum(next) }
}

fn opened(start: Start, slow: Slow, present: Position) -> Subscription {
    let mut subscription = Subscription::new(start, slow);
    subscription.handle_open(present);
    subscription
}

fn offer(epoch: u64, events: std::ops::Range<u64>) -> Offer {
    Offer { epoch: Epoch(epoch), first: SeqNum(events.start), next: SeqNum(events.end) }
}

#[test]
fn a_start_in_the_future_is_live_only() {
    for from in [6, 7, u64::MAX] {
        let subscription = opened(Start::From(SeqNum(from)), Slow::Wait, position(9, 6));
        assert!(subscription.is_settled(), "{from}");
        assert_eq!(subscription.position(), position(9, 6));
    }
}

#[test]
fn a_position_of_another_incarnation_starts_anew_and_is_told() {
    let mut subscription = opened(Start::After(position(3, 50)), Slow::Wait, position(9, 6));
    let (from, ticket) = subscription.begin_read();
    assert_eq!(from, ReadFrom::Seq(SeqNum(1)));
    let parts = subscription.handle_read(ticket, reply(1..6, 9, true));
    assert_eq!(parts, Some(vec![Part::Reset(Epoch(9)), Part::Records((1..6).map(record).collect())]));
    assert!(subscription.is_settled());
}

#[test]
fn a_position_in_a_stream_that_is_gone_waits_for_its_return() {
    let mut subscription = opened(Start::After(position(3, 50)), Slow::Wait, position(0, 1));
    assert!(subscription.is_live() && !subscription.is_settled());
    assert_eq!(subscription.offer(offer(8, 1..3), true), Answer::Take(Some(Epoch(8))));
    assert!(subscription.is_settled());
}

#[test]
fn a_reply_from_before_a_deletion_is_not_given() {
    let mut subscription = opened(Start::From(SeqNum(1)), Slow::Wait, position(9, 6));
    let (_, ticket) = subscription.begin_read();
    subscription.handle_deleted();
    assert_eq!(subscription.offer(offer(12, 1..2), true), Answer::Take(Some(Epoch(12))));
    assert_eq!(subscription.handle_read(ticket, reply(1..6, 9, true)), None);
    assert_eq!(subscription.position(), position(12, 2));
}

#[test]
fn gaps_stand_between_the_events_that_surround_them() {
    let mut subscription = opened(Start::From(SeqNum(1)), Slow::Wait, position(9, 9));
    let (_, ticket) = subscription.begin_read();
    let gap = |from, to| Gap { from: SeqNum(from), to: SeqNum(to), cause: GapCause::Damaged };
    let records = [3, 4, 7].map(record).to_vec();
    let gaps = vec![gap(1, 2), gap(5, 6), gap(8, 8)];
    let parts = subscription.handle_read(ticket, ReadReply { records, gaps, ..reply(9..9, 9, true) });
    let expected = vec![
        Part::Gap(gap(1, 2)),
        Part::Records(vec![record(3), record(4)]),
        Part::Gap(gap(5, 6)),
        Part::Records(vec![record(7)]),
        Part::Gap(gap(8, 8)),
    ];
    assert_eq!(parts, Some(expected));
}

#[test]
fn skipping_tells_one_gap_for_all_that_was_missed() {
    let mut subscription = opened(Start::Now, Slow::Skip, position(9, 5));
    assert_eq!(subscription.offer(offer(9, 5..7), false), Answer::Leave);
    assert_eq!(subscription.offer(offer(9, 7..8), true), Answer::Leave, "it has not jumped yet");
    assert_eq!(subscription.want(), Want::Jump);
    let gap = Gap { from: SeqNum(5), to: SeqNum(7), cause: GapCause::Trimmed };
    assert_eq!(subscription.jump(), (Epoch(9), vec![Part::Gap(gap)]));
    assert_eq!(subscription.offer(offer(9, 8..9), true), Answer::Take(None));
}

#[test]
fn damage_that_the_shard_skipped_is_told_to_who_is_live() {
    let mut live = opened(Start::Now, Slow::Wait, position(9, 5));
    let gap = Gap { from: SeqNum(5), to: SeqNum(7), cause: GapCause::Damaged };
    assert_eq!(live.handle_skipped(SeqNum(5), SeqNum(8)), Some(gap));
    assert_eq!(live.offer(offer(9, 8..9), true), Answer::Take(None));
    let mut behind = opened(Start::From(SeqNum(1)), Slow::Wait, position(9, 5));
    assert_eq!(behind.handle_skipped(SeqNum(5), SeqNum(8)), None, "its reads will tell");
}

#[test]
fn a_delivery_that_does_not_continue_sends_it_to_the_log() {
    let mut subscription = opened(Start::Now, Slow::Wait, position(9, 5));
    assert_eq!(subscription.offer(offer(9, 7..8), true), Answer::Leave);
    assert_eq!(subscription.begin_read().0, ReadFrom::Seq(SeqNum(5)));
}

/// What the model's listener got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Got {
    Event(Epoch, u64),
    Gap(u64, u64),
    Reset(Epoch),
}

enum Message {
    Began(Position),
    Records(Epoch, std::ops::Range<u64>),
    Deleted,
    Read(ReadTicket, ReadReply),
}

enum Command {
    Watch,
    Read(ReadTicket, ReadFrom, usize),
}

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Delete,
    /// Trims so many events.
    Trim(u64),
    /// The shard takes a command.
    Command,
    /// A message of the shard arrives.
    Arrive,
    /// The listener's socket takes so many events.
    Drain(usize),
    /// The listener's task looks what is wanted.
    Pump,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u64..6).prop_map(Step::Append),
        1 => Just(Step::Delete),
        1 => (1_u64..9).prop_map(Step::Trim),
        6 => Just(Step::Command),
        9 => Just(Step::Arrive),
        4 => (1_usize..9).prop_map(Step::Drain),
        5 => Just(Step::Pump),
    ];
    proptest::collection::vec(step, 0..120)
}

const OUTBOX_EVENTS: usize = 6;

struct World {
    epoch: Epoch,
    epochs: u64,
    first: u64,
    next: u64,
    watched: bool,
    commands: VecDeque<Command>,
    messages: VecDeque<Message>,
    subscription: Subscription,
    queued: usize,
    got: Vec<Got>,
    /// Where the listener was when the watch began.
    start: Option<Position>,
    /// Everything that was ever trimmed: epoch and the first that was left.
    trimmed: Vec<(Epoch, u64)>,
}

impl World {
    fn new(start: Start, slow: Slow, history: u64) -> World {
        World {
            epoch: Epoch(u64::from(history > 0)),
            epochs: 1,
            first: 1,
            next: 1 + history,
            watched: false,
            commands: VecDeque::from([Command::Watch]),
            messages: VecDeque::new(),
            subscription: Subscription::new(start, slow),
            queued: 0,
            got: Vec::new(),
            start: None,
            trimmed: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Append(count) => self.append(count),
            Step::Delete => self.delete(),
            Step::Trim(count) if self.epoch != Epoch(0) => {
                self.first = (self.first + count).min(self.next);
                self.trimmed.push((self.epoch, self.first));
            }
            Step::Trim(_) => {}
            Step::Command => self.command(),
            Step::Arrive => self.arrive(),
            Step::Drain(count) => self.queued = self.queued.saturating_sub(count),
            Step::Pump => self.pump(),
        }
    }

    fn append(&mut self, count: u64) {
        if self.epoch == Epoch(0) {
            self.epochs += 1;
            (self.epoch, self.first, self.next) = (Epoch(self.epochs), 1, 1);
        }
        let events = self.next..self.next + count;
        self.next = events.end;
        if self.watched {
            self.messages.push_back(Message::Records(self.epoch, events));
        }
    }

    fn delete(&mut self) {
        if self.epoch == Epoch(0) {
            return;
        }
        (self.epoch, self.first, self.next) = (Epoch(0), 1, 1);
        if self.watched {
            self.messages.push_back(Message::Deleted);
        }
    }

    fn present(&self) -> Position {
        Position { epoch: self.epoch, next: SeqNum(self.next) }
    }

    fn command(&mut self) {
        match self.commands.pop_front() {
            None => {}
            Some(Command::Watch) => {
                self.watched = true;
                self.messages.push_back(Message::Began(self.present()));
            }
            Some(Command::Read(ticket, from, limit)) => {
                let reply = self.read(from, limit);
                self.messages.push_back(Message::Read(ticket, reply));
            }
        }
    }

    /// What the engine answers.
    fn read(&self, from: ReadFrom, limit: usize) -> ReadReply {
        if self.epoch == Epoch(0) {
            return ReadReply::of_nothing();
        }
        let ReadFrom::Seq(from) = from else { panic!("the model knows no times") };
        let begin = from.0.max(self.first);
        let end = (begin + limit as u64).min(self.next).max(begin.min(self.next));
        let mut answer = reply(begin.min(end)..end, self.epoch.0, end == self.next);
        if from.0 < self.first {
            let to = SeqNum(self.first - 1);
            answer.gaps.push(Gap { from, to, cause: GapCause::Trimmed });
        }
        answer
    }

    fn arrive(&mut self) {
        match self.messages.pop_front() {
            None => {}
            Some(Message::Began(present)) => {
                self.subscription.handle_open(present);
                self.start = Some(self.subscription.position());
            }
            Some(Message::Deleted) => self.subscription.handle_deleted(),
            Some(Message::Records(epoch, events)) => {
                let mut first = events.start;
                while first < events.end {
                    let next = (first + 3).min(events.end);
                    self.offer(epoch, first..next);
                    first = next;
                }
            }
            Some(Message::Read(ticket, reply)) => {
                let epoch = reply.epoch;
                for part in self.subscription.handle_read(ticket, reply).unwrap_or_default() {
                    self.take(part, epoch);
                }
            }
        }
    }

    fn offer(&mut self, epoch: Epoch, events: std::ops::Range<u64>) {
        let has_room = self.queued < OUTBOX_EVENTS;
        match self.subscription.offer(offer(epoch.0, events.clone()), has_room) {
            Answer::Leave => {}
            Answer::Take(reset) => {
                self.got.extend(reset.map(Got::Reset));
                self.queued += events.clone().count();
                self.got.extend(events.map(|seq| Got::Event(epoch, seq)));
            }
        }
    }

    fn take(&mut self, part: Part, epoch: Epoch) {
        match part {
            Part::Reset(epoch) => self.got.push(Got::Reset(epoch)),
            Part::Gap(gap) => self.got.push(Got::Gap(gap.from.0, gap.to.0)),
            Part::Records(records) => {
                self.queued += records.len();
                self.got.extend(records.iter().map(|record| Got::Event(epoch, record.seq().0)));
            }
        }
    }

    fn pump(&mut self) {
        if self.queued >= OUTBOX_EVENTS {
            return;
        }
        match self.subscription.want() {
            Want::Nothing => {}
            Want::Read => {
                let (from, ticket) = self.subscription.begin_read();
                self.commands.push_back(Command::Read(ticket, from, OUTBOX_EVENTS));
            }
            Want::Jump => {
                let (epoch, parts) = self.subscription.jump();
                for part in parts {
                    self.take(part, epoch);
                }
            }
        }
    }

    /// Nothing is appended any more and the socket takes everything.
    fn come_to_rest(&mut self) {
        for _ in 0..10_000 {
            self.queued = 0;
            let moves = self.commands.len() + self.messages.len();
            if moves == 0 && self.subscription.want() == Want::Nothing && self.watched {
                return;
            }
            self.command();
            self.arrive();
            self.pump();
        }
        panic!("it does not come to rest");
    }

    /// The law. `may_skip` allows gaps that were not trimmed.
    fn check(&self, may_skip: bool) {
        let start = self.start.expect("the watch began");
        let (mut epoch, mut next) = (start.epoch, start.next.0);
        for got in &self.got {
            match *got {
                Got::Reset(to) => {
                    assert!(to > epoch, "{:?}: a reset leads to a later epoch", self.got);
                    (epoch, next) = (to, 1);
                }
                Got::Gap(from, to) => {
                    assert!(from == next && to >= from, "{:?}: a gap at {next}", self.got);
                    let trimmed = self.trimmed.iter().any(|(of, first)| *of == epoch && to < *first);
                    assert!(trimmed || may_skip, "{:?}: {from}..={to} was there", self.got);
                    next = to + 1;
                }
                Got::Event(of, seq) => {
                    if epoch == Epoch(0) {
                        epoch = of;
                    }
                    assert_eq!((of, seq), (epoch, next), "{:?}", self.got);
                    next += 1;
                }
            }
        }
        assert!(self.subscription.is_live(), "at rest it is live");
        assert_eq!(self.subscription.position(), self.present());
        if self.epoch != Epoch(0) && self.start != Some(self.present()) {
            assert_eq!((epoch, next), (self.epoch, self.next), "{:?}: at rest it has everything", self.got);
        }
    }
}

fn starts() -> impl Strategy<Value = Start> {
    prop_oneof![Just(Start::Now), (0_u64..30).prop_map(|from| Start::From(SeqNum(from)))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_the_interleaving_every_event_comes_once_in_order_without_a_hole(
        start in starts(), history in 0_u64..20, steps in steps(),
    ) {
        let mut world = World::new(start, Slow::Wait, history);
        steps.iter().for_each(|step| world.step(step));
        world.come_to_rest();
        world.check(false);
    }

    #[test]
    fn a_listener_that_skips_is_told_every_hole(
        start in starts(), history in 0_u64..20, steps in steps(),
    ) {
        let mut world = World::new(start, Slow::Skip, history);
        steps.iter().for_each(|step| world.step(step));
        world.come_to_rest();
        world.check(true);
    }
}
