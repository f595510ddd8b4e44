//! Loading one partition: its manifests and every segment file that is there.
//!
//! One operation at a time per partition, many partitions side by side. Manifests are flushed before they
//! are read: what is only in the device's cache must not be depended on. Nothing is removed and nothing is
//! decided here about segments that no manifest names: `recover_settle` does, when the journal is known.

use crate::disk::{DirId, DiskDone, DiskErrorKind, DiskOp, DiskResult, FileId, ListedFile};
use crate::recover_segment::{LoadedSegment, SegmentLoad, SegmentStep, Wanted};
use crate::refusal::Refusal;
use bytes::Bytes;
use commitlog::{BLOCK_BYTES, Manifest, ManifestChoice, ManifestSegment, choose_manifest};
use std::collections::VecDeque;
use types::PartitionId;

/// What a partition's files amount to.
#[derive(Debug)]
pub(crate) struct LoadedPartition {
    pub(crate) id: PartitionId,
    pub(crate) manifest: Option<Manifest>,
    pub(crate) trust: Trust,
    pub(crate) manifest_exists: [bool; 2],
    pub(crate) segments: Vec<LoadedSegment>,
    /// Segments that the manifest names and that are not there.
    pub(crate) missing: Vec<ManifestSegment>,
    /// Segments that no manifest names and of which nothing can be used.
    pub(crate) useless: Vec<Useless>,
    pub(crate) notices: Vec<String>,
}

/// What the manifest that was chosen proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It is the newest, as far as the files tell: what it does not name is a leftover, or goes on where it
    /// ends.
    Newest,
    /// The newest may be lost: one checkpoint or merge may stand behind it.
    Older,
    /// There is none: the segments are all that is left, or none was ever finished.
    Nothing,
}

/// A file that no manifest names and of which nothing can be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Useless {
    pub(crate) ordinal: u64,
    pub(crate) len: u64,
    pub(crate) why: UselessWhy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UselessWhy {
    /// Nothing says what it is.
    Unidentified,
    /// The disk does not give its bytes.
    Unreadable,
}

/// The loading of one partition.
#[derive(Debug)]
pub(crate) struct PartitionLoad {
    directory_id: u128,
    flush_first: bool,
    stage: Stage,
    todo: VecDeque<DiskOp>,
    listed: Vec<ListedFile>,
    manifests: [Bytes; 2],
    wanted: VecDeque<Wanted>,
    loaded: LoadedPartition,
}

#[derive(Debug)]
enum Stage {
    List,
    MakeDir,
    Flush,
    ReadManifest(u8),
    Segment(Box<SegmentLoad>),
    Done,
}

/// What a load wants next.
pub(crate) enum LoadStep {
    Disk(DiskOp),
    Loaded(Box<LoadedPartition>),
    Refused(Refusal),
}

impl PartitionLoad {
    /// A load, and its first operation.
    pub(crate) fn start(id: PartitionId, directory_id: u128, flush_first: bool) -> (PartitionLoad, DiskOp) {
        let load = PartitionLoad {
            directory_id,
            flush_first,
            stage: Stage::List,
            todo: VecDeque::new(),
            listed: Vec::new(),
            manifests: [Bytes::new(), Bytes::new()],
            wanted: VecDeque::new(),
            loaded: LoadedPartition::empty(id),
        };
        (load, DiskOp::List { dir: DirId::Partition(id) })
    }

