//! The laws of `docs/architecture.md` as a history can break them.
//!
//! Made by the checker at the first contradiction, printed with the seed by whoever runs a scenario. A law is
//! a name for people: nothing branches on it.

use super::Step;
use std::fmt;

/// Which law was broken. The names say what was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// An event that was acknowledged as durable is not there, and nothing excuses it.
    AcknowledgedLost,
    /// An event that somebody saw is not there any more, and nothing excuses it.
    SeenVanished,
    /// An event is not what it was, or not what was appended.
    Changed,
    /// An event that nobody appended, or of another stream.
    Invented,
    /// An append has more than one place, or two have one.
    Duplicated,
    /// Of an atomic append some events are there and some are not, or not side by side.
    AppendTorn,
    /// An event that an earlier recovery had discarded.
    Resurrected,
    /// An event whose append was refused.
    RejectedAppeared,
    /// B was submitted after A was acknowledged, and stands before A.
    OutOfOrder,
    /// Sequence numbers are missing and no gap names them.
    Hole,
    /// Damage is reported and there is none, or a trim that nobody asked for.
    GapUnexplained,
    /// A later event has an earlier time.
    TimeWentBack,
    /// A stream, or an event of it, is there after its deletion was acknowledged or seen.
    Undeleted,
    /// An event is there after it was trimmed.
    Untrimmed,
    /// A reply does not show what was acknowledged or seen before the question was asked.
    Stale,
    /// A reply that the contract does not allow.
    WrongReply,
    /// A second answer, or one that nobody asked for.
    AnsweredTwice,
    /// A question that nothing under way will ever answer.
    Unanswered,
    /// A server that refuses to start, or stops itself, though nothing is wrong with the disk.
    FalseRefusal,
    /// A watcher was handed events that do not continue what it had.
    DeliveryOutOfOrder,
    /// A watcher was not handed events that are there.
    DeliveryMissed,
}

/// A broken law, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub law: Law,
    /// What was seen, for a person.
    pub detail: String,
    /// The history's step at which it was noticed.
    pub step: Step,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at step {}: {}", self.law, self.step, self.detail)
    }
}

impl std::error::Error for Violation {}

/// What every check of a history gives.
pub type Checked = Result<(), Violation>;
