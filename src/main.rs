//! The `millrace` binary: parses the command line and runs one verb.

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace::cli::run(std::env::args_os())
}
