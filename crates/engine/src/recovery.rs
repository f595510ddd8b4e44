//! From a disk to an engine: one recovery per shard.
//!
//! Flush, load partitions and journals side by side, judge the journal, replay what segments do not hold,
//! report; after the new epoch is durable, write the fence. Only then is the engine handed out. Recovery
//! writes only to new places, and a crash inside it restarts it.

use crate::command::Effect;
use crate::commit::{Change, SealedBatch};
use crate::disk::{DirId, DiskOp, DiskResult, FileId, OpId, Urgency};
use crate::machine::{Engine, Phase};
use crate::plan::{ShardPlan, ShardReport};
use crate::recover_journal::{JournalLoad, JournalStep, LoadedFile};
use crate::recover_partition::{LoadStep, LoadedPartition, PartitionLoad};
use crate::recover_settle::{JournalCover, settle};
use crate::refusal::Refusal;
use crate::sabotage::Sabotage;
use commitlog::{FileScan, JournalMark, JournalRefusal, Place, Rules, Verdict, judge};
use std::collections::BTreeMap;
use types::{Limits, ServerEpoch, ShardId, Timestamp};

/// A shard that is not an engine yet.
#[derive(Debug)]
pub struct Recovery {
    pub(crate) plan: ShardPlan,
    limits: Limits,
    stage: Stage,
    ops: BTreeMap<OpId, Loader>,
    next_op: u64,
    partitions: BTreeMap<usize, PartitionLoad>,
    partitions_loaded: BTreeMap<usize, LoadedPartition>,
    journals: BTreeMap<u16, JournalLoad>,
    journals_loaded: BTreeMap<u16, Vec<LoadedFile>>,
    report: Option<Result<ShardReport, Refusal>>,
    engine: Option<Box<Engine>>,
    refusal: Option<Refusal>,
    pub(crate) events_replayed: u64,
    pub(crate) notices: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    /// The parent folders' entries are made durable.
    SyncParents(u8),
    Loading,
    /// The entries of the shard's own folders are made durable.
    SyncFolders(u8),
    /// Journals of another layout are folded into segments.
    Folding,
    /// The journal's first file is made, so that the EPOCH file can say that it must be there.
    Preparing,
    Reported,
    Arming,
    Done,
    Refused,
}

/// Whose operation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loader {
    Parents,
    Partition(usize),
    Journal(u16),
}

impl Recovery {
    /// A recovery that has not begun.
    pub fn new(plan: ShardPlan, limits: Limits) -> Recovery {
        Recovery {
            plan,
            limits,
            stage: Stage::Begin,
            ops: BTreeMap::new(),
            next_op: 1,
            partitions: BTreeMap::new(),
            partitions_loaded: BTreeMap::new(),
            journals: BTreeMap::new(),
            journals_loaded: BTreeMap::new(),
            report: None,
            engine: None,
            refusal: None,
            events_replayed: 0,
            notices: Vec::new(),
        }
    }

    /// Begins.
    pub fn handle_start(&mut self, out: &mut Vec<Effect>) {
        assert_eq!(self.stage, Stage::Begin);
        self.stage = Stage::SyncParents(0);
        self.ask(Loader::Parents, DiskOp::MakeDir { dir: DirId::Journals }, out);
    }

    /// An operation is done.
    pub fn handle_disk(&mut self, now: Timestamp, op: OpId, result: DiskResult, out: &mut Vec<Effect>) {
        if let Some(engine) = &mut self.engine {
            engine.handle_disk(now, op, result, out);
            return self.after_engine(now, out);
        }
        let loader = self.ops.remove(&op).expect("each operation is answered once");
        if self.stage == Stage::Refused {
            return;
        }
        match loader {
            Loader::Parents if matches!(self.stage, Stage::SyncFolders(_)) => {
                return self.after_folder(now, result, out);
            }
            Loader::Parents => self.after_parents(result, out),
            Loader::Partition(at) => {
                let load = self.partitions.get_mut(&at).expect("a load under way");
                match load.handle_disk(result) {
                    LoadStep::Disk(work) => self.ask(loader, work, out),
                    LoadStep::Loaded(loaded) => {
                        self.partitions.remove(&at);
                        self.partitions_loaded.insert(at, *loaded);
                    }
                    LoadStep::Refused(refusal) => self.refuse(refusal),
                }
            }
            Loader::Journal(shard) => {
                let load = self.journals.get_mut(&shard).expect("a load under way");
                match load.handle_disk(result) {
                    JournalStep::Disk(work) => self.ask(loader, work, out),
                    JournalStep::Loaded => {
                        let load = self.journals.remove(&shard).expect("a load under way");
                        self.journals_loaded.insert(load.shard().0, load.loaded);
                    }
                    JournalStep::Refused(refusal) => self.refuse(refusal),
                }
            }
        }
        self.after_load(now, out);
    }

