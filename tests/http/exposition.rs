//! A strict reader of the Prometheus text format 0.0.4, for the tests of `/metrics`.
//!
//! It shares nothing with the server's writer and fails on whatever a scraper could stumble over: a sample
//! outside its family, a series that comes twice, a name or a label that may not be, buckets that do not add
//! up. Only what this server writes is understood: no timestamps, no summaries.

use std::collections::{BTreeMap, HashSet};

/// A sample's labels, sorted, without `le`.
type Labels = Vec<(String, String)>;

/// A family with its samples.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    /// By full name of the sample and its labels.
    samples: BTreeMap<(String, Labels), f64>,
    /// Cumulative counts of a histogram with their bounds, by labels.
    buckets: BTreeMap<Labels, Vec<(f64, f64)>>,
}

/// All families of one text.
#[derive(Debug, Default)]
pub(crate) struct Exposition(pub(crate) BTreeMap<String, Family>);

impl Exposition {
    /// Reads a whole text, or fails the test that asks.
    pub(crate) fn parse(text: &str) -> Exposition {
        assert!(text.ends_with('\n'), "the last line has no end");
        let (mut families, mut current) = (BTreeMap::<String, Family>::new(), String::new());
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
                assert!(is_name(name) && help.len() > 5 && help.ends_with('.'), "{line}");
                let described = lines.next().unwrap_or_default();
                let kind = described.strip_prefix(&format!("# TYPE {name} "));
                let kind = kind.unwrap_or_else(|| panic!("no type behind {line}, but {described}"));
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{described}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{described}");
                current = name.to_owned();
                let family = Family { kind: kind.to_owned(), ..Family::default() };
                assert!(families.insert(current.clone(), family).is_none(), "{name} comes twice");
            } else {
                let family = families.get_mut(&current).unwrap_or_else(|| panic!("no family for {line}"));
                family.take(&current, line);
            }
        }
        families.iter().for_each(|(name, family)| family.check(name));
        Exposition(families)
    }

    /// The value of the one series with this name and these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = sorted(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let found = self.0.values().find_map(|family| family.samples.get(&(name.to_owned(), labels.clone())));
        *found.unwrap_or_else(|| panic!("there is no {name} {labels:?}"))
    }

    /// The sum of all series with this name.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let of_family = |family: &Family| -> f64 {
            family.samples.iter().filter(|((found, _), _)| found == name).map(|(_, value)| value).sum()
        };
        self.0.values().map(of_family).sum()
    }
}

impl Family {
    fn take(&mut self, family: &str, line: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let (name, labels) = series_parts(series);
        let (bounds, labels): (Labels, Labels) = labels.into_iter().partition(|(label, _)| label == "le");
        if self.kind == "histogram" && name == format!("{family}_bucket") {
            assert_eq!(bounds.len(), 1, "{line}");
            let bound = if bounds[0].1 == "+Inf" { f64::INFINITY } else { bounds[0].1.parse().expect("le") };
            return self.buckets.entry(sorted(labels)).or_default().push((bound, value));
        }
        let names: Vec<String> = match self.kind.as_str() {
            "histogram" => vec![format!("{family}_sum"), format!("{family}_count")],
            _ => vec![family.to_owned()],
        };
        assert!(names.contains(&name) && bounds.is_empty(), "{line} stands in the family {family}");
        let before = self.samples.insert((name, sorted(labels)), value);
        assert!(before.is_none(), "{line} comes twice");
    }

    fn check(&self, name: &str) {
        assert!(!self.samples.is_empty(), "{name} is described and has no sample");
        for (labels, buckets) in &self.buckets {
            let is_rising = |two: &[(f64, f64)]| two[0].0 < two[1].0 && two[0].1 <= two[1].1;
            assert!(buckets.windows(2).all(is_rising), "{name} {labels:?}: {buckets:?}");
            let (bound, count) = *buckets.last().expect("a bucket");
            assert!(bound.is_infinite(), "{name} {labels:?} has no +Inf");
            assert_eq!(self.samples.get(&(format!("{name}_count"), labels.clone())), Some(&count));
            assert!(self.samples.contains_key(&(format!("{name}_sum"), labels.clone())), "{name} {labels:?}");
        }
        let counts = self.samples.keys().filter(|(sample, _)| *sample == format!("{name}_count")).count();
        assert_eq!(counts, self.buckets.len(), "{name}: every histogram has its buckets");
    }
}

/// `name{label="value",…}`.
fn series_parts(series: &str) -> (String, Labels) {
    let Some((name, rest)) = series.split_once('{') else {
        assert!(is_name(series), "{series}");
        return (series.to_owned(), Vec::new());
    };
    assert!(is_name(name), "{series}");
    let mut rest = rest.strip_suffix('}').unwrap_or_else(|| panic!("no end: {series}"));
    let (mut labels, mut known) = (Vec::new(), HashSet::new());
    while !rest.is_empty() {
        let (label, behind) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {series}"));
        assert!(is_name(label) && !label.contains(':') && known.insert(label), "{series}");
        let end = behind.find('"').unwrap_or_else(|| panic!("no end of {label}: {series}"));
        assert!(!behind[..end].contains('\\'), "no label here needs an escape: {series}");
        labels.push((label.to_owned(), behind[..end].to_owned()));
        rest = behind[end + 1..].strip_prefix(',').unwrap_or(&behind[end + 1..]);
    }
    (name.to_owned(), labels)
}

fn is_name(text: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    text.starts_with(is_first) && text.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

fn sorted(labels: impl IntoIterator<Item = (String, String)>) -> Labels {
    let mut labels: Labels = labels.into_iter().collect();
    labels.sort();
    labels
}
