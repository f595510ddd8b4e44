//! What the groups found in a journal mean: the recovery table of `docs/formats/journal.md`.
//!
//! Truncating at the first bad checksum would lose acknowledged events silently. Here each group number is
//! judged by evidence: `durable_upto` of any other group and the marks of the EPOCH file prove that a group
//! was on disk. A proved group that is bad is *lost* (its range is told and never reused); an unproved one
//! is a torn tail and is *cut*. Each step matches exactly one row of [`Row`].

use crate::batch::Batch;
use crate::group::GroupKind;
use crate::scan::{FileScan, FoundGroup, Place};
use std::fmt;
use types::ServerEpoch;

/// What the EPOCH file knows of a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalMark {
    /// Highest group number that is known durable.
    pub durable: u64,
    /// Lowest group number that recovery needs.
    pub replay_from: u64,
    /// Files that the journal has.
    pub slots: u16,
    /// The life of the server that wrote the mark; 0 when there is no EPOCH file.
    pub epoch: ServerEpoch,
}

/// Rules that a sabotage build leaves out, to show that the tests notice. All true in every real build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A group must carry the checksum of the group before.
    pub chain: bool,
    /// `durable_upto` proves that earlier groups were durable.
    pub durable_upto: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { chain: true, durable_upto: true }
    }
}

/// Groups that were durable and cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostGroups {
    /// First lost number.
    pub first: u64,
    /// Last lost number.
    pub last: u64,
    /// Log indexes that they may have held, over all partitions, at most.
    pub records_max: u64,
    /// File and byte offset where the first of them was expected; `None` when that is not known.
    pub at: Option<(u16, u64)>,
}

/// Where the journal ends although something that is no sound group of it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The number that was cut.
    pub number: u64,
    /// The file.
    pub slot: u16,
    /// Byte offset.
    pub offset: u64,
    /// Its header is there, so a write was torn. Otherwise it may as well be what an earlier use of the file
    /// has left.
    pub has_header: bool,
}

/// A sound group that must be replayed.
#[derive(Clone, Debug)]
pub struct AcceptedGroup {
    /// Its number.
    pub number: u64,
    /// Its batches.
    pub batches: Vec<Batch>,
}

/// Where the journal goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalTail {
    /// The next group's number.
    pub next_number: u64,
    /// What the next group carries as `previous_checksum`.
    pub previous_checksum: u32,
    /// Log indexes of all groups so far.
    pub records_before: u64,
    /// File, generation and offset where the next group may be written; `None`: take a new file.
    pub position: Option<(u16, u64, u64)>,
    /// The highest file generation in use.
    pub generation_max: u64,
}

/// The judgement over a journal.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Groups to replay, ascending.
    pub accepted: Vec<AcceptedGroup>,
    /// Damage in acknowledged data.
    pub lost: Vec<LostGroups>,
    /// A torn tail, where there was one.
    pub cut: Option<Cut>,
    /// Where to go on.
    pub tail: JournalTail,
    /// Lowest number that is still needed.
    pub replay_from: u64,
}

/// Why a journal cannot be used at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalRefusal {
    /// A file that the journal had is not there.
    MissingFile {
        /// Which.
        slot: u16,
    },
    /// A group that is needed lies in the wrong place.
    Misplaced {
        /// Where it was found: file and offset.
        found: (u16, u64),
        /// Its number.
        number: u64,
    },
    /// Something proves a group durable, and there is no trace of it.
    BeyondEnd {
        /// The highest number that is proved.
        proved: u64,
        /// The first number that is not there.
        missing: u64,
    },
    /// A group of another data directory.
    Foreign {
        /// File and offset.
        at: (u16, u64),
    },
    /// A version or kind that this program does not know.
    Unknown {
        /// File and offset.
        at: (u16, u64),
        /// What it is.
        what: String,
    },
    /// A sound group in its own place that does not follow the group before it: the files come from copies
    /// of the directory that went different ways.
    Mixed {
        /// File and offset.
        at: (u16, u64),
        /// Its number.
        number: u64,
    },
    /// The EPOCH file is older than the journal.
    EpochBehind {
        /// What the EPOCH file says.
        mark: ServerEpoch,
        /// What a group says.
        found: ServerEpoch,
    },
}

