//! Watchers: every delivery continues the one before, and tells what it does not give.
//!
//! A watch begins where its answer says; from there on every event comes once and in order, until the stream
//! is deleted or the server dies.

use super::model::Floor;
use super::{Checked, History, Law};
use engine::{Change, Delivery, WatchTarget};
use std::collections::BTreeMap;
use types::{CoreId, Epoch, Record, SeqNum, StreamKey};

/// One watch of one core.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    target: WatchTarget,
    /// Where each stream's deliveries have come to.
    cursors: BTreeMap<StreamKey, Cursor>,
    /// Whether it was ended; what is under way may still arrive.
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
struct Cursor {
    epoch: Epoch,
    next: SeqNum,
}

impl History {
    pub(super) fn watch_answered(
        &mut self,
        core: CoreId,
        route: u64,
        target: &WatchTarget,
        floor: Floor,
        next: SeqNum,
        epoch: Epoch,
    ) -> Checked {
        let mut cursors = BTreeMap::new();
        if let WatchTarget::Stream(key) = target {
            if next == SeqNum::ZERO || (self.streams[key].holds(&floor) && next <= floor.tail) {
                let detail = format!("a watch of {key} begins with {next}, known was {}", floor.tail);
                return self.broken(Law::Stale, detail);
            }
            cursors.insert(key.clone(), Cursor { epoch, next });
        }
        let watch = Watch { target: target.clone(), cursors, ended: false };
        let earlier = self.watches.insert((core, route), watch);
        assert!(earlier.is_none(), "route {route} of {core} was used twice");
        Ok(())
    }

    pub(super) fn end_watch(&mut self, core: CoreId, route: u64) {
        if let Some(watch) = self.watches.get_mut(&(core, route)) {
            watch.ended = true;
        }
    }

    /// Events, or news about a stream, reach a core.
    ///
    /// # Errors
    /// The law that the delivery breaks.
    pub fn deliver(&mut self, delivery: &Delivery) -> Checked {
        self.step += 1;
        let Delivery { core, route, stream: key, epoch, change } = delivery;
        let Some(watch) = self.watches.get(&(*core, *route)) else {
            return self.broken(Law::AnsweredTwice, format!("{delivery:?} for a watch that is not there"));
        };
        if watch.ended {
            return self.see_all(key, *epoch, change);
        }
        let named = match &watch.target {
            WatchTarget::Stream(stream) => stream == key,
            WatchTarget::Pattern(pattern) => pattern.matches(key),
        };
        if !named {
            return self.broken(Law::Invented, format!("{delivery:?} is not what was watched"));
        }
        let cursor = watch.cursors.get(key).copied();
        let moved = self.moved(delivery, cursor)?;
        let watch = self.watches.get_mut(&(*core, *route)).expect("it was there above");
        watch.cursors.insert(key.clone(), moved);
        self.see_all(key, *epoch, change)
    }

    fn see_all(&mut self, key: &StreamKey, epoch: Epoch, change: &Change) -> Checked {
        match change {
            Change::Records(records) => {
                records.iter().try_for_each(|record| self.see(key, epoch, record, None))
            }
            Change::Deleted => self.see_deletion(key, epoch),
            Change::Skipped { .. } if self.damaged => Ok(()),
            Change::Skipped { .. } => self.broken(Law::GapUnexplained, format!("{key}: {change:?}")),
        }
    }

    fn see_deletion(&mut self, key: &StreamKey, epoch: Epoch) -> Checked {
        let step = self.step;
        let stream = self.stream(key);
        let asked_for = stream.removals.iter().any(|removal| removal.before.is_none());
        stream.dead_epochs.entry(epoch).or_insert(step);
        if asked_for {
            return Ok(());
        }
        self.broken(Law::Invented, format!("deletion of {key}, which nobody asked for"))
    }

    /// Where the cursor stands after the delivery.
    fn moved(&self, delivery: &Delivery, cursor: Option<Cursor>) -> Result<Cursor, super::Violation> {
        let epoch = delivery.epoch;
        let out_of_order =
            |what: &str| self.broken(Law::DeliveryOutOfOrder, format!("{what}: {delivery:?} at {cursor:?}"));
        match &delivery.change {
            Change::Records(records) => {
                let Some(first) = records.first().map(Record::seq) else {
                    return out_of_order("empty");
                };
                let dense = records.iter().zip(first.0..).all(|(record, seq)| record.seq() == SeqNum(seq));
                if !dense {
                    return out_of_order("not dense");
                }
                match cursor {
                    Some(at) if at.next != first => out_of_order("does not continue"),
                    Some(at) if at.epoch != epoch && (at.next != SeqNum::FIRST || at.epoch > epoch) => {
                        out_of_order("another incarnation without a word")
                    }
                    _ => Ok(Cursor { epoch, next: first.plus(records.len() as u64) }),
                }
            }
            Change::Deleted => {
                if cursor.is_some_and(|at| at.epoch > epoch) {
                    return out_of_order("deletion of an older incarnation");
                }
                Ok(Cursor { epoch, next: SeqNum::FIRST })
            }
            Change::Skipped { from, next } => {
                if cursor.is_some_and(|at| at.next != *from) || next <= from {
                    return out_of_order("skips from elsewhere");
                }
                Ok(Cursor { epoch, next: *next })
            }
        }
    }

    /// A reader is told that it is in the present: then its watch goes on exactly there.
    pub(super) fn check_present(&self, core: CoreId, key: &StreamKey, epoch: Epoch, next: SeqNum) -> Checked {
        for ((of, route), watch) in self.watches.iter().filter(|(_, watch)| !watch.ended) {
            let one_stream = matches!(watch.target, WatchTarget::Stream(_));
            let Some(cursor) = watch.cursors.get(key).filter(|_| *of == core && one_stream) else {
                continue;
            };
            if epoch == cursor.epoch && cursor.next != next {
                let detail = format!("{key}: a read is live at {next}, watch {route} stands at {cursor:?}");
                return self.broken(Law::DeliveryMissed, detail);
            }
        }
        Ok(())
    }

    /// Nothing is under way: every watcher of one stream stands at its end.
    pub(super) fn check_watchers(&self, key: &StreamKey, epoch: Epoch, last: SeqNum) -> Checked {
        for ((core, route), watch) in self.watches.iter().filter(|(_, watch)| !watch.ended) {
            let Some(cursor) = watch.cursors.get(key) else {
                continue;
            };
            let next = if epoch == Epoch(0) { SeqNum::FIRST } else { last.next() };
            if cursor.next != next {
                let detail = format!("{key} ends with {last}, watch {route} of {core} stands at {cursor:?}");
                return self.broken(Law::DeliveryMissed, detail);
            }
        }
        Ok(())
    }
}