    /// Background work of the engine that is being folded: call while it wants turns.
    pub fn handle_turn(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if let (Stage::Folding, Some(engine)) = (self.stage, &mut self.engine) {
            engine.fold_turn(out);
            self.after_engine(now, out);
        }
    }

    /// Whether [`Self::handle_turn`] has something to do at once.
    pub fn wants_turn(&self) -> bool {
        self.stage == Stage::Folding
            && self.engine.as_ref().is_some_and(|engine| engine.checkpoint_can_step())
    }

    /// What was found, once: the shard waits for [`Self::handle_epoch`].
    pub fn take_report(&mut self) -> Option<Result<ShardReport, Refusal>> {
        self.report.take()
    }

    /// The new epoch is durable: writes the fence.
    pub fn handle_epoch(&mut self, epoch: ServerEpoch, out: &mut Vec<Effect>) {
        assert_eq!(self.stage, Stage::Reported);
        self.stage = Stage::Arming;
        self.engine.as_mut().expect("recovered").arm(epoch, out);
        self.check_armed(out);
    }

    /// The engine, once, when it serves.
    pub fn take_engine(&mut self) -> Option<Result<Engine, Refusal>> {
        match self.stage {
            Stage::Done => self.engine.take().map(|engine| Ok(*engine)),
            Stage::Refused => self.refusal.take().map(Err),
            _ => None,
        }
    }

    fn ask(&mut self, loader: Loader, work: DiskOp, out: &mut Vec<Effect>) {
        let op = OpId(self.next_op);
        self.next_op += 1;
        self.ops.insert(op, loader);
        out.push(Effect::Disk { op, urgency: Urgency::Commit, work });
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.stage = Stage::Refused;
        self.refusal = Some(refusal.clone());
        self.report = Some(Err(refusal));
    }

    /// The folders above the shard's own are made, and their entries made durable.
    fn after_parents(&mut self, result: DiskResult, out: &mut Vec<Effect>) {
        if let Err(error) = result {
            return self.refuse_folders(error);
        }
        let Stage::SyncParents(step) = self.stage else { unreachable!("asked in this stage only") };
        self.stage = Stage::SyncParents(step + 1);
        match step {
            0 => self.ask(Loader::Parents, DiskOp::MakeDir { dir: DirId::Partitions }, out),
            1 if self.flushes() => self.ask(Loader::Parents, DiskOp::SyncDir { dir: DirId::Root }, out),
            _ => self.load_all(out),
        }
    }

    fn refuse_folders(&mut self, error: crate::disk::DiskError) {
        self.refuse(Refusal::new(
            "directory-io",
            format!("the folders of the data directory cannot be made: {error}"),
            "check its permissions and the free space",
        ));
    }

    fn flushes(&self) -> bool {
        self.plan.sabotage != Sabotage::NoFlushInRecovery
    }

    fn load_all(&mut self, out: &mut Vec<Effect>) {
        self.stage = Stage::Loading;
        for (at, id) in self.plan.partitions.clone().into_iter().enumerate() {
            let (load, work) = PartitionLoad::start(id, self.plan.directory_id, self.flushes());
            self.partitions.insert(at, load);
            self.ask(Loader::Partition(at), work, out);
        }
        let before = if self.plan.layout_changed() { self.plan.shards_before } else { 0 };
        let mut shards: Vec<u16> = (0..before).collect();
        if !shards.contains(&self.plan.shard.0) {
            shards.push(self.plan.shard.0);
        }
        for shard in shards {
            let (load, work) = JournalLoad::start(ShardId(shard), self.flushes());
            self.journals.insert(shard, load);
            self.ask(Loader::Journal(shard), work, out);
        }
    }

    fn after_load(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.stage != Stage::Loading || !self.partitions.is_empty() || !self.journals.is_empty() {
            return;
        }
        // An earlier life may have made the folders and died before their entries were durable.
        if self.flushes() && self.plan.sabotage != Sabotage::NoDirectorySync {
            self.stage = Stage::SyncFolders(0);
            return self.ask(Loader::Parents, DiskOp::SyncDir { dir: DirId::Journals }, out);
        }
        self.after_sync(now, out);
    }

    fn after_folder(&mut self, now: Timestamp, result: DiskResult, out: &mut Vec<Effect>) {
        if let Err(error) = result {
            return self.refuse_folders(error);
        }
        if self.stage == Stage::SyncFolders(0) {
            self.stage = Stage::SyncFolders(1);
            return self.ask(Loader::Parents, DiskOp::SyncDir { dir: DirId::Partitions }, out);
        }
        self.after_sync(now, out);
    }

