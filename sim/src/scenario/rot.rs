//! Damage behind everybody's back: flipped bits, zeroed, misdirected and stale sectors, cut and lost files,
//! ranges that cannot be read, writes that never happened.
//!
//! A directory is written over some lives and then damaged in one place. Where there is evidence, nothing
//! may be silent: the events are served right, or a gap, a typed error or a refusal says so. Only the last
//! group of a journal that nothing proves yet may be cut without a word, and only when the life did not end
//! with an idle marker or a seal.

use super::{Outcome, Tally, broken, tally};
use crate::disk::{Crash, Rot, SECTOR_BYTES};
use crate::history::Violation;
use crate::rng::Rng;
use crate::workload::Mix;
use crate::world::{End, Life, Lived, World};
use engine::{FileId, ListedFile, Sabotage};

/// One case.
///
/// # Errors
/// The first law that is broken: damage that is silent.
pub fn run(seed: u64, sabotage: Sabotage, readable: bool) -> Outcome {
    let mut world = World::new(seed, Mix { append_memory: 0, ..Mix::everything() });
    if readable {
        world.read_along();
    }
    world.plant(sabotage);
    world.disk.keep_previous();
    match case(&mut world) {
        Ok((refused, harmless)) => {
            let tally = tally(&world);
            Ok(Tally { points: 1, refusals: refused.into(), harmless: harmless.into(), ..tally })
        }
        Err(violation) => Err(broken(&world, violation)),
    }
}

fn case(world: &mut World) -> Result<(bool, bool), Violation> {
    let mut rng = world.rng.fork();
    let shard_count = 1 + rng.below(2) as u16;
    let life = |commands, end| Life { shard_count, commands, audit: true, idle: true, end };
    for _ in 0..rng.below(3) {
        let end = if rng.coin() { End::Clean } else { End::Quiet(Crash::Kill) };
        world.live(life(rng.below(60), end))?;
    }
    // How the last life ends decides what proves its last group.
    let commands = 5 + rng.below(80);
    let proved = rng.chance(3, 4);
    let end = if proved && rng.coin() { End::Clean } else { End::Quiet(Crash::Kill) };
    world.live(Life { idle: proved, ..life(commands, end) })?;
    world.disk.settle();
    world.history.allow_damage();
    if !proved {
        world.history.forgive_after(world.last_commit_at);
    }
    if !damage(world, &mut rng) {
        return Ok((false, true));
    }
    let gaps = world.history.counts().gaps;
    let first = world.live(life(20, End::Quiet(Crash::PowerCut)))?;
    if let Lived::Refused(_) = first {
        return Ok((true, false));
    }
    // What was isolated stays so: nothing comes back, no number is used again.
    let second = world.live(life(5, End::Audited))?;
    let harmless = world.history.counts().gaps == gaps;
    Ok((matches!(second, Lived::Refused(_)), harmless))
}

/// Damages one file; false when that changed nothing.
fn damage(world: &mut World, rng: &mut Rng) -> bool {
    let files = world.disk.files();
    let ListedFile { file, len } = pick_file(&files, rng);
    if len == 0 {
        return false;
    }
    // Mostly where something was written: the front of a file, or around its last written block.
    let content = world.disk.content(file).expect("it was just listed");
    let used = content.iter().rposition(|&byte| byte != 0).map_or(1, |last| last as u64 + 1);
    let near = if rng.chance(1, 2) { used } else { len };
    let offset = rng.below(near);
    let sector = offset / SECTOR_BYTES as u64 * SECTOR_BYTES as u64;
    let sectors = *rng.pick(&[1, 2, 8, 16]);
    let rot = match rng.below(20) {
        0..=7 => Rot::Flip { offset, bit: rng.below(8) as u8 },
        8..=11 => Rot::Zeroed { offset: sector, sectors },
        12..=14 => {
            let from = rng.below(near) / SECTOR_BYTES as u64 * SECTOR_BYTES as u64;
            Rot::Misdirected { from, to: sector, sectors }
        }
        15..=16 => Rot::Stale { offset: sector / 4096 * 4096, sectors: 8 },
        17 => Rot::Truncated { len: sector },
        18 => return world.disk.lose_file(file),
        _ => {
            world.disk.faults.make_unreadable(file, sector..sector + 1);
            return true;
        }
    };
    world.disk.rot(file, rot)
}

/// Every kind of file has its turn, however many there are of it.
fn pick_file(files: &[ListedFile], rng: &mut Rng) -> ListedFile {
    let kind = |file: &ListedFile| match file.file {
        FileId::Identity => 0,
        FileId::Epoch => 1,
        FileId::Journal { .. } => 2,
        FileId::Segment { .. } => 3,
        FileId::Manifest { .. } => 4,
    };
    let wanted = rng.weighted(&[1, 2, 8, 6, 3]);
    let matching: Vec<ListedFile> = files.iter().copied().filter(|file| kind(file) == wanted).collect();
    *rng.pick(if matching.is_empty() { files } else { &matching })
}
