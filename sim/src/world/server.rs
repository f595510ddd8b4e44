//! One life of a server: the directory's boot, then a recovery and an engine per shard.
//!
//! Knows the order in which the parts hand over to each other, as the real shell does, and nothing else:
//! no disk, no clock, no choices. The world feeds it and carries out what it asks for.

use crate::disk::{Asker, Completion};
use engine::{Boot, BootConfig, Command, Effect, Engine, Recovery, Refusal, ShardReport};
use types::{Limits, PartitionId, ShardId, StreamKey, Timestamp, partition_of, stream_hash};

/// The boot's operations; shard `n` asks as `n + 1`.
const BOOT: Asker = Asker(0);

/// How far a life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Opening the directory.
    Booting,
    /// Every shard reads its journal and segments.
    Recovering,
    /// Everything is read; the new life's epoch is on its way to the disk.
    Arming,
    /// The epoch is durable; the shards write their fences.
    Fencing,
    /// Clients are served.
    Serving,
    /// A clean stop has begun.
    Stopping,
    /// All shards have stopped; the directory is being sealed.
    Sealing,
    /// Sealed: nothing more will happen.
    Sealed,
}

/// A server that lives.
pub struct Server {
    stage: Stage,
    limits: Limits,
    partition_count: u16,
    boot: Boot,
    shards: Vec<Shard>,
    reports: Vec<ShardReport>,
}

/// What a shard waits for its shell to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Something has come.
    Turn,
    /// Background work is left.
    Slice,
}

impl Needs {
    fn a_turn_if(is_wanted: bool) -> Needs {
        if is_wanted { Needs::Turn } else { Needs::Nothing }
    }
}

struct Shard {
    partitions: Vec<PartitionId>,
    role: Role,
    needs: Needs,
}

enum Role {
    Recovery(Box<Recovery>),
    Engine(Box<Engine>),
}

/// What a server asks for, and who in it asks.
pub(super) type Asked = Vec<(Asker, Effect)>;

