//! Damage behind everybody's back: flipped bits, zeroed, misdirected and stale sectors, cut and lost files,
//! ranges that cannot be read, writes that never happened.
//!
//! A directory is written over some lives and then damaged in one place, or in some of a partition's. Where
//! there is evidence, nothing may be silent: the events are served right, or a gap, a typed error or a
//! refusal says so. Only the last group of a journal that nothing proves yet may be cut without a word, and
//! only when the life did not end with an idle marker or a seal.

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
    // How the last life ends decides what proves the last group of its journal.
    let proved = rng.chance(3, 4);
    let shard_count = if proved { 1 + rng.below(2) as u16 } else { 1 };
    let life = |commands, end| Life { shard_count, commands, audit: true, idle: true, end };
    for _ in 0..rng.below(3) {
        let end = if rng.coin() { End::Clean } else { End::Quiet(Crash::Kill) };
        world.live(life(rng.below(60), end))?;
    }
    let commands = 5 + rng.below(80);
    let end = if proved && rng.coin() { End::Clean } else { End::Quiet(Crash::Kill) };
    let copy = rng.chance(1, 6).then(|| world.fork());
    world.live(Life { idle: proved, ..life(commands, end) })?;
    world.disk.settle();
    world.history.allow_damage();
    if let Some(copy) = copy.filter(|_| end != End::Clean) {
        return mixed(world, copy, &mut rng, life(commands, end));
    }
    if !proved {
        world.forgive_unproved();
    }
    if !damage(world, &mut rng) {
        return Ok((false, true));
    }
    // Drawn apart: what follows does not depend on how much more is damaged.
    let mut more = rng.clone();
    for _ in 0..if more.chance(1, 4) { 1 + more.below(3) } else { 0 } {
        damage_partition(world, &mut more);
    }
    let gaps = world.history.counts().gaps;
    // A life that does nothing leaves to its fence alone what becomes of a tail that was cut.
    let commands = if rng.coin() { 20 } else { 0 };
    let first = world.live(life(commands, End::Quiet(Crash::PowerCut)))?;
    if rng.coin() {
        world.disk.faults.heal_all();
    }
    if let Lived::Refused(_) = first {
        return Ok((true, false));
    }
    // What was isolated stays so: nothing comes back, no number is used again.
    let second = world.live(life(5, End::Audited))?;
    let harmless = world.history.counts().gaps == gaps;
    Ok((matches!(second, Lived::Refused(_)), harmless))
}

/// A copy of the directory goes its own way from before the last life; then one journal file that was
/// written since is replaced by the copy's. What the copy holds must not be taken for ours.
fn mixed(world: &mut World, mut copy: World, rng: &mut Rng, life: Life) -> Result<(bool, bool), Violation> {
    let before = copy.disk.clone();
    copy.diverge(rng.next_u64());
    copy.live(Life { idle: true, ..life })?;
    copy.disk.settle();
    // Only a file that the two have not in common from before, that follows one that they have, and that
    // later groups follow: the chain breaks where it begins. Without any of these the copy's history is as
    // good as ours, or ours is the un-proved end of it.
    let content = |file: FileId| before.content(file).filter(|content| content.iter().any(|&byte| byte != 0));
    let shard_of = |file: FileId| match file {
        FileId::Journal { shard, .. } => Some(shard),
        _ => None,
    };
    let all = world.disk.files();
    let needed = world.journal_needed_from();
    let begun = all.iter().any(|listed| shard_of(listed.file).is_some() && content(listed.file).is_some());
    let newest = |file: FileId| {
        let written = |other: &ListedFile| world.disk.last_written(other.file);
        all.iter().filter(|other| shard_of(other.file) == shard_of(file)).map(written).max()
    };
    let fits = |listed: &&ListedFile| {
        let file = listed.file;
        let old = newest(file) > Some(world.disk.last_written(file));
        let after_replay_from = |shard| world.first_group_of(file) > needed.get(&shard).copied();
        let anchored = shard_of(file).is_some_and(after_replay_from) && !world.continues_in(&copy, file);
        anchored && content(file).is_none() && old && begun
    };
    let files: Vec<ListedFile> = all.iter().filter(fits).copied().collect();
    if files.is_empty() || !world.disk.replace_file(rng.pick(&files).file, &copy.disk) {
        return Ok((false, true));
    }
    let last = Life { commands: 0, end: End::Audited, ..life };
    let lived = world.live(last)?;
    Ok((matches!(lived, Lived::Refused(_)), lived == Lived::AsPlanned))
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
    let last_block = used.saturating_sub(1) / commitlog::BLOCK_BYTES as u64 * commitlog::BLOCK_BYTES as u64;
    let from = if rng.chance(1, 4) { last_block.min(near - 1) } else { 0 };
    let rot = any_rot(rng, from..near, len);
    if let FileId::Journal { shard, .. } = file {
        // Damage that reaches over two groups may take the last one together with what proves it, and the
        // newest file all that proves it is there: no log can tell that from a torn tail.
        let newest = |other: &ListedFile| match other.file {
            FileId::Journal { shard: of, .. } => {
                of != shard || world.disk.last_written(other.file) <= at(world, file)
            }
            _ => true,
        };
        match rot {
            Wear::Rot(Rot::Truncated { len }) if len < used => return false,
            Wear::Lost if files.iter().all(newest) => return false,
            _ => (),
        }
    }
    match rot {
        Wear::Rot(rot) => world.disk.rot(file, rot),
        Wear::Lost => world.disk.lose_file(file),
        Wear::Unreadable(at) => {
            world.disk.faults.make_unreadable(file, at..at + 1);
            true
        }
    }
}

