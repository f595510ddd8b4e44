//! Runs a case: warm-up, then measured rounds, each from a fresh state per sample.
//!
//! Every program of this crate goes through [`sample`], so that time, instructions and allocations are
//! those of the same rounds. What is measured is exactly [`measured_section`]: it is never inlined, since
//! callgrind knows it by its name.

use crate::{Case, Work};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Rounds before the measured ones: buffers get their size, tables their first entries.
const WARM_ROUNDS: u32 = 4;
/// Samples of a case: at least, and at most.
const SAMPLES_MIN: usize = 11;
const SAMPLES_MAX: usize = 201;
/// A case's samples end after this time, preparation included.
const CASE_TIME: Duration = Duration::from_millis(700);

/// A round whose cost is counted. The black box keeps this function on the stack until the round is over,
/// for callgrind and for whoever reads a profile.
#[inline(never)]
pub fn measured_section(work: &mut dyn Work) -> u64 {
    black_box(work.round())
}

/// One sample: prepares, warms up, and hands each measured round to `observe`, which must run it with
/// [`measured_section`] and give the count of events. Gives all events.
pub fn sample(case: &Case, rounds: u32, mut observe: impl FnMut(&mut dyn Work) -> u64) -> u64 {
    let mut work = (case.prepare)();
    for _ in 0..WARM_ROUNDS.min(rounds) {
        work.refill();
        work.round();
    }
    let mut events = 0;
    for _ in 0..rounds {
        work.refill();
        events += observe(work.as_mut());
    }
    events
}

/// How long an event takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Events of all samples.
    pub events: u64,
    /// Median of the samples, in nanoseconds per event.
    pub ns: f64,
    /// First and third quartile of the samples.
    pub quartiles: (f64, f64),
}

/// Times a case.
pub fn time(case: &Case) -> Timing {
    let begin = Instant::now();
    let (mut samples, mut events) = (Vec::new(), 0);
    while samples.len() < SAMPLES_MIN || (samples.len() < SAMPLES_MAX && begin.elapsed() < CASE_TIME) {
        let mut spent = Duration::ZERO;
        let count = sample(case, case.rounds, |work| {
            let start = Instant::now();
            let count = measured_section(work);
            spent += start.elapsed();
            count
        });
        assert!(count > 0, "{} has events", case.name);
        events += count;
        samples.push(spent.as_nanos() as f64 / count as f64);
    }
    samples.sort_by(f64::total_cmp);
    let at = |quarter: usize| samples[(samples.len() - 1) * quarter / 4];
    Timing { events, ns: at(2), quartiles: (at(1), at(3)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rounds {
        ready: bool,
    }

    impl Work for Rounds {
        fn refill(&mut self) {
            self.ready = true;
        }

        fn round(&mut self) -> u64 {
            assert!(std::mem::take(&mut self.ready), "a round is prepared");
            3
        }
    }

    #[test]
    fn warm_rounds_are_not_counted_and_each_round_is_refilled() {
        let prepare = || Box::new(Rounds { ready: false }) as Box<dyn Work>;
        let case = Case { name: "x", event: "one", rounds: 5, prepare };
        let mut observed = 0;
        let events = sample(&case, case.rounds, |work| {
            observed += 1;
            measured_section(work)
        });
        assert_eq!((events, observed), (15, 5));
    }
}
