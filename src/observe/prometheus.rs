//! The text format of Prometheus, version 0.0.4: families with their help and kind, and their samples.
//!
//! `/metrics` writes with it. Every family is described before its first sample; whoever writes gives each
//! family once and all its samples together, which the format demands and a test of the whole output checks.

use super::histogram::{BOUNDS, Reading};
use std::fmt::{Display, Write};

/// Value of `Content-Type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family's numbers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only rise, and begin at 0 with the process.
    Counter,
    /// They rise and fall.
    Gauge,
    /// They are durations, counted into buckets.
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A label and its value.
pub type Label<'a> = (&'a str, &'a str);

/// Text that grows.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// Describes a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        self.put(format_args!("# HELP {name} {}\n# TYPE {name} {}\n", help_text(help), kind.word()));
    }

    /// A sample of the family that was described last.
    pub fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.put(format_args!("{name}{} {value}\n", label_text(labels, None)));
    }

    /// The samples of one histogram, in seconds.
    pub fn histogram(&mut self, name: &str, labels: &[Label<'_>], reading: &Reading) {
        let mut count = 0;
        let bounds = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        for (bound, in_bucket) in bounds.zip(reading.buckets) {
            count += in_bucket;
            self.put(format_args!("{name}_bucket{} {count}\n", label_text(labels, Some(bound))));
        }
        let labels = label_text(labels, None);
        self.put(format_args!("{name}_sum{labels} {}\n", seconds(reading.sum_ns)));
        self.put(format_args!("{name}_count{labels} {count}\n"));
    }

    /// The whole text.
    pub fn into_text(self) -> String {
        self.0
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a string takes everything");
    }
}

/// Nanoseconds as seconds.
pub fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn label_text(labels: &[Label<'_>], bound: Option<&str>) -> String {
    let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
    let pairs: Vec<String> = all.map(|(name, value)| format!("{name}=\"{}\"", label_value(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

/// In help, a backslash and a line feed are escaped.
fn help_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

/// In the value of a label, a quotation mark is escaped as well.
fn label_value(text: &str) -> String {
    help_text(text).replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::super::Histogram;
    use super::*;

    #[test]
    fn a_family_is_described_and_its_samples_carry_their_labels() {
        let mut text = Exposition::default();
        text.family("a_total", Kind::Counter, "First line\nand \\ more.");
        text.sample("a_total", &[], 3);
        text.sample("a_total", &[("shard", "0"), ("x", "a\"b\\c\n")], 0.25);
        let expected = "# HELP a_total First line\\nand \\\\ more.\n# TYPE a_total counter\na_total 3\n\
                        a_total{shard=\"0\",x=\"a\\\"b\\\\c\\n\"} 0.25\n";
        assert_eq!(text.into_text(), expected);
    }

    #[test]
    fn buckets_of_a_histogram_add_up_to_its_count() {
        let histogram = Histogram::default();
        for duration_ns in [1, 60_000, 70_000, 20_000_000_000] {
            histogram.observe_ns(duration_ns);
        }
        let mut text = Exposition::default();
        text.histogram("t_seconds", &[("endpoint", "x")], &histogram.read());
        let text = text.into_text();
        for line in [
            "t_seconds_bucket{endpoint=\"x\",le=\"0.00005\"} 1",
            "t_seconds_bucket{endpoint=\"x\",le=\"0.0001\"} 3",
            "t_seconds_bucket{endpoint=\"x\",le=\"10\"} 3",
            "t_seconds_bucket{endpoint=\"x\",le=\"+Inf\"} 4",
            "t_seconds_sum{endpoint=\"x\"} 20.000130001",
            "t_seconds_count{endpoint=\"x\"} 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
