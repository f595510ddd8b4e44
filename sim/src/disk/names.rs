//! Directory entries: which file names exist, and which of them a power cut leaves.
//!
//! Creations and removals are seen at once and durable only after a sync of the directory that was
//! submitted after they completed. Until then a power cut decides per name: it may be as it was, or as
//! after any of the changes; a removed file may come back. A directory whose own entry is lost takes all
//! its files with it.

use engine::{DirId, FileId};
use std::collections::BTreeMap;

/// Something that a directory can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Dir(DirId),
    File(FileId),
}

impl Name {
    /// The directory that holds the entry; the root is held by nothing.
    pub(super) fn parent(self) -> Option<DirId> {
        match self {
            Name::File(file) => Some(file.dir()),
            Name::Dir(DirId::Root) => None,
            Name::Dir(DirId::Journals | DirId::Partitions) => Some(DirId::Root),
            Name::Dir(DirId::Journal(_)) => Some(DirId::Journals),
            Name::Dir(DirId::Partition(_)) => Some(DirId::Partitions),
        }
    }
}

/// An entry's inode number; directories all have number 0.
pub(super) type InodeNumber = usize;

/// A creation (`Some`) or a removal (`None`) that no sync has covered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameChange {
    pub(super) name: Name,
    to: Option<InodeNumber>,
    completed_at: u64,
}

/// All directory entries of the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    seen: BTreeMap<Name, InodeNumber>,
    kept: BTreeMap<Name, InodeNumber>,
    unsynced: Vec<NameChange>,
}

impl Names {
    pub(super) fn has_dir(&self, dir: DirId) -> bool {
        dir == DirId::Root || self.seen.contains_key(&Name::Dir(dir))
    }

    pub(super) fn inode_of(&self, file: FileId) -> Option<InodeNumber> {
        self.seen.get(&Name::File(file)).copied()
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (FileId, InodeNumber)> + '_ {
        self.seen.iter().filter_map(|(&name, &inode)| match name {
            Name::File(file) => Some((file, inode)),
            Name::Dir(_) => None,
        })
    }

    /// Creates (`Some`) or removes (`None`) an entry; seen at once.
    pub(super) fn change(&mut self, completed_at: u64, name: Name, to: Option<InodeNumber>) {
        match to {
            Some(inode) => self.seen.insert(name, inode),
            None => self.seen.remove(&name),
        };
        self.unsynced.push(NameChange { name, to, completed_at });
    }

    /// Keeps the directory's changes that completed before the sync was submitted.
    pub(super) fn sync(&mut self, dir: DirId, submitted_at: u64) {
        let (kept, unsynced) = (&mut self.kept, &mut self.unsynced);
        unsynced.retain(|change| {
            let covered = change.name.parent() == Some(dir) && change.completed_at < submitted_at;
            if covered {
                apply(kept, change);
            }
            !covered
        });
    }

    /// The power goes: changes for which `survives` holds are applied, the others never were.
    pub(super) fn cut_power(&mut self, mut survives: impl FnMut(&NameChange) -> bool) {
        for change in std::mem::take(&mut self.unsynced) {
            if survives(&change) {
                apply(&mut self.kept, &change);
            }
        }
        self.drop_orphans();
        self.seen = self.kept.clone();
    }

    pub(super) fn unsynced(&self) -> &[NameChange] {
        &self.unsynced
    }

    fn drop_orphans(&mut self) {
        // Three levels deep, so two rounds reach every orphan of an orphan.
        for _ in 0..2 {
            let present: Vec<Name> = self.kept.keys().copied().collect();
            self.kept.retain(|name, _| match name.parent() {
                None | Some(DirId::Root) => true,
                Some(dir) => present.contains(&Name::Dir(dir)),
            });
        }
    }
}

fn apply(entries: &mut BTreeMap<Name, InodeNumber>, change: &NameChange) {
    match change.to {
        Some(inode) => entries.insert(change.name, inode),
        None => entries.remove(&change.name),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{PartitionId, ShardId};

    const JOURNALS: Name = Name::Dir(DirId::Journals);
    const SHARD: Name = Name::Dir(DirId::Journal(ShardId(0)));
    const FILE: FileId = FileId::Journal { shard: ShardId(0), slot: 0 };

    #[test]
    fn an_entry_survives_only_after_its_directory_was_synced() {
        let mut names = Names::default();
        names.change(1, Name::File(FileId::Epoch), Some(1));
        let mut cut = names.clone();
        cut.cut_power(|_| false);
        assert_eq!(cut.inode_of(FileId::Epoch), None);
        names.sync(DirId::Root, 2);
        names.cut_power(|_| false);
        assert_eq!(names.inode_of(FileId::Epoch), Some(1));
    }

    #[test]
    fn a_removed_file_may_come_back() {
        let mut names = Names::default();
        names.change(1, Name::File(FileId::Epoch), Some(1));
        names.sync(DirId::Root, 2);
        names.change(3, Name::File(FileId::Epoch), None);
        assert_eq!(names.inode_of(FileId::Epoch), None);
        names.cut_power(|_| false);
        assert_eq!(names.inode_of(FileId::Epoch), Some(1));
    }

    #[test]
    fn a_sync_covers_one_directory_and_only_what_was_there_before() {
        let mut names = Names::default();
        names.change(1, Name::Dir(DirId::Partitions), Some(0));
        names.change(1, Name::Dir(DirId::Partition(PartitionId(3))), Some(0));
        names.change(5, Name::File(FileId::Epoch), Some(1));
        names.sync(DirId::Root, 3);
        assert_eq!(names.unsynced().len(), 2);
    }

    #[test]
    fn a_lost_directory_takes_its_files_with_it() {
        let mut names = Names::default();
        names.change(1, JOURNALS, Some(0));
        names.change(1, SHARD, Some(0));
        names.change(1, Name::File(FILE), Some(1));
        names.sync(DirId::Journal(ShardId(0)), 2);
        names.sync(DirId::Journals, 2);
        names.cut_power(|_| false);
        assert_eq!(names.inode_of(FILE), None);
        assert!(!names.has_dir(DirId::Journal(ShardId(0))));
    }
}
