//! `loadgen`: loads a Millrace server or a peer, listens to it, and checks that nothing is lost.
//!
//! Beside the server, never part of it: it shares the codecs of `crates/` and talks over sockets only. `main`
//! parses, runs one verb, prints its failure and gives the exit code. `docs/loadgen.md` is the manual.

mod cli;
mod clock;
mod decide;
mod drive;
mod failure;
mod outcome;
mod quantity;
mod verbs;
mod verify;
mod wire;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let cli = cli::Cli::parse();
    match verbs::dispatch(&cli, &arguments, clock::Clock::start()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("loadgen: {failure}");
            ExitCode::from(failure.exit.code())
        }
    }
}
