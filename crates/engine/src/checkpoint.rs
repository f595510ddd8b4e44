//! Checkpoints: what only memory and the journal hold is written into segments, partition by partition.
//!
//! Begun when the journal is half full, when memory asks, and at a clean stop. At its end the journal files
//! before it are free. Each partition is frozen when its turn comes: the segment holds exactly the changes
//! up to that index, whatever is applied meanwhile. A few partitions are written at a time, since most of
//! their time is spent waiting for the disk. Commits that run ahead of a checkpoint wait for it
//! ([`Engine::is_ahead_of_checkpoint`]), so that it slows them down a little and never stops them for long.

use crate::command::Effect;
use crate::machine::{Engine, JobKind, Phase};
use crate::partition::{Partition, SegmentFile};
use crate::segment_job::{Fed, SLICE_BYTES, SegmentJob, Source};
use crate::stream::{ACTIVE_COST_BYTES, Stream, StreamSlot};
use commitlog::{IdempotencyEntry, SegmentBuilder, SegmentMeta, StreamState};
use std::collections::VecDeque;
use types::{Epoch, LogIndex, Record, SeqNum, StreamKey, Term};

/// What a change counts for in a checkpoint's progress beside the bytes of its record.
pub(crate) const CHANGE_BYTES: u64 = 64;
/// Partitions whose segments are written at the same time. Each has up to two pieces in memory.
pub(crate) const LANES: usize = 4;

/// A checkpoint under way.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// Partitions that were dirty when it began and whose turn has not come.
    partitions_left: VecDeque<usize>,
    /// Groups before this one are covered when the checkpoint ends.
    replay_from: u64,
    /// Bytes of the partitions that are in segments now.
    bytes_done: u64,
    /// Bytes of the journal that were in use when it began, and of memory that only the journal backed.
    journal_at_begin: u64,
    memory_at_begin: u64,
}

/// The frozen changes of one partition.
#[derive(Debug)]
pub(crate) struct MemorySource {
    /// Everything up to here is in the segment.
    pub(crate) upto: LogIndex,
    /// Bytes that are frozen, and those of them that were put into the segment so far, about.
    bytes: u64,
    fed: u64,
    streams: Vec<FrozenStream>,
    keys: Vec<IdempotencyEntry>,
    at: usize,
    /// The next record of the stream at `at`; `None` before it was begun.
    next: Option<SeqNum>,
}

#[derive(Debug)]
struct FrozenStream {
    slot: StreamSlot,
    state: StreamState,
    from: SeqNum,
    wrote: bool,
}

impl Engine {
    pub(crate) fn checkpoint_can_step(&self) -> bool {
        let Some(checkpoint) = &self.checkpoint else { return self.checkpoint_is_due() };
        let jobs = || self.checkpoint_jobs.iter();
        let lanes_free = jobs().filter(|job| job.is_none()).count();
        let partition_can_begin = lanes_free > 0 && !checkpoint.partitions_left.is_empty();
        let can_end = lanes_free == LANES && checkpoint.partitions_left.is_empty();
        partition_can_begin || can_end || jobs().flatten().any(|job| self.job_can_step(job))
    }

    /// Whether more of the journal, or of memory, was used since the checkpoint began than the checkpoint has
    /// got on: at this rate there would be no room before it ends. An eighth is free.
    pub(crate) fn is_ahead_of_checkpoint(&self) -> bool {
        if self.full_retry_at.is_some() {
            return false; // it stands still, and what waits for room is answered elsewhere
        }
        self.checkpoint_lag().is_some_and(|lag| lag > 0.125)
    }

    /// Whether the checkpoint gets on at least as fast as what it makes room in fills up.
    pub(crate) fn checkpoint_keeps_up(&self) -> bool {
        self.checkpoint_lag().is_none_or(|lag| lag < 0.0)
    }

    /// The part of the room left by the begin of the checkpoint that is used by now, less the part of the
    /// checkpoint that is done; `None` without a checkpoint.
    fn checkpoint_lag(&self) -> Option<f64> {
        let checkpoint = self.checkpoint.as_ref()?;
        let uses = [
            (self.journal.bytes_in_use(), checkpoint.journal_at_begin, self.journal.bytes_max()),
            (self.uncheckpointed_bytes(), checkpoint.memory_at_begin, self.limits.memory_bytes_max as u64),
        ];
        // The last eighth is for the checkpoint's end.
        let used = |(now, begin, max): (u64, u64, u64)| {
            // One that begins with less room than this is not to stop everything for it.
            let room = (max / 8 * 7).saturating_sub(begin).max(max / 16);
            now.saturating_sub(begin) as f64 / room.max(1) as f64
        };
        let used = uses.into_iter().map(used).fold(0.0, f64::max);
        Some(used - self.checkpoint_progress(checkpoint))
    }

