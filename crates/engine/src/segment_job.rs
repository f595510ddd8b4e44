//! Writing one segment and the manifest that names it, step by step.
//!
//! Checkpoint and merge are both such a job; they differ in their [`Source`] and in what is installed.
//! Order: create, write, flush, sync the directory, then the manifest (write, flush, sync when it is new),
//! then install. A crash at any point leaves the old manifest and a file that recovery removes.

use crate::checkpoint::MemorySource;
use crate::command::Effect;
use crate::disk::{
    DirId, DiskDone, DiskError, DiskErrorKind, DiskOp, DiskResult, FileId, Urgency, WriteBody,
};
use crate::machine::{Engine, JobKind, OpPurpose};
use crate::merge::MergeSource;
use crate::partition::SegmentFile;
use crate::sabotage::Sabotage;
use commitlog::{BLOCK_BYTES, SegmentBuilder, SegmentMeta, SegmentPiece, Trailer, slot_of};
use std::collections::VecDeque;
use types::{PartitionId, Timestamp};

/// Bytes of one segment write.
const PIECE_BYTES: usize = 1 << 20;
/// Bytes that one turn puts into a segment.
pub(crate) const SLICE_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub(crate) struct SegmentJob {
    /// Index into the shard's table of partitions.
    pub(crate) partition: usize,
    pub(crate) id: PartitionId,
    pub(crate) ordinal: u64,
    pub(crate) source: Source,
    builder: Option<SegmentBuilder>,
    pieces: VecDeque<SegmentPiece>,
    writing: Option<(u64, WriteBody)>,
    trailer: Option<Trailer>,
    manifest: Option<WriteBody>,
    stage: Stage,
    /// An operation is under way.
    pub(crate) busy: bool,
}

/// Where the records come from.
#[derive(Debug)]
pub(crate) enum Source {
    Memory(MemorySource),
    Merge(MergeSource),
}

/// What a source did in one slice.
pub(crate) enum Fed {
    /// Some records; call again.
    Some,
    /// It waits for a read.
    Read(DiskOp),
    /// It has no more.
    End,
    /// The job makes no sense any more.
    GiveUp(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Create,
    Build,
    Flush,
    SyncDir,
    ManifestCreate,
    ManifestWrite,
    ManifestFlush,
    ManifestSyncDir,
    /// Something failed: the half-written file goes.
    Abandon,
}

impl SegmentJob {
    pub(crate) fn new(
        partition: usize,
        meta: SegmentMeta,
        source: Source,
        chunk_bytes_max: usize,
    ) -> SegmentJob {
        SegmentJob {
            partition,
            id: meta.partition,
            ordinal: meta.ordinal,
            source,
            builder: Some(SegmentBuilder::new(meta, chunk_bytes_max)),
            pieces: VecDeque::new(),
            writing: None,
            trailer: None,
            manifest: None,
            stage: Stage::Create,
            busy: false,
        }
    }

    fn file(&self) -> FileId {
        FileId::Segment { partition: self.id, ordinal: self.ordinal }
    }

    /// The segment that was built.
    pub(crate) fn built(&self) -> SegmentFile {
        SegmentFile::new(self.trailer.expect("the segment is finished before it is installed"))
    }
}

/// What one step of a job asks for.
enum Step {
    Disk(DiskOp),
    /// CPU work was done, or the other job's manifest is being written: step again in another turn.
    Again,
}

/// How a job ends.
enum Ended {
    Installed,
    Abandoned,
}

impl Engine {
    /// Takes one step of the job, if it is not waiting for the disk.
    pub(crate) fn step_job(&mut self, kind: JobKind, out: &mut Vec<Effect>) {
        let Some(mut job) = self.job_mut(kind).take_if(|job| !job.busy) else { return };
        if let Step::Disk(work) = self.next_step(&mut job, out) {
            job.busy = true;
            self.disk(OpPurpose::Segment(kind), Urgency::Background, work, out);
        }
        *self.job_mut(kind) = Some(job);
    }

