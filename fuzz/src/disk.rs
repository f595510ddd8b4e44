//! A disk in memory that never fails, and a server of one shard that lives on it.
//!
//! Every operation is carried out at once and in order, so a life is a plain function of the disk's content
//! and of the commands. The fuzz target damages the content between two lives; the faults of disks in use
//! are `sim`'s affair.

use bytes::Bytes;
use commitlog::BLOCK_BYTES;
use engine::{
    Boot, BootConfig, Command, DirId, DiskDone, DiskError, DiskErrorKind, DiskOp, DiskResult, Effect, Engine,
    FileId, ListedFile, OpId, Recovery, Refusal, Reply, Sabotage,
};
use std::collections::{BTreeMap, VecDeque};
use types::{Limits, Timestamp};

/// The clock stands still: nothing here depends on it.
const NOW: Timestamp = Timestamp(1_000_000);
/// Turns after which a life that does not come to rest is a defect.
const TURNS_MAX: usize = 100_000;

/// Files and their content.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub files: BTreeMap<FileId, Vec<u8>>,
}

/// Small limits, so that the ring turns and segments are written within a few dozen events.
pub fn limits() -> Limits {
    let limits = Limits {
        body_bytes_max: 1024,
        append_events_max: 8,
        journal_file_bytes: 12 * BLOCK_BYTES,
        journal_files_max: 4,
        group_bytes_target: BLOCK_BYTES,
        pending_bytes_max: 24 * 1024,
        memory_bytes_max: 16 * 1024,
        chunk_bytes_max: BLOCK_BYTES,
        segments_max: 2,
        footer_cache_bytes_max: 8 * 1024,
        chunk_cache_bytes_max: 8 * 1024,
        tail_events: 2,
        tail_bytes: 1024,
        tail_bytes_max: 4096,
        streams_max: 64,
        ..Limits::default()
    };
    limits.check().expect("the limits hold their relations");
    limits
}

impl Disk {
    fn execute(&mut self, work: DiskOp) -> DiskResult {
        let missing = DiskError { kind: DiskErrorKind::NotFound, errno: 2 };
        match work {
            DiskOp::Create { file } if self.files.contains_key(&file) => {
                Err(DiskError { kind: DiskErrorKind::Exists, errno: 17 })
            }
            DiskOp::Create { file } => {
                self.files.insert(file, Vec::new());
                Ok(DiskDone::Done)
            }
            DiskOp::Write { file, offset, body } => {
                let content = self.files.get_mut(&file).ok_or(missing)?;
                let from = usize::try_from(offset).expect("small files");
                content.resize(content.len().max(from + body.padded_len), 0);
                body.copy_to(&mut content[from..from + body.padded_len]);
                Ok(DiskDone::Written(body.padded_len))
            }
            DiskOp::Read { file, offset, len } => {
                let content = self.files.get(&file).ok_or(missing)?;
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
                let end = from.saturating_add(len).min(content.len());
                Ok(DiskDone::Bytes(Bytes::copy_from_slice(&content[from..end])))
            }
            DiskOp::Remove { file } => self.files.remove(&file).map(|_| DiskDone::Done).ok_or(missing),
            DiskOp::List { dir } => Ok(DiskDone::Listing(self.list(dir))),
            DiskOp::Flush { file } if !self.files.contains_key(&file) => Err(missing),
            DiskOp::Flush { .. } | DiskOp::MakeDir { .. } | DiskOp::SyncDir { .. } => Ok(DiskDone::Done),
        }
    }

    fn list(&self, dir: DirId) -> Vec<ListedFile> {
        let inside = self.files.iter().filter(|(file, _)| file.dir() == dir);
        inside.map(|(&file, content)| ListedFile { file, len: content.len() as u64 }).collect()
    }
}

/// A server that serves.
pub struct Server {
    pub disk: Disk,
    boot: Boot,
    engine: Engine,
}

