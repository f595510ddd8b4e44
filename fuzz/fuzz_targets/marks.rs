//! Manifest, identity and epoch: one slot, two slots, and what was decoded encoded again.
//!
//! The input is one part, or two slots of half its length each. What decodes survives another round.

#![no_main]

use commitlog::{EpochMark, Identity, Manifest, choose_epoch, choose_manifest};
use libfuzzer_sys::fuzz_target;
use millrace_fuzz::mend;
use types::PartitionId;

fuzz_target!(|input: &[u8]| {
    let mut mended = input.to_vec();
    mend::frames(&mut mended);
    for bytes in [input, mended.as_slice()] {
        if let Ok(manifest) = Manifest::decode(bytes) {
            assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
        }
        if let Ok(found) = Identity::decode(bytes) {
            let again = Identity::decode(&found.identity.encode()).map(|found| found.identity);
            assert_eq!(again, Ok(found.identity));
        }
        if let Ok(mark) = EpochMark::decode(bytes) {
            assert_eq!(EpochMark::decode(&mark.encode()), Ok(mark));
        }
        let (slot0, slot1) = bytes.split_at(bytes.len() / 2);
        let id = slot1.get(24..40).and_then(|id| id.try_into().ok()).map_or(0, u128::from_le_bytes);
        let _ = choose_epoch(EpochMark::read_slot(slot0, 0, id), EpochMark::read_slot(slot1, 1, id));
        let manifest =
            |bytes: &[u8], slot: u8| Manifest::read_slot(bytes, slot, id, PartitionId(slot1[0].into()));
        if !slot1.is_empty() {
            let _ = choose_manifest(manifest(slot0, 0), manifest(slot1, 1));
        }
    }
});