    fn next_step(&mut self, job: &mut SegmentJob, out: &mut Vec<Effect>) -> Step {
        let (file, id) = (job.file(), job.id);
        let manifest_slot = slot_of(self.partitions[job.partition].generation + 1);
        let manifest = FileId::Manifest { partition: id, slot: manifest_slot };
        match job.stage {
            Stage::Create => Step::Disk(DiskOp::Create { file }),
            Stage::Build => self.build_step(job, out),
            Stage::Flush => Step::Disk(DiskOp::Flush { file }),
            Stage::SyncDir | Stage::ManifestSyncDir => {
                Step::Disk(DiskOp::SyncDir { dir: DirId::Partition(id) })
            }
            Stage::ManifestCreate => {
                if self.partitions[job.partition].manifest_busy {
                    return Step::Again;
                }
                self.partitions[job.partition].manifest_busy = true;
                if self.partitions[job.partition].manifest_exists[usize::from(manifest_slot)] {
                    job.stage = Stage::ManifestWrite;
                    return self.next_step(job, out);
                }
                Step::Disk(DiskOp::Create { file: manifest })
            }
            Stage::ManifestWrite => {
                let body = match &job.manifest {
                    Some(body) => body.clone(),
                    None => WriteBody::new(vec![self.manifest_with(job).encode()]),
                };
                job.manifest = Some(body.clone());
                Step::Disk(DiskOp::Write { file: manifest, offset: 0, body })
            }
            Stage::ManifestFlush => Step::Disk(DiskOp::Flush { file: manifest }),
            Stage::Abandon => Step::Disk(DiskOp::Remove { file }),
        }
    }

    /// Writes what is ready, or puts one more slice into the builder.
    fn build_step(&mut self, job: &mut SegmentJob, out: &mut Vec<Effect>) -> Step {
        if let Some((offset, body)) = job.writing.clone() {
            return Step::Disk(DiskOp::Write { file: job.file(), offset, body });
        }
        if let Some(builder) = &mut job.builder
            && let Some(piece) = builder.take_output(PIECE_BYTES)
        {
            job.pieces.push_back(piece);
        }
        if let Some(piece) = job.pieces.pop_front() {
            let body = WriteBody { parts: piece.parts, padded_len: piece.padded_len };
            job.writing = Some((piece.offset, body.clone()));
            return Step::Disk(DiskOp::Write { file: job.file(), offset: piece.offset, body });
        }
        let Some(mut builder) = job.builder.take() else {
            job.stage = Stage::Flush;
            return Step::Disk(DiskOp::Flush { file: job.file() });
        };
        let fed = match &mut job.source {
            Source::Memory(source) => self.feed_from_memory(source, &mut builder),
            Source::Merge(source) => self.feed_from_segments(source, &mut builder),
        };
        match fed {
            Fed::Some => job.builder = Some(builder),
            Fed::Read(work) => {
                job.builder = Some(builder);
                return Step::Disk(work);
            }
            Fed::End => {
                let (pieces, summary) = builder.finish();
                job.pieces.extend(pieces);
                job.trailer = Some(summary.trailer());
            }
            Fed::GiveUp(why) => {
                out.push(Effect::Notice(why));
                job.stage = Stage::Abandon;
            }
        }
        Step::Again
    }

    /// Whether a job has something to do: it waits for no operation of its own, and not for a merge, or a
    /// checkpoint, to be done with the partition's manifest.
    pub(crate) fn job_can_step(&self, job: &SegmentJob) -> bool {
        let waits_for_manifest =
            job.stage == Stage::ManifestCreate && self.partitions[job.partition].manifest_busy;
        !job.busy && !waits_for_manifest
    }

    /// A step's operation is done.
    pub(crate) fn handle_segment(
        &mut self,
        now: Timestamp,
        kind: JobKind,
        result: DiskResult,
        out: &mut Vec<Effect>,
    ) {
        let mut job = self.job_mut(kind).take().expect("an operation belongs to a job");
        job.busy = false;
        match self.after_step(now, &mut job, result, out) {
            Some(Ended::Installed) => {
                self.partitions[job.partition].manifest_busy = false;
                self.install(job, out);
            }
            Some(Ended::Abandoned) => self.abandoned(job),
            None => *self.job_mut(kind) = Some(job),
        }
    }

    fn after_step(
        &mut self,
        now: Timestamp,
        job: &mut SegmentJob,
        result: DiskResult,
        out: &mut Vec<Effect>,
    ) -> Option<Ended> {
        // A merge's own reads are judged by the merge.
        if let (Stage::Build, None, Source::Merge(source)) = (job.stage, &job.writing, &mut job.source)
            && source.is_reading()
        {
            self.merge_read(job.partition, source, result);
            return None;
        }
        let done = match result {
            Ok(done) => done,
            Err(error) => return self.step_failed(now, job, error, out),
        };
        job.stage = match job.stage {
            Stage::Create => Stage::Build,
            Stage::Build => {
                written(&mut job.writing, &done);
                Stage::Build
            }
            Stage::Flush if self.planted.is(Sabotage::NoDirectorySync) => Stage::ManifestCreate,
            Stage::Flush => Stage::SyncDir,
            Stage::SyncDir => Stage::ManifestCreate,
            Stage::ManifestCreate => Stage::ManifestWrite,
            Stage::ManifestWrite => match done {
                DiskDone::Written(count) if count == self.manifest_len(job) => Stage::ManifestFlush,
                // A short count: the whole manifest again, it is one small write.
                _ => Stage::ManifestWrite,
            },
            Stage::ManifestFlush => {
                let entry = &mut self.partitions[job.partition];
                let slot = usize::from(slot_of(entry.generation + 1));
                let known = std::mem::replace(&mut entry.manifest_exists[slot], true);
                if known || self.planted.is(Sabotage::NoDirectorySync) {
                    return Some(Ended::Installed);
                }
                Stage::ManifestSyncDir
            }
            Stage::ManifestSyncDir => return Some(Ended::Installed),
            Stage::Abandon => return Some(Ended::Abandoned),
        };
        None
    }

