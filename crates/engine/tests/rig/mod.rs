//! A disk in memory that never fails, and a server of one shard on it: the shortest way to a law.
//!
//! Used by the engine's own tests. Faults, crashes and several shards are the simulator's business (`sim`).
//! Every operation completes at once, in order.

#![allow(dead_code, reason = "each test binary uses a part of the rig")]

use bytes::{Bytes, BytesMut};
use engine::{
    AckLevel, Append, Appended, Boot, BootConfig, Command, Delivery, DirId, DiskDone, DiskError,
    DiskErrorKind, DiskOp, DiskResult, Effect, Engine, Fatal, FileId, ListPage, ListedFile, OpId, Read,
    ReadFrom, ReadReply, Recovery, Refusal, Reply, ReplyTo, Sabotage, ShardPlan,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::{CoreId, EventDraft, Failure, Idempotency, Limits, SeqNum, StreamKey, Timestamp};

/// Which operations a fault strikes.
pub(crate) type Picks = fn(&DiskOp) -> bool;

/// Files and folders.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) files: BTreeMap<FileId, BytesMut>,
    pub(crate) dirs: BTreeSet<DirId>,
    pub(crate) flushes: u64,
    /// Fails every write to a segment with this kind.
    pub(crate) segment_fault: Option<DiskErrorKind>,
    /// Fails every operation that the function picks with this kind.
    pub(crate) fault: Option<(Picks, DiskErrorKind)>,
    /// Writes at most so many bytes at once.
    pub(crate) write_bytes_max: Option<usize>,
    /// What was read of segments: file, offset, bytes.
    pub(crate) reads: Vec<(FileId, u64, usize)>,
}

impl Disk {
    pub(crate) fn execute(&mut self, work: &DiskOp) -> DiskResult {
        if let Some((_, kind)) = self.fault.filter(|(picks, _)| picks(work)) {
            return error(kind);
        }
        match work {
            DiskOp::MakeDir { dir } => {
                self.dirs.insert(*dir);
                Ok(DiskDone::Done)
            }
            DiskOp::Create { file } => {
                if self.files.contains_key(file) {
                    return error(DiskErrorKind::Exists);
                }
                self.files.insert(*file, BytesMut::new());
                Ok(DiskDone::Done)
            }
            DiskOp::Write { file, offset, body } => {
                if let (FileId::Segment { .. }, Some(kind)) = (file, self.segment_fault) {
                    return error(kind);
                }
                let Some(content) = self.files.get_mut(file) else { return error(DiskErrorKind::NotFound) };
                let (start, end) = (*offset as usize, *offset as usize + body.padded_len);
                if content.len() < end {
                    content.resize(end, 0);
                }
                body.copy_to(&mut content[start..end]);
                Ok(DiskDone::Written(body.padded_len.min(self.write_bytes_max.unwrap_or(usize::MAX))))
            }
            DiskOp::Flush { .. } | DiskOp::SyncDir { .. } => {
                self.flushes += 1;
                Ok(DiskDone::Done)
            }
            DiskOp::Read { file, offset, len } => {
                if matches!(file, FileId::Segment { .. }) {
                    self.reads.push((*file, *offset, *len));
                }
                let Some(content) = self.files.get(file) else { return error(DiskErrorKind::NotFound) };
                let start = (*offset as usize).min(content.len());
                let end = (start + len).min(content.len());
                Ok(DiskDone::Bytes(Bytes::copy_from_slice(&content[start..end])))
            }
            DiskOp::Remove { file } => match self.files.remove(file) {
                Some(_) => Ok(DiskDone::Done),
                None => error(DiskErrorKind::NotFound),
            },
            DiskOp::List { dir } => {
                if !self.dirs.contains(dir) {
                    return error(DiskErrorKind::NotFound);
                }
                let inside = self.files.iter().filter(|(file, _)| file.dir() == *dir);
                let listed = inside.map(|(&file, content)| ListedFile { file, len: content.len() as u64 });
                Ok(DiskDone::Listing(listed.collect()))
            }
        }
    }
}

fn error(kind: DiskErrorKind) -> DiskResult {
    Err(DiskError { kind, errno: 5 })
}

/// Small limits: a journal of 4 files of 12 blocks, chunks of a few records.
pub(crate) fn small_limits() -> Limits {
    Limits {
        body_bytes_max: 1024,
        append_events_max: 8,
        journal_file_bytes: 12 * 4096,
        journal_files_max: 4,
        pending_bytes_max: 64 << 10,
        memory_bytes_max: 1 << 20,
        chunk_bytes_max: 512,
        segments_max: 3,
        tail_events: 3,
        tail_bytes: 1024,
        tail_bytes_max: 4096,
        ..Limits::default()
    }
}

