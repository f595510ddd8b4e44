//! Brings one shard from its files to a serving engine, in the two steps that the directory dictates.
//!
//! Called by `server` on the shard's core: [`recover`] first; then, when every shard has reported and the
//! new epoch is on disk, [`arm`]. Decides nothing: executes what [`Recovery`] asks for.

use super::driver::{log_notice, stop_process};
use super::files::Files;
use crate::sys::clock;
use crate::sys::executor::yield_now;
use engine::{Effect, Engine, Recovery, Refusal, ShardPlan, ShardReport};
use std::rc::Rc;
use types::{Limits, ServerEpoch, ShardId};

/// A shard that has read its files and may not yet serve.
pub(crate) struct Recovered {
    shard: ShardId,
    recovery: Recovery,
}

/// Reads the shard's files.
///
/// # Errors
/// What stands in the way; operations may still be under way.
pub(crate) async fn recover(
    plan: ShardPlan,
    limits: Limits,
    files: &Rc<Files>,
) -> Result<(Recovered, ShardReport), Refusal> {
    let shard = plan.shard;
    let mut recovered = Recovered { shard, recovery: Recovery::new(plan, limits) };
    let mut effects = Vec::new();
    recovered.recovery.handle_start(&mut effects);
    loop {
        recovered.execute(&mut effects, files);
        if let Some(report) = recovered.recovery.take_report() {
            return report.map(|report| (recovered, report));
        }
        recovered.step(&mut effects, files).await;
    }
}

/// Writes the fence of the new epoch; then the shard may serve.
///
/// # Errors
/// What stands in the way; operations may still be under way.
pub(crate) async fn arm(
    mut recovered: Recovered,
    epoch: ServerEpoch,
    files: &Rc<Files>,
) -> Result<Engine, Refusal> {
    let mut effects = Vec::new();
    recovered.recovery.handle_epoch(epoch, &mut effects);
    loop {
        recovered.execute(&mut effects, files);
        if let Some(engine) = recovered.recovery.take_engine() {
            return engine;
        }
        recovered.step(&mut effects, files).await;
    }
}

impl Recovered {
    /// Goes on with background work if there is some, else with the next result of the disk.
    async fn step(&mut self, effects: &mut Vec<Effect>, files: &Rc<Files>) {
        if self.recovery.wants_turn() {
            yield_now().await;
            self.recovery.handle_turn(clock::now(), effects);
            while let Some((op, result)) = files.take() {
                self.recovery.handle_disk(clock::now(), op, result, effects);
            }
            return;
        }
        let (op, result) = files.next().await;
        self.recovery.handle_disk(clock::now(), op, result, effects);
    }

    fn execute(&self, effects: &mut Vec<Effect>, files: &Rc<Files>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Disk { op, urgency, work } => files.start(op, urgency, work),
                Effect::Notice(text) => log_notice(self.shard, &text),
                Effect::Fatal(fatal) => stop_process(self.shard, &fatal),
                Effect::Reply { .. } | Effect::Deliver(_) => {
                    unreachable!("nobody has asked a shard before it serves")
                }
            }
        }
    }
}