    fn manifest_len(&self, job: &SegmentJob) -> usize {
        job.manifest.as_ref().map_or(0, |body| body.padded_len)
    }

    /// An operation failed: before the manifest is written the file goes and the job starts over later; the
    /// manifest itself is written again later, since until then the old one holds.
    fn step_failed(
        &mut self,
        now: Timestamp,
        job: &mut SegmentJob,
        error: DiskError,
        out: &mut Vec<Effect>,
    ) -> Option<Ended> {
        match (job.stage, error.kind) {
            (Stage::ManifestCreate, DiskErrorKind::Exists) => {
                job.stage = Stage::ManifestWrite;
                return None;
            }
            (Stage::Abandon, _) => return Some(Ended::Abandoned),
            (Stage::Create, DiskErrorKind::Exists) => {
                job.stage = Stage::Abandon;
                return None;
            }
            _ => {}
        }
        self.handle_background_error(now, &format!("writing {}", job.file()), error, out);
        match job.stage {
            Stage::Create => return Some(Ended::Abandoned),
            Stage::Build | Stage::Flush | Stage::SyncDir => job.stage = Stage::Abandon,
            Stage::ManifestCreate => self.partitions[job.partition].manifest_busy = false,
            // After a failed flush only a new write says anything about the bytes.
            Stage::ManifestWrite | Stage::ManifestFlush => job.stage = Stage::ManifestWrite,
            Stage::ManifestSyncDir | Stage::Abandon => {}
        }
        None
    }

    pub(crate) fn job_mut(&mut self, kind: JobKind) -> &mut Option<SegmentJob> {
        match kind {
            JobKind::Checkpoint(lane) => &mut self.checkpoint_jobs[lane],
            JobKind::Merge => &mut self.merge_job,
        }
    }

    /// The partition's manifest as it will be when the job is installed.
    fn manifest_with(&self, job: &SegmentJob) -> commitlog::Manifest {
        let entry = &self.partitions[job.partition];
        let mut manifest = entry.next_manifest(self.directory_id);
        let built = job.built().manifest_entry();
        match &job.source {
            Source::Memory(source) => {
                manifest.segments.push(built);
                manifest.checkpoint_index = source.upto;
            }
            Source::Merge(source) => {
                let at = manifest.segments.iter().position(|s| source.inputs.contains(&s.ordinal));
                manifest.segments.retain(|segment| !source.inputs.contains(&segment.ordinal));
                manifest.segments.insert(at.expect("inputs stay until they are replaced"), built);
            }
        }
        manifest.next_ordinal = manifest.next_ordinal.max(job.ordinal + 1);
        manifest
    }

    fn install(&mut self, job: SegmentJob, out: &mut Vec<Effect>) {
        let built = job.built();
        self.partitions[job.partition].generation += 1;
        match job.source {
            Source::Memory(source) => self.install_checkpoint(job.partition, source, built),
            Source::Merge(source) => self.install_merge(job.partition, &source, built, out),
        }
        self.partitions[job.partition].assert_invariants();
        self.handle_background_success(out);
    }

    fn abandoned(&mut self, job: SegmentJob) {
        // An abandoned merge changed nothing: its inputs stay.
        if let Source::Memory(source) = job.source {
            self.unfreeze(job.partition, source);
        }
    }
}

/// Takes what a write has done off what is to be written.
fn written(writing: &mut Option<(u64, WriteBody)>, done: &DiskDone) {
    let Some((offset, body)) = writing.take() else { return };
    let count = match done {
        DiskDone::Written(count) => count / BLOCK_BYTES * BLOCK_BYTES,
        _ => 0,
    };
    if count < body.padded_len {
        *writing = Some((offset + count as u64, body.from(count)));
    }
}
