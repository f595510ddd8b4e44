//! Results as text for a terminal: one row for each run.
//!
//! Pure; used after a run, by `report` and by `compare`. Columns are as wide as their widest cell, numbers at
//! the right.

use super::result::{ResultFile, Run};
use crate::quantity::{show_count, show_ns};

/// Rows of cells with a headline, aligned.
pub(crate) fn align(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let mut text = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let blanks = " ".repeat(widths[column] - cell.chars().count());
            // Names at the left, figures at the right.
            let padded = if column == 0 { format!("{cell}{blanks}") } else { format!("  {blanks}{cell}") };
            text.push_str(&padded);
        }
        text.trim_end().to_owned() + "\n"
    };
    let mut text = line(head.to_vec());
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

const HEAD: [&str; 13] = [
    "run",
    "offered/s",
    "events/s",
    "MB/s",
    "p50",
    "p90",
    "p99",
    "p99.9",
    "p99.99",
    "max",
    "errors",
    "server cpu",
    "client cpu",
];

/// The table of some results.
pub(crate) fn table(files: &[ResultFile]) -> String {
    let mut rows = Vec::new();
    for file in files {
        for run in &file.runs {
            rows.push(row(&format!("{} ({})", file.name, file.peer), run));
        }
    }
    align(&HEAD, &rows)
}

fn row(name: &str, run: &Run) -> Vec<String> {
    let us = |us: f64| show_ns((us * 1e3) as u64);
    let latency = &run.latency;
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    vec![
        name.to_owned(),
        run.offered_per_s.map_or_else(|| "closed".to_owned(), show_count),
        show_count(run.events_per_s),
        format!("{:.1}", run.mb_per_s),
        us(latency.p50_us),
        us(latency.p90_us),
        us(latency.p99_us),
        us(latency.p99_9_us),
        us(latency.p99_99_us),
        us(latency.max_us),
        show_count(run.errors.values().sum::<u64>() as f64),
        run.server.map_or_else(|| "-".to_owned(), |side| percent(side.cpu_share)),
        percent(run.client.cpu_share),
    ]
}

/// Other processes that use more than this disturb a measurement.
const QUIET_SHARE: f64 = 0.1;

/// What the table has no room for, a line each: errors, unsent requests, memory, listeners.
pub(crate) fn notes(file: &ResultFile) -> String {
    let mut text = String::new();
    for run in &file.runs {
        for (kind, count) in &run.errors {
            text.push_str(&format!("error: {kind}: {}\n", show_count(*count as f64)));
        }
        if file.peer == "millrace" && run.errors.keys().any(|kind| kind.contains("401")) {
            text.push_str("401 says that somebody else may do this: log in with --user, or give --token\n");
        }
        if run.unsent > 0 {
            let unsent = show_count(run.unsent as f64);
            text.push_str(&format!("unsent: {unsent} requests were due and found no connection with room\n"));
        }
        text.push_str(&steadiness(run));
        if run.server.is_some() && run.others_cpu_share > QUIET_SHARE {
            let percent = run.others_cpu_share * 100.0;
            text.push_str(&format!(
                "NOT QUIET: other programs used {percent:.0} % of a processor meanwhile\n"
            ));
        }
        if let Some(server) = run.server {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let (begin, max) = (mib(server.resident_bytes_begin), mib(server.resident_bytes_max));
            text.push_str(&format!("server memory: {begin:.1} MiB, at most {max:.1} MiB\n"));
        }
        text.push_str(&listen_notes(run));
    }
    text
}

/// How much worse the worst interval was than the middle one.
fn steadiness(run: &Run) -> String {
    let mut p99s: Vec<f64> = run.timeline.iter().map(|at| at.p99_us).filter(|p99| *p99 > 0.0).collect();
    p99s.sort_by(f64::total_cmp);
    let (Some(worst), true) = (p99s.last(), p99s.len() >= 3) else { return String::new() };
    let middle = p99s[p99s.len() / 2];
    let us = |us: f64| show_ns((us * 1e3) as u64);
    format!(
        "p99 of intervals of {} s: median {}, worst {} ({:.1} times the median)\n",
        run.interval_s,
        us(middle),
        us(*worst),
        worst / middle
    )
}

fn listen_notes(run: &Run) -> String {
    let Some(found) = &run.listen else { return String::new() };
    let verdict = if found.is_sound { "complete and in order" } else { "NOT complete or NOT in order" };
    let us = |us: f64| show_ns((us * 1e3) as u64);
    let mut text = format!(
        "listeners: {}, {verdict}: missing {}, repeated {}, foreign {}, behind {} (of {} listeners), \
         slow ones missed {}, reconnects {}\n",
        found.listeners,
        found.missing,
        found.repeated,
        found.foreign,
        found.behind,
        found.behind_listeners,
        found.slow_missing,
        found.reconnects,
    );
    if found.published > 0 {
        let rate = show_count(found.published as f64 / run.seconds);
        let (p50, p99) = (us(found.publish_latency.p50_us), us(found.publish_latency.p99_us));
        text.push_str(&format!("published: {rate} events/s, acknowledged in p50 {p50}, p99 {p99}\n"));
    }
    if let Some(bytes) = found.server_bytes_per_listener {
        text.push_str(&format!("server memory for each listener: {} bytes\n", show_count(bytes)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::result::tests::example;

    #[test]
    fn names_stand_at_the_left_and_figures_at_the_right() {
        let rows = [vec!["a".to_owned(), "1,000".to_owned()], vec!["long".to_owned(), "2".to_owned()]];
        assert_eq!(align(&["run", "x"], &rows), "run       x\na     1,000\nlong      2\n");
    }

    #[test]
    fn every_run_is_a_row_and_every_error_a_note() {
        let file = example();
        let text = table(std::slice::from_ref(&file));
        assert_eq!(text.lines().count(), 3);
        assert!(
            text.lines().nth(2).is_some_and(|line| line.contains("200") && line.contains("180")),
            "{text}"
        );
        assert!(notes(&file).contains("error: status 503: 2\n"));
        assert!(!notes(&file).contains("log in"));
        let mut refused = file.clone();
        refused.runs[0].errors.insert("status 401".to_owned(), 7);
        assert!(notes(&refused).contains("log in with --user"), "{}", notes(&refused));
        let steadiness = "p99 of intervals of 1 s: median 1.60 ms, worst 2.40 ms (1.5 times the median)\n";
        assert!(notes(&file).contains(steadiness), "{}", notes(&file));
    }
}
