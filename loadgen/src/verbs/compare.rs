//! `loadgen compare`: a scenario against Millrace and a peer in turn, A B A B…, and what the rounds say
//! together.
//!
//! Each half of a round starts its server anew on the same processors, with empty data. The ratio is that of
//! medians; its spread is that of the rounds, since a machine's mood is the same for both halves of one.

use super::peers::RunningPeer;
use super::{append, common, listen, login, parse, scenario};
use crate::cli::{Cli, CompareArgs, LoginArgs, Verb};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::outcome::result::{ResultFile, Run};
use crate::outcome::table::align;
use crate::quantity::{CoreList, show_count, show_ns};
use crate::verify::server::{Recipe, Server, words};
use crate::wire::peer::Peer;
use crate::wire::token::Token;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ROUNDS_MAX: u64 = 1000;
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// A side that uses this share of its processors is what limits.
const BUSY_SHARE: f64 = 0.95;
const OWN_DURABILITY: &str = "one flush for everything that gathered, before the answers";

/// Runs it.
pub(crate) fn run(args: &CompareArgs, clock: Clock) -> Result<(), Failure> {
    common::within("--rounds", args.rounds as u64, 1, ROUNDS_MAX)?;
    if args.against == Peer::Millrace {
        return Err(Failure::usage("--against millrace compares it with itself").next("name redis or nchan"));
    }
    std::fs::create_dir_all(&args.data).map_err(|error| Failure::io(args.data.display(), &error))?;
    let mut files = Vec::new();
    let mut durability = String::new();
    for round in 1..=args.rounds {
        eprintln!("round {round} of {}: millrace", args.rounds);
        files.push(against_millrace(args, round, clock)?);
        eprintln!("round {round} of {}: {}", args.rounds, args.against);
        let (file, said) = against_peer(args, clock)?;
        files.push(file);
        durability = said;
    }
    let all = files.iter().map(ResultFile::to_json).collect::<Vec<_>>().join(",");
    if let Some(path) = &args.out {
        common::write_file(path, &format!("[{all}]\n"))?;
    }
    if args.json {
        return common::print(&format!("[{all}]\n"));
    }
    common::print(&text(args, &files, &durability))
}

/// The scenario's verb with flags for this server. Whom a scenario names is nobody at a server that was just
/// started: the token counts, or for a peer nothing.
fn load(
    args: &CompareArgs,
    peer: Peer,
    (target, pids): (&str, &[u32]),
    token: Option<Token>,
    clock: Clock,
) -> Result<ResultFile, Failure> {
    let mut flags = args.flags.clone();
    flags.extend([format!("--peer={peer}"), format!("--target={target}")]);
    flags.extend(pids.iter().map(|pid| format!("--server-pid={pid}")));
    if let Some(CoreList(cores)) = &args.client_cores {
        let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
        flags.push(format!("--pin={}", cores.join(",")));
    }
    let arguments = scenario::arguments_of(&args.scenarios, &args.scenario, &flags)?;
    let Cli { verb } = parse(&arguments)?;
    let login = LoginArgs { token, ..LoginArgs::default() };
    match verb {
        Verb::Append(mut args) => {
            args.common.login = login;
            append::run(&args, &arguments, clock)
        }
        Verb::Listen(mut args) => {
            args.common.login = login;
            let file = listen::run(&args, &arguments, clock)?;
            listen::judge(&file).map(|()| file)
        }
        _ => Err(Failure::usage("only scenarios of append and listen can be compared")),
    }
}

fn against_millrace(args: &CompareArgs, round: usize, clock: Clock) -> Result<ResultFile, Failure> {
    let data = args.data.join(format!("millrace-{}-{round}", std::process::id()));
    let password = login::new_password()?;
    let server = Server::start_by(Recipe {
        program: args.server.clone(),
        arguments: words(&args.server_args),
        data: data.clone(),
        cores: cores_of(args.server_cores.as_ref()),
        admin_password: Some(password.clone()),
        start_timeout: START_TIMEOUT,
    })?;
    let token = login::own_token(server.target(), &password)?;
    let (target, pid) = (server.target().to_string(), server.pid());
    let file = load(args, Peer::Millrace, (&target, &[pid]), Some(token), clock);
    server.stop()?;
    remove(&data)?;
    file
}

fn against_peer(args: &CompareArgs, clock: Clock) -> Result<(ResultFile, String), Failure> {
    let files = absolute(&args.data)?.join("peers");
    let peer = RunningPeer::start(args.against, &args.peers, &files, &cores_of(args.server_cores.as_ref()))?;
    let ready = &peer.ready;
    let file = load(args, args.against, (&ready.target.to_string(), &ready.pids), None, clock)?;
    Ok((file, ready.durability.clone()))
}

fn cores_of(cores: Option<&CoreList>) -> Vec<usize> {
    cores.map(|cores| cores.0.clone()).unwrap_or_default()
}

/// Only a directory that was made here is removed.
fn remove(data: &Path) -> Result<(), Failure> {
    std::fs::remove_dir_all(data).map_err(|error| Failure::io(data.display(), &error))
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::io(path.display(), &error))
}