    /// Everything is read, and everything that was read is durable.
    fn after_sync(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        match self.rebuild(now) {
            Ok(engine) => self.engine = Some(Box::new(engine)),
            Err(refusal) => return self.refuse(refusal),
        }
        self.journals_loaded.clear();
        let engine = self.engine.as_mut().expect("just set");
        engine.continue_ops_from(self.next_op);
        if self.plan.layout_changed() {
            self.stage = Stage::Folding;
            engine.begin_fold(out);
            return self.after_engine(now, out);
        }
        if engine.has_no_room_for_fence() {
            self.stage = Stage::Folding;
            engine.begin_checkpoint(out);
            return self.after_engine(now, out);
        }
        self.prepare_or_report(out);
    }

    /// Judges the journals, takes over the segments' streams, replays.
    fn rebuild(&mut self, now: Timestamp) -> Result<Engine, Refusal> {
        let mut engine = Engine::new(&self.plan, self.limits.clone());
        let own = self.plan.shard.0;
        let scans: BTreeMap<u16, Scans> =
            self.journals_loaded.iter().map(|(&shard, files)| (shard, self.scan(files))).collect();
        let shards = if self.plan.layout_changed() { 0..self.plan.shards_before } else { own..own + 1 };
        let mut verdicts = Vec::new();
        for shard in shards {
            let files = self.journals_loaded.get(&shard).map_or(&[][..], Vec::as_slice);
            let scans = scans.get(&shard).map_or(&[][..], Vec::as_slice);
            verdicts.push(self.judge(shard, files, scans)?);
        }
        self.restore_partitions(&mut engine, &JournalCover::of(verdicts.iter()))?;
        for verdict in &verdicts {
            self.replay(now, &mut engine, verdict)?;
        }
        let own_scans = scans.get(&own).map_or(&[][..], Vec::as_slice);
        let lengths = lengths(self.journals_loaded.get(&own).map_or(&[], Vec::as_slice));
        match verdicts.as_slice() {
            [verdict] if !self.plan.layout_changed() => {
                let files: Vec<(u64, Option<u64>)> =
                    lengths.iter().map(|&(slot, len)| (len, last_group(own_scans, slot))).collect();
                engine.journal.restore(&verdict.tail, verdict.replay_from, &files);
            }
            _ => engine.journal_of_new_layout(own_scans, &lengths),
        }
        engine.finish_replay();
        Ok(engine)
    }

    /// Decides about the segments and takes over those that are used.
    fn restore_partitions(&mut self, engine: &mut Engine, journal: &JournalCover) -> Result<(), Refusal> {
        for (at, mut loaded) in std::mem::take(&mut self.partitions_loaded) {
            let mut settled = settle(&mut loaded, journal)?;
            self.notices.append(&mut settled.notices);
            if let (true, Some(text)) = (self.plan.strict, settled.damage.first()) {
                return Err(damage_refusal("segment-damaged", text.clone()));
            }
            engine.restore_partition(at, &loaded, settled);
        }
        Ok(())
    }

    fn scan(&self, files: &[LoadedFile]) -> Scans {
        files.iter().map(|loaded| (loaded.file.slot, loaded.file.scan(self.plan.directory_id))).collect()
    }

    fn judge(&self, shard: u16, files: &[LoadedFile], scans: &[(u16, FileScan)]) -> Result<Verdict, Refusal> {
        let mark = self.plan.marks.get(usize::from(shard)).copied();
        let mark = JournalMark {
            durable: mark.map_or(0, |mark| mark.durable),
            replay_from: mark.map_or(1, |mark| mark.replay_from),
            slots: mark.map_or(0, |mark| mark.slots),
            epoch: self.plan.epoch_before,
        };
        let sabotage = self.plan.sabotage;
        let rules =
            Rules { chain: sabotage != Sabotage::NoChain, durable_upto: sabotage != Sabotage::NoDurableUpto };
        let place = |slot: u16, offset: u64| {
            let file = files.iter().find(|loaded| loaded.file.slot == slot);
            file.map_or(Place::Blank, |loaded| loaded.file.place(offset))
        };
        judge(scans, mark, rules, &place).map_err(|refusal| journal_refusal(ShardId(shard), &refusal))
    }

