//! The manifest of a partition: which segments hold its past, and up to which log index.
//!
//! Written by the engine at the end of a checkpoint or merge, in turn to `MANIFEST.0` and `MANIFEST.1`, and
//! read at start. A segment that no manifest names does not exist; journal files are freed only after the
//! manifest that covers them is durable. Drawn in `docs/formats/manifest.md`.

use crate::BLOCK_BYTES;
use crate::format_error::{FilePart, FormatError, PlaceField, check_place};
use crate::frame::{Fields, FrameKind};
use crate::slots::{Generations, Slot, SlotChoice, choose_slot, read_slot};
use crate::wire::Put;
use bytes::Bytes;
use std::collections::BTreeSet;
use types::{LogIndex, PartitionId};

const KIND: FrameKind = FrameKind { part: FilePart::Manifest, magic: *b"MR.MANIF", version: 1 };
const SEGMENT_BYTES: usize = 36;
const GAP_BYTES: usize = 16;

/// A segment as its manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestSegment {
    /// Number of the segment in its partition, never used twice.
    pub ordinal: u64,
    /// Bytes of the file.
    pub len: u64,
    /// Checksum of the segment's trailer.
    pub checksum: u32,
    /// Lowest log index whose effect it may hold.
    pub first_index: LogIndex,
    /// Highest log index whose effect it may hold.
    pub last_index: LogIndex,
}

/// Log indexes that were lost to rot, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionGap {
    /// First lost index.
    pub from: LogIndex,
    /// Last lost index.
    pub to: LogIndex,
}

/// What a partition's manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The data directory it belongs to.
    pub directory_id: u128,
    /// The partition it belongs to.
    pub partition: PartitionId,
    /// Counts the manifests of the partition, from 1; generation g stands in slot g mod 2.
    pub generation: u64,
    /// Everything up to and with this index is in segments.
    pub checkpoint_index: LogIndex,
    /// The ordinal that the next segment takes; greater than every ordinal ever used.
    pub next_ordinal: u64,
    /// The partition's segments, in the order that the engine keeps them.
    pub segments: Vec<ManifestSegment>,
    /// What was lost.
    pub gaps: Vec<PartitionGap>,
}

/// What the two manifests of a partition amount to.
pub type ManifestChoice = SlotChoice<Manifest>;

impl Generations for Manifest {
    fn generation(&self) -> u64 {
        self.generation
    }
}

impl Manifest {
    /// The manifest's file: whole blocks.
    ///
    /// # Panics
    /// When the manifest breaks its own rules, see [`Self::decode`].
    pub fn encode(&self) -> Bytes {
        assert_eq!(self.broken_rule(), None, "a manifest keeps its rules");
        let mut out = KIND.begin();
        out.put_u128(self.directory_id);
        out.put_u64(self.generation);
        out.put_u64(self.checkpoint_index.0);
        out.put_u64(self.next_ordinal);
        out.put_u16(self.partition.0);
        out.put_u32(u32::try_from(self.segments.len()).expect("segments of a partition are merged"));
        out.put_u32(u32::try_from(self.gaps.len()).expect("gaps of a partition are few"));
        for segment in &self.segments {
            out.put_u64(segment.ordinal);
            out.put_u64(segment.len);
            out.put_u64(segment.first_index.0);
            out.put_u64(segment.last_index.0);
            out.put_u32(segment.checksum);
        }
        for gap in &self.gaps {
            out.put_u64(gap.from.0);
            out.put_u64(gap.to.0);
        }
        KIND.seal(out).0
    }

    /// Reads a manifest's file; bytes behind the manifest are not looked at.
    ///
    /// # Errors
    /// [`FormatError`]; also when ordinals repeat or reach `next_ordinal`, a range is turned round or a
    /// generation is 0.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, FormatError> {
        let (mut fields, _) = KIND.open(bytes)?;
        let mut manifest = Manifest {
            directory_id: fields.u128("directory id")?,
            generation: fields.u64("generation")?,
            checkpoint_index: LogIndex(fields.u64("checkpoint index")?),
            next_ordinal: fields.u64("next ordinal")?,
            partition: PartitionId(fields.u16("partition")?),
            segments: Vec::new(),
            gaps: Vec::new(),
        };
        let segment_count = fields.count("segment count", SEGMENT_BYTES)?;
        let gap_count = fields.count("gap count", GAP_BYTES)?;
        for _ in 0..segment_count {
            manifest.segments.push(decode_segment(&mut fields)?);
        }
        for _ in 0..gap_count {
            let (from, to) = (fields.u64("gap start")?, fields.u64("gap end")?);
            manifest.gaps.push(PartitionGap { from: LogIndex(from), to: LogIndex(to) });
        }
        fields.end()?;
        match manifest.broken_rule() {
            None => Ok(manifest),
            Some(rule) => Err(fields.bad("manifest", rule, None)),
        }
    }

    /// Reads one of the two files (no bytes: no file) and checks that it belongs there.
    pub fn read_slot(bytes: &[u8], slot: u8, directory_id: u128, partition: PartitionId) -> Slot<Manifest> {
        read_slot(FilePart::Manifest, bytes, slot, |bytes| {
            let manifest = Manifest::decode(bytes)?;
            let part = FilePart::Manifest;
            check_place(part, PlaceField::DirectoryId, directory_id, manifest.directory_id)?;
            check_place(part, PlaceField::Partition, partition.0, manifest.partition.0)?;
            Ok(manifest)
        })
    }

    fn broken_rule(&self) -> Option<&'static str> {
        let ordinals: BTreeSet<u64> = self.segments.iter().map(|segment| segment.ordinal).collect();
        let block = BLOCK_BYTES as u64;
        let rules = [
            (self.generation >= 1, "must have a generation from 1"),
            (ordinals.len() == self.segments.len(), "must name every segment once"),
            (
                ordinals.last().is_none_or(|&last| last < self.next_ordinal),
                "must have a greater next ordinal",
            ),
            (
                self.segments.iter().all(|segment| segment.first_index <= segment.last_index),
                "must name segments with a first index that is not behind the last",
            ),
            (
                self.segments.iter().all(|s| s.len > 0 && s.len.is_multiple_of(block)),
                "must name segments of whole blocks",
            ),
            (self.gaps.iter().all(|gap| gap.from <= gap.to), "must have gaps that start before their end"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map(|(_, rule)| rule)
    }
}