    /// How much of what has changed is in segments, from 0 to 1.
    fn checkpoint_progress(&self, checkpoint: &Checkpoint) -> f64 {
        let bytes_of = |&at: &usize| self.partitions[at].dirty_bytes;
        let waiting: u64 = checkpoint.partitions_left.iter().map(bytes_of).sum();
        let (mut done, mut all) = (checkpoint.bytes_done, checkpoint.bytes_done + waiting);
        for job in self.checkpoint_jobs.iter().flatten() {
            if let Source::Memory(source) = &job.source {
                done += source.fed.min(source.bytes);
                all += source.bytes;
            }
        }
        done as f64 / all.max(1) as f64
    }

    /// Bytes of memory that no segment backs.
    pub(crate) fn uncheckpointed_bytes(&self) -> u64 {
        self.memory_bytes.saturating_sub(self.tail_bytes) as u64
    }

    fn checkpoint_is_due(&self) -> bool {
        let memory_is_half_full = self.uncheckpointed_bytes() * 2 >= self.limits.memory_bytes_max as u64;
        let due = self.journal.is_half_full() || memory_is_half_full;
        self.phase == Phase::Serving && self.checkpoint.is_none() && due && self.has_covered_groups()
    }

    /// Whether a checkpoint would free anything.
    fn has_covered_groups(&self) -> bool {
        self.journal.replay_from <= self.journal.durable
    }

    pub(crate) fn has_dirty_partitions(&self) -> bool {
        self.partitions.iter().any(Partition::is_dirty)
    }

    pub(crate) fn begin_checkpoint(&mut self, out: &mut Vec<Effect>) {
        assert!(self.checkpoint.is_none());
        let dirty = self.partitions.iter().enumerate().filter(|(_, partition)| partition.is_dirty());
        let partitions_left = dirty.map(|(at, _)| at).collect();
        self.checkpoint = Some(Checkpoint {
            partitions_left,
            replay_from: self.journal.durable + 1,
            bytes_done: 0,
            journal_at_begin: self.journal.bytes_in_use(),
            memory_at_begin: self.uncheckpointed_bytes(),
        });
        self.step_checkpoint(out);
    }

    /// A checkpoint outside of a life: the journal of this shard is not touched by it.
    pub(crate) fn begin_fold_checkpoint(&mut self, out: &mut Vec<Effect>) {
        self.begin_checkpoint(out);
    }

    /// Takes one step of the checkpoint, and begins one when it is due.
    pub(crate) fn step_checkpoint(&mut self, out: &mut Vec<Effect>) {
        if self.checkpoint_is_due() {
            return self.begin_checkpoint(out);
        }
        let Some(checkpoint) = &mut self.checkpoint else { return };
        let lane_free = self.checkpoint_jobs.iter().position(Option::is_none);
        if let Some(lane) = lane_free
            && let Some(partition) = checkpoint.partitions_left.pop_front()
        {
            if self.partitions[partition].is_dirty() {
                self.checkpoint_jobs[lane] = Some(self.freeze(partition));
            }
            return;
        }
        if self.checkpoint_jobs.iter().all(Option::is_none) {
            let replay_from = checkpoint.replay_from;
            self.checkpoint = None;
            self.journal.release_before(replay_from);
            self.stats.checkpoints += 1;
            return self.handle_background_success(out);
        }
        let can_step =
            |lane: &usize| self.checkpoint_jobs[*lane].as_ref().is_some_and(|job| self.job_can_step(job));
        let in_turn = (0..LANES).map(|lane| (self.lane_next + lane) % LANES);
        if let Some(lane) = in_turn.clone().find(can_step) {
            self.lane_next = (lane + 1) % LANES;
            self.step_job(JobKind::Checkpoint(lane), out);
        }
    }

