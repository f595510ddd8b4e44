//! Loading one partition: its manifest, its segments' trailers and footers.
//!
//! One operation at a time per partition, many partitions side by side. Manifests are flushed before they
//! are read: what is only in the device's cache must not be depended on. An index that cannot be read is
//! rebuilt from the events; a manifest that cannot be read is replaced by the other generation and the
//! segments that are there.

use crate::disk::{DirId, DiskDone, DiskErrorKind, DiskOp, DiskResult, FileId, ListedFile};
use crate::partition::SegmentFile;
use crate::refusal::Refusal;
use bytes::Bytes;
use commitlog::{
    BLOCK_BYTES, Footer, FooterRebuild, FormatError, Manifest, ManifestChoice, ManifestSegment, SegmentMeta,
    Trailer, choose_manifest, decode_footer, decode_segment_header, decode_trailer,
};
use std::collections::VecDeque;
use types::{LogIndex, PartitionId};

/// What a partition's files amount to.
#[derive(Debug, Default)]
pub(crate) struct LoadedPartition {
    pub(crate) manifest: Option<Manifest>,
    pub(crate) manifest_exists: [bool; 2],
    /// By first index.
    pub(crate) segments: Vec<LoadedSegment>,
    pub(crate) notices: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct LoadedSegment {
    pub(crate) file: SegmentFile,
    pub(crate) footer: Footer,
    /// The footer was rebuilt and must stay in memory.
    pub(crate) rebuilt: bool,
    /// A manifest names it.
    named: bool,
}

/// The loading of one partition.
#[derive(Debug)]
pub(crate) struct PartitionLoad {
    pub(crate) id: PartitionId,
    directory_id: u128,
    flush_first: bool,
    stage: Stage,
    todo: VecDeque<DiskOp>,
    listed: Vec<ListedFile>,
    manifests: [Bytes; 2],
    wanted: VecDeque<Wanted>,
    /// No manifest can be read: a damaged segment is still the best there is.
    keep_damaged: bool,
    /// A manifest is missing: the output of a merge may be all that is left of its inputs.
    keep_outputs: bool,
    loaded: LoadedPartition,
}

/// A segment to be loaded; `entry` when a manifest names it.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    ordinal: u64,
    len: u64,
    entry: Option<ManifestSegment>,
}

#[derive(Debug)]
enum Stage {
    List,
    MakeDir,
    Flush,
    ReadManifest(u8),
    Clean,
    FlushSegment(Wanted),
    Trailer(Wanted),
    Header(Wanted, FormatError),
    Footer(Wanted, Trailer),
    Rebuild(Wanted, Option<Trailer>, SegmentMeta, Box<FooterRebuild>),
    Verify(Wanted, Trailer, Footer, Box<FooterRebuild>),
}

/// What a load wants next.
pub(crate) enum LoadStep {
    Disk(DiskOp),
    Loaded(LoadedPartition),
    Refused(Refusal),
}

