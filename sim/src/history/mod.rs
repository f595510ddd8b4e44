//! The history of a run and the laws it must keep (`docs/architecture.md`, "Laws").
//!
//! The world tells it everything that clients could know: every command when it is submitted, every reply,
//! every delivery, every crash; after a recovery the world reads every stream from end to end (an *audit*)
//! and the history settles what survived. Each call checks what can be checked then and gives the first
//! [`Violation`]. The work is linear in what happened, but for look-ups.
//! Its only oracle is a plain map of what was submitted, acknowledged and seen: it knows nothing of
//! journals or segments. Rule for whoever feeds it: no two events have the same payload, but those of a
//! retry, which carries the same idempotency key.

mod append;
mod audit;
mod listing;
mod model;
mod reads;
mod sight;
mod violation;
mod watch;

pub use violation::{Checked, Law, Violation};

use audit::Audit;
use bytes::Bytes;
use engine::{AckLevel, Command, Expect, ListPage, Read, Reply, ReplyTo, WatchTarget};
use model::{Floor, Logical, Outcome, Removal, Stream};
use std::collections::BTreeMap;
use types::{CoreId, Failure, SeqNum, ShardId, StreamKey};
use watch::Watch;

/// Counts what the history was told; a greater step is later.
pub type Step = u64;

/// Told when nobody can say how many changes may be missing: an index is lost.
pub const LOSSES_UNKNOWN: u64 = 1 << 32;

/// Everything that clients did and saw.
#[derive(Clone, Debug, Default)]
pub struct History {
    step: Step,
    asks: BTreeMap<(CoreId, u64), Ask>,
    logicals: Vec<Logical>,
    /// Whose payload this is: the append and the event's place in it.
    payloads: BTreeMap<Bytes, (usize, u64)>,
    keys: BTreeMap<(StreamKey, Bytes), Vec<usize>>,
    streams: BTreeMap<StreamKey, Stream>,
    watches: BTreeMap<(CoreId, u64), Watch>,
    owners: BTreeMap<StreamKey, ShardId>,
    /// Whether the run has damaged the disk, so that gaps may be reported.
    damaged: bool,
    /// Whether the disk refused a read in this life, so that a reader may have been told of a gap.
    read_failed: bool,
    /// Changes that the server has said may be missing without a gap of their own.
    losses_told: u64,
    audit: Option<Audit>,
    counts: Counts,
}

/// How much a history holds, for the summary line of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Appends acknowledged as durable.
    pub acked: u64,
    /// Events seen in replies and deliveries, repeats too.
    pub seen: u64,
    /// Appends whose outcome a crash left open.
    pub unknown: u64,
    /// Commands that were refused.
    pub refused: u64,
    /// Damaged ranges that were reported.
    pub gaps: u64,
}

#[derive(Clone, Debug)]
struct Ask {
    at: Step,
    shard: ShardId,
    what: Asked,
}

#[derive(Clone, Debug)]
enum Asked {
    Append { logical: usize, expect: Option<Expect>, ack: AckLevel },
    Read { read: Read, floor: Floor },
    Remove { stream: StreamKey, removal: usize, floor: Floor },
    Describe { stream: StreamKey, floor: Floor },
    Buckets { page: ListPage },
    Streams { bucket: String, page: ListPage, floors: BTreeMap<StreamKey, Floor> },
    Watch { route: u64, target: WatchTarget, floor: Floor },
    Stats,
}

impl History {
    /// A history in which nothing has happened.
    pub fn new() -> Self {
        History::default()
    }

    /// A command goes to a shard.
    ///
    /// # Panics
    /// When the run breaks its own rules: a request number or a payload is used twice.
    pub fn submit(&mut self, shard: ShardId, command: &Command) {
        self.step += 1;
        let (to, what) = match command {
            Command::Append(append) => (append.to, self.submit_append(append)),
            Command::Read(read) => {
                let floor = self.stream(&read.stream).floor();
                (read.to, Asked::Read { read: read.clone(), floor })
            }
            Command::Delete { to, stream } => (*to, self.submit_removal(stream, None)),
            Command::Trim { to, stream, before } => (*to, self.submit_removal(stream, Some(*before))),
            Command::Describe { to, stream } => {
                (*to, Asked::Describe { stream: stream.clone(), floor: self.stream(stream).floor() })
            }
            Command::ListBuckets { to, page } => (*to, Asked::Buckets { page: page.clone() }),
            Command::ListStreams { to, bucket, page } => {
                let floors = self.floors_of(shard, bucket);
                (*to, Asked::Streams { bucket: bucket.as_str().to_owned(), page: page.clone(), floors })
            }
            Command::Watch { to, route, target } => {
                let floor = match target {
                    WatchTarget::Stream(stream) => self.stream(stream).floor(),
                    WatchTarget::Pattern(_) => Floor::default(),
                };
                (*to, Asked::Watch { route: *route, target: target.clone(), floor })
            }
            Command::Unwatch { core, route } => return self.end_watch(*core, *route),
            Command::SetTail { .. } => return,
            Command::Stats { to } => (*to, Asked::Stats),
        };
        let earlier = self.asks.insert((to.core, to.request), Ask { at: self.step, shard, what });
        assert!(earlier.is_none(), "request {to:?} was used twice");
    }

