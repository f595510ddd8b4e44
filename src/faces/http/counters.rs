//! Counters of the HTTP face: one set per core, written by that core alone, read by all.
//!
//! `/stats` and `/metrics` sum them up. A counter is a load and a store, not an atomic addition: it has one
//! writer. A reader sees a value that was right a moment ago.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use types::CoreId;

/// A number that one core changes.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only on the counter's own core.
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// Takes away; only on the counter's own core, and only what was added before.
    pub fn subtract(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(count), Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The counters of one core. Aligned so that two cores never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// Connections that are open.
    pub connections_open: Counter,
    /// Connections that were accepted.
    pub connections: Counter,
    /// Requests that were answered.
    pub requests: Counter,
    /// Replies by the first digit of their status: 1 to 5 at index 0 to 4.
    pub replies: [Counter; 5],
    /// Bytes received.
    pub bytes_in: Counter,
    /// Bytes sent.
    pub bytes_out: Counter,
    /// Listeners that are open, all forms.
    pub listeners_open: Counter,
}

impl Counters {
    /// Counts a reply.
    pub fn count_reply(&self, status: u16) {
        self.requests.add(1);
        if let Some(counter) = self.replies.get(usize::from(status / 100).wrapping_sub(1)) {
            counter.add(1);
        }
    }
}

/// The counters of all cores.
#[derive(Clone, Debug)]
pub(super) struct SharedCounters(Arc<[Counters]>);

impl SharedCounters {
    pub(super) fn new(core_count: usize) -> Self {
        SharedCounters((0..core_count).map(|_| Counters::default()).collect())
    }

    pub(super) fn of(&self, core: CoreId) -> &Counters {
        &self.0[usize::from(core.0)]
    }

    /// The sum over all cores of what `pick` picks.
    pub(super) fn sum(&self, pick: impl Fn(&Counters) -> &Counter) -> u64 {
        self.0.iter().map(|counters| pick(counters).get()).fold(0, u64::wrapping_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_by_class_and_summed_over_cores() {
        let shared = SharedCounters::new(2);
        shared.of(CoreId(0)).count_reply(201);
        shared.of(CoreId(1)).count_reply(204);
        shared.of(CoreId(1)).count_reply(404);
        shared.of(CoreId(1)).count_reply(99);
        assert_eq!(shared.sum(|counters| &counters.replies[1]), 2);
        assert_eq!(shared.sum(|counters| &counters.replies[3]), 1);
        assert_eq!(shared.sum(|counters| &counters.requests), 4);
    }
}