impl PartitionLoad {
    /// A load, and its first operation.
    pub(crate) fn start(id: PartitionId, directory_id: u128, flush_first: bool) -> (PartitionLoad, DiskOp) {
        let load = PartitionLoad {
            id,
            directory_id,
            flush_first,
            stage: Stage::List,
            todo: VecDeque::new(),
            listed: Vec::new(),
            manifests: [Bytes::new(), Bytes::new()],
            wanted: VecDeque::new(),
            keep_damaged: false,
            keep_outputs: false,
            loaded: LoadedPartition::default(),
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
        match std::mem::replace(&mut self.stage, Stage::Clean) {
            Stage::List => self.after_list(result),
            Stage::MakeDir => match result {
                Ok(_) => LoadStep::Loaded(std::mem::take(&mut self.loaded)),
                Err(error) => self.refuse_io("making the partition's folder", error),
            },
            Stage::Flush => match result {
                Ok(_) => self.flush_or_read(),
                Err(error) => self.refuse_io("flushing the partition's files", error),
            },
            Stage::ReadManifest(slot) => self.after_manifest(slot, result),
            Stage::Clean => self.after_clean(result),
            Stage::FlushSegment(wanted) => match result {
                Ok(_) => self.read_trailer(wanted),
                Err(error) => self.refuse_io("flushing a segment", error),
            },
            Stage::Trailer(wanted) => self.after_trailer(wanted, result),
            Stage::Header(wanted, error) => self.after_header(wanted, &error, result),
            Stage::Footer(wanted, trailer) => self.after_footer(wanted, trailer, result),
            Stage::Verify(wanted, trailer, footer, mut rebuild) => {
                match result {
                    Ok(DiskDone::Bytes(bytes)) => rebuild.handle_read(&bytes),
                    _ => rebuild.handle_unreadable(),
                }
                self.verify(wanted, trailer, footer, rebuild)
            }
            Stage::Rebuild(wanted, trailer, meta, rebuild) => {
                self.after_rebuild(wanted, trailer, meta, rebuild, result)
            }
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
                return LoadStep::Disk(DiskOp::MakeDir { dir: DirId::Partition(self.id) });
            }
            Err(error) => return self.refuse_io("listing the partition's folder", error),
        }
        if self.flush_first {
            let manifests = self.listed.iter().filter(|f| matches!(f.file, FileId::Manifest { .. }));
            self.todo = manifests.map(|found| DiskOp::Flush { file: found.file }).collect();
            if !self.listed.is_empty() {
                self.todo.push_back(DiskOp::SyncDir { dir: DirId::Partition(self.id) });
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
        let file = FileId::Manifest { partition: self.id, slot };
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

    /// Decides which manifest holds, and which segments must be loaded or removed.
    fn choose(&mut self) -> LoadStep {
        let slots = [0_u8, 1].map(|slot| {
            Manifest::read_slot(&self.manifests[usize::from(slot)], slot, self.directory_id, self.id)
        });
        let [slot0, slot1] = slots;
        let choice = choose_manifest(slot0, slot1);
        let present: Vec<(u64, u64)> = self.listed.iter().filter_map(segment_of).collect();
        let (manifest, sure) = match choice {
            ManifestChoice::Newest(manifest) => (Some(manifest), true),
            // No manifest was ever finished: what is there was never depended on, or all manifests are gone
            // and the segments are all that is left. Taking them in is right in both cases.
            ManifestChoice::Missing | ManifestChoice::TornAtBirth(_) => (None, false),
            ManifestChoice::Survivor { value, lost } => {
                let why = lost.map_or_else(|| "it is gone".to_owned(), |error| error.to_string());
                self.notice(format!("a manifest cannot be read ({why}); the other generation is used"));
                (Some(value), false)
            }
            ManifestChoice::Damaged { slot0, slot1 } => {
                let why = slot0.or(slot1).map_or_else(String::new, |error| error.to_string());
                self.notice(format!("no manifest can be read ({why}); rebuilding it from the segments"));
                self.keep_damaged = true;
                (None, false)
            }
        };
        let named: &[ManifestSegment] = manifest.as_ref().map_or(&[], |manifest| &manifest.segments);
        for entry in named {
            let (ordinal, len) = (entry.ordinal, entry.len);
            match present.iter().find(|(found, _)| *found == ordinal) {
                Some((_, found)) if *found == len || !sure => {
                    self.wanted.push_back(Wanted { ordinal, len: *found, entry: Some(*entry) });
                }
                // An older manifest may name segments that a later merge has replaced.
                None if !sure => {}
                found => return self.refuse_segment(entry, found.map(|(_, len)| *len)),
            }
        }
        // What no manifest names is a leftover, or what a manifest named that the disk has lost: its content
        // tells, in `drop_leftovers`.
        let unnamed = present.iter().filter(|(ordinal, _)| !named.iter().any(|e| e.ordinal == *ordinal));
        self.wanted.extend(unnamed.map(|&(ordinal, len)| Wanted { ordinal, len, entry: None }));
        self.keep_outputs = !sure;
        self.loaded.manifest = manifest;
        self.clean_or_load()
    }

    /// Removes leftovers of unfinished checkpoints and merges, then loads.
    fn clean_or_load(&mut self) -> LoadStep {
        match self.todo.pop_front() {
            Some(work) => {
                self.stage = Stage::Clean;
                LoadStep::Disk(work)
            }
            None => self.load_next(),
        }
    }

    fn after_clean(&mut self, result: DiskResult) -> LoadStep {
        match result {
            Ok(_) => self.clean_or_load(),
            Err(error) if error.kind == DiskErrorKind::NotFound => self.clean_or_load(),
            Err(error) => self.refuse_io("removing a leftover segment", error),
        }
    }

    fn load_next(&mut self) -> LoadStep {
        let Some(wanted) = self.wanted.pop_front() else { return self.finish() };
        if wanted.entry.is_none() && self.flush_first {
            // Nobody says that it was ever flushed.
            let file = FileId::Segment { partition: self.id, ordinal: wanted.ordinal };
            self.stage = Stage::FlushSegment(wanted);
            return LoadStep::Disk(DiskOp::Flush { file });
        }
        self.read_trailer(wanted)
    }

    fn read_trailer(&mut self, wanted: Wanted) -> LoadStep {
        let file = FileId::Segment { partition: self.id, ordinal: wanted.ordinal };
        let whole = wanted.len / BLOCK_BYTES as u64 * BLOCK_BYTES as u64;
        let offset = whole.saturating_sub(BLOCK_BYTES as u64);
        self.stage = Stage::Trailer(wanted);
        LoadStep::Disk(DiskOp::Read { file, offset, len: BLOCK_BYTES })
    }

    fn after_trailer(&mut self, wanted: Wanted, result: DiskResult) -> LoadStep {
        let decoded = match result {
            Ok(DiskDone::Bytes(bytes)) => decode_trailer(&bytes, wanted.len),
            _ => decode_trailer(&[], wanted.len),
        };
        let placed = decoded.and_then(|trailer| {
            trailer.meta.check_place(self.directory_id, self.id, wanted.ordinal).map(|()| trailer)
        });
        match placed {
            Ok(trailer) => {
                let file = FileId::Segment { partition: self.id, ordinal: wanted.ordinal };
                let len = usize::try_from(trailer.footer_len).unwrap_or(usize::MAX);
                let offset = trailer.footer_offset;
                self.stage = Stage::Footer(wanted, trailer);
                LoadStep::Disk(DiskOp::Read { file, offset, len })
            }
            // A file that no manifest names and that has no end was never finished.
            Err(_) if wanted.entry.is_none() => {
                let file = FileId::Segment { partition: self.id, ordinal: wanted.ordinal };
                self.todo.push_back(DiskOp::Remove { file });
                self.clean_or_load()
            }
            Err(error) => {
                let file = FileId::Segment { partition: self.id, ordinal: wanted.ordinal };
                self.stage = Stage::Header(wanted, error);
                LoadStep::Disk(DiskOp::Read { file, offset: 0, len: BLOCK_BYTES })
            }
        }
    }

    /// The trailer is bad: the header says what the segment is, and the index is rebuilt.
    fn after_header(&mut self, wanted: Wanted, trailer_error: &FormatError, result: DiskResult) -> LoadStep {
        let entry = wanted.entry.expect("only named segments come here");
        let decoded = match result {
            Ok(DiskDone::Bytes(bytes)) => decode_segment_header(&bytes).ok(),
            _ => None,
        };
        let placed =
            decoded.filter(|meta| meta.check_place(self.directory_id, self.id, wanted.ordinal).is_ok());
        // The manifest knows as much as a bad header would have said.
        let meta = placed.unwrap_or(SegmentMeta {
            directory_id: self.directory_id,
            partition: self.id,
            ordinal: entry.ordinal,
            first_index: entry.first_index,
            last_index: entry.last_index,
            term_first: types::Term(1),
            term_last: types::Term(1),
            replaces: None,
        });
        self.notice(format!("segment {}: {trailer_error}; its index is rebuilt", wanted.ordinal));
        let rebuild = Box::new(FooterRebuild::new(meta, wanted.len, None));
        self.rebuild(wanted, None, meta, rebuild)
    }

    fn after_footer(&mut self, wanted: Wanted, trailer: Trailer, result: DiskResult) -> LoadStep {
        if let Ok(DiskDone::Bytes(bytes)) = &result
            && let Ok(footer) = decode_footer(bytes, &trailer)
        {
            if wanted.entry.is_none() && !self.keep_damaged {
                // Its end is on disk; whether all of it is, only reading it tells.
                let rebuild = Box::new(FooterRebuild::new(trailer.meta, wanted.len, Some(&trailer)));
                return self.verify(wanted, trailer, footer, rebuild);
            }
            let file = SegmentFile::new(trailer);
            self.loaded.segments.push(LoadedSegment {
                file,
                footer,
                rebuilt: false,
                named: wanted.entry.is_some(),
            });
            return self.load_next();
        }
        if wanted.entry.is_none() && !self.keep_damaged {
            let file = FileId::Segment { partition: self.id, ordinal: wanted.ordinal };
            self.notice(format!("segment {} was never finished and is removed", wanted.ordinal));
            self.todo.push_back(DiskOp::Remove { file });
            return self.clean_or_load();
        }
        self.notice(format!("the index of segment {} is damaged and was rebuilt", wanted.ordinal));
        let rebuild = Box::new(FooterRebuild::new(trailer.meta, wanted.len, Some(&trailer)));
        self.rebuild(wanted, Some(trailer), trailer.meta, rebuild)
    }

    /// Reads a segment that no manifest names from end to end. Its flush may never have happened: then the
    /// journal still holds what it would hold, and it is removed unless it is whole.
    fn verify(
        &mut self,
        wanted: Wanted,
        trailer: Trailer,
        footer: Footer,
        rebuild: Box<FooterRebuild>,
    ) -> LoadStep {
        let file = FileId::Segment { partition: self.id, ordinal: wanted.ordinal };
        if let Some(range) = rebuild.wanted() {
            self.stage = Stage::Verify(wanted, trailer, footer, rebuild);
            return LoadStep::Disk(DiskOp::Read { file, offset: range.offset, len: range.len });
        }
        let (_, damaged) = rebuild.finish();
        if damaged.is_empty() {
            let file = SegmentFile::new(trailer);
            self.loaded.segments.push(LoadedSegment { file, footer, rebuilt: false, named: false });
            return self.load_next();
        }
        self.notice(format!("segment {} was never finished and is removed", wanted.ordinal));
        self.todo.push_back(DiskOp::Remove { file });
        self.clean_or_load()
    }

    fn rebuild(
        &mut self,
        wanted: Wanted,
        trailer: Option<Trailer>,
        meta: SegmentMeta,
        rebuild: Box<FooterRebuild>,
    ) -> LoadStep {
        if let Some(range) = rebuild.wanted() {
            let file = FileId::Segment { partition: self.id, ordinal: wanted.ordinal };
            self.stage = Stage::Rebuild(wanted, trailer, meta, rebuild);
            return LoadStep::Disk(DiskOp::Read { file, offset: range.offset, len: range.len });
        }
        let (footer, damaged) = rebuild.finish();
        for range in &damaged {
            let (offset, len) = (range.offset, range.len);
            self.notice(format!("segment {}: {len} bytes at offset {offset} are damaged", wanted.ordinal));
        }
        let trailer = trailer.unwrap_or(Trailer {
            meta,
            footer_offset: wanted.len,
            footer_len: 0,
            footer_checksum: 0,
            file_len: wanted.len,
            checksum: wanted.entry.map_or(0, |entry| entry.checksum),
        });
        let mut file = SegmentFile::new(trailer);
        file.damaged = true;
        self.loaded.segments.push(LoadedSegment {
            file,
            footer,
            rebuilt: true,
            named: wanted.entry.is_some(),
        });
        self.load_next()
    }

    fn after_rebuild(
        &mut self,
        wanted: Wanted,
        trailer: Option<Trailer>,
        meta: SegmentMeta,
        mut rebuild: Box<FooterRebuild>,
        result: DiskResult,
    ) -> LoadStep {
        match result {
            Ok(DiskDone::Bytes(bytes)) => rebuild.handle_read(&bytes),
            _ => rebuild.handle_unreadable(),
        }
        self.rebuild(wanted, trailer, meta, rebuild)
    }

    /// Keeps of the segments that no manifest names those that go on where the manifest ends: they hold
    /// nothing but durable changes, whoever wrote them. The others are removed.
    fn drop_leftovers(&mut self) {
        let upto = self.loaded.manifest.as_ref().map_or(LogIndex::ZERO, |manifest| manifest.checkpoint_index);
        let (mut kept, mut unnamed): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.loaded.segments).into_iter().partition(|segment| segment.named);
        unnamed.sort_by_key(|segment| segment.file.trailer.meta.first_index);
        let mut expected = upto.next();
        for segment in unnamed {
            let meta = segment.file.trailer.meta;
            let is_output = meta.replaces.is_some();
            if is_output && self.keep_outputs {
                kept.push(segment);
            } else if !is_output && meta.first_index == expected {
                expected = meta.last_index.next();
                self.notice(format!("segment {} is whole and goes on where the manifest ends", meta.ordinal));
                kept.push(LoadedSegment { named: true, ..segment });
            } else {
                let file = FileId::Segment { partition: self.id, ordinal: meta.ordinal };
                self.todo.push_back(DiskOp::Remove { file });
            }
        }
        self.loaded.segments = kept;
    }

    fn finish(&mut self) -> LoadStep {
        if !self.keep_damaged && self.loaded.segments.iter().any(|segment| !segment.named) {
            self.drop_leftovers();
            self.loaded.segments.iter_mut().for_each(|segment| segment.named = true);
            return self.clean_or_load();
        }
        let mut loaded = std::mem::take(&mut self.loaded);
        drop_replaced(&mut loaded.segments);
        loaded.segments.sort_by_key(|segment| segment.file.trailer.meta.first_index);
        LoadStep::Loaded(loaded)
    }

    fn notice(&mut self, text: String) {
        self.loaded.notices.push(format!("partition {}: {text}", self.id));
    }

    fn refuse_io(&self, doing: &str, error: crate::disk::DiskError) -> LoadStep {
        LoadStep::Refused(Refusal::new(
            "partition-io",
            format!("{doing} of partition {}: {error}", self.id),
            "check the disk's health and the directory's permissions, then start again",
        ))
    }

    fn refuse_segment(&self, entry: &ManifestSegment, found_len: Option<u64>) -> LoadStep {
        let file = FileId::Segment { partition: self.id, ordinal: entry.ordinal };
        let message = match found_len {
            None => format!("the manifest of partition {} names a segment that is not there", self.id),
            Some(len) => {
                format!("a segment of partition {} has {len} bytes, its manifest says {}", self.id, entry.len)
            }
        };
        let next = "restore the file from a backup of this directory, or copy out what is good with \
                    `millrace inspect --salvage`";
        LoadStep::Refused(Refusal::new("segment-missing", message, next).at(file, found_len))
    }
}

fn segment_of(found: &ListedFile) -> Option<(u64, u64)> {
    match found.file {
        FileId::Segment { ordinal, .. } => Some((ordinal, found.len)),
        _ => None,
    }
}

/// Drops segments whose index range lies inside that of a merge's output.
fn drop_replaced(segments: &mut Vec<LoadedSegment>) {
    let outputs: Vec<SegmentMeta> = segments
        .iter()
        .map(|segment| segment.file.trailer.meta)
        .filter(|meta| meta.replaces.is_some())
        .collect();
    segments.retain(|segment| {
        let meta = segment.file.trailer.meta;
        !outputs.iter().any(|output| {
            output.ordinal > meta.ordinal
                && output.first_index <= meta.first_index
                && meta.last_index <= output.last_index
        })
    });
}
