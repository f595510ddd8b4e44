//! Every small workload, every crash point, every subset of what a power cut decides about.
//!
//! A workload is a word over a small alphabet. It is run once; before every effect and completion the
//! world is photographed. Each picture then dies in every way: each subset of up to eight things at stake
//! kept or lost, each write torn at its head or its tail, and a kill that is followed by a power cut. Each
//! death is recovered from and audited.

use super::{Broken, Tally, broken, tally};
use crate::disk::{Crash, Fate};
use crate::history::Violation;
use crate::workload::Mix;
use crate::world::{End, Life, World};
use engine::{Command, Sabotage};
use types::{CoreId, SeqNum};

/// Things at stake of which every subset is tried.
const SUBSET_MAX: usize = 8;

/// One operation of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    /// An event for the first stream.
    Append,
    /// An event for the second stream, which is in another partition.
    Other,
    /// Eight events at once, over several sectors.
    Many,
    /// Deletion of the first stream.
    Delete,
    /// Trim of the first stream to its last event.
    Trim,
    /// Silence, long enough for an idle marker.
    Pause,
    /// A clean stop and a new start: everything goes into segments.
    Restart,
}

/// The alphabet.
pub const ALPHABET: [Letter; 7] = [
    Letter::Append,
    Letter::Other,
    Letter::Many,
    Letter::Delete,
    Letter::Trim,
    Letter::Pause,
    Letter::Restart,
];

/// All words of up to `letters_max` letters, but for those that begin with a letter that changes nothing:
/// where there is no event, deletion, trim and silence leave no byte, and the rest is a shorter word.
pub fn words(letters_max: usize) -> Vec<Vec<Letter>> {
    let mut all = Vec::new();
    let first = [Letter::Append, Letter::Other, Letter::Many, Letter::Restart];
    let mut longest: Vec<Vec<Letter>> = first.map(|letter| vec![letter]).to_vec();
    for _ in 0..letters_max {
        all.extend(longest.iter().cloned());
        let longer = |word: &Vec<Letter>| {
            ALPHABET.map(|letter| word.iter().copied().chain([letter]).collect::<Vec<_>>())
        };
        longest = longest.iter().flat_map(longer).collect();
    }
    all
}

/// Where the journal stands when a workload begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// A directory that does not exist yet; its creation is part of the workload.
    Fresh,
    /// The journal's current file is nearly full, and half of the ring is: the workload makes it turn.
    NearlyFull,
}

/// One workload from one base.
///
/// # Errors
/// The first law that is broken.
pub fn run(base: Base, word: &[Letter], sabotage: Sabotage) -> Result<Tally, Box<Broken>> {
    let mut world = World::new(11, Mix::appends());
    world.make_orderly();
    world.plant(sabotage);
    prepare(&mut world, base).map_err(|violation| broken(&world, violation))?;
    world.take_pictures();
    spell(&mut world, word).map_err(|violation| broken(&world, violation))?;
    let mut total = tally(&world);
    for picture in world.pictures() {
        total += die_every_way(&picture)?;
    }
    Ok(total)
}

fn prepare(world: &mut World, base: Base) -> Result<(), Violation> {
    if base == Base::Fresh {
        return Ok(());
    }
    let life = Life { shard_count: 1, commands: 0, audit: false, idle: true, end: End::Audited };
    world.live(life)?;
    for _ in 0..20 {
        let stream = world.workload.streams()[1].clone();
        let command = world.workload.append(CoreId(0), stream, 1);
        world.command(command)?;
    }
    world.die(Crash::Kill);
    world.disk.settle();
    Ok(())
}

fn spell(world: &mut World, word: &[Letter]) -> Result<(), Violation> {
    let life = Life { shard_count: 1, commands: 0, audit: false, idle: false, end: End::Audited };
    world.live(life)?;
    for letter in word {
        let (first, second) = (world.workload.streams()[0].clone(), world.workload.streams()[1].clone());
        let core = CoreId(0);
        let command = match letter {
            Letter::Append => world.workload.append(core, first, 1),
            Letter::Other => world.workload.append(core, second, 1),
            Letter::Many => world.workload.append(core, first, 8),
            Letter::Delete => Command::Delete { to: world.workload.next_to(core), stream: first },
            Letter::Trim => {
                let before = SeqNum(world.history.tail_of(&first).0);
                Command::Trim { to: world.workload.next_to(core), stream: first, before }
            }
            Letter::Pause => {
                world.pause()?;
                continue;
            }
            Letter::Restart => {
                world.restart(life)?;
                continue;
            }
        };
        world.command(command)?;
    }
    Ok(())
}

/// All deaths of one picture.
fn die_every_way(picture: &World) -> Result<Tally, Box<Broken>> {
    let mut total = Tally::default();
    for fates in all_fates(picture) {
        let mut world = picture.fork();
        world.cut_power_exactly(&fates);
        total += recover(world)?;
    }
    // A kill leaves the cache; what recovery then shows must survive a power cut.
    let mut world = picture.fork();
    world.die(Crash::Kill);
    let life = Life { shard_count: 1, commands: 0, audit: true, idle: false, end: End::Quiet(Crash::Kill) };
    world.live(life).map_err(|violation| broken(&world, violation))?;
    let count = world.disk.at_stake().count;
    world.cut_power_exactly(&vec![Fate::Lost; count]);
    total += recover(world)?;
    Ok(total)
}

fn recover(mut world: World) -> Result<Tally, Box<Broken>> {
    let life = Life { shard_count: 1, commands: 0, audit: true, idle: false, end: End::Audited };
    world.live(life).map_err(|violation| broken(&world, violation))?;
    Ok(Tally { points: 1, ..tally(&world) })
}

fn all_fates(picture: &World) -> Vec<Vec<Fate>> {
    let count = picture.disk.at_stake().count;
    let varied = count.min(SUBSET_MAX);
    let older = count - varied;
    let mut all = Vec::new();
    // What is older than the last eight is kept as a whole, or lost as a whole.
    let backgrounds: &[Fate] = if older > 0 { &[Fate::Kept, Fate::Lost] } else { &[Fate::Kept] };
    for &background in backgrounds {
        for subset in 0..1_u32 << varied {
            let fate = |at: usize| {
                if subset >> at & 1 == 1 { Fate::Kept } else { Fate::Lost }
            };
            let mut fates = vec![background; older];
            fates.extend((0..varied).map(fate));
            all.push(fates);
        }
    }
    for torn in older..count {
        for fate in [Fate::Head(1), Fate::Tail(1), Fate::Head(5), Fate::Head(0)] {
            let mut fates = vec![Fate::Kept; count];
            fates[torn] = fate;
            all.push(fates);
        }
    }
    all
}
