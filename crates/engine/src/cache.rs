//! Bounded caches of segment footers and chunks.
//!
//! Both forget the entry that was used longest ago. A footer that had to be rebuilt because the one on disk
//! is bad is *pinned*: it cannot be read again.

use bytes::Bytes;
use commitlog::Footer;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Names a segment in a shard: index of the partition, ordinal.
pub(crate) type SegmentKey = (u16, u64);

/// A cache with a budget in bytes and least-recently-used eviction.
#[derive(Debug)]
struct Lru<K, V> {
    entries: BTreeMap<K, (V, usize, u64)>,
    by_use: BTreeMap<u64, K>,
    bytes: usize,
    bytes_max: usize,
    uses: u64,
}

impl<K: Ord + Copy, V: Clone> Lru<K, V> {
    fn new(bytes_max: usize) -> Self {
        Lru { entries: BTreeMap::new(), by_use: BTreeMap::new(), bytes: 0, bytes_max, uses: 0 }
    }

    fn get(&mut self, key: K) -> Option<V> {
        let (value, _, used) = self.entries.get_mut(&key)?;
        self.by_use.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.by_use.insert(self.uses, key);
        Some(value.clone())
    }

    /// Gives the keys of the entries that had to go.
    fn insert(&mut self, key: K, value: V, bytes: usize) -> Vec<K> {
        self.remove(key);
        let mut gone = Vec::new();
        self.uses += 1;
        self.entries.insert(key, (value, bytes, self.uses));
        self.by_use.insert(self.uses, key);
        self.bytes += bytes;
        while self.bytes > self.bytes_max && self.entries.len() > 1 {
            let oldest = *self.by_use.first_key_value().expect("every entry has a use").1;
            self.remove(oldest);
            gone.push(oldest);
        }
        gone
    }

    fn remove(&mut self, key: K) {
        if let Some((_, bytes, used)) = self.entries.remove(&key) {
            self.by_use.remove(&used);
            self.bytes -= bytes;
        }
    }
}

/// Footers of segments.
#[derive(Debug)]
pub(crate) struct FooterCache {
    lru: Lru<SegmentKey, Rc<Footer>>,
    pinned: BTreeMap<SegmentKey, Rc<Footer>>,
}

impl FooterCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        FooterCache { lru: Lru::new(bytes_max), pinned: BTreeMap::new() }
    }

    pub(crate) fn get(&mut self, key: SegmentKey) -> Option<Rc<Footer>> {
        self.pinned.get(&key).cloned().or_else(|| self.lru.get(key))
    }

    /// Keeps a footer whose encoded form has `bytes` bytes.
    pub(crate) fn insert(&mut self, key: SegmentKey, footer: Rc<Footer>, bytes: usize) {
        // In memory a footer takes about twice its encoded size.
        self.lru.insert(key, footer, bytes * 2);
    }

    pub(crate) fn pin(&mut self, key: SegmentKey, footer: Rc<Footer>) {
        self.pinned.insert(key, footer);
    }

    pub(crate) fn remove(&mut self, key: SegmentKey) {
        self.pinned.remove(&key);
        self.lru.remove(key);
    }
}

/// Chunks of segments, by segment and byte offset.
#[derive(Debug)]
pub(crate) struct ChunkCache {
    lru: Lru<(SegmentKey, u64), Bytes>,
    /// Those that were read ahead and that nobody has used, with their bytes.
    unused: BTreeMap<(SegmentKey, u64), usize>,
    unused_bytes: usize,
}

impl ChunkCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        ChunkCache { lru: Lru::new(bytes_max), unused: BTreeMap::new(), unused_bytes: 0 }
    }

    pub(crate) fn get(&mut self, segment: SegmentKey, offset: u64) -> Option<Bytes> {
        self.forget_unused((segment, offset));
        self.lru.get((segment, offset))
    }

    /// Whether a chunk is there; no use of it.
    pub(crate) fn contains(&self, segment: SegmentKey, offset: u64) -> bool {
        self.lru.entries.contains_key(&(segment, offset))
    }

    pub(crate) fn insert(&mut self, segment: SegmentKey, offset: u64, chunk: Bytes) {
        let len = chunk.len();
        for gone in self.lru.insert((segment, offset), chunk, len) {
            self.forget_unused(gone);
        }
    }

    /// Keeps a chunk that was read ahead.
    pub(crate) fn insert_unused(&mut self, segment: SegmentKey, offset: u64, chunk: Bytes) {
        let len = chunk.len();
        self.insert(segment, offset, chunk);
        self.forget_unused((segment, offset));
        self.unused.insert((segment, offset), len);
        self.unused_bytes += len;
    }

    pub(crate) fn remove(&mut self, segment: SegmentKey, offset: u64) {
        self.forget_unused((segment, offset));
        self.lru.remove((segment, offset));
    }

    /// Bytes that were read ahead and that nobody has used yet.
    pub(crate) fn unused_bytes(&self) -> usize {
        self.unused_bytes
    }

    fn forget_unused(&mut self, key: (SegmentKey, u64)) {
        self.unused_bytes -= self.unused.remove(&key).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut lru = Lru::new(20);
        lru.insert(1, "a", 10);
        lru.insert(2, "b", 10);
        assert_eq!(lru.get(1), Some("a"));
        lru.insert(3, "c", 10);
        assert_eq!((lru.get(1), lru.get(2), lru.get(3)), (Some("a"), None, Some("c")));
    }

    #[test]
    fn what_was_read_ahead_counts_until_it_is_used_or_goes() {
        let mut cache = ChunkCache::new(20);
        let chunk = |len: usize| Bytes::from(vec![0; len]);
        cache.insert_unused((0, 1), 0, chunk(10));
        cache.insert_unused((0, 1), 0, chunk(8));
        cache.insert_unused((0, 1), 10, chunk(10));
        assert_eq!(cache.unused_bytes(), 18);
        assert!(cache.get((0, 1), 0).is_some() && cache.get((0, 1), 0).is_some());
        assert_eq!(cache.unused_bytes(), 10);
        cache.insert((0, 1), 20, chunk(10));
        assert_eq!((cache.unused_bytes(), cache.contains((0, 1), 10)), (0, false), "it went");
        cache.insert_unused((0, 1), 30, chunk(5));
        cache.remove((0, 1), 30);
        assert_eq!(cache.unused_bytes(), 0);
    }

    #[test]
    fn one_entry_over_the_budget_is_still_kept() {
        let mut lru = Lru::new(5);
        lru.insert(1, "a", 10);
        assert_eq!(lru.get(1), Some("a"));
    }
}
