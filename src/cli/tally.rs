//! The counts of `post --lines`, and what they mean for the exit code.
//!
//! Invariant: `stored + refused + unknown = sent`; a line is counted when its request's answer came, and
//! a request stands for all its lines, because they are stored together or not at all.

use super::error::{CliError, Exit};
use http1::Response;
use serde_json::{Value, json};

/// Refusals that are told one by one; the rest are only counted.
const REFUSALS_TOLD_MAX: u64 = 10;

/// The lines of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Number of its first line, from 1.
    pub(crate) first_line: u64,
    /// Lines that are events.
    pub(crate) count: u64,
    /// Bytes of input, with empty lines and line ends.
    pub(crate) bytes: u64,
}

/// What became of the lines.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Lines read.
    lines: u64,
    /// Lines in requests that were sent.
    sent: u64,
    /// Lines that the server acknowledged.
    stored: u64,
    /// Of these, lines that an earlier run had stored already (idempotency keys).
    replayed: u64,
    /// Lines that the server refused.
    refused: u64,
    /// First and last id that was acknowledged.
    ids: Option<(u64, u64)>,
    /// Why the connection ended early.
    pub(crate) lost: Option<CliError>,
}

impl Tally {
    /// Counts the lines of a request that was acknowledged.
    pub(crate) fn count_stored(&mut self, span: Span, response: &Response) {
        self.stored += span.count;
        if response.head.header_str("idempotent-replayed") == Some("true") {
            self.replayed += span.count;
        }
        let answer: Option<Value> = serde_json::from_slice(&response.body).ok();
        if let Some(first) = answer.as_ref().and_then(|answer| answer["meta"]["id"].as_u64()) {
            let last = first.saturating_add(span.count.saturating_sub(1));
            self.ids = Some(self.ids.map_or((first, last), |(low, high)| (low.min(first), high.max(last))));
        }
    }

    /// Counts the lines of a request that was refused, and tells the first few on stderr.
    pub(crate) fn count_refused(&mut self, span: Span, failure: &CliError) {
        if self.refused < REFUSALS_TOLD_MAX {
            eprintln!("millrace: {}: {}", span_text(span), failure.message);
        }
        self.refused += span.count;
    }

    /// The end: how many lines were read and sent, and why sending stopped early.
    pub(crate) fn close(&mut self, lines: u64, sent: u64, stopped: Option<CliError>) {
        (self.lines, self.sent) = (lines, sent);
        if self.lost.is_none() {
            self.lost = stopped;
        }
        assert!(self.stored + self.refused <= self.sent, "an answer without a request: {self:?}");
    }

    fn unknown(&self) -> u64 {
        self.sent - self.stored - self.refused
    }

    /// One sentence.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("stored {} of {} events", self.stored, self.sent);
        if let Some((first, last)) = self.ids {
            text.push_str(&format!(", ids {first} to {last}"));
        }
        let parts =
            [(self.replayed, "stored before"), (self.refused, "refused"), (self.unknown(), "unknown")];
        for (count, word) in parts.into_iter().filter(|(count, _)| *count > 0) {
            text.push_str(&format!(", {count} {word}"));
        }
        text
    }

    /// One JSON object.
    pub(crate) fn to_json(&self) -> String {
        json!({
            "lines": self.lines, "sent": self.sent, "stored": self.stored, "replayed": self.replayed,
            "refused": self.refused, "unknown": self.unknown(),
            "first_id": self.ids.map(|ids| ids.0), "last_id": self.ids.map(|ids| ids.1),
        })
        .to_string()
    }

    /// Success only if every line was read, sent and stored.
    ///
    /// # Errors
    /// The reason of the loss if there was one, else [`Exit::Refused`] with the counts.
    pub(crate) fn verdict(&self) -> Result<(), CliError> {
        if let Some(lost) = &self.lost {
            let next = "lines after the last one told as stored may be missing; with --idempotency-key the \
                        same command can be run again";
            let mut lost = lost.clone().next(next);
            lost.message = format!("{} ({})", lost.message, self.to_text());
            return Err(lost);
        }
        if self.refused > 0 {
            let message = format!("{} of {} events were refused", self.refused, self.sent);
            return Err(CliError::new(Exit::Refused, message));
        }
        Ok(())
    }
}

fn span_text(span: Span) -> String {
    match span.count {
        1 => format!("line {}", span.first_line),
        count => format!("{count} lines from line {}", span.first_line),
    }
}
