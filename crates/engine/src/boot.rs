//! Opening a data directory: IDENTITY, EPOCH, and the order in which the shards come to life.
//!
//! One [`Boot`] per process. It reads who the directory is and which life was the last, gives each shard its
//! plan, and when all have recovered makes the new epoch durable before any of them may write. A new
//! directory is created here; what stands in the way of opening one is a [`Refusal`].

mod epoch;

use crate::command::Effect;
use crate::disk::{DirId, DiskDone, DiskErrorKind, DiskOp, DiskResult, FileId, OpId, Urgency, WriteBody};
use crate::plan::{ShardPlan, ShardReport};
use crate::refusal::Refusal;
use crate::sabotage::Sabotage;
use bytes::Bytes;
use commitlog::{
    EPOCH_SHARDS_MAX, EPOCH_SLOT_BYTES, EpochChoice, EpochMark, IDENTITY_BYTES, Identity, ShardMark,
    choose_epoch,
};
use types::{CoreId, HASH_NAME, PartitionId, ServerEpoch, ShardId, Timestamp};

/// What a boot must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootConfig {
    /// Random; the id of the directory if it has to be created.
    pub directory_id_new: u128,
    /// Random; the id of the node if the directory has to be created.
    pub node_id_new: u128,
    /// Partitions of a new directory; an existing one must have as many, unless this is 0.
    pub partition_count: u16,
    /// Shards of this life, one per core.
    pub shard_count: u16,
    /// Now.
    pub now: Timestamp,
    /// Version of this program, for the identity of a new directory.
    pub writer_version: String,
    /// Refuse to start on damage in acknowledged data instead of serving the rest.
    pub strict: bool,
    /// A planted fault; `None` in every real server.
    pub sabotage: Sabotage,
}

/// The directory's state machine.
#[derive(Debug)]
pub struct Boot {
    config: BootConfig,
    stage: Stage,
    next_op: u64,
    identity: Option<Identity>,
    epoch: Option<EpochMark>,
    epoch_file_exists: bool,
    writes: Vec<(u64, Bytes)>,
    plans: Option<Result<Vec<ShardPlan>, Refusal>>,
    armed: Option<Result<ServerEpoch, Refusal>>,
    notices: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    MakeRoot,
    List { identity: bool, epoch: bool },
    FlushIdentity { epoch: bool },
    ReadIdentity { epoch: bool },
    FlushEpoch,
    ReadEpoch,
    Create(u8),
    Planned,
    EpochCreate { stop: bool },
    EpochWrite { stop: bool },
    EpochFlush { stop: bool },
    EpochSyncDir { stop: bool },
    Armed,
    Sealed,
    Refused,
}

impl Boot {
    /// A boot that has not begun.
    ///
    /// # Panics
    /// When there is no shard, or more than the EPOCH file can hold.
    pub fn new(config: BootConfig) -> Boot {
        assert!((1..=EPOCH_SHARDS_MAX).contains(&usize::from(config.shard_count)), "1 to 200 shards");
        Boot {
            config,
            stage: Stage::Begin,
            next_op: 1,
            identity: None,
            epoch: None,
            epoch_file_exists: false,
            writes: Vec::new(),
            plans: None,
            armed: None,
            notices: Vec::new(),
        }
    }

    /// Begins.
    pub fn handle_start(&mut self, out: &mut Vec<Effect>) {
        assert_eq!(self.stage, Stage::Begin);
        self.ask(Stage::MakeRoot, DiskOp::MakeDir { dir: DirId::Root }, out);
    }

