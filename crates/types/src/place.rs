//! Where a stream lives: a stable hash of its name, and the partition from the hash's top bits.
//!
//! The hash is part of the on-disk format. Its name stands in the identity file and a directory written
//! with another one is refused, so it may never change silently: a test pins its values.

use crate::name::StreamKey;
use crate::number::PartitionId;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The name of the hash as the identity file carries it.
pub const HASH_NAME: &str = "xxh3-64/bucket,0,stream";
/// Partitions of a data directory unless it was created with another count.
pub const PARTITION_COUNT_DEFAULT: u16 = 64;

/// Names up to this length, with the zero byte between, are joined to be hashed in one go.
const JOINED_BYTES: usize = 128;

/// The stable 64-bit hash of a stream's name: XXH3 over `bucket`, a zero byte, `stream`.
pub fn stream_hash(key: &StreamKey) -> u64 {
    let (bucket, stream) = (key.bucket.as_str().as_bytes(), key.stream.as_str().as_bytes());
    let len = bucket.len() + 1 + stream.len();
    if len <= JOINED_BYTES {
        // One call over joined bytes takes a quarter of what a hasher's state takes.
        let mut joined = [0; JOINED_BYTES];
        joined[..bucket.len()].copy_from_slice(bucket);
        joined[bucket.len() + 1..len].copy_from_slice(stream);
        return xxh3_64(&joined[..len]);
    }
    let mut hasher = Xxh3::new();
    hasher.update(bucket);
    hasher.update(&[0]);
    hasher.update(stream);
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
    use crate::name::STREAM_NAME_MAX;

    #[test]
    fn the_hash_of_a_name_never_changes() {
        let key = StreamKey::parse("iot", "house1/temp").expect("a valid name");
        assert_eq!(stream_hash(&key), PINNED);
        assert_eq!(partition_of(stream_hash(&key), 64), PartitionId((PINNED >> 58) as u16));
    }
    const PINNED: u64 = 1_490_466_239_821_688_761;

    #[test]
    fn a_name_of_any_length_has_the_hash_of_its_joined_bytes() {
        for len in (1..=STREAM_NAME_MAX).filter(|len| *len < 300 || len.is_multiple_of(31)) {
            let stream = "s".repeat(len);
            for bucket in ["b", "a-bucket-of-some-length"] {
                let key = StreamKey::parse(bucket, &stream).expect("a valid name");
                let joined = format!("{bucket}\0{stream}");
                assert_eq!(stream_hash(&key), xxh3_64(joined.as_bytes()), "{bucket}/ and {len} bytes");
            }
        }
    }

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
