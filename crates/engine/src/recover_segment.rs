//! Loading one segment: what its trailer, footer, header and chunks say, and how much of it is there.
//!
//! Driven by `recover_partition`, one operation at a time. A segment that a manifest names is loaded by its
//! index, which is rebuilt from the events when it cannot be read. One that no manifest names is read from
//! end to end: only its content tells what it is. Nothing is decided here about what becomes of a file.

use crate::disk::{DiskDone, DiskError, DiskOp, DiskResult, FileId};
use crate::partition::SegmentFile;
use commitlog::{
    BLOCK_BYTES, Footer, FooterRebuild, FormatError, ManifestSegment, SegmentMeta, Trailer, decode_footer,
    decode_segment_header, decode_trailer,
};
use types::PartitionId;

/// A segment to be loaded; `entry` when a manifest names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) ordinal: u64,
    /// Bytes of the file.
    pub(crate) len: u64,
    pub(crate) entry: Option<ManifestSegment>,
}

/// A segment as far as it could be read.
#[derive(Debug)]
pub(crate) struct LoadedSegment {
    pub(crate) file: SegmentFile,
    pub(crate) footer: Footer,
    /// The footer was rebuilt and must stay in memory.
    pub(crate) rebuilt: bool,
    /// Events may be missing that neither the footer nor a chunk tells of.
    pub(crate) incomplete: bool,
    /// A manifest names it.
    pub(crate) named: bool,
    /// Every byte that was looked at is sound; of one that no manifest names that is every byte.
    pub(crate) whole: bool,
    /// What an operator should know if it is used.
    pub(crate) findings: Vec<String>,
}

/// The loading of one segment.
#[derive(Debug)]
pub(crate) struct SegmentLoad {
    partition: PartitionId,
    directory_id: u128,
    pub(crate) wanted: Wanted,
    /// Some of its bytes the disk did not give.
    io_error: Option<DiskError>,
    stage: Stage,
    findings: Vec<String>,
}

#[derive(Debug)]
enum Stage {
    Flush,
    Trailer,
    Footer(Trailer),
    Header,
    Scan(Box<Scan>),
}

/// A segment that is read from end to end.
#[derive(Debug)]
struct Scan {
    trailer: Option<Trailer>,
    /// The footer, when it is sound and only the chunks are in question.
    footer: Option<Footer>,
    meta: SegmentMeta,
    rebuild: FooterRebuild,
}

/// What a load wants next.
pub(crate) enum SegmentStep {
    Disk(DiskOp),
    Loaded(Box<LoadedSegment>),
    /// No manifest names it, and neither its header nor its trailer says what it is.
    Unidentified,
    /// No manifest names it, and the disk does not give the bytes that would say what it is.
    Unreadable(DiskError),
    /// It cannot be made durable.
    NotFlushed(DiskError),
}

impl SegmentLoad {
    /// A load, and its first operation. What no manifest names may never have been flushed.
    pub(crate) fn start(
        (partition, directory_id): (PartitionId, u128),
        wanted: Wanted,
        flush_first: bool,
    ) -> (SegmentLoad, DiskOp) {
        let stage = Stage::Flush;
        let (io_error, findings) = (None, Vec::new());
        let mut load = SegmentLoad { partition, directory_id, wanted, io_error, stage, findings };
        let work = if wanted.entry.is_none() && flush_first {
            DiskOp::Flush { file: load.file() }
        } else {
            load.read_trailer()
        };
        (load, work)
    }

    /// The operation that was asked for is done.
    pub(crate) fn handle_disk(&mut self, result: DiskResult) -> SegmentStep {
        if let (Err(error), None) = (&result, self.wanted.entry) {
            if matches!(self.stage, Stage::Flush) {
                return SegmentStep::NotFlushed(*error);
            }
            self.io_error = Some(*error);
        }
        match std::mem::replace(&mut self.stage, Stage::Flush) {
            Stage::Flush => SegmentStep::Disk(self.read_trailer()),
            Stage::Trailer => self.after_trailer(result),
            Stage::Footer(trailer) => self.after_footer(trailer, result),
            Stage::Header => self.after_header(result),
            Stage::Scan(mut scan) => {
                match result {
                    Ok(DiskDone::Bytes(bytes)) => scan.rebuild.handle_read(&bytes),
                    _ => scan.rebuild.handle_unreadable(),
                }
                self.scan(scan)
            }
        }
    }

    fn file(&self) -> FileId {
        FileId::Segment { partition: self.partition, ordinal: self.wanted.ordinal }
    }

    fn read_trailer(&mut self) -> DiskOp {
        self.stage = Stage::Trailer;
        let block = BLOCK_BYTES as u64;
        let offset = (self.wanted.len / block * block).saturating_sub(block);
        DiskOp::Read { file: self.file(), offset, len: BLOCK_BYTES }
    }

