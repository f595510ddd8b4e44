//! The journal of a shard: a ring of files, where the next group goes, and what its header says.
//!
//! Pure bookkeeping; `commit` writes the groups and `machine` prepares files. A file is zero-filled once
//! and then used again for ever: it is free when every group in it is before `replay_from`.
//! Invariants: `replay_from <= durable + 1 <= next_number`; the current file is in use; numbers are dense.

use bytes::{Bytes, BytesMut};
use commitlog::{BLOCK_BYTES, GROUP_HEADER_BYTES, GroupHeader, GroupKind, JournalTail, checksum_of_parts};
use types::{ServerEpoch, ShardId};

/// A file of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    /// Being created or zero-filled; `zeroed` bytes are done.
    Preparing { exists: bool, zeroed: u64 },
    /// Ready to be taken.
    Free,
    /// Holds groups up to number `last`.
    InUse { last: u64 },
}

#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) shard: ShardId,
    directory_id: u128,
    epoch: ServerEpoch,
    file_bytes: u64,
    slots_max: usize,
    pub(crate) slots: Vec<SlotState>,
    /// File, generation and offset of the next group.
    current: Option<(u16, u64, u64)>,
    generation_max: u64,
    pub(crate) next_number: u64,
    previous_checksum: u32,
    records_before: u64,
    /// Memory of the headers: the last one's is used again, since its group is done.
    heads: BytesMut,
    pub(crate) durable: u64,
    pub(crate) replay_from: u64,
}

/// Where a group goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupPlace {
    pub(crate) slot: u16,
    generation: u64,
    pub(crate) offset: u64,
}

impl Journal {
    pub(crate) fn new(shard: ShardId, directory_id: u128, file_bytes: usize, slots_max: usize) -> Journal {
        Journal {
            shard,
            directory_id,
            epoch: ServerEpoch(0),
            file_bytes: file_bytes as u64,
            slots_max,
            slots: Vec::new(),
            current: None,
            generation_max: 0,
            next_number: 1,
            previous_checksum: 0,
            records_before: 0,
            heads: BytesMut::new(),
            durable: 0,
            replay_from: 1,
        }
    }

    /// Takes over what recovery found: the tail, and the files with their lengths and last groups.
    pub(crate) fn restore(&mut self, tail: &JournalTail, replay_from: u64, files: &[(u64, Option<u64>)]) {
        self.next_number = tail.next_number;
        self.previous_checksum = tail.previous_checksum;
        self.records_before = tail.records_before;
        self.generation_max = tail.generation_max;
        self.durable = tail.next_number - 1;
        self.replay_from = replay_from;
        self.slots = files.iter().map(|&(len, last)| self.slot_found(len, last)).collect();
        self.current = tail.position.filter(|&(slot, ..)| {
            matches!(self.slots.get(usize::from(slot)), Some(SlotState::InUse { .. } | SlotState::Free))
        });
        if let Some((slot, ..)) = self.current {
            // The current file is in use whatever was found in it.
            let state = &mut self.slots[usize::from(slot)];
            if *state == SlotState::Free {
                *state = SlotState::InUse { last: self.next_number - 1 };
            }
        }
    }

    fn slot_found(&self, len: u64, last: Option<u64>) -> SlotState {
        match last {
            Some(last) if last >= self.replay_from => SlotState::InUse { last },
            _ if len < self.file_bytes => SlotState::Preparing { exists: true, zeroed: 0 },
            _ => SlotState::Free,
        }
    }

    /// Begins a new life.
    pub(crate) fn begin_epoch(&mut self, epoch: ServerEpoch) {
        assert!(self.epoch < epoch, "the epoch rises");
        self.epoch = epoch;
    }

    /// Finds room for a group of `len` bytes (padded), in the current file or in a free one.
    pub(crate) fn place(&mut self, len: u64) -> Option<GroupPlace> {
        assert!(len <= self.file_bytes, "Limits keep a group smaller than a file");
        if let Some((slot, generation, offset)) = self.current
            && offset + len <= self.file_bytes
        {
            return Some(GroupPlace { slot, generation, offset });
        }
        let free = self.slots.iter().position(|state| *state == SlotState::Free)?;
        let slot = u16::try_from(free).expect("a ring has fewer than 2^16 files");
        self.generation_max += 1;
        self.slots[free] = SlotState::InUse { last: self.next_number };
        self.current = Some((slot, self.generation_max, 0));
        Some(GroupPlace { slot, generation: self.generation_max, offset: 0 })
    }

    /// Whether [`Self::place`] finds room for a group of `len` bytes (padded) now.
    pub(crate) fn can_place(&self, len: u64) -> bool {
        let in_current = self.current.is_some_and(|(_, _, offset)| offset + len <= self.file_bytes);
        in_current || self.slots.contains(&SlotState::Free)
    }

    /// Whether a group of `len` bytes (padded) finds room, now or in a file that can still be prepared.
    pub(crate) fn has_room(&self, len: u64) -> bool {
        let preparing = self.slots.iter().any(|state| matches!(state, SlotState::Preparing { .. }));
        self.can_place(len) || preparing || self.slots.len() < self.slots_max
    }