impl fmt::Display for JournalRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalRefusal::MissingFile { slot } => write!(f, "journal file {slot:03}.jnl is missing"),
            JournalRefusal::Misplaced { found, number } => write!(
                f,
                "group {number} lies in journal file {:03}.jnl at offset {}, which is not its own place",
                found.0, found.1
            ),
            JournalRefusal::BeyondEnd { proved, missing } => write!(
                f,
                "groups up to {proved} were durable but nothing is left of group {missing}: the disk lost \
                 flushed writes, or files are missing or mixed"
            ),
            JournalRefusal::Foreign { at } => write!(
                f,
                "journal file {:03}.jnl holds a group of another data directory at offset {}",
                at.0, at.1
            ),
            JournalRefusal::Unknown { at, what } => {
                write!(f, "journal file {:03}.jnl at offset {}: {what}", at.0, at.1)
            }
            JournalRefusal::Mixed { at, number } => write!(
                f,
                "group {number} in journal file {:03}.jnl at offset {} does not follow the group before it: \
                 files of different copies of the directory are mixed",
                at.0, at.1
            ),
            JournalRefusal::EpochBehind { mark, found } => write!(
                f,
                "the EPOCH file knows life {mark} of the server, the journal was written in life {found}"
            ),
        }
    }
}

impl std::error::Error for JournalRefusal {}

/// The row of the recovery table that a group number matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// Sound and chained.
    Accept,
    /// Header sound, body bad, proved durable.
    LostBody,
    /// No header, proved durable, a later group is there.
    LostHeader,
    /// No header, proved durable, garbage in its place, nothing later.
    LostTail,
    /// Proved durable, and no trace.
    Refuse,
    /// Not proved: clean end or torn tail.
    End,
}

/// Judges a journal.
///
/// `files` are the scans by slot number; `place` tells what lies at (slot, offset).
///
/// # Errors
/// [`JournalRefusal`] when serving anything of this journal would be wrong.
pub fn judge(
    files: &[(u16, FileScan)],
    mark: JournalMark,
    rules: Rules,
    place: &dyn Fn(u16, u64) -> Place,
) -> Result<Verdict, JournalRefusal> {
    refuse_what_does_not_belong(files, mark)?;
    let groups: Vec<&FoundGroup> = files.iter().flat_map(|(_, scan)| &scan.groups).collect();
    let evidence = Evidence::gather(files, &groups, mark, rules);
    refuse_missing_files(files, &groups, mark)?;
    let mut walk = Walk::start(&groups, &evidence, rules);
    while walk.step(&groups, &evidence, place)? {}
    refuse_misplaced(files, &walk)?;
    Ok(walk.finish(&groups))
}

struct Evidence {
    proved: u64,
    replay_from: u64,
}

impl Evidence {
    fn gather(
        files: &[(u16, FileScan)],
        groups: &[&FoundGroup],
        mark: JournalMark,
        rules: Rules,
    ) -> Evidence {
        let misplaced = files.iter().flat_map(|(_, scan)| &scan.misplaced).map(|m| &m.header);
        let headers = || groups.iter().map(|group| &group.header);
        let by_groups = headers().chain(misplaced).map(|header| header.durable_upto).max().unwrap_or(0);
        let replay_from = headers().map(|header| header.replay_from).max().unwrap_or(0);
        Evidence {
            proved: if rules.durable_upto { by_groups.max(mark.durable) } else { 0 },
            replay_from: replay_from.max(mark.replay_from).max(1),
        }
    }
}

fn refuse_what_does_not_belong(files: &[(u16, FileScan)], mark: JournalMark) -> Result<(), JournalRefusal> {
    for (slot, scan) in files {
        if let Some(offset) = scan.foreign_at {
            return Err(JournalRefusal::Foreign { at: (*slot, offset) });
        }
        if let Some((offset, what)) = &scan.unknown_at {
            return Err(JournalRefusal::Unknown { at: (*slot, *offset), what: what.to_string() });
        }
        if let Some(found) = scan.groups.iter().map(|g| g.header.epoch).max().filter(|&e| e > mark.epoch) {
            return Err(JournalRefusal::EpochBehind { mark: mark.epoch, found });
        }
    }
    Ok(())
}