    fn after_trailer(&mut self, result: DiskResult) -> SegmentStep {
        let decoded = match result {
            Ok(DiskDone::Bytes(bytes)) => decode_trailer(&bytes, self.wanted.len),
            _ => decode_trailer(&[], self.wanted.len),
        };
        match decoded.and_then(|trailer| self.check_place(&trailer.meta).map(|()| trailer)) {
            Ok(trailer) => {
                let len = usize::try_from(trailer.footer_len).unwrap_or(usize::MAX);
                let work = DiskOp::Read { file: self.file(), offset: trailer.footer_offset, len };
                self.stage = Stage::Footer(trailer);
                SegmentStep::Disk(work)
            }
            Err(error) => {
                self.find(format!("{error}; its index is rebuilt"));
                self.stage = Stage::Header;
                SegmentStep::Disk(DiskOp::Read { file: self.file(), offset: 0, len: BLOCK_BYTES })
            }
        }
    }

    fn after_footer(&mut self, trailer: Trailer, result: DiskResult) -> SegmentStep {
        let footer = match &result {
            Ok(DiskDone::Bytes(bytes)) => decode_footer(bytes, &trailer).ok(),
            _ => None,
        };
        match footer {
            Some(footer) if self.wanted.entry.is_some() => self.loaded(trailer, footer, true),
            footer => {
                if footer.is_none() {
                    self.find("its index is damaged and was rebuilt".to_owned());
                }
                let rebuild = FooterRebuild::new(trailer.meta, self.wanted.len, Some(&trailer));
                let scan = Scan { trailer: Some(trailer), footer, meta: trailer.meta, rebuild };
                self.scan(Box::new(scan))
            }
        }
    }

    /// The trailer is bad: the header says what the segment is, and the index is rebuilt.
    fn after_header(&mut self, result: DiskResult) -> SegmentStep {
        let decoded = match result {
            Ok(DiskDone::Bytes(bytes)) => decode_segment_header(&bytes).ok(),
            _ => None,
        };
        let placed = decoded.filter(|meta| self.check_place(meta).is_ok());
        // A manifest knows as much as a bad header would have said.
        let named = self.wanted.entry.map(|entry| SegmentMeta {
            directory_id: self.directory_id,
            partition: self.partition,
            ordinal: entry.ordinal,
            first_index: entry.first_index,
            last_index: entry.last_index,
            term_first: types::Term(1),
            term_last: types::Term(1),
            replaces: None,
        });
        let Some(meta) = placed.or(named) else {
            return self.io_error.map_or(SegmentStep::Unidentified, SegmentStep::Unreadable);
        };
        let rebuild = FooterRebuild::new(meta, self.wanted.len, None);
        self.scan(Box::new(Scan { trailer: None, footer: None, meta, rebuild }))
    }

    fn check_place(&self, meta: &SegmentMeta) -> Result<(), FormatError> {
        meta.check_place(self.directory_id, self.partition, self.wanted.ordinal)
    }

    fn scan(&mut self, scan: Box<Scan>) -> SegmentStep {
        if let Some(range) = scan.rebuild.wanted() {
            self.stage = Stage::Scan(scan);
            return SegmentStep::Disk(DiskOp::Read {
                file: self.file(),
                offset: range.offset,
                len: range.len,
            });
        }
        let Scan { trailer, footer, meta, rebuild } = *scan;
        let knows_the_end = rebuild.knows_the_end();
        let (rebuilt, damaged) = rebuild.finish();
        for range in &damaged {
            self.find(format!("{} bytes at offset {} are damaged", range.len, range.offset));
        }
        match footer {
            Some(footer) => {
                let trailer = trailer.expect("a footer is found by its trailer");
                self.loaded(trailer, footer, damaged.is_empty())
            }
            None => self.loaded_anew(trailer, meta, rebuilt, !damaged.is_empty() || !knows_the_end),
        }
    }

    /// The index is sound.
    fn loaded(&mut self, trailer: Trailer, footer: Footer, whole: bool) -> SegmentStep {
        let mut file = SegmentFile::new(trailer);
        file.damaged = !whole;
        let (named, findings) = (self.wanted.entry.is_some(), std::mem::take(&mut self.findings));
        SegmentStep::Loaded(Box::new(LoadedSegment {
            file,
            footer,
            rebuilt: false,
            incomplete: false,
            named,
            whole,
            findings,
        }))
    }

    /// The index was made from the chunks.
    fn loaded_anew(
        &mut self,
        trailer: Option<Trailer>,
        meta: SegmentMeta,
        footer: Footer,
        incomplete: bool,
    ) -> SegmentStep {
        let len = self.wanted.len;
        let mut file = SegmentFile::new(trailer.unwrap_or(Trailer {
            meta,
            footer_offset: len,
            footer_len: 0,
            footer_checksum: 0,
            file_len: len,
            checksum: self.wanted.entry.map_or(0, |entry| entry.checksum),
        }));
        file.damaged = true;
        let (named, findings) = (self.wanted.entry.is_some(), std::mem::take(&mut self.findings));
        SegmentStep::Loaded(Box::new(LoadedSegment {
            file,
            footer,
            rebuilt: true,
            incomplete,
            named,
            whole: false,
            findings,
        }))
    }

    fn find(&mut self, what: String) {
        self.findings.push(format!("segment {}: {what}", self.wanted.ordinal));
    }
}
