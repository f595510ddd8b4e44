//! A number that one core changes and every core may read.
//!
//! A counter is a load and a store, not an atomic addition: it has one writer. A reader sees a value that was
//! right a moment ago. Who writes from two cores loses counts, and nothing worse.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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
