//! Group commit: what gathered while the last group was in flight becomes one write and one flush.
//!
//! `append` puts batches into the *open* group; [`Engine::start_commit`] seals it; the write's and the
//! flush's completions lead to [`Engine::handle_group_durable`], which applies and answers. A failed journal
//! operation is never retried: after a failed flush the next one succeeds and the data is gone, so the
//! engine stops and recovery decides what the disk holds.

use crate::command::{Effect, Fatal, Reply, ReplyTo};
use crate::disk::{DiskDone, DiskOp, DiskResult, FileId, Urgency, WriteBody};
use crate::journal::Journal;
use crate::machine::{Engine, OpPurpose, Phase};
use crate::partition::Partition;
use crate::sabotage::Sabotage;
use crate::stream::StreamSlot;
use bytes::Bytes;
use commitlog::{BLOCK_BYTES, BatchBuilder, BatchHeader, GroupKind, encode_change};
use std::ops::Range;
use types::{Epoch, LogIndex, Record, SeqNum, Timestamp};

/// Time after which the last acknowledged group is followed by a marker that proves it.
const IDLE_MARKER_AFTER_MS: u64 = 10;

/// A change as it will be applied.
#[derive(Debug)]
pub(crate) enum Change {
    /// Events that lie in the batch's bytes, in log order.
    Events(Vec<EventPlace>),
    /// Events that recovery decoded, in log order.
    Records(Vec<(StreamSlot, Epoch, Record)>),
    Trim {
        slot: StreamSlot,
        epoch: Epoch,
        before: SeqNum,
    },
    Delete {
        slot: StreamSlot,
        epoch: Epoch,
    },
    Gap {
        from: LogIndex,
        to: LogIndex,
    },
    Noop,
}

/// Where an event stands in its batch.
#[derive(Debug)]
pub(crate) struct EventPlace {
    pub(crate) slot: StreamSlot,
    pub(crate) epoch: Epoch,
    /// The record's bytes in those of the batch.
    pub(crate) range: Range<usize>,
}

/// A sealed batch that waits for the disk.
#[derive(Debug)]
pub(crate) struct SealedBatch {
    /// Index into the shard's table of partitions.
    pub(crate) partition: usize,
    pub(crate) header: BatchHeader,
    /// As it stands in the journal; empty in recovery's replay, which has decoded it.
    pub(crate) bytes: Bytes,
    pub(crate) change: Change,
}

/// A batch of the open group.
#[derive(Debug)]
pub(crate) enum OpenBatch {
    Events { partition: usize, builder: BatchBuilder, events: Vec<EventPlace> },
    Sealed(SealedBatch),
}

/// The group that gathers.
#[derive(Debug, Default)]
pub(crate) struct OpenGroup {
    pub(crate) batches: Vec<OpenBatch>,
    pub(crate) replies: Vec<(ReplyTo, Reply)>,
    /// Bytes of batches, roughly.
    pub(crate) bytes: usize,
    /// Tells the open group from earlier ones; streams remember in which one they were introduced.
    pub(crate) stamp: u64,
}

/// The group that is on its way to the disk.
#[derive(Debug)]
pub(crate) struct FlyingGroup {
    number: u64,
    kind: GroupKind,
    file: FileId,
    offset: u64,
    /// Its first part; the others are the bytes of the batches.
    head: Bytes,
    /// On disk, in whole blocks.
    pub(crate) bytes: usize,
    written: usize,
    batches: Vec<SealedBatch>,
    pub(crate) replies: Vec<(ReplyTo, Reply)>,
    applied: bool,
}

/// Empty lists of groups that are done, for the next groups to fill.
#[derive(Debug, Default)]
pub(crate) struct EmptyLists {
    batches: Vec<SealedBatch>,
    replies: Vec<(ReplyTo, Reply)>,
    events: Vec<Vec<EventPlace>>,
}

/// Elements that an empty list may have room for, and lists of events that are kept.
const KEPT_MAX: usize = 256;

impl EmptyLists {
    /// Room for the events of a batch.
    pub(crate) fn take_events(&mut self) -> Vec<EventPlace> {
        self.events.pop().unwrap_or_default()
    }

    fn keep(&mut self, mut batches: Vec<SealedBatch>, replies: Vec<(ReplyTo, Reply)>) {
        for batch in batches.drain(..) {
            if let Change::Events(events) = batch.change
                && self.events.len() < KEPT_MAX
            {
                self.events.push(emptied(events));
            }
        }
        self.batches = emptied(batches);
        self.replies = emptied(replies);
    }
}

/// The list without its elements, and with room for a bounded number of them.
pub(crate) fn emptied<T>(mut list: Vec<T>) -> Vec<T> {
    list.clear();
    list.shrink_to(KEPT_MAX);
    list
}