/// Decides what the two manifests of a partition amount to; read each with [`Manifest::read_slot`].
///
/// `Damaged` and `TornAtBirth` mean: rebuild from the segments that are there.
pub fn choose_manifest(slot0: Slot<Manifest>, slot1: Slot<Manifest>) -> ManifestChoice {
    choose_slot(slot0, slot1)
}

fn decode_segment(fields: &mut Fields<'_>) -> Result<ManifestSegment, FormatError> {
    Ok(ManifestSegment {
        ordinal: fields.u64("segment ordinal")?,
        len: fields.u64("segment length")?,
        first_index: LogIndex(fields.u64("segment first index")?),
        last_index: LogIndex(fields.u64("segment last index")?),
        checksum: fields.u32("segment checksum")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::{covered_len, reseal};
    use proptest::prelude::*;

    fn manifest() -> impl Strategy<Value = Manifest> {
        let segments = proptest::collection::btree_map(0..1000_u64, any::<(u16, u32, u32, u32)>(), 0..200);
        let gaps = proptest::collection::vec(any::<(u32, u32)>(), 0..20);
        (any::<(u128, u16, u64)>(), 1..u64::MAX, segments, gaps).prop_map(
            |((directory_id, partition, checkpoint), generation, segments, gaps)| Manifest {
                directory_id,
                partition: PartitionId(partition),
                generation,
                checkpoint_index: LogIndex(checkpoint),
                next_ordinal: 1000,
                segments: segments.into_iter().map(segment).collect(),
                gaps: gaps
                    .into_iter()
                    .map(|(from, more)| PartitionGap {
                        from: LogIndex(u64::from(from)),
                        to: LogIndex(u64::from(from) + u64::from(more)),
                    })
                    .collect(),
            },
        )
    }

    fn segment((ordinal, (blocks, first, more, checksum)): (u64, (u16, u32, u32, u32))) -> ManifestSegment {
        ManifestSegment {
            ordinal,
            len: (u64::from(blocks) + 1) * BLOCK_BYTES as u64,
            checksum,
            first_index: LogIndex(u64::from(first)),
            last_index: LogIndex(u64::from(first) + u64::from(more)),
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(manifest in manifest()) {
            let bytes = manifest.encode();
            prop_assert!(bytes.len().is_multiple_of(BLOCK_BYTES));
            prop_assert_eq!(Manifest::decode(&bytes), Ok(manifest));
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Manifest::decode(&bytes).is_err());
        }

        #[test]
        fn nothing_that_a_faulty_writer_seals_panics(
            manifest in manifest(),
            changes in proptest::collection::vec((24_usize..200, any::<u8>()), 1..4),
        ) {
            let mut bytes = manifest.encode().to_vec();
            for (at, value) in changes {
                bytes[at] = value;
            }
            reseal(&mut bytes);
            let _ = Manifest::decode(&bytes);
        }

        #[test]
        fn one_flipped_bit_before_the_padding_is_noticed(
            manifest in manifest(),
            at in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = manifest.encode().to_vec();
            let bit = at.index(covered_len(&bytes) * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Manifest::decode(&bytes).is_err());
        }
    }

    fn small(generation: u64) -> Manifest {
        Manifest {
            directory_id: 5,
            partition: PartitionId(3),
            generation,
            checkpoint_index: LogIndex(9),
            next_ordinal: 1,
            segments: Vec::new(),
            gaps: Vec::new(),
        }
    }

    #[test]
    fn a_manifest_of_another_directory_partition_or_slot_is_damage() {
        let bytes = small(2).encode();
        let read =
            |slot, directory, partition| Manifest::read_slot(&bytes, slot, directory, PartitionId(partition));
        assert_eq!(read(0, 5, 3), Slot::Sound(small(2)));
        for wrong in [read(1, 5, 3), read(0, 6, 3), read(0, 5, 4)] {
            assert!(matches!(wrong, Slot::Damaged(FormatError::Foreign(_))), "{wrong:?}");
        }
        assert_eq!(Manifest::read_slot(&[], 0, 5, PartitionId(3)), Slot::Missing);
    }

    #[test]
    fn a_manifest_that_names_a_segment_twice_is_refused() {
        let mut manifest = small(1);
        manifest.next_ordinal = 8;
        let twice = segment((7, (0, 1, 1, 1)));
        manifest.segments = vec![twice, segment((6, (0, 1, 1, 1)))];
        let mut bytes = manifest.encode().to_vec();
        // The second segment's ordinal stands behind frame, fixed fields (50 bytes) and the first segment.
        let at = 24 + 16 + 8 + 8 + 8 + 2 + 4 + 4 + SEGMENT_BYTES;
        assert_eq!(bytes[at], 6);
        bytes[at] = 7;
        reseal(&mut bytes);
        let error = Manifest::decode(&bytes).expect_err("named twice");
        assert!(error.to_string().contains("must name every segment once"), "{error}");
    }
}
