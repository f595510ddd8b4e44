//! Merging: neighbouring segments of a partition become one, and dead records go.
//!
//! One merge at a time per shard, in slices that yield to live traffic. Dead is what lies before a committed
//! trim point or belongs to an incarnation that is gone. A damaged segment is never merged away.

use crate::command::Effect;
use crate::disk::{DiskDone, DiskErrorKind, DiskOp, DiskResult, FileId, Urgency};
use crate::machine::{Engine, JobKind, OpPurpose, Phase};
use crate::merge_input::{Loaded, MergeInput};
use crate::partition::{Partition, SegmentFile};
use crate::segment_job::{Fed, SLICE_BYTES, SegmentJob, Source};
use commitlog::{
    ChunkAddress, Footer, FooterStream, IdempotencyEntry, Run, SegmentBuilder, SegmentMeta, StreamState,
    decode_footer,
};
use std::collections::BTreeMap;
use std::rc::Rc;
use types::{Epoch, SeqNum, StreamKey};

/// Fewest and most segments of one merge.
const INPUTS_MIN: usize = 2;
const INPUTS_MAX: usize = 8;

/// The inputs of a merge and how far it is.
#[derive(Debug)]
pub(crate) struct MergeSource {
    /// Index into the shard's table of partitions.
    partition: usize,
    /// Ordinals, in the partition's order.
    pub(crate) inputs: Vec<u64>,
    footers: Vec<Rc<Footer>>,
    plan: Option<Vec<MergeStream>>,
    keys: Vec<IdempotencyEntry>,
    /// Whether the oldest segment is an input: then deletions need not be remembered.
    oldest: bool,
    at: usize,
    /// The next run of the stream at `at`; `None` before it was begun.
    run: Option<usize>,
    /// What is in memory of each input.
    loaded: Vec<MergeInput>,
    reading: Option<Reading>,
    failed: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Footer {
        input: usize,
    },
    /// From `offset` on `len` bytes, for a chunk of `needed` bytes.
    Chunks {
        input: usize,
        offset: u64,
        len: u64,
        needed: u64,
    },
}

/// One stream of the output.
#[derive(Debug)]
struct MergeStream {
    state: StreamState,
    /// Input and run, ascending.
    runs: Vec<(usize, Run)>,
}

impl MergeSource {
    pub(crate) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }
}

impl Engine {
    pub(crate) fn merge_can_step(&self) -> bool {
        match &self.merge_job {
            Some(job) => self.job_can_step(job),
            None => self.phase == Phase::Serving && self.merge_next.is_some(),
        }
    }

    /// Some segments have changed: chooses the partition to merge anew, so that no turn has to look.
    pub(crate) fn choose_merge(&mut self) {
        self.merge_next = self.partition_to_merge();
    }

    /// Whether no partition has far more segments than it should.
    pub(crate) fn merges_keep_up(&self) -> bool {
        let most = self.merge_next.map_or(0, |partition| self.partitions[partition].segments.len());
        most <= self.limits.segments_max + self.limits.segments_max / 2
    }

    /// The partition with the most segments over the limit.
    fn partition_to_merge(&self) -> Option<usize> {
        let over = |p: &Partition| p.segments.len() > self.limits.segments_max && !window(p).is_empty();
        let candidates = self.partitions.iter().enumerate().filter(|(_, partition)| over(partition));
        candidates.max_by_key(|(_, partition)| partition.segments.len()).map(|(at, _)| at)
    }

    pub(crate) fn step_merge(&mut self, out: &mut Vec<Effect>) {
        if self.merge_job.is_some() {
            self.step_job(JobKind::Merge, out);
            return;
        }
        if self.phase != Phase::Serving {
            return;
        }
        debug_assert_eq!(self.merge_next, self.partition_to_merge(), "chosen after the last change");
        if let Some(partition) = self.merge_next {
            self.merge_job = Some(self.begin_merge(partition));
        }
    }

    fn begin_merge(&mut self, partition: usize) -> SegmentJob {
        let range = window(&self.partitions[partition]);
        let ordinal = self.take_ordinal(partition);
        let entry = &self.partitions[partition];
        let oldest = range.start == 0;
        let segments = &entry.segments[range];
        let inputs: Vec<u64> = segments.iter().map(|segment| segment.ordinal).collect();
        let metas = || segments.iter().map(|segment| &segment.trailer.meta);
        let meta = SegmentMeta {
            directory_id: self.directory_id,
            partition: entry.id,
            ordinal,
            first_index: metas().map(|meta| meta.first_index).min().expect("a merge has inputs"),
            last_index: metas().map(|meta| meta.last_index).max().expect("a merge has inputs"),
            term_first: metas().map(|meta| meta.term_first).min().expect("a merge has inputs"),
            term_last: metas().map(|meta| meta.term_last).max().expect("a merge has inputs"),
            replaces: inputs.iter().min().copied().zip(inputs.iter().max().copied()),
        };
        let source = MergeSource {
            partition,
            loaded: inputs.iter().map(|_| MergeInput::default()).collect(),
            inputs,
            footers: Vec::new(),
            plan: None,
            keys: Vec::new(),
            oldest,
            at: 0,
            run: None,
            reading: None,
            failed: None,
        };
        SegmentJob::new(partition, meta, Source::Merge(source), self.limits.chunk_bytes_max)
    }

