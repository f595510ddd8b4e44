//! The checksum of every format: CRC-32 over at most 8 KiB, longer bytes a CRC-32 of CRC-32s.
//!
//! A CRC-32 finds every burst of 32 bits; over long spans its chance of missing several separate flips
//! grows, so longer bodies are cut into pieces of 8 KiB whose checksums are summed again.

/// Bytes under one plain CRC-32.
const PIECE_BYTES: usize = 8 * 1024;

/// The checksum of `bytes`.
pub fn checksum(bytes: &[u8]) -> u32 {
    if bytes.len() <= PIECE_BYTES {
        return crc32fast::hash(bytes);
    }
    let mut outer = crc32fast::Hasher::new();
    for piece in bytes.chunks(PIECE_BYTES) {
        outer.update(&crc32fast::hash(piece).to_le_bytes());
    }
    outer.finalize()
}

/// [`checksum`] of bytes that lie in several parts, without joining them.
pub fn checksum_of_parts(parts: &[bytes::Bytes]) -> u32 {
    if let [whole] = parts {
        return checksum(whole);
    }
    let total: usize = parts.iter().map(bytes::Bytes::len).sum();
    if total <= PIECE_BYTES {
        let mut plain = crc32fast::Hasher::new();
        parts.iter().for_each(|part| plain.update(part));
        return plain.finalize();
    }
    let mut outer = crc32fast::Hasher::new();
    let (mut piece, mut piece_len) = (crc32fast::Hasher::new(), 0);
    for part in parts {
        let mut rest = &part[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PIECE_BYTES - piece_len));
            piece.update(now);
            piece_len += now.len();
            rest = later;
            if piece_len == PIECE_BYTES {
                outer.update(&std::mem::take(&mut piece).finalize().to_le_bytes());
                piece_len = 0;
            }
        }
    }
    if piece_len > 0 {
        outer.update(&piece.finalize().to_le_bytes());
    }
    outer.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_flip_in_any_piece_changes_the_checksum() {
        let mut bytes = vec![7_u8; 3 * PIECE_BYTES + 5];
        let sound = checksum(&bytes);
        for at in [0, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 4] {
            bytes[at] ^= 1;
            assert_ne!(checksum(&bytes), sound, "flip at {at}");
            bytes[at] ^= 1;
        }
    }

    proptest! {
        #[test]
        fn bytes_in_parts_sum_like_the_joined_ones(
            whole in proptest::collection::vec(any::<u8>(), 0..40_000),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        ) {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
            at.extend([0, whole.len()]);
            at.sort_unstable();
            let parts: Vec<_> =
                at.windows(2).map(|pair| bytes::Bytes::copy_from_slice(&whole[pair[0]..pair[1]])).collect();
            prop_assert_eq!(checksum_of_parts(&parts), checksum(&whole));
        }
    }
}