fn refuse_missing_files(
    files: &[(u16, FileScan)],
    groups: &[&FoundGroup],
    mark: JournalMark,
) -> Result<(), JournalRefusal> {
    let slots = groups.iter().map(|group| group.header.slots).max().unwrap_or(0).max(mark.slots);
    match (0..slots).find(|slot| !files.iter().any(|(present, _)| present == slot)) {
        Some(slot) => Err(JournalRefusal::MissingFile { slot }),
        None => Ok(()),
    }
}

/// A misplaced copy matters when the number it claims was not found in its own place.
fn refuse_misplaced(files: &[(u16, FileScan)], walk: &Walk) -> Result<(), JournalRefusal> {
    for misplaced in files.iter().flat_map(|(_, scan)| &scan.misplaced) {
        let number = misplaced.header.number;
        if walk.lost.iter().any(|lost| lost.first <= number && number <= lost.last) {
            return Err(JournalRefusal::Misplaced { found: (misplaced.slot, misplaced.offset), number });
        }
    }
    Ok(())
}

/// The state of the walk from the first needed group to the end.
struct Walk {
    rules: Rules,
    next: u64,
    replay_from: u64,
    epoch: ServerEpoch,
    previous: Option<u32>,
    records_before: u64,
    records_known: bool,
    position: Option<(u16, u64, u64)>,
    /// The last group is a seal: nothing was written after it.
    sealed: bool,
    accepted: Vec<AcceptedGroup>,
    lost: Vec<LostGroups>,
    cut: Option<Cut>,
}

impl Walk {
    fn start(groups: &[&FoundGroup], evidence: &Evidence, rules: Rules) -> Walk {
        let before = groups
            .iter()
            .filter(|group| group.header.number + 1 == evidence.replay_from)
            .max_by_key(|group| group.header.epoch);
        let records = |group: &FoundGroup| group.header.records_before + u64::from(group.header.record_count);
        Walk {
            rules,
            next: evidence.replay_from,
            replay_from: evidence.replay_from,
            epoch: before.map_or(ServerEpoch(0), |group| group.header.epoch),
            previous: before.map(|group| group.checksum),
            records_before: before.map_or(0, |group| records(group)),
            records_known: before.is_some() || evidence.replay_from == 1,
            position: before.map(|group| (group.slot, group.header.generation, group.end())),
            sealed: before.is_some_and(|group| group.header.kind == GroupKind::Seal),
            accepted: Vec::new(),
            lost: Vec::new(),
            cut: None,
        }
    }

    /// Judges one number; false at the end.
    fn step(
        &mut self,
        groups: &[&FoundGroup],
        evidence: &Evidence,
        place: &dyn Fn(u16, u64) -> Place,
    ) -> Result<bool, JournalRefusal> {
        let candidate = self.candidate(groups);
        if candidate.is_none() {
            self.refuse_mixed(groups)?;
        }
        let batches = candidate.map(FoundGroup::batches);
        let proved = self.next <= evidence.proved;
        let later = groups
            .iter()
            .filter(|group| group.header.number > self.next && group.header.epoch >= self.epoch)
            .min_by_key(|group| (group.header.number, std::cmp::Reverse(group.header.epoch)));
        let here = self.position.map(|(slot, _, offset)| place(slot, offset));
        let row = match (&batches, proved, later, here) {
            (Some(Ok(_)), _, _, _) => Row::Accept,
            (Some(Err(_)), true, _, _) => Row::LostBody,
            (None, true, Some(_), _) => Row::LostHeader,
            (None, true, None, Some(Place::Garbage | Place::Unreadable)) => Row::LostTail,
            (None, true, None, _) => Row::Refuse,
            (Some(Err(_)) | None, false, _, _) => Row::End,
        };
        match row {
            Row::Accept => self.accept(
                candidate.expect("the row has a candidate"),
                batches.expect("the row has a body").expect("the row has a sound body"),
            ),
            Row::LostBody => self.lose_body(candidate.expect("the row has a candidate")),
            Row::LostHeader => self.lose_until(later.expect("the row has a later group")),
            Row::LostTail => self.lose_tail(evidence.proved),
            Row::Refuse => {
                return Err(JournalRefusal::BeyondEnd { proved: evidence.proved, missing: self.next });
            }
            Row::End => {
                self.end(candidate, here);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The group that carries the next number in this history, if there is one.
    fn candidate<'a>(&self, groups: &[&'a FoundGroup]) -> Option<&'a FoundGroup> {
        groups
            .iter()
            .filter(|group| group.header.number == self.next && group.header.epoch >= self.epoch)
            .filter(|group| {
                !self.rules.chain || self.previous.is_none_or(|sum| group.header.previous_checksum == sum)
            })
            .max_by_key(|group| group.header.epoch)
            .copied()
    }

