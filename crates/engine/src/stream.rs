//! One stream as its shard keeps it.
//!
//! [`Stream`] is the resident part, 120 bytes and its name; [`Active`] exists only while the stream has
//! events in memory, watchers, or changes under way. Everything here is *committed* state but the
//! `appended` fields, which say what the next append will see.
//! Invariants: `first <= next`; records in memory ascend and end at `next - 1`; nothing below
//! `checkpointed` is missing from the segments.

use std::collections::VecDeque;
use types::{CoreId, Epoch, LogIndex, Record, SeqNum, StreamKey, Timestamp};

/// Place of a stream in the catalog's slab; stable while the stream has a name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StreamSlot(pub(crate) u32);

/// Bytes that an [`Active`] counts for in the memory budget beside its records.
pub(crate) const ACTIVE_COST_BYTES: usize = 256;

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) key: StreamKey,
    pub(crate) hash: u64,
    /// Zero while no committed incarnation exists.
    pub(crate) epoch: Epoch,
    /// Oldest event that is left.
    pub(crate) first: SeqNum,
    /// Next event to be committed.
    pub(crate) next: SeqNum,
    pub(crate) last_time: Timestamp,
    pub(crate) last_index: LogIndex,
    /// Bytes of the records of this incarnation, trimmed ones excepted where that is known.
    pub(crate) bytes: u64,
    /// Segments that hold events of this incarnation, in the partition's order.
    pub(crate) segments: SegmentList,
    /// Index into the shard's own table of partitions.
    pub(crate) partition: u16,
    pub(crate) active: Option<Box<Active>>,
}

#[derive(Debug, Default)]
pub(crate) struct Active {
    /// Changes that are journalled but not applied.
    pub(crate) pending: u32,
    /// What the stream will be when all pending changes are applied. Only read while `pending > 0`.
    pub(crate) appended: Appended,
    /// Committed records in memory, ascending.
    pub(crate) records: VecDeque<Record>,
    pub(crate) records_bytes: usize,
    /// Records below are in segments as well.
    pub(crate) checkpointed: SeqNum,
    /// Listed for the next checkpoint.
    pub(crate) dirty: bool,
    /// Listed in the queue of cached tails.
    pub(crate) tail_listed: bool,
    /// What this stream counts for in the budget of cached tails.
    pub(crate) tail_cost: usize,
    pub(crate) watchers: Vec<(CoreId, u64)>,
    /// The first event of the group being applied that is not delivered yet.
    pub(crate) deliver_from: Option<SeqNum>,
    /// Settings of the tail, when they are not the default.
    pub(crate) tail: Option<(u32, u32)>,
    /// The open batch that introduced this stream, and its reference there.
    pub(crate) introduced_in: Option<(u64, u32)>,
}

/// The state that the next append sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) epoch: Epoch,
    pub(crate) next: SeqNum,
    pub(crate) time: Timestamp,
    pub(crate) last_index: LogIndex,
}

impl Stream {
    pub(crate) fn absent(key: StreamKey, hash: u64, partition: u16) -> Stream {
        Stream {
            key,
            hash,
            epoch: Epoch(0),
            first: SeqNum::FIRST,
            next: SeqNum::FIRST,
            last_time: Timestamp(0),
            last_index: LogIndex::ZERO,
            bytes: 0,
            segments: SegmentList::default(),
            partition,
            active: None,
        }
    }

    pub(crate) fn exists(&self) -> bool {
        self.epoch != Epoch(0)
    }

    pub(crate) fn last(&self) -> SeqNum {
        self.next.previous()
    }

    pub(crate) fn active_mut(&mut self) -> &mut Active {
        let checkpointed = self.next;
        self.active.get_or_insert_with(|| Box::new(Active { checkpointed, ..Active::default() }))
    }

    /// What the next append sees.
    pub(crate) fn appended(&self) -> Appended {
        match &self.active {
            Some(active) if active.pending > 0 => active.appended,
            _ => Appended {
                epoch: self.epoch,
                next: self.next,
                time: self.last_time,
                last_index: self.last_index,
            },
        }
    }

    /// The first record in memory, or `next` when there is none: reads from here on need no disk.
    pub(crate) fn memory_from(&self) -> SeqNum {
        let first = self.active.as_ref().and_then(|active| active.records.front());
        first.map_or(self.next, Record::seq)
    }

    /// Whether nothing would be lost by dropping the stream's slot.
    pub(crate) fn is_forgettable(&self) -> bool {
        !self.exists() && self.segments.is_empty() && self.active.is_none()
    }

