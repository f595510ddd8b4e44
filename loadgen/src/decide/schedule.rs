//! When requests are due: at once when one is answered (closed loop), or at intended times that depend on
//! nothing but the rate (open loop).
//!
//! A worker asks for each request it could send. Latency is counted from the time that is given here, so a
//! request that had to wait for a slow server carries its wait: no coordinated omission. Invariant: in an
//! open loop request n of all workers together is due at begin + n / rate, whenever anybody asks; nothing is
//! due before begin or from end on.

/// How load is offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Each connection keeps as many requests under way as it may.
    Closed,
    /// Requests per second of all workers together, whatever the answers do.
    Open {
        /// Requests (not events) per second.
        per_s: f64,
    },
}

/// The schedule of one worker among several.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pace: Pace,
    begin_ns: u64,
    end_ns: u64,
    /// Requests of this worker given out.
    given_count: u64,
    /// Most requests to give out.
    count_max: u64,
    worker_index: u64,
    worker_count: u64,
}

impl Schedule {
    /// Worker `worker_index` of `worker_count`, from `begin_ns` until `end_ns`; at most `count_max` requests
    /// of all workers together.
    pub(crate) fn new(
        pace: Pace,
        (begin_ns, end_ns): (u64, u64),
        (worker_index, worker_count): (usize, usize),
        count_max: u64,
    ) -> Schedule {
        assert!(begin_ns <= end_ns, "a run ends after it begins");
        assert!(worker_index < worker_count, "a worker is one of its number");
        let (worker_index, worker_count) = (worker_index as u64, worker_count as u64);
        let share = count_max / worker_count + u64::from(worker_index < count_max % worker_count);
        Schedule { pace, begin_ns, end_ns, given_count: 0, count_max: share, worker_index, worker_count }
    }

    /// The intended time of a request that may be sent at `now_ns`, if one is due; it counts as given.
    pub(crate) fn take_due(&mut self, now_ns: u64) -> Option<u64> {
        let due_ns = match self.pace {
            Pace::Closed if now_ns < self.begin_ns || now_ns >= self.end_ns => return None,
            Pace::Closed => now_ns,
            Pace::Open { per_s } => self.intended_ns(self.given_count, per_s),
        };
        if self.given_count >= self.count_max || due_ns > now_ns || due_ns >= self.end_ns {
            return None;
        }
        self.given_count += 1;
        Some(due_ns)
    }

    /// When to look again, if nothing else happens: the next intended time. `None` in a closed loop, where
    /// answers drive, and when nothing more will be due.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        let Pace::Open { per_s } = self.pace else { return None };
        let next_ns = self.intended_ns(self.given_count, per_s);
        (next_ns < self.end_ns && self.given_count < self.count_max).then_some(next_ns)
    }

    /// Whether nothing will be due at `now_ns` or later.
    pub(crate) fn is_over(&self, now_ns: u64) -> bool {
        match self.pace {
            Pace::Closed => now_ns >= self.end_ns || self.given_count >= self.count_max,
            Pace::Open { .. } => self.next_ns().is_none(),
        }
    }

    /// Requests that were due before `now_ns` and were not given out, because no connection had room.
    pub(crate) fn unsent_count(&self, now_ns: u64) -> u64 {
        let Pace::Open { per_s } = self.pace else { return 0 };
        let until_ns = now_ns.min(self.end_ns);
        let mut count = 0;
        while self.given_count + count < self.count_max
            && self.intended_ns(self.given_count + count, per_s) < until_ns
        {
            count += 1;
        }
        count
    }

    fn intended_ns(&self, index: u64, per_s: f64) -> u64 {
        let overall = index * self.worker_count + self.worker_index;
        // One multiplication and not a sum of gaps: no drift. Exact to the nanosecond for 100 days.
        self.begin_ns + (overall as f64 * (1e9 / per_s)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    /// Asks at each of `times` until nothing is due; gives all intended times.
    fn taken(schedule: &mut Schedule, times: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let ask = |now: u64| {
            let mut due = Vec::new();
            while let Some(intended) = schedule.take_due(now) {
                due.push(intended);
            }
            due
        };
        times.into_iter().flat_map(ask).collect()
    }

    proptest! {
        #[test]
        fn intended_times_do_not_depend_on_when_anybody_asks(
            per_s in 1.0..50_000.0f64,
            mut times in prop::collection::vec(0..2 * SECOND, 0..40),
        ) {
            times.sort_unstable();
            times.push(2 * SECOND);
            let schedule = Schedule::new(Pace::Open { per_s }, (7, SECOND), (0, 1), u64::MAX);
            let steady = taken(&mut schedule.clone(), [2 * SECOND]);
            prop_assert_eq!(&taken(&mut schedule.clone(), times), &steady);
            let count = (SECOND - 7) as f64 / 1e9 * per_s;
            prop_assert!((steady.len() as f64 - count).abs() <= 1.0, "{} of {count}", steady.len());
            prop_assert!(steady.is_sorted() && steady.iter().all(|t| (7..SECOND).contains(t)));
        }

        #[test]
        fn workers_together_offer_what_one_would(
            per_s in 1.0..50_000.0f64, count in 1..9usize, count_max in 0..20_000u64,
        ) {
            let pace = Pace::Open { per_s };
            let part = |index, count| Schedule::new(pace, (0, SECOND), (index, count), count_max);
            let alone = taken(&mut part(0, 1), [SECOND]);
            let mut all: Vec<u64> = (0..count).flat_map(|i| taken(&mut part(i, count), [SECOND])).collect();
            all.sort_unstable();
            prop_assert_eq!(all, alone);
        }

        #[test]
        fn what_was_not_taken_is_counted_as_unsent(per_s in 1.0..20_000.0f64, stop in 0..2 * SECOND) {
            let mut schedule = Schedule::new(Pace::Open { per_s }, (0, SECOND), (0, 1), u64::MAX);
            let all = taken(&mut schedule.clone(), [SECOND]).len();
            let sent = taken(&mut schedule, [stop.min(SECOND - 1)]).len();
            prop_assert_eq!(sent + schedule.unsent_count(2 * SECOND) as usize, all);
        }
    }

    #[test]
    fn a_request_that_had_to_wait_keeps_its_intended_time() {
        let mut schedule = Schedule::new(Pace::Open { per_s: 1000.0 }, (0, SECOND), (0, 1), u64::MAX);
        assert_eq!(schedule.take_due(0), Some(0));
        assert_eq!(schedule.next_ns(), Some(1_000_000));
        assert_eq!(schedule.take_due(999_999), None);
        // The server stalled for half a second; the second request is half a second late, not 0.
        assert_eq!(schedule.take_due(501_000_000), Some(1_000_000));
    }

    #[test]
    fn a_closed_loop_is_due_whenever_asked_between_begin_and_end_up_to_its_count() {
        let mut schedule = Schedule::new(Pace::Closed, (10, 20), (0, 2), 5);
        assert_eq!(
            [9, 10, 15, 19, 19].map(|now| schedule.take_due(now)),
            [None, Some(10), Some(15), Some(19), None]
        );
        assert_eq!((schedule.is_over(12), schedule.unsent_count(30)), (true, 0));
        let mut schedule = Schedule::new(Pace::Closed, (10, 20), (1, 2), 5);
        assert_eq!([11, 12, 13].map(|now| schedule.take_due(now)), [Some(11), Some(12), None]);
        assert_eq!(Schedule::new(Pace::Closed, (10, 20), (0, 1), 5).take_due(20), None);
    }
}