    /// The operation that was asked for is done.
    pub(crate) fn handle_disk(&mut self, result: DiskResult) -> LoadStep {
        if let Err(error) = &result
            && error.kind == DiskErrorKind::TooManyFiles
        {
            // It says nothing of the file: to go on would take sound data for damaged.
            return self.refuse_io("opening the files", *error);
        }
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::List => self.after_list(result),
            Stage::MakeDir => match result {
                Ok(_) => self.finish(),
                Err(error) => self.refuse_io("making the partition's folder", error),
            },
            Stage::Flush => match result {
                Ok(_) => self.flush_or_read(),
                Err(error) => self.refuse_io("flushing the partition's files", error),
            },
            Stage::ReadManifest(slot) => self.after_manifest(slot, result),
            Stage::Segment(mut load) => {
                let step = load.handle_disk(result);
                self.after_segment(load, step)
            }
            Stage::Done => unreachable!("nothing was asked for"),
        }
    }

    fn after_list(&mut self, result: DiskResult) -> LoadStep {
        match result {
            Ok(DiskDone::Listing(mut files)) => {
                files.sort_unstable();
                self.listed = files;
            }
            Ok(_) => {}
            Err(error) if error.kind == DiskErrorKind::NotFound => {
                self.stage = Stage::MakeDir;
                return LoadStep::Disk(DiskOp::MakeDir { dir: DirId::Partition(self.loaded.id) });
            }
            Err(error) => return self.refuse_io("listing the partition's folder", error),
        }
        if self.flush_first {
            let manifests = self.listed.iter().filter(|f| matches!(f.file, FileId::Manifest { .. }));
            self.todo = manifests.map(|found| DiskOp::Flush { file: found.file }).collect();
            if !self.listed.is_empty() {
                self.todo.push_back(DiskOp::SyncDir { dir: DirId::Partition(self.loaded.id) });
            }
        }
        self.flush_or_read()
    }

    fn flush_or_read(&mut self) -> LoadStep {
        match self.todo.pop_front() {
            Some(work) => {
                self.stage = Stage::Flush;
                LoadStep::Disk(work)
            }
            None => self.read_manifest(0),
        }
    }

    fn read_manifest(&mut self, slot: u8) -> LoadStep {
        if slot == 2 {
            return self.choose();
        }
        let file = FileId::Manifest { partition: self.loaded.id, slot };
        let Some(found) = self.listed.iter().find(|found| found.file == file) else {
            return self.read_manifest(slot + 1);
        };
        self.loaded.manifest_exists[usize::from(slot)] = true;
        let len = usize::try_from(found.len).unwrap_or(0).next_multiple_of(BLOCK_BYTES);
        if len == 0 {
            return self.read_manifest(slot + 1);
        }
        self.stage = Stage::ReadManifest(slot);
        LoadStep::Disk(DiskOp::Read { file, offset: 0, len })
    }

    fn after_manifest(&mut self, slot: u8, result: DiskResult) -> LoadStep {
        self.manifests[usize::from(slot)] = match result {
            Ok(DiskDone::Bytes(bytes)) => bytes,
            // Unreadable counts as damaged, never as missing.
            _ => Bytes::from_static(b"unreadable"),
        };
        self.read_manifest(slot + 1)
    }

    /// Decides which manifest holds, and which segments must be loaded.
    fn choose(&mut self) -> LoadStep {
        let id = self.loaded.id;
        let [slot0, slot1] = [0_u8, 1]
            .map(|slot| Manifest::read_slot(&self.manifests[usize::from(slot)], slot, self.directory_id, id));
        let (manifest, trust) = self.judge_manifests(choose_manifest(slot0, slot1));
        let present: Vec<(u64, u64)> = self.listed.iter().filter_map(segment_of).collect();
        let named: &[ManifestSegment] = manifest.as_ref().map_or(&[], |manifest| &manifest.segments);
        for entry in named {
            match present.iter().find(|(found, _)| *found == entry.ordinal) {
                // Ordinals are never used twice and a segment never changes, whichever manifest names it.
                Some(&(ordinal, len)) if len == entry.len => {
                    self.wanted.push_back(Wanted { ordinal, len, entry: Some(*entry) });
                }
                // An older manifest may name segments that a later merge has replaced.
                None if trust == Trust::Older => self.loaded.missing.push(*entry),
                found => {
                    return LoadStep::Refused(segment_missing(id, entry, found.map(|(_, len)| *len)));
                }
            }
        }
        let unnamed = present.iter().filter(|(ordinal, _)| !named.iter().any(|e| e.ordinal == *ordinal));
        self.wanted.extend(unnamed.map(|&(ordinal, len)| Wanted { ordinal, len, entry: None }));
        (self.loaded.manifest, self.loaded.trust) = (manifest, trust);
        self.load_next()
    }

    fn judge_manifests(&mut self, choice: ManifestChoice) -> (Option<Manifest>, Trust) {
        match choice {
            ManifestChoice::Newest(manifest) => (Some(manifest), Trust::Newest),
            // No manifest was ever finished: what is there was never depended on, or all manifests are gone.
            ManifestChoice::Missing | ManifestChoice::TornAtBirth(_) => (None, Trust::Nothing),
            ManifestChoice::Survivor { value, lost } => {
                let why = lost.map_or_else(|| "it is gone".to_owned(), |error| error.to_string());
                self.notice(format!("a manifest cannot be read ({why}); the other generation is used"));
                (Some(value), Trust::Older)
            }
            ManifestChoice::Damaged { slot0, slot1 } => {
                let why = slot0.or(slot1).map_or_else(String::new, |error| error.to_string());
                self.notice(format!("no manifest can be read ({why}); rebuilding it from the segments"));
                (None, Trust::Nothing)
            }
        }
    }

    fn load_next(&mut self) -> LoadStep {
        let Some(wanted) = self.wanted.pop_front() else { return self.finish() };
        let place = (self.loaded.id, self.directory_id);
        let (load, work) = SegmentLoad::start(place, wanted, self.flush_first);
        self.stage = Stage::Segment(Box::new(load));
        LoadStep::Disk(work)
    }

    fn after_segment(&mut self, load: Box<SegmentLoad>, step: SegmentStep) -> LoadStep {
        let Wanted { ordinal, len, .. } = load.wanted;
        let why = match step {
            SegmentStep::Disk(work) => {
                self.stage = Stage::Segment(load);
                return LoadStep::Disk(work);
            }
            SegmentStep::Loaded(segment) => {
                self.loaded.segments.push(*segment);
                return self.load_next();
            }
            SegmentStep::NotFlushed(error) => return self.refuse_io("flushing a segment", error),
            SegmentStep::Unidentified => UselessWhy::Unidentified,
            SegmentStep::Unreadable(error) => {
                self.notice(format!("segment {ordinal}, which no manifest names, cannot be read: {error}"));
                UselessWhy::Unreadable
            }
        };
        self.loaded.useless.push(Useless { ordinal, len, why });
        self.load_next()
    }

    fn finish(&mut self) -> LoadStep {
        let empty = LoadedPartition::empty(self.loaded.id);
        LoadStep::Loaded(Box::new(std::mem::replace(&mut self.loaded, empty)))
    }

    fn notice(&mut self, text: String) {
        self.loaded.notices.push(format!("partition {}: {text}", self.loaded.id));
    }

    fn refuse_io(&self, doing: &str, error: crate::disk::DiskError) -> LoadStep {
        LoadStep::Refused(Refusal::new(
            "partition-io",
            format!("{doing} of partition {}: {error}", self.loaded.id),
            "check the disk's health and the directory's permissions, then start again",
        ))
    }
}

impl LoadedPartition {
    fn empty(id: PartitionId) -> LoadedPartition {
        LoadedPartition {
            id,
            manifest: None,
            trust: Trust::Nothing,
            manifest_exists: [false; 2],
            segments: Vec::new(),
            missing: Vec::new(),
            useless: Vec::new(),
            notices: Vec::new(),
        }
    }
}

/// A segment that a manifest names is gone, or is not as long as it was.
pub(crate) fn segment_missing(id: PartitionId, entry: &ManifestSegment, found_len: Option<u64>) -> Refusal {
    let file = FileId::Segment { partition: id, ordinal: entry.ordinal };
    let message = match found_len {
        None => format!("the manifest of partition {id} names a segment that is not there"),
        Some(len) => {
            format!("a segment of partition {id} has {len} bytes, its manifest says {}", entry.len)
        }
    };
    let next = "restore the file from a backup of this directory, or copy out what is good with \
                `millrace inspect --salvage`";
    Refusal::new("segment-missing", message, next).at(file, found_len)
}

fn segment_of(found: &ListedFile) -> Option<(u64, u64)> {
    match found.file {
        FileId::Segment { ordinal, .. } => Some((ordinal, found.len)),
        _ => None,
    }
}
