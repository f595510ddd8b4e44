//! Random lives that end in random crashes, in recovery and in clean stops too.
//!
//! Up to six lives over one directory, with shard counts that change, and for some runs with honest disk
//! errors. At the end everything is audited: 0 acknowledged events lost, 0 resurrected, 0 seen and
//! vanished, 0 false refusals.

use super::{Broken, Outcome, Tally, broken, tally};
use crate::disk::{Crash, OpFault};
use crate::history::Violation;
use crate::rng::Rng;
use crate::workload::Mix;
use crate::world::{End, Life, Lived, World};
use engine::Sabotage;

/// Errors that a disk reports truthfully.
pub(crate) const HONEST: [OpFault; 4] =
    [OpFault::Io, OpFault::NoSpace, OpFault::TooManyFiles, OpFault::Short];

/// One run.
///
/// # Errors
/// The first law that is broken.
pub fn run(seed: u64, sabotage: Sabotage, readable: bool) -> Outcome {
    let mut world = World::new(seed, Mix::everything());
    if readable {
        world.read_along();
    }
    world.plant(sabotage);
    match lives(&mut world) {
        Ok(points) => Ok(Tally { points, ..tally(&world) }),
        Err(violation) => Err(broken(&world, violation)),
    }
}

fn lives(world: &mut World) -> Result<u64, Violation> {
    let mut rng = world.rng.fork();
    let faulty = rng.chance(1, 4);
    let mut shard_count = 1 + rng.below(3) as u16;
    let mut points = 0;
    for _ in 0..=rng.below(6) {
        if rng.chance(1, 3) {
            shard_count = 1 + rng.below(3) as u16;
        }
        if faulty {
            plan_faults(world, &mut rng);
        }
        let life = any_life(&mut rng, shard_count);
        let lived = world.live(life)?;
        points +=
            u64::from(lived != Lived::AsPlanned || matches!(life.end, End::Quiet(_) | End::Crash { .. }));
    }
    world.disk.faults.clear();
    let end = Life { shard_count, commands: 10, audit: true, idle: true, end: End::Audited };
    world.live(end)?;
    Ok(points)
}

fn plan_faults(world: &mut World, rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        let number = world.disk.submitted_count() + 1 + rng.below(120);
        world.disk.faults.plan(number, *rng.pick(&HONEST));
    }
}

/// A life that ends in any way.
pub(crate) fn any_life(rng: &mut Rng, shard_count: u16) -> Life {
    let commands = match rng.below(3) {
        0 => rng.below(6),
        1 => rng.below(40),
        _ => rng.below(120),
    };
    let crash = if rng.chance(1, 3) { Crash::Kill } else { Crash::PowerCut };
    let end = match rng.below(10) {
        0 => End::Clean,
        1 => End::Quiet(crash),
        2..=4 => End::Crash { after: rng.below(70), crash },
        _ => End::Crash { after: rng.below(120 + 8 * commands), crash },
    };
    Life { shard_count, commands, audit: rng.chance(2, 3), idle: rng.coin(), end }
}

/// Many runs, one after the other, until so many crashes were lived through.
///
/// # Errors
/// The seed of the first run that breaks a law, and the law.
pub fn run_many(
    first_seed: u64,
    points_min: u64,
    mut each: impl FnMut(u64, &Tally),
) -> Result<Tally, (u64, Box<Broken>)> {
    let mut total = Tally::default();
    let mut seed = first_seed;
    while total.points < points_min {
        each(seed, &total);
        total += run(seed, Sabotage::None, false).map_err(|broken| (seed, broken))?;
        seed += 1;
    }
    Ok(total)
}