impl Server {
    /// Opens the directory on `disk`.
    ///
    /// # Errors
    /// The refusal, and the disk as it is then.
    pub fn open(mut disk: Disk, strict: bool) -> Result<Server, Refusal> {
        let mut boot = Boot::new(BootConfig {
            directory_id_new: 7,
            node_id_new: 8,
            partition_count: 0,
            shard_count: 1,
            now: NOW,
            writer_version: "fuzz".to_owned(),
            strict,
            sabotage: Sabotage::None,
        });
        let mut out = Vec::new();
        boot.handle_start(&mut out);
        run_boot(&mut disk, &mut boot, &mut out);
        let plans = boot.take_plans().expect("a boot without work has plans or a refusal")?;
        let plan = plans.into_iter().next().expect("one shard");
        let mut recovery = Recovery::new(plan, limits());
        recovery.handle_start(&mut out);
        run_recovery(&mut disk, &mut recovery, &mut out);
        let report = recovery.take_report().expect("a recovery without work has a report")?;
        boot.handle_recovered(&[report], &mut out);
        run_boot(&mut disk, &mut boot, &mut out);
        let epoch = boot.take_armed().expect("a boot without work is armed or refused")?;
        recovery.handle_epoch(epoch, &mut out);
        run_recovery(&mut disk, &mut recovery, &mut out);
        let engine = recovery.take_engine().expect("a recovery without work has an engine or a refusal")?;
        Ok(Server { disk, boot, engine })
    }

    /// Gives a command and runs until nothing is left to do; gives the answers.
    pub fn ask(&mut self, command: Command) -> Vec<Reply> {
        let mut out = Vec::new();
        self.engine.handle_command(NOW, command, &mut out);
        self.settle(out)
    }

    /// Stops cleanly: everything in segments, the directory sealed.
    pub fn stop(mut self) -> Disk {
        let mut out = Vec::new();
        self.engine.handle_stop(NOW, &mut out);
        self.settle(out);
        assert!(self.engine.is_stopped(), "an engine that has nothing left to do has stopped");
        let mut out = Vec::new();
        self.boot.handle_stopped(vec![self.engine.mark()], &mut out);
        run_boot(&mut self.disk, &mut self.boot, &mut out);
        assert!(self.boot.is_sealed());
        self.disk
    }

    fn settle(&mut self, mut out: Vec<Effect>) -> Vec<Reply> {
        let mut replies = Vec::new();
        let mut work = VecDeque::new();
        let mut wants_turn = true;
        for _ in 0..TURNS_MAX {
            for effect in out.drain(..) {
                match effect {
                    Effect::Disk { op, work: asked, .. } => work.push_back((op, asked)),
                    Effect::Reply { reply, .. } => replies.push(reply),
                    Effect::Fatal(fatal) => panic!("a disk that works is not fatal: {fatal:?}"),
                    Effect::Deliver(_) | Effect::Notice(_) => {}
                }
            }
            if let Some((op, asked)) = work.pop_front() {
                let result = self.disk.execute(asked);
                self.engine.handle_disk(NOW, op, result, &mut out);
                wants_turn = true;
            } else if wants_turn {
                self.engine.handle_turn(NOW, &mut out);
                wants_turn = self.engine.wants_turn();
            } else {
                return replies;
            }
        }
        panic!("the engine does not come to rest");
    }
}

fn run_boot(disk: &mut Disk, boot: &mut Boot, out: &mut Vec<Effect>) {
    run(disk, out, &mut |op, result, out| boot.handle_disk(op, result, out));
}

fn run_recovery(disk: &mut Disk, recovery: &mut Recovery, out: &mut Vec<Effect>) {
    for _ in 0..TURNS_MAX {
        run(disk, out, &mut |op, result, out| recovery.handle_disk(NOW, op, result, out));
        if !recovery.wants_turn() {
            return;
        }
        recovery.handle_turn(NOW, out);
    }
    panic!("a recovery does not come to rest");
}

fn run(disk: &mut Disk, out: &mut Vec<Effect>, handle: &mut dyn FnMut(OpId, DiskResult, &mut Vec<Effect>)) {
    let mut work: VecDeque<Effect> = out.drain(..).collect();
    let mut count = 0;
    while let Some(effect) = work.pop_front() {
        if let Effect::Disk { op, work: asked, .. } = effect {
            let result = disk.execute(asked);
            handle(op, result, out);
            work.extend(out.drain(..));
        }
        count += 1;
        assert!(count < TURNS_MAX, "a start does not come to rest");
    }
}
