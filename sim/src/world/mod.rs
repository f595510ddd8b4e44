//! The world around a server: its disk, its clients, its clock, and its death.
//!
//! One [`World`] is one data directory over several lives of a server. The world draws what happens next
//! (a completion, a command, a shard's turn, the clock), carries out effects one by one, and may end a life
//! before any of them. It tells the [`History`] what clients see and stops at the first broken law.
//! Never: two things at once, an order that the seed does not determine.

mod journal;
mod life;
mod server;
mod step;

pub use life::{End, Life, Lived};
pub use server::{Server, Stage};

use crate::disk::Disk;
use crate::history::{History, LOSSES_UNKNOWN, Step, Violation};
use crate::limits::tiny_limits;
use crate::rng::Rng;
use crate::workload::{Mix, Workload};
use engine::{BootConfig, Command, Effect, Refusal, Sabotage};
use server::Asked;
use std::collections::BTreeMap;
use types::{Limits, ShardId, Timestamp};

/// When every run begins: a time of no importance.
const START_MS: u64 = 1_700_000_000_000;
/// The id of every sim's directory.
const DIRECTORY_ID: u128 = 0x5eed_0000_0000_0000_0000_0000_0000_0001;
/// Partitions of a sim's directory: few, so that streams share them, and more than shards.
const PARTITION_COUNT: u16 = 5;
/// Rounds of waiting after which something that should come is not going to.
const PATIENCE: u32 = 20_000;

/// Why a life stopped short.
#[derive(Debug)]
pub(crate) enum Interrupt {
    /// The planned moment has come.
    Crash,
    /// The engine stopped itself.
    Fatal(String),
    /// The server refuses to start.
    Refused(Refusal),
    /// A law is broken.
    Broken(Violation),
}

impl From<Violation> for Interrupt {
    fn from(violation: Violation) -> Self {
        Interrupt::Broken(violation)
    }
}

impl From<Refusal> for Interrupt {
    fn from(refusal: Refusal) -> Self {
        Interrupt::Refused(refusal)
    }
}

/// How often each kind of thing happens next.
#[derive(Clone, Copy, Debug)]
struct Pace {
    complete: u64,
    submit: u64,
    turn: u64,
    tick: u64,
}

/// A data directory, its clients and its time.
pub struct World {
    /// The disk; scenarios plan its faults and damage it between lives.
    pub disk: Disk,
    /// What clients did and saw.
    pub history: History,
    /// What clients ask for.
    pub workload: Workload,
    pub(crate) rng: Rng,
    limits: Limits,
    now: Timestamp,
    sabotage: Sabotage,
    strict: bool,
    server: Option<Server>,
    /// Effects and completions that may still happen before the planned crash.
    fuse: Option<u64>,
    pace: Pace,
    /// By shard, the history's step before the last commit of this life that clients know of.
    last_commits: BTreeMap<ShardId, Step>,
    lives: u64,
    /// Draw nothing from chance: the oldest operation completes, the first shard has its turn.
    orderly: bool,
    pictures: Option<Vec<Picture>>,
}

/// What a world was at one moment, but for the server that is about to die.
#[derive(Clone)]
struct Picture {
    disk: Disk,
    history: History,
    workload: Workload,
    now: Timestamp,
}

impl World {
    /// An empty disk and clients that want everything of [`Mix`].
    pub fn new(seed: u64, mix: Mix) -> World {
        let mut rng = Rng::new(seed);
        let stream_count = 2 + rng.index(6);
        let mut world = World {
            disk: Disk::new(rng.fork()),
            history: History::new(),
            workload: Workload::new(rng.fork(), mix, stream_count),
            limits: tiny_limits(&mut rng),
            now: Timestamp(START_MS),
            sabotage: Sabotage::None,
            strict: false,
            server: None,
            fuse: None,
            pace: Pace { complete: 4, submit: 4, turn: 4, tick: 1 },
            last_commits: BTreeMap::new(),
            lives: 0,
            orderly: false,
            pictures: None,
            rng,
        };
        world.disk.trace.note(format_args!("seed {seed}"));
        world
    }

    /// Leaves a rule out of every engine.
    pub fn plant(&mut self, sabotage: Sabotage) {
        self.sabotage = sabotage;
    }

    /// Servers refuse to start on damage in acknowledged data.
    pub fn set_strict(&mut self) {
        self.strict = true;
    }

    /// Keeps the trace as text.
    pub fn read_along(&mut self) {
        let seed_hash = self.disk.trace.hash();
        self.disk.trace = crate::trace::Trace::readable();
        self.disk.trace.note(format_args!("after {seed_hash:x}"));
    }

    /// From now on chance goes another way than in the world that this one was forked from.
    pub(crate) fn diverge(&mut self, seed: u64) {
        self.rng = Rng::new(seed);
        self.disk.reseed(self.rng.fork());
        self.workload.diverge(self.rng.fork());
    }

    /// From now on nothing is left to chance: things happen in the order in which they were asked for.
    pub(crate) fn make_orderly(&mut self) {
        self.orderly = true;
    }

    /// From now on the world is photographed before every effect and completion.
    pub(crate) fn take_pictures(&mut self) {
        self.pictures = Some(Vec::new());
    }

