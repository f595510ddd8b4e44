//! The streams of a shard: a slab, and a hash table of slots.
//!
//! Nothing here iterates in hash order: every walk goes over the slab. Bucket names are shared between the
//! streams of a bucket.

use crate::stream::{Stream, StreamSlot};
use hashbrown::HashTable;
use std::collections::BTreeMap;
use types::{BucketName, StreamKey, stream_hash};

#[derive(Debug, Default)]
pub(crate) struct Catalog {
    slab: Vec<Option<Stream>>,
    free: Vec<u32>,
    table: HashTable<u32>,
    buckets: BTreeMap<BucketName, u32>,
}

impl Catalog {
    /// The stream of this name, if it has a slot.
    pub(crate) fn find(&self, key: &StreamKey) -> Option<StreamSlot> {
        self.find_hashed(key, stream_hash(key))
    }

    /// As [`Self::find`], for a name whose hash is known.
    pub(crate) fn find_hashed(&self, key: &StreamKey, hash: u64) -> Option<StreamSlot> {
        let found = self.table.find(hash, |&slot| self.at(slot).key == *key);
        found.map(|&slot| StreamSlot(slot))
    }

    /// A slot for a stream that has none. `partition` is the index of the partition that the hash names.
    pub(crate) fn make(&mut self, key: &StreamKey, hash: u64, partition: u16) -> StreamSlot {
        // The key may be one of thousands that were decoded with much else: what lives long stands alone.
        let key = StreamKey { bucket: self.share_bucket(&key.bucket), stream: key.stream.detached() };
        let stream = Stream::absent(key, hash, partition);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slab[slot as usize] = Some(stream);
                slot
            }
            None => {
                self.slab.push(Some(stream));
                u32::try_from(self.slab.len() - 1).expect("Limits bound the streams of a shard")
            }
        };
        let slab = &self.slab;
        self.table.insert_unique(hash, slot, |&other| {
            slab[other as usize].as_ref().expect("a slot in the table is taken").hash
        });
        StreamSlot(slot)
    }

    /// Gives the slot back when the stream neither exists nor is used.
    pub(crate) fn forget_if_unused(&mut self, slot: StreamSlot) {
        let stream = self.at_mut(slot.0);
        if stream.active.as_ref().is_some_and(|active| active.is_idle()) {
            stream.active = None;
        }
        if !stream.is_forgettable() {
            return;
        }
        let hash = stream.hash;
        if let Ok(entry) = self.table.find_entry(hash, |&other| other == slot.0) {
            entry.remove();
        }
        let stream = self.slab[slot.0 as usize].take().expect("the slot is taken");
        self.free.push(slot.0);
        if let Some(count) = self.buckets.get_mut(&stream.key.bucket) {
            *count -= 1;
            if *count == 0 {
                self.buckets.remove(&stream.key.bucket);
            }
        }
    }

    /// Slots that are taken, those of streams that do not exist included.
    pub(crate) fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    /// One past the highest slot, for walks in slices.
    pub(crate) fn slots_end(&self) -> u32 {
        u32::try_from(self.slab.len()).expect("Limits bound the streams of a shard")
    }

    /// The stream in a slot, if it is taken.
    pub(crate) fn slot(&self, slot: u32) -> Option<&Stream> {
        self.slab.get(slot as usize).and_then(Option::as_ref)
    }

    fn share_bucket(&mut self, bucket: &BucketName) -> BucketName {
        if let Some((shared, _)) = self.buckets.get_key_value(bucket) {
            let shared = shared.clone();
            *self.buckets.get_mut(bucket).expect("found just now") += 1;
            return shared;
        }
        self.buckets.insert(bucket.clone(), 1);
        bucket.clone()
    }

    fn at(&self, slot: u32) -> &Stream {
        self.slab[slot as usize].as_ref().expect("a slot in use is taken")
    }

    fn at_mut(&mut self, slot: u32) -> &mut Stream {
        self.slab[slot as usize].as_mut().expect("a slot in use is taken")
    }
}

impl std::ops::Index<StreamSlot> for Catalog {
    type Output = Stream;

    fn index(&self, slot: StreamSlot) -> &Stream {
        self.at(slot.0)
    }
}

impl std::ops::IndexMut<StreamSlot> for Catalog {
    fn index_mut(&mut self, slot: StreamSlot) -> &mut Stream {
        self.at_mut(slot.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_slot_is_used_again_and_its_name_is_gone() {
        let mut catalog = Catalog::default();
        let a = StreamKey::parse("b", "a").expect("a valid name");
        let b = StreamKey::parse("b", "b").expect("a valid name");
        let slot = catalog.make(&a, stream_hash(&a), 0);
        assert_eq!(catalog.find(&a), Some(slot));
        catalog.forget_if_unused(slot);
        assert_eq!(catalog.find(&a), None);
        assert_eq!(catalog.make(&b, stream_hash(&b), 0), slot);
        assert_eq!(catalog.len(), 1);
    }
}
