//! `doctor`: what `serve` would find wrong with this host, and the command that mends it.
//!
//! The checks are `sys::preflight`'s; this file asks and shows.

use super::args::{DoctorArgs, SettingFlags};
use super::config;
use super::error::{CliError, Exit};
use super::paint::{Paint, Tone};
use super::serve::processors;
use crate::sys::preflight::{self, Finding, Needs, Severity};
use serde_json::json;
use std::io::Write;

/// Prints every finding; fails when one of them must be mended.
///
/// # Errors
/// [`Exit::Refused`] when the server would not run; [`Exit::Config`], [`Exit::Io`].
pub(crate) fn doctor(args: &DoctorArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let settings = SettingFlags {
        config: args.config.clone(),
        data: args.data.as_ref().map(|path| path.display().to_string()),
        ..SettingFlags::default()
    };
    let config = config::load(&settings)?;
    let cores = processors(&config, &preflight::allowed_cpus())?;
    let needs = Needs { data_dir: config.server.data, cores, connections_max: config.limits.connections_max };
    // As `serve` does, so that only hard limits are found too low.
    preflight::raise_limits();
    let findings = preflight::check(&needs);
    let text = if args.json { to_json(&findings) } else { to_text(&findings, Paint::for_stdout()) };
    out.write_all(text.as_bytes()).map_err(|error| CliError::output(&error))?;
    match findings.iter().filter(|finding| finding.severity == Severity::Refuse).count() {
        0 => Ok(()),
        count => Err(CliError::new(Exit::Refused, format!("{count} to be mended before the server can run"))),
    }
}

fn to_json(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let severity = word(finding.severity);
        format!("{}\n", json!({"severity": severity, "found": finding.what, "mend": finding.mend}))
    };
    findings.iter().map(line).collect()
}

fn to_text(findings: &[Finding], paint: Paint) -> String {
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

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Warn => "warn",
        Severity::Refuse => "mend",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        let finding = |severity, what: &str, mend: &str| Finding {
            severity,
            what: what.to_owned(),
            mend: mend.to_owned(),
        };
        vec![
            finding(Severity::Refuse, "memlock is 64 KiB, needed are 512 KiB", "ulimit -l 512"),
            finding(Severity::Warn, "tmpfs", "use a disk"),
        ]
    }

    #[test]
    fn a_finding_is_told_with_its_mend() {
        let expected = "mend  memlock is 64 KiB, needed are 512 KiB\n      ulimit -l 512\n\
                        warn  tmpfs\n      use a disk\n";
        assert_eq!(to_text(&findings(), Paint::plain()), expected);
        assert_eq!(to_text(&[], Paint::plain()), "ok  this host can run the server\n");
    }

    #[test]
    fn the_json_form_has_an_object_a_line() {
        let json = to_json(&findings());
        let first: serde_json::Value =
            serde_json::from_str(json.lines().next().expect("two lines")).expect("JSON");
        assert_eq!((&first["severity"], &first["mend"]), (&"mend".into(), &"ulimit -l 512".into()));
    }
}
