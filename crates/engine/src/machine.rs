//! The engine itself: its state, and which part handles what.
//!
//! Four kinds of methods: `handle_*` (something happened), the verbs of the parts, `next_deadline` and
//! `wants_turn` (what next), and looks. The branches live here; the parts (`append`, `commit`, `read`,
//! `checkpoint`, `merge`, `list`, `watch`) are `impl Engine` blocks in files of their own.

mod slots;

use crate::cache::{ChunkCache, FooterCache};
use crate::catalog::Catalog;
use crate::checkpoint::{Checkpoint, LANES};
use crate::command::{Command, Effect, Reply, ReplyTo, ShardStats};
use crate::commit::{EmptyLists, FlyingGroup, OpenGroup};
use crate::disk::{DiskErrorKind, DiskOp, DiskResult, OpId, Urgency};
use crate::journal::Journal;
use crate::list::ListJob;
use crate::partition::Partition;
use crate::plan::ShardPlan;
use crate::read::Reads;
use crate::replicator::Solo;
use crate::sabotage::Planted;
use crate::segment_job::SegmentJob;
use crate::stream::StreamSlot;
use crate::watch::Watches;
use commitlog::{GroupKind, ShardMark};
use std::collections::{BTreeMap, VecDeque};
use types::{
    DurationMs, Failure, Limits, PartitionId, ServerEpoch, StreamKey, Timestamp, Unavailable, partition_of,
    stream_hash,
};

/// Time between attempts when the disk is full.
const FULL_RETRY_MS: u64 = 500;

/// Where the engine is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Replayed, not serving: folding journals of another layout, or waiting for the new epoch.
    Recovered,
    /// The new epoch is durable; the fence is on its way.
    Arming,
    Serving,
    /// A clean stop: finishing commits, checkpointing, sealing.
    Stopping,
    Stopped,
    /// A journal operation failed: nothing is acknowledged any more.
    Failed,
}

/// What an operation under way is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpPurpose {
    JournalWrite,
    JournalFlush,
    SlotCreate(u16),
    SlotSyncDir(u16),
    SlotZero(u16),
    SlotFlush(u16),
    /// A step of a segment job: checkpoint or merge.
    Segment(JobKind),
    /// A file that nobody needs any more.
    Remove,
    ReadFooter(u64),
    ReadChunk(u64),
    ReadAhead(u64),
}

/// Which of the segment jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobKind {
    /// With its lane.
    Checkpoint(usize),
    Merge,
}

/// A shard's whole behaviour as a value.
#[derive(Debug)]
pub struct Engine {
    pub(crate) limits: Limits,
    pub(crate) directory_id: u128,
    pub(crate) partition_count: u16,
    pub(crate) planted: Planted,
    pub(crate) phase: Phase,
    pub(crate) catalog: Catalog,
    /// Streams that exist, of all slots of the catalog.
    pub(crate) streams_existing: u64,
    pub(crate) partitions: Vec<Partition>,
    /// Index into `partitions` by partition id.
    pub(crate) partition_at: BTreeMap<PartitionId, u16>,
    pub(crate) replicator: Solo,
    pub(crate) journal: Journal,
    pub(crate) open: OpenGroup,
    pub(crate) flying: Option<FlyingGroup>,
    pub(crate) empty: EmptyLists,
    /// Streams that got events from the group being applied; each remembers from where on they must be
    /// delivered.
    pub(crate) touched: Vec<StreamSlot>,
    pub(crate) idle_marker_at: Option<Timestamp>,
    pub(crate) waiting: VecDeque<Command>,
    pub(crate) waiting_bytes: usize,
    /// Bytes of records and active streams in memory.
    pub(crate) memory_bytes: usize,
    /// The part of `memory_bytes` that is only cached: it is in segments as well.
    pub(crate) tail_bytes: usize,
    /// Streams with a cached tail, least recently checkpointed first.
    pub(crate) tails: VecDeque<StreamSlot>,
    pub(crate) storage_full: bool,
    pub(crate) full_retry_at: Option<Timestamp>,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Partitions that the checkpoint writes now.
    pub(crate) checkpoint_jobs: [Option<SegmentJob>; LANES],
    /// The lane that steps next, if it can.
    pub(crate) lane_next: usize,
    pub(crate) merge_job: Option<SegmentJob>,
    /// The partition that has too many segments; see [`Self::choose_merge`].
    pub(crate) merge_next: Option<usize>,
    pub(crate) reads: Reads,
    pub(crate) footers: FooterCache,
    pub(crate) chunks: ChunkCache,
    pub(crate) lists: VecDeque<ListJob>,
    pub(crate) watches: Watches,
    pub(crate) stats: ShardStats,
    /// Operations under way, by ascending number.
    ops: VecDeque<(OpId, OpPurpose)>,
    next_op: u64,
    slot_busy: bool,
    seal_wanted: bool,
}

