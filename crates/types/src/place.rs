//! Where a stream lives: a stable hash of its name, and the partition from the hash's top bits.
//!
//! The hash is part of the on-disk format. Its name stands in the identity file and a directory written
//! with another one is refused, so it may never change silently: a test pins its values.

use crate::name::StreamKey;
use crate::number::PartitionId;
use xxhash_rust::xxh3::Xxh3;

/// The name of the hash as the identity file carries it.
pub const HASH_NAME: &str = "xxh3-64/bucket,0,stream";
/// Partitions of a data directory unless it was created with another count.
pub const PARTITION_COUNT_DEFAULT: u16 = 64;

/// The stable 64-bit hash of a stream's name: XXH3 over `bucket`, a zero byte, `stream`.
pub fn stream_hash(key: &StreamKey) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(key.bucket.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(key.stream.as_str().as_bytes());
    hasher.digest()
}

/// The partition that a stream with this hash belongs to: the top bits, scaled to the count.
pub fn partition_of(hash: u64, partition_count: u16) -> PartitionId {
    let scaled = (u128::from(hash) * u128::from(partition_count)) >> 64;
    PartitionId(u16::try_from(scaled).expect("the product of a fraction and a u16 fits a u16"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_name_never_changes() {
        let key = StreamKey::parse("iot", "house1/temp").expect("a valid name");
        assert_eq!(stream_hash(&key), PINNED);
        assert_eq!(partition_of(stream_hash(&key), 64), PartitionId((PINNED >> 58) as u16));
    }
    const PINNED: u64 = 1_490_466_239_821_688_761;

    #[test]
    fn bucket_and_stream_do_not_run_together() {
        let a = StreamKey::parse("ab", "c").expect("a valid name");
        let b = StreamKey::parse("a", "bc").expect("a valid name");
        assert_ne!(stream_hash(&a), stream_hash(&b));
    }

    #[test]
    fn every_partition_is_reachable_and_none_lies_outside() {
        for count in [1_u16, 3, 64, 1000] {
            assert_eq!(partition_of(0, count), PartitionId(0));
            assert_eq!(partition_of(u64::MAX, count), PartitionId(count - 1));
        }
    }
}
