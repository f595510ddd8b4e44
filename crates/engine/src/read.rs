//! Reads: from memory at once, from segments by a small plan that the shell executes.
//!
//! A read is a job that walks forward from a sequence number: segments (found by binary search over their
//! footers), then memory. The reply is emitted in one step with the look at the stream's head, so that
//! `at_tail` and the deliveries that follow it leave no hole. What cannot be read is told as a gap.

mod ahead;
mod job;

use crate::cache::SegmentKey;
use crate::command::{Effect, GapCause, Read, ReadFrom, ReadReply, Reply};
use crate::disk::{DiskDone, DiskErrorKind, DiskOp, DiskResult, FileId, Urgency};
use crate::machine::{Engine, OpPurpose};
use ahead::{Ahead, chunk_of};
use bytes::Bytes;
use commitlog::{ChunkAddress, Footer, FooterRebuild, Run, chunk_records, decode_footer};
use job::{ReadJob, Wait};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use types::{Epoch, Failure, Record, SeqNum, StreamKey, Unavailable};

#[derive(Debug, Default)]
pub(crate) struct Reads {
    jobs: BTreeMap<u64, ReadJob>,
    queued: VecDeque<u64>,
    next: u64,
    in_flight: usize,
    aheads: Vec<Ahead>,
}

/// What to do next for a job.
enum Next {
    Finish,
    /// The stream was deleted meanwhile: the read is answered as if it came now.
    Restart,
    Disk(DiskOp, Wait),
    /// What it needs is on its way already, in this stretch.
    Ahead(u64),
    Again,
}

impl Engine {
    pub(crate) fn start_read(&mut self, mut read: Read, out: &mut Vec<Effect>) {
        read.limit = read.limit.min(self.limits.read_events_max);
        read.bytes_max = read.bytes_max.min(self.limits.read_bytes_max);
        let Some(slot) = self.catalog.find(&read.stream).filter(|&slot| self.catalog[slot].exists()) else {
            let to = read.to;
            return out.push(Effect::Reply { to, reply: Reply::Read(ReadReply::of_nothing()) });
        };
        let stream = &self.catalog[slot];
        let (first, end) = (stream.first, stream.next);
        let oldest_of = |count: u64| SeqNum(end.0.saturating_sub(count)).max(first);
        let (next, time_floor, asked) = match read.from {
            ReadFrom::Newest => (oldest_of(read.limit as u64), None, false),
            ReadFrom::Seq(seq) => (seq.max(SeqNum::FIRST), None, true),
            ReadFrom::BeforeLast(back) => (oldest_of(back.saturating_add(1)), None, false),
            ReadFrom::Time(time) => (first, Some(time), false),
        };
        let epoch = stream.epoch;
        let (records, gaps, held, wait) = (Vec::new(), Vec::new(), Vec::new(), Wait::Nothing);
        let (bytes, is_alone) = (0, false);
        let job = ReadJob {
            read,
            slot,
            epoch,
            next,
            time_floor,
            asked,
            records,
            bytes,
            gaps,
            held,
            wait,
            is_alone,
        };
        let id = self.reads.next;
        self.reads.next += 1;
        self.reads.jobs.insert(id, job);
        self.advance(id, out);
    }

    /// Takes a job as far as it goes without the disk. Who has freed a place calls [`Self::start_queued`]
    /// afterwards.
    fn advance(&mut self, id: u64, out: &mut Vec<Effect>) {
        let mut job = self.reads.jobs.remove(&id).expect("a job is advanced while it exists");
        loop {
            match self.step_read(&mut job, out) {
                Next::Again => {}
                Next::Finish => return self.finish_read(job, out),
                Next::Restart => return self.start_read(job.read, out),
                Next::Disk(work, wait) => {
                    let footer = matches!(wait, Wait::Footer(_) | Wait::Rebuild(..));
                    job.wait = wait;
                    self.reads.jobs.insert(id, job);
                    if self.reads.in_flight >= self.limits.reads_in_flight_max {
                        return self.reads.queued.push_back(id);
                    }
                    self.reads.in_flight += 1;
                    let purpose = if footer { OpPurpose::ReadFooter(id) } else { OpPurpose::ReadChunk(id) };
                    return self.disk(purpose, Urgency::Read, work, out);
                }
                Next::Ahead(ahead) => {
                    job.wait = Wait::Ahead(ahead);
                    self.reads.jobs.insert(id, job);
                    return;
                }
            }
        }
    }

    /// Gives places that have become free to reads that wait for one, oldest first.
    fn start_queued(&mut self, out: &mut Vec<Effect>) {
        while self.reads.in_flight < self.limits.reads_in_flight_max
            && let Some(id) = self.reads.queued.pop_front()
        {
            // Its plan may be stale: it is made again.
            self.advance(id, out);
        }
    }