    /// An answer arrives.
    ///
    /// # Errors
    /// The law that the answer breaks.
    pub fn reply(&mut self, to: ReplyTo, reply: &Reply) -> Checked {
        self.step += 1;
        let Some(ask) = self.asks.remove(&(to.core, to.request)) else {
            return self.broken(Law::AnsweredTwice, format!("{to:?} gets {reply:?}"));
        };
        if matches!(reply, Reply::Failed(_)) {
            self.counts.refused += 1;
        }
        match (ask.what, reply) {
            (Asked::Append { logical, expect, ack }, reply) => {
                self.append_answered(ask.at, logical, expect, ack, reply)
            }
            (Asked::Read { read, floor }, reply) => self.read_answered(ask.at, &read, floor, reply),
            (Asked::Remove { stream, removal, floor }, reply) => {
                self.removal_answered(&stream, removal, floor, reply)
            }
            (Asked::Describe { stream, floor }, Reply::Described(described)) => {
                self.described(&stream, floor, described.as_ref())
            }
            (Asked::Buckets { page }, Reply::Buckets(names)) => self.buckets_listed(&page, names),
            (Asked::Streams { bucket, page, floors }, Reply::Streams(found)) => {
                self.streams_listed(ask.shard, &bucket, &page, &floors, found)
            }
            (Asked::Watch { route, target, floor }, Reply::Watching { next, epoch }) => {
                self.watch_answered(to.core, route, &target, floor, *next, *epoch)
            }
            (Asked::Stats, Reply::Stats(_)) => Ok(()),
            (what, Reply::Failed(failure)) => self.question_failed(&what, failure),
            (what, reply) => self.broken(Law::WrongReply, format!("{what:?} is answered with {reply:?}")),
        }
    }

    /// The process or the power went: what had no answer never gets one.
    pub fn crash(&mut self) {
        self.step += 1;
        self.audit = None;
        self.read_failed = false;
        self.watches.clear();
        for (_, ask) in std::mem::take(&mut self.asks) {
            match ask.what {
                Asked::Append { logical, .. } => self.append_unknown(logical),
                Asked::Remove { stream, removal, .. } => {
                    self.close_removal(&stream, removal, Outcome::Unknown);
                }
                _ => (),
            }
        }
    }

    /// Which shard answers for a stream in this life; listings are checked by it.
    pub fn set_owner(&mut self, stream: &StreamKey, shard: ShardId) {
        self.owners.insert(stream.clone(), shard);
    }

    /// The run has damaged the disk: from now on gaps may be reported, and only then.
    pub fn allow_damage(&mut self) {
        self.damaged = true;
    }

    /// The disk has refused a read: in this life, and only then, readers may be told of a gap.
    pub fn allow_read_error(&mut self) {
        self.read_failed = true;
    }

    /// Whether the run has damaged the disk.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Now; what is told next gets a greater step.
    pub fn now(&self) -> Step {
        self.step
    }

    /// What was acknowledged or first seen after `step` stood in the last group of the shard's journal, which
    /// nothing proves yet, and that was damaged: it alone may be missing without a word.
    pub fn forgive_after(&mut self, shard: ShardId, step: Step) {
        let owners = &self.owners;
        let owned = |key: &StreamKey| owners.get(key) == Some(&shard);
        for logical in self.logicals.iter_mut().filter(|logical| owned(&logical.stream)) {
            let acked = logical.acked.is_some_and(|acked| acked.at > step);
            logical.forgiven |= acked || logical.first_seen.is_some_and(|seen| seen > step);
        }
        for (_, stream) in self.streams.iter_mut().filter(|(key, _)| owned(key)) {
            forget_floors(stream, step);
        }
    }

    /// The server has said that up to so many changes (events, trims, deletions) of a journal are lost. Which
    /// streams they belonged to nobody can know, so they may be missing at the end of any.
    pub fn tell_losses(&mut self, changes: u64) {
        self.losses_told += changes;
        self.streams.values_mut().for_each(|stream| forget_floors(stream, 0));
    }

    /// Requests without an answer.
    pub fn open_count(&self) -> usize {
        self.asks.len()
    }

    /// What the history holds.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The streams that were ever named.
    pub fn streams(&self) -> Vec<StreamKey> {
        self.streams.keys().cloned().collect()
    }

