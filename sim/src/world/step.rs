//! One thing after the other: completions, commands, turns, and the passing of time.
//!
//! Part of [`World`]: draws what happens next and lets it happen. Whatever an engine asks for in it is
//! carried out before anything else happens; nothing waits for anything but the disk and the clock.

use super::server::Asked;
use super::{Interrupt, PATIENCE, Stage, World, stream_of};
use crate::disk::Asker;
use crate::history::{Law, Step};
use engine::Command;
use types::{CoreId, DurationMs, ShardId, Timestamp};

impl World {
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

    pub(super) fn note_commit(&mut self, asker: Asker, before: Step) {
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
}