    /// Back to "does not exist", after a deletion; watchers stay.
    pub(crate) fn reset(&mut self) -> usize {
        self.epoch = Epoch(0);
        self.first = SeqNum::FIRST;
        self.next = SeqNum::FIRST;
        self.bytes = 0;
        self.segments = SegmentList::default();
        let Some(active) = &mut self.active else { return 0 };
        active.records.clear();
        active.checkpointed = SeqNum::FIRST;
        std::mem::take(&mut active.records_bytes)
    }

    pub(crate) fn assert_invariants(&self) {
        assert!(self.first <= self.next, "{:?}: first <= next", self.key);
        let Some(active) = &self.active else { return };
        if let (Some(front), Some(back)) = (active.records.front(), active.records.back()) {
            assert!(front.seq() <= back.seq() && back.seq() < self.next, "{:?}: records < next", self.key);
        }
        assert!(active.checkpointed <= self.next, "{:?}: checkpointed <= next", self.key);
    }
}

impl Active {
    /// Whether there is no reason to keep it.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending == 0
            && self.records.is_empty()
            && self.watchers.is_empty()
            && self.tail.is_none()
            && !self.dirty
    }

    /// Index of the first record in memory that is not before `seq`.
    pub(crate) fn position_of(&self, seq: SeqNum) -> usize {
        self.records.partition_point(|record| record.seq() < seq)
    }

    /// Drops the records before `seq`; gives the bytes that went.
    pub(crate) fn drop_below(&mut self, seq: SeqNum) -> usize {
        let count = self.position_of(seq);
        let dropped: usize = self.records.drain(..count).map(|record| record.encoded().len()).sum();
        self.records_bytes -= dropped;
        dropped
    }
}

/// Ordinals of segments: two without an allocation, since most streams have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SegmentList {
    Few {
        len: u8,
        ordinals: [u32; 2],
    },
    #[allow(
        clippy::box_collection,
        reason = "one word instead of three, for the many streams that are not here"
    )]
    Many(Box<Vec<u32>>),
}

impl Default for SegmentList {
    fn default() -> Self {
        SegmentList::Few { len: 0, ordinals: [0; 2] }
    }
}

impl SegmentList {
    pub(crate) fn as_slice(&self) -> &[u32] {
        match self {
            SegmentList::Few { len, ordinals } => &ordinals[..usize::from(*len)],
            SegmentList::Many(many) => many,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    pub(crate) fn push(&mut self, ordinal: u64) {
        let mut all = self.as_slice().to_vec();
        all.push(small(ordinal));
        *self = SegmentList::from(all);
    }

    /// Puts `by` in the place of the first of `old`, or takes `old` out when `by` is `None`.
    pub(crate) fn replace(&mut self, old: &[u64], by: Option<u64>) {
        let is_old = |ordinal: &u32| old.contains(&u64::from(*ordinal));
        let mut all = self.as_slice().to_vec();
        let Some(at) = all.iter().position(is_old) else { return };
        all.retain(|ordinal| !is_old(ordinal));
        if let Some(by) = by {
            all.insert(at, small(by));
        }
        *self = SegmentList::from(all);
    }
}

impl From<Vec<u32>> for SegmentList {
    fn from(all: Vec<u32>) -> Self {
        match all[..] {
            [] => SegmentList::default(),
            [one] => SegmentList::Few { len: 1, ordinals: [one, 0] },
            [one, two] => SegmentList::Few { len: 2, ordinals: [one, two] },
            _ => SegmentList::Many(Box::new(all)),
        }
    }
}

fn small(ordinal: u64) -> u32 {
    u32::try_from(ordinal).expect("a partition never writes 2^32 segments")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_stream_costs_at_most_128_bytes_beside_its_name() {
        assert!(std::mem::size_of::<Stream>() <= 128, "{}", std::mem::size_of::<Stream>());
    }

    #[test]
    fn a_merge_takes_the_place_of_its_first_input() {
        let mut list = SegmentList::default();
        for ordinal in [1, 2, 3, 4] {
            list.push(ordinal);
        }
        list.replace(&[2, 3], Some(9));
        assert_eq!(list.as_slice(), [1, 9, 4]);
        list.replace(&[1, 9], None);
        assert_eq!(list.as_slice(), [4]);
        list.replace(&[7], Some(8));
        assert_eq!(list.as_slice(), [4]);
    }
}
