//! An engine of one shard on a disk in memory: what `src/shard` does, without its world.
//!
//! The cases of `cases/engine` drive it. Every operation is done as soon as it is asked for, in order.
//! The disk answers without work of its own while a case is measured: what is written is forgotten unless
//! the case reads it later, and a read is a view, not a copy.

use bytes::{Bytes, BytesMut};
use engine::{
    Boot, BootConfig, Command, DiskDone, DiskError, DiskErrorKind, DiskOp, DiskResult, Effect, Engine,
    FileId, Recovery, Reply, ReplyTo, Sabotage,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::{CoreId, Limits, Timestamp};

/// Partitions of a directory unless it is configured.
const PARTITION_COUNT: u16 = 64;

/// Limits under which no case meets a checkpoint, a merge or the end of a journal file by the way.
pub(crate) fn wide_limits() -> Limits {
    Limits {
        journal_file_bytes: 1 << 30,
        memory_bytes_max: 1 << 30,
        segments_max: 100_000,
        ..Limits::default()
    }
}

#[derive(Debug, Default)]
struct Disk {
    files: BTreeMap<FileId, Content>,
    dirs: BTreeSet<engine::DirId>,
    /// Segments are kept, to be read.
    is_keeping: bool,
}

#[derive(Debug)]
enum Content {
    Written(BytesMut),
    Read(Bytes),
}

impl Disk {
    fn execute(&mut self, work: &DiskOp) -> DiskResult {
        match work {
            DiskOp::MakeDir { dir } => {
                self.dirs.insert(*dir);
                Ok(DiskDone::Done)
            }
            DiskOp::Create { file } => {
                self.files.insert(*file, Content::Written(BytesMut::new()));
                Ok(DiskDone::Done)
            }
            DiskOp::Write { file, offset, body } => {
                let is_kept = matches!(file, FileId::Segment { .. }) && self.is_keeping;
                if is_kept && let Some(Content::Written(content)) = self.files.get_mut(file) {
                    let start = usize::try_from(*offset).expect("a bench's files are small");
                    content.resize(content.len().max(start + body.padded_len), 0);
                    body.copy_to(&mut content[start..start + body.padded_len]);
                }
                Ok(DiskDone::Written(body.padded_len))
            }
            DiskOp::Read { file, offset, len } => Ok(DiskDone::Bytes(self.read(file, *offset, *len)?)),
            DiskOp::Remove { file } => {
                self.files.remove(file);
                Ok(DiskDone::Done)
            }
            DiskOp::Flush { .. } | DiskOp::SyncDir { .. } => Ok(DiskDone::Done),
            DiskOp::List { dir } if self.dirs.contains(dir) => Ok(DiskDone::Listing(Vec::new())),
            DiskOp::List { .. } => not_found(),
        }
    }

    fn read(&mut self, file: &FileId, offset: u64, len: usize) -> Result<Bytes, DiskError> {
        let Some(content) = self.files.get_mut(file) else { return not_found() };
        if let Content::Written(written) = content {
            *content = Content::Read(std::mem::take(written).freeze());
        }
        let Content::Read(bytes) = content else { return not_found() };
        let start = usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()));
        Ok(bytes.slice(start..(start + len).min(bytes.len())))
    }
}

fn not_found<T>() -> Result<T, DiskError> {
    Err(DiskError { kind: DiskErrorKind::NotFound, errno: 2 })
}

/// A serving engine, its disk, and what it said.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    disk: Disk,
    now: Timestamp,
    effects: Vec<Effect>,
    queue: VecDeque<Effect>,
    next_request: u64,
    /// Answers to appends.
    pub(crate) appended: u64,
    /// Events of read replies.
    pub(crate) read: u64,
    /// Events of deliveries.
    pub(crate) delivered: u64,
}

impl Server {
    /// A first life in an empty directory.
    pub(crate) fn new(limits: Limits) -> Server {
        limits.check().expect("a case's limits hold their relations");
        let (mut disk, now) = (Disk::default(), Timestamp(1_700_000_000_000));
        let engine = open(&mut disk, limits, now);
        Server {
            engine,
            disk,
            now,
            effects: Vec::new(),
            queue: VecDeque::new(),
            next_request: 0,
            appended: 0,
            read: 0,
            delivered: 0,
        }
    }

