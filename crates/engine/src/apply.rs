//! Applying committed changes: what readers see, and what watchers are told.
//!
//! The same code runs after a commit and in recovery's replay, so the state is a function of the log.
//! Nothing is applied above the committed watermark.

use crate::checkpoint::CHANGE_BYTES;
use crate::command::{Change as Told, Delivery, Effect};
use crate::commit::{Change, SealedBatch, emptied};
use crate::idempotency::KeyUse;
use crate::machine::Engine;
use crate::replicator::Replicator;
use crate::stream::{ACTIVE_COST_BYTES, StreamSlot};
use commitlog::PartitionGap;
use types::{Epoch, LogIndex, Record, SeqNum};

impl Engine {
    /// Applies the batches of a durable group and tells the watchers.
    pub(crate) fn apply_all(&mut self, batches: &[SealedBatch], out: &mut Vec<Effect>) {
        let mut touched = std::mem::take(&mut self.touched);
        for batch in batches {
            let partition = &self.partitions[batch.partition];
            let committed = self.replicator.handle_durable(partition.id, batch.header.last_index());
            assert_eq!(committed, batch.header.last_index(), "alone, durable is committed");
            self.apply(batch, &mut touched, out);
        }
        for &slot in &touched {
            self.settle(slot, out);
            self.catalog[slot].assert_invariants();
        }
        self.touched = emptied(touched);
    }

    fn apply(&mut self, batch: &SealedBatch, touched: &mut Vec<StreamSlot>, out: &mut Vec<Effect>) {
        let SealedBatch { partition, header, bytes, change } = batch;
        let entry = &mut self.partitions[*partition];
        assert!(entry.applied < header.first_index, "log indexes are applied once, ascending");
        entry.applied = header.last_index();
        entry.dirty_bytes += u64::from(header.record_count) * CHANGE_BYTES;
        match *change {
            Change::Events(ref events) => {
                for (index, event) in (header.first_index.0..).zip(events) {
                    let record = Record::from_encoded(bytes.slice(event.range.clone()));
                    self.apply_event(event.slot, event.epoch, LogIndex(index), record, touched, out);
                }
            }
            Change::Records(ref records) => {
                for (index, (slot, epoch, record)) in (header.first_index.0..).zip(records) {
                    self.apply_event(*slot, *epoch, LogIndex(index), record.clone(), touched, out);
                }
            }
            Change::Trim { slot, epoch, before } => {
                self.settle(slot, out);
                self.apply_trim(slot, epoch, before);
                self.change_applied(slot);
            }
            Change::Delete { slot, epoch } => {
                self.settle(slot, out);
                self.apply_delete(slot, epoch, header.last_index(), out);
                self.change_applied(slot);
            }
            Change::Gap { from, to } => {
                let known = self.partitions[*partition].gaps.iter().any(|gap| gap.from == from);
                if !known {
                    self.partitions[*partition].gaps.push(PartitionGap { from, to });
                }
            }
            Change::Noop => {}
        }
    }

    fn apply_event(
        &mut self,
        slot: StreamSlot,
        epoch: Epoch,
        index: LogIndex,
        record: Record,
        touched: &mut Vec<StreamSlot>,
        out: &mut Vec<Effect>,
    ) {
        let stream = &mut self.catalog[slot];
        if stream.epoch != epoch {
            assert!(stream.epoch < epoch, "epochs of a stream rise");
            if stream.exists() {
                // The deletion was in a group that is lost: the new incarnation proves it.
                self.apply_delete(slot, self.catalog[slot].epoch, index, out);
            }
            let stream = &mut self.catalog[slot];
            stream.epoch = epoch;
            stream.first = SeqNum::FIRST;
            stream.next = SeqNum::FIRST;
            self.streams_existing += 1;
        }
        let stream = &mut self.catalog[slot];
        assert!(record.seq() >= stream.next, "{:?}: sequence numbers rise", stream.key);
        let len = record.encoded().len();
        self.memory_bytes += len + if stream.active.is_some() { 0 } else { ACTIVE_COST_BYTES };
        self.stats.events_appended += 1;
        self.stats.bytes_appended += record.payload().len() as u64;
        stream.last_time = record.time();
        stream.last_index = index;
        stream.bytes += len as u64;
        let (expected, partition) = (stream.next, usize::from(stream.partition));
        self.partitions[partition].dirty_bytes += len as u64;
        let active = stream.active_mut();
        if active.deliver_from.is_none() {
            active.deliver_from = Some(expected);
            touched.push(slot);
        }
        if !std::mem::replace(&mut active.dirty, true) {
            self.partitions[partition].dirty.push(slot);
        }
        active.pending = active.pending.saturating_sub(1);
        active.records_bytes += len;
        let next = record.seq().next();
        active.records.push_back(record);
        stream.next = next;
    }

