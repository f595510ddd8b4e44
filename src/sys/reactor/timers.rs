//! The deadlines that tasks of one core wait for.
//!
//! A sorted map: tasks set and remove deadlines far more often than one comes. The loop asks for those that
//! are due once a turn, and sleeps until the next one.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Instant;

/// A place among the timers: ordered by time, then by age.
pub(super) type TimerKey = (Instant, u64);

/// All deadlines of a core.
pub(super) struct Timers {
    waiting: BTreeMap<TimerKey, Waker>,
    count: u64,
}

impl Timers {
    /// No deadline yet.
    pub(super) const fn new() -> Timers {
        Timers { waiting: BTreeMap::new(), count: 0 }
    }

    /// Wakes `waker` at `deadline` unless it is removed before.
    pub(super) fn insert(&mut self, deadline: Instant, waker: Waker) -> TimerKey {
        self.count += 1;
        let key = (deadline, self.count);
        self.waiting.insert(key, waker);
        key
    }

    /// The waker of a deadline that has not come.
    pub(super) fn waker(&mut self, key: &TimerKey) -> Option<&mut Waker> {
        self.waiting.get_mut(key)
    }

    /// Forgets a deadline; gives its waker, to be dropped by the caller at a time of its choice.
    pub(super) fn remove(&mut self, key: &TimerKey) -> Option<Waker> {
        self.waiting.remove(key)
    }

    /// Moves the wakers of all deadlines up to `now` into `due`.
    pub(super) fn take_due(&mut self, now: Instant, due: &mut Vec<Waker>) {
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now
        {
            due.push(first.remove());
        }
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(key, _)| key.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn deadlines_come_in_their_order_and_those_removed_do_not() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut timers = Timers::new();
        for ms in [30, 10, 20, 10] {
            timers.insert(at(ms), Waker::noop().clone());
        }
        let removed = timers.insert(at(5), Waker::noop().clone());
        assert_eq!(timers.next(), Some(at(5)));
        assert!(timers.remove(&removed).is_some() && timers.remove(&removed).is_none());
        let mut due = Vec::new();
        timers.take_due(at(9), &mut due);
        assert_eq!((due.len(), timers.next()), (0, Some(at(10))));
        timers.take_due(at(20), &mut due);
        assert_eq!((due.len(), timers.next()), (3, Some(at(30))));
    }
}