    /// Puts one slice of live records into the output.
    pub(crate) fn feed_from_segments(
        &mut self,
        source: &mut MergeSource,
        builder: &mut SegmentBuilder,
    ) -> Fed {
        if let Some(why) = source.failed.take() {
            return Fed::GiveUp(why);
        }
        let partition = source.partition;
        if source.plan.is_none() {
            return self.plan_merge(partition, source);
        }
        let mut fed_bytes = 0;
        while fed_bytes < SLICE_BYTES {
            let plan = source.plan.as_ref().expect("planned above");
            let Some(stream) = plan.get(source.at) else {
                source.keys.drain(..).for_each(|entry| builder.push_idempotency(entry));
                return Fed::End;
            };
            let run_at = source.run.unwrap_or_else(|| {
                builder.begin_stream(stream.state.clone());
                0
            });
            source.run = Some(run_at);
            let Some(&(input, run)) = stream.runs.get(run_at) else {
                source.run = None;
                source.at += 1;
                continue;
            };
            let (alive_from, ours) = self.alive_from(&stream.state);
            if !ours || run.last_seq < alive_from {
                source.run = Some(run_at + 1);
                continue;
            }
            let ordinal = source.inputs[input];
            let address = self.chunk_address(partition, ordinal, run.chunk_offset);
            let segment = self.partitions[partition].segment(ordinal).expect("inputs are there");
            match source.loaded[input].load(&run, &address, segment.trailer.footer_offset) {
                // A chunk that is mostly dead is work all the same.
                Ok(Loaded::Ready(decoded)) => fed_bytes += decoded,
                Ok(Loaded::Read(range)) => {
                    let (offset, len) = (range.start, range.end - range.start);
                    let needed = u64::from(run.chunk_len);
                    source.reading = Some(Reading::Chunks { input, offset, len, needed });
                    let file = FileId::Segment { partition: self.partitions[partition].id, ordinal };
                    let len = usize::try_from(len).expect("a stretch fits memory");
                    return Fed::Read(DiskOp::Read { file, offset, len });
                }
                Err(error) => {
                    self.mark_damaged(partition, ordinal);
                    return Fed::GiveUp(format!("a merge met damage and stops: {error}"));
                }
            }
            let StreamState { key, epoch, .. } = &stream.state;
            let from = run.first_seq.max(alive_from);
            for record in source.loaded[input].records(key, *epoch, from, run.last_seq) {
                builder.push_record(record);
            }
            source.run = Some(run_at + 1);
        }
        Fed::Some
    }

    /// The first sequence number of the stream that is alive now, and whether this incarnation is.
    fn alive_from(&self, state: &StreamState) -> (SeqNum, bool) {
        let slot = self.catalog.find(&state.key);
        match slot.map(|slot| &self.catalog[slot]) {
            Some(stream) if stream.epoch == state.epoch => (stream.first, true),
            _ => (state.first, false),
        }
    }

    /// Loads the next footer, or lists the streams of the output when all are there.
    fn plan_merge(&mut self, partition: usize, source: &mut MergeSource) -> Fed {
        while source.footers.len() < source.inputs.len() {
            let input = source.footers.len();
            let key = (key_of(partition), source.inputs[input]);
            if let Some(footer) = self.footers.get(key) {
                source.footers.push(footer);
                continue;
            }
            let segment = self.partitions[partition].segment(key.1).expect("inputs are there");
            let (offset, len) = (segment.trailer.footer_offset, segment.trailer.footer_len);
            let file = FileId::Segment { partition: self.partitions[partition].id, ordinal: key.1 };
            source.reading = Some(Reading::Footer { input });
            return Fed::Read(DiskOp::Read { file, offset, len: usize::try_from(len).expect("fits memory") });
        }
        source.keys = merged_keys(&source.footers, self.limits.idempotency_keys_max);
        source.plan = Some(merged_streams(&source.footers, source.oldest));
        source.footers.clear();
        Fed::Some
    }

