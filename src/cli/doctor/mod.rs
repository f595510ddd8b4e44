//! `doctor`: what `serve` would find wrong with this host, and what could be better about it.
//!
//! Findings are `sys::preflight`'s and decide the exit code. Knobs are the files of `tuning/knobs`, compiled
//! in by `table`; `host` looks, `judge` decides, `show` writes. A knob never fails the verb.

mod host;
mod interrupts;
mod judge;
mod knob;
mod mount;
mod show;
mod sight;
mod table;

use super::args::{DoctorArgs, SettingFlags};
use super::config;
use super::error::{CliError, Exit};
use super::paint::Paint;
use super::serve::processors;
use crate::config::Config;
use crate::sys::preflight::{self, Needs, Severity};
use knob::Knob;
use sight::Plan;
use std::io::Write;
pub(crate) use table::names as knob_names;

/// Prints every finding and every knob, or what was asked for; fails when something must be mended.
///
/// # Errors
/// [`Exit::Refused`] when the server would not run; [`Exit::Config`], [`Exit::Io`].
pub(crate) fn doctor(args: &DoctorArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let mut knobs = table::knobs();
    if args.list {
        let text = if args.json { show::list_json(&knobs) } else { show::list(&knobs) };
        return write(out, &text);
    }
    let settings = SettingFlags {
        config: args.config.clone(),
        data: args.data.as_ref().map(|path| path.display().to_string()),
        ..SettingFlags::default()
    };
    let config = config::load(&settings)?;
    let cores = processors(&config, &preflight::allowed_cpus())?;
    // As `serve` does, so that only hard limits are found too low.
    preflight::raise_limits();
    if let Some(name) = &args.explain {
        knobs.retain(|knob| knob.name == name);
    }
    let seen = examine(&knobs, plan(&config, &cores));
    if args.explain.is_some() {
        return write(out, &if args.json { show::pages_json(&seen) } else { show::pages(&seen) });
    }
    let needs = Needs { data_dir: config.server.data, cores, connections_max: config.limits.connections_max };
    let findings = preflight::check(&needs);
    let text = if args.json {
        show::findings_json(&findings) + &show::knobs_json(&seen)
    } else {
        let paint = Paint::for_stdout();
        show::findings(&findings, paint) + &show::knobs(&seen, paint)
    };
    write(out, &text)?;
    match findings.iter().filter(|finding| finding.severity == Severity::Refuse).count() {
        0 => Ok(()),
        count => Err(CliError::new(Exit::Refused, format!("{count} to be mended before the server can run"))),
    }
}

/// A knob with the verdicts of its checks, in their order.
struct Seen<'a> {
    knob: &'a Knob,
    verdicts: Vec<Vec<judge::Verdict>>,
}

fn examine(knobs: &[Knob], plan: Plan) -> Vec<Seen<'_>> {
    let sight = host::look(plan, knobs);
    let judged = |knob: &Knob| knob.checks.iter().map(|check| judge::judge(check, &sight)).collect();
    knobs.iter().map(|knob| Seen { knob, verdicts: judged(knob) }).collect()
}

fn plan(config: &Config, cores: &[usize]) -> Plan {
    Plan {
        cores: cores.to_vec(),
        connections_max: config.limits.connections_max,
        is_on_network: [config.http.addr, config.tls.addr]
            .into_iter()
            .flatten()
            .any(|addr| !addr.ip().is_loopback()),
        is_dedicated: config.server.spin_us > 0,
        data_dir: config.server.data.clone(),
    }
}

fn write(out: &mut dyn Write, text: &str) -> Result<(), CliError> {
    out.write_all(text.as_bytes()).map_err(|error| CliError::output(&error))
}

#[cfg(test)]
mod tests;
