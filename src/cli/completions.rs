//! `completions`: the script that makes a shell complete our verbs and flags.
//!
//! Made from the same table of arguments that parses them, so it never lags behind; it goes to stdout and
//! nothing is installed.

use super::args::{Cli, CompletionsArgs};
use super::error::CliError;
use clap::CommandFactory;
use std::io::Write;

/// Prints the script for a shell.
///
/// # Errors
/// [`super::error::Exit::Io`].
pub(crate) fn completions(args: &CompletionsArgs, out: &mut dyn Write) -> Result<(), CliError> {
    // The generator panics on a write error, so it writes into memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "millrace", &mut script);
    out.write_all(&script).map_err(|error| CliError::output(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use clap_complete::Shell;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_verbs() {
        for &shell in Shell::value_variants() {
            let mut script = Vec::new();
            completions(&CompletionsArgs { shell }, &mut script).expect("memory can be written");
            let script = String::from_utf8(script).expect("a script is text");
            assert!(script.contains("list-streams"), "{shell}");
        }
    }
}
