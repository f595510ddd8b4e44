//! How many calls of an embedding program may be under way.
//!
//! The queue to a core has no bound of its own; this is its bound. A caller that finds the gate full waits
//! on its own thread, which is the backpressure from the disk to the program.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

pub(super) struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A place inside; given back when dropped.
pub(super) struct Permit(Arc<Gate>);

impl Gate {
    pub(super) fn new(calls_max: usize) -> Arc<Gate> {
        Arc::new(Gate { free: Mutex::new(calls_max.max(1)), freed: Condvar::new() })
    }

    /// Takes a place; waits while there is none.
    pub(super) fn enter(self: &Arc<Self>) -> Permit {
        let mut free = self.lock();
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Permit(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_full_gate_holds_its_caller_until_somebody_leaves() {
        let gate = Gate::new(1);
        let first = gate.enter();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| drop(gate.enter()));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!second.is_finished());
            drop(first);
        });
        assert_eq!(*gate.lock(), 1);
    }
}