    fn after_engine(&mut self, _now: Timestamp, out: &mut Vec<Effect>) {
        let engine = self.engine.as_mut().expect("an engine is being prepared");
        if engine.is_failed() {
            return self.refuse(Refusal::new(
                "fence-failed",
                "the journal could not be written while starting",
                "check the disk's health and the free space, then start again",
            ));
        }
        // While the fence is on its way, the next file may fail: the engine tries again when it serves.
        let goes_on = self.stage == Stage::Arming && (engine.flying.is_some() || engine.is_serving());
        if engine.full_retry_at.is_some() && !goes_on {
            return self.refuse(Refusal::new(
                "storage-full",
                "no room for the journal, or to fold the journals of another number of cores into segments",
                "free some space, or start with the former number of cores",
            ));
        }
        match self.stage {
            Stage::Folding => {
                engine.step_checkpoint(out);
                if engine.checkpoint.is_none() && !engine.has_dirty_partitions() {
                    self.prepare_or_report(out);
                }
            }
            Stage::Preparing => self.prepare_or_report(out),
            _ => self.check_armed(out),
        }
    }

    fn prepare_or_report(&mut self, out: &mut Vec<Effect>) {
        let engine = self.engine.as_mut().expect("recovered");
        if engine.journal.prepared_count() > 0 {
            return self.make_report();
        }
        self.stage = Stage::Preparing;
        engine.prepare_slot(out);
    }

    fn check_armed(&mut self, _out: &mut [Effect]) {
        let engine = self.engine.as_ref().expect("an engine is being armed");
        if self.stage == Stage::Arming && engine.phase == Phase::Serving {
            self.stage = Stage::Done;
        }
    }

    fn make_report(&mut self) {
        self.stage = Stage::Reported;
        let engine = self.engine.as_ref().expect("recovered");
        self.report = Some(Ok(ShardReport {
            shard: self.plan.shard,
            mark: engine.mark(),
            events_replayed: self.events_replayed,
            streams: engine.streams_existing,
            notices: std::mem::take(&mut self.notices),
        }));
    }
}

/// What was found in the files of one journal, by slot.
type Scans = Vec<(u16, FileScan)>;

/// Length of each file by slot, up to the first hole: the ring is dense, and what lies behind a hole is
/// from a preparation that a crash cut short.
fn lengths(files: &[LoadedFile]) -> Vec<(u16, u64)> {
    let dense = files.iter().enumerate().take_while(|(at, loaded)| *at == usize::from(loaded.file.slot));
    dense.map(|(_, loaded)| (loaded.file.slot, loaded.len)).collect()
}

/// The highest group number in a file.
pub(crate) fn last_group(scans: &[(u16, FileScan)], slot: u16) -> Option<u64> {
    let scan = &scans.iter().find(|(found, _)| *found == slot)?.1;
    scan.groups.iter().map(|group| group.header.number).max()
}

/// What `--strict` says of damage in acknowledged data.
pub(crate) fn damage_refusal(code: &'static str, text: String) -> Refusal {
    let next = "start without --strict to serve the rest (readers are told the gap), or restore a backup";
    Refusal::new(code, text, next)
}

fn journal_refusal(shard: ShardId, refusal: &JournalRefusal) -> Refusal {
    let at = |slot: u16| FileId::Journal { shard, slot };
    let salvage = "copy out what is good with `millrace inspect DIR --salvage OUT`, or restore the whole \
                   directory from one backup";
    let text = refusal.to_string();
    match *refusal {
        JournalRefusal::MissingFile { slot } => {
            Refusal::new("journal-missing", text, salvage).at(at(slot), None)
        }
        JournalRefusal::Misplaced { found, .. } => {
            Refusal::new("journal-misplaced", text, salvage).at(at(found.0), Some(found.1))
        }
        JournalRefusal::BeyondEnd { .. } => Refusal::new("journal-beyond-end", text, salvage),
        JournalRefusal::Foreign { at: place } => {
            Refusal::new("journal-foreign", text, salvage).at(at(place.0), Some(place.1))
        }
        JournalRefusal::Unknown { at: place, .. } => {
            let next = "the directory was written by a newer program: use that one";
            Refusal::new("journal-unknown", text, next).at(at(place.0), Some(place.1))
        }
        JournalRefusal::Mixed { at: place, .. } => {
            Refusal::new("journal-mixed", text, salvage).at(at(place.0), Some(place.1))
        }
        JournalRefusal::EpochBehind { .. } => {
            Refusal::new("epoch-behind", text, salvage).at(FileId::Epoch, Some(0))
        }
    }
}

/// A replayed batch, ready to be applied.
pub(crate) fn sealed(partition: usize, header: commitlog::BatchHeader, change: Change) -> SealedBatch {
    SealedBatch { partition, header, bytes: bytes::Bytes::new(), change }
}
