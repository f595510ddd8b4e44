//! The epoch file: which life of the server a data directory is in, and what each journal has proven.
//!
//! Written before a life serves anything, at a clean stop, and when journal files are added or freed; in
//! turn to two slots of one block each. A journal group with a greater epoch than this file says, or fewer
//! durable groups than it says, is evidence of lost or mixed files. Drawn in `docs/formats/epoch.md`.

use crate::BLOCK_BYTES;
use crate::format_error::{FilePart, FormatError, PlaceField, check_place};
use crate::frame::FrameKind;
use crate::group::COUNTER_MAX;
use crate::slots::{Generations, Slot, SlotChoice, choose_slot, read_slot};
use crate::wire::Put;
use bytes::Bytes;
use types::ServerEpoch;

const KIND: FrameKind = FrameKind { part: FilePart::EpochSlot, magic: *b"MR.EPOCH", version: 1 };
const SHARD_BYTES: usize = 18;

/// Bytes of one slot; slot n starts at byte n * 4096 of the file.
pub const EPOCH_SLOT_BYTES: usize = BLOCK_BYTES;
/// Most shards that a mark can hold: what fits into one block, rounded down.
pub const EPOCH_SHARDS_MAX: usize = 200;

/// What is known about the journal of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardMark {
    /// Highest number of a journal group that is known to be durable.
    pub durable: u64,
    /// Number of the first group that is not covered by segments.
    pub replay_from: u64,
    /// Journal files allocated.
    pub slots: u16,
}

/// One slot of the epoch file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochMark {
    /// The data directory it belongs to.
    pub directory_id: u128,
    /// Counts the writes of the file, from 1; generation g stands in slot g mod 2.
    pub generation: u64,
    /// The life of the server, from 1.
    pub epoch: ServerEpoch,
    /// Shards that have a journal; `shards.len()`.
    pub shard_count: u16,
    /// Whether the life ended with everything durable and sealed.
    pub clean: bool,
    /// One per shard, in order.
    pub shards: Vec<ShardMark>,
}

/// What the two slots amount to.
pub type EpochChoice = SlotChoice<EpochMark>;

impl Generations for EpochMark {
    fn generation(&self) -> u64 {
        self.generation
    }
}

impl EpochMark {
    /// One slot: exactly [`EPOCH_SLOT_BYTES`] bytes.
    ///
    /// # Panics
    /// When there are more than [`EPOCH_SHARDS_MAX`] shards or the counts disagree.
    pub fn encode(&self) -> Bytes {
        assert!(self.shards.len() <= EPOCH_SHARDS_MAX, "{} shards do not fit a slot", self.shards.len());
        assert_eq!(usize::from(self.shard_count), self.shards.len(), "one mark per shard");
        assert!(self.generation >= 1 && self.epoch.0 >= 1, "generation and epoch count from 1");
        let mut out = KIND.begin();
        out.put_u128(self.directory_id);
        out.put_u64(self.generation);
        out.put_u64(self.epoch.0);
        out.put_u8(u8::from(self.clean));
        out.put_u32(u32::from(self.shard_count));
        for shard in &self.shards {
            out.put_u64(shard.durable);
            out.put_u64(shard.replay_from);
            out.put_u16(shard.slots);
        }
        KIND.seal_block(out).0
    }

