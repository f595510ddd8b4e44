//! How long something took, counted into fixed buckets by one core.
//!
//! Faces and shards observe, `/metrics` and the metrics stream read. An observation is a search in seventeen
//! bounds and two counters: no lock, no allocation, no clock of its own.

use super::Counter;

/// Upper bounds of the buckets, each with its text in seconds: from what memory takes to what a stuck disk
/// takes, in steps of 1, 2.5 and 5. What takes longer is in one more bucket.
pub const BOUNDS: [(u64, &str); 17] = [
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
    (5_000_000_000, "5"),
    (10_000_000_000, "10"),
];
const BUCKETS: usize = BOUNDS.len() + 1;

/// Counts of one core.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    sum_ns: Counter,
}

impl Histogram {
    /// Counts a duration; only on the histogram's own core.
    pub fn observe_ns(&self, duration_ns: u64) {
        let index = BOUNDS.iter().position(|(bound, _)| duration_ns <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[index].add(1);
        self.sum_ns.add(duration_ns);
    }

    /// What was counted so far. The sum may be some observations ahead of the buckets, or behind.
    pub fn read(&self) -> Reading {
        Reading { buckets: self.buckets.each_ref().map(Counter::get), sum_ns: self.sum_ns.get() }
    }
}

/// A histogram's counts at one time, of one core or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Observations by bucket, each in one only.
    pub buckets: [u64; BUCKETS],
    /// Sum of all durations.
    pub sum_ns: u64,
}

impl Reading {
    /// Observations in all.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Reading) -> Reading {
        self.with(other, u64::wrapping_add)
    }

    /// What came since `before`.
    #[must_use]
    pub fn since(&self, before: &Reading) -> Reading {
        self.with(before, u64::wrapping_sub)
    }

    fn with(&self, other: &Reading, combine: fn(u64, u64) -> u64) -> Reading {
        let mut buckets = self.buckets;
        buckets.iter_mut().zip(other.buckets).for_each(|(own, other)| *own = combine(*own, other));
        Reading { buckets, sum_ns: combine(self.sum_ns, other.sum_ns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_whose_bound_it_does_not_pass() {
        let histogram = Histogram::default();
        for duration_ns in [0, 50_000, 50_001, 10_000_000_000, 10_000_000_001] {
            histogram.observe_ns(duration_ns);
        }
        let reading = histogram.read();
        let filled: Vec<(usize, u64)> =
            reading.buckets.into_iter().enumerate().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0, 2), (1, 1), (16, 1), (17, 1)]);
        assert_eq!((reading.count(), reading.sum_ns), (5, 20_000_100_002));
    }

    #[test]
    fn the_bounds_ascend_and_their_texts_are_their_seconds() {
        assert!(BOUNDS.windows(2).all(|two| two[0].0 < two[1].0));
        for (bound_ns, text) in BOUNDS {
            let seconds: f64 = text.parse().expect("a number");
            assert!((seconds * 1e9 - bound_ns as f64).abs() < 1.0, "{text}");
        }
    }

    #[test]
    fn readings_add_up_and_a_later_one_tells_what_came_since() {
        let histogram = Histogram::default();
        histogram.observe_ns(1_000_000);
        let before = histogram.read();
        histogram.observe_ns(2_000_000);
        let since = histogram.read().since(&before);
        assert_eq!((since.count(), since.sum_ns), (1, 2_000_000));
        assert_eq!(before.plus(&since), histogram.read());
    }
}
