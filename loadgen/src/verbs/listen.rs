//! `loadgen listen`: listeners and a writer in one run, order and completeness checked.
//!
//! Streams are made anew for each run (their names begin with its time), so that numbers begin at 1. A
//! history is written first by the same means, then listeners connect, then the writer begins.

use super::{common, login};
use crate::cli::ListenArgs;
use crate::clock::Clock;
use crate::decide::payload::{STAMPED_BYTES_MIN, Shape};
use crate::decide::schedule::Pace;
use crate::drive::load;
use crate::drive::plan::{ListenPlan, LoadPlan, Order, SlowPlan, Subscribe};
use crate::failure::{Exit, Failure};
use crate::outcome::result::ResultFile;
use crate::outcome::summary::{Asked, run_of};
use crate::wire::append::AppendForm;
use crate::wire::listen::ListenForm;
use crate::wire::peer::{Form, Peer};
use crate::wire::token::Token;
use std::net::SocketAddr;
use std::time::Duration;

/// Most listeners: more than a machine has ports for one address.
const LISTENERS_MAX: u64 = 60_000;
const STREAMS_MAX: u64 = 100_000;
const HISTORY_MAX: u64 = 100_000_000;
/// Requests of the writer under way on each connection.
const WRITER_PIPELINE: usize = 64;
/// History is written in requests of so many events, and for at most so long.
const HISTORY_BATCH: usize = 100;
const HISTORY_TIME_MAX: Duration = Duration::from_secs(3600);

/// Runs it; gives the result.
pub(crate) fn run(args: &ListenArgs, arguments: &[String], clock: Clock) -> Result<ResultFile, Failure> {
    let started = common::unix_ms();
    let form = args.form.unwrap_or(args.common.peer.default_form());
    check(args, form)?;
    let (target, host) = common::resolve(args.common.target.as_deref(), args.common.peer)?;
    load::probe(target)?;
    common::check_login(&args.common)?;
    let token = login::token_of(&args.common.login, target)?;
    let prefix = format!("l{:x}-", common::unix_ms());
    let mut plan = plan(args, form, (target, &host, &token), &prefix)?;
    if args.history > 0 {
        plan.history = write_history(args, &plan, clock)?;
    }
    let offered_per_s = args.rate.map(|rate| rate * copies_mean(args));
    let outcome = load::run_load(plan, clock, &args.common.server_pid)?;
    let interval_s = args.common.interval.as_secs_f64();
    let has_server = !args.common.server_pid.is_empty();
    let may_slow_miss = args.slow_mode.as_deref() == Some("skip");
    let asked = Asked { offered_per_s, listeners: args.listeners, has_server, may_slow_miss, interval_s };
    let run = run_of(&outcome, asked);
    Ok(common::result_file("listen", started, &args.common, target, arguments, vec![run]))
}

/// Fails if the listeners of a result did not receive what they should have.
pub(crate) fn judge(file: &ResultFile) -> Result<(), Failure> {
    let is_sound = file.runs.iter().filter_map(|run| run.listen).all(|found| found.is_sound);
    let message = "listeners did not receive every event once and in order";
    if is_sound {
        Ok(())
    } else {
        Err(Failure::new(Exit::CheckFailed, message).next("see the line `listeners`"))
    }
}

/// How many listeners get an event, over all streams.
fn copies_mean(args: &ListenArgs) -> f64 {
    match args.subscribe {
        Subscribe::All => args.listeners as f64,
        Subscribe::One => args.listeners as f64 / args.streams as f64,
    }
}

fn check_options(args: &ListenArgs, form: Form) -> Result<(), String> {
    let common = &args.common;
    common.peer.check_form(form)?;
    if common.bytes < STAMPED_BYTES_MIN {
        return Err(format!(
            "--bytes {}: a listener needs a stamp, so at least {STAMPED_BYTES_MIN}",
            common.bytes
        ));
    }
    if common.peer != Peer::Millrace {
        let wishes = [
            ("--reconnect-every", args.reconnect_every.is_some()),
            ("--slow-mode", args.slow_mode.is_some()),
            ("--from random", args.from == crate::drive::plan::From::Random),
        ];
        if let Some((wish, _)) = wishes.iter().find(|(_, is_wished)| *is_wished) {
            return Err(format!("{wish} needs resume points by number, which only millrace has"));
        }
    }
    if common.peer == Peer::Nchan && (args.from != crate::drive::plan::From::Live || args.streams > 1) {
        let is_all = args.subscribe == Subscribe::All && args.streams > 1;
        if is_all || args.from != crate::drive::plan::From::Live {
            return Err("nchan is listened to live, one stream for each listener".to_owned());
        }
    }
    if args.slow_mode.as_deref().is_some_and(|mode| !["wait", "skip", "close"].contains(&mode)) {
        return Err("--slow-mode is wait, skip or close".to_owned());
    }
    if args.slow > args.listeners {
        return Err(format!("--slow {} of --listeners {}", args.slow, args.listeners));
    }
    if args.window == 0 && args.rate.is_none() && !args.no_writer {
        return Err("--window 0 needs a --rate".to_owned());
    }
    Ok(())
}

