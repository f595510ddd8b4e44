//! Latencies as an HDR histogram, in nanoseconds, with three significant figures up to an hour.
//!
//! Workers record, the coordinator merges, reports read. Laws: merging the histograms of parts is recording
//! everything in one; a value above the range counts as the top of it and is never dropped.

use hdrhistogram::Histogram;

/// The longest latency told apart from longer ones.
pub(crate) const LATENCY_NS_MAX: u64 = 3_600_000_000_000;
const SIGNIFICANT_FIGURES: u8 = 3;

/// The percentiles at which the whole distribution is drawn.
pub(crate) const LADDER: [f64; 16] =
    [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999, 99.9999, 100.0];

/// Latencies of many requests.
#[derive(Clone, Debug)]
pub(crate) struct Latency {
    histogram: Histogram<u64>,
}

impl Latency {
    /// None yet.
    pub(crate) fn new() -> Latency {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, SIGNIFICANT_FIGURES);
        Latency { histogram: histogram.expect("the bounds are constants that it takes") }
    }

    /// Counts one.
    pub(crate) fn record(&mut self, ns: u64) {
        self.record_many(ns, 1);
    }

    /// Counts the same latency `count` times.
    pub(crate) fn record_many(&mut self, ns: u64, count: u64) {
        self.histogram.saturating_record_n(ns.max(1), count);
    }

    /// Adds everything that `other` counted.
    pub(crate) fn merge(&mut self, other: &Latency) {
        self.histogram.add(&other.histogram).expect("both have the same bounds");
    }

    /// How many were counted.
    pub(crate) fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that `percent` of all do not exceed, in nanoseconds; 0 if there is none.
    pub(crate) fn at(&self, percent: f64) -> u64 {
        if self.count() == 0 { 0 } else { self.histogram.value_at_quantile(percent / 100.0) }
    }

    /// The longest, within three figures; 0 if there is none.
    pub(crate) fn max_ns(&self) -> u64 {
        self.histogram.max()
    }

    /// The mean, in nanoseconds.
    pub(crate) fn mean_ns(&self) -> f64 {
        self.histogram.mean()
    }

    /// Percentile and latency along [`LADDER`], as far as there are samples to tell them apart.
    pub(crate) fn curve(&self) -> Vec<(f64, u64)> {
        let told_apart = |percent: f64| (100.0 - percent) / 100.0 * self.count() as f64 >= 1.0;
        let percents = LADDER.iter().copied().filter(|p| *p == 100.0 || told_apart(*p));
        if self.count() == 0 { Vec::new() } else { percents.map(|p| (p, self.at(p))).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merged_parts_are_the_whole(
            values in prop::collection::vec(0..10_000_000_000u64, 1..200), cut in 0..200usize,
        ) {
            let record = |values: &[u64]| {
                let mut latency = Latency::new();
                values.iter().for_each(|ns| latency.record(*ns));
                latency
            };
            let (left, right) = values.split_at(cut.min(values.len()));
            let mut merged = record(left);
            merged.merge(&record(right));
            prop_assert_eq!(&merged.histogram, &record(&values).histogram);
        }

        #[test]
        fn a_percentile_is_the_sorted_value_within_three_figures(
            mut values in prop::collection::vec(1..10_000_000_000u64, 1..200), percent in 0.0..=100.0f64,
        ) {
            let mut latency = Latency::new();
            values.iter().for_each(|ns| latency.record(*ns));
            values.sort_unstable();
            let rank = ((percent / 100.0 * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1] as f64;
            prop_assert!((latency.at(percent) as f64 - exact).abs() <= exact / 1000.0 + 1.0);
        }
    }

    #[test]
    fn a_value_beyond_the_range_counts_as_the_top_of_it() {
        let mut latency = Latency::new();
        latency.record(u64::MAX);
        assert_eq!(latency.count(), 1);
        assert!(latency.max_ns() >= LATENCY_NS_MAX);
    }

    #[test]
    fn a_curve_ends_where_samples_no_longer_tell_percentiles_apart() {
        let mut latency = Latency::new();
        (1..=100).for_each(|ms| latency.record(ms * 1_000_000));
        let percents: Vec<f64> = latency.curve().iter().map(|(percent, _)| *percent).collect();
        assert_eq!(percents, [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 100.0]);
        assert!(Latency::new().curve().is_empty());
    }
}
