//! Hand-made histories, one good and at least one bad for every law.
//!
//! A [`Story`] tells the checker what clients of one stream did and saw; a law is broken by the one reply
//! that contradicts it. Here the laws of appends and of what must be there.

mod removal;
mod replies;

use super::*;
use bytes::BytesMut;
use engine::{Append, Appended, Change, Delivery, Gap, GapCause, OnMismatch, ReadFrom, ReadReply};
use types::{Epoch, EventDraft, Idempotency, Record, Timestamp, Unavailable};

const SHARD: ShardId = ShardId(0);
const CORE: CoreId = CoreId(0);
const E1: Epoch = Epoch(1);
const E9: Epoch = Epoch(9);

/// A history told in short sentences about one stream.
#[derive(Default)]
struct Story {
    history: History,
    request: u64,
}

fn key() -> StreamKey {
    StreamKey::parse("b", "s").unwrap()
}

fn draft(payload: &'static str) -> EventDraft {
    EventDraft::json(Bytes::from_static(payload.as_bytes()))
}

/// A record with this place, time and payload; `K` before the payload gives it an idempotency key.
fn record(seq: u64, time: u64, payload: &'static str) -> Record {
    let idempotency = payload.starts_with('K').then(idempotency);
    let mut out = BytesMut::new();
    let key = idempotency.as_ref().map(|idempotency| (idempotency, 1));
    Record::encode(&mut out, &draft(payload), SeqNum(seq), Timestamp(time), key);
    Record::from_encoded(out.freeze())
}

fn idempotency() -> Idempotency {
    Idempotency { key: Bytes::from_static(b"key"), digest: 1 }
}

/// A stream as a read finds it: everything from the first record to the last.
fn found(epoch: Epoch, records: &[Record]) -> ReadReply {
    let first = records.first().map_or(SeqNum(1), Record::seq);
    let last = records.last().map_or(SeqNum(0), Record::seq);
    let records = records.to_vec();
    ReadReply { records, epoch, first, last, gaps: Vec::new(), next: last.next(), at_tail: true }
}

impl Story {
    fn to(&mut self) -> ReplyTo {
        self.request += 1;
        ReplyTo { core: CORE, request: self.request }
    }

