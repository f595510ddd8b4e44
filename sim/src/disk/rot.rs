//! Damage that happens to a quiet disk: no operation fails, the content is simply not what was written.
//!
//! Done between two lives of a server, to a disk that has been settled. Offsets that lie past the end of
//! the file change nothing and say so.

use super::{Disk, SECTOR_BYTES};
use engine::FileId;

/// One piece of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rot {
    /// One bit is the other way round.
    Flip {
        /// Where.
        offset: u64,
        /// Which bit of the byte, 0 to 7.
        bit: u8,
    },
    /// Sectors read as zeros.
    Zeroed {
        /// Where, a multiple of the sector size.
        offset: u64,
        /// How many sectors.
        sectors: usize,
    },
    /// Sectors hold what another place of the file holds (a write went astray).
    Misdirected {
        /// Where the copy was taken.
        from: u64,
        /// Where it came to lie.
        to: u64,
        /// How many sectors.
        sectors: usize,
    },
    /// Sectors hold what they held before their last write (a write was lost).
    Stale {
        /// Where, a multiple of the sector size.
        offset: u64,
        /// How many sectors.
        sectors: usize,
    },
    /// The file ends early.
    Truncated {
        /// Its new length.
        len: u64,
    },
}

impl Disk {
    /// Damages a file; says whether any byte changed.
    ///
    /// # Panics
    /// When something is in flight or cached, or `Stale` is asked of a disk that does not remember.
    pub fn rot(&mut self, file: FileId, rot: Rot) -> bool {
        let Some(inode) = self.names.inode_of(file) else {
            return false;
        };
        self.trace.note(format_args!("rot {file} {rot:?}"));
        let before = self.inodes[inode].read(0, usize::MAX);
        self.inodes[inode].damage(|content, previous| apply(content, previous, rot));
        self.inodes[inode].read(0, usize::MAX) != before
    }

    /// The file is the one of another copy of the directory; says whether that changed anything.
    pub fn replace_file(&mut self, file: FileId, other: &Disk) -> bool {
        let (Some(inode), Some(content)) = (self.names.inode_of(file), other.content(file)) else {
            return false;
        };
        self.trace.note(format_args!("replace {file}"));
        let before = self.inodes[inode].read(0, usize::MAX);
        self.inodes[inode].damage(|own, _| *own = content.to_vec());
        before != content
    }

    /// The file is gone, its name and its content; says whether there was one.
    pub fn lose_file(&mut self, file: FileId) -> bool {
        let Some(_) = self.names.inode_of(file) else {
            return false;
        };
        self.trace.note(format_args!("lose {file}"));
        self.names.change(self.tick, super::Name::File(file), None);
        self.names.cut_power(|_| true);
        true
    }
}

fn apply(content: &mut Vec<u8>, previous: Option<&[u8]>, rot: Rot) {
    match rot {
        Rot::Flip { offset, bit } => {
            if let Some(byte) = content.get_mut(offset as usize) {
                *byte ^= 1 << bit;
            }
        }
        Rot::Zeroed { offset, sectors } => {
            let (start, end) = span(content.len(), offset, sectors);
            content[start..end].fill(0);
        }
        Rot::Misdirected { from, to, sectors } => {
            let (start, end) = span(content.len(), from, sectors);
            let copy = content[start..end].to_vec();
            let (start, end) = span(content.len(), to, sectors);
            let len = copy.len().min(end - start);
            content[start..start + len].copy_from_slice(&copy[..len]);
        }
        Rot::Stale { offset, sectors } => {
            let previous = previous.expect("the disk was told to remember what sectors held");
            let (start, end) = span(content.len().min(previous.len()), offset, sectors);
            content[start..end].copy_from_slice(&previous[start..end]);
        }
        Rot::Truncated { len } => content.truncate(len as usize),
    }
}

fn span(len: usize, offset: u64, sectors: usize) -> (usize, usize) {
    let start = (offset as usize).min(len);
    (start, (start + sectors * SECTOR_BYTES).min(len))
}
