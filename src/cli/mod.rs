//! The command line: parses, runs one verb, shows its failure, gives the exit code.
//!
//! `main` calls [`run`] and nothing else. Verbs never print failures or end the process by themselves (but
//! for the signals of `listen`); what a failed verb has to say is a [`error::CliError`].

mod address;
mod answer;
mod args;
mod client;
mod completions;
mod config;
mod dev_cert;
mod doctor;
mod error;
#[cfg(test)]
mod fake_server;
mod identity;
mod identity_settings;
mod inspect;
mod interrupt;
mod jwt;
mod lines;
mod listen;
mod paint;
mod password;
mod payload;
mod remote_args;
mod serve;
mod session;
mod tally;
mod token_cache;
mod transport;
mod verbs;
mod version;

use args::{Cli, ConfigVerb, Verb};
use clap::Parser;
use error::{CliError, Exit};
use remote_args::RemoteFlags;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// Runs the verb that the arguments name; gives the exit code of the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return show_usage(&error),
    };
    let is_json = wants_json(&cli);
    let mut out = io::BufWriter::new(io::stdout());
    let result = dispatch(&cli, &mut out);
    let result = result.and_then(|()| out.flush().map_err(|error| CliError::output(&error)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.silent => ExitCode::SUCCESS,
        Err(error) => {
            // What was found before the failure is worth having.
            let _ = out.flush();
            eprint!("{}", if is_json { error.to_json() } else { error.to_text() });
            ExitCode::from(error.exit.code())
        }
    }
}

fn dispatch(cli: &Cli, out: &mut dyn Write) -> Result<(), CliError> {
    let merged = |flags: &RemoteFlags| flags.over(&cli.remote);
    if cli.remote.insecure || cli.verb.remote().is_some_and(|flags| flags.insecure) {
        eprintln!("millrace: --insecure: the server's certificate is not checked");
    }
    match &cli.verb {
        Verb::Post(args) if args.lines => lines::post_lines(args, &merged(&args.remote), out),
        Verb::Post(args) => verbs::post(args, &merged(&args.remote), out),
        Verb::Patch(args) => verbs::patch(args, &merged(&args.remote), out),
        Verb::Get(args) => verbs::get(args, &merged(&args.remote), out),
        Verb::ListBuckets(args) => verbs::list_buckets(args, &merged(&args.remote), out),
        Verb::ListStreams(args) => verbs::list_streams(args, &merged(&args.remote), out),
        Verb::Listen(args) => listen::listen(args, &merged(&args.remote)),
        Verb::Delete(args) => verbs::delete(args, &merged(&args.remote)),
        Verb::Trim(args) => verbs::trim(args, &merged(&args.remote)),
        Verb::Identity(verb) => identity::run(verb, &cli.remote, out),
        _ if cli.remote != RemoteFlags::default() => Err(flags_without_server()),
        Verb::Serve(args) => serve::serve(args),
        Verb::Inspect(args) => inspect::inspect(args, out),
        Verb::Config(args) => match &args.verb {
            ConfigVerb::Print(args) => config::print(args, out),
            ConfigVerb::Keys => config::print_keys(out),
        },
        Verb::Doctor(args) => doctor::doctor(args, out),
        Verb::DevCert(args) => dev_cert::dev_cert(args, out),
        Verb::Completions(args) => completions::completions(args, out),
        Verb::Version(args) => version::version(args, out),
    }
}

fn flags_without_server() -> CliError {
    CliError::new(Exit::Usage, "the flags before this verb name a server, and the verb talks to none")
        .next("see `millrace --help`")
}

fn wants_json(cli: &Cli) -> bool {
    let is_remote = cli.remote.json || cli.verb.remote().is_some_and(|flags| flags.json);
    is_remote
        || match &cli.verb {
            Verb::Inspect(args) => args.json,
            Verb::Doctor(args) => args.json,
            Verb::Version(args) => args.json,
            Verb::Config(args) => matches!(&args.verb, ConfigVerb::Print(args) if args.json),
            Verb::Identity(verb) => identity::wants_json(verb),
            _ => false,
        }
}

/// Help and version go to stdout with code 0, everything else to stderr with code 2.
fn show_usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if error.use_stderr() {
        eprint!("millrace: {}", text.strip_prefix("error: ").unwrap_or(&text));
        return ExitCode::from(Exit::Usage.code());
    }
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(Exit::Io.code()),
    }
}

#[cfg(test)]
mod tests;
