//! Recovery's part of the engine: streams from footers, changes from the journal, gaps from what was lost.
//!
//! Called by `recovery` only, before the engine serves. Replay applies through the same code as a commit.

use crate::command::Effect;
use crate::commit::Change;
use crate::disk::{DiskOp, FileId, Urgency};
use crate::idempotency::KeyUse;
use crate::machine::{Engine, OpPurpose, Phase};
use crate::recover_partition::LoadedPartition;
use crate::recover_segment::LoadedSegment;
use crate::recover_settle::Settled;
use crate::recovery::{Recovery, damage_refusal, last_group, sealed};
use crate::refusal::Refusal;
use crate::stream::{SegmentList, StreamSlot};
use commitlog::{
    Batch, BatchBody, Cut, FileScan, FooterStream, JournalTail, LostGroups, PartitionGap, Verdict,
};
use std::collections::BTreeMap;
use std::rc::Rc;
use types::{Epoch, LogIndex, PartitionId, SeqNum, Timestamp};

impl Engine {
    /// Takes over a partition's manifest and segments.
    pub(crate) fn restore_partition(&mut self, at: usize, loaded: &LoadedPartition, settled: Settled) {
        let entry = &mut self.partitions[at];
        entry.manifest_exists = loaded.manifest_exists;
        if let Some(manifest) = &loaded.manifest {
            entry.generation = manifest.generation;
            entry.next_ordinal = manifest.next_ordinal;
            entry.checkpointed = manifest.checkpoint_index;
            entry.gaps.clone_from(&manifest.gaps);
        }
        entry.next_ordinal = entry.next_ordinal.max(settled.ordinal_next);
        let unknown: Vec<PartitionGap> =
            settled.gaps.into_iter().filter(|gap| !entry.gaps.contains(gap)).collect();
        entry.gaps.extend(unknown);
        entry.leftovers = settled.leftovers;
        for segment in settled.segments {
            self.restore_segment(at, segment);
        }
        let entry = &mut self.partitions[at];
        let upto = entry.checkpointed;
        (entry.appended, entry.durable, entry.applied) = (upto, upto, upto);
    }

    /// Removes the files that recovery found to be leftovers.
    pub(crate) fn remove_leftovers(&mut self, out: &mut Vec<Effect>) {
        let leftovers = |partition: &mut crate::partition::Partition| {
            let id = partition.id;
            let ordinals = std::mem::take(&mut partition.leftovers).into_iter();
            ordinals.map(move |ordinal| FileId::Segment { partition: id, ordinal })
        };
        let files: Vec<FileId> = self.partitions.iter_mut().flat_map(leftovers).collect();
        for file in files {
            self.disk(OpPurpose::Remove, Urgency::Background, DiskOp::Remove { file }, out);
        }
    }

    fn restore_segment(&mut self, at: usize, segment: LoadedSegment) {
        let LoadedSegment { file, mut footer, rebuilt, incomplete, .. } = segment;
        let ordinal = file.ordinal;
        if incomplete {
            // A gap says that events of any stream may be missing here: none of them ends behind it.
            let before = LogIndex(file.trailer.meta.first_index.0.saturating_sub(1));
            footer.streams.iter_mut().for_each(|stream| stream.state.last_index = before);
        }
        let entry = &mut self.partitions[at];
        entry.checkpointed = entry.checkpointed.max(file.trailer.meta.last_index);
        let footer_bytes = usize::try_from(file.trailer.footer_len).unwrap_or(usize::MAX);
        entry.segments.push(file);
        for stream in &footer.streams {
            self.restore_stream(ordinal, stream, rebuilt);
        }
        let indexes = entry_index(&footer);
        for key in &footer.idempotency {
            let Some(slot) = self.catalog.find(&key.key) else { continue };
            let entry = KeyUse {
                digest: key.idempotency.digest,
                epoch: key.epoch,
                first: key.first,
                count: key.count,
                time: key.time,
                index: indexes,
            };
            let keys_max = self.limits.idempotency_keys_max;
            self.partitions[at].idempotency.insert(slot, &key.idempotency, entry, keys_max);
        }
        let key = (u16::try_from(at).expect("at most 65,535 partitions"), ordinal);
        if rebuilt {
            self.footers.pin(key, Rc::new(footer));
        } else {
            self.footers.insert(key, Rc::new(footer), footer_bytes);
        }
    }