impl Engine {
    pub(crate) fn new(plan: &ShardPlan, limits: Limits) -> Engine {
        let journal =
            Journal::new(plan.shard, plan.directory_id, limits.journal_file_bytes, limits.journal_files_max);
        let partitions: Vec<Partition> = plan.partitions.iter().map(|&id| Partition::new(id)).collect();
        let index = |at: usize| u16::try_from(at).expect("a directory has at most 65,535 partitions");
        let partition_at = plan.partitions.iter().enumerate().map(|(at, &id)| (id, index(at))).collect();
        Engine {
            directory_id: plan.directory_id,
            partition_count: plan.partition_count,
            planted: Planted::new(plan.sabotage),
            phase: Phase::Recovered,
            catalog: Catalog::default(),
            streams_existing: 0,
            partitions,
            partition_at,
            replicator: Solo,
            journal,
            open: OpenGroup::default(),
            flying: None,
            empty: EmptyLists::default(),
            touched: Vec::new(),
            idle_marker_at: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            memory_bytes: 0,
            tail_bytes: 0,
            tails: VecDeque::new(),
            storage_full: false,
            full_retry_at: None,
            checkpoint: None,
            checkpoint_jobs: [const { None }; LANES],
            lane_next: 0,
            merge_job: None,
            merge_next: None,
            reads: Reads::default(),
            footers: FooterCache::new(limits.footer_cache_bytes_max),
            chunks: ChunkCache::new(limits.chunk_cache_bytes_max),
            lists: VecDeque::new(),
            watches: Watches::default(),
            stats: ShardStats::default(),
            ops: VecDeque::new(),
            next_op: 1,
            slot_busy: false,
            seal_wanted: false,
            limits,
        }
    }

    /// A core asks for something. Writes are answered after a later [`Self::handle_turn`] and the disk.
    pub fn handle_command(&mut self, now: Timestamp, command: Command, out: &mut Vec<Effect>) {
        if let Some(failure) = self.refusal_of(&command) {
            return reply_if_asked(&command, failure, out);
        }
        match command {
            Command::Append(_) | Command::Delete { .. } | Command::Trim { .. } => {
                self.handle_write(now, command, out);
            }
            Command::Read(read) => self.start_read(read, out),
            Command::Describe { to, stream } => {
                out.push(Effect::Reply { to, reply: Reply::Described(self.describe(&stream)) });
            }
            Command::ListBuckets { to, page } => self.start_list(ListJob::buckets(to, page)),
            Command::ListStreams { to, bucket, page } => self.start_list(ListJob::streams(to, bucket, page)),
            Command::Watch { to, route, target } => self.watch(to, route, target, out),
            Command::Unwatch { core, route } => self.unwatch(core, route),
            Command::SetTail { stream, events, bytes } => self.set_tail(&stream, events, bytes),
            Command::Stats { to } => {
                out.push(Effect::Reply { to, reply: Reply::Stats(Box::new(self.stats())) });
            }
        }
    }

    /// [`Self::handle_commits`] and [`Self::handle_background`] in one, for a shell that has no better time
    /// for the second.
    pub fn handle_turn(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.handle_commits(now, out);
        self.handle_background(now, out);
    }

