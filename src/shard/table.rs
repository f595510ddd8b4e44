//! Which shard owns which partition.
//!
//! Made once at start and the same on every core. A table, never `partition mod cores`: a shard can be given
//! any partitions. Every partition has exactly one owner.

use types::{CoreId, PartitionId, ShardId, StreamKey, partition_of, stream_hash};

/// Partition → shard → core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardTable {
    /// Indexed by partition.
    owner: Vec<ShardId>,
    shard_count: u16,
}

impl ShardTable {
    /// A table from the owner of each partition.
    ///
    /// # Panics
    /// If it has no partition, more than `u16` can count, or an owner outside `0..shard_count`.
    pub fn new(owner: Vec<ShardId>, shard_count: u16) -> Self {
        assert!(!owner.is_empty() && owner.len() <= usize::from(u16::MAX), "a directory has partitions");
        assert!(owner.iter().all(|shard| shard.0 < shard_count), "every owner is a shard of this server");
        ShardTable { owner, shard_count }
    }

    /// The owner of a partition.
    pub fn shard_of(&self, partition: PartitionId) -> ShardId {
        self.owner[usize::from(partition.0)]
    }

    /// The owner of a stream.
    pub fn shard_of_stream(&self, stream: &StreamKey) -> ShardId {
        self.shard_of(partition_of(stream_hash(stream), self.partition_count()))
    }

    /// The core that runs a shard. Today core `n` runs shard `n`.
    pub fn core_of(&self, shard: ShardId) -> CoreId {
        assert!(shard.0 < self.shard_count, "a shard of this server");
        CoreId(shard.0)
    }

    /// All shards, ascending.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.shard_count).map(ShardId)
    }

    /// How many partitions there are.
    pub fn partition_count(&self) -> u16 {
        u16::try_from(self.owner.len()).expect("checked in new")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_goes_to_the_owner_of_its_partition() {
        let table = ShardTable::new((0..64).map(|n| ShardId(u16::from(n >= 40))).collect(), 2);
        let key = StreamKey::parse("iot", "house1/temp").expect("a valid name");
        let partition = partition_of(stream_hash(&key), 64);
        assert_eq!(table.shard_of_stream(&key), ShardId(u16::from(partition.0 >= 40)));
    }

    #[test]
    #[should_panic(expected = "every owner is a shard of this server")]
    fn an_owner_that_does_not_run_is_a_programmers_error() {
        ShardTable::new(vec![ShardId(2)], 2);
    }
}