/// A server of one shard.
pub(crate) struct Rig {
    pub(crate) disk: Disk,
    pub(crate) engine: Engine,
    pub(crate) boot: Boot,
    pub(crate) now: Timestamp,
    pub(crate) limits: Limits,
    /// The next life is started with `--strict`.
    pub(crate) strict: bool,
    pub(crate) notices: Vec<String>,
    pub(crate) deliveries: Vec<Delivery>,
    /// The engine stopped itself.
    pub(crate) fatal: Option<Fatal>,
    /// Operations are held back until [`Rig::complete_one`], oldest first.
    pub(crate) is_holding: bool,
    held: VecDeque<(OpId, DiskOp)>,
    replies: BTreeMap<u64, Reply>,
    next_request: u64,
}

impl Rig {
    pub(crate) fn new() -> Rig {
        Rig::with_limits(small_limits())
    }

    pub(crate) fn with_limits(limits: Limits) -> Rig {
        Rig::open(Disk::default(), limits, Timestamp(1_000), false).expect("a fresh directory opens")
    }

    /// Opens a directory as a new life.
    pub(crate) fn open(mut disk: Disk, limits: Limits, now: Timestamp, strict: bool) -> Result<Rig, Refusal> {
        let mut notices = Vec::new();
        let (mut boot, plans) = start_boot(&mut disk, 1, now)?;
        let mut plan = plans.into_iter().next().expect("one shard");
        plan.strict = strict;
        let mut recovery = Recovery::new(plan, limits.clone());
        let mut out = Vec::new();
        recovery.handle_start(&mut out);
        run_recovery(&mut recovery, &mut disk, now, &mut out);
        let report = recovery.take_report().expect("recovery comes to an end")?;
        notices.extend(report.notices.clone());
        boot.handle_recovered(&[report], &mut out);
        run_boot(&mut boot, &mut disk, &mut out);
        let epoch = boot.take_armed().expect("armed")?;
        recovery.handle_epoch(epoch, &mut out);
        run_recovery(&mut recovery, &mut disk, now, &mut out);
        let engine = recovery.take_engine().expect("the fence is written")?;
        Ok(Rig {
            disk,
            engine,
            boot,
            now,
            limits,
            strict,
            notices,
            deliveries: Vec::new(),
            fatal: None,
            is_holding: false,
            held: VecDeque::new(),
            replies: BTreeMap::new(),
            next_request: 1,
        })
    }

    /// kill -9, and a new life.
    pub(crate) fn crash(self) -> Rig {
        self.try_crash().expect("the directory opens again")
    }

    pub(crate) fn try_crash(self) -> Result<Rig, Refusal> {
        Rig::open(self.disk, self.limits, self.now, self.strict)
    }

    /// A clean stop, and a new life.
    pub(crate) fn restart(mut self) -> Rig {
        self.stop();
        self.crash()
    }

    pub(crate) fn stop(&mut self) {
        let mut out = Vec::new();
        self.engine.handle_stop(self.now, &mut out);
        self.execute(out);
        self.settle();
        assert!(self.engine.is_stopped(), "a clean stop comes to an end");
        let mut out = Vec::new();
        self.boot.handle_stopped(vec![self.engine.mark()], &mut out);
        run_boot(&mut self.boot, &mut self.disk, &mut out);
        assert!(self.boot.is_sealed());
    }

    pub(crate) fn to(&mut self) -> ReplyTo {
        self.next_request += 1;
        ReplyTo { core: CoreId(0), request: self.next_request }
    }

    /// Hands a command in without a turn.
    pub(crate) fn hand_in(&mut self, command: Command) {
        let mut out = Vec::new();
        self.engine.handle_command(self.now, command, &mut out);
        self.execute(out);
    }