impl Server {
    /// A server that begins to open its directory.
    pub fn start(config: BootConfig, limits: Limits, out: &mut Asked) -> Server {
        let partition_count = config.partition_count;
        let mut boot = Boot::new(config);
        let mut effects = Vec::new();
        boot.handle_start(&mut effects);
        tag(BOOT, effects, out);
        Server {
            stage: Stage::Booting,
            limits,
            partition_count,
            boot,
            shards: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// An operation is done.
    ///
    /// # Errors
    /// The server refuses to start.
    pub fn handle_completion(
        &mut self,
        now: Timestamp,
        completion: Completion,
        out: &mut Asked,
    ) -> Result<(), Refusal> {
        let mut effects = Vec::new();
        let Completion { asker, op, result } = completion;
        if asker == BOOT {
            self.boot.handle_disk(op, result, &mut effects);
        } else {
            let shard = &mut self.shards[usize::from(asker.0 - 1)];
            match &mut shard.role {
                Role::Recovery(recovery) => {
                    recovery.handle_disk(now, op, result, &mut effects);
                    shard.needs = Needs::a_turn_if(recovery.wants_turn());
                }
                Role::Engine(engine) => {
                    engine.handle_disk(now, op, result, &mut effects);
                    shard.needs = Needs::Turn;
                }
            }
        }
        tag(asker, effects, out);
        self.advance(out)
    }

    /// A client asks a shard for something.
    pub fn handle_command(&mut self, now: Timestamp, shard: ShardId, command: Command, out: &mut Asked) {
        let at = usize::from(shard.0);
        let mut effects = Vec::new();
        if let Role::Engine(engine) = &mut self.shards[at].role {
            engine.handle_command(now, command, &mut effects);
            self.shards[at].needs = Needs::Turn;
        }
        tag(asker_of(at), effects, out);
    }

    /// A shard has its turn.
    ///
    /// # Errors
    /// The server refuses to go on.
    pub fn handle_turn(&mut self, now: Timestamp, shard: usize, out: &mut Asked) -> Result<(), Refusal> {
        let mut effects = Vec::new();
        let turned = &mut self.shards[shard];
        turned.needs = match (&mut turned.role, turned.needs) {
            (Role::Recovery(recovery), _) => {
                recovery.handle_turn(now, &mut effects);
                Needs::a_turn_if(recovery.wants_turn())
            }
            // As the server does it: what is urgent when something has come, and a slice of the rest some
            // time later.
            (Role::Engine(engine), needs) => {
                let is_due = engine.next_deadline().is_some_and(|deadline| deadline <= now);
                match needs {
                    Needs::Slice if !is_due => engine.handle_background(now, &mut effects),
                    _ => engine.handle_commits(now, &mut effects),
                }
                if engine.wants_turn() { Needs::Slice } else { Needs::Nothing }
            }
        };
        tag(asker_of(shard), effects, out);
        self.advance(out)
    }

    /// Begins a clean stop.
    ///
    /// # Errors
    /// The server refuses to go on.
    pub fn handle_stop(&mut self, now: Timestamp, out: &mut Asked) -> Result<(), Refusal> {
        assert_eq!(self.stage, Stage::Serving, "only a server that serves is stopped cleanly");
        self.stage = Stage::Stopping;
        for at in 0..self.shards.len() {
            let mut effects = Vec::new();
            if let Role::Engine(engine) = &mut self.shards[at].role {
                engine.handle_stop(now, &mut effects);
                self.shards[at].needs = Needs::Turn;
            }
            tag(asker_of(at), effects, out);
        }
        self.advance(out)
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The shards that have something to do without any input.
    pub fn needy(&self, now: Timestamp) -> Vec<usize> {
        let due = |shard: &Shard| shard.deadline().is_some_and(|at| at <= now);
        let needy =
            |(at, shard): (usize, &Shard)| (shard.needs != Needs::Nothing || due(shard)).then_some(at);
        self.shards.iter().enumerate().filter_map(needy).collect()
    }

    /// When some shard next has something to do without any input.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.shards.iter().filter_map(Shard::deadline).min()
    }

    /// The shard that owns a stream.
    pub fn shard_of(&self, key: &StreamKey) -> ShardId {
        let partition = partition_of(stream_hash(key), self.partition_count);
        let owns = |shard: &Shard| shard.partitions.contains(&partition);
        let at = self.shards.iter().position(owns).expect("every partition has a shard");
        shard_id(at)
    }

    /// How many shards it has.
    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// Hands over from part to part as far as it goes.
    fn advance(&mut self, out: &mut Asked) -> Result<(), Refusal> {
        loop {
            let before = self.stage;
            match self.stage {
                Stage::Booting => self.take_plans(out)?,
                Stage::Recovering => self.take_reports(out)?,
                Stage::Arming => self.take_epoch(out)?,
                Stage::Fencing => self.take_engines()?,
                Stage::Stopping => self.take_marks(out),
                Stage::Sealing => self.take_seal()?,
                Stage::Serving | Stage::Sealed => (),
            }
            if self.stage == before {
                return Ok(());
            }
        }
    }

    fn take_plans(&mut self, out: &mut Asked) -> Result<(), Refusal> {
        let Some(plans) = self.boot.take_plans() else {
            return Ok(());
        };
        for (at, plan) in plans?.into_iter().enumerate() {
            let partitions = plan.partitions.clone();
            let mut recovery = Recovery::new(plan, self.limits.clone());
            let mut effects = Vec::new();
            recovery.handle_start(&mut effects);
            tag(asker_of(at), effects, out);
            let role = Role::Recovery(Box::new(recovery));
            self.shards.push(Shard { partitions, role, needs: Needs::Nothing });
        }
        self.stage = Stage::Recovering;
        Ok(())
    }

    fn take_reports(&mut self, out: &mut Asked) -> Result<(), Refusal> {
        for shard in &mut self.shards {
            let Role::Recovery(recovery) = &mut shard.role else {
                unreachable!("no engine before its report")
            };
            if let Some(report) = recovery.take_report() {
                self.reports.push(report?);
            }
        }
        if self.reports.len() < self.shards.len() {
            return Ok(());
        }
        let mut reports = std::mem::take(&mut self.reports);
        reports.sort_by_key(|report| report.shard);
        // For whoever reads the trace.
        out.extend(reports.iter().map(|report| (BOOT, Effect::Notice(format!("{report:?}")))));
        let mut effects = Vec::new();
        self.boot.handle_recovered(&reports, &mut effects);
        tag(BOOT, effects, out);
        self.stage = Stage::Arming;
        Ok(())
    }

    fn take_epoch(&mut self, out: &mut Asked) -> Result<(), Refusal> {
        let Some(epoch) = self.boot.take_armed() else {
            return Ok(());
        };
        let epoch = epoch?;
        for (at, shard) in self.shards.iter_mut().enumerate() {
            let mut effects = Vec::new();
            if let Role::Recovery(recovery) = &mut shard.role {
                recovery.handle_epoch(epoch, &mut effects);
            }
            tag(asker_of(at), effects, out);
        }
        self.stage = Stage::Fencing;
        Ok(())
    }

    fn take_engines(&mut self) -> Result<(), Refusal> {
        for shard in &mut self.shards {
            let Role::Recovery(recovery) = &mut shard.role else {
                continue;
            };
            if let Some(engine) = recovery.take_engine() {
                shard.role = Role::Engine(Box::new(engine?));
                shard.needs = Needs::Turn;
            }
        }
        if self.shards.iter().all(|shard| matches!(shard.role, Role::Engine(_))) {
            self.stage = Stage::Serving;
        }
        Ok(())
    }

    fn take_seal(&mut self) -> Result<(), Refusal> {
        if self.boot.is_sealed() {
            self.stage = Stage::Sealed;
        }
        // A failed seal is told where a failed epoch is told.
        self.boot.take_armed().map_or(Ok(()), |refused| refused.map(|_| ()))
    }

    fn take_marks(&mut self, out: &mut Asked) {
        let mut marks = Vec::new();
        for shard in &self.shards {
            match &shard.role {
                Role::Engine(engine) if engine.is_stopped() => marks.push(engine.mark()),
                _ => return,
            }
        }
        let mut effects = Vec::new();
        self.boot.handle_stopped(marks, &mut effects);
        tag(BOOT, effects, out);
        self.stage = Stage::Sealing;
    }
}

impl Shard {
    fn deadline(&self) -> Option<Timestamp> {
        match &self.role {
            Role::Engine(engine) => engine.next_deadline(),
            Role::Recovery(_) => None,
        }
    }
}

fn asker_of(shard: usize) -> Asker {
    Asker(u16::try_from(shard + 1).expect("a sim has a handful of shards"))
}

fn shard_id(at: usize) -> ShardId {
    ShardId(u16::try_from(at).expect("a sim has a handful of shards"))
}

fn tag(asker: Asker, effects: Vec<Effect>, out: &mut Asked) {
    out.extend(effects.into_iter().map(|effect| (asker, effect)));
}
