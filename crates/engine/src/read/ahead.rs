//! Reading ahead: what a reader that goes forward through a segment will want next.
//!
//! Called by `read`. A reader that comes to a chunk in the cache, or that has just read the chunk before,
//! makes the disk fetch a bounded stretch behind it while the events are on their way to the client. The
//! chunks go to the cache; a job that needs one of them meanwhile waits for the stretch instead of reading it
//! a second time. What fails here is told to nobody: a job that has waited in vain reads for itself and
//! learns why, and nothing more is read ahead in that segment.

use super::job::{READ_BYTES_MAX, ReadJob, Wait};
use crate::cache::SegmentKey;
use crate::command::Effect;
use crate::disk::{DiskDone, DiskErrorKind, DiskOp, DiskResult, FileId, Urgency};
use crate::machine::{Engine, OpPurpose, Phase};
use bytes::Bytes;
use commitlog::Run;

/// A stretch is at most this part of the cache.
const STRETCH_SHARE: u64 = 32;
/// What is on its way, or has come and was not used yet, is at most this part of the cache: with more readers
/// than that allows, some read for themselves, and nobody takes from the cache what others wait for.
const UNUSED_SHARE: u64 = 2;

/// A stretch of chunks that is being read.
#[derive(Debug)]
pub(super) struct Ahead {
    id: u64,
    key: SegmentKey,
    /// Neighbours, in the order of the file.
    runs: Vec<Run>,
}

impl Engine {
    /// The stretch on its way that has a run's chunk.
    fn ahead_of(&self, key: SegmentKey, run: &Run) -> Option<u64> {
        let holds = |runs: &[Run]| runs.iter().any(|own| own.chunk_offset == run.chunk_offset);
        let ahead = self.reads.aheads.iter().find(|ahead| ahead.key == key && holds(&ahead.runs))?;
        Some(ahead.id)
    }

    /// The stretch that a job waits for instead of reading `runs[at]` itself: one that is on its way or, if
    /// it has just read the chunk before, one that starts now.
    pub(super) fn ahead_for(
        &mut self,
        job: &ReadJob,
        key: SegmentKey,
        runs: &[Run],
        at: usize,
        out: &mut Vec<Effect>,
    ) -> Option<u64> {
        if job.is_alone {
            return None;
        }
        if let Some(ahead) = self.ahead_of(key, &runs[at]) {
            return Some(ahead);
        }
        let goes_on = at > 0 && self.chunks.contains(key, runs[at - 1].chunk_offset);
        let is_worth_it = goes_on && self.stretch(key, &runs[at..]).len() >= job.wanted(&runs[at..]).len();
        if is_worth_it {
            self.read_ahead(job, key, &runs[at..], out);
        }
        self.ahead_of(key, &runs[at])
    }