    fn step_read(&mut self, job: &mut ReadJob, out: &mut Vec<Effect>) -> Next {
        let Some(stream) = self.catalog.slot(job.slot.0).filter(|stream| job.is_of(stream)) else {
            return Next::Restart;
        };
        if job.next < stream.first {
            // A trim may have come between two events of this reply.
            if job.asked || !job.records.is_empty() {
                job.tell_gap(stream.first, GapCause::Trimmed);
            }
            job.next = stream.first;
            return Next::Again;
        }
        let memory_from = stream.memory_from();
        if job.is_full() || job.next >= stream.next {
            return Next::Finish;
        }
        let floor_in_memory = job.time_floor.is_some_and(|floor| {
            let front = stream.active.as_ref().and_then(|active| active.records.front());
            front.is_some_and(|record| record.time() < floor)
        });
        if job.next >= memory_from || floor_in_memory {
            self.read_memory(job);
            return Next::Finish;
        }
        self.step_disk(job, memory_from, out)
    }

    fn read_memory(&self, job: &mut ReadJob) {
        let Some(active) = &self.catalog[job.slot].active else { return };
        let from = match job.time_floor.take() {
            Some(floor) => {
                let from = active.records.partition_point(|record| record.time() < floor);
                // What is older was not asked for; when everything is older, the read is at the tail.
                job.next = active.records.get(from).map_or(self.catalog[job.slot].next, Record::seq);
                from
            }
            None => active.position_of(job.next),
        };
        for record in active.records.range(from..) {
            if job.is_full() {
                return;
            }
            job.take(record.clone());
        }
    }

    /// One step among the segments: finds the segment that holds the job's place.
    fn step_disk(&mut self, job: &mut ReadJob, memory_from: SeqNum, out: &mut Vec<Effect>) -> Next {
        let stream = &self.catalog[job.slot];
        let partition = stream.partition;
        let segments: Vec<u32> = stream.segments.as_slice().to_vec();
        let (mut low, mut high) = (0, segments.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let ordinal = u64::from(segments[middle]);
            let footer = match self.footer_of(job, partition, ordinal) {
                Ok(footer) => footer,
                Err(next) => return next,
            };
            let runs = runs_of(&footer, &job.read.stream, job.epoch);
            if runs.last().is_none_or(|run| job.is_before(run)) { low = middle + 1 } else { high = middle }
        }
        let Some(&ordinal) = segments.get(low) else {
            job.pass_to(memory_from);
            return Next::Again;
        };
        let ordinal = u64::from(ordinal);
        let footer = match self.footer_of(job, partition, ordinal) {
            Ok(footer) => footer,
            Err(next) => return next,
        };
        job.held.retain(|(held, _)| *held == ordinal);
        let runs = runs_of(&footer, &job.read.stream, job.epoch);
        let at = runs.partition_point(|run| job.is_before(run));
        let run = runs[at];
        if run.first_seq >= memory_from {
            job.pass_to(memory_from);
            return Next::Again;
        }
        let key = (partition, ordinal);
        if let Some(chunk) = self.chunks.get(key, run.chunk_offset) {
            let from = job.next;
            if self.take_chunk(job, key, &run, &chunk) {
                // Who comes to a chunk's first event, or leaves it at the last, goes forward.
                if from <= run.first_seq || job.next > run.last_seq {
                    self.read_ahead(job, key, &runs[at + 1..], out);
                }
                return Next::Again;
            }
            // What was kept may be bad where the disk is not.
            self.chunks.remove(key, run.chunk_offset);
        } else if let Some(ahead) = self.ahead_for(job, key, runs, at, out) {
            return Next::Ahead(ahead);
        }
        let wanted = job.wanted(&runs[at..]);
        let offset = wanted[0].chunk_offset;
        let last = wanted.last().expect("at least one run is wanted");
        let len = last.chunk_offset + u64::from(last.chunk_len) - offset;
        let file = FileId::Segment { partition: self.partitions[usize::from(partition)].id, ordinal };
        let len = usize::try_from(len).expect("a read ahead is bounded");
        Next::Disk(DiskOp::Read { file, offset, len }, Wait::Chunks(key, wanted))
    }

    /// The footer of a segment, or the disk read that fetches it.
    fn footer_of(&mut self, job: &mut ReadJob, partition: u16, ordinal: u64) -> Result<Rc<Footer>, Next> {
        if let Some((_, footer)) = job.held.iter().find(|(held, _)| *held == ordinal) {
            return Ok(Rc::clone(footer));
        }
        if let Some(footer) = self.footers.get((partition, ordinal)) {
            job.held.push((ordinal, Rc::clone(&footer)));
            return Ok(footer);
        }
        let entry = &self.partitions[usize::from(partition)];
        let file = FileId::Segment { partition: entry.id, ordinal };
        let segment = entry.segment(ordinal).expect("a stream names segments of its partition");
        let (offset, len) = (segment.trailer.footer_offset, segment.trailer.footer_len);
        let len = usize::try_from(len).expect("a footer fits memory");
        Err(Next::Disk(DiskOp::Read { file, offset, len }, Wait::Footer((partition, ordinal))))
    }

