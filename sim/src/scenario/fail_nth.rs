//! Operation N fails, for N = 1, 2, … until a run is clean.
//!
//! The script of a scenario is fixed by its seed; each kind of honest error is tried at each operation. The
//! server may stop itself or refuse to start in the life in which it met the error, with a typed reason;
//! the next life starts, and nothing that was acknowledged is lost.

use super::{Outcome, Tally, broken, crash, tally};
use crate::disk::{Crash, OpFault};
use crate::history::Violation;
use crate::workload::Mix;
use crate::world::{End, Life, Lived, World};
use engine::Sabotage;

/// Every N of one scenario and one kind of error.
///
/// # Errors
/// The N at which a law was broken, and the law.
pub fn run(seed: u64, fault: OpFault, sabotage: Sabotage) -> Result<Tally, (u64, Box<super::Broken>)> {
    let mut total = Tally::default();
    for number in 1.. {
        let one = run_one(seed, fault, number, sabotage, false).map_err(|broken| (number, broken))?;
        total += one;
        if one.points == 0 {
            break;
        }
    }
    Ok(total)
}

/// One N. The tally's `points` is 0 when the run ended before operation N.
///
/// # Errors
/// The first law that is broken.
pub fn run_one(seed: u64, fault: OpFault, number: u64, sabotage: Sabotage, readable: bool) -> Outcome {
    let mut world = World::new(seed, Mix::everything());
    if readable {
        world.read_along();
    }
    world.plant(sabotage);
    world.disk.faults.plan(number, fault);
    match script(&mut world) {
        Ok(()) => {
            let reached = world.disk.submitted_count() >= number;
            Ok(Tally { points: u64::from(reached), ..tally(&world) })
        }
        Err(violation) => Err(broken(&world, violation)),
    }
}

fn script(world: &mut World) -> Result<(), Violation> {
    let ends = [End::Quiet(Crash::PowerCut), End::Clean, End::Quiet(Crash::Kill)];
    for end in ends {
        world.live(Life { shard_count: 1, commands: 24, audit: true, idle: false, end })?;
    }
    // The last life may be the one that meets the error; the one after it may not.
    let last = Life { shard_count: 2, commands: 6, audit: true, idle: true, end: End::Audited };
    if world.live(last)? != Lived::AsPlanned {
        world.disk.faults.clear();
        world.live(last)?;
    }
    Ok(())
}

/// The kinds of error that are tried.
pub const FAULTS: [OpFault; 4] = crash::HONEST;