    /// From now on segments are kept, or not.
    pub(crate) fn keep_segments(&mut self, is_keeping: bool) {
        self.disk.is_keeping = is_keeping;
    }

    /// The address of the next answer.
    pub(crate) fn reply_to(&mut self) -> ReplyTo {
        self.next_request += 1;
        ReplyTo { core: CoreId(0), request: self.next_request }
    }

    /// Hands a command in; the next turn commits it.
    pub(crate) fn hand_in(&mut self, command: Command) {
        self.engine.handle_command(self.now, command, &mut self.effects);
    }

    /// One turn of the driver and all disk operations that follow from it; whether there were any effects.
    pub(crate) fn turn(&mut self) -> bool {
        self.engine.handle_turn(self.now, &mut self.effects);
        let is_moving = !self.effects.is_empty();
        self.complete();
        is_moving
    }

    /// Turns until nothing moves: a completion brings the next turn, as in the shell.
    pub(crate) fn settle(&mut self) {
        while self.turn() || self.engine.wants_turn() {}
    }

    /// Does what the engine asked for, in order, and what it asks for then.
    fn complete(&mut self) {
        self.queue.extend(self.effects.drain(..));
        while let Some(effect) = self.queue.pop_front() {
            match effect {
                Effect::Disk { op, work, .. } => {
                    let result = self.disk.execute(&work);
                    drop(work);
                    self.engine.handle_disk(self.now, op, result, &mut self.effects);
                    self.queue.extend(self.effects.drain(..));
                }
                Effect::Reply { reply, .. } => self.take_reply(&reply),
                Effect::Deliver(delivery) => {
                    if let engine::Change::Records(records) = &delivery.change {
                        self.delivered += records.len() as u64;
                    }
                }
                Effect::Fatal(fatal) => panic!("the disk in memory never fails: {fatal:?}"),
                Effect::Notice(text) => panic!("nothing is out of order: {text}"),
            }
        }
    }

    fn take_reply(&mut self, reply: &Reply) {
        match reply {
            Reply::Appended(appended) => self.appended += u64::from(appended.count),
            Reply::Read(read) => self.read += read.records.len() as u64,
            Reply::Watching { .. } => {}
            other => panic!("no case asks for {other:?}"),
        }
    }
}

/// Boot, recovery of one shard, the new epoch, the fence.
fn open(disk: &mut Disk, limits: Limits, now: Timestamp) -> Engine {
    let mut boot = Boot::new(BootConfig {
        directory_id_new: 0xd1,
        node_id_new: 0x0d,
        partition_count: PARTITION_COUNT,
        shard_count: 1,
        now,
        writer_version: "bench".to_owned(),
        strict: false,
        sabotage: Sabotage::None,
    });
    let mut out = Vec::new();
    boot.handle_start(&mut out);
    run_boot(&mut boot, disk, &mut out);
    let mut plans = boot.take_plans().expect("the boot ends").expect("an empty directory opens");
    let mut recovery = Recovery::new(plans.remove(0), limits);
    recovery.handle_start(&mut out);
    run_recovery(&mut recovery, disk, now, &mut out);
    let report = recovery.take_report().expect("recovery ends").expect("nothing is damaged");
    boot.handle_recovered(&[report], &mut out);
    run_boot(&mut boot, disk, &mut out);
    let epoch = boot.take_armed().expect("the boot ends").expect("the epoch is written");
    recovery.handle_epoch(epoch, &mut out);
    run_recovery(&mut recovery, disk, now, &mut out);
    recovery.take_engine().expect("the fence is written").expect("the fence is written")
}

fn run_boot(boot: &mut Boot, disk: &mut Disk, out: &mut Vec<Effect>) {
    while let Some(effect) = out.pop() {
        if let Effect::Disk { op, work, .. } = effect {
            boot.handle_disk(op, disk.execute(&work), out);
        }
    }
}

fn run_recovery(recovery: &mut Recovery, disk: &mut Disk, now: Timestamp, out: &mut Vec<Effect>) {
    loop {
        while let Some(effect) = out.pop() {
            if let Effect::Disk { op, work, .. } = effect {
                let result = disk.execute(&work);
                recovery.handle_disk(now, op, result, out);
            }
        }
        if !recovery.wants_turn() {
            return;
        }
        recovery.handle_turn(now, out);
    }
}
