//! On-disk formats of the log and the pure decisions about them.
//!
//! Imported by `engine`, by the offline `inspect` verb and by `sim`. Bytes in, values or typed errors out;
//! nothing here opens a file. Every format is versioned, drawn in `docs/formats/` and pinned by a golden
//! file under `tests/golden/`. Numbers are little endian.

#![forbid(unsafe_code)]

mod batch;
mod checksum;
mod epoch;
mod format_error;
mod frame;
mod group;
mod identity;
mod manifest;
mod scan;
mod segment;
mod slots;
mod survey;
mod verdict;
mod wire;

pub use batch::*;
pub use checksum::{checksum, checksum_of_parts};
pub use epoch::{EPOCH_SHARDS_MAX, EPOCH_SLOT_BYTES, EpochChoice, EpochMark, ShardMark, choose_epoch};
pub use format_error::{
    BadField, BadRecord, FilePart, ForeignPart, FormatError, PlaceField, TruncatedPart, UnknownFeatures,
    UnknownVersion, WrongChecksum, WrongMagic,
};
pub use group::*;
pub use identity::{
    DIRECTORY_FORMAT, IDENTITY_BYTES, IDENTITY_TEXT_BYTES_MAX, INCOMPATIBLE_FEATURES_KNOWN, Identity,
    IdentityFound,
};
pub use manifest::{Manifest, ManifestChoice, ManifestSegment, PartitionGap, choose_manifest};
pub use scan::*;
pub use segment::{
    CHUNK_HEADER_BYTES, ChunkAddress, ChunkHeader, ChunkRun, DamagedRange, Footer, FooterRebuild,
    FooterStream, IdempotencyEntry, ReadRange, Run, SegmentBuilder, SegmentMeta, SegmentPiece,
    SegmentSummary, StreamState, Trailer, chunk_records, decode_chunk, decode_chunk_header, decode_footer,
    decode_segment_header, decode_trailer, rebuild_footer,
};
pub use slots::{Generations, Slot, SlotChoice, choose_slot, slot_of};
pub use survey::{DamagedBatch, SurveyedBatch, survey_body};
pub use verdict::*;

/// Unit of every read and write: files are written and read in whole blocks.
pub const BLOCK_BYTES: usize = 4096;