impl OpenGroup {
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

impl Engine {
    /// Answers when everything that was appended so far is durable.
    pub(crate) fn reply_when_durable(&mut self, to: ReplyTo, reply: Reply, out: &mut Vec<Effect>) {
        if !self.open.is_empty() {
            self.open.replies.push((to, reply));
        } else if let Some(flying) = &mut self.flying {
            flying.replies.push((to, reply));
        } else {
            out.push(Effect::Reply { to, reply });
        }
    }

    /// Adds a change that is not an event to the open group.
    pub(crate) fn open_change(&mut self, now: Timestamp, partition: usize, change: Change) {
        let header = BatchHeader {
            partition: self.partitions[partition].id,
            term: types::Term(1),
            first_index: self.partitions[partition].appended.next(),
            record_count: 1,
            leader_time: now,
        };
        let bytes = encode_change(&header, &self.change_body(&change));
        let entry = &mut self.partitions[partition];
        entry.appended = entry.appended.next();
        entry.open_batch = None;
        self.open.bytes += bytes.len();
        self.open.batches.push(OpenBatch::Sealed(SealedBatch { partition, header, bytes, change }));
    }

    fn change_body(&self, change: &Change) -> commitlog::BatchBody {
        use commitlog::BatchBody;
        let key = |slot: &StreamSlot| self.catalog[*slot].key.clone();
        match change {
            Change::Trim { slot, epoch, before } => {
                BatchBody::Trim { key: key(slot), epoch: *epoch, before: *before }
            }
            Change::Delete { slot, epoch } => BatchBody::Delete { key: key(slot), epoch: *epoch },
            Change::Gap { from, to } => BatchBody::Gap { from: *from, to: *to },
            Change::Noop => BatchBody::Noop,
            Change::Events(_) | Change::Records(_) => unreachable!("events are built by BatchBuilder"),
        }
    }

    /// Seals the open group and starts its write, when nothing is in flight and there is room.
    pub(crate) fn start_commit(&mut self, out: &mut Vec<Effect>) {
        if self.flying.is_some() || self.open.is_empty() || self.phase != Phase::Serving {
            return;
        }
        if self.is_ahead_of_checkpoint() {
            return; // its next step comes back here
        }
        self.fly(GroupKind::Commit, out);
    }

    /// Writes the open group, which may be empty, as a group of `kind`. False when the journal has no room.
    pub(crate) fn fly(&mut self, kind: GroupKind, out: &mut Vec<Effect>) -> bool {
        assert!(self.flying.is_none(), "one group is in flight at a time");
        let body_len: usize = self.open.batches.iter().map(OpenBatch::len).sum();
        let Some(place) = self.journal.place(Journal::padded_len(body_len)) else {
            return false;
        };
        let (batches, replies) = self.seal_open();
        let record_count = batches.iter().map(|batch| batch.header.record_count).sum();
        let mut parts = Vec::with_capacity(1 + batches.len());
        parts.extend(batches.iter().map(|batch| batch.bytes.clone()));
        let number = self.journal.build(place, kind, &mut parts, record_count);
        let file = FileId::Journal { shard: self.journal.shard, slot: place.slot };
        let (head, body) = (parts[0].clone(), WriteBody::new(parts));
        self.flying = Some(FlyingGroup {
            number,
            kind,
            file,
            offset: place.offset,
            head,
            bytes: body.padded_len,
            written: 0,
            batches,
            replies,
            applied: false,
        });
        self.stats.groups_written += 1;
        if self.planted.is(Sabotage::DeliveryAboveWatermark) {
            self.show_flying(out);
        }
        let work = DiskOp::Write { file, offset: place.offset, body };
        self.disk(OpPurpose::JournalWrite, Urgency::Commit, work, out);
        true
    }

    /// Empties the open group: its batches, sealed, and the answers that wait for them.
    fn seal_open(&mut self) -> (Vec<SealedBatch>, Vec<(ReplyTo, Reply)>) {
        let mut batches = std::mem::take(&mut self.empty.batches);
        for batch in self.open.batches.drain(..) {
            let sealed = batch.seal(&mut self.partitions);
            self.partitions[sealed.partition].open_batch = None;
            batches.push(sealed);
        }
        let replies = std::mem::replace(&mut self.open.replies, std::mem::take(&mut self.empty.replies));
        self.open.bytes = 0;
        self.open.stamp += 1;
        (batches, replies)
    }

    /// Shows what is not durable: the fault of a sabotage build.
    fn show_flying(&mut self, out: &mut Vec<Effect>) {
        let mut flying = self.flying.take().expect("a group was made");
        self.mark_durable(&flying.batches);
        self.apply_all(&flying.batches, out);
        flying.applied = true;
        self.flying = Some(flying);
    }

    /// Writes what is not written of the flying group.
    fn write_rest(&mut self, out: &mut Vec<Effect>) {
        let flying = self.flying.as_ref().expect("a write belongs to a group in flight");
        let bodies = flying.batches.iter().map(|batch| &batch.bytes);
        let parts = std::iter::once(&flying.head).chain(bodies).cloned().collect();
        let (file, offset) = (flying.file, flying.offset + flying.written as u64);
        let body = WriteBody::new(parts).from(flying.written);
        self.disk(OpPurpose::JournalWrite, Urgency::Commit, DiskOp::Write { file, offset, body }, out);
    }

