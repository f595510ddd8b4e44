//! One file's content: what the disk surely holds, what it shows, and the writes in between.
//!
//! A completed write is seen at once and sits in the device's cache until a flush covers it. `seen` is
//! always `kept` plus the cached writes in order. A power cut gives each cached write a [`Fate`]; nothing
//! smaller than a sector is ever torn. Clones share memory until one of them is written.

use super::SECTOR_BYTES;
use crate::rng::Rng;
use bytes::Bytes;
use std::rc::Rc;

/// A completed write that no flush has covered yet.
#[derive(Clone, Debug)]
pub(super) struct CachedWrite {
    /// The disk's tick at which it completed; a flush covers it when it was submitted later.
    pub(super) completed_at: u64,
    offset: usize,
    bytes: Bytes,
}

impl CachedWrite {
    pub(super) fn sectors(&self) -> usize {
        self.bytes.len() / SECTOR_BYTES
    }
}

/// What a power cut does to one cached write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing of it reached the disk.
    Lost,
    /// All of it did.
    Kept,
    /// Only the first sectors did, this many; zero sectors still make the file as long as it would be.
    Head(usize),
    /// Only the sectors after this many did.
    Tail(usize),
    /// Each sector by a coin drawn from this seed.
    Scattered(u64),
}

/// The content of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    seen: Rc<Vec<u8>>,
    kept: Rc<Vec<u8>>,
    /// For each sector what it held before its last write; empty unless asked for (stale sectors).
    previous: Option<Rc<Vec<u8>>>,
    cached: Vec<CachedWrite>,
}

impl Inode {
    pub(super) fn new(keep_previous: bool) -> Self {
        Inode { previous: keep_previous.then(Rc::default), ..Inode::default() }
    }

    /// A write that completed; it is seen, not kept.
    pub(super) fn write(&mut self, completed_at: u64, offset: usize, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if let Some(previous) = &mut self.previous {
            let end = (offset + bytes.len()).min(self.seen.len());
            if offset < end {
                lay(Rc::make_mut(previous), offset, &self.seen[offset..end]);
            }
        }
        lay(Rc::make_mut(&mut self.seen), offset, &bytes);
        self.cached.push(CachedWrite { completed_at, offset, bytes });
    }

    /// Keeps the cached writes that completed before the flush was submitted.
    pub(super) fn flush(&mut self, submitted_at: u64) {
        let covered = self.cached.partition_point(|write| write.completed_at < submitted_at);
        if covered == self.cached.len() {
            self.kept = Rc::clone(&self.seen);
            self.cached.clear();
            return;
        }
        let kept = Rc::make_mut(&mut self.kept);
        for write in self.cached.drain(..covered) {
            lay(kept, write.offset, &write.bytes);
        }
    }

    /// A flush that failed: each write it covered is gone or still only cached. No later flush brings
    /// back what is gone.
    pub(super) fn fail_flush(&mut self, submitted_at: u64, rng: &mut Rng) {
        self.cached.retain(|write| write.completed_at >= submitted_at || rng.coin());
        self.show_cached();
    }

    /// The power goes: `fate` decides about each cached write, in the order in which they completed; then
    /// they reach the disk in the order that `order` gives them.
    pub(super) fn cut_power(
        &mut self,
        mut fate: impl FnMut(&CachedWrite) -> Fate,
        mut order: impl FnMut(&mut Vec<(CachedWrite, Fate)>),
    ) {
        if self.cached.is_empty() {
            return;
        }
        let mut fated: Vec<(CachedWrite, Fate)> = self
            .cached
            .drain(..)
            .map(|write| (fate(&write), write))
            .map(|(fate, write)| (write, fate))
            .collect();
        order(&mut fated);
        let kept = Rc::make_mut(&mut self.kept);
        for (write, fate) in fated {
            lay_by_fate(kept, &write, fate);
        }
        self.seen = Rc::clone(&self.kept);
    }

    /// Changes bytes on the medium behind everybody's back.
    pub(super) fn damage(&mut self, change: impl FnOnce(&mut Vec<u8>, Option<&[u8]>)) {
        assert!(self.cached.is_empty(), "damage is done to a disk whose cache is empty");
        let previous = self.previous.clone();
        change(Rc::make_mut(&mut self.kept), previous.as_ref().map(|previous| &previous[..]));
        self.seen = Rc::clone(&self.kept);
    }

