//! Looks into the journals on the disk, for scenarios that must know what a file holds.
//!
//! Reads the formats with `commitlog`, as `inspect` does; decides nothing and changes nothing.

use super::{DIRECTORY_ID, World};
use commitlog::{FoundGroup, JournalFile};
use engine::FileId;
use std::collections::BTreeMap;
use types::ShardId;

impl World {
    /// By shard, the lowest group number that its journal's own headers say is still needed.
    pub(crate) fn journal_needed_from(&self) -> BTreeMap<ShardId, u64> {
        let mut needed = BTreeMap::new();
        for listed in self.disk.files() {
            let FileId::Journal { shard, .. } = listed.file else { continue };
            let from = self.headers_of(listed.file).iter().map(|&(_, replay_from)| replay_from).max();
            let known: &mut u64 = needed.entry(shard).or_default();
            *known = (*known).max(from.unwrap_or(0));
        }
        needed
    }

    /// Whether the other world's file of this name would go on where the group before it ends in this one,
    /// or begins with another number, so that no chain tells.
    pub(crate) fn continues_in(&self, other: &World, file: FileId) -> bool {
        let FileId::Journal { shard, .. } = file else { return true };
        let (ours, theirs) = (self.groups_of(file), other.groups_of(file));
        let first = |groups: &[FoundGroup]| groups.iter().map(|group| group.header.number).min();
        let Some(begin) = theirs.iter().min_by_key(|group| group.header.number) else { return true };
        if first(&ours) != first(&theirs) {
            return true;
        }
        let listed = self.disk.files().into_iter().map(|listed| listed.file);
        let files = listed.filter(|other| matches!(other, FileId::Journal { shard: of, .. } if *of == shard));
        let groups = files.flat_map(|file| self.groups_of(file));
        let before = groups.filter(|group| group.header.number + 1 == begin.header.number);
        before
            .max_by_key(|group| group.header.epoch)
            .is_none_or(|g| g.checksum == begin.header.previous_checksum)
    }

    /// The lowest group number in a journal file.
    pub(crate) fn first_group_of(&self, file: FileId) -> Option<u64> {
        self.headers_of(file).iter().map(|&(number, _)| number).min()
    }

    /// Number and `replay_from` of every sound header in a journal file.
    fn headers_of(&self, file: FileId) -> Vec<(u64, u64)> {
        let groups = self.groups_of(file);
        groups.iter().map(|group| (group.header.number, group.header.replay_from)).collect()
    }

    fn groups_of(&self, file: FileId) -> Vec<FoundGroup> {
        let (FileId::Journal { shard, slot }, Some(bytes)) = (file, self.disk.content(file)) else {
            return Vec::new();
        };
        JournalFile { shard, slot, bytes, unreadable: Vec::new() }.scan(DIRECTORY_ID).groups
    }
}
