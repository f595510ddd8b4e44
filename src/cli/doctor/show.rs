//! Findings and knobs as text for people and as JSON for programs.
//!
//! Pure: values in, text out; `doctor` writes it. Words of status are the same in both forms. A line of JSON
//! has either `severity` (a finding) or `knob`.

use super::Seen;
use super::judge::{Status, Verdict};
use super::knob::{Check, Knob};
use crate::cli::paint::{Paint, Tone};
use crate::sys::preflight::{Finding, Severity};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Below the words of status, which are at most 7 long.
const INDENT: &str = "         ";

/// The findings, each with its mend.
pub(super) fn findings(findings: &[Finding], paint: Paint) -> String {
    if findings.is_empty() {
        return format!("{}  this host can run the server\n", paint.tone(Tone::Good, "ok"));
    }
    let line = |finding: &Finding| {
        let tone = match finding.severity {
            Severity::Warn => Tone::Notice,
            Severity::Refuse => Tone::Bad,
        };
        let word = paint.tone(tone, word(finding.severity));
        format!("{word}  {}\n      {}\n", finding.what, finding.mend)
    };
    findings.iter().map(line).collect()
}

/// The findings, an object a line.
pub(super) fn findings_json(findings: &[Finding]) -> String {
    let line = |Finding { severity, what, mend }: &Finding| {
        let severity = word(*severity);
        json!({"severity": severity, "found": what, "mend": mend})
    };
    lines(findings.iter().map(line))
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Warn => "warn",
        Severity::Refuse => "mend",
    }
}

/// The knobs, a line for each value with what to do about it, and how many are of which kind.
pub(super) fn knobs(seen: &[Seen<'_>], paint: Paint) -> String {
    let mut text = String::from("\n");
    for (knob, check, verdict) in each(seen) {
        let word = painted(verdict.status, paint);
        let wanted = match verdict.status {
            Status::Tune => format!("; wanted: {}", verdict.wanted),
            _ => String::new(),
        };
        // A String takes whatever is written to it.
        let _ = writeln!(text, "{word}  {}: {}: {}{wanted}", knob.name, check.what, value(verdict));
        if !verdict.note.is_empty() && !verdict.found.is_empty() {
            let _ = writeln!(text, "{INDENT}{}", verdict.note);
        }
        if verdict.status == Status::Tune {
            let _ = writeln!(text, "{INDENT}{}", verdict.set);
        }
    }
    let count = |status| each(seen).filter(|(_, _, verdict)| verdict.status == status).count();
    let _ = writeln!(
        text,
        "\n{} ok, {} could be better (tune), {} unknown, {} do not matter here (n/a); why, and how to make a \
         value last:\nmillrace doctor --explain KNOB",
        count(Status::Ok),
        count(Status::Tune),
        count(Status::Unknown),
        count(Status::Moot),
    );
    text
}

/// The knobs, an object a line for each value.
pub(super) fn knobs_json(seen: &[Seen<'_>]) -> String {
    lines(each(seen).map(|(knob, check, verdict)| value_json(knob, check, verdict)))
}

/// Everything about knobs.
pub(super) fn pages(seen: &[Seen<'_>]) -> String {
    let pages: Vec<String> = seen.iter().map(page).collect();
    pages.join("\n")
}

fn page(seen: &Seen<'_>) -> String {
    let knob = seen.knob;
    let mut text = format!("{}: {}\n\n{}\n", knob.name, knob.title, knob.reason);
    for (check, verdicts) in knob.checks.iter().zip(&seen.verdicts) {
        let _ = writeln!(text, "\n{}", check.what);
        let mut row = |name: &str, value: &str| {
            if !value.is_empty() {
                let _ = writeln!(text, "  {name:<8} {value}");
            }
        };
        for verdict in verdicts {
            row("look", &verdict.look);
            let wanted = if verdict.wanted.is_empty() { "" } else { "; wanted: " };
            row("here", &format!("{}: {}{wanted}{}", verdict.status.word(), value(verdict), verdict.wanted));
            row("", if verdict.found.is_empty() { "" } else { &verdict.note });
            row("set", &verdict.set);
            row("keep", &verdict.persist);
        }
    }
    let _ = writeln!(text, "\nmeasured: {}", knob.measured);
    text
}

/// Everything about knobs, an object a line for each knob.
pub(super) fn pages_json(seen: &[Seen<'_>]) -> String {
    let line = |seen: &Seen<'_>| {
        let knob = seen.knob;
        let values: Vec<Value> = each(std::slice::from_ref(seen))
            .map(|(knob, check, verdict)| value_json(knob, check, verdict))
            .collect();
        json!({
            "knob": knob.name, "title": knob.title, "reason": knob.reason, "measured": knob.measured,
            "values": values,
        })
    };
    lines(seen.iter().map(line))
}

/// Names and titles.
pub(super) fn list(knobs: &[Knob]) -> String {
    knobs.iter().map(|knob| format!("{:<12}  {}\n", knob.name, knob.title)).collect()
}

/// Names and titles, an object a line.
pub(super) fn list_json(knobs: &[Knob]) -> String {
    lines(knobs.iter().map(|knob| json!({"knob": knob.name, "title": knob.title, "measured": knob.measured})))
}

/// Every verdict with its check and its knob.
fn each<'a>(seen: &'a [Seen<'_>]) -> impl Iterator<Item = (&'a Knob, &'a Check, &'a Verdict)> {
    seen.iter().flat_map(|seen| {
        let pairs = seen.knob.checks.iter().zip(&seen.verdicts);
        pairs.flat_map(move |(check, verdicts)| {
            verdicts.iter().map(move |verdict| (seen.knob, check, verdict))
        })
    })
}

/// The value or why there is none, with the devices or cores that have it.
fn value(verdict: &Verdict) -> String {
    let found = if verdict.found.is_empty() { &verdict.note } else { &verdict.found };
    match verdict.subjects.as_slice() {
        [] => found.clone(),
        [first, _, _, .., last] => format!("{found} ({first} to {last}, {} of them)", verdict.subjects.len()),
        few => format!("{found} ({})", few.join(", ")),
    }
}

fn value_json(knob: &Knob, check: &Check, verdict: &Verdict) -> Value {
    json!({
        "knob": knob.name, "what": check.what, "of": verdict.subjects, "status": verdict.status.word(),
        "found": verdict.found, "wanted": verdict.wanted, "note": verdict.note,
        "look": verdict.look, "set": verdict.set, "keep": verdict.persist,
    })
}

fn painted(status: Status, paint: Paint) -> String {
    // Colour takes room that is not seen, so the blanks come first.
    let word = format!("{:<7}", status.word());
    match status {
        Status::Ok => paint.tone(Tone::Good, &word),
        Status::Tune | Status::Unknown => paint.tone(Tone::Notice, &word),
        Status::Moot => word,
    }
}

fn lines(values: impl Iterator<Item = Value>) -> String {
    values.map(|value| format!("{value}\n")).collect()
}