fn text(args: &CompareArgs, files: &[ResultFile], durability: &str) -> String {
    let peer = args.against.to_string();
    let of = |name: &str| files.iter().filter(|file| file.peer == name).cloned().collect::<Vec<_>>();
    let (ours, theirs) = (of("millrace"), of(&peer));
    let run_count = ours.first().map_or(0, |file| file.runs.len());
    let mut text = format!("{}, {} rounds in turn, medians\n", args.scenario, args.rounds);
    let mut rows = Vec::new();
    for index in 0..run_count {
        let (ours, theirs) = (runs_at(&ours, index), runs_at(&theirs, index));
        rows.push(row("millrace", &ours));
        rows.push(row(&peer, &theirs));
    }
    text.push_str(&align(&["server", "events/s", "p50", "p99", "p99.9", "server cpu", "client cpu"], &rows));
    for index in 0..run_count {
        text.push_str(&verdict(&peer, &runs_at(&ours, index), &runs_at(&theirs, index)));
    }
    text.push_str(&format!("durability: millrace {OWN_DURABILITY}; {peer} {durability}\n"));
    text
}

fn runs_at(files: &[ResultFile], index: usize) -> Vec<&Run> {
    files.iter().filter_map(|file| file.runs.get(index)).collect()
}

fn row(name: &str, runs: &[&Run]) -> Vec<String> {
    let of = |value: fn(&Run) -> f64| median(runs.iter().map(|run| value(run)).collect());
    let us = |value: fn(&Run) -> f64| show_ns((of(value) * 1e3) as u64);
    let percent = |value: fn(&Run) -> f64| format!("{:.0} %", of(value) * 100.0);
    vec![
        name.to_owned(),
        show_count(of(|run| run.events_per_s)),
        us(|run| run.latency.p50_us),
        us(|run| run.latency.p99_us),
        us(|run| run.latency.p99_9_us),
        percent(server_share),
        percent(|run| run.client.cpu_share),
    ]
}

fn server_share(run: &Run) -> f64 {
    run.server.map_or(0.0, |side| side.cpu_share)
}

/// The ratio of medians, the spread of the rounds' ratios, errors, and who was busy.
fn verdict(peer: &str, ours: &[&Run], theirs: &[&Run]) -> String {
    let rates = |runs: &[&Run]| runs.iter().map(|run| run.events_per_s).collect::<Vec<f64>>();
    let (our_rates, their_rates) = (rates(ours), rates(theirs));
    let Ratio { of_medians, least, most } = ratio(&our_rates, &their_rates);
    let mut text = format!("millrace / {peer}: {of_medians:.2} (rounds {least:.2} to {most:.2})");
    for (name, runs) in [("millrace", ours), (peer, theirs)] {
        let shares = |value: fn(&Run) -> f64| median(runs.iter().map(|run| value(run)).collect());
        let (server, client) = (shares(server_share), shares(|run| run.client.cpu_share));
        let limit = match (server >= BUSY_SHARE, client >= BUSY_SHARE) {
            (true, true) => "both sides were full",
            // It looks for work before it sleeps, so that its share is high long before it is full.
            (true, false) if name == "millrace" => "the server was full, or looked for work",
            (true, false) => "the server was full",
            (false, true) => "the CLIENT was full",
            (false, false) => "neither side was full",
        };
        text.push_str(&format!("; with {name} {limit}"));
    }
    let others = ours.iter().chain(theirs).map(|run| run.others_cpu_share).fold(0.0, f64::max);
    text.push_str(&format!("; others used at most {:.0} % of a processor", others * 100.0));
    let errors: u64 = ours.iter().chain(theirs).flat_map(|run| run.errors.values()).sum();
    text.push_str(&format!("; errors {errors}\n"));
    text
}

/// How two series of rates, taken in turn, compare.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ratio {
    of_medians: f64,
    least: f64,
    most: f64,
}

fn ratio(ours: &[f64], theirs: &[f64]) -> Ratio {
    let of_rounds: Vec<f64> = ours.iter().zip(theirs).map(|(our, their)| our / their).collect();
    Ratio {
        of_medians: median(ours.to_vec()) / median(theirs.to_vec()),
        least: of_rounds.iter().copied().fold(f64::INFINITY, f64::min),
        most: of_rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}

/// The middle one, or the mean of the two in the middle; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::result::Side;

    #[test]
    fn the_ratio_is_of_medians_and_its_spread_of_rounds() {
        assert_eq!(
            (median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0]), median(Vec::new())),
            (2.0, 2.5, 0.0)
        );
        let found = ratio(&[10.0, 30.0, 20.0], &[10.0, 10.0, 5.0]);
        assert_eq!(found, Ratio { of_medians: 2.0, least: 1.0, most: 4.0 });
    }

    #[test]
    fn a_full_client_is_said_loudly() {
        let run = |rate: f64, server: f64, client: f64| Run {
            events_per_s: rate,
            server: Some(Side { cpu_share: server, ..Side::default() }),
            client: Side { cpu_share: client, ..Side::default() },
            ..Run::default()
        };
        let (ours, theirs) = (run(200.0, 0.5, 1.0), run(100.0, 0.99, 0.4));
        let said = verdict("redis", &[&ours], &[&theirs]);
        let expected = "millrace / redis: 2.00 (rounds 2.00 to 2.00); with millrace the CLIENT was full; \
                        with redis the server was full; others used at most 0 % of a processor; errors 0\n";
        assert_eq!(said, expected);
    }
}