/// Damages a segment or a manifest, in such a way that the damage can be seen in the file itself: what the
/// next file would have proved may be damaged as well.
fn damage_partition(world: &mut World, rng: &mut Rng) {
    let in_partition =
        |file: &ListedFile| matches!(file.file, FileId::Segment { .. } | FileId::Manifest { .. });
    let files: Vec<ListedFile> =
        world.disk.files().into_iter().filter(in_partition).filter(|file| file.len > 0).collect();
    if files.is_empty() {
        return;
    }
    let ListedFile { file, len } = *rng.pick(&files);
    let at = rng.below(len);
    let rot = match rng.below(4) {
        0 => Rot::Truncated { len: at },
        1 => Rot::Zeroed { offset: at / SECTOR_BYTES as u64 * SECTOR_BYTES as u64, sectors: 1 },
        _ => Rot::Flip { offset: at % commitlog::BLOCK_BYTES as u64, bit: rng.below(8) as u8 },
    };
    world.disk.rot(file, rot);
}

fn at(world: &World, file: FileId) -> u64 {
    world.disk.last_written(file)
}

/// What happens to a file.
#[derive(Clone, Copy)]
enum Wear {
    Rot(Rot),
    /// The file is gone.
    Lost,
    /// Reads that touch this byte fail.
    Unreadable(u64),
}

/// Damage that stays within one block, the unit in which a disk goes astray.
fn any_rot(rng: &mut Rng, near: std::ops::Range<u64>, len: u64) -> Wear {
    const BLOCK: u64 = commitlog::BLOCK_BYTES as u64;
    let in_block = BLOCK as usize / SECTOR_BYTES;
    let offset = near.start + rng.below(near.end - near.start);
    let block = offset / BLOCK * BLOCK;
    let first = rng.index(in_block);
    let sectors = 1 + rng.index(in_block - first);
    let sector = block + (first * SECTOR_BYTES) as u64;
    Wear::Rot(match rng.below(22) {
        0..=7 => Rot::Flip { offset, bit: rng.below(8) as u8 },
        8..=11 => Rot::Zeroed { offset: sector, sectors },
        12..=14 => {
            let from = rng.below(near.end) / BLOCK * BLOCK + (first * SECTOR_BYTES) as u64;
            Rot::Misdirected { from, to: sector, sectors }
        }
        15..=16 => Rot::Stale { offset: block, sectors: in_block },
        17 => Rot::Truncated { len: rng.below(len) / SECTOR_BYTES as u64 * SECTOR_BYTES as u64 },
        18 => return Wear::Lost,
        _ => return Wear::Unreadable(offset),
    })
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
