//! What becomes of a partition's segments: a pure decision from manifests, files and journal.
//!
//! Called by `recovery` when everything is read and the journal is judged. A segment that a manifest names
//! is used. One that none names is used when it goes on where the others end and the journal no longer holds
//! what it holds: as long as it does, the segment would be one more thing to depend on, and is made anew.
//! What is not used is told and removed, after the new life has begun; what would be used and cannot be
//! understood is refused. Nothing that may be the last copy is dropped.

use crate::disk::FileId;
use crate::recover_partition::{LoadedPartition, Trust, Useless, UselessWhy, segment_missing};
use crate::recover_segment::LoadedSegment;
use crate::refusal::Refusal;
use commitlog::{BLOCK_BYTES, BatchBody, PartitionGap, SegmentMeta, Verdict};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use types::{LogIndex, PartitionId};

/// Which log indexes the journals still hold.
#[derive(Debug, Default)]
pub(crate) struct JournalCover {
    batches: BTreeMap<PartitionId, Vec<(LogIndex, LogIndex)>>,
}

/// What is used of a partition.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// By first index.
    pub(crate) segments: Vec<LoadedSegment>,
    /// Log indexes that are lost.
    pub(crate) gaps: Vec<PartitionGap>,
    /// Ordinals of files to be removed.
    pub(crate) leftovers: Vec<u64>,
    /// Greater than every ordinal that any file has.
    pub(crate) ordinal_next: u64,
    /// Damage in acknowledged data, for operators; `--strict` refuses it.
    pub(crate) damage: Vec<String>,
    pub(crate) notices: Vec<String>,
}

impl JournalCover {
    pub(crate) fn of<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> JournalCover {
        let mut cover = JournalCover::default();
        for batch in verdicts.flat_map(|verdict| &verdict.accepted).flat_map(|group| &group.batches) {
            let header = &batch.header;
            let batches = cover.batches.entry(header.partition).or_default();
            // What a gap tells of is known as well.
            let first = match batch.body {
                BatchBody::Gap { from, .. } => from.min(header.first_index),
                _ => header.first_index,
            };
            batches.push((first, header.last_index()));
        }
        cover
    }

    /// Whether the journal goes on at the index after `index`.
    fn goes_on_after(&self, id: PartitionId, index: LogIndex) -> bool {
        let batches = self.batches.get(&id).map_or(&[][..], Vec::as_slice);
        batches.iter().any(|&(first, last)| first.0 <= index.0.saturating_add(1) && index < last)
    }

    /// Whether the journal holds all of `from..=to`.
    fn holds(&self, id: PartitionId, from: LogIndex, to: LogIndex) -> bool {
        let mut batches = self.batches.get(&id).cloned().unwrap_or_default();
        batches.sort_unstable();
        let mut next = from;
        for (first, last) in batches {
            if first <= next && next <= last {
                next = last.next();
            }
        }
        next > to
    }
}

/// Decides what is used of a partition.
///
/// # Errors
/// A segment that is needed is missing, or nobody can say what it holds.
pub(crate) fn settle(loaded: &mut LoadedPartition, journal: &JournalCover) -> Result<Settled, Refusal> {
    let mut settling = Settling {
        id: loaded.id,
        trust: loaded.trust,
        journal,
        upto: loaded.manifest.as_ref().map_or(LogIndex::ZERO, |manifest| manifest.checkpoint_index),
        settled: Settled { notices: std::mem::take(&mut loaded.notices), ..Settled::default() },
    };
    let ordinals = loaded.segments.iter().map(|segment| segment.file.ordinal);
    let useless = loaded.useless.iter().map(|useless| useless.ordinal);
    settling.settled.ordinal_next = ordinals.chain(useless).max().unwrap_or(0).saturating_add(1);
    let mut segments = std::mem::take(&mut loaded.segments);
    // Of two that begin alike, what is whole and longer comes first.
    segments.sort_by_key(|segment| {
        let meta = segment.meta();
        (meta.first_index, !segment.named, !segment.whole, Reverse(meta.last_index), meta.ordinal)
    });
    let segments = settling.merged_away(segments)?;
    for entry in &loaded.missing {
        let within = |segment: &LoadedSegment| {
            segment.is_output() && segment.spans(entry.first_index, entry.last_index)
        };
        if !segments.iter().any(within) {
            return Err(segment_missing(loaded.id, entry, None));
        }
    }
    let needed_before = segments_that_go_on(&segments, journal, loaded.id);
    for segment in segments {
        settling.place(segment, &needed_before)?;
    }
    for useless in &loaded.useless {
        settling.drop_useless(useless)?;
    }
    Ok(settling.settled)
}