    /// Turns until nothing moves.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            let mut out = Vec::new();
            self.engine.handle_turn(self.now, &mut out);
            let quiet = out.is_empty() && !self.engine.wants_turn();
            self.execute(out);
            if quiet {
                return;
            }
        }
        panic!("the engine never comes to rest");
    }

    pub(crate) fn reply(&mut self, request: ReplyTo) -> Reply {
        self.replies.remove(&request.request).expect("every command is answered")
    }

    pub(crate) fn has_reply(&self, request: ReplyTo) -> bool {
        self.replies.contains_key(&request.request)
    }

    /// Runs one command to its answer.
    pub(crate) fn ask(&mut self, command: impl FnOnce(ReplyTo) -> Command) -> Reply {
        let to = self.to();
        self.hand_in(command(to));
        self.settle();
        self.reply(to)
    }

    pub(crate) fn append_as(&mut self, append: impl FnOnce(ReplyTo) -> Append) -> Result<Appended, Failure> {
        match self.ask(|to| Command::Append(append(to))) {
            Reply::Appended(appended) => Ok(appended),
            Reply::Failed(failure) => Err(failure),
            other => panic!("an append is not answered with {other:?}"),
        }
    }

    pub(crate) fn append(&mut self, stream: &str, payload: &str) -> Appended {
        let payload = payload.to_owned();
        self.append_as(|to| append(to, stream, &[&payload])).expect("the append is taken")
    }

    pub(crate) fn fill(&mut self, stream: &str, count: u64) {
        for n in 0..count {
            self.append(stream, &format!("{{\"n\":{n}}}"));
        }
    }

    /// How many operations are held back.
    pub(crate) fn held_count(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn read(&mut self, stream: &str, from: ReadFrom, limit: usize) -> ReadReply {
        let read = |to| Command::Read(Read { to, stream: key(stream), from, limit, bytes_max: 1 << 20 });
        match self.ask(read) {
            Reply::Read(reply) => reply,
            other => panic!("a read is not answered with {other:?}"),
        }
    }

    /// All payloads of a stream, oldest first.
    pub(crate) fn payloads(&mut self, stream: &str) -> Vec<String> {
        let reply = self.read(stream, ReadFrom::Seq(SeqNum(1)), 10_000);
        assert!(reply.at_tail);
        reply.records.iter().map(|r| String::from_utf8_lossy(r.payload()).into_owned()).collect()
    }

    pub(crate) fn list(&mut self, bucket: &str, page: ListPage) -> Vec<String> {
        let bucket = types::BucketName::parse(bucket).expect("a valid name");
        match self.ask(|to| Command::ListStreams { to, bucket, page }) {
            Reply::Streams(streams) => streams.iter().map(|s| s.key.stream.to_string()).collect(),
            other => panic!("a listing is not answered with {other:?}"),
        }
    }

    /// One turn, and nothing else.
    pub(crate) fn turn(&mut self) {
        let mut out = Vec::new();
        self.engine.handle_turn(self.now, &mut out);
        self.execute(out);
    }

    /// The oldest operation that is held back is done; false when there is none.
    pub(crate) fn complete_one(&mut self) -> bool {
        let Some((op, work)) = self.held.pop_front() else { return false };
        let result = self.disk.execute(&work);
        let mut out = Vec::new();
        self.engine.handle_disk(self.now, op, result, &mut out);
        self.execute(out);
        true
    }

    /// What was asked for of the journal is done, and nothing else that is held back.
    pub(crate) fn complete_journal(&mut self) {
        let is_journal = |(_, work): &(OpId, DiskOp)| match work {
            DiskOp::Create { file } | DiskOp::Write { file, .. } | DiskOp::Flush { file } => {
                matches!(file, FileId::Journal { .. })
            }
            DiskOp::SyncDir { dir } => matches!(dir, DirId::Journal(_)),
            _ => false,
        };
        while let Some(at) = self.held.iter().position(is_journal) {
            let wanted = self.held.remove(at).expect("its place was found");
            self.held.push_front(wanted);
            self.complete_one();
        }
    }

    pub(crate) fn execute(&mut self, effects: Vec<Effect>) {
        let mut todo: VecDeque<Effect> = effects.into();
        while let Some(effect) = todo.pop_front() {
            match effect {
                Effect::Disk { op, work, .. } if self.is_holding => self.held.push_back((op, work)),
                Effect::Disk { op, work, .. } => {
                    let result = self.disk.execute(&work);
                    let mut more = Vec::new();
                    self.engine.handle_disk(self.now, op, result, &mut more);
                    todo.extend(more);
                }
                Effect::Reply { to, reply } => {
                    assert!(self.replies.insert(to.request, reply).is_none(), "answered once");
                }
                Effect::Deliver(delivery) => self.deliveries.push(delivery),
                Effect::Fatal(fatal) => self.fatal = Some(fatal),
                Effect::Notice(text) => self.notices.push(text),
            }
        }
    }
}

pub(crate) fn start_boot(
    disk: &mut Disk,
    shards: u16,
    now: Timestamp,
) -> Result<(Boot, Vec<ShardPlan>), Refusal> {
    let mut boot = Boot::new(BootConfig {
        directory_id_new: 0xd1,
        node_id_new: 0x0d,
        partition_count: 4,
        shard_count: shards,
        now,
        writer_version: "test".to_owned(),
        strict: false,
        sabotage: Sabotage::None,
    });
    let mut out = Vec::new();
    boot.handle_start(&mut out);
    run_boot(&mut boot, disk, &mut out);
    let plans = boot.take_plans().expect("the boot comes to an end")?;
    Ok((boot, plans))
}

pub(crate) fn run_boot(boot: &mut Boot, disk: &mut Disk, out: &mut Vec<Effect>) {
    while let Some(effect) = out.pop() {
        if let Effect::Disk { op, work, .. } = effect {
            boot.handle_disk(op, disk.execute(&work), out);
        }
    }
}

pub(crate) fn run_recovery(recovery: &mut Recovery, disk: &mut Disk, now: Timestamp, out: &mut Vec<Effect>) {
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

pub(crate) fn key(stream: &str) -> StreamKey {
    StreamKey::parse("b", stream).expect("a valid name")
}

pub(crate) fn append(to: ReplyTo, stream: &str, payloads: &[&str]) -> Append {
    Append {
        to,
        stream: key(stream),
        drafts: payloads.iter().map(|p| EventDraft::json(Bytes::copy_from_slice(p.as_bytes()))).collect(),
        expect: None,
        idempotency: None,
        ack: AckLevel::Fsync,
    }
}

pub(crate) fn idempotency(name: &str, digest: u64) -> Option<Idempotency> {
    Some(Idempotency { key: Bytes::copy_from_slice(name.as_bytes()), digest })
}
