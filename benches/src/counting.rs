//! Calls of the allocator, counted in a process of their own: the binary `counted`.
//!
//! That process has one thread, so its counts are exact and the same in every run. Growing a block counts
//! like a new one: both are calls. The other programs start it by its path and read a line for each case.

use crate::Case;
use crate::measure::{measured_section, sample};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Stats};
use std::path::Path;
use std::process::Command;

/// What the measured rounds of a case asked of the allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocations {
    /// Events of the rounds.
    pub events: u64,
    /// New blocks and blocks made larger.
    pub calls: u64,
    /// Bytes asked for; of a block made larger, the difference.
    pub bytes: u64,
}

impl Allocations {
    /// Calls for one event.
    pub fn calls_per_event(&self) -> f64 {
        self.calls as f64 / self.events as f64
    }

    /// Bytes for one event.
    pub fn bytes_per_event(&self) -> f64 {
        self.bytes as f64 / self.events as f64
    }

    /// One line of the binary's output.
    pub fn to_json(self, case: &Case) -> Value {
        json!({"name": case.name, "events": self.events, "calls": self.calls, "bytes": self.bytes})
    }

    fn from_json(line: &Value) -> Option<(String, Allocations)> {
        let number = |key: &str| line.get(key)?.as_u64();
        let name = line.get("name")?.as_str()?.to_owned();
        let counts =
            Allocations { events: number("events")?, calls: number("calls")?, bytes: number("bytes")? };
        Some((name, counts))
    }

    fn add(&mut self, before: Stats, after: Stats) {
        let calls = |stats: Stats| stats.allocations + stats.reallocations;
        self.calls += (calls(after) - calls(before)) as u64;
        self.bytes += (after.bytes_allocated - before.bytes_allocated) as u64;
    }
}

/// Counts in this process, whose global allocator must be `stats_alloc`'s.
pub fn count_here(case: &Case) -> Allocations {
    let mut counts = Allocations::default();
    counts.events = sample(case, case.rounds, |work| {
        let before = INSTRUMENTED_SYSTEM.stats();
        let events = measured_section(work);
        counts.add(before, INSTRUMENTED_SYSTEM.stats());
        events
    });
    counts
}

/// Lets the binary `counted` at `program` count the cases whose names it is given.
///
/// # Errors
/// The program cannot be started, failed, or wrote something else.
pub fn count_with(program: &Path, names: &[&str]) -> Result<Vec<(String, Allocations)>, String> {
    let output = Command::new(program).args(names).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let counts: Option<Vec<_>> = lines
        .lines()
        .map(|line| serde_json::from_str(line).ok().and_then(|line| Allocations::from_json(&line)))
        .collect();
    let complete = counts.filter(|counts| counts.len() == names.len());
    complete.ok_or_else(|| format!("{} wrote {lines:?}", program.display()))
}
