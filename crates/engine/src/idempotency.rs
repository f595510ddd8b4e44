//! The idempotency keys of a partition: which request a key stands for.
//!
//! Bounded by count and time; the oldest go first. Keys are rebuilt from the records and segments at start,
//! so they survive every crash that their events survive.

use crate::stream::StreamSlot;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use types::{DurationMs, Epoch, Idempotency, LogIndex, SeqNum, Timestamp};

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyUse {
    pub(crate) digest: u64,
    pub(crate) epoch: Epoch,
    pub(crate) first: SeqNum,
    pub(crate) count: u32,
    pub(crate) time: Timestamp,
    /// Log index of the first record.
    pub(crate) index: LogIndex,
}

#[derive(Debug, Default)]
pub(crate) struct IdempotencyTable {
    uses: BTreeMap<(StreamSlot, Bytes), KeyUse>,
    order: VecDeque<(StreamSlot, Bytes, LogIndex)>,
}

impl IdempotencyTable {
    /// The use of a key, if it is remembered for this incarnation of the stream.
    pub(crate) fn find(
        &self,
        slot: StreamSlot,
        key: &Bytes,
        epoch: Epoch,
        (now, window): (Timestamp, DurationMs),
    ) -> Option<KeyUse> {
        let found = self.uses.get(&(slot, key.clone()))?;
        let fresh = now.since(found.time).0 <= window.0;
        (found.epoch == epoch && fresh).then_some(*found)
    }

    /// Remembers a use; forgets the oldest over `count_max`. The key is copied out of its buffer.
    pub(crate) fn insert(
        &mut self,
        slot: StreamSlot,
        idempotency: &Idempotency,
        entry: KeyUse,
        count_max: usize,
    ) {
        let key = Bytes::copy_from_slice(&idempotency.key);
        self.order.push_back((slot, key.clone(), entry.index));
        self.uses.insert((slot, key), entry);
        while self.order.len() > count_max {
            self.pop_oldest();
        }
    }

    /// Uses with an index in `(after, upto]`, oldest first: what a checkpoint must write.
    pub(crate) fn between(
        &self,
        after: LogIndex,
        upto: LogIndex,
    ) -> impl Iterator<Item = (StreamSlot, &Bytes, &KeyUse)> {
        self.order.iter().filter(move |(_, _, index)| after < *index && *index <= upto).filter_map(
            |(slot, key, index)| {
                let entry = self.uses.get(&(*slot, key.clone())).filter(|entry| entry.index == *index)?;
                Some((*slot, key, entry))
            },
        )
    }

    /// How many keys are remembered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.uses.len()
    }

    fn pop_oldest(&mut self) {
        let Some((slot, key, index)) = self.order.pop_front() else { return };
        let key = (slot, key);
        if self.uses.get(&key).is_some_and(|entry| entry.index == index) {
            self.uses.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u64) -> KeyUse {
        KeyUse {
            digest: n,
            epoch: Epoch(1),
            first: SeqNum(n),
            count: 1,
            time: Timestamp(n),
            index: LogIndex(n),
        }
    }

    fn key(n: u64) -> Idempotency {
        Idempotency { key: Bytes::from(n.to_string()), digest: n }
    }

    #[test]
    fn the_oldest_key_goes_first_and_none_outlives_the_window() {
        let mut table = IdempotencyTable::default();
        let slot = StreamSlot(0);
        (1..=3).for_each(|n| table.insert(slot, &key(n), entry(n), 2));
        let find = |table: &IdempotencyTable, n: u64, now: u64| {
            table.find(slot, &key(n).key, Epoch(1), (Timestamp(now), DurationMs(10)))
        };
        assert_eq!(find(&table, 1, 3), None);
        assert_eq!(find(&table, 3, 13), Some(entry(3)));
        assert_eq!(find(&table, 3, 14), None);
        assert_eq!(table.len(), 2);
        assert_eq!(table.between(LogIndex(2), LogIndex(3)).count(), 1);
    }

    #[test]
    fn a_key_of_a_deleted_stream_means_nothing() {
        let mut table = IdempotencyTable::default();
        table.insert(StreamSlot(0), &key(1), entry(1), 2);
        let window = (Timestamp(1), DurationMs(10));
        assert_eq!(table.find(StreamSlot(0), &key(1).key, Epoch(2), window), None);
    }
}
