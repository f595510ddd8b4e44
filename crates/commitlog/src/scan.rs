//! Finding block groups in journal files that may hold anything.
//!
//! Recovery and `inspect` read a whole file and hand it in. Every block boundary is looked at; a sound
//! header skips its own body, so that payload bytes are never taken for a header. Nothing is judged here:
//! `verdict` decides what the findings mean.

use crate::BLOCK_BYTES;
use crate::batch::Batch;
use crate::group::{GroupError, GroupHeader};
use bytes::Bytes;
use std::ops::Range;
use types::ShardId;

/// A journal file as it was read.
#[derive(Clone, Debug)]
pub struct JournalFile {
    /// Whose journal the file's name says it is.
    pub shard: ShardId,
    /// The place in the ring that the file's name says.
    pub slot: u16,
    /// The content; ranges that could not be read are zero here.
    pub bytes: Bytes,
    /// Byte ranges that the disk could not read.
    pub unreadable: Vec<Range<u64>>,
}

/// A sound group header, found where it claims to lie.
#[derive(Clone, Debug)]
pub struct FoundGroup {
    /// The file.
    pub slot: u16,
    /// The header; its `offset` is where it was found.
    pub header: GroupHeader,
    /// The header's checksum.
    pub checksum: u32,
    /// The bytes from the header on, as far as the body goes.
    pub bytes: Bytes,
}

impl FoundGroup {
    /// Checks and decodes the body.
    ///
    /// # Errors
    /// [`GroupError`] names what is wrong with it.
    pub fn batches(&self) -> Result<Vec<Batch>, GroupError> {
        self.header.decode_body(&self.bytes)
    }

    /// Where the next group would start.
    pub fn end(&self) -> u64 {
        self.header.offset + self.header.padded_len()
    }
}

/// A sound group header in a place that it does not claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MisplacedGroup {
    /// The file it was found in.
    pub slot: u16,
    /// Where it was found.
    pub offset: u64,
    /// What it claims.
    pub header: GroupHeader,
}

/// What a journal file holds.
#[derive(Clone, Debug, Default)]
pub struct FileScan {
    /// Groups in file order.
    pub groups: Vec<FoundGroup>,
    /// Groups of this directory that lie in the wrong place.
    pub misplaced: Vec<MisplacedGroup>,
    /// Offset of a group of another data directory.
    pub foreign_at: Option<u64>,
    /// A header with a version or kind that this program does not know, and where.
    pub unknown_at: Option<(u64, GroupError)>,
}

/// What lies at a place where a group was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Never written, or the end of the file.
    Blank,
    /// A sound header of another time or place.
    Stale,
    /// Bytes that are no header.
    Garbage,
    /// The disk could not read it.
    Unreadable,
}

impl JournalFile {
    /// Looks at every block boundary.
    pub fn scan(&self, directory_id: u128) -> FileScan {
        let mut found = FileScan::default();
        let mut at = 0;
        while at < self.bytes.len() {
            at += self.look(at, directory_id, &mut found).next_multiple_of(BLOCK_BYTES);
        }
        found
    }

    /// What lies at `offset`.
    pub fn place(&self, offset: u64) -> Place {
        let end = offset + BLOCK_BYTES as u64;
        if self.unreadable.iter().any(|range| range.start < end && offset < range.end) {
            return Place::Unreadable;
        }
        let block = usize::try_from(offset).ok().and_then(|at| self.bytes.get(at..)).unwrap_or_default();
        let block = &block[..block.len().min(BLOCK_BYTES)];
        match GroupHeader::decode(block) {
            Ok(_) => Place::Stale,
            _ if block.iter().all(|&byte| byte == 0) => Place::Blank,
            Err(_) => Place::Garbage,
        }
    }

    /// Looks at one block; gives how many bytes to go on.
    fn look(&self, at: usize, directory_id: u128, found: &mut FileScan) -> usize {
        let offset = at as u64;
        let (header, checksum) = match GroupHeader::decode(&self.bytes[at..]) {
            Ok(decoded) => decoded,
            Err(error @ (GroupError::UnknownVersion(_) | GroupError::UnknownKind(_))) => {
                found.unknown_at.get_or_insert((offset, error));
                return BLOCK_BYTES;
            }
            Err(_) => return BLOCK_BYTES,
        };
        if header.directory_id != directory_id {
            found.foreign_at.get_or_insert(offset);
            return BLOCK_BYTES;
        }
        if header.offset != offset || header.shard != self.shard {
            found.misplaced.push(MisplacedGroup { slot: self.slot, offset, header });
            return BLOCK_BYTES;
        }
        let len = usize::try_from(header.padded_len()).unwrap_or(usize::MAX);
        let end = at.saturating_add(len).min(self.bytes.len());
        let bytes = self.bytes.slice(at..end);
        found.groups.push(FoundGroup { slot: self.slot, header, checksum, bytes });
        (end - at).max(BLOCK_BYTES)
    }
}