    /// Reads one slot; bytes behind the first block are not looked at.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn decode(bytes: &[u8]) -> Result<EpochMark, FormatError> {
        let block = &bytes[..bytes.len().min(EPOCH_SLOT_BYTES)];
        let (mut fields, _) = KIND.open(block)?;
        let directory_id = fields.u128("directory id")?;
        let generation = fields.u64("generation")?;
        fields.require(generation >= 1, "generation", "must be at least 1", generation)?;
        let epoch = fields.u64("epoch")?;
        fields.require(epoch >= 1, "epoch", "must be at least 1", epoch)?;
        let clean = fields.flag("clean")?;
        let count = fields.count("shard count", SHARD_BYTES)?;
        fields.require(count <= EPOCH_SHARDS_MAX, "shard count", "must be at most 200", count as u64)?;
        let mut shards = Vec::with_capacity(count);
        for _ in 0..count {
            let (durable, replay_from) = (fields.u64("durable group")?, fields.u64("replay start")?);
            let rule = "must be a number that a journal can get to";
            fields.require(durable < COUNTER_MAX, "durable group", rule, durable)?;
            fields.require(replay_from < COUNTER_MAX, "replay start", rule, replay_from)?;
            shards.push(ShardMark { durable, replay_from, slots: fields.u16("journal files")? });
        }
        fields.end()?;
        let shard_count = u16::try_from(count).expect("at most 200");
        Ok(EpochMark { directory_id, generation, epoch: ServerEpoch(epoch), shard_count, clean, shards })
    }

    /// Reads one of the two slots (no bytes: no file, or a file that ends before it) and checks that it
    /// belongs there.
    pub fn read_slot(bytes: &[u8], slot: u8, directory_id: u128) -> Slot<EpochMark> {
        let block = &bytes[..bytes.len().min(EPOCH_SLOT_BYTES)];
        read_slot(FilePart::EpochSlot, block, slot, |bytes| {
            let mark = EpochMark::decode(bytes)?;
            check_place(FilePart::EpochSlot, PlaceField::DirectoryId, directory_id, mark.directory_id)?;
            Ok(mark)
        })
    }
}

/// Decides what the two slots amount to; read each with [`EpochMark::read_slot`].
pub fn choose_epoch(slot0: Slot<EpochMark>, slot1: Slot<EpochMark>) -> EpochChoice {
    choose_slot(slot0, slot1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::{covered_len, reseal};
    use proptest::prelude::*;

    fn mark() -> impl Strategy<Value = EpochMark> {
        let shard = (0..COUNTER_MAX, 0..COUNTER_MAX, any::<u16>());
        let shards = proptest::collection::vec(shard, 0..=EPOCH_SHARDS_MAX);
        (any::<(u128, bool)>(), 1..u64::MAX, 1..u64::MAX, shards).prop_map(
            |((directory_id, clean), generation, epoch, shards)| EpochMark {
                directory_id,
                generation,
                epoch: ServerEpoch(epoch),
                shard_count: shards.len() as u16,
                clean,
                shards: shards
                    .into_iter()
                    .map(|(durable, replay_from, slots)| ShardMark { durable, replay_from, slots })
                    .collect(),
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(mark in mark()) {
            let bytes = mark.encode();
            prop_assert_eq!(bytes.len(), EPOCH_SLOT_BYTES);
            prop_assert_eq!(EpochMark::decode(&bytes), Ok(mark));
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(EpochMark::decode(&bytes).is_err());
        }

        #[test]
        fn nothing_that_a_faulty_writer_seals_panics(
            mark in mark(),
            changes in proptest::collection::vec((16_usize..120, any::<u8>()), 1..4),
        ) {
            let mut bytes = mark.encode().to_vec();
            for (at, value) in changes {
                bytes[at] = value;
            }
            reseal(&mut bytes);
            let _ = EpochMark::decode(&bytes);
        }

        #[test]
        fn one_flipped_bit_before_the_padding_is_noticed(
            mark in mark(),
            at in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = mark.encode().to_vec();
            let bit = at.index(covered_len(&bytes) * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(EpochMark::decode(&bytes).is_err());
        }
    }

    #[test]
    fn a_slot_of_zeros_was_never_written() {
        assert_eq!(EpochMark::read_slot(&[0; EPOCH_SLOT_BYTES], 0, 7), Slot::Missing);
        assert_eq!(EpochMark::read_slot(&[], 1, 7), Slot::Missing);
    }

    #[test]
    fn the_slot_of_another_directory_or_of_the_other_place_is_damage() {
        let mark = EpochMark {
            directory_id: 7,
            generation: 1,
            epoch: ServerEpoch(1),
            shard_count: 0,
            clean: false,
            shards: Vec::new(),
        };
        let bytes = mark.encode();
        assert_eq!(EpochMark::read_slot(&bytes, 1, 7), Slot::Sound(mark));
        for wrong in [EpochMark::read_slot(&bytes, 0, 7), EpochMark::read_slot(&bytes, 1, 8)] {
            assert!(matches!(wrong, Slot::Damaged(FormatError::Foreign(_))), "{wrong:?}");
        }
    }
}