    /// Starts to read what a job of this stream will want of `next`, the runs that it has not come to.
    pub(super) fn read_ahead(&mut self, job: &ReadJob, key: SegmentKey, next: &[Run], out: &mut Vec<Effect>) {
        if !self.may_read_ahead(job, key) {
            return;
        }
        let (mut left, mut at) = (0, 0);
        while let Some(run) = next.get(at) {
            if !self.chunks.contains(key, run.chunk_offset) && self.ahead_of(key, run).is_none() {
                break;
            }
            left += u64::from(run.chunk_len);
            at += 1;
            if left >= self.stretch_bytes_max() {
                return; // enough is there, or on its way
            }
        }
        let runs = self.stretch(key, &next[at..]);
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return };
        let offset = first.chunk_offset;
        let len = end_of(last) - offset;
        let file = FileId::Segment { partition: self.partitions[usize::from(key.0)].id, ordinal: key.1 };
        let work = DiskOp::Read { file, offset, len: usize::try_from(len).expect("a stretch is bounded") };
        let id = self.reads.next;
        self.reads.next += 1;
        self.reads.in_flight += 1;
        self.reads.aheads.push(Ahead { id, key, runs });
        self.disk(OpPurpose::ReadAhead(id), Urgency::Read, work, out);
    }

    fn may_read_ahead(&self, job: &ReadJob, key: SegmentKey) -> bool {
        let is_walking = job.read.limit > 1 && job.time_floor.is_none() && !job.is_alone;
        // Reads that somebody waits for come first.
        let has_place =
            self.reads.queued.is_empty() && self.reads.in_flight < self.limits.reads_in_flight_max / 2;
        let coming = (self.reads.aheads.len() as u64 + 1) * self.stretch_bytes_max();
        let unused = self.chunks.unused_bytes() as u64 + coming;
        let has_memory = unused <= self.limits.chunk_cache_bytes_max as u64 / UNUSED_SHARE;
        let segment = self.partitions[usize::from(key.0)].segment(key.1);
        let is_sound = segment.is_some_and(|segment| !segment.damaged && !segment.reads_fail);
        is_walking && has_place && has_memory && is_sound && self.phase == Phase::Serving
    }

    fn stretch_bytes_max(&self) -> u64 {
        (self.limits.chunk_cache_bytes_max as u64 / STRETCH_SHARE).min(READ_BYTES_MAX)
    }

    /// The first runs that are neighbours in the file, fit one stretch and are neither there nor on their
    /// way.
    fn stretch(&self, key: SegmentKey, runs: &[Run]) -> Vec<Run> {
        let mut taken: Vec<Run> = Vec::new();
        for run in runs {
            let first = taken.first().unwrap_or(run);
            let end = taken.last().map_or(run.chunk_offset, end_of);
            let whole = end + u64::from(run.chunk_len) - first.chunk_offset;
            let is_there = self.chunks.contains(key, run.chunk_offset) || self.ahead_of(key, run).is_some();
            if run.chunk_offset != end || whole > self.stretch_bytes_max() || is_there {
                break;
            }
            taken.push(*run);
        }
        taken
    }

    /// A stretch has come, or has not: whoever waits for it looks again.
    pub(crate) fn handle_read_ahead(&mut self, id: u64, result: DiskResult, out: &mut Vec<Effect>) {
        self.reads.in_flight -= 1;
        let at = self.reads.aheads.iter().position(|ahead| ahead.id == id).expect("it was under way");
        let Ahead { key, runs, .. } = self.reads.aheads.swap_remove(at);
        let len: usize = runs.iter().map(|run| run.chunk_len as usize).sum();
        let is_whole = match &result {
            Ok(DiskDone::Bytes(bytes)) if bytes.len() >= len => {
                // If its segment is gone by now, nobody asks for it: a segment's number is not used again.
                for run in &runs {
                    let chunk = own_chunk_of(&runs, run, bytes);
                    self.chunks.insert_unused(key, run.chunk_offset, chunk);
                }
                true
            }
            Err(error) if error.kind == DiskErrorKind::TooManyFiles => false,
            _ => {
                if let Some(segment) = self.partitions[usize::from(key.0)].segment_mut(key.1) {
                    segment.reads_fail = true;
                }
                false
            }
        };
        let jobs = self.reads.jobs.iter_mut();
        let waiting = jobs.filter(|(_, job)| matches!(job.wait, Wait::Ahead(ahead) if ahead == id));
        let waiting: Vec<u64> = waiting
            .map(|(id, job)| {
                job.is_alone = !is_whole;
                *id
            })
            .collect();
        for job in waiting {
            self.advance(job, out);
        }
        self.start_queued(out);
    }

    /// Puts a chunk of what was read into the cache.
    pub(super) fn keep_chunk(&mut self, key: SegmentKey, runs: &[Run], run: &Run, bytes: &Bytes) {
        self.chunks.insert(key, run.chunk_offset, own_chunk_of(runs, run, bytes));
    }
}

/// Where a run's chunk ends in the file.
fn end_of(run: &Run) -> u64 {
    run.chunk_offset + u64::from(run.chunk_len)
}

/// One run's chunk in the bytes that were read for `runs`, as much as there is of it.
pub(super) fn chunk_of(runs: &[Run], run: &Run, bytes: &Bytes) -> Bytes {
    let at = usize::try_from(run.chunk_offset - runs[0].chunk_offset).expect("a read is bounded");
    let end = (at + run.chunk_len as usize).min(bytes.len());
    bytes.slice(at.min(end)..end)
}

/// The same in memory of its own: a part of a large block would keep all of it.
fn own_chunk_of(runs: &[Run], run: &Run, bytes: &Bytes) -> Bytes {
    let chunk = chunk_of(runs, run, bytes);
    if runs.len() == 1 { chunk } else { Bytes::copy_from_slice(&chunk) }
}