/// Where whole segments without a manifest begin of which the journal does not hold everything, or that such
/// a one follows: each of them goes on where another ends, which has to be used then.
fn segments_that_go_on(segments: &[LoadedSegment], journal: &JournalCover, id: PartitionId) -> Vec<LogIndex> {
    let mut needed: Vec<LogIndex> = Vec::new();
    for segment in segments.iter().rev().filter(|segment| segment.whole && !segment.named) {
        let SegmentMeta { first_index, last_index, .. } = *segment.meta();
        if !journal.holds(id, first_index, last_index) || needed.contains(&last_index.next()) {
            needed.push(first_index);
        }
    }
    needed
}

/// A decision under way.
struct Settling<'a> {
    id: PartitionId,
    trust: Trust,
    journal: &'a JournalCover,
    /// Everything up to here is in segments that are used.
    upto: LogIndex,
    settled: Settled,
}

impl Settling<'_> {
    /// Decides about outputs of merges, and drops what those that are used replace.
    fn merged_away(&mut self, segments: Vec<LoadedSegment>) -> Result<Vec<LoadedSegment>, Refusal> {
        let inputs: Vec<SegmentMeta> =
            segments.iter().filter(|s| !s.is_output() || s.named).map(|s| *s.meta()).collect();
        let mut kept = Vec::with_capacity(segments.len());
        for mut segment in segments {
            if segment.is_output() && !segment.named {
                let is_needed = segment.whole || !covers(&inputs, segment.meta());
                if self.trust == Trust::Newest || !is_needed {
                    self.drop_segment(&segment, "is of a merge that was never finished");
                    continue;
                }
                self.require_whole_blocks(&segment)?;
                segment.named = true;
            }
            kept.push(segment);
        }
        let outputs: Vec<(SegmentMeta, bool)> =
            kept.iter().filter(|segment| segment.is_output()).map(|s| (*s.meta(), s.whole)).collect();
        let replaced_by = |segment: &LoadedSegment| {
            let later = outputs.iter().filter(|(output, _)| output.ordinal > segment.meta().ordinal);
            later.map(|(output, whole)| segment.lies_within(output).then_some(*whole)).max().flatten()
        };
        let mut left = Vec::with_capacity(kept.len());
        for segment in kept {
            match replaced_by(&segment) {
                None => left.push(segment),
                // What a manifest names is left until a newer one does not name it; and beside an output that
                // is damaged, the input may be the last copy.
                Some(whole) if segment.named || !whole => {}
                Some(_) => self.drop_segment(&segment, "was merged into another one"),
            }
        }
        Ok(left)
    }

    /// Uses a segment, or drops it. `needed_before` are first indexes of segments that need the one before.
    fn place(&mut self, segment: LoadedSegment, needed_before: &[LogIndex]) -> Result<(), Refusal> {
        let meta = *segment.meta();
        if segment.named {
            self.take(segment);
            return Ok(());
        }
        if meta.last_index <= self.upto {
            self.drop_segment(&segment, "holds what others hold");
            return Ok(());
        }
        let goes_on = segment.whole && meta.first_index == self.upto.next();
        let is_held = self.journal.holds(self.id, meta.first_index, meta.last_index);
        if goes_on && (!is_held || needed_before.contains(&meta.last_index.next())) {
            self.notice(format!("segment {} is whole and goes on where the manifest ends", meta.ordinal));
            self.take(segment);
            return Ok(());
        }
        // A leftover holds nothing that the journal does not; a newer manifest may be lost without a trace.
        if self.journal.goes_on_after(self.id, self.upto) {
            self.drop_segment(&segment, "was never finished, and the journal holds what it would");
            return Ok(());
        }
        self.require_whole_blocks(&segment)?;
        if meta.first_index > self.upto.next() {
            let from = self.upto.next();
            let to = LogIndex(meta.first_index.0 - 1);
            self.settled.gaps.push(PartitionGap { from, to });
            let what = format!("at most {} changes are in no segment", to.0 - self.upto.0);
            self.damage(format!(
                "acknowledged data is damaged: {what}, nor in the journal: log indexes {from}..={to}"
            ));
        }
        if !segment.whole {
            let what = "is not whole, and the journal no longer holds what it held";
            self.damage(format!("acknowledged data is damaged: segment {} {what}", meta.ordinal));
        }
        self.take(segment);
        Ok(())
    }

    fn take(&mut self, mut segment: LoadedSegment) {
        let meta = *segment.meta();
        self.upto = self.upto.max(meta.last_index);
        for finding in std::mem::take(&mut segment.findings) {
            self.notice(finding);
        }
        if segment.incomplete {
            // Numbers that the lost events may have held are skipped, never used again.
            self.settled.gaps.push(PartitionGap { from: meta.first_index, to: meta.last_index });
            let count = (meta.last_index.0 - meta.first_index.0).saturating_add(1);
            let what = format!("segment {} is not complete, at most {count} changes", meta.ordinal);
            self.damage(format!("acknowledged data is damaged: {what}"));
        }
        self.settled.segments.push(segment);
    }

    fn drop_useless(&mut self, useless: &Useless) -> Result<(), Refusal> {
        let ordinal = useless.ordinal;
        match useless.why {
            UselessWhy::Unreadable => return Ok(()),
            UselessWhy::Unidentified if self.trust == Trust::Nothing && useless.len > 0 => {
                // While the journal reaches back to the segments, and they to the first change, nothing can
                // be missing.
                let is_missing_nothing = self.settled.gaps.is_empty();
                if !(is_missing_nothing && self.journal.goes_on_after(self.id, self.upto)) {
                    return Err(self.unknown(ordinal));
                }
            }
            UselessWhy::Unidentified => {}
        }
        self.notice(format!("segment {ordinal} was never finished and is removed"));
        self.settled.leftovers.push(ordinal);
        Ok(())
    }

    fn drop_segment(&mut self, segment: &LoadedSegment, why: &str) {
        let ordinal = segment.file.ordinal;
        self.notice(format!("segment {ordinal} {why}; it is removed"));
        self.settled.leftovers.push(ordinal);
    }

    /// A manifest cannot name a file that ends inside a block, and no writer leaves one that is finished.
    fn require_whole_blocks(&self, segment: &LoadedSegment) -> Result<(), Refusal> {
        let len = segment.file.len;
        if len.is_multiple_of(BLOCK_BYTES as u64) {
            return Ok(());
        }
        let message = format!(
            "a segment of partition {} was cut: it has {len} bytes, not whole blocks of {BLOCK_BYTES}, and \
             neither a manifest nor the journal says what it held",
            self.id
        );
        Err(Refusal::new("segment-cut", message, MEND).at(self.file(segment.file.ordinal), Some(len)))
    }

    fn unknown(&self, ordinal: u64) -> Refusal {
        let message = format!(
            "no manifest of partition {} can be read, and neither header nor trailer of a segment: what it \
             held nobody can tell",
            self.id
        );
        Refusal::new("segment-unknown", message, MEND).at(self.file(ordinal), Some(0))
    }

    fn file(&self, ordinal: u64) -> FileId {
        FileId::Segment { partition: self.id, ordinal }
    }

    fn damage(&mut self, text: String) {
        self.settled.damage.push(format!("partition {}: {text}", self.id));
        self.notice(text);
    }

    fn notice(&mut self, text: String) {
        self.settled.notices.push(format!("partition {}: {text}", self.id));
    }
}

/// The way out when a segment is not usable.
const MEND: &str = "restore the file from a backup of this directory, or copy out what is good with \
                    `millrace inspect --salvage`; to start without what it held, move it away";

impl LoadedSegment {
    fn meta(&self) -> &SegmentMeta {
        &self.file.trailer.meta
    }

    fn is_output(&self) -> bool {
        self.meta().replaces.is_some()
    }

    fn spans(&self, first: LogIndex, last: LogIndex) -> bool {
        self.meta().first_index <= first && last <= self.meta().last_index
    }

    fn lies_within(&self, outer: &SegmentMeta) -> bool {
        outer.first_index <= self.meta().first_index && self.meta().last_index <= outer.last_index
    }
}

/// Whether `inputs`, by first index, together hold every index of `output`.
fn covers(inputs: &[SegmentMeta], output: &SegmentMeta) -> bool {
    let mut next = output.first_index;
    for input in inputs {
        if input.first_index <= next && next <= input.last_index {
            next = LogIndex(input.last_index.0.saturating_add(1));
        }
    }
    next > output.last_index
}
