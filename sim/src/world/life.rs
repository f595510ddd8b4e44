//! A life of a server from start to end: recovery, audit, work, and a way to die.
//!
//! Whatever way a life ends, the next one must start (unless the disk was damaged), and its audit settles
//! what survived. A refusal or a stop that nothing excuses is a broken law itself.

use super::{Interrupt, Stage, World};
use crate::disk::{Crash, Fate};
use crate::history::{Law, Violation};
use engine::{Command, Read, ReadFrom, Refusal};
use types::CoreId;

/// How a life is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After so many effects and completions, wherever that is: in recovery, at work, in a clean stop.
    Crash {
        /// How many.
        after: u64,
        /// Which way.
        crash: Crash,
    },
    /// The clients are done, nothing is under way, and the process or the power goes.
    Quiet(Crash),
    /// A clean stop, sealed; then the machine is shut down.
    Clean,
    /// The clients are done and everything was audited; the server lives on. For the end of a run.
    Audited,
}

/// A life as it is planned.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// Shards of this life.
    pub shard_count: u16,
    /// Commands that clients submit.
    pub commands: u64,
    /// Whether every stream is read after the recovery.
    pub audit: bool,
    /// Whether idle markers are written before the end.
    pub idle: bool,
    /// Whether the clients stop before the clean stop begins, so that nothing is under way then.
    pub end: End,
}

/// How a life really ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lived {
    /// As planned, before the planned moment of a crash too.
    AsPlanned,
    /// The planned crash.
    Crashed,
    /// The engine stopped itself after a disk error.
    Stopped(String),
    /// The server refused to start.
    Refused(Refusal),
}

impl World {
    /// Lives a life; afterwards no server runs, unless it ended [`End::Audited`].
    ///
    /// # Errors
    /// The first law that is broken.
    pub fn live(&mut self, life: Life) -> Result<Lived, Violation> {
        self.disk.trace.note(format_args!("life {life:?}"));
        let faults_before = self.disk.faults.fired().len();
        self.fuse = match life.end {
            End::Crash { after, .. } => Some(after),
            _ => None,
        };
        let lived = self.run_life(life);
        self.fuse = None;
        let crash = match life.end {
            End::Crash { crash, .. } | End::Quiet(crash) => crash,
            End::Clean | End::Audited => Crash::Kill,
        };
        let excused = self.disk.faults.fired().len() > faults_before;
        let lived = match lived {
            Ok(()) if life.end == End::Audited => return Ok(Lived::AsPlanned),
            Ok(()) => Lived::AsPlanned,
            Err(Interrupt::Crash) => Lived::Crashed,
            Err(Interrupt::Broken(violation)) => return Err(violation),
            Err(Interrupt::Fatal(what)) => {
                self.excuse(excused, &what)?;
                Lived::Stopped(what)
            }
            Err(Interrupt::Refused(refusal)) => {
                self.excuse(excused, &refusal.to_string())?;
                Lived::Refused(refusal)
            }
        };
        self.die(crash);
        if life.end == End::Clean && lived == Lived::AsPlanned {
            self.disk.settle();
        }
        Ok(lived)
    }

    /// The process, or the power, goes.
    pub fn die(&mut self, crash: Crash) {
        self.server = None;
        self.disk.crash(crash);
        self.history.crash();
    }

    /// The power goes, and everything at stake meets the fate it is told.
    pub(crate) fn cut_power_exactly(&mut self, fates: &[Fate]) {
        self.server = None;
        self.disk.cut_power_exactly(fates);
        self.history.crash();
    }

    /// A client asks for something of a server that serves, and has its answer.
    pub(crate) fn command(&mut self, command: Command) -> Result<(), Violation> {
        let asked = self.submit(command).and_then(|()| self.quiesce());
        self.without_faults(asked)
    }

    /// Silence, long enough for an idle marker.
    pub(crate) fn pause(&mut self) -> Result<(), Violation> {
        let idle = self.idle();
        self.without_faults(idle)
    }

    /// A clean stop, and a new life.
    pub(crate) fn restart(&mut self, life: Life) -> Result<(), Violation> {
        let stopped = self.stop_cleanly();
        self.without_faults(stopped)?;
        self.die(Crash::Kill);
        self.live(life).map(|_| ())
    }

    /// Nothing was planned to go wrong, so whatever does is a broken law.
    fn without_faults(&self, result: Result<(), Interrupt>) -> Result<(), Violation> {
        result.map_err(|interrupt| match interrupt {
            Interrupt::Broken(violation) => violation,
            other => self.history.violation(Law::FalseRefusal, format!("{other:?}")),
        })
    }

    fn excuse(&self, excused: bool, what: &str) -> Result<(), Violation> {
        if excused || self.history.is_damaged() {
            return Ok(());
        }
        Err(self.history.violation(Law::FalseRefusal, what.to_owned()))
    }

    fn run_life(&mut self, life: Life) -> Result<(), Interrupt> {
        self.start_server(life.shard_count)?;
        self.run_until(Stage::Serving)?;
        self.tell_owners();
        if life.audit {
            self.audit()?;
        }
        self.change_pace();
        let mut left = life.commands;
        while left > 0 {
            let requests = self.workload.request_count();
            self.step(true)?;
            left -= (self.workload.request_count() - requests).min(left);
        }
        match life.end {
            End::Clean => self.stop_cleanly(),
            // A crash that was planned for a later moment than there is comes in the clean stop, or after.
            End::Crash { .. } if self.rng.coin() => self.stop_cleanly(),
            End::Crash { .. } | End::Quiet(_) => {
                self.quiesce()?;
                if life.idle { self.idle() } else { Ok(()) }
            }
            End::Audited if life.audit => self.audit(),
            End::Audited => self.quiesce(),
        }
    }

    fn stop_cleanly(&mut self) -> Result<(), Interrupt> {
        self.stop()?;
        self.run_until(Stage::Sealed)?;
        self.quiesce()
    }

    /// Reads every stream from end to end; the history settles what is there.
    pub(crate) fn audit(&mut self) -> Result<(), Interrupt> {
        self.quiesce()?;
        self.history.begin_audit();
        let core = CoreId(0);
        for _ in 0..super::PATIENCE {
            let mut asked = false;
            for stream in self.history.streams() {
                let Some(next) = self.history.audit_next(&stream) else {
                    continue;
                };
                asked = true;
                let limit = 1 + self.rng.index(20);
                let to = self.workload.next_to(core);
                let from = ReadFrom::Seq(next);
                self.submit(Command::Read(Read { to, stream, from, limit, bytes_max: 4096 }))?;
            }
            if !asked {
                return Ok(self.history.finish_audit()?);
            }
            self.quiesce()?;
        }
        Err(self.history.violation(Law::Unanswered, "an audit never ends".to_owned()).into())
    }

    /// Each life has its own rhythm: a slow disk, eager clients, idle shards.
    fn change_pace(&mut self) {
        let mut draw = || *self.rng.pick(&[1, 2, 4, 12]);
        self.pace = super::Pace { complete: draw(), submit: draw(), turn: draw(), tick: draw() };
    }
}
