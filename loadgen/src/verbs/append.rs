//! `loadgen append`: one run, or one for each rate of a sweep.
//!
//! Options become plans; `drive` runs them. Also makes the plan of a bucket's settings where a weaker
//! acknowledgement is asked for.

use super::{common, login};
use crate::cli::{Ack, AppendArgs, OrderArg};
use crate::clock::Clock;
use crate::decide::schedule::Pace;
use crate::drive::load::{self, offered_per_s};
use crate::drive::plan::{LoadPlan, Order};
use crate::failure::Failure;
use crate::outcome::result::{ResultFile, Run};
use crate::outcome::summary::{Asked, run_of};
use crate::quantity::{RateList, show_count};
use crate::wire::append::{AppendForm, STREAMS_MAX};
use crate::wire::peer::Peer;
use crate::wire::token::Token;
use std::io::IsTerminal;
use std::net::SocketAddr;

/// Deepest pipeline: what no server takes without holding back.
const PIPELINE_MAX: u64 = 1 << 16;
/// A table of a Zipf distribution is 8 bytes for each stream.
const ZIPF_STREAMS_MAX: u64 = 10_000_000;

/// Runs it; gives the result.
pub(crate) fn run(args: &AppendArgs, arguments: &[String], clock: Clock) -> Result<ResultFile, Failure> {
    let started = common::unix_ms();
    check(args)?;
    let (target, host) = common::resolve(args.common.target.as_deref(), args.common.peer)?;
    load::probe(target)?;
    if args.ack == Ack::Memory && args.common.tls {
        return Err(Failure::usage("--ack memory with --tls: the bucket is set up over plain HTTP"));
    }
    common::check_login(&args.common)?;
    let token = login::token_of(&args.common.login, target)?;
    if args.ack == Ack::Memory {
        crate::verify::client::allow_memory_ack(target, &token, &args.common.bucket)?;
    }
    let mut runs = Vec::new();
    for pace in paces(args) {
        announce(pace, args);
        runs.push(one(args, pace, (target, &host, &token), clock)?);
    }
    Ok(common::result_file("append", started, &args.common, target, arguments, runs))
}

fn check(args: &AppendArgs) -> Result<(), Failure> {
    common::check(&args.common, args.batch, args.connections)?;
    common::within("--pipeline", args.pipeline as u64, 1, PIPELINE_MAX)?;
    if args.reconnect_after == Some(0) {
        return Err(Failure::usage("--reconnect-after 0: a connection has at least one request"));
    }
    let streams_max = if args.skew > 0.0 { ZIPF_STREAMS_MAX } else { STREAMS_MAX as u64 };
    common::within("--streams", args.streams as u64, 1, streams_max)?;
    if !(0.0..=10.0).contains(&args.skew) {
        return Err(Failure::usage(format!("--skew {}: it must be 0 to 10", args.skew)));
    }
    if args.common.threads > args.connections {
        let message = format!("--threads {} for --connections {}", args.common.threads, args.connections);
        return Err(Failure::usage(message).next("a thread needs at least one connection"));
    }
    if args.ack == Ack::Memory && args.common.peer != Peer::Millrace {
        return Err(Failure::usage("--ack memory is a wish that only millrace knows"));
    }
    if args.shape == crate::decide::payload::Shape::Binary
        && args.batch > 1
        && args.common.peer == Peer::Millrace
    {
        return Err(Failure::usage("--batch with --shape binary: a batch is NDJSON").next("use --shape json"));
    }
    Ok(())
}

/// Requests, not events, are scheduled.
fn paces(args: &AppendArgs) -> Vec<Pace> {
    let open = |rate: &f64| Pace::Open { per_s: rate / args.batch as f64 };
    match (&args.rate, &args.sweep) {
        (Some(rate), _) => vec![open(rate)],
        (None, None) => vec![Pace::Closed],
        (None, Some(RateList(rates))) => rates.iter().map(open).collect(),
    }
}

fn announce(pace: Pace, args: &AppendArgs) {
    if let (Pace::Open { per_s }, true, true) = (pace, args.sweep.is_some(), std::io::stderr().is_terminal())
    {
        eprintln!("offering {} events/s", show_count(per_s * args.batch as f64));
    }
}

fn one(
    args: &AppendArgs,
    pace: Pace,
    server: (SocketAddr, &str, &Token),
    clock: Clock,
) -> Result<Run, Failure> {
    let plan = plan(args, pace, server)?;
    let offered_per_s = offered_per_s(&plan);
    let outcome = load::run_load(plan, clock, &args.common.server_pid)?;
    let has_server = !args.common.server_pid.is_empty();
    let interval_s = args.common.interval.as_secs_f64();
    Ok(run_of(&outcome, Asked { offered_per_s, listeners: 0, has_server, may_slow_miss: false, interval_s }))
}

/// The plan of one rate.
fn plan(
    args: &AppendArgs,
    pace: Pace,
    (target, host, token): (SocketAddr, &str, &Token),
) -> Result<LoadPlan, Failure> {
    let secure = common::secure(&args.common, host)?;
    let common = &args.common;
    let append = AppendForm {
        peer: common.peer,
        host: host.to_owned(),
        bucket: common.bucket.clone(),
        prefix: "s".to_owned(),
        batch: args.batch,
        event_bytes: common.bytes,
        shape: args.shape,
        is_ack_memory: args.ack == Ack::Memory,
        token: token.clone(),
    };
    let order = match args.order {
        OrderArg::Random => Order::Random { skew: args.skew },
        OrderArg::Round => Order::Round,
    };
    Ok(LoadPlan {
        target,
        secure,
        append,
        streams: args.streams,
        order,
        connections: args.connections,
        pipeline: args.pipeline,
        reconnect_after: args.reconnect_after,
        pace,
        requests_max: args.events.map_or(u64::MAX, |events| events.div_ceil(args.batch as u64)),
        warmup: common.warmup,
        duration: common.duration,
        drain: common.drain,
        interval: common.interval,
        threads: common.threads,
        cores: common.pin.clone().map(|cores| cores.0).unwrap_or_default(),
        listen: None,
        history: Vec::new(),
        seed: common.seed,
    })
}
