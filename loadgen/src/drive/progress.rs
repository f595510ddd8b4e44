//! The live line of a run, on a terminal and only there.
//!
//! Written to stderr by the coordinator once a second, over the line before. Results go to stdout, so a pipe
//! sees nothing of this.

use crate::quantity::{show_count, show_ns};
use std::io::{IsTerminal, Write};

/// What the line says.
#[derive(Clone, Debug)]
pub(crate) struct Moment<'a> {
    /// What goes on, as "warm-up" or "measuring".
    pub(crate) phase: &'a str,
    /// Seconds of the phase that have passed, and how many it has.
    pub(crate) seconds: (f64, f64),
    /// Events of the last second.
    pub(crate) events: f64,
    /// Payload bytes of the last second.
    pub(crate) bytes: f64,
    /// Offered events a second, if anything was offered.
    pub(crate) offered: Option<f64>,
    /// p99 of the last second.
    pub(crate) p99_ns: u64,
    /// Failures so far.
    pub(crate) errors: u64,
}

/// The line.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    is_shown: bool,
    width: usize,
}

impl ProgressLine {
    /// Shows itself if stderr is a terminal.
    pub(crate) fn new() -> ProgressLine {
        ProgressLine { is_shown: std::io::stderr().is_terminal(), width: 0 }
    }

    /// Shows a moment.
    pub(crate) fn show(&mut self, moment: &Moment<'_>) {
        if self.is_shown {
            self.write(&line(moment));
        }
    }

    /// Makes room for other output.
    pub(crate) fn clear(&mut self) {
        if self.is_shown && self.width > 0 {
            self.write("");
            eprint!("\r");
        }
    }

    fn write(&mut self, text: &str) {
        let width = text.chars().count();
        let blanks = " ".repeat(self.width.saturating_sub(width));
        self.width = width;
        // A terminal that is gone is no reason to end a measurement.
        let _ = write!(std::io::stderr(), "\r{text}{blanks}");
        let _ = std::io::stderr().flush();
    }
}

fn line(moment: &Moment<'_>) -> String {
    let (done, all) = moment.seconds;
    let offered = moment.offered.map(|rate| format!(" of {}", show_count(rate))).unwrap_or_default();
    format!(
        "{} {done:.0}/{all:.0} s  {}{offered} events/s  {:.1} MB/s  p99 {}  errors {}",
        moment.phase,
        show_count(moment.events),
        moment.bytes / 1e6,
        show_ns(moment.p99_ns),
        moment.errors,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_achieved_of_what_is_offered() {
        let moment = Moment {
            phase: "measuring",
            seconds: (3.0, 10.0),
            events: 19_998.0,
            bytes: 2_559_744.0,
            offered: Some(20_000.0),
            p99_ns: 412_000,
            errors: 1,
        };
        let expected = "measuring 3/10 s  19,998 of 20,000 events/s  2.6 MB/s  p99 412 us  errors 1";
        assert_eq!(line(&moment), expected);
    }
}