    /// The worlds that were photographed, each without a server.
    pub(crate) fn pictures(&mut self) -> Vec<World> {
        let pictures = self.pictures.take().unwrap_or_default();
        pictures.into_iter().map(|picture| self.at(picture)).collect()
    }

    /// Another world that is the same so far, without a server.
    pub(crate) fn fork(&self) -> World {
        self.at(self.picture())
    }

    fn picture(&self) -> Picture {
        Picture {
            disk: self.disk.clone(),
            history: self.history.clone(),
            workload: self.workload.clone(),
            now: self.now,
        }
    }

    fn at(&self, picture: Picture) -> World {
        World {
            disk: picture.disk,
            history: picture.history,
            workload: picture.workload,
            rng: self.rng.clone(),
            limits: self.limits.clone(),
            now: picture.now,
            sabotage: self.sabotage,
            strict: self.strict,
            server: None,
            fuse: None,
            pace: self.pace,
            last_commits: self.last_commits.clone(),
            lives: 0,
            orderly: self.orderly,
            pictures: None,
        }
    }

    /// Lives of servers so far.
    pub fn lives(&self) -> u64 {
        self.lives
    }

    /// The hash of everything that happened.
    pub fn trace_hash(&self) -> u64 {
        self.disk.trace.hash()
    }

    pub(crate) fn start_server(&mut self, shard_count: u16) -> Result<(), Interrupt> {
        self.lives += 1;
        self.workload.begin_life();
        let config = BootConfig {
            directory_id_new: DIRECTORY_ID,
            node_id_new: 7,
            partition_count: PARTITION_COUNT,
            shard_count,
            now: self.now,
            writer_version: "sim".to_owned(),
            strict: self.strict,
            sabotage: self.sabotage,
        };
        let mut out = Asked::new();
        self.server = Some(Server::start(config, self.limits.clone(), &mut out));
        self.carry_out(out)
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("a server lives")
    }

    /// Carries out effects in their order; the life may end before any of them.
    fn carry_out(&mut self, out: Asked) -> Result<(), Interrupt> {
        let before = self.history.now();
        for (asker, effect) in out {
            self.burn()?;
            match effect {
                Effect::Disk { op, urgency: _, work } => self.disk.submit(asker, op, work),
                Effect::Reply { to, reply } => {
                    self.disk.trace.note(format_args!("reply {to:?} {reply:?}"));
                    if tells_of_a_commit(&reply) {
                        self.note_commit(asker, before);
                    }
                    self.history.reply(to, &reply)?;
                }
                Effect::Deliver(delivery) => {
                    self.disk.trace.note(format_args!("deliver {delivery:?}"));
                    self.note_commit(asker, before);
                    self.history.deliver(&delivery)?;
                }
                Effect::Fatal(fatal) => {
                    self.disk.trace.note(format_args!("fatal {fatal:?}"));
                    return Err(Interrupt::Fatal(format!("{fatal:?}")));
                }
                Effect::Notice(text) => {
                    self.disk.trace.note(format_args!("notice {text}"));
                    let losses = told_losses(&text);
                    if losses > 0 {
                        self.history.tell_losses(losses);
                    }
                }
            }
        }
        Ok(())
    }

    /// One thing less before the planned crash.
    fn burn(&mut self) -> Result<(), Interrupt> {
        let picture = self.pictures.is_some().then(|| self.picture());
        if let Some(pictures) = &mut self.pictures {
            pictures.extend(picture);
        }
        match &mut self.fuse {
            Some(0) => Err(Interrupt::Crash),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Whether the reply came because a group became durable.
fn tells_of_a_commit(reply: &engine::Reply) -> bool {
    match reply {
        engine::Reply::Appended(appended) => !appended.replayed && appended.ack == engine::AckLevel::Fsync,
        engine::Reply::Deleted { existed } => *existed,
        _ => false,
    }
}

/// How many changes a notice says may be missing: the sum of its "at most N changes".
fn told_losses(text: &str) -> u64 {
    // A rebuilt index knows the events of its segment; the trims, deletions and heads of streams without an
    // event there stood in it alone, and how many they were it does not say.
    if text.contains("rebuil") {
        return 2 * LOSSES_UNKNOWN;
    }
    if !text.contains("acknowledged data is damaged") {
        return 0;
    }
    let after = text.split("at most ").skip(1);
    after.filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok()).sum()
}

fn stream_of(command: &Command) -> Option<&types::StreamKey> {
    use engine::WatchTarget;
    match command {
        Command::Append(append) => Some(&append.stream),
        Command::Read(read) => Some(&read.stream),
        Command::Delete { stream, .. }
        | Command::Trim { stream, .. }
        | Command::Describe { stream, .. }
        | Command::SetTail { stream, .. }
        | Command::Watch { target: WatchTarget::Stream(stream), .. } => Some(stream),
        Command::Watch { target: WatchTarget::Pattern(_), .. }
        | Command::Unwatch { .. }
        | Command::ListBuckets { .. }
        | Command::ListStreams { .. }
        | Command::Stats { .. } => None,
    }
}