    fn append(&mut self, payloads: &[&'static str]) -> ReplyTo {
        self.append_if(payloads, None)
    }

    fn append_if(&mut self, payloads: &[&'static str], expect: Option<Expect>) -> ReplyTo {
        let to = self.to();
        let append = Append {
            to,
            stream: key(),
            drafts: payloads.iter().map(|payload| draft(payload)).collect(),
            expect,
            idempotency: payloads[0].starts_with('K').then(idempotency),
            ack: AckLevel::Fsync,
        };
        self.history.submit(SHARD, &Command::Append(append));
        to
    }

    fn ack(&mut self, to: ReplyTo, first: u64, count: u32) -> Checked {
        self.ack_as(to, first, count, false)
    }

    fn ack_as(&mut self, to: ReplyTo, first: u64, count: u32, replayed: bool) -> Checked {
        let time = Timestamp(10 * first);
        let appended = Appended { first: SeqNum(first), time, count, replayed, ack: AckLevel::Fsync };
        self.history.reply(to, &Reply::Appended(appended))
    }

    /// Appends one event and has it acknowledged.
    fn stored(&mut self, payload: &'static str, seq: u64) {
        let to = self.append(&[payload]);
        self.ack(to, seq, 1).unwrap();
    }

    fn ask_read(&mut self, from: u64) -> ReplyTo {
        let to = self.to();
        let (from, limit, bytes_max) = (ReadFrom::Seq(SeqNum(from)), 100, 10_000);
        self.history.submit(SHARD, &Command::Read(Read { to, stream: key(), from, limit, bytes_max }));
        to
    }

    fn read(&mut self, reply: ReadReply) -> Checked {
        let to = self.ask_read(1);
        self.history.reply(to, &Reply::Read(reply))
    }

    fn audit(&mut self, reply: ReadReply) -> Checked {
        self.history.begin_audit();
        self.read(reply)?;
        self.history.finish_audit()
    }

    fn delete(&mut self) -> ReplyTo {
        let to = self.to();
        self.history.submit(SHARD, &Command::Delete { to, stream: key() });
        to
    }

    fn deleted(&mut self) {
        let to = self.delete();
        self.history.reply(to, &Reply::Deleted { existed: true }).unwrap();
    }

    fn watch(&mut self, next: u64, epoch: Epoch) -> Checked {
        let to = self.to();
        let target = WatchTarget::Stream(key());
        self.history.submit(SHARD, &Command::Watch { to, route: 5, target });
        self.history.reply(to, &Reply::Watching { next: SeqNum(next), epoch })
    }

    fn deliver(&mut self, epoch: Epoch, change: Change) -> Checked {
        self.history.deliver(&Delivery { core: CORE, route: 5, stream: key(), epoch, change })
    }

    fn delivered(&mut self, records: &[Record]) -> Checked {
        self.deliver(E1, Change::Records(records.to_vec()))
    }
}

#[track_caller]
fn breaks(law: Law, checked: Checked) {
    assert_eq!(checked.expect_err("a broken law was expected").law, law);
}

/// Two acknowledged events.
fn two() -> Story {
    let mut story = Story::default();
    story.stored("a", 1);
    story.stored("b", 2);
    story
}

#[test]
fn a_sound_history_passes() {
    let mut story = two();
    story.watch(3, E1).unwrap();
    let unknown = story.append(&["c"]);
    story.delivered(&[record(3, 30, "c")]).unwrap();
    let all = [record(1, 10, "a"), record(2, 20, "b"), record(3, 30, "c")];
    story.read(found(E1, &all)).unwrap();
    story.ack(unknown, 3, 1).unwrap();
    story.append(&["d"]);
    story.history.crash();
    story.audit(found(E1, &all)).unwrap();
    story.stored("e", 4);
    assert_eq!(story.history.tail_of(&key()), SeqNum(4));
}

#[test]
fn an_acknowledged_event_must_survive() {
    let mut story = two();
    story.history.crash();
    breaks(Law::Stale, story.audit(found(E1, &[record(1, 10, "a")])));
    let mut story = two();
    story.history.crash();
    // The tail looks right, but another event stands there.
    let ghost = story.append(&["c"]);
    story.history.crash();
    breaks(Law::AcknowledgedLost, story.audit(found(E1, &[record(1, 10, "a"), record(2, 20, "c")])));
    assert_eq!(story.history.open_count(), 0, "{ghost:?}");
}

#[test]
fn what_was_seen_may_not_vanish() {
    let mut story = Story::default();
    story.watch(1, Epoch(0)).unwrap();
    story.append(&["a"]);
    story.delivered(&[record(1, 10, "a")]).unwrap();
    story.history.crash();
    breaks(Law::SeenVanished, story.audit(found(Epoch(0), &[])));
}

#[test]
fn an_event_may_not_change() {
    let mut story = two();
    story.read(found(E1, &[record(1, 10, "a"), record(2, 20, "b")])).unwrap();
    breaks(Law::Changed, story.read(found(E1, &[record(1, 10, "a"), record(2, 21, "b")])));
    let mut story = two();
    breaks(Law::Changed, story.read(found(E1, &[record(1, 10, "b"), record(2, 20, "a")])));
    let mut story = two();
    breaks(Law::Changed, story.read(found(E1, &[record(1, 9, "a"), record(2, 20, "b")])));
}

#[test]
fn nobody_invents_events() {
    let mut story = two();
    breaks(Law::Invented, story.read(found(E1, &[record(1, 10, "a"), record(2, 20, "x")])));
}

#[test]
fn an_append_has_one_place() {
    let mut story = Story::default();
    story.append(&["a"]);
    story.history.crash();
    breaks(Law::Duplicated, story.read(found(E1, &[record(1, 10, "a"), record(2, 20, "a")])));
}

#[test]
fn a_retry_is_answered_as_at_first_and_stored_once() {
    let retried = |replayed, first| {
        let mut story = Story::default();
        let to = story.append(&["K1"]);
        story.ack(to, 1, 1).unwrap();
        let to = story.append(&["K1"]);
        story.ack_as(to, first, 1, replayed)
    };
    retried(true, 1).unwrap();
    breaks(Law::Duplicated, retried(false, 2));
    breaks(Law::Duplicated, retried(true, 2));
}

#[test]
fn a_key_stands_for_one_body() {
    let mut story = Story::default();
    let to = story.append(&["K1"]);
    story.ack(to, 1, 1).unwrap();
    let to = story.append(&["K2"]);
    breaks(Law::WrongReply, story.ack(to, 2, 1));
    let to = story.append(&["K3"]);
    let mismatch = Reply::Failed(Failure::IdempotencyMismatch { seq: SeqNum(1) });
    story.history.reply(to, &mismatch).unwrap();
}

#[test]
fn an_atomic_append_is_there_whole_or_not_at_all() {
    let story = |records: &[Record]| {
        let mut story = Story::default();
        story.append(&["a", "b", "c"]);
        story.history.crash();
        story.audit(found(E1, records))
    };
    story(&[record(1, 10, "a"), record(2, 10, "b"), record(3, 10, "c")]).unwrap();
    breaks(Law::AppendTorn, story(&[record(1, 10, "a"), record(2, 10, "b")]));
    breaks(Law::AppendTorn, story(&[record(1, 10, "b"), record(2, 10, "c")]));
}

#[test]
fn what_a_recovery_discarded_never_comes_back() {
    let mut story = two();
    story.append(&["c"]);
    story.history.crash();
    let two = [record(1, 10, "a"), record(2, 20, "b")];
    story.audit(found(E1, &two)).unwrap();
    let [a, b] = two;
    breaks(Law::Resurrected, story.read(found(E1, &[a, b, record(3, 30, "c")])));
}

#[test]
fn a_retry_may_store_what_was_discarded() {
    let mut story = Story::default();
    story.append(&["K1"]);
    story.history.crash();
    story.audit(found(Epoch(0), &[])).unwrap();
    let to = story.append(&["K1"]);
    story.ack(to, 1, 1).unwrap();
    story.audit(found(E1, &[record(1, 10, "K1")])).unwrap();
}

#[test]
fn a_refused_append_never_appears() {
    let mut story = two();
    let expect = Some(Expect { last: SeqNum(1), on_mismatch: OnMismatch::PreconditionFailed });
    let to = story.append_if(&["c"], expect);
    let refused = Reply::Failed(Failure::PreconditionFailed { last: SeqNum(2) });
    story.history.reply(to, &refused).unwrap();
    let all = [record(1, 10, "a"), record(2, 20, "b"), record(3, 30, "c")];
    breaks(Law::RejectedAppeared, story.read(found(E1, &all)));
}

#[test]
fn a_condition_is_judged_rightly() {
    let conditional = |last, reply: Reply| {
        let mut story = two();
        let expect = Expect { last: SeqNum(last), on_mismatch: OnMismatch::PreconditionFailed };
        let to = story.append_if(&["c"], Some(expect));
        story.history.reply(to, &reply)
    };
    let appended =
        Appended { first: SeqNum(3), time: Timestamp(30), count: 1, replayed: false, ack: AckLevel::Fsync };
    conditional(2, Reply::Appended(appended)).unwrap();
    breaks(Law::WrongReply, conditional(1, Reply::Appended(appended)));
    let refused = Reply::Failed(Failure::PreconditionFailed { last: SeqNum(2) });
    conditional(1, refused.clone()).unwrap();
    breaks(Law::WrongReply, conditional(2, refused));
}

#[test]
fn an_append_whose_outcome_is_unknown_may_be_there_or_not() {
    for survives in [true, false] {
        let mut story = two();
        let to = story.append(&["c"]);
        story.history.reply(to, &Reply::Failed(Failure::Unavailable(Unavailable::Stopped))).unwrap();
        story.history.crash();
        let mut all = vec![record(1, 10, "a"), record(2, 20, "b"), record(3, 30, "c")];
        all.truncate(if survives { 3 } else { 2 });
        story.audit(found(E1, &all)).unwrap();
    }
}

#[test]
fn acknowledgement_before_submission_orders_two_events() {
    let mut story = Story::default();
    let unknown = story.append(&["a"]);
    story.stored("b", 1);
    // Both orders are possible for `a`; `c` was submitted after `b` was acknowledged.
    story.ack(unknown, 3, 1).unwrap();
    story.append(&["c"]);
    let all = [record(1, 10, "b"), record(2, 20, "c"), record(3, 30, "a")];
    story.history.crash();
    breaks(Law::OutOfOrder, story.audit(found(E1, &all)));
}

#[test]
fn sequence_numbers_have_no_holes() {
    let mut story = Story::default();
    for (payload, seq) in [("a", 1), ("b", 2), ("c", 3)] {
        story.stored(payload, seq);
    }
    breaks(Law::Hole, story.read(found(E1, &[record(1, 10, "a"), record(3, 30, "c")])));
    let mut late = found(E1, &[record(2, 20, "b"), record(3, 30, "c")]);
    late.first = SeqNum(1);
    breaks(Law::Hole, story.read(late));
}

#[test]
fn a_gap_needs_damage() {
    let gap = Gap { from: SeqNum(1), to: SeqNum(1), cause: GapCause::Damaged };
    let mut reply = found(E1, &[record(2, 20, "b")]);
    (reply.first, reply.gaps) = (SeqNum(1), vec![gap]);
    let mut story = two();
    breaks(Law::GapUnexplained, story.read(reply.clone()));
    let mut story = two();
    story.history.allow_damage();
    story.audit(reply).unwrap();
}

#[test]
fn damage_does_not_excuse_silence() {
    let mut story = two();
    story.read(found(E1, &[record(1, 10, "a"), record(2, 20, "b")])).unwrap();
    story.history.crash();
    story.history.allow_damage();
    breaks(Law::Stale, story.audit(found(E1, &[record(1, 10, "a")])));
    let mut story = two();
    story.history.crash();
    story.history.allow_damage();
    let corrupt = Reply::Failed(Failure::Corrupt { from: SeqNum(1), to: SeqNum(2) });
    story.history.begin_audit();
    let to = story.ask_read(1);
    story.history.reply(to, &corrupt).unwrap();
    assert_eq!(story.history.audit_next(&key()), Some(SeqNum(3)));
}

#[test]
fn only_the_last_group_is_forgiven() {
    let mut story = two();
    let before_last = story.history.now();
    story.stored("c", 3);
    story.history.crash();
    story.history.allow_damage();
    story.history.set_owner(&key(), SHARD);
    story.history.forgive_after(SHARD, before_last);
    story.audit(found(E1, &[record(1, 10, "a"), record(2, 20, "b")])).unwrap();
    let mut story = two();
    let before_last = story.history.now();
    story.stored("c", 3);
    story.history.crash();
    story.history.set_owner(&key(), SHARD);
    story.history.forgive_after(SHARD, before_last);
    breaks(Law::AcknowledgedLost, story.audit(found(E1, &[record(1, 10, "a")])));
}

#[test]
fn a_retry_of_what_damage_took_may_stand_beside_the_first_when_that_is_read_again() {
    let gap = || Gap { from: SeqNum(1), to: SeqNum(1), cause: GapCause::Damaged };
    let mut story = Story::default();
    let to = story.append(&["Ka"]);
    story.ack(to, 1, 1).unwrap();
    story.stored("b", 2);
    story.history.crash();
    story.history.allow_damage();
    let with_gap =
        |records: &[Record]| ReadReply { first: SeqNum(1), gaps: vec![gap()], ..found(E1, records) };
    story.audit(with_gap(&[record(2, 20, "b")])).unwrap();
    let to = story.append(&["Ka"]);
    story.ack(to, 3, 1).unwrap();
    story.read(with_gap(&[record(2, 20, "b"), record(3, 30, "Ka")])).unwrap();
    story.history.crash();
    story.audit(found(E1, &[record(1, 10, "Ka"), record(2, 20, "b"), record(3, 30, "Ka")])).unwrap();
}

#[test]
fn time_never_goes_back() {
    let mut story = Story::default();
    story.append(&["a"]);
    story.append(&["b"]);
    breaks(Law::TimeWentBack, story.read(found(E1, &[record(1, 20, "a"), record(2, 10, "b")])));
}