    /// An operation is done.
    pub fn handle_disk(&mut self, _op: OpId, result: DiskResult, out: &mut Vec<Effect>) {
        match self.stage {
            Stage::MakeRoot => self.made_root(result, out),
            Stage::List { .. } => self.listed(result, out),
            Stage::FlushIdentity { epoch } => {
                let work = DiskOp::Read { file: FileId::Identity, offset: 0, len: IDENTITY_BYTES };
                self.step(result, Stage::ReadIdentity { epoch }, work, out);
            }
            Stage::ReadIdentity { epoch } => self.read_identity(epoch, result, out),
            Stage::FlushEpoch => {
                let work = DiskOp::Read { file: FileId::Epoch, offset: 0, len: 2 * EPOCH_SLOT_BYTES };
                self.step(result, Stage::ReadEpoch, work, out);
            }
            Stage::ReadEpoch => self.read_epoch(result),
            Stage::Create(step) => self.created(step, result, out),
            Stage::EpochCreate { stop }
            | Stage::EpochWrite { stop }
            | Stage::EpochFlush { stop }
            | Stage::EpochSyncDir { stop } => self.epoch_step(stop, result, out),
            Stage::Begin | Stage::Planned | Stage::Armed | Stage::Sealed | Stage::Refused => {
                unreachable!("nothing was asked in {:?}", self.stage)
            }
        }
    }

    /// The shards' plans, once, when the directory is open or refused.
    pub fn take_plans(&mut self) -> Option<Result<Vec<ShardPlan>, Refusal>> {
        self.plans.take()
    }

    /// All shards have recovered: makes the new epoch durable.
    pub fn handle_recovered(&mut self, reports: &[ShardReport], out: &mut Vec<Effect>) {
        assert_eq!(self.stage, Stage::Planned);
        let marks: Vec<ShardMark> = (0..self.config.shard_count)
            .map(|shard| {
                let report = reports.iter().find(|report| report.shard == ShardId(shard));
                report.expect("every shard reports").mark
            })
            .collect();
        let epoch = ServerEpoch(self.epoch.as_ref().map_or(0, |mark| mark.epoch.0) + 1);
        self.write_epoch(epoch, false, marks, false, out);
    }

    /// The new epoch, once, when it is durable.
    pub fn take_armed(&mut self) -> Option<Result<ServerEpoch, Refusal>> {
        self.armed.take()
    }

    /// All shards are sealed: writes down that the stop was clean.
    pub fn handle_stopped(&mut self, marks: Vec<ShardMark>, out: &mut Vec<Effect>) {
        assert_eq!(self.stage, Stage::Armed);
        let epoch = self.epoch.as_ref().expect("armed with an epoch").epoch;
        self.write_epoch(epoch, true, marks, true, out);
    }

    /// Whether the clean stop is on disk.
    pub fn is_sealed(&self) -> bool {
        self.stage == Stage::Sealed
    }

    /// Whether the directory was refused.
    pub fn is_refused(&self) -> bool {
        self.stage == Stage::Refused
    }

