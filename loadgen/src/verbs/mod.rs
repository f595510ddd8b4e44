//! The verbs: options in, a plan made and run, a result shown.
//!
//! `main` calls [`dispatch`]. A verb checks every option before it starts anything, and names the option in
//! what it says.

pub(crate) mod append;
pub(crate) mod common;
pub(crate) mod compare;
pub(crate) mod listen;
pub(crate) mod login;
pub(crate) mod peers;
pub(crate) mod report;
pub(crate) mod scenario;

#[cfg(test)]
mod fake_server;
#[cfg(test)]
mod tests;

use crate::cli::{Cli, Verb};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::verify;
use clap::Parser;

/// Runs one verb; `arguments` are those after the program's name.
pub(crate) fn dispatch(cli: &Cli, arguments: &[String], clock: Clock) -> Result<(), Failure> {
    match &cli.verb {
        Verb::Append(args) => {
            let file = append::run(args, arguments, clock)?;
            common::show(&args.common, &file)
        }
        Verb::Listen(args) => {
            let file = listen::run(args, arguments, clock)?;
            common::show(&args.common, &file)?;
            listen::judge(&file)
        }
        Verb::Verify(args) => verify::run(args),
        Verb::Run(args) => {
            let arguments = scenario::arguments_of(&args.scenarios, &args.scenario, &args.flags)?;
            dispatch(&parse(&arguments)?, &arguments, clock)
        }
        Verb::List(args) => scenario::list(&args.scenarios),
        Verb::Report(args) => report::run(args),
        Verb::Compare(args) => compare::run(args, clock),
    }
}

/// Parses the arguments that a scenario stands for; what is wrong is said in clap's words.
pub(crate) fn parse(arguments: &[String]) -> Result<Cli, Failure> {
    let all = std::iter::once("loadgen").chain(arguments.iter().map(String::as_str));
    Cli::try_parse_from(all).map_err(|error| {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned();
        Failure::usage(format!("the scenario or the flags after it are wrong: {text}"))
    })
}
