//! Instructions, counted by callgrind, which runs the bench once more on a simulated processor.
//!
//! Hardware counters would need a machine that has them and rights to read them; virtual machines often
//! have neither. Callgrind's count is that of this program's instructions alone, the same in every run
//! on machines with the same instruction sets. Where valgrind is missing, nothing fails: the count is absent.

use crate::Case;
use crate::measure::{measured_section, sample};
use std::path::Path;
use std::process::{Command, Output};

/// Most measured rounds under callgrind, which is fifty times slower.
const ROUNDS_MAX: u32 = 8;

/// Why there is no count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCounted {
    /// Valgrind is not installed.
    NoValgrind,
    /// It ran, and what it printed was not understood.
    Failed(String),
}

impl std::fmt::Display for NotCounted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotCounted::NoValgrind => write!(f, "valgrind is not installed on this host"),
            NotCounted::Failed(why) => write!(f, "callgrind failed: {why}"),
        }
    }
}

/// Instructions per event of a case. `program` must answer `--under-callgrind NAME` with [`run_here`].
///
/// # Errors
/// [`NotCounted`] says why this host gives no count.
pub fn instructions_per_event(program: &Path, case: &Case) -> Result<f64, NotCounted> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--combine-dumps=no"]);
    valgrind.arg("--toggle-collect=*measured_section*");
    valgrind.arg(program).args(["--under-callgrind", case.name]);
    let output = valgrind.output().map_err(|_| NotCounted::NoValgrind)?;
    parse(&output).ok_or_else(|| NotCounted::Failed(last_line(&output.stderr)))
}

/// The measured rounds, for callgrind to look at; gives the count of events.
pub fn run_here(case: &Case) -> u64 {
    sample(case, case.rounds.min(ROUNDS_MAX), measured_section)
}

/// Standard output is the count of events, standard error has `==PID== Collected : INSTRUCTIONS`.
fn parse(output: &Output) -> Option<f64> {
    let events: u64 = std::str::from_utf8(&output.stdout).ok()?.trim().parse().ok()?;
    let log = String::from_utf8_lossy(&output.stderr);
    let collected = log.lines().find_map(|line| line.split_once("Collected :"))?.1;
    let instructions: u64 = collected.trim().parse().ok()?;
    (output.status.success() && events > 0 && instructions > 0).then(|| instructions as f64 / events as f64)
}

fn last_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().last().unwrap_or("it printed nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    fn output(code: i32, stdout: &str, stderr: &str) -> Output {
        Output { status: ExitStatus::from_raw(code), stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn the_count_is_instructions_by_events() {
        let log = "==7== Events    : Ir\n==7== Collected : 1200\n==7==\n==7== I   refs:      1,200\n";
        assert_eq!(parse(&output(0, "8\n", log)), Some(150.0));
    }

    #[test]
    fn a_host_without_valgrind_and_a_program_that_cannot_run_give_no_count() {
        let prepare = || -> Box<dyn crate::Work> { unreachable!("nothing runs") };
        let case = Case { name: "x", event: "one", rounds: 1, prepare };
        assert!(instructions_per_event(Path::new("/nonexistent/program"), &case).is_err());
    }

    #[test]
    fn nothing_collected_and_a_failure_are_no_counts() {
        assert_eq!(parse(&output(0, "8\n", "==7== Collected : 0\n")), None);
        assert_eq!(parse(&output(256, "8\n", "==7== Collected : 1200\n")), None);
        assert_eq!(parse(&output(0, "", "==7== Collected : 1200\n")), None);
    }
}
