//! What was measured of each case, as a table for people or a line of JSON for each case.
//!
//! An earlier run's lines can be compared with: each figure then has its change beside it. A figure that
//! was not counted is absent, never zero.

use crate::counting::Allocations;
use crate::measure::Timing;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The figures of one case.
#[derive(Clone, Debug)]
pub struct Row {
    /// The case's name.
    pub name: &'static str,
    /// What one event is.
    pub event: &'static str,
    /// Its time.
    pub timing: Timing,
    /// Instructions per event, where they were counted.
    pub instructions: Option<f64>,
    /// Calls of the allocator, where they were counted.
    pub allocations: Option<Allocations>,
}

/// Lines of an earlier run, by name.
pub type Earlier = BTreeMap<String, Value>;

/// Reads the lines that an earlier run wrote with `--json`.
///
/// # Errors
/// The number of a line that is not such a line.
pub fn read_earlier(text: &str) -> Result<Earlier, String> {
    let read = |(index, line): (usize, &str)| {
        let line: Option<Value> = serde_json::from_str(line).ok();
        let named = line.and_then(|line| Some((line.get("name")?.as_str()?.to_owned(), line)));
        named.ok_or_else(|| format!("line {} is not a line of --json", index + 1))
    };
    text.lines().enumerate().filter(|(_, line)| !line.is_empty()).map(read).collect()
}

impl Row {
    /// The line of `--json`.
    pub fn to_json(&self) -> Value {
        let (low, high) = self.timing.quartiles;
        json!({
            "name": self.name,
            "event": self.event,
            "events": self.timing.events,
            "ns_per_event": rounded(self.timing.ns),
            "ns_quartiles": [rounded(low), rounded(high)],
            "instructions_per_event": self.instructions.map(rounded),
            "allocations_per_event": self.allocations.map(|counts| rounded(counts.calls_per_event())),
            "bytes_per_event": self.allocations.map(|counts| rounded(counts.bytes_per_event())),
        })
    }

    /// The line of the table; `earlier` is what this case was before.
    pub fn to_line(&self, earlier: Option<&Value>) -> String {
        let cell = |key: &str, now: Option<f64>| {
            let before = earlier.and_then(|line| line.get(key)).and_then(Value::as_f64);
            let text = now.map_or_else(|| "-".to_owned(), shown);
            let change = now.zip(before).map_or_else(String::new, |(now, before)| change(now, before));
            format!("{text:>12}{change:>8}")
        };
        let allocations = self.allocations;
        format!(
            "{:<28}{:>10}{}{}{}{}  {}",
            self.name,
            self.timing.events,
            cell("ns_per_event", Some(self.timing.ns)),
            cell("instructions_per_event", self.instructions),
            cell("allocations_per_event", allocations.map(|counts| counts.calls_per_event())),
            cell("bytes_per_event", allocations.map(|counts| counts.bytes_per_event())),
            self.event
        )
    }
}

/// The table's first line.
pub fn header() -> String {
    let cell = |text: &str| format!("{text:>12}{:>8}", "");
    let columns = ["ns", "instructions", "allocations", "bytes"].map(cell).concat();
    format!("{:<28}{:>10}{columns}  per event, which is one", "name", "events")
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn shown(value: f64) -> String {
    if value == 0.0 || value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn change(now: f64, before: f64) -> String {
    if before == 0.0 {
        return if now == 0.0 { "=".to_owned() } else { "new".to_owned() };
    }
    match (now / before - 1.0) * 100.0 {
        percent if percent.abs() < 0.05 => "=".to_owned(),
        percent => format!("{percent:+.1}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            name: "a/b",
            event: "thing",
            timing: Timing { events: 640, ns: 1234.5, quartiles: (1200.0, 1300.0) },
            instructions: None,
            allocations: Some(Allocations { events: 640, calls: 320, bytes: 0 }),
        }
    }

    #[test]
    fn a_figure_that_was_not_counted_is_absent() {
        assert_eq!(row().to_json()["instructions_per_event"], Value::Null);
        assert_eq!(row().to_json()["bytes_per_event"], 0.0);
        let cells: Vec<String> = row().to_line(None).split_whitespace().map(str::to_owned).collect();
        assert_eq!(cells, ["a/b", "640", "1234", "-", "0.50", "0", "thing"]);
    }

    #[test]
    fn an_earlier_run_is_compared_figure_by_figure() {
        let before = "{\"name\":\"a/b\",\"ns_per_event\":2469.0,\"allocations_per_event\":0.5}\n";
        let earlier = read_earlier(before).expect("sound lines");
        let line = row().to_line(earlier.get("a/b"));
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(cells, ["a/b", "640", "1234", "-50.0%", "-", "0.50", "=", "0", "thing"]);
        assert_eq!(read_earlier("{}\n"), Err("line 1 is not a line of --json".to_owned()));
    }
}