    pub(crate) fn handle_journal_write(&mut self, result: DiskResult, out: &mut Vec<Effect>) {
        let count = match result {
            Ok(DiskDone::Written(count)) if count > 0 => count,
            Ok(_) => return self.fail("writing the journal (nothing was written)", 0, out),
            Err(error) => return self.fail("writing the journal", error.errno, out),
        };
        let ignore_short = self.planted.is(Sabotage::ShortWriteIgnored);
        let flying = self.flying.as_mut().expect("a write belongs to a group in flight");
        // A short count may end inside a block; direct writes go on at its start.
        flying.written = (flying.written + count) / BLOCK_BYTES * BLOCK_BYTES;
        let file = flying.file;
        if flying.written < flying.bytes && !ignore_short {
            return self.write_rest(out);
        }
        if self.planted.is(Sabotage::AckBeforeFlush) {
            let replies = std::mem::take(&mut self.flying.as_mut().expect("still in flight").replies);
            out.extend(replies.into_iter().map(|(to, reply)| Effect::Reply { to, reply }));
        }
        self.disk(OpPurpose::JournalFlush, Urgency::Commit, DiskOp::Flush { file }, out);
    }

    pub(crate) fn handle_journal_flush(&mut self, now: Timestamp, result: DiskResult, out: &mut Vec<Effect>) {
        if let Err(error) = result {
            if self.planted.is(Sabotage::SyncRetried) {
                let file = self.flying.as_ref().expect("a flush belongs to a group in flight").file;
                return self.disk(OpPurpose::JournalFlush, Urgency::Commit, DiskOp::Flush { file }, out);
            }
            return self.fail("flushing the journal", error.errno, out);
        }
        self.handle_group_durable(now, out);
    }

    fn handle_group_durable(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let mut flying = self.flying.take().expect("a flush belongs to a group in flight");
        self.journal.handle_durable(flying.number);
        if self.planted.is(Sabotage::BlockReused) && flying.kind == GroupKind::Commit {
            self.journal.step_back();
        }
        if !flying.applied {
            self.mark_durable(&flying.batches);
            self.apply_all(&flying.batches, out);
        }
        out.extend(flying.replies.drain(..).map(|(to, reply)| Effect::Reply { to, reply }));
        self.empty.keep(flying.batches, flying.replies);
        self.idle_marker_at = match flying.kind {
            GroupKind::Commit => Some(now.plus(types::DurationMs(IDLE_MARKER_AFTER_MS))),
            GroupKind::IdleMarker => None,
            GroupKind::Fence => {
                self.phase = Phase::Serving;
                None
            }
            GroupKind::Seal => {
                self.phase = Phase::Stopped;
                None
            }
        };
    }

    fn mark_durable(&mut self, batches: &[SealedBatch]) {
        for batch in batches {
            let partition = &mut self.partitions[batch.partition];
            partition.durable = batch.header.last_index();
            partition.assert_invariants();
        }
    }

    /// Proves the last commit when nothing followed it for a while.
    pub(crate) fn write_idle_marker(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let due = self.idle_marker_at.is_some_and(|at| at <= now);
        if due && self.can_write_idle_marker() && self.fly(GroupKind::IdleMarker, out) {
            self.idle_marker_at = None;
        }
    }

    pub(crate) fn can_write_idle_marker(&self) -> bool {
        let quiet = self.flying.is_none() && self.open.is_empty();
        quiet && self.phase == Phase::Serving && self.journal.can_place(Journal::padded_len(0))
    }

    /// Stops for good: nothing is acknowledged any more.
    pub(crate) fn fail(&mut self, doing: &'static str, errno: i32, out: &mut Vec<Effect>) {
        let (file, offset) = match &self.flying {
            Some(flying) => (flying.file, flying.offset),
            None => (FileId::Journal { shard: self.journal.shard, slot: 0 }, 0),
        };
        self.phase = Phase::Failed;
        out.push(Effect::Fatal(Fatal { file, offset, errno, doing }));
    }
}

impl OpenBatch {
    fn len(&self) -> usize {
        match self {
            OpenBatch::Events { builder, .. } => builder.len(),
            OpenBatch::Sealed(batch) => batch.bytes.len(),
        }
    }

    fn seal(self, partitions: &mut [Partition]) -> SealedBatch {
        match self {
            OpenBatch::Sealed(batch) => batch,
            OpenBatch::Events { partition, builder, events } => {
                let (header, bytes, room) = builder.finish_in_room();
                partitions[partition].take_back(room, bytes.len());
                SealedBatch { partition, header, bytes, change: Change::Events(events) }
            }
        }
    }
}