    /// Stale groups have an older epoch. One that has not and yet does not chain was never written after
    /// the group before it.
    fn refuse_mixed(&self, groups: &[&FoundGroup]) -> Result<(), JournalRefusal> {
        let here = |group: &&&FoundGroup| {
            group.header.number == self.next && group.header.epoch >= self.epoch && self.previous.is_some()
        };
        match groups.iter().find(here) {
            Some(group) => {
                let at = (group.slot, group.header.offset);
                Err(JournalRefusal::Mixed { at, number: self.next })
            }
            None => Ok(()),
        }
    }

    fn pass(&mut self, group: &FoundGroup) {
        self.previous = Some(group.checksum);
        self.epoch = group.header.epoch;
        self.sealed = group.header.kind == GroupKind::Seal;
        self.position = Some((group.slot, group.header.generation, group.end()));
        self.records_before = group.header.records_before + u64::from(group.header.record_count);
        self.records_known = true;
        self.next = group.header.number + 1;
    }

    fn accept(&mut self, group: &FoundGroup, batches: Vec<Batch>) {
        self.accepted.push(AcceptedGroup { number: group.header.number, batches });
        self.pass(group);
    }

    fn lose_body(&mut self, group: &FoundGroup) {
        self.lost.push(LostGroups {
            first: self.next,
            last: self.next,
            records_max: group.header.record_count.into(),
            at: Some((group.slot, group.header.offset)),
        });
        self.pass(group);
    }

    fn lose_until(&mut self, later: &FoundGroup) {
        let records_max = if self.records_known {
            later.header.records_before.saturating_sub(self.records_before)
        } else {
            self.unknown_records()
        };
        self.lost.push(LostGroups {
            first: self.next,
            last: later.header.number - 1,
            records_max,
            at: self.position.map(|(slot, _, offset)| (slot, offset)),
        });
        self.next = later.header.number;
        self.records_before = later.header.records_before;
        self.records_known = true;
        self.previous = None;
    }

    fn lose_tail(&mut self, proved: u64) {
        self.lost.push(LostGroups {
            first: self.next,
            last: proved,
            records_max: self.unknown_records(),
            at: self.position.map(|(slot, _, offset)| (slot, offset)),
        });
        self.next = proved + 1;
        self.records_before += self.unknown_records();
        self.previous = None;
        // How long the lost groups were is not known: go on in another file.
        self.position = None;
    }

    /// A bound when nothing tells how many records a group held: a block full of the smallest ones.
    fn unknown_records(&self) -> u64 {
        (crate::BLOCK_BYTES / types::RECORD_HEADER_BYTES) as u64
    }

    fn end(&mut self, candidate: Option<&FoundGroup>, here: Option<Place>) {
        let is_old = self.sealed && here == Some(Place::Garbage);
        let torn =
            candidate.is_some() || (matches!(here, Some(Place::Garbage | Place::Unreadable)) && !is_old);
        if let (true, Some((slot, _, offset))) = (torn, self.position) {
            let at = candidate.map_or((slot, offset), |group| (group.slot, group.header.offset));
            let has_header = candidate.is_some();
            self.cut = Some(Cut { number: self.next, slot: at.0, offset: at.1, has_header });
        }
    }

    fn finish(self, groups: &[&FoundGroup]) -> Verdict {
        let generation_max = groups.iter().map(|group| group.header.generation).max().unwrap_or(0);
        assert!(self.accepted.is_sorted_by(|a, b| a.number < b.number), "groups ascend");
        Verdict {
            accepted: self.accepted,
            lost: self.lost,
            cut: self.cut,
            tail: JournalTail {
                next_number: self.next,
                previous_checksum: self.previous.unwrap_or(0),
                records_before: self.records_before,
                position: self.position,
                generation_max,
            },
            replay_from: self.replay_from,
        }
    }
}
