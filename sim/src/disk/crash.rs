//! The two ways to die: the process is killed, or the power goes.
//!
//! After a kill everything that completed is still seen, as the device's cache outlives the process, but
//! it is no more durable than before: a later power cut may take it. What was in flight happened, did not,
//! or happened in part. A power cut keeps any subset of the writes and names that no flush covers, in any
//! order, torn at sectors. Either draws its choices from a generator, or is told each [`Fate`]
//! (the exhaustive mode).

use super::inode::Fate;
use super::{Disk, Pending, SECTOR_BYTES, bytes_of};
use crate::rng::Rng;
use engine::DiskOp;

/// A way to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process dies; the device's cache lives on.
    Kill,
    /// The device's cache dies too.
    PowerCut,
}

/// How many things a power cut would decide about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stake {
    /// Unsynced names, unflushed writes and operations in flight, in this order.
    pub count: usize,
    /// How many of them are writes, for which a torn fate differs from lost and kept.
    pub writes: usize,
}

/// How a random power cut treats its writes: all styles find bugs that the others do not.
#[derive(Clone, Copy)]
enum Style {
    LoseAll,
    KeepAll,
    CoinPerWrite,
    TearAll,
    LoseOne,
    Prefix,
    Mixed,
}

impl Disk {
    /// The process, or the power, goes. Nothing is in flight afterwards.
    pub fn crash(&mut self, crash: Crash) {
        let mut rng = self.rng.fork();
        self.trace.note(format_args!("crash {crash:?} with {} in flight", self.pending.len()));
        let mut pending = std::mem::take(&mut self.pending);
        rng.shuffle(&mut pending);
        for operation in pending {
            let fate = random_fate(&mut rng, sectors_of(&operation.work));
            self.tick += 1;
            self.leave_in_flight(&operation, fate);
        }
        if crash == Crash::PowerCut {
            self.cut_power(&mut rng);
        }
    }

    /// What a power cut would decide about now.
    pub fn at_stake(&self) -> Stake {
        let cached: usize = self.inodes.iter().map(|inode| inode.cached().len()).sum();
        let writes =
            self.pending.iter().filter(|pending| matches!(pending.work, DiskOp::Write { .. })).count();
        let count = self.names.unsynced().len() + cached + self.pending.len();
        Stake { count, writes: cached + writes }
    }

    /// The power goes and each thing at stake meets the fate that it is told, in the order of
    /// [`Stake::count`]. A name survives unless it is `Lost`; writes land in the order of completion.
    ///
    /// # Panics
    /// When there are fewer fates than things at stake.
    pub fn cut_power_exactly(&mut self, fates: &[Fate]) {
        self.trace.note(format_args!("power cut {fates:?}"));
        let settled = self.at_stake().count - self.pending.len();
        let (settled, in_flight) = fates.split_at(settled);
        let mut settled = settled.iter().copied();
        let mut next = || settled.next().expect("a fate for everything at stake");
        self.names.cut_power(|_| next() != Fate::Lost);
        for inode in &mut self.inodes {
            inode.cut_power(|_| next(), |_| ());
        }
        let pending = std::mem::take(&mut self.pending);
        assert!(in_flight.len() >= pending.len(), "a fate for everything at stake");
        for (operation, &fate) in pending.iter().zip(in_flight) {
            self.tick += 1;
            self.leave_in_flight(operation, fate);
        }
        // What was in flight has met its fate already, so whatever is there now stays.
        self.names.cut_power(|_| true);
        self.inodes.iter_mut().for_each(|inode| inode.cut_power(|_| Fate::Kept, |_| ()));
    }

    /// Everything that was written becomes durable, as after an orderly shutdown of the machine.
    pub fn settle(&mut self) {
        assert!(self.pending.is_empty(), "an orderly shutdown waits for what is in flight");
        self.names.cut_power(|_| true);
        self.inodes.iter_mut().for_each(|inode| inode.cut_power(|_| Fate::Kept, |_| ()));
    }

    fn cut_power(&mut self, rng: &mut Rng) {
        let style = *rng.pick(&[
            Style::LoseAll,
            Style::KeepAll,
            Style::CoinPerWrite,
            Style::TearAll,
            Style::LoseOne,
            Style::Prefix,
            Style::Mixed,
        ]);
        let count = self.at_stake().count;
        let chosen = rng.index(count + 1);
        let reorder = rng.coin();
        let mut at = 0;
        let mut choices = rng.fork();
        let mut decide = |sectors: usize| {
            at += 1;
            fate_by_style(style, &mut choices, sectors, at - 1, chosen)
        };
        self.names.cut_power(|_| decide(1) != Fate::Lost);
        for inode in &mut self.inodes {
            inode.cut_power(
                |write| decide(write.sectors()),
                |fated| {
                    if reorder {
                        rng.shuffle(fated);
                    }
                },
            );
        }
    }

    /// What is left of an operation that was in flight when the process died.
    fn leave_in_flight(&mut self, operation: &Pending, fate: Fate) {
        if fate == Fate::Lost {
            return;
        }
        let DiskOp::Write { file, offset, body } = &operation.work else {
            let _ = self.execute(operation);
            return;
        };
        let Ok(()) = self.need_room(*file, offset + body.padded_len as u64) else {
            return;
        };
        let bytes = bytes_of(body);
        let mut scatter = Rng::new(if let Fate::Scattered(seed) = fate { seed } else { 0 });
        let tick = self.tick;
        let Ok(inode) = self.inode(*file) else { return };
        for sector in 0..bytes.len() / SECTOR_BYTES {
            let survives = match fate {
                Fate::Lost => false,
                Fate::Kept => true,
                Fate::Head(count) => sector < count,
                Fate::Tail(count) => sector >= count,
                Fate::Scattered(_) => scatter.coin(),
            };
            if survives {
                let from = sector * SECTOR_BYTES;
                inode.write(tick, *offset as usize + from, bytes.slice(from..from + SECTOR_BYTES));
            }
        }
    }
}

fn sectors_of(work: &DiskOp) -> usize {
    match work {
        DiskOp::Write { body, .. } => body.padded_len / SECTOR_BYTES,
        _ => 1,
    }
}

fn random_fate(rng: &mut Rng, sectors: usize) -> Fate {
    match rng.below(5) {
        0 | 1 => Fate::Lost,
        2 => Fate::Kept,
        3 if rng.coin() => Fate::Head(rng.index(sectors + 1)),
        3 => Fate::Tail(rng.index(sectors + 1)),
        _ => Fate::Scattered(rng.next_u64()),
    }
}

fn fate_by_style(style: Style, rng: &mut Rng, sectors: usize, at: usize, chosen: usize) -> Fate {
    let kept_if = |kept| if kept { Fate::Kept } else { Fate::Lost };
    match style {
        Style::LoseAll => Fate::Lost,
        Style::KeepAll => Fate::Kept,
        Style::CoinPerWrite => kept_if(rng.coin()),
        Style::TearAll => Fate::Scattered(rng.next_u64()),
        Style::LoseOne => kept_if(at != chosen),
        Style::Prefix if at == chosen => Fate::Head(rng.index(sectors + 1)),
        Style::Prefix => kept_if(at < chosen),
        Style::Mixed => random_fate(rng, sectors),
    }
}
