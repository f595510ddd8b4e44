//! The world around a server: its disk, its clients, its clock, and its death.
//!
//! One [`World`] is one data directory over several lives of a server. The world draws what happens next
//! (a completion, a command, a shard's turn, the clock), carries out effects one by one, and may end a life
//! before any of them. It tells the [`History`] what clients see and stops at the first broken law.
//! Never: two things at once, an order that the seed does not determine.

mod journal;
mod life;
mod server;

pub use life::{End, Life, Lived};
pub use server::{Server, Stage};

use crate::disk::{Asker, Disk};
use crate::history::{History, LOSSES_UNKNOWN, Law, Step, Violation};
use crate::limits::tiny_limits;
use crate::rng::Rng;
use crate::workload::{Mix, Workload};
use engine::{BootConfig, Command, Effect, Refusal, Sabotage};
use server::Asked;
use std::collections::BTreeMap;
use types::{CoreId, DurationMs, Limits, ShardId, Timestamp};

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

    /// Lets things happen until clients are served.
    pub(crate) fn run_until(&mut self, stage: Stage) -> Result<(), Interrupt> {
        for _ in 0..PATIENCE {
            if self.server().stage() == stage {
                return Ok(());
            }
            if !self.step(false)? && !self.wait()? {
                break;
            }
        }
        let detail = format!("stays {:?}, never {stage:?}", self.server().stage());
        Err(self.history.violation(Law::Unanswered, detail).into())
    }

    /// Lets things happen until nothing is under way; deadlines do not count as under way.
    pub(crate) fn quiesce(&mut self) -> Result<(), Interrupt> {
        for _ in 0..PATIENCE {
            let moved = self.step(false)?;
            if !moved && (self.history.open_count() == 0 || !self.wait()?) {
                break;
            }
        }
        if self.history.open_count() == 0 {
            return Ok(());
        }
        let detail = format!("{} questions, and nothing is under way", self.history.open_count());
        Err(self.history.violation(Law::Unanswered, detail).into())
    }

    /// Lets every deadline pass that is near, so that idle markers are written.
    pub(crate) fn idle(&mut self) -> Result<(), Interrupt> {
        for _ in 0..8 {
            self.quiesce()?;
            if !self.wait()? {
                break;
            }
        }
        self.quiesce()
    }

    /// One thing happens; false when nothing can but the passing of time.
    pub(crate) fn step(&mut self, may_submit: bool) -> Result<bool, Interrupt> {
        if self.orderly {
            return self.step_orderly();
        }
        let pending = self.disk.pending_count();
        let needy = self.server().needy(self.now);
        let or_never = |weight, possible| if possible { weight } else { 0 };
        let weights = [
            or_never(self.pace.complete, pending > 0),
            or_never(self.pace.submit, may_submit),
            or_never(self.pace.turn, !needy.is_empty()),
        ];
        let possible: u64 = weights.iter().sum();
        if possible == 0 {
            return Ok(false);
        }
        if self.rng.chance(self.pace.tick, self.pace.tick + possible) {
            self.tick();
        }
        match self.rng.weighted(&weights) {
            0 => {
                let index = self.rng.index(pending);
                self.complete_at(index)?;
            }
            1 => self.submit_one()?,
            _ => {
                let shard = *self.rng.pick(&needy);
                self.turn(shard)?;
            }
        }
        Ok(true)
    }

    /// A shard's turn comes before a completion, the oldest first.
    fn step_orderly(&mut self) -> Result<bool, Interrupt> {
        if let Some(&shard) = self.server().needy(self.now).first() {
            self.turn(shard)?;
            return Ok(true);
        }
        if self.disk.pending_count() == 0 {
            return Ok(false);
        }
        self.complete_at(0)?;
        Ok(true)
    }

    /// Time passes up to the next deadline; false when there is none.
    fn wait(&mut self) -> Result<bool, Interrupt> {
        let Some(deadline) = self.server().next_deadline() else {
            return Ok(false);
        };
        self.now = self.now.max(deadline);
        Ok(true)
    }

    fn tick(&mut self) {
        // The wall clock jumps now and then, both ways; mostly it moves on.
        match self.rng.below(400) {
            0 => self.now = self.now.plus(DurationMs(60_000)),
            1 => self.now = Timestamp(self.now.0 - self.rng.below(30_000)),
            _ => self.now = self.now.plus(DurationMs(self.rng.below(8))),
        }
    }

    fn complete_at(&mut self, index: usize) -> Result<(), Interrupt> {
        self.burn()?;
        let failed_reads = self.disk.failed_reads();
        let completion = self.disk.complete(index);
        if self.disk.failed_reads() > failed_reads {
            // What recovery cannot read it isolates for ever, as if it had rotted.
            match self.server().stage() {
                // A scenario that damages the disk itself has said what may be missing.
                Stage::Booting | Stage::Recovering if self.history.is_damaged() => (),
                Stage::Booting | Stage::Recovering => {
                    self.history.allow_damage();
                    self.forgive_unproved();
                }
                _ => self.history.allow_read_error(),
            }
        }
        let mut out = Asked::new();
        let server = self.server.as_mut().expect("a server lives");
        server.handle_completion(self.now, completion, &mut out)?;
        self.carry_out(out)
    }

    fn turn(&mut self, shard: usize) -> Result<(), Interrupt> {
        let mut out = Asked::new();
        let server = self.server.as_mut().expect("a server lives");
        server.handle_turn(self.now, shard, &mut out)?;
        self.carry_out(out)
    }

    fn submit_one(&mut self) -> Result<(), Interrupt> {
        let core = CoreId(u16::try_from(self.rng.index(2)).expect("below two"));
        let command = self.workload.next_command(core, self.now, &self.history);
        self.submit(command)
    }

    /// A client asks for something.
    pub(crate) fn submit(&mut self, command: Command) -> Result<(), Interrupt> {
        let shard = self.route(&command);
        if let Some(stream) = stream_of(&command) {
            self.history.set_owner(stream, shard);
        }
        self.disk.trace.note(format_args!("command {shard} {command:?}"));
        self.history.submit(shard, &command);
        let mut out = Asked::new();
        let server = self.server.as_mut().expect("a server lives");
        server.handle_command(self.now, shard, command, &mut out);
        self.carry_out(out)
    }

    fn note_commit(&mut self, asker: Asker, before: Step) {
        self.last_commits.insert(ShardId(asker.0 - 1), before);
    }

    /// The last group of each journal may be cut without a word: it is damaged or cannot be read, and
    /// nothing proves it yet.
    pub(crate) fn forgive_unproved(&mut self) {
        for (shard, step) in std::mem::take(&mut self.last_commits) {
            self.history.forgive_after(shard, step);
        }
    }

    pub(crate) fn tell_owners(&mut self) {
        self.last_commits.clear();
        for stream in self.history.streams() {
            let shard = self.server().shard_of(&stream);
            self.history.set_owner(&stream, shard);
        }
    }

    fn route(&mut self, command: &Command) -> ShardId {
        match stream_of(command) {
            Some(stream) => self.server().shard_of(stream),
            // A shard answers for its own streams only; ask any of them.
            None => {
                let count = self.server().shard_count();
                ShardId(u16::try_from(self.rng.index(count)).expect("a handful of shards"))
            }
        }
    }

    pub(crate) fn stop(&mut self) -> Result<(), Interrupt> {
        let mut out = Asked::new();
        let server = self.server.as_mut().expect("a server lives");
        server.handle_stop(self.now, &mut out)?;
        self.carry_out(out)
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
