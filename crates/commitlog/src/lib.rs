//! On-disk formats of the log and the pure decisions about them.
//!
//! Imported by `engine`, by the offline `inspect` verb and by `sim`. Bytes in, values or typed errors out;
//! nothing here opens a file. Every format is versioned, drawn in `docs/formats/` and pinned by a golden
//! file under `tests/golden/`. Numbers are little endian.

#![forbid(unsafe_code)]

mod batch;
mod checksum;
mod group;
mod scan;
mod verdict;
mod wire;

pub use batch::*;
pub use checksum::{checksum, checksum_of_parts};
pub use group::*;
pub use scan::*;
pub use verdict::*;

/// Unit of every read and write: files are written and read in whole blocks.
pub const BLOCK_BYTES: usize = 4096;
