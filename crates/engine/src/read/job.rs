//! A read under way: where it is, what it has gathered, and what it waits for.
//!
//! Driven by `read`; pure bookkeeping. Events are taken in ascending order, and every number that is passed
//! over is told as a gap, unless it was not asked for.

use crate::cache::SegmentKey;
use crate::command::{Gap, GapCause, Read};
use crate::stream::{Stream, StreamSlot};
use commitlog::{Footer, FooterRebuild, Run};
use std::rc::Rc;
use types::{Epoch, Record, SeqNum, Timestamp};

/// Most bytes of neighbouring chunks that one disk read fetches.
pub(super) const READ_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct ReadJob {
    pub(super) read: Read,
    pub(super) slot: StreamSlot,
    pub(super) epoch: Epoch,
    /// The sequence number to go on from.
    pub(super) next: SeqNum,
    /// Set until the first event that is not older is found.
    pub(super) time_floor: Option<Timestamp>,
    /// Tell the range between the asked-for and the oldest event as a gap.
    pub(super) asked: bool,
    pub(super) records: Vec<Record>,
    pub(super) bytes: usize,
    pub(super) gaps: Vec<Gap>,
    /// Footers of the search under way: the cache alone could drop one while the next is fetched, for ever.
    pub(super) held: Vec<(u64, Rc<Footer>)>,
    pub(super) wait: Wait,
    /// What was read ahead for it could not be read: it reads for itself.
    pub(super) is_alone: bool,
}

/// What a job waits for.
#[derive(Debug)]
pub(super) enum Wait {
    Nothing,
    Footer(SegmentKey),
    Rebuild(SegmentKey, Box<FooterRebuild>),
    Chunks(SegmentKey, Vec<Run>),
    /// A stretch that is being read ahead, by its number.
    Ahead(u64),
}

impl ReadJob {
    /// Whether its stream is this one.
    pub(super) fn is_of(&self, stream: &Stream) -> bool {
        stream.key == self.read.stream && stream.epoch == self.epoch
    }

    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= self.read.limit
            || (!self.records.is_empty() && self.bytes >= self.read.bytes_max)
    }

    /// Whether everything in `run` lies before the job's place.
    pub(super) fn is_before(&self, run: &Run) -> bool {
        // What was trimmed lies before, however new it is.
        run.last_seq < self.next || self.time_floor.is_some_and(|floor| run.last_time < floor)
    }

    /// The first run's chunk and the neighbouring ones that this job will want, fetched by one read.
    pub(super) fn wanted(&self, runs: &[Run]) -> Vec<Run> {
        let mut wanted = vec![runs[0]];
        let mut bytes = self.bytes + runs[0].bytes as usize;
        let events_left = (self.read.limit - self.records.len()) as u64;
        for run in &runs[1..] {
            let last = wanted.last().expect("never empty");
            let end = last.chunk_offset + u64::from(last.chunk_len);
            let covered = last.last_seq.next().since(self.next);
            let whole = end + u64::from(run.chunk_len) - wanted[0].chunk_offset;
            let enough = bytes >= self.read.bytes_max || covered >= events_left;
            if enough || run.chunk_offset != end || whole > READ_BYTES_MAX {
                break;
            }
            bytes += run.bytes as usize;
            wanted.push(*run);
        }
        wanted
    }

    pub(super) fn take(&mut self, record: Record) {
        if self.time_floor.is_some_and(|floor| record.time() < floor) {
            self.next = record.seq().next();
            return;
        }
        if self.time_floor.take().is_some() {
            self.next = record.seq();
        }
        if record.seq() > self.next {
            self.tell_gap(record.seq(), GapCause::Damaged);
        }
        self.next = record.seq().next();
        self.bytes += record.payload().len();
        self.records.push(record);
    }

    /// Nothing is left on disk before `seq`.
    pub(super) fn pass_to(&mut self, seq: SeqNum) {
        if self.time_floor.is_none() {
            self.tell_gap(seq, GapCause::Damaged);
        }
        self.next = seq;
    }

    /// The numbers from here to before `until` will not come.
    pub(super) fn tell_gap(&mut self, until: SeqNum, cause: GapCause) {
        let (from, to) = (self.next, until.previous());
        if from > to {
            return;
        }
        match self.gaps.last_mut() {
            Some(last) if last.cause == cause && last.to.next() == from => last.to = to,
            _ => self.gaps.push(Gap { from, to, cause }),
        }
    }
}