    /// The shell has handed in all commands that were there: starts the next group commit. Somebody waits for
    /// what comes out.
    pub fn handle_commits(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Failed | Phase::Stopped) {
            return;
        }
        if self.full_retry_at.is_some_and(|at| at <= now) {
            self.full_retry_at = None;
            if !self.wants_room() {
                self.handle_background_success(out);
            }
        }
        self.resume_waiting(now, out);
        self.start_commit(out);
        self.write_idle_marker(now, out);
        self.prepare_slot(out);
        self.step_stop(now, out);
    }

    /// Takes one slice of what is not urgent: a listing, a checkpoint, a merge. Asked for while
    /// [`Self::wants_turn`], at a time of the shell's choice; any number of calls of the other kinds may come
    /// between two slices.
    pub fn handle_background(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.phase == Phase::Failed {
            return;
        }
        // A listing that was under way when the engine stopped is answered all the same.
        self.step_lists(out);
        if self.phase == Phase::Stopped {
            return;
        }
        if self.full_retry_at.is_none() {
            self.step_checkpoint(out);
            self.step_merge(out);
            // A checkpoint that ended made room for what waits, and nothing else may ever wake the shard.
            self.resume_waiting(now, out);
            self.start_commit(out);
        }
        self.step_stop(now, out);
    }

    /// An operation is done.
    ///
    /// # Panics
    /// When `op` was not asked for, or was answered before.
    pub fn handle_disk(&mut self, now: Timestamp, op: OpId, result: DiskResult, out: &mut Vec<Effect>) {
        let at = self.ops.binary_search_by_key(&op, |(op, _)| *op).ok();
        let (_, purpose) = at.and_then(|at| self.ops.remove(at)).expect("each operation is answered once");
        if self.phase == Phase::Failed {
            return;
        }
        match purpose {
            OpPurpose::JournalWrite => self.handle_journal_write(result, out),
            OpPurpose::JournalFlush => self.handle_journal_flush(now, result, out),
            OpPurpose::SlotCreate(slot)
            | OpPurpose::SlotSyncDir(slot)
            | OpPurpose::SlotZero(slot)
            | OpPurpose::SlotFlush(slot) => self.handle_slot(now, purpose, slot, result, out),
            OpPurpose::Segment(kind) => self.handle_segment(now, kind, result, out),
            OpPurpose::Remove => self.handle_removed(result, out),
            OpPurpose::ReadFooter(job) => self.handle_footer_read(job, result, out),
            OpPurpose::ReadChunk(job) => self.handle_chunk_read(job, result, out),
            OpPurpose::ReadAhead(id) => self.handle_read_ahead(id, result, out),
        }
    }

    /// The next time at which [`Self::handle_turn`] has something to do without any input.
    ///
    /// What is due and cannot be done yet (a group is in flight, the journal is full) is left out: the
    /// completion that it waits for brings the turn.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if matches!(self.phase, Phase::Stopped | Phase::Failed) {
            return None;
        }
        let marker = self.idle_marker_at.filter(|_| self.can_write_idle_marker());
        [marker, self.full_retry_at].into_iter().flatten().min()
    }

    /// Whether background work waits for another turn at once (after yielding to others).
    pub fn wants_turn(&self) -> bool {
        !self.lists.is_empty()
            || (self.full_retry_at.is_none() && (self.checkpoint_can_step() || self.merge_can_step()))
    }

    /// Whether the background work that [`Self::wants_turn`] should get time although others wait for it: a
    /// listing, a stop, a checkpoint that does not make room as fast as it is used, too many segments.
    pub fn background_is_urgent(&self) -> bool {
        let is_quiet = self.lists.is_empty() && self.waiting.is_empty() && !self.seal_wanted;
        !(is_quiet && self.checkpoint_keeps_up() && self.merges_keep_up())
    }

    /// Begins a clean stop: what was accepted is finished, everything is checkpointed and sealed.
    pub fn handle_stop(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.phase == Phase::Serving {
            self.start_commit(out);
            self.seal_wanted = true;
        }
        self.handle_turn(now, out);
    }

    /// Whether a clean stop is complete.
    pub fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }

    /// Whether the engine stopped itself after a failed journal operation.
    pub fn is_failed(&self) -> bool {
        self.phase == Phase::Failed
    }

    /// Whether clients are served.
    pub fn is_serving(&self) -> bool {
        self.phase == Phase::Serving
    }

    /// What the EPOCH file must say of this shard's journal.
    pub fn mark(&self) -> ShardMark {
        // A seal holds nothing: after a clean stop there is nothing to replay.
        let sealed = self.phase == Phase::Stopped;
        let durable = self.journal.durable;
        ShardMark {
            durable,
            replay_from: if sealed && !self.has_dirty_partitions() {
                durable + 1
            } else {
                self.journal.replay_from
            },
            slots: self.journal.prepared_count(),
        }
    }

    /// The figures of the shard now.
    pub fn stats(&self) -> ShardStats {
        let segments = || self.partitions.iter().flat_map(|partition| &partition.segments);
        ShardStats {
            streams: self.streams_existing,
            memory_bytes: self.memory_bytes as u64,
            journal_bytes: self.journal.bytes_in_use(),
            segments: segments().count() as u64,
            segment_bytes: segments().map(|segment| segment.len).sum(),
            storage_full: self.storage_full,
            ..self.stats.clone()
        }
    }

    /// The slot of a stream, made when there is none.
    pub(crate) fn slot_for(&mut self, key: &StreamKey) -> StreamSlot {
        let hash = stream_hash(key);
        let found = self.catalog.find_hashed(key, hash);
        found.unwrap_or_else(|| self.make_slot(key, hash))
    }

    /// A slot for a stream that has none.
    pub(crate) fn make_slot(&mut self, key: &StreamKey, hash: u64) -> StreamSlot {
        let partition = self.partition_at.get(&partition_of(hash, self.partition_count));
        let partition = partition.expect("the router sends a stream to the shard that owns its partition");
        self.catalog.make(key, hash, *partition)
    }

    /// Operation numbers go on where recovery stopped.
    pub(crate) fn continue_ops_from(&mut self, next_op: u64) {
        assert!(self.ops.is_empty());
        self.next_op = self.next_op.max(next_op);
    }

    /// Asks for a disk operation.
    pub(crate) fn disk(&mut self, purpose: OpPurpose, urgency: Urgency, work: DiskOp, out: &mut Vec<Effect>) {
        let op = OpId(self.next_op);
        self.next_op += 1;
        self.ops.push_back((op, purpose));
        out.push(Effect::Disk { op, urgency, work });
    }

    /// The new life's epoch is durable: writes the fence, after the first journal file where there is none.
    pub(crate) fn arm(&mut self, epoch: ServerEpoch, out: &mut Vec<Effect>) {
        assert_eq!(self.phase, Phase::Recovered);
        self.journal.begin_epoch(epoch);
        self.phase = Phase::Arming;
        self.choose_merge();
        self.remove_leftovers(out);
        if self.planted.is(crate::sabotage::Sabotage::NoFence) && self.open.is_empty() {
            self.phase = Phase::Serving;
            return self.prepare_slot(out);
        }
        self.step_fence(out);
    }

    fn step_fence(&mut self, out: &mut Vec<Effect>) {
        if self.phase == Phase::Arming && self.flying.is_none() && !self.fly(GroupKind::Fence, out) {
            self.prepare_slot(out);
        }
    }

    fn refusal_of(&self, command: &Command) -> Option<Failure> {
        let write = matches!(command, Command::Append(_) | Command::Delete { .. } | Command::Trim { .. });
        match self.phase {
            Phase::Serving if self.seal_wanted && write => Some(Failure::Unavailable(Unavailable::Draining)),
            Phase::Serving => None,
            Phase::Recovered | Phase::Arming => Some(Failure::Unavailable(Unavailable::Starting)),
            Phase::Stopping | Phase::Stopped => Some(Failure::Unavailable(Unavailable::Draining)),
            Phase::Failed => Some(Failure::Unavailable(Unavailable::Stopped)),
        }
    }

    /// A background operation failed: the disk is full, or sick. Appends are refused while it is full; the
    /// work is tried again later.
    pub(crate) fn handle_background_error(
        &mut self,
        now: Timestamp,
        doing: &str,
        error: crate::disk::DiskError,
        out: &mut Vec<Effect>,
    ) {
        self.full_retry_at = Some(now.plus(DurationMs(FULL_RETRY_MS)));
        out.push(Effect::Notice(format!("{doing}: {error}; trying again in {FULL_RETRY_MS} ms")));
        if error.kind == DiskErrorKind::NoSpace && !self.storage_full {
            self.storage_full = true;
            self.refuse_waiting(&Failure::StorageFull, out);
        }
    }

    /// Background work went well: a full disk has room again.
    pub(crate) fn handle_background_success(&mut self, out: &mut Vec<Effect>) {
        if self.full_retry_at.is_some() {
            return; // it was under way when another one failed
        }
        if std::mem::take(&mut self.storage_full) {
            out.push(Effect::Notice("the disk has room again: appends are taken".to_owned()));
        }
    }

    /// Whether background work waits that needs room on the disk.
    fn wants_room(&self) -> bool {
        self.checkpoint.is_some() || self.merge_job.is_some() || self.journal.slot_to_prepare().is_some()
    }

    fn handle_removed(&mut self, result: DiskResult, out: &mut Vec<Effect>) {
        if let Err(error) = result.as_ref()
            && error.kind != DiskErrorKind::NotFound
        {
            out.push(Effect::Notice(format!("removing a segment that nobody needs: {error}")));
        }
    }

    /// Moves a clean stop on: everything durable, then everything in segments, then the seal.
    fn step_stop(&mut self, _now: Timestamp, out: &mut Vec<Effect>) {
        if !self.seal_wanted || self.flying.is_some() || !self.open.is_empty() || !self.waiting.is_empty() {
            return;
        }
        if self.phase == Phase::Serving {
            self.phase = Phase::Stopping;
            self.idle_marker_at = None;
        }
        if self.phase != Phase::Stopping || self.checkpoint.is_some() || self.merge_job.is_some() {
            return;
        }
        if self.has_dirty_partitions() && !self.storage_full {
            return self.begin_checkpoint(out);
        }
        self.fly(GroupKind::Seal, out);
    }
}

fn reply_if_asked(command: &Command, failure: Failure, out: &mut Vec<Effect>) {
    let to: Option<ReplyTo> = match command {
        Command::Append(append) => Some(append.to),
        Command::Read(read) => Some(read.to),
        Command::Delete { to, .. }
        | Command::Trim { to, .. }
        | Command::Describe { to, .. }
        | Command::ListBuckets { to, .. }
        | Command::ListStreams { to, .. }
        | Command::Watch { to, .. }
        | Command::Stats { to } => Some(*to),
        Command::Unwatch { .. } | Command::SetTail { .. } => None,
    };
    out.extend(to.map(|to| Effect::Reply { to, reply: Reply::Failed(failure) }));
}
