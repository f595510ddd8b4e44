//! What the threads of one run share: when it begins, how far everybody is, and the wish to stop.
//!
//! Plain atomics, written by one side and read by others; nothing waits for a lock. `begin_ns` is 0 until
//! every connection is made. `last_numbers` tells listeners what they must have received before they may go.

use crate::clock::Clock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The common state of a run.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The clock of stamps and schedules.
    pub(crate) clock: Clock,
    ready_count: AtomicUsize,
    begin_ns: AtomicU64,
    is_stopped: AtomicBool,
    is_writer_done: AtomicBool,
    /// Per stream the last number that was acknowledged; empty where nobody listens.
    last_numbers: Vec<AtomicU64>,
    due_count: AtomicU64,
    /// Per worker, so that no two threads write the same word.
    delivered_counts: Vec<AtomicU64>,
}

impl Shared {
    /// For `worker_count` workers; `first_numbers` are what each stream holds before the run.
    pub(crate) fn new(clock: Clock, worker_count: usize, first_numbers: &[u64]) -> Shared {
        Shared {
            clock,
            ready_count: AtomicUsize::new(0),
            begin_ns: AtomicU64::new(0),
            is_stopped: AtomicBool::new(false),
            is_writer_done: AtomicBool::new(false),
            last_numbers: first_numbers.iter().map(|number| AtomicU64::new(*number)).collect(),
            due_count: AtomicU64::new(0),
            delivered_counts: (0..worker_count).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Tells that `count` more connections are ready.
    pub(crate) fn add_ready(&self, count: usize) {
        self.ready_count.fetch_add(count, Ordering::Relaxed);
    }

    /// Connections that are ready.
    pub(crate) fn ready_count(&self) -> usize {
        self.ready_count.load(Ordering::Relaxed)
    }

    /// Lets the run begin.
    pub(crate) fn begin(&self, at_ns: u64) {
        assert!(at_ns > 0, "0 means not yet");
        self.begin_ns.store(at_ns, Ordering::Release);
    }

    /// When the run begins, once it is known.
    pub(crate) fn begin_ns(&self) -> Option<u64> {
        Some(self.begin_ns.load(Ordering::Acquire)).filter(|at| *at > 0)
    }

    /// Ends the run early.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Whether the run ends early.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Tells that nothing more will be appended.
    pub(crate) fn set_writer_done(&self) {
        self.is_writer_done.store(true, Ordering::Release);
    }

    /// Whether nothing more will be appended.
    pub(crate) fn is_writer_done(&self) -> bool {
        self.is_writer_done.load(Ordering::Acquire)
    }

    /// Tells that a stream's events up to `number` are acknowledged.
    pub(crate) fn set_acknowledged(&self, stream: u32, number: u64) {
        if let Some(last) = self.last_numbers.get(stream as usize) {
            last.fetch_max(number, Ordering::Relaxed);
        }
    }

    /// The last acknowledged number of a stream.
    pub(crate) fn last_number(&self, stream: u32) -> u64 {
        self.last_numbers.get(stream as usize).map_or(0, |last| last.load(Ordering::Relaxed))
    }

    /// Tells that `count` more deliveries are due, because events were sent.
    pub(crate) fn add_due(&self, count: u64) {
        self.due_count.fetch_add(count, Ordering::Relaxed);
    }

    /// Deliveries that were ever due.
    pub(crate) fn due_count(&self) -> u64 {
        self.due_count.load(Ordering::Relaxed)
    }

    /// Tells how many deliveries a worker has had.
    pub(crate) fn set_delivered(&self, worker: usize, count: u64) {
        self.delivered_counts[worker].store(count, Ordering::Relaxed);
    }

    /// Deliveries of all workers.
    pub(crate) fn delivered_count(&self) -> u64 {
        self.delivered_counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}
