//! The `millrace` binary: parses the command line and runs one verb.
//!
//! Everything is in the library, so that it can be tested and embedded; here is only the way from the
//! operating system's arguments to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace::cli::run(std::env::args_os())
}