    /// Fixes what the partition's segment will hold.
    fn freeze(&mut self, partition: usize) -> SegmentJob {
        let entry = &mut self.partitions[partition];
        let (upto, after) = (entry.applied, entry.checkpointed);
        let mut slots = std::mem::take(&mut entry.dirty);
        slots.retain(|slot| self.catalog.slot(slot.0).is_some());
        slots.sort_by(|a, b| self.catalog[*a].key.cmp(&self.catalog[*b].key));
        let streams = slots.iter().map(|&slot| self.freeze_stream(slot)).collect();
        let keys = self.freeze_keys(partition, after, upto);
        let entry = &self.partitions[partition];
        let meta = SegmentMeta {
            directory_id: self.directory_id,
            partition: entry.id,
            ordinal: self.take_ordinal(partition),
            first_index: after.next(),
            last_index: upto,
            term_first: Term(1),
            term_last: Term(1),
            replaces: None,
        };
        let bytes = std::mem::take(&mut self.partitions[partition].dirty_bytes);
        let source = MemorySource { upto, bytes, fed: 0, streams, keys, at: 0, next: None };
        SegmentJob::new(partition, meta, Source::Memory(source), self.limits.chunk_bytes_max)
    }

    pub(crate) fn take_ordinal(&mut self, partition: usize) -> u64 {
        let entry = &mut self.partitions[partition];
        entry.next_ordinal += 1;
        entry.next_ordinal - 1
    }

    fn freeze_stream(&mut self, slot: StreamSlot) -> FrozenStream {
        let stream = &mut self.catalog[slot];
        let from = match &mut stream.active {
            Some(active) => {
                active.dirty = false;
                active.checkpointed.max(stream.first)
            }
            None => stream.next,
        };
        FrozenStream { slot, state: state_of(stream), from, wrote: false }
    }

    fn freeze_keys(&self, partition: usize, after: LogIndex, upto: LogIndex) -> Vec<IdempotencyEntry> {
        let uses = self.partitions[partition].idempotency.between(after, upto);
        let alive = uses.filter_map(|(slot, key, entry)| {
            let stream = self.catalog.slot(slot.0).filter(|stream| stream.epoch == entry.epoch)?;
            Some(IdempotencyEntry {
                key: stream.key.clone(),
                epoch: entry.epoch,
                idempotency: types::Idempotency { key: key.clone(), digest: entry.digest },
                first: entry.first,
                count: entry.count,
                time: entry.time,
            })
        });
        alive.collect()
    }

    /// Puts one slice of frozen records into the segment.
    pub(crate) fn feed_from_memory(&self, source: &mut MemorySource, builder: &mut SegmentBuilder) -> Fed {
        let mut fed_bytes = 0;
        while fed_bytes < SLICE_BYTES {
            let Some(frozen) = source.streams.get_mut(source.at) else {
                source.keys.drain(..).for_each(|entry| builder.push_idempotency(entry));
                return Fed::End;
            };
            let from = source.next.unwrap_or_else(|| {
                builder.begin_stream(frozen.state.clone());
                frozen.from
            });
            let mut next = from;
            let (state, slot) = (&frozen.state, frozen.slot);
            for record in self.frozen_records(slot, state, from) {
                builder.push_record(record);
                next = record.seq().next();
                source.fed += record.encoded().len() as u64 + CHANGE_BYTES;
                fed_bytes += record.encoded().len();
                if fed_bytes >= SLICE_BYTES {
                    break;
                }
            }
            frozen.wrote |= next > from;
            if fed_bytes >= SLICE_BYTES {
                source.next = Some(next);
                return Fed::Some;
            }
            // A stream without records costs something too.
            fed_bytes += ACTIVE_COST_BYTES;
            source.next = None;
            source.at += 1;
        }
        Fed::Some
    }

    /// The frozen records from `from` on, if the incarnation is still there.
    fn frozen_records(
        &self,
        slot: StreamSlot,
        state: &StreamState,
        from: SeqNum,
    ) -> impl Iterator<Item = &Record> {
        let stream = self.same_incarnation(slot, &state.key, state.epoch);
        let active = stream.and_then(|stream| stream.active.as_ref());
        let end = state.next;
        let records = active.into_iter().flat_map(move |a| a.records.range(a.position_of(from)..));
        records.take_while(move |record| record.seq() < end)
    }

    fn same_incarnation(&self, slot: StreamSlot, key: &StreamKey, epoch: Epoch) -> Option<&Stream> {
        self.catalog.slot(slot.0).filter(|stream| stream.key == *key && stream.epoch == epoch)
    }

    pub(crate) fn install_checkpoint(&mut self, partition: usize, source: MemorySource, built: SegmentFile) {
        let ordinal = built.ordinal;
        let entry = &mut self.partitions[partition];
        entry.segments.push(built);
        entry.checkpointed = source.upto;
        entry.drop_room();
        self.choose_merge();
        // What was written since then is the next checkpoint's: this one must end under any load.
        self.checkpoint.as_mut().expect("it has written a segment").bytes_done += source.bytes;
        for frozen in source.streams {
            let FrozenStream { slot, state, wrote, .. } = frozen;
            if self.same_incarnation(slot, &state.key, state.epoch).is_some() {
                let stream = &mut self.catalog[slot];
                if wrote {
                    stream.segments.push(ordinal);
                }
                self.shrink_to_tail(slot, state.next);
            }
            if self.catalog.slot(slot.0).is_some_and(|stream| stream.key == state.key) {
                self.drop_active_if_idle(slot);
            }
        }
        self.evict_tails();
    }