    /// What an operator should know, once.
    pub fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// The directory's identity, when it is known.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    fn ask(&mut self, stage: Stage, work: DiskOp, out: &mut Vec<Effect>) {
        self.stage = stage;
        let op = OpId(self.next_op);
        self.next_op += 1;
        out.push(Effect::Disk { op, urgency: Urgency::Commit, work });
    }

    fn refuse(&mut self, refusal: Refusal) {
        let before_plans = matches!(
            self.stage,
            Stage::MakeRoot
                | Stage::List { .. }
                | Stage::FlushIdentity { .. }
                | Stage::ReadIdentity { .. }
                | Stage::FlushEpoch
                | Stage::ReadEpoch
                | Stage::Create(_)
        );
        self.stage = Stage::Refused;
        if before_plans {
            self.plans = Some(Err(refusal));
        } else {
            self.armed = Some(Err(refusal));
        }
    }

    /// Goes on to `next` when the operation succeeded.
    fn step(&mut self, result: DiskResult, next: Stage, work: DiskOp, out: &mut Vec<Effect>) {
        match result {
            Ok(_) => self.ask(next, work, out),
            Err(error) => self.refuse_io(error),
        }
    }

    fn refuse_io(&mut self, error: crate::disk::DiskError) {
        let refusal = Refusal::new(
            "directory-io",
            format!("the data directory cannot be opened: {error}"),
            "check its permissions, the free space and the disk's health",
        );
        self.refuse(refusal);
    }

    fn made_root(&mut self, result: DiskResult, out: &mut Vec<Effect>) {
        let stage = Stage::List { identity: false, epoch: false };
        self.step(result, stage, DiskOp::List { dir: DirId::Root }, out);
    }

    fn listed(&mut self, result: DiskResult, out: &mut Vec<Effect>) {
        let files = match result {
            Ok(DiskDone::Listing(files)) => files,
            Ok(_) => Vec::new(),
            Err(error) => return self.refuse_io(error),
        };
        let has = |wanted: FileId| files.iter().any(|found| found.file == wanted);
        self.epoch_file_exists = has(FileId::Epoch);
        match (has(FileId::Identity), has(FileId::Epoch)) {
            (true, epoch) => {
                let work = DiskOp::Flush { file: FileId::Identity };
                self.ask(Stage::FlushIdentity { epoch }, work, out);
            }
            (false, false) => self.ask(Stage::Create(0), DiskOp::Create { file: FileId::Identity }, out),
            (false, true) => self.refuse(
                Refusal::new(
                    "identity-missing",
                    "the directory has an EPOCH file but no IDENTITY: files are missing",
                    "restore IDENTITY from a backup of this directory, or start with an empty directory",
                )
                .at(FileId::Identity, None),
            ),
        }
    }

    fn read_identity(&mut self, epoch: bool, result: DiskResult, out: &mut Vec<Effect>) {
        let bytes = match result {
            Ok(DiskDone::Bytes(bytes)) => bytes,
            Ok(_) => Bytes::new(),
            Err(error) => return self.refuse_io(error),
        };
        match Identity::decode(&bytes) {
            Ok(found) => {
                if let Some((copy, error)) = found.damaged_copy {
                    let text = format!("copy {copy} of IDENTITY is damaged ({error}); the other one is used");
                    self.notices.push(text);
                }
                if let Err(refusal) = self.check_identity(&found.identity) {
                    return self.refuse(refusal);
                }
                self.identity = Some(found.identity);
                if epoch {
                    self.ask(Stage::FlushEpoch, DiskOp::Flush { file: FileId::Epoch }, out);
                } else {
                    self.plan(None);
                }
            }
            // Without an EPOCH file nothing was ever served: the creation was cut short.
            Err(_) if !epoch => self.ask(Stage::Create(1), self.identity_write(), out),
            Err(error) => self.refuse(
                Refusal::new(
                    "identity-damaged",
                    format!("IDENTITY cannot be read: {error}"),
                    "restore IDENTITY from a backup; if the error names a newer format, use the newer \
                     program",
                )
                .at(FileId::Identity, Some(0)),
            ),
        }
    }

    fn check_identity(&self, identity: &Identity) -> Result<(), Refusal> {
        let wanted = self.config.partition_count;
        if wanted != 0 && wanted != identity.partition_count {
            return Err(Refusal::new(
                "partition-count",
                format!("the directory has {} partitions, {wanted} were asked for", identity.partition_count),
                "leave the option out: the number of partitions is fixed when a directory is created",
            ));
        }
        if identity.hash_name != HASH_NAME {
            return Err(Refusal::new(
                "hash-name",
                format!(
                    "the directory places streams by {}, this program by {HASH_NAME}",
                    identity.hash_name
                ),
                "use the program that wrote the directory",
            ));
        }
        if self.config.shard_count > identity.partition_count {
            return Err(Refusal::new(
                "too-many-cores",
                format!(
                    "{} cores for a directory of {} partitions: some would have nothing to do",
                    self.config.shard_count, identity.partition_count
                ),
                "start with fewer cores",
            ));
        }
        Ok(())
    }

    fn read_epoch(&mut self, result: DiskResult) {
        let bytes = match result {
            Ok(DiskDone::Bytes(bytes)) => bytes,
            Ok(_) => Bytes::new(),
            Err(error) => return self.refuse_io(error),
        };
        let id = self.identity.as_ref().expect("read before").directory_id;
        let part = |slot: usize| {
            let start = (slot * EPOCH_SLOT_BYTES).min(bytes.len());
            let end = (start + EPOCH_SLOT_BYTES).min(bytes.len());
            &bytes[start..end]
        };
        let slots = [0_u8, 1].map(|slot| EpochMark::read_slot(part(usize::from(slot)), slot, id));
        let [slot0, slot1] = slots;
        match choose_epoch(slot0, slot1) {
            EpochChoice::Missing | EpochChoice::TornAtBirth(_) => self.plan(None),
            EpochChoice::Newest(mark) => self.plan(Some(mark)),
            EpochChoice::Survivor { value, lost } => {
                let why = lost.map_or_else(|| "it is empty".to_owned(), |error| error.to_string());
                self.notices.push(format!("one slot of EPOCH cannot be read ({why}); the other one is used"));
                self.plan(Some(value));
            }
            EpochChoice::Damaged { slot0, slot1 } => {
                let error = slot0.or(slot1).map_or_else(String::new, |error| error.to_string());
                self.refuse(
                    Refusal::new(
                        "epoch-damaged",
                        format!("EPOCH cannot be read: {error}"),
                        "restore EPOCH from a backup made after the last stop, or salvage the directory with \
                         `millrace inspect --salvage`",
                    )
                    .at(FileId::Epoch, Some(0)),
                );
            }
        }
    }

    fn identity_write(&self) -> DiskOp {
        let identity = Identity {
            format: commitlog::DIRECTORY_FORMAT,
            incompatible_features: 0,
            directory_id: self.config.directory_id_new,
            node_id: self.config.node_id_new,
            cluster_id: 0,
            partition_count: match self.config.partition_count {
                0 => types::PARTITION_COUNT_DEFAULT,
                count => count,
            },
            hash_name: HASH_NAME.to_owned(),
            created: self.config.now,
            writer_version: self.config.writer_version.clone(),
        };
        DiskOp::Write { file: FileId::Identity, offset: 0, body: WriteBody::new(vec![identity.encode()]) }
    }

    /// Steps of a creation: create, write, flush, sync, make the two folders, sync.
    fn created(&mut self, step: u8, result: DiskResult, out: &mut Vec<Effect>) {
        let whole = !matches!(&result, Ok(DiskDone::Written(count)) if *count < IDENTITY_BYTES);
        match result {
            Ok(_) if whole => {}
            Ok(_) => return self.ask(Stage::Create(step), self.identity_write(), out),
            Err(error) if step == 0 && error.kind == DiskErrorKind::Exists => {}
            Err(error) => return self.refuse_io(error),
        }
        let next = Stage::Create(step + 1);
        match step {
            0 => self.ask(next, self.identity_write(), out),
            1 => self.ask(next, DiskOp::Flush { file: FileId::Identity }, out),
            2 => self.ask(next, DiskOp::MakeDir { dir: DirId::Journals }, out),
            3 => self.ask(next, DiskOp::MakeDir { dir: DirId::Partitions }, out),
            4 => self.ask(next, DiskOp::SyncDir { dir: DirId::Root }, out),
            _ => {
                let DiskOp::Write { body, .. } = self.identity_write() else { unreachable!("it is a write") };
                let decoded = Identity::decode(&body.parts[0]).expect("just encoded");
                if let Err(refusal) = self.check_identity(&decoded.identity) {
                    return self.refuse(refusal);
                }
                self.identity = Some(decoded.identity);
                self.plan(None);
            }
        }
    }

    /// Gives every shard its partitions: contiguous ranges of a table.
    fn plan(&mut self, mark: Option<EpochMark>) {
        let identity = self.identity.as_ref().expect("read or created before");
        let (count, shards) = (identity.partition_count, self.config.shard_count);
        if let Err(refusal) = self.check_identity(identity) {
            return self.refuse(refusal);
        }
        let plans = (0..shards).map(|shard| ShardPlan {
            shard: ShardId(shard),
            core: CoreId(shard),
            partitions: (0..count)
                .filter(|&p| u32::from(p) * u32::from(shards) / u32::from(count) == u32::from(shard))
                .map(PartitionId)
                .collect(),
            partition_count: count,
            directory_id: identity.directory_id,
            shards_before: mark.as_ref().map_or(0, |mark| mark.shard_count),
            shards_now: shards,
            epoch_before: mark.as_ref().map_or(ServerEpoch(0), |mark| mark.epoch),
            marks: mark.as_ref().map_or_else(Vec::new, |mark| mark.shards.clone()),
            strict: self.config.strict,
            sabotage: self.config.sabotage,
        });
        self.plans = Some(Ok(plans.collect()));
        self.epoch = mark;
        self.stage = Stage::Planned;
    }
}
