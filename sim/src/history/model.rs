//! What the checker remembers: appends, streams, deletions and trims, each with the steps between which
//! it may have taken effect.
//!
//! Filled by the other modules of `history`; no law is judged here.

use super::Step;
use std::collections::{BTreeMap, BTreeSet};
use types::{Drafts, Epoch, Idempotency, SeqNum, StreamKey, Timestamp};

/// One append as its client means it; a retry with the same key is the same append.
#[derive(Clone, Debug)]
pub(super) struct Logical {
    pub(super) stream: StreamKey,
    pub(super) drafts: Drafts,
    pub(super) key: Option<Idempotency>,
    pub(super) first_submit: Step,
    /// When its latest attempt was submitted.
    pub(super) last_submit: Step,
    /// Attempts that have no answer yet.
    pub(super) open_attempts: u32,
    /// Whether an attempt ended without saying what came of it, or was acknowledged in memory only.
    pub(super) maybe_stored: bool,
    /// The first durable acknowledgement.
    pub(super) acked: Option<Acked>,
    /// Where it was seen: one place per incarnation of the stream.
    pub(super) places: BTreeMap<Epoch, SeqNum>,
    /// Whether a recovery has decided that it was never stored.
    pub(super) discarded: bool,
    /// Whether it may be missing without a word: it stood in the last, un-proven group when that rotted.
    pub(super) forgiven: bool,
    /// Whether it was missing and the server had said that so much is missing.
    pub(super) loss_told: bool,
    /// When somebody first saw an event of it.
    pub(super) first_seen: Option<Step>,
}

/// A durable acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acked {
    pub(super) at: Step,
    /// When the attempt was submitted that stored it; for a replay the first that may have.
    pub(super) asked_at: Step,
    pub(super) first: SeqNum,
    pub(super) time: Timestamp,
    /// The stream's count of deletions when it came; `None` when a deletion was under way.
    pub(super) generation: Option<u64>,
}

impl Logical {
    pub(super) fn count(&self) -> u64 {
        self.drafts.len() as u64
    }

    /// Whether its event with this number, in this incarnation, was seen.
    pub(super) fn holds(&self, epoch: Epoch, seq: SeqNum) -> bool {
        self.places.get(&epoch).is_some_and(|first| *first <= seq && seq.0 < first.0 + self.count())
    }

    /// It stood in a place that is lost, and the server has said so. A retry may store it again.
    pub(super) fn lose(&mut self, epoch: Epoch) {
        self.places.remove(&epoch);
        (self.acked, self.maybe_stored, self.forgiven) = (None, true, true);
    }

    /// Whether every attempt was refused, so that it may never appear.
    pub(super) fn is_rejected(&self) -> bool {
        self.open_attempts == 0 && !self.maybe_stored && self.acked.is_none()
    }
}

/// What became of a deletion or a trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Open,
    Done,
    /// A crash came before the answer.
    Unknown,
    Refused,
}

/// A deletion (`before` is `None`) or a trim, and the steps between which it took effect, if it did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Removal {
    pub(super) before: Option<SeqNum>,
    pub(super) from: Step,
    pub(super) to: Step,
    pub(super) outcome: Outcome,
    /// Whether its client was told that it is done.
    pub(super) acknowledged: bool,
}

impl Removal {
    /// Whether it can have removed something that was submitted at `step`.
    pub(super) fn can_reach(&self, step: Step) -> bool {
        self.outcome != Outcome::Refused && self.to > step
    }
}

/// An event that somebody saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) logical: usize,
    /// Hash of the record's own bytes.
    pub(super) digest: u64,
    pub(super) time: Timestamp,
}

/// One incarnation of a stream, as far as anybody saw it.
#[derive(Clone, Debug, Default)]
pub(super) struct Incarnation {
    pub(super) seen: BTreeMap<SeqNum, Seen>,
    /// Seen once, and lost since with a word.
    pub(super) lost: BTreeSet<SeqNum>,
    /// When the earliest of its appends was submitted.
    pub(super) since: Step,
    /// When somebody first saw an event of it.
    pub(super) seen_at: Step,
}

/// A stream and everything that was done to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub(super) logicals: Vec<usize>,
    pub(super) incarnations: BTreeMap<Epoch, Incarnation>,
    pub(super) removals: Vec<Removal>,
    /// Deletions submitted so far.
    pub(super) generation: u64,
    /// The last sequence number that was acknowledged or shown since the last deletion was submitted.
    pub(super) tail_floor: SeqNum,
    /// The first sequence number that a trim or a reply said is left, since the last deletion.
    pub(super) first_floor: SeqNum,
    /// Incarnations that are gone for ever, and since when that is known.
    pub(super) dead_epochs: BTreeMap<Epoch, Step>,
}

impl Stream {
    /// Whether some deletion may still take effect, or may have without our knowing.
    pub(super) fn is_unsettled(&self) -> bool {
        let unsettled = |removal: &Removal| matches!(removal.outcome, Outcome::Open | Outcome::Unknown);
        self.removals.iter().any(|removal| removal.before.is_none() && unsettled(removal))
    }

    /// Appends acknowledged before this step are gone, for a reader who asked at `asked_at`.
    pub(super) fn dead_before(&self, asked_at: Step) -> Step {
        let counts = |r: &&Removal| {
            r.before.is_none() && r.outcome == Outcome::Done && r.acknowledged && r.to < asked_at
        };
        self.removals.iter().filter(counts).map(|removal| removal.from).max().unwrap_or(0)
    }

    pub(super) fn deletion_can_reach(&self, step: Step) -> bool {
        self.removals.iter().any(|removal| removal.before.is_none() && removal.can_reach(step))
    }

    pub(super) fn trim_can_reach(&self, step: Step, seq: SeqNum) -> bool {
        let trims = |removal: &Removal| removal.before.is_some_and(|before| before > seq);
        self.removals.iter().any(|removal| trims(removal) && removal.can_reach(step))
    }

    /// What a reply to a question asked now must show at least.
    pub(super) fn floor(&self) -> Floor {
        Floor {
            tail: self.tail_floor,
            first: self.first_floor,
            generation: (!self.is_unsettled()).then_some(self.generation),
        }
    }

    /// Whether no deletion came between the floor's question and now.
    pub(super) fn holds(&self, floor: &Floor) -> bool {
        floor.generation == Some(self.generation)
    }
}

/// What was known when a question was asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Floor {
    pub(super) tail: SeqNum,
    pub(super) first: SeqNum,
    /// The stream's count of deletions; `None` when one was under way.
    pub(super) generation: Option<u64>,
}
