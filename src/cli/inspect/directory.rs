//! The files of a data directory, opened for reading only.
//!
//! A file that is not there reads as no bytes, a range that the disk refuses as an error with its place: the
//! callers decide what that means. Names that are not ours are left alone.

use super::super::error::{CliError, Exit};
use bytes::Bytes;
use commitlog::{BLOCK_BYTES, GroupHeader, decode_segment_header};
use engine::FileId;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use types::{PartitionId, ShardId};

/// A data directory.
pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Opens a directory that looks like one of ours.
    ///
    /// # Errors
    /// [`Exit::Usage`] when it does not, [`Exit::Io`] when it cannot be read.
    pub(super) fn open(path: &Path) -> Result<Directory, CliError> {
        let shown = path.display();
        let found =
            fs::read_dir(path).map_err(|error| CliError::io(&format!("cannot read {shown}"), &error))?;
        let ours = ["IDENTITY", "EPOCH", "journal", "partitions"];
        let is_ours = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| ours.iter().any(|name| entry.file_name() == *name))
        };
        if found.into_iter().any(is_ours) {
            return Ok(Directory { path: path.to_owned() });
        }
        Err(CliError::new(Exit::Usage, format!("{shown} is no data directory: it holds none of {ours:?}"))
            .next("name the directory that `serve --data` was given"))
    }

    /// The process that has the directory locked, as the kernel's table of locks says.
    pub(super) fn holder(&self) -> Option<u32> {
        let inode = fs::metadata(self.path.join("LOCK")).ok()?.ino();
        let locks = fs::read_to_string("/proc/locks").ok()?;
        locks.lines().find_map(|line| lock_holder(line, inode))
    }

    /// Partitions that have a directory, ascending.
    ///
    /// # Errors
    /// [`Exit::Io`].
    pub(super) fn partitions(&self) -> Result<Vec<PartitionId>, CliError> {
        Ok(self
            .numbers("partitions", "")?
            .into_iter()
            .filter_map(|n| u16::try_from(n).ok().map(PartitionId))
            .collect())
    }

    /// Shards that have a journal, ascending.
    ///
    /// # Errors
    /// [`Exit::Io`].
    pub(super) fn shards(&self) -> Result<Vec<ShardId>, CliError> {
        Ok(self
            .numbers("journal", "")?
            .into_iter()
            .filter_map(|n| u16::try_from(n).ok().map(ShardId))
            .collect())
    }

    /// Journal files of a shard, ascending by slot.
    ///
    /// # Errors
    /// [`Exit::Io`].
    pub(super) fn journal_slots(&self, shard: ShardId) -> Result<Vec<u16>, CliError> {
        let numbers = self.numbers(&format!("journal/{:02}", shard.0), ".jnl")?;
        Ok(numbers.into_iter().filter_map(|number| u16::try_from(number).ok()).collect())
    }

    /// Segment files of a partition, ascending by ordinal.
    ///
    /// # Errors
    /// [`Exit::Io`].
    pub(super) fn segment_ordinals(&self, partition: PartitionId) -> Result<Vec<u64>, CliError> {
        self.numbers(&format!("partitions/{:04}", partition.0), ".seg")
    }

    /// A whole file; empty when there is none.
    ///
    /// # Errors
    /// [`Exit::Io`].
    pub(super) fn read(&self, file: FileId) -> Result<Bytes, CliError> {
        match fs::read(self.path_of(file)) {
            Ok(bytes) => Ok(Bytes::from(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Bytes::new()),
            Err(error) => Err(CliError::io(&format!("cannot read {file}"), &error)),
        }
    }

    /// Opens a file for reads at places; `None` when there is none.
    ///
    /// # Errors
    /// [`Exit::Io`].
    pub(super) fn open_file(&self, file: FileId) -> Result<Option<OpenFile>, CliError> {
        let opened = File::open(self.path_of(file)).and_then(|handle| Ok((handle.metadata()?.len(), handle)));
        match opened {
            Ok((len, handle)) => Ok(Some(OpenFile { handle, len })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CliError::io(&format!("cannot open {file}"), &error)),
        }
    }

    /// The directory's id from the first segment or journal group that has one.
    ///
    /// # Errors
    /// [`Exit::Io`].
    pub(super) fn guess_id(&self) -> Result<Option<u128>, CliError> {
        for partition in self.partitions()? {
            for ordinal in self.segment_ordinals(partition)? {
                let first = self.first_block(FileId::Segment { partition, ordinal })?;
                if let Ok(meta) = decode_segment_header(&first) {
                    return Ok(Some(meta.directory_id));
                }
            }
        }
        for shard in self.shards()? {
            for slot in self.journal_slots(shard)? {
                let first = self.first_block(FileId::Journal { shard, slot })?;
                if let Ok((header, _)) = GroupHeader::decode(&first) {
                    return Ok(Some(header.directory_id));
                }
            }
        }
        Ok(None)
    }

    fn first_block(&self, file: FileId) -> Result<Bytes, CliError> {
        let opened = self.open_file(file)?;
        Ok(opened.and_then(|file| file.read_at(0, BLOCK_BYTES).ok()).unwrap_or_default())
    }

    fn path_of(&self, file: FileId) -> PathBuf {
        self.path.join(file.to_string())
    }

    /// Entries of a subdirectory that are a number and `suffix`, ascending.
    fn numbers(&self, subdirectory: &str, suffix: &str) -> Result<Vec<u64>, CliError> {
        let entries = match fs::read_dir(self.path.join(subdirectory)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(CliError::io(&format!("cannot read {subdirectory}"), &error)),
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let entry =
                entry.map_err(|error| CliError::io(&format!("cannot read {subdirectory}"), &error))?;
            let name = entry.file_name();
            let digits = name.to_str().and_then(|name| name.strip_suffix(suffix));
            let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
            numbers.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// A file that is read at places.
pub(super) struct OpenFile {
    handle: File,
    /// Its length in bytes.
    pub(super) len: u64,
}

impl OpenFile {
    /// Up to `len` bytes from `offset`; fewer at the end of the file.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let there = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(there)];
        self.handle.read_exact_at(&mut bytes, offset)?;
        Ok(Bytes::from(bytes))
    }
}

/// The process of a line of /proc/locks (`1: FLOCK ADVISORY WRITE 123 fd:01:456 0 EOF`) if it locks `inode`.
fn lock_holder(line: &str, inode: u64) -> Option<u32> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let place = words.get(5)?;
    let locked: u64 = place.rsplit(':').next()?.parse().ok()?;
    (locked == inode && words.get(1) == Some(&"FLOCK")).then(|| words[4].parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_read_from_the_kernels_table() {
        let line = "1: FLOCK  ADVISORY  WRITE 4711 fd:01:262229 0 EOF";
        assert_eq!(lock_holder(line, 262_229), Some(4711));
        assert_eq!(lock_holder(line, 262_228), None);
        assert_eq!(lock_holder("2: POSIX ADVISORY WRITE 1 fd:01:262229 0 EOF", 262_229), None);
        assert_eq!(lock_holder("", 1), None);
    }
}
