//! `loadgen verify`: writes while the server is killed and started again, then proves that nothing is lost.
//!
//! `writer` and `reader` fill the notes, `server` owns the process, `check` is a pure function from notes
//! and what the server holds at the end to breaches. Only the process that was started here is ever killed.

pub(crate) mod check;
pub(crate) mod client;
mod content;
mod notes;
mod reader;
pub(crate) mod server;
mod writer;

use crate::cli::{Ack, VerifyArgs};
use crate::drive::load;
use crate::failure::{Exit, Failure};
use crate::quantity::show_count;
use crate::verbs::{common, login};
use crate::wire::peer::Peer;
use crate::wire::token::Token;
use check::{Breach, Verdict};
use client::Client;
use notes::Notes;
use server::Server;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Breaches printed; the rest is only counted.
const BREACHES_SHOWN_MAX: usize = 50;
const CONNECTIONS_MAX: u64 = 4096;
const STREAMS_MAX: u64 = 65_536;
const PATIENCE: Duration = Duration::from_millis(100);

/// What writers and readers share with the one who kills.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Where the server is now; it may be another port after a restart.
    pub(crate) target: RwLock<SocketAddr>,
    /// Who asks; the same over all restarts.
    pub(crate) token: Token,
    /// The bucket, new for each run.
    pub(crate) bucket: String,
    /// Streams shared by the writers.
    pub(crate) streams: u32,
    /// `?ack=memory`.
    pub(crate) is_ack_memory: bool,
    /// Time between two requests of one writer.
    pub(crate) pause: Duration,
    /// The end.
    pub(crate) is_over: AtomicBool,
    /// Requests so far.
    pub(crate) request_count: AtomicU64,
    origin: Instant,
}

impl Stage {
    /// Nanoseconds since the beginning: the order of what happens.
    pub(crate) fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64 + 1
    }

    /// Whether it is time to end.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Where the server is now.
    pub(crate) fn target(&self) -> SocketAddr {
        *self.target.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A connection to where the server is now.
    pub(crate) fn connect(&self) -> std::io::Result<Client> {
        Client::connect(self.target(), &self.token)
    }

    /// Goes on with the server that was started again: who was logged in must still be.
    fn go_on_at(&self, target: SocketAddr) -> Result<(), Failure> {
        self.set_target(target);
        login::check_session(target, &self.token)
    }

    fn set_target(&self, target: SocketAddr) {
        *self.target.write().unwrap_or_else(std::sync::PoisonError::into_inner) = target;
    }
}

/// Runs it; a breach is a failure.
pub(crate) fn run(args: &VerifyArgs) -> Result<(), Failure> {
    check_options(args)?;
    // Where no user is named, loadgen is the administrator of what it starts.
    let password = match (&args.server, args.login.is_anonymous()) {
        (Some(_), true) => Some(login::new_password()?),
        _ => None,
    };
    let mut server = match &args.server {
        Some(program) => Some(Server::start(program, args, password.clone())?),
        None => None,
    };
    let target = match &server {
        Some(server) => server.target(),
        None => common::resolve(args.target.as_deref(), Peer::Millrace)?.0,
    };
    load::probe(target)?;
    let token = match &password {
        Some(password) => login::own_token(target, password)?,
        None => login::token_of(&args.login, target)?,
    };
    let stage = Arc::new(stage(args, target, token));
    if stage.is_ack_memory {
        client::allow_memory_ack(target, &stage.token, &stage.bucket)?;
    }
    let actors = start_actors(args, &stage)?;
    let played = play(args, &stage, &mut server);
    stage.is_over.store(true, Ordering::Relaxed);
    let mut kills = played?;
    let notes = join(actors);
    // The last words are checked from the disk, too.
    if let (Some(server), true) = (&mut server, args.kill_every.is_some()) {
        stage.go_on_at(server.kill_and_restart()?)?;
        kills += 1;
    }
    let verdict = judge(&stage, notes)?;
    show(args, &verdict, kills)
}

fn check_options(args: &VerifyArgs) -> Result<(), Failure> {
    login::check(&args.login, Peer::Millrace)?;
    common::within("--connections", args.connections as u64, 1, CONNECTIONS_MAX)?;
    common::within("--streams", args.streams as u64, 1, STREAMS_MAX)?;
    if args.server.is_none() && args.target.is_none() {
        let message = "verify needs a server: neither --server nor --target is given";
        return Err(
            Failure::usage(message).next("give --server PROGRAM and --data DIR, or --target HOST:PORT")
        );
    }
    if args.server.is_some() && args.data.is_none() {
        return Err(Failure::usage("--server needs --data DIR, a new or empty directory"));
    }
    if args.kill_every.is_some() && args.server.is_none() {
        return Err(Failure::usage("--kill-every needs --server: only a server started here is killed"));
    }
    if args.kill_every.is_some_and(|every| every < PATIENCE) {
        return Err(Failure::usage("--kill-every must be at least 100ms"));
    }
    Ok(())
}

