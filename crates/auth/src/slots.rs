//! A table whose entries also stand in a row, so that it can be walked a few at a time.
//!
//! The limiter and the cache of verified passwords keep their entries here and throw out by looking at some
//! neighbours, never at all entries. Keys come from strangers, so their hash begins with a secret seed: who
//! does not know it cannot choose keys that collide. The owner keeps the count within its bound.

use hashbrown::HashTable;
use std::borrow::Borrow;
use std::hash::{DefaultHasher, Hash, Hasher};

#[derive(Clone, Debug)]
pub(crate) struct Slots<K, V> {
    seed: u128,
    row: Vec<(K, V)>,
    /// Places in `row`, by the hash of the key there.
    places: HashTable<usize>,
}

impl<K: Hash + Eq, V> Slots<K, V> {
    pub(crate) fn new(seed: u128) -> Slots<K, V> {
        Slots { seed, row: Vec::new(), places: HashTable::new() }
    }

    /// Appends an entry whose key is not there yet.
    pub(crate) fn push(&mut self, key: K, value: V) {
        assert!(self.find(&key).is_none(), "a key stands once");
        let Slots { seed, row, places } = self;
        let hash = hash(*seed, &key);
        row.push((key, value));
        places.insert_unique(hash, row.len() - 1, |place| self::hash(*seed, &row[*place].0));
    }

    /// Takes the entry at `place` out; the last one moves there.
    pub(crate) fn swap_remove(&mut self, place: usize) {
        let last = self.row.len() - 1;
        let removed = hash(self.seed, &self.row[place].0);
        let moved = hash(self.seed, &self.row[last].0);
        match self.places.find_entry(removed, |other| *other == place) {
            Ok(entry) => drop(entry.remove()),
            Err(_) => unreachable!("every entry of the row has its place in the table"),
        }
        if place != last {
            let at = self.places.find_mut(moved, |other| *other == last);
            *at.expect("every entry of the row has its place in the table") = place;
        }
        self.row.swap_remove(place);
    }

    /// Where the entry of `key` stands.
    pub(crate) fn find<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        self.places.find(hash(self.seed, key), |place| self.row[*place].0.borrow() == key).copied()
    }

    pub(crate) fn value(&self, place: usize) -> &V {
        &self.row[place].1
    }

    pub(crate) fn value_mut(&mut self, place: usize) -> &mut V {
        &mut self.row[place].1
    }

    pub(crate) fn len(&self) -> usize {
        self.row.len()
    }
}

fn hash<Q: Hash + ?Sized>(seed: u128, key: &Q) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u128(seed);
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(steps in proptest::collection::vec((0u8..40, any::<bool>()), 0..400)) {
            let (mut slots, mut map) = (Slots::new(7), BTreeMap::new());
            for (count, (key, add)) in steps.into_iter().enumerate() {
                match slots.find(&key) {
                    Some(place) if !add => {
                        slots.swap_remove(place);
                        map.remove(&key);
                    }
                    Some(place) => *slots.value_mut(place) = count,
                    None if add => slots.push(key, count),
                    None => {}
                }
                if add {
                    map.insert(key, count);
                }
                prop_assert_eq!(slots.len(), map.len());
                for key in 0..40 {
                    prop_assert_eq!(slots.find(&key).map(|place| slots.value(place)), map.get(&key));
                }
            }
        }
    }
}