    /// A footer or chunks that the merge wanted are there, or cannot be read.
    pub(crate) fn merge_read(&mut self, partition: usize, source: &mut MergeSource, result: DiskResult) {
        let reading = source.reading.take().expect("the merge was reading");
        let (Reading::Footer { input } | Reading::Chunks { input, .. }) = reading;
        let ordinal = source.inputs[input];
        let bytes = match result {
            Ok(DiskDone::Bytes(bytes)) => bytes,
            // It says nothing of the file.
            Err(error) if error.kind == DiskErrorKind::TooManyFiles => {
                source.failed = Some(format!("a merge stops: {error}"));
                return;
            }
            _ => {
                if let Reading::Chunks { len, needed, .. } = reading
                    && source.loaded[input].handle_failed_read(len, needed)
                {
                    return; // what cannot be read may be dead
                }
                self.mark_damaged(partition, ordinal);
                source.failed = Some("a merge could not read its input and stops".to_owned());
                return;
            }
        };
        match reading {
            Reading::Chunks { offset, .. } => source.loaded[input].handle_read(offset, bytes),
            Reading::Footer { .. } => {
                let segment = self.partitions[partition].segment(ordinal).expect("inputs are there");
                match decode_footer(&bytes, &segment.trailer) {
                    Ok(footer) => source.footers.push(Rc::new(footer)),
                    Err(error) => {
                        self.mark_damaged(partition, ordinal);
                        source.failed = Some(format!("a merge met a damaged index and stops: {error}"));
                    }
                }
            }
        }
    }

    /// A segment, if it is still there, is known to be damaged; whether that is news.
    pub(crate) fn mark_damaged(&mut self, partition: usize, ordinal: u64) -> bool {
        let Some(segment) = self.partitions[partition].segment_mut(ordinal) else { return false };
        let is_news = !std::mem::replace(&mut segment.damaged, true);
        self.choose_merge();
        is_news
    }

    fn chunk_address(&self, partition: usize, ordinal: u64, offset: u64) -> ChunkAddress {
        let partition = self.partitions[partition].id;
        ChunkAddress { directory_id: self.directory_id, partition, ordinal, offset }
    }

    pub(crate) fn install_merge(
        &mut self,
        partition: usize,
        source: &MergeSource,
        built: SegmentFile,
        out: &mut Vec<Effect>,
    ) {
        let ordinal = built.ordinal;
        let entry = &mut self.partitions[partition];
        let at = entry.segments.iter().position(|segment| source.inputs.contains(&segment.ordinal));
        entry.segments.retain(|segment| !source.inputs.contains(&segment.ordinal));
        entry.segments.insert(at.expect("inputs stay until they are replaced"), built);
        let id = entry.id;
        for stream in source.plan.iter().flatten() {
            let Some(slot) = self.catalog.find(&stream.state.key) else { continue };
            let entry = &mut self.catalog[slot];
            let has_runs = entry.epoch == stream.state.epoch
                && stream.runs.iter().any(|(_, run)| run.last_seq >= entry.first);
            entry.segments.replace(&source.inputs, has_runs.then_some(ordinal));
        }
        for &input in &source.inputs {
            self.footers.remove((key_of(partition), input));
            let work = DiskOp::Remove { file: FileId::Segment { partition: id, ordinal: input } };
            self.disk(OpPurpose::Remove, Urgency::Background, work, out);
        }
        self.stats.merges += 1;
        self.choose_merge();
    }
}

fn key_of(partition: usize) -> u16 {
    u16::try_from(partition).expect("a directory has at most 65,535 partitions")
}

/// The neighbouring segments that are cheapest to merge: the smallest window without damage.
fn window(partition: &Partition) -> std::ops::Range<usize> {
    let segments = &partition.segments;
    let count = (segments.len() / 2).clamp(INPUTS_MIN, INPUTS_MAX);
    let starts = 0..(segments.len() + 1).saturating_sub(count);
    let sound = starts.filter(|&at| segments[at..at + count].iter().all(|segment| !segment.damaged));
    let bytes = |at: &usize| segments[*at..at + count].iter().map(|segment| segment.len).sum::<u64>();
    sound.min_by_key(bytes).map_or(0..0, |at| at..at + count)
}

/// The streams of the output: of each name the newest incarnation among the inputs.
fn merged_streams(footers: &[Rc<Footer>], oldest: bool) -> Vec<MergeStream> {
    let mut newest: BTreeMap<&StreamKey, Epoch> = BTreeMap::new();
    for stream in footers.iter().flat_map(|footer| &footer.streams) {
        let epoch = newest.entry(&stream.state.key).or_default();
        *epoch = stream.state.epoch.max(*epoch);
    }
    let mut merged: BTreeMap<&StreamKey, MergeStream> = BTreeMap::new();
    for (input, footer) in footers.iter().enumerate() {
        for FooterStream { state, runs } in &footer.streams {
            if newest[&state.key] != state.epoch || (state.deleted && oldest) {
                continue;
            }
            let entry = merged
                .entry(&state.key)
                .or_insert_with(|| MergeStream { state: state.clone(), runs: Vec::new() });
            entry.state = state.clone();
            entry.runs.extend(runs.iter().map(|run| (input, *run)));
        }
    }
    merged.into_values().collect()
}

/// The keys of all inputs, oldest first, at most `count_max` of the newest.
fn merged_keys(footers: &[Rc<Footer>], count_max: usize) -> Vec<IdempotencyEntry> {
    let all: Vec<_> = footers.iter().flat_map(|footer| footer.idempotency.iter().cloned()).collect();
    let skip = all.len().saturating_sub(count_max);
    all.into_iter().skip(skip).collect()
}