fn stage(args: &VerifyArgs, target: SocketAddr, token: Token) -> Stage {
    let per_writer = args.rate.map_or(0.0, |rate| args.connections as f64 / rate);
    Stage {
        target: RwLock::new(target),
        token,
        bucket: format!("verify-{:x}", common::unix_ms()),
        streams: args.streams as u32,
        is_ack_memory: args.ack == Ack::Memory,
        pause: Duration::from_secs_f64(per_writer),
        is_over: AtomicBool::new(false),
        request_count: AtomicU64::new(0),
        origin: Instant::now(),
    }
}

fn start_actors(args: &VerifyArgs, stage: &Arc<Stage>) -> Result<Vec<JoinHandle<Notes>>, Failure> {
    let mut actors = Vec::new();
    for index in 0..=args.connections {
        let (stage, seed) = (stage.clone(), args.seed);
        let is_reader = index == args.connections;
        let body = move || {
            if is_reader { reader::observe(&stage, seed) } else { writer::write(&stage, index as u32, seed) }
        };
        let actor = thread::Builder::new().name(format!("verify-{index}")).spawn(body);
        actors.push(actor.map_err(|error| Failure::io("cannot start a thread", &error))?);
    }
    Ok(actors)
}

/// Lets time pass and kills; gives the number of kills.
fn play(args: &VerifyArgs, stage: &Stage, server: &mut Option<Server>) -> Result<u64, Failure> {
    let begun = Instant::now();
    let (mut kills, mut next_kill) = (0, args.kill_every);
    while begun.elapsed() < args.length {
        thread::sleep(PATIENCE.min(args.length.saturating_sub(begun.elapsed())));
        if let Some(server) = server {
            server.check_running()?;
            if next_kill.is_some_and(|at| begun.elapsed() >= at) {
                stage.go_on_at(server.kill_and_restart()?)?;
                kills += 1;
                // Not at equal distances, so that kills meet different moments of checkpoints.
                let every = args.kill_every.unwrap_or_default();
                let factor = 0.5 + crate::decide::choice::Mix::new(args.seed ^ kills).fraction();
                next_kill = Some(begun.elapsed() + every.mul_f64(factor));
                progress(stage, kills);
            }
        }
    }
    Ok(kills)
}

fn progress(stage: &Stage, kills: u64) {
    if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        let count = show_count(stage.request_count.load(Ordering::Relaxed) as f64);
        eprint!("\r{count} requests, {kills} kills ");
    }
}

fn join(actors: Vec<JoinHandle<Notes>>) -> Notes {
    let mut all = Notes::default();
    for actor in actors {
        match actor.join() {
            Ok(notes) => all.add(notes),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    all
}

fn judge(stage: &Stage, notes: Notes) -> Result<Verdict, Failure> {
    let mut verdict = Verdict::default();
    let by_stream = notes.by_stream(stage.streams);
    for (stream, notes) in by_stream.iter().enumerate() {
        let held = reader::read_all(stage, stream as u32).map_err(|what| {
            Failure::new(Exit::Unreachable, format!("stream {stream} cannot be read at the end: {what}"))
        })?;
        check::check_stream(stream as u32, notes, &held, &mut verdict);
    }
    Ok(verdict)
}

fn show(args: &VerifyArgs, verdict: &Verdict, kills: u64) -> Result<(), Failure> {
    let text = if args.json { verdict.to_json(kills) } else { text_of(verdict, kills) };
    common::print(&text)?;
    match verdict.breaches.len() {
        0 => Ok(()),
        count => Err(Failure::new(Exit::CheckFailed, format!("{count} breaches of what was promised"))
            .next("keep the data directory; `millrace inspect` shows what it holds")),
    }
}

fn text_of(verdict: &Verdict, kills: u64) -> String {
    let counts = &verdict.counts;
    let mut text = format!(
        "requests {}: acknowledged {}, refused {}, unknown {} (of which stored {})\n\
         events read at the end {}, seen on the way {}, retries answered from memory {}, kills {kills}\n",
        counts.requests,
        counts.acknowledged,
        counts.refused,
        counts.unknown,
        counts.unknown_stored,
        counts.events,
        counts.observed,
        counts.replayed,
    );
    for breach in verdict.breaches.iter().take(BREACHES_SHOWN_MAX) {
        text.push_str(&format!("BREACH {breach}\n"));
    }
    let more = verdict.breaches.len().saturating_sub(BREACHES_SHOWN_MAX);
    if more > 0 {
        text.push_str(&format!("and {more} more\n"));
    }
    let is_passed = verdict.breaches.is_empty();
    text.push_str(if is_passed { "PASS\n" } else { "FAIL\n" });
    text
}

impl Verdict {
    /// The verdict as one JSON object.
    fn to_json(&self, kills: u64) -> String {
        let shown: Vec<String> =
            self.breaches.iter().take(BREACHES_SHOWN_MAX).map(Breach::to_string).collect();
        let counts = &self.counts;
        let value = serde_json::json!({
            "passed": self.breaches.is_empty(),
            "requests": counts.requests,
            "acknowledged": counts.acknowledged,
            "refused": counts.refused,
            "unknown": counts.unknown,
            "unknown_stored": counts.unknown_stored,
            "replayed": counts.replayed,
            "events": counts.events,
            "observed": counts.observed,
            "kills": kills,
            "breach_count": self.breaches.len(),
            "breaches": shown,
        });
        format!("{value:#}\n")
    }
}