    /// A later segment knows better; a greater epoch replaces all that was before.
    fn restore_stream(&mut self, ordinal: u64, found: &FooterStream, rebuilt: bool) {
        let state = &found.state;
        let slot = self.slot_for(&state.key);
        let stream = &mut self.catalog[slot];
        let newest =
            stream.epoch.max(if stream.exists() { stream.epoch } else { Epoch(stream.last_index.0) });
        if state.epoch < newest {
            return;
        }
        if state.deleted {
            self.streams_existing -= u64::from(stream.exists());
            stream.reset();
            stream.last_index = LogIndex(state.epoch.0);
            stream.last_time = state.last_time;
            return;
        }
        if state.epoch > stream.epoch {
            self.streams_existing += u64::from(!stream.exists());
            stream.segments = SegmentList::default();
            stream.epoch = state.epoch;
            stream.first = SeqNum::FIRST;
            stream.next = SeqNum::FIRST;
        }
        stream.next = stream.next.max(state.next);
        // A rebuilt index knows the first event of the segment, not of the stream.
        let first = if rebuilt { SeqNum::FIRST } else { state.first };
        stream.first = stream.first.max(first).min(stream.next);
        stream.last_time = stream.last_time.max(state.last_time);
        stream.last_index = stream.last_index.max(state.last_index);
        stream.bytes = state.bytes;
        if !found.runs.is_empty() {
            stream.segments.push(ordinal);
        }
    }

    /// Applies one batch of the journal, unless segments hold it already. Gives the log indexes that are
    /// missing before it.
    fn replay_batch(&mut self, batch: Batch, lost: bool) -> Result<u64, Refusal> {
        let Some(&at) = self.partition_at.get(&batch.header.partition) else { return Ok(0) };
        let at = usize::from(at);
        let (applied, header) = (self.partitions[at].applied, batch.header);
        if header.last_index() <= applied {
            return Ok(0);
        }
        let expected = applied.next();
        let mut missing = 0;
        if header.first_index != expected {
            let told = matches!(batch.body, BatchBody::Gap { from, to }
                if from <= expected && to.next() == header.first_index);
            let known = self.partitions[at]
                .gaps
                .iter()
                .any(|gap| gap.from <= expected && gap.to.next() >= header.first_index);
            if header.first_index < expected || !(lost || told || known) {
                return Err(index_refusal(&batch, expected));
            }
            missing = header.first_index.0 - expected.0;
            if !known {
                let gap = PartitionGap { from: expected, to: LogIndex(header.first_index.0 - 1) };
                self.partitions[at].gaps.push(gap);
            }
        }
        let last = header.last_index();
        let entry = &mut self.partitions[at];
        (entry.appended, entry.durable) = (last, last);
        let place = (batch.header.partition, batch.header.first_index);
        let change = self.change_of(at, batch);
        self.refuse_contradiction(place, &change)?;
        let mut unheard = Vec::new();
        self.apply_all(&[sealed(at, header, change)], &mut unheard);
        Ok(missing)
    }

    fn change_of(&mut self, at: usize, batch: Batch) -> Change {
        match batch.body {
            BatchBody::Events(events) => {
                let slots: Vec<_> =
                    batch.streams.iter().map(|(key, epoch)| (self.slot_for(key), *epoch)).collect();
                let mut applied = Vec::with_capacity(events.len());
                for (index, event) in (batch.header.first_index.0..).zip(events) {
                    let (slot, epoch) = slots[event.stream as usize];
                    self.remember_key(slot, epoch, LogIndex(index), &event.record);
                    applied.push((slot, epoch, event.record));
                }
                Change::Records(applied)
            }
            BatchBody::Noop => Change::Noop,
            BatchBody::Trim { key, epoch, before } => {
                Change::Trim { slot: self.slot_for(&key), epoch, before }
            }
            BatchBody::Delete { key, epoch } => Change::Delete { slot: self.slot_for(&key), epoch },
            BatchBody::Gap { from, to } => {
                assert!(at < self.partitions.len());
                Change::Gap { from, to }
            }
        }
    }

    /// What a commit may assert a journal must prove: files of different copies may be mixed.
    fn refuse_contradiction(&self, place: (PartitionId, LogIndex), change: &Change) -> Result<(), Refusal> {
        let Change::Records(events) = change else { return Ok(()) };
        let mut heads: BTreeMap<StreamSlot, (Epoch, SeqNum)> = BTreeMap::new();
        for (slot, epoch, record) in events {
            let stream = &self.catalog[*slot];
            let (head, next) = heads.get(slot).copied().unwrap_or((stream.epoch, stream.next));
            let follows = if *epoch == head { record.seq() >= next } else { *epoch > head };
            if !follows {
                let (partition, index) = place;
                return Err(Refusal::new(
                    "journal-mixed",
                    format!(
                        "partition {partition}, batch at log index {index}: event {} of {} contradicts what \
                         is there already",
                        record.seq(),
                        stream.key
                    ),
                    "files of different times are mixed: restore the whole directory from one backup",
                ));
            }
            heads.insert(*slot, (*epoch, record.seq().next()));
        }
        Ok(())
    }

    /// Log indexes at the end of a partition may be lost: they are skipped, and a gap says so for ever.
    fn lose_tail(&mut self, now: Timestamp, at: usize, count: u64) {
        let entry = &mut self.partitions[at];
        let from = entry.applied.next();
        let to = entry.applied.plus(count);
        (entry.appended, entry.durable, entry.applied) = (to, to, to);
        entry.gaps.push(PartitionGap { from, to });
        // The gap goes into the fence, so that every later life agrees.
        self.open_change(now, at, Change::Gap { from, to });
    }