    /// The job failed: what was frozen is dirty again, and the partition's turn comes once more.
    pub(crate) fn unfreeze(&mut self, partition: usize, source: MemorySource) {
        let checkpoint = self.checkpoint.as_mut().expect("it has written a segment");
        checkpoint.partitions_left.push_front(partition);
        self.partitions[partition].dirty_bytes += source.bytes;
        for frozen in source.streams {
            if self.catalog.slot(frozen.slot.0).is_some_and(|stream| stream.key == frozen.state.key) {
                self.mark_dirty(frozen.slot);
            }
        }
    }

    /// The records of a stream before `checkpointed` are in segments: keeps only the newest of them in
    /// memory, in buffers of their own, which those of earlier checkpoints have already.
    fn shrink_to_tail(&mut self, slot: StreamSlot, checkpointed: SeqNum) {
        let (events_max, bytes_max) = (self.limits.tail_events, self.limits.tail_bytes);
        let Some(active) = &mut self.catalog[slot].active else { return };
        let (events_max, bytes_max) =
            active.tail.map_or((events_max, bytes_max), |(e, b)| (e as usize, b as usize));
        let alone = active.position_of(active.checkpointed);
        active.checkpointed = checkpointed;
        let upto = active.position_of(checkpointed);
        let mut keep_from = upto;
        let mut kept_bytes = 0;
        while keep_from > 0 && upto - keep_from < events_max {
            let len = active.records[keep_from - 1].encoded().len();
            if kept_bytes + len > bytes_max {
                break;
            }
            kept_bytes += len;
            keep_from -= 1;
        }
        let dropped: usize = active.records.drain(..keep_from).map(|record| record.encoded().len()).sum();
        active.records_bytes -= dropped;
        for record in active.records.range_mut(alone.saturating_sub(keep_from)..upto - keep_from) {
            *record = record.detached();
        }
        active.records.shrink_to_fit();
        self.memory_bytes -= dropped;
        let cost = if kept_bytes > 0 { kept_bytes + ACTIVE_COST_BYTES } else { 0 };
        self.set_tail_cost(slot, cost);
        let active = self.catalog[slot].active_mut();
        if kept_bytes > 0 && !std::mem::replace(&mut active.tail_listed, true) {
            self.tails.push_back(slot);
        }
    }

    pub(crate) fn set_tail_cost(&mut self, slot: StreamSlot, cost: usize) {
        let Some(active) = &mut self.catalog[slot].active else { return };
        let before = std::mem::replace(&mut active.tail_cost, cost);
        self.tail_bytes = self.tail_bytes + cost - before;
    }

    /// Drops cached tails, those that were checkpointed longest ago first, until they fit their budget.
    fn evict_tails(&mut self) {
        while self.tail_bytes > self.limits.tail_bytes_max {
            let Some(slot) = self.tails.pop_front() else { return };
            let Some(active) = self.catalog.slot(slot.0).and_then(|stream| stream.active.as_ref()) else {
                continue;
            };
            let checkpointed = active.checkpointed;
            self.set_tail_cost(slot, 0);
            let active = self.catalog[slot].active_mut();
            active.tail_listed = false;
            let dropped = active.drop_below(checkpointed);
            self.memory_bytes -= dropped;
            self.drop_active_if_idle(slot);
        }
    }

    pub(crate) fn set_tail(&mut self, key: &StreamKey, events: u32, bytes: u32) {
        let slot = self.slot_for(key);
        if self.catalog[slot].active.is_none() {
            self.memory_bytes += ACTIVE_COST_BYTES;
        }
        self.catalog[slot].active_mut().tail = Some((events, bytes));
    }
}

/// What a segment says of a stream; a stream that does not exist is said to be deleted.
fn state_of(stream: &Stream) -> StreamState {
    let deleted = !stream.exists();
    StreamState {
        key: stream.key.clone(),
        // A deletion stands above every incarnation before it.
        epoch: if deleted { Epoch(stream.last_index.0.max(1)) } else { stream.epoch },
        first: stream.first,
        next: stream.next,
        last_time: stream.last_time,
        last_index: stream.last_index,
        deleted,
        bytes: stream.bytes,
    }
}