    pub(super) fn read(&self, offset: usize, len: usize) -> Bytes {
        let start = offset.min(self.seen.len());
        let end = offset.saturating_add(len).min(self.seen.len());
        Bytes::copy_from_slice(&self.seen[start..end])
    }

    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    pub(super) fn cached(&self) -> &[CachedWrite] {
        &self.cached
    }

    fn show_cached(&mut self) {
        self.seen = Rc::clone(&self.kept);
        let seen = Rc::make_mut(&mut self.seen);
        for write in &self.cached {
            lay(seen, write.offset, &write.bytes);
        }
    }
}

fn lay(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

fn lay_by_fate(content: &mut Vec<u8>, write: &CachedWrite, fate: Fate) {
    let survives: Box<dyn FnMut(usize) -> bool> = match fate {
        Fate::Lost => return,
        Fate::Kept => return lay(content, write.offset, &write.bytes),
        Fate::Head(count) => Box::new(move |sector| sector < count),
        Fate::Tail(count) => Box::new(move |sector| sector >= count),
        Fate::Scattered(seed) => {
            let mut rng = Rng::new(seed);
            Box::new(move |_| rng.coin())
        }
    };
    let end = write.offset + write.bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    lay_sectors(content, write, survives);
}

fn lay_sectors(content: &mut Vec<u8>, write: &CachedWrite, mut survives: impl FnMut(usize) -> bool) {
    for (sector, bytes) in write.bytes.chunks(SECTOR_BYTES).enumerate() {
        if survives(sector) {
            lay(content, write.offset + sector * SECTOR_BYTES, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(byte: u8) -> Bytes {
        Bytes::from(vec![byte; 4096])
    }

    fn after_cut(inode: &Inode, fates: &[Fate]) -> Vec<u8> {
        let mut inode = inode.clone();
        let mut fates = fates.iter();
        inode.cut_power(|_| *fates.next().expect("a fate for every cached write"), |_| ());
        inode.read(0, usize::MAX).to_vec()
    }

    #[test]
    fn a_write_is_seen_at_once_and_kept_after_a_flush() {
        let mut inode = Inode::new(false);
        inode.write(1, 0, block(1));
        assert_eq!(inode.read(0, 4096), block(1));
        assert!(after_cut(&inode, &[Fate::Lost]).is_empty());
        inode.flush(2);
        assert_eq!(after_cut(&inode, &[]), block(1));
    }

    #[test]
    fn a_flush_covers_only_what_completed_before_it_was_submitted() {
        let mut inode = Inode::new(false);
        inode.write(1, 0, block(1));
        inode.write(5, 4096, block(2));
        inode.flush(3);
        assert_eq!(after_cut(&inode, &[Fate::Lost]), block(1));
        assert_eq!(after_cut(&inode, &[Fate::Kept]).len(), 8192);
    }

    #[test]
    fn a_torn_write_is_torn_at_sectors() {
        let mut inode = Inode::new(false);
        inode.write(1, 0, block(0));
        inode.flush(2);
        inode.write(3, 0, block(9));
        let head = after_cut(&inode, &[Fate::Head(3)]);
        assert_eq!((head[1535], head[1536]), (9, 0));
        let tail = after_cut(&inode, &[Fate::Tail(3)]);
        assert_eq!((tail[1535], tail[1536]), (0, 9));
        let scattered = after_cut(&inode, &[Fate::Scattered(4)]);
        assert!(scattered.chunks(512).all(|sector| sector.iter().all(|&byte| byte == sector[0])));
        assert!(scattered.contains(&0) && scattered.contains(&9));
    }

    #[test]
    fn cached_writes_may_reach_the_disk_in_any_order() {
        let mut inode = Inode::new(false);
        inode.write(1, 0, block(1));
        inode.write(2, 0, block(2));
        inode.cut_power(|_| Fate::Kept, |fated| fated.reverse());
        assert_eq!(inode.read(0, 4096), block(1));
    }

    #[test]
    fn what_a_failed_flush_dropped_no_later_flush_brings_back() {
        let dropped_in = (0..100).find(|&seed| {
            let mut inode = Inode::new(false);
            inode.write(1, 0, block(1));
            inode.fail_flush(2, &mut Rng::new(seed));
            inode.flush(3);
            inode.read(0, 4096).is_empty()
        });
        assert!(dropped_in.is_some(), "one seed in two drops the write");
    }
}