    pub(crate) fn handle_footer_read(&mut self, id: u64, result: DiskResult, out: &mut Vec<Effect>) {
        self.reads.in_flight -= 1;
        if is_passing(&result) {
            return self.refuse_read(id, out);
        }
        let job = self.reads.jobs.get_mut(&id).expect("a read belongs to a job");
        match std::mem::replace(&mut job.wait, Wait::Nothing) {
            Wait::Footer(key) => self.take_footer(id, key, result, out),
            Wait::Rebuild(key, rebuild) => self.step_rebuild(id, key, rebuild, Some(result), out),
            Wait::Nothing | Wait::Ahead(_) | Wait::Chunks(..) => unreachable!("a footer was waited for"),
        }
        self.start_queued(out);
    }

    /// No descriptor is left: nothing is damaged, the reader comes again.
    fn refuse_read(&mut self, id: u64, out: &mut Vec<Effect>) {
        let job = self.reads.jobs.remove(&id).expect("a read belongs to a job");
        let reply = Reply::Failed(Failure::Unavailable(Unavailable::Overloaded));
        out.push(Effect::Reply { to: job.read.to, reply });
        self.start_queued(out);
    }

    fn take_footer(&mut self, id: u64, key: SegmentKey, result: DiskResult, out: &mut Vec<Effect>) {
        let Some(segment) = self.partitions[usize::from(key.0)].segment(key.1).cloned() else {
            return self.advance(id, out);
        };
        if let Ok(DiskDone::Bytes(bytes)) = result
            && let Ok(footer) = decode_footer(&bytes, &segment.trailer)
        {
            self.footers.insert(key, Rc::new(footer), bytes.len());
            return self.advance(id, out);
        }
        let file = FileId::Segment { partition: segment.trailer.meta.partition, ordinal: key.1 };
        out.push(Effect::Notice(format!("the index of {file} is damaged: rebuilding it from the events")));
        let rebuild = FooterRebuild::new(segment.trailer.meta, segment.len, Some(&segment.trailer));
        self.step_rebuild(id, key, Box::new(rebuild), None, out);
    }

    fn step_rebuild(
        &mut self,
        id: u64,
        key: SegmentKey,
        mut rebuild: Box<FooterRebuild>,
        result: Option<DiskResult>,
        out: &mut Vec<Effect>,
    ) {
        match result {
            Some(Ok(DiskDone::Bytes(bytes))) => rebuild.handle_read(&bytes),
            Some(_) => rebuild.handle_unreadable(),
            None => {}
        }
        let partition = &self.partitions[usize::from(key.0)];
        let file = FileId::Segment { partition: partition.id, ordinal: key.1 };
        if let (Some(range), true) = (rebuild.wanted(), partition.segment(key.1).is_some()) {
            let work = DiskOp::Read { file, offset: range.offset, len: range.len };
            self.reads.jobs.get_mut(&id).expect("the job waits").wait = Wait::Rebuild(key, rebuild);
            self.reads.in_flight += 1;
            return self.disk(OpPurpose::ReadFooter(id), Urgency::Read, work, out);
        }
        if partition.segment(key.1).is_some() {
            self.mark_damaged(usize::from(key.0), key.1);
            let (footer, damaged) = rebuild.finish();
            self.stats.damaged_ranges += damaged.len() as u64;
            self.footers.pin(key, Rc::new(footer));
        }
        self.advance(id, out);
    }

    pub(crate) fn handle_chunk_read(&mut self, id: u64, result: DiskResult, out: &mut Vec<Effect>) {
        self.reads.in_flight -= 1;
        if is_passing(&result) {
            return self.refuse_read(id, out);
        }
        let mut job = self.reads.jobs.remove(&id).expect("a read belongs to a job");
        let Wait::Chunks(key, runs) = std::mem::replace(&mut job.wait, Wait::Nothing) else {
            unreachable!("chunks were waited for")
        };
        let partition = &self.partitions[usize::from(key.0)];
        // The stream may be gone meanwhile, with its place given to another, and so may the segment.
        let is_asked = self.catalog.slot(job.slot.0).is_some_and(|stream| job.is_of(stream));
        if is_asked && partition.segment(key.1).is_some() {
            match result {
                Ok(DiskDone::Bytes(bytes)) => self.take_chunks(&mut job, key, &runs, &bytes, out),
                // One bad block fails the whole read: the chunks are asked for one by one.
                _ if runs.len() > 1 => {
                    let file = FileId::Segment { partition: partition.id, ordinal: key.1 };
                    let (offset, len) = (runs[0].chunk_offset, runs[0].chunk_len as usize);
                    job.wait = Wait::Chunks(key, vec![runs[0]]);
                    self.reads.jobs.insert(id, job);
                    self.reads.in_flight += 1;
                    let work = DiskOp::Read { file, offset, len };
                    return self.disk(OpPurpose::ReadChunk(id), Urgency::Read, work, out);
                }
                _ => self.lose_run(&mut job, key, &runs[0], out),
            }
        }
        self.reads.jobs.insert(id, job);
        self.advance(id, out);
        self.start_queued(out);
    }