    /// The last sequence number that is known for certain, zero when none is.
    pub fn tail_of(&self, stream: &StreamKey) -> SeqNum {
        self.streams.get(stream).map_or(SeqNum::ZERO, |stream| stream.tail_floor)
    }

    /// A broken law that the world notices, at the present step.
    pub fn violation(&self, law: Law, detail: String) -> Violation {
        Violation { law, detail, step: self.step }
    }

    fn submit_removal(&mut self, key: &StreamKey, before: Option<SeqNum>) -> Asked {
        let step = self.step;
        let stream = self.stream(key);
        let floor = stream.floor();
        stream.removals.push(Removal {
            before,
            from: step,
            to: Step::MAX,
            outcome: Outcome::Open,
            acknowledged: false,
        });
        if before.is_none() {
            stream.generation += 1;
            stream.tail_floor = SeqNum::ZERO;
            stream.first_floor = SeqNum::ZERO;
        }
        Asked::Remove { stream: key.clone(), removal: stream.removals.len() - 1, floor }
    }

    fn removal_answered(&mut self, key: &StreamKey, removal: usize, floor: Floor, reply: &Reply) -> Checked {
        let before = self.stream(key).removals[removal].before;
        match (reply, before) {
            (Reply::Deleted { existed }, None) => {
                self.close_removal(key, removal, Outcome::Done);
                let alone = floor.generation.map(|count| count + 1) == Some(self.stream(key).generation);
                if alone && !existed && floor.tail > SeqNum::ZERO {
                    return self
                        .broken(Law::Stale, format!("deletion of {key}, which has events, finds none"));
                }
                Ok(())
            }
            (Reply::Trimmed { first }, Some(before)) => {
                self.close_removal(key, removal, Outcome::Done);
                let stream = self.stream(key);
                if stream.holds(&floor) {
                    stream.first_floor = stream.first_floor.max(*first);
                    let expected = before.min(floor.tail.next());
                    if *first < expected {
                        let detail =
                            format!("trim of {key} before {before} leaves {first}, tail {}", floor.tail);
                        return self.broken(Law::WrongReply, detail);
                    }
                }
                Ok(())
            }
            (Reply::Failed(Failure::Unavailable(types::Unavailable::Stopped)), _) => {
                self.close_removal(key, removal, Outcome::Unknown);
                Ok(())
            }
            (Reply::Failed(failure), _) => {
                self.close_removal(key, removal, Outcome::Refused);
                self.refusal_is_allowed(failure)
            }
            (reply, _) => self.broken(Law::WrongReply, format!("a removal is answered with {reply:?}")),
        }
    }

    fn close_removal(&mut self, key: &StreamKey, removal: usize, outcome: Outcome) {
        let step = self.step;
        let stream = self.streams.get_mut(key).expect("a removal has a stream");
        let closed = &mut stream.removals[removal];
        (closed.to, closed.outcome) = (step, outcome);
        closed.acknowledged = outcome == Outcome::Done;
        let from = closed.from;
        if closed.before.is_some() || outcome != Outcome::Done {
            return;
        }
        for (&epoch, _) in stream.incarnations.iter().filter(|(_, incarnation)| incarnation.seen_at < from) {
            stream.dead_epochs.entry(epoch).or_insert(step);
        }
    }

    fn question_failed(&self, what: &Asked, failure: &Failure) -> Checked {
        match failure {
            Failure::Unavailable(_) => Ok(()),
            _ => self.broken(Law::WrongReply, format!("{what:?} fails with {failure:?}")),
        }
    }

    /// Refusals that any change may get: the disk is full, or the shard cannot serve now.
    fn refusal_is_allowed(&self, failure: &Failure) -> Checked {
        match failure {
            Failure::StorageFull | Failure::Unavailable(_) => Ok(()),
            _ => self.broken(Law::WrongReply, format!("a change is refused with {failure:?}")),
        }
    }

    fn stream(&mut self, key: &StreamKey) -> &mut Stream {
        self.streams.entry(key.clone()).or_default()
    }

    fn broken<T>(&self, law: Law, detail: String) -> Result<T, Violation> {
        Err(Violation { law, detail, step: self.step })
    }
}

/// What was known of a stream after `step` may not hold any more.
fn forget_floors(stream: &mut Stream, step: Step) {
    (stream.tail_floor, stream.first_floor) = (SeqNum::ZERO, SeqNum::ZERO);
    stream.dead_epochs.retain(|_, since| *since <= step);
    for removal in stream.removals.iter_mut().filter(|removal| removal.to > step) {
        (removal.outcome, removal.acknowledged) = (Outcome::Unknown, false);
    }
}

#[cfg(test)]
mod tests;