fn check(args: &ListenArgs, form: Form) -> Result<(), Failure> {
    common::check(&args.common, args.batch, args.writers)?;
    common::within("--listeners", args.listeners as u64, 1, LISTENERS_MAX)?;
    common::within("--streams", args.streams as u64, 1, STREAMS_MAX)?;
    common::within("--history", args.history, 0, HISTORY_MAX)?;
    check_options(args, form).map_err(Failure::usage)
}

fn listen_plan(args: &ListenArgs, form: Form, (host, token): (&str, &Token), prefix: &str) -> ListenPlan {
    let asked = ListenForm {
        peer: args.common.peer,
        form,
        host: host.to_owned(),
        bucket: args.common.bucket.clone(),
        prefix: prefix.to_owned(),
        slow: args.slow_mode.clone(),
        token: token.clone(),
    };
    ListenPlan {
        form: asked,
        count: args.listeners,
        subscribe: args.subscribe,
        from: args.from,
        reconnect_every: args.reconnect_every,
        slow: (args.slow > 0).then_some(SlowPlan { count: args.slow, bytes_per_s: args.slow_bytes }),
        window: if args.rate.is_some() { 0 } else { args.window },
    }
}

fn plan(
    args: &ListenArgs,
    form: Form,
    (target, host, token): (SocketAddr, &str, &Token),
    prefix: &str,
) -> Result<LoadPlan, Failure> {
    let secure = common::secure(&args.common, host)?;
    let common = &args.common;
    let append = AppendForm {
        peer: common.peer,
        host: host.to_owned(),
        bucket: common.bucket.clone(),
        prefix: prefix.to_owned(),
        batch: args.batch,
        event_bytes: common.bytes,
        shape: Shape::Json,
        is_ack_memory: false,
        token: token.clone(),
    };
    Ok(LoadPlan {
        target,
        secure,
        append,
        streams: args.streams,
        order: Order::Round,
        connections: if args.no_writer { 0 } else { args.writers.min(args.streams) },
        pipeline: WRITER_PIPELINE,
        reconnect_after: None,
        pace: args.rate.map_or(Pace::Closed, |rate| Pace::Open { per_s: rate / args.batch as f64 }),
        requests_max: u64::MAX,
        warmup: common.warmup,
        duration: common.duration,
        drain: common.drain,
        interval: common.interval,
        threads: common.threads,
        cores: common.pin.clone().map(|cores| cores.0).unwrap_or_default(),
        listen: Some(listen_plan(args, form, (host, token), prefix)),
        history: vec![0; args.streams],
        seed: common.seed,
    })
}

/// Writes what stands in the streams before anybody listens; gives each stream's last number.
fn write_history(args: &ListenArgs, plan: &LoadPlan, clock: Clock) -> Result<Vec<u64>, Failure> {
    let batch = if args.common.peer == Peer::Nchan { 1 } else { HISTORY_BATCH.min(args.history as usize) };
    let requests_per_stream = args.history.div_ceil(batch as u64);
    let mut writing = plan.clone();
    writing.listen = None;
    writing.append.batch = batch;
    writing.pace = Pace::Closed;
    writing.connections = args.writers.max(1).min(args.streams);
    writing.requests_max = requests_per_stream * args.streams as u64;
    (writing.warmup, writing.duration) = (Duration::ZERO, HISTORY_TIME_MAX);
    let outcome = load::run_load(writing, clock, &[])?;
    match outcome.total.errors.iter().next() {
        Some((kind, count)) => {
            let message = format!("the history could not be written: {kind} ({count} times)");
            Err(Failure::new(Exit::Unreachable, message))
        }
        None => Ok(outcome.numbers),
    }
}
