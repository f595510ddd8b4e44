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

    fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.remove(key);
        self.uses += 1;
        self.entries.insert(key, (value, bytes, self.uses));
        self.by_use.insert(self.uses, key);
        self.bytes += bytes;
        while self.bytes > self.bytes_max && self.entries.len() > 1 {
            let oldest = *self.by_use.first_key_value().expect("every entry has a use").1;
            self.remove(oldest);
        }
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
}

impl ChunkCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        ChunkCache { lru: Lru::new(bytes_max) }
    }

    pub(crate) fn get(&mut self, segment: SegmentKey, offset: u64) -> Option<Bytes> {
        self.lru.get((segment, offset))
    }

    pub(crate) fn insert(&mut self, segment: SegmentKey, offset: u64, chunk: Bytes) {
        let len = chunk.len();
        self.lru.insert((segment, offset), chunk, len);
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
    fn one_entry_over_the_budget_is_still_kept() {
        let mut lru = Lru::new(5);
        lru.insert(1, "a", 10);
        assert_eq!(lru.get(1), Some("a"));
    }
}
