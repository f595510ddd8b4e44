//! Segments: the sealed, sorted files that hold a partition's past.
//!
//! Written by the engine's checkpoints and merges through [`SegmentBuilder`], read by its readers through
//! [`decode_footer`] and [`chunk_records`], checked by `inspect`. A segment is never changed after it was
//! sealed and carries all that is needed to read it: header, chunks of records sorted by stream, footer,
//! trailer. The footer is an index and no evidence: [`FooterRebuild`] makes it anew from the chunks.
//! Drawn in `docs/formats/segment.md`.

mod builder;
mod chunk;
mod footer;
mod meta;
mod rebuild;
#[cfg(test)]
mod tests;

pub use builder::{SegmentBuilder, SegmentPiece, SegmentSummary};
pub use chunk::{
    CHUNK_HEADER_BYTES, ChunkAddress, ChunkHeader, ChunkRun, chunk_records, decode_chunk, decode_chunk_header,
};
pub use footer::{Footer, FooterStream, IdempotencyEntry, Run, StreamState, decode_footer};
pub use meta::{SegmentMeta, Trailer, decode_segment_header, decode_trailer};
pub use rebuild::{DamagedRange, FooterRebuild, ReadRange, rebuild_footer};
