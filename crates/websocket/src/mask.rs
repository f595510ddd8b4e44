//! Masking of payloads (RFC 6455 §5.3): every byte is combined with one of four key bytes.
//!
//! Called by the receiver, in place on what has arrived, and by the encoders of a client. Applying the same
//! key at the same position twice gives the bytes back. Works in words; a key is never changed or drawn here.

/// The four bytes of a mask. A client draws a fresh unpredictable one per frame.
pub type MaskKey = [u8; 4];

/// Bytes that one step takes: four words, which compilers turn into vector instructions.
const STEP_BYTES: usize = 32;

/// Combines `payload` with `key` in place, as if `position` bytes of the frame's payload stood before it.
pub fn apply_mask(payload: &mut [u8], key: MaskKey, position: usize) {
    let key = turned(key, position);
    let word = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (steps, rest) = payload.as_chunks_mut::<STEP_BYTES>();
    for step in steps {
        let (words, _) = step.as_chunks_mut::<8>();
        for bytes in words {
            *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
        }
    }
    // A step is a multiple of the key, so the rest starts at the key's first byte again.
    for (at, byte) in rest.iter_mut().enumerate() {
        *byte ^= key[at % 4];
    }
}

/// The key as it applies from `position` on.
fn turned(mut key: MaskKey, position: usize) -> MaskKey {
    key.rotate_left(position % 4);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_rfc_masks_to_its_bytes() {
        // RFC 6455 §5.7: a single-frame masked text message that contains "Hello".
        let mut payload = *b"Hello";
        apply_mask(&mut payload, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    proptest! {
        #[test]
        fn every_byte_meets_the_key_byte_of_its_position(
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            key: MaskKey,
            start in 0usize..70,
        ) {
            let mut masked = payload.clone();
            apply_mask(&mut masked, key, start);
            let expected: Vec<u8> =
                payload.iter().enumerate().map(|(at, byte)| byte ^ key[(start + at) % 4]).collect();
            prop_assert_eq!(masked, expected);
        }

        #[test]
        fn masking_in_pieces_equals_masking_at_once(
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            key: MaskKey,
            cut in 0usize..300,
        ) {
            let cut = cut.min(payload.len());
            let mut whole = payload.clone();
            apply_mask(&mut whole, key, 0);
            let mut pieces = payload;
            let (left, right) = pieces.split_at_mut(cut);
            apply_mask(left, key, 0);
            apply_mask(right, key, cut);
            prop_assert_eq!(pieces, whole);
        }
    }
}