    fn take_chunks(
        &mut self,
        job: &mut ReadJob,
        key: SegmentKey,
        runs: &[Run],
        bytes: &Bytes,
        out: &mut Vec<Effect>,
    ) {
        let mut is_sound = true;
        for run in runs {
            is_sound = self.take_chunk(job, key, run, &chunk_of(runs, run, bytes));
            if !is_sound {
                self.lose_run(job, key, run, out);
            }
        }
        // The reader comes back to the last one, or goes on behind it.
        if let (Some(last), true) = (runs.last(), is_sound) {
            self.keep_chunk(key, runs, last, bytes);
        }
    }

    /// Takes the stream's records out of one chunk; false when it is damaged.
    fn take_chunk(&self, job: &mut ReadJob, key: SegmentKey, run: &Run, chunk: &Bytes) -> bool {
        if job.is_full() || job.next > run.last_seq {
            return true;
        }
        let address = ChunkAddress {
            directory_id: self.directory_id,
            partition: self.partitions[usize::from(key.0)].id,
            ordinal: key.1,
            offset: run.chunk_offset,
        };
        let wanted = job.read.limit - job.records.len();
        let events_max = if job.time_floor.is_some() { usize::MAX } else { wanted };
        let stream: &StreamKey = &job.read.stream;
        let Ok(records) = chunk_records(chunk, &address, stream, job.epoch, job.next, events_max) else {
            return false;
        };
        for record in records {
            if job.is_full() {
                break;
            }
            job.take(record);
        }
        true
    }

    /// The reader gets a gap. The operator gets a line for the first damage of a segment; an examination of
    /// the directory lists all.
    fn lose_run(&mut self, job: &mut ReadJob, key: SegmentKey, run: &Run, out: &mut Vec<Effect>) {
        self.stats.damaged_ranges += 1;
        let partition = usize::from(key.0);
        let file = FileId::Segment { partition: self.partitions[partition].id, ordinal: key.1 };
        if self.mark_damaged(partition, key.1) {
            let (stream, Run { first_seq, last_seq, chunk_offset, .. }) = (&job.read.stream, run);
            out.push(Effect::Notice(format!(
                "{file} is damaged at offset {chunk_offset}: events {first_seq} to {last_seq} of {stream} \
                 cannot be read"
            )));
        }
        job.time_floor = None;
        job.next = job.next.max(run.first_seq);
        job.tell_gap(run.last_seq.next(), GapCause::Damaged);
        job.next = run.last_seq.next();
    }

    fn finish_read(&mut self, job: ReadJob, out: &mut Vec<Effect>) {
        self.stats.events_read += job.records.len() as u64;
        let same = self.catalog.slot(job.slot.0).filter(|stream| job.is_of(stream));
        let reply = ReadReply {
            records: job.records,
            epoch: job.epoch,
            first: same.map_or(SeqNum::FIRST, |stream| stream.first),
            last: same.map_or(SeqNum::ZERO, |stream| stream.last()),
            gaps: job.gaps,
            next: same.map_or(job.next, |stream| job.next.min(stream.next)),
            at_tail: same.is_some_and(|stream| job.next >= stream.next),
        };
        out.push(Effect::Reply { to: job.read.to, reply: Reply::Read(reply) });
    }
}

/// Whether an operation failed for a reason that says nothing of the file.
fn is_passing(result: &DiskResult) -> bool {
    matches!(result, Err(error) if error.kind == DiskErrorKind::TooManyFiles)
}

fn runs_of<'a>(footer: &'a Footer, key: &StreamKey, epoch: Epoch) -> &'a [Run] {
    footer.stream(key, epoch).map_or(&[], |stream| &stream.runs)
}

impl ReadReply {
    /// What a stream that does not exist gives.
    pub fn of_nothing() -> ReadReply {
        ReadReply {
            records: Vec::new(),
            epoch: Epoch(0),
            first: SeqNum::FIRST,
            last: SeqNum::ZERO,
            gaps: Vec::new(),
            next: SeqNum::FIRST,
            at_tail: true,
        }
    }
}