    fn apply_trim(&mut self, slot: StreamSlot, epoch: Epoch, before: SeqNum) {
        let stream = &mut self.catalog[slot];
        if stream.epoch != epoch {
            return;
        }
        stream.first = stream.first.max(before.min(stream.next));
        let first = stream.first;
        let Some(active) = &mut stream.active else { return self.mark_dirty(slot) };
        let dropped = active.drop_below(first);
        let cost = active.tail_cost.saturating_sub(dropped);
        stream.bytes = stream.bytes.saturating_sub(dropped as u64);
        self.memory_bytes -= dropped;
        self.set_tail_cost(slot, cost);
        self.mark_dirty(slot);
    }

    fn apply_delete(&mut self, slot: StreamSlot, epoch: Epoch, index: LogIndex, out: &mut Vec<Effect>) {
        if self.catalog[slot].epoch != epoch {
            return;
        }
        if self.catalog[slot].exists() {
            self.streams_existing -= 1;
        }
        self.set_tail_cost(slot, 0);
        let freed = self.catalog[slot].reset();
        self.catalog[slot].last_index = index;
        self.memory_bytes -= freed;
        self.mark_dirty(slot);
        self.tell(slot, epoch, Told::Deleted, out);
    }

    /// Delivers what the group brought to a stream, if it is not delivered yet.
    fn settle(&mut self, slot: StreamSlot, out: &mut Vec<Effect>) {
        let active = self.catalog[slot].active.as_mut();
        if let Some(from) = active.and_then(|active| active.deliver_from.take()) {
            self.deliver_events(slot, from, out);
        }
    }

    fn deliver_events(&mut self, slot: StreamSlot, expected: SeqNum, out: &mut Vec<Effect>) {
        let stream = &self.catalog[slot];
        let active = stream.active.as_ref().expect("a stream that got events is active");
        let watched = !active.watchers.is_empty() || !self.watches.patterns.is_empty();
        if !watched {
            return;
        }
        let from = active.position_of(expected);
        let records: Vec<Record> = active.records.range(from..).cloned().collect();
        let Some(begin) = records.first().map(Record::seq) else { return };
        let epoch = stream.epoch;
        if begin != expected {
            self.tell(slot, epoch, Told::Skipped { from: expected, next: begin }, out);
        }
        self.tell(slot, epoch, Told::Records(records), out);
    }

    /// Tells every watcher of a stream; the last one gets `change` itself.
    fn tell(&self, slot: StreamSlot, epoch: Epoch, change: Told, out: &mut Vec<Effect>) {
        let key = &self.catalog[slot].key;
        let direct = self.catalog[slot].active.iter().flat_map(|active| active.watchers.iter().copied());
        let mut watchers = direct.chain(self.watches.matching(key));
        let Some(mut watcher) = watchers.next() else { return };
        let mut tell = |(core, route), change| {
            out.push(Effect::Deliver(Delivery { core, route, stream: key.clone(), epoch, change }));
        };
        for next in watchers {
            tell(std::mem::replace(&mut watcher, next), change.clone());
        }
        tell(watcher, change);
    }

    /// One change that is not an event was applied.
    fn change_applied(&mut self, slot: StreamSlot) {
        if let Some(active) = &mut self.catalog[slot].active {
            active.pending = active.pending.saturating_sub(1);
        }
        self.catalog[slot].assert_invariants();
    }

    /// Lists a stream for its partition's next checkpoint.
    pub(crate) fn mark_dirty(&mut self, slot: StreamSlot) {
        let stream = &mut self.catalog[slot];
        let partition = usize::from(stream.partition);
        if stream.active.is_none() {
            self.memory_bytes += ACTIVE_COST_BYTES;
        }
        let active = stream.active_mut();
        if !active.dirty {
            active.dirty = true;
            self.partitions[partition].dirty.push(slot);
        }
    }

    /// Remembers the idempotency key that a replayed record carries.
    pub(crate) fn remember_key(&mut self, slot: StreamSlot, epoch: Epoch, index: LogIndex, record: &Record) {
        let Some((idempotency, count)) = record.idempotency() else { return };
        let entry = KeyUse {
            digest: idempotency.digest,
            epoch,
            first: record.seq(),
            count,
            time: record.time(),
            index,
        };
        let partition = usize::from(self.catalog[slot].partition);
        let keys_max = self.limits.idempotency_keys_max;
        self.partitions[partition].idempotency.insert(slot, &idempotency, entry, keys_max);
    }
}