    /// Builds the next group at `place`, whose length the caller has reserved there: puts its header before
    /// its batches and gives its number. The journal moves on.
    pub(crate) fn build(
        &mut self,
        place: GroupPlace,
        kind: GroupKind,
        parts: &mut Vec<Bytes>,
        record_count: u32,
    ) -> u64 {
        let body_len: usize = parts.iter().map(Bytes::len).sum();
        let number = self.next_number;
        let header = GroupHeader {
            kind,
            shard: self.shard,
            slots: self.prepared_count(),
            directory_id: self.directory_id,
            generation: place.generation,
            offset: place.offset,
            epoch: self.epoch,
            number,
            durable_upto: self.durable,
            replay_from: self.replay_from,
            records_before: self.records_before,
            previous_checksum: self.previous_checksum,
            body_len: u32::try_from(body_len).expect("Limits keep a group smaller than a file"),
            batch_count: u32::try_from(parts.len()).expect("fewer batches than partitions and changes"),
            record_count,
            body_checksum: checksum_of_parts(parts),
        };
        let (head, checksum) = header.encode_array();
        self.previous_checksum = checksum;
        self.records_before += u64::from(record_count);
        self.next_number += 1;
        self.slots[usize::from(place.slot)] = SlotState::InUse { last: number };
        self.current = Some((place.slot, place.generation, place.offset + header.padded_len()));
        self.heads.extend_from_slice(&head);
        parts.insert(0, self.heads.split().freeze());
        number
    }

    /// Padded length of a group with `body_len` bytes of batches.
    pub(crate) fn padded_len(body_len: usize) -> u64 {
        (GROUP_HEADER_BYTES + body_len).next_multiple_of(BLOCK_BYTES) as u64
    }

    /// Goes back one block: the fault of a sabotage build.
    pub(crate) fn step_back(&mut self) {
        if let Some((_, _, offset)) = &mut self.current {
            *offset = offset.saturating_sub(BLOCK_BYTES as u64);
        }
    }

    /// Group `number` is on disk.
    pub(crate) fn handle_durable(&mut self, number: u64) {
        assert_eq!(number, self.durable + 1, "groups become durable in order");
        self.durable = number;
    }

    /// Everything before `replay_from` is in segments: frees the files that hold nothing else.
    pub(crate) fn release_before(&mut self, replay_from: u64) {
        assert!(replay_from >= self.replay_from && replay_from <= self.durable + 1);
        self.replay_from = replay_from;
        let current = self.current.map(|(slot, ..)| usize::from(slot));
        for (index, state) in self.slots.iter_mut().enumerate() {
            if matches!(*state, SlotState::InUse { last } if last < replay_from) && current != Some(index) {
                *state = SlotState::Free;
            }
        }
    }

    /// The file that should be prepared next, when the ring would run out: no free file, the current one
    /// more than half full (or none), and room for one more.
    pub(crate) fn slot_to_prepare(&self) -> Option<u16> {
        let slot = |index: usize| Some(u16::try_from(index).expect("a ring has fewer than 2^16 files"));
        if let Some(index) = self.slots.iter().position(|s| matches!(s, SlotState::Preparing { .. })) {
            return slot(index);
        }
        let half_used = self.current.is_none_or(|(_, _, offset)| offset * 2 >= self.file_bytes);
        let wanted = half_used && !self.slots.contains(&SlotState::Free);
        if wanted && self.slots.len() < self.slots_max { slot(self.slots.len()) } else { None }
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Bytes of files that hold groups which recovery would still need.
    pub(crate) fn bytes_in_use(&self) -> u64 {
        let used = self.slots.iter().filter(|state| matches!(state, SlotState::InUse { .. })).count() as u64;
        let unused_in_current = self.current.map_or(0, |(_, _, offset)| self.file_bytes - offset);
        (used * self.file_bytes).saturating_sub(unused_in_current)
    }

    /// What the ring may ever hold.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.file_bytes * self.slots_max as u64
    }

    /// Whether half of that is in use.
    pub(crate) fn is_half_full(&self) -> bool {
        self.bytes_in_use() * 2 >= self.bytes_max()
    }

    /// Files that are ready or in use; they are the first ones of the ring.
    pub(crate) fn prepared_count(&self) -> u16 {
        let prepared = self.slots.iter().take_while(|s| !matches!(s, SlotState::Preparing { .. })).count();
        u16::try_from(prepared).expect("a ring has fewer than 2^16 files")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(free: usize) -> Journal {
        let mut journal = Journal::new(ShardId(0), 7, 3 * BLOCK_BYTES, 4);
        journal.slots = vec![SlotState::Free; free];
        journal.begin_epoch(ServerEpoch(1));
        journal
    }

    fn write(journal: &mut Journal) -> Option<u64> {
        let place = journal.place(BLOCK_BYTES as u64)?;
        let number = journal.build(place, GroupKind::Commit, &mut Vec::new(), 0);
        journal.handle_durable(number);
        Some(number)
    }

    #[test]
    fn a_file_is_used_again_only_when_nothing_in_it_is_needed() {
        let mut journal = journal(2);
        (1..=6).for_each(|number| assert_eq!(write(&mut journal), Some(number)));
        assert_eq!(write(&mut journal), None, "both files are full");
        journal.release_before(3);
        assert_eq!(write(&mut journal), None, "group 3 is still needed");
        journal.release_before(4);
        assert_eq!(write(&mut journal), Some(7));
        assert_eq!(journal.slots[0], SlotState::InUse { last: 7 });
    }

    #[test]
    fn a_file_is_prepared_before_the_last_one_is_full() {
        let mut journal = journal(1);
        assert_eq!(write(&mut journal), Some(1));
        assert_eq!(journal.slot_to_prepare(), None);
        assert_eq!(write(&mut journal), Some(2));
        assert_eq!(journal.slot_to_prepare(), Some(1));
        journal.slots.push(SlotState::Preparing { exists: false, zeroed: 0 });
        assert_eq!(journal.prepared_count(), 1);
        assert_eq!(journal.slot_to_prepare(), Some(1));
    }
}