    pub(crate) fn finish_replay(&mut self) {
        assert_eq!(self.phase, Phase::Recovered);
        self.partitions.iter().for_each(crate::partition::Partition::assert_invariants);
    }

    /// The journal of a shard whose former groups belong to another layout: all of its files are free, and
    /// numbers and generations go on above everything that was ever written there.
    pub(crate) fn journal_of_new_layout(&mut self, scans: &[(u16, FileScan)], lengths: &[(u16, u64)]) {
        let groups = || scans.iter().flat_map(|(_, scan)| &scan.groups);
        let headers = || groups().map(|group| &group.header);
        let last = groups().max_by_key(|group| (group.header.number, group.header.epoch));
        let next_number = last.map_or(0, |group| group.header.number) + 1;
        let tail = JournalTail {
            next_number,
            // While the group before is there, the next recovery expects the chain to go on from it.
            previous_checksum: last.map_or(0, |group| group.checksum),
            records_before: 0,
            position: None,
            generation_max: headers().map(|header| header.generation).max().unwrap_or(0),
        };
        let files: Vec<(u64, Option<u64>)> =
            lengths.iter().map(|&(slot, len)| (len, last_group(scans, slot))).collect();
        self.journal.restore(&tail, next_number, &files);
    }

    /// Everything replayed goes into segments, since the journals that hold it will be forgotten.
    pub(crate) fn begin_fold(&mut self, out: &mut Vec<Effect>) {
        if self.has_dirty_partitions() {
            self.begin_fold_checkpoint(out);
        }
    }

    /// Whether the fence finds no room: lives that ended early have filled the ring.
    pub(crate) fn has_no_room_for_fence(&self) -> bool {
        !self.journal.has_room(crate::journal::Journal::padded_len(self.open.bytes))
    }

    /// One slice of folding.
    pub(crate) fn fold_turn(&mut self, out: &mut Vec<Effect>) {
        self.step_checkpoint(out);
    }
}

impl Recovery {
    /// Replays the accepted groups of one journal and accounts for what was lost in it.
    pub(crate) fn replay(
        &mut self,
        now: Timestamp,
        engine: &mut Engine,
        verdict: &Verdict,
    ) -> Result<(), Refusal> {
        self.tell_findings(verdict)?;
        let lost = !verdict.lost.is_empty();
        let last_lost = verdict.lost.iter().map(|lost| lost.last).max().unwrap_or(0);
        let mut missing = 0;
        let mut heard_after = vec![false; engine.partitions.len()];
        for group in &verdict.accepted {
            for batch in group.batches.clone() {
                if let (true, Some(&at)) =
                    (group.number > last_lost, engine.partition_at.get(&batch.header.partition))
                {
                    heard_after[usize::from(at)] = true;
                }
                self.events_replayed += u64::from(batch.header.record_count);
                missing += engine.replay_batch(batch, lost)?;
            }
        }
        let may_be_lost: u64 = verdict.lost.iter().map(|lost| lost.records_max).sum();
        let rest = may_be_lost.saturating_sub(missing);
        if rest > 0 {
            for at in (0..engine.partitions.len()).filter(|&at| !heard_after[at]) {
                engine.lose_tail(now, at, rest);
            }
        }
        Ok(())
    }

    fn tell_findings(&mut self, verdict: &Verdict) -> Result<(), Refusal> {
        if let Some(cut) = verdict.cut {
            self.notices.push(cut_text(cut));
        }
        for lost in &verdict.lost {
            let text = lost_text(lost);
            if self.plan.strict {
                return Err(damage_refusal("journal-damaged", text));
            }
            self.notices.push(text);
        }
        Ok(())
    }
}

fn cut_text(cut: Cut) -> String {
    let Cut { number, slot, offset, has_header } = cut;
    if has_header {
        return format!(
            "an un-acknowledged tail was cut: group {number} in journal file {slot:03}.jnl at offset {offset}"
        );
    }
    format!(
        "the journal ends before group {number}: at offset {offset} of {slot:03}.jnl stands what an earlier \
         use of the file has left, or a write that was never finished"
    )
}

fn lost_text(lost: &LostGroups) -> String {
    let place = lost
        .at
        .map_or_else(String::new, |(slot, offset)| format!(" (journal file {slot:03}.jnl, offset {offset})"));
    format!(
        "acknowledged data is damaged: groups {}..={}{place}, at most {} changes",
        lost.first, lost.last, lost.records_max
    )
}

fn index_refusal(batch: &Batch, expected: LogIndex) -> Refusal {
    Refusal::new(
        "journal-hole",
        format!(
            "partition {} expects log index {expected}, the journal goes on with {}",
            batch.header.partition, batch.header.first_index
        ),
        "files of different times are mixed: restore the whole directory from one backup",
    )
}

/// Keys of a footer do not carry their own index: all stand at the segment's end.
fn entry_index(footer: &commitlog::Footer) -> LogIndex {
    footer.meta.last_index
}
