//! What the sim is run for: each scenario is a function from a seed to a tally or a broken law.
//!
//! Called by the command line and, in small versions, by the tests. A scenario never prints and never
//! looks at a clock; how many seeds are run is the caller's choice.

pub mod crash;
pub mod determinism;
pub mod exhaustive;
pub mod fail_nth;
pub mod rot;
pub mod sabotage;

use crate::history::{Counts, Violation};
use crate::world::World;
use std::ops::AddAssign;

/// What a run, or many runs together, did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Crashes, or cases of damage.
    pub points: u64,
    /// Lives of servers.
    pub lives: u64,
    /// Appends acknowledged as durable.
    pub acked: u64,
    /// Events seen.
    pub seen: u64,
    /// Appends that a crash left open.
    pub unknown: u64,
    /// Disk operations that went wrong as planned.
    pub faults: u64,
    /// Damaged ranges that were reported.
    pub gaps: u64,
    /// Servers that refused to start because of damage.
    pub refusals: u64,
    /// Cases of damage after which everything was there.
    pub harmless: u64,
    /// Hash of the last run's trace.
    pub hash: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.runs += other.runs;
        self.points += other.points;
        self.lives += other.lives;
        self.acked += other.acked;
        self.seen += other.seen;
        self.unknown += other.unknown;
        self.faults += other.faults;
        self.gaps += other.gaps;
        self.refusals += other.refusals;
        self.harmless += other.harmless;
        self.hash = other.hash;
    }
}

/// A run that broke a law, with the lines of its trace when they were kept.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The law.
    pub violation: Violation,
    /// What happened, line by line.
    pub lines: Vec<String>,
}

/// What a run of a scenario gives.
pub type Outcome = Result<Tally, Box<Broken>>;

pub(crate) fn broken(world: &World, violation: Violation) -> Box<Broken> {
    Box::new(Broken { violation, lines: world.disk.trace.lines().to_vec() })
}

/// The tally of one run that is over.
pub(crate) fn tally(world: &World) -> Tally {
    let Counts { acked, seen, unknown, refused: _, gaps } = world.history.counts();
    let faults = world.disk.faults.fired().len() as u64;
    let (lives, hash) = (world.lives(), world.trace_hash());
    Tally { runs: 1, lives, acked, seen, unknown, faults, gaps, hash, ..Tally::default() }
}
