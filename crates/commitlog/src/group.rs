//! A block group: what one journal write covers.
//!
//! Starts on a block boundary and is padded to one. Its header says where it must lie, in which life of
//! the server it was written, which group stood before it and what was known durable when it was built:
//! the evidence by which recovery tells a torn tail from rot (`docs/formats/journal.md`).
//! A group that was acknowledged is never written again.

use crate::batch::{Batch, BatchError};
use crate::checksum;
use crate::wire::{Put, Reader};
use bytes::Bytes;
use std::fmt;
use types::{ServerEpoch, ShardId};

/// Bytes of a group before its batches.
pub const GROUP_HEADER_BYTES: usize = 128;

const MAGIC: u64 = u64::from_le_bytes(*b"MRGROUP1");
const VERSION: u16 = 1;
/// Bytes of the header that its checksum covers.
const COVERED_BYTES: usize = GROUP_HEADER_BYTES - 4;
/// No counter of a journal gets here in the life of the hardware: sums of what was read cannot overflow.
pub(crate) const COUNTER_MAX: u64 = 1 << 62;

/// What a group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// Batches of clients.
    Commit,
    /// Written when idle, so that the last commit is proved.
    IdleMarker,
    /// Written by recovery at the cut; may hold gap batches.
    Fence,
    /// Written by a clean stop.
    Seal,
}

impl GroupKind {
    fn number(self) -> u16 {
        match self {
            GroupKind::Commit => 1,
            GroupKind::IdleMarker => 2,
            GroupKind::Fence => 3,
            GroupKind::Seal => 4,
        }
    }

    fn from_number(number: u16) -> Option<Self> {
        [GroupKind::Commit, GroupKind::IdleMarker, GroupKind::Fence, GroupKind::Seal]
            .into_iter()
            .find(|kind| kind.number() == number)
    }
}

/// The header of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupHeader {
    /// What the group is for.
    pub kind: GroupKind,
    /// Whose journal.
    pub shard: ShardId,
    /// How many files the journal had when the group was built: a missing file is noticed.
    pub slots: u16,
    /// The data directory.
    pub directory_id: u128,
    /// Generation of the journal file: rises each time a file is taken into use again.
    pub generation: u64,
    /// Byte offset in the file: a misdirected write is noticed.
    pub offset: u64,
    /// The life of the server that wrote it.
    pub epoch: ServerEpoch,
    /// Dense number of the group in its shard's journal, from 1.
    pub number: u64,
    /// The highest number that was known durable when this one was built.
    pub durable_upto: u64,
    /// The lowest number that recovery still needs; everything before is in segments.
    pub replay_from: u64,
    /// Log indexes of all groups before this one: tells how many a lost group held.
    pub records_before: u64,
    /// Header checksum of the group before; 0 when there was none.
    pub previous_checksum: u32,
    /// Bytes of batches.
    pub body_len: u32,
    /// Batches.
    pub batch_count: u32,
    /// Log indexes of all batches.
    pub record_count: u32,
    /// Checksum of the batches' bytes.
    pub body_checksum: u32,
}

/// Why bytes are not a group header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupError {
    /// All bytes are zero: never written.
    Zeros,
    /// No magic number: not a group's first block.
    NoMagic,
    /// The header's checksum does not hold.
    HeaderChecksum,
    /// A version that this program does not know.
    UnknownVersion(u16),
    /// A kind that this program does not know.
    UnknownKind(u16),
    /// The checksum holds, and no journal ever gets to these numbers: forged, not rotten.
    CounterRange,
    /// The body's checksum does not hold, or the body is cut short.
    BodyChecksum,
    /// A batch inside is not sound.
    Batch(BatchError),
    /// The counts do not agree with the batches.
    Counts,
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupError::Zeros => write!(f, "block was never written"),
            GroupError::NoMagic => write!(f, "block does not start a group"),
            GroupError::HeaderChecksum => write!(f, "group header fails its checksum"),
            GroupError::UnknownVersion(version) => write!(f, "group has unknown version {version}"),
            GroupError::UnknownKind(kind) => write!(f, "group has unknown kind {kind}"),
            GroupError::CounterRange => write!(f, "group header has numbers that no journal gets to"),
            GroupError::BodyChecksum => write!(f, "group body fails its checksum"),
            GroupError::Batch(error) => write!(f, "group holds a bad batch: {error}"),
            GroupError::Counts => write!(f, "group counts contradict its batches"),
        }
    }
}

impl std::error::Error for GroupError {}

impl GroupHeader {
    /// The header's bytes and its checksum, which the next group carries on.
    pub fn encode(&self) -> (Bytes, u32) {
        let (bytes, crc) = self.encode_array();
        (Bytes::copy_from_slice(&bytes), crc)
    }

    /// As [`Self::encode`], without an allocation.
    pub fn encode_array(&self) -> ([u8; GROUP_HEADER_BYTES], u32) {
        let mut bytes = [0; GROUP_HEADER_BYTES];
        let mut out = &mut bytes[..];
        out.put_u64(MAGIC);
        out.put_u16(VERSION);
        out.put_u16(self.kind.number());
        out.put_u16(self.shard.0);
        out.put_u16(self.slots);
        out.put_u128(self.directory_id);
        out.put_u64(self.generation);
        out.put_u64(self.offset);
        out.put_u64(self.epoch.0);
        out.put_u64(self.number);
        out.put_u64(self.durable_upto);
        out.put_u64(self.replay_from);
        out.put_u64(self.records_before);
        out.put_u32(self.previous_checksum);
        out.put_u32(self.body_len);
        out.put_u32(self.batch_count);
        out.put_u32(self.record_count);
        out.put_u32(self.body_checksum);
        let crc = checksum(&bytes[..COVERED_BYTES]);
        bytes[COVERED_BYTES..].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    /// Reads the header at the start of a block; gives it and its checksum.
    ///
    /// # Errors
    /// [`GroupError`]; a short block counts as one without magic.
    pub fn decode(block: &[u8]) -> Result<(GroupHeader, u32), GroupError> {
        let header = block.get(..GROUP_HEADER_BYTES).ok_or(GroupError::NoMagic)?;
        if header.iter().all(|&byte| byte == 0) {
            return Err(GroupError::Zeros);
        }
        let mut reader = Reader::new(header);
        if reader.u64() != Some(MAGIC) {
            return Err(GroupError::NoMagic);
        }
        let crc = checksum(&header[..COVERED_BYTES]);
        if crc.to_le_bytes() != header[COVERED_BYTES..] {
            return Err(GroupError::HeaderChecksum);
        }
        let fields = decode_fields(&mut reader).ok_or(GroupError::NoMagic)?;
        fields.map(|header| (header, crc))
    }

    /// Whether sums of the numbers stay in range; `number` is dense from 1.
    fn counters_are_possible(&self) -> bool {
        let GroupHeader { generation, offset, number, durable_upto, replay_from, records_before, .. } = *self;
        let counters = [generation, offset, number, durable_upto, replay_from, records_before, self.epoch.0];
        number >= 1 && counters.iter().all(|&counter| counter < COUNTER_MAX)
    }

    /// Bytes that the group takes on disk.
    pub fn padded_len(&self) -> u64 {
        let len = GROUP_HEADER_BYTES + self.body_len as usize;
        len.next_multiple_of(crate::BLOCK_BYTES) as u64
    }

    /// Checks and decodes the batches of the group that starts at the start of `bytes`.
    ///
    /// # Errors
    /// [`GroupError`] names the first thing that is wrong.
    pub fn decode_body(&self, bytes: &Bytes) -> Result<Vec<Batch>, GroupError> {
        let end = GROUP_HEADER_BYTES + self.body_len as usize;
        if bytes.len() < end || checksum(&bytes[GROUP_HEADER_BYTES..end]) != self.body_checksum {
            return Err(GroupError::BodyChecksum);
        }
        let mut rest = bytes.slice(GROUP_HEADER_BYTES..end);
        let mut batches = Vec::new();
        while !rest.is_empty() {
            let (batch, len) = Batch::decode(&rest).map_err(GroupError::Batch)?;
            rest = rest.slice(len..);
            batches.push(batch);
        }
        let records: u64 = batches.iter().map(|batch| u64::from(batch.header.record_count)).sum();
        if batches.len() != self.batch_count as usize || records != u64::from(self.record_count) {
            return Err(GroupError::Counts);
        }
        Ok(batches)
    }
}

fn decode_fields(reader: &mut Reader<'_>) -> Option<Result<GroupHeader, GroupError>> {
    let version = reader.u16()?;
    let kind = reader.u16()?;
    if version != VERSION {
        return Some(Err(GroupError::UnknownVersion(version)));
    }
    let Some(kind) = GroupKind::from_number(kind) else {
        return Some(Err(GroupError::UnknownKind(kind)));
    };
    let header = GroupHeader {
        kind,
        shard: ShardId(reader.u16()?),
        slots: reader.u16()?,
        directory_id: reader.u128()?,
        generation: reader.u64()?,
        offset: reader.u64()?,
        epoch: ServerEpoch(reader.u64()?),
        number: reader.u64()?,
        durable_upto: reader.u64()?,
        replay_from: reader.u64()?,
        records_before: reader.u64()?,
        previous_checksum: reader.u32()?,
        body_len: reader.u32()?,
        batch_count: reader.u32()?,
        record_count: reader.u32()?,
        body_checksum: reader.u32()?,
    };
    Some(if header.counters_are_possible() { Ok(header) } else { Err(GroupError::CounterRange) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> GroupHeader {
        GroupHeader {
            kind: GroupKind::Commit,
            shard: ShardId(1),
            slots: 4,
            directory_id: 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff,
            generation: 5,
            offset: 8192,
            epoch: ServerEpoch(3),
            number: 77,
            durable_upto: 76,
            replay_from: 40,
            records_before: 500,
            previous_checksum: 0xdead_beef,
            body_len: 0,
            batch_count: 0,
            record_count: 0,
            body_checksum: 0,
        }
    }

    proptest! {
        #[test]
        fn one_flipped_bit_in_the_header_is_noticed(at in 0..GROUP_HEADER_BYTES * 8) {
            let mut bytes = header().encode().0.to_vec();
            bytes[at / 8] ^= 1 << (at % 8);
            prop_assert!(GroupHeader::decode(&bytes).is_err());
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = GroupHeader::decode(&bytes);
        }
    }

    #[test]
    fn a_header_comes_back_as_it_was_with_its_checksum() {
        let (bytes, crc) = header().encode();
        assert_eq!(bytes.len(), GROUP_HEADER_BYTES);
        assert_eq!(GroupHeader::decode(&bytes), Ok((header(), crc)));
    }

    #[test]
    fn numbers_that_could_overflow_are_refused_although_the_checksum_holds() {
        let sound = header();
        for forged in [
            GroupHeader { number: u64::MAX, ..sound.clone() },
            GroupHeader { number: 0, ..sound.clone() },
            GroupHeader { durable_upto: u64::MAX, ..sound.clone() },
            GroupHeader { records_before: u64::MAX - 1, ..sound },
        ] {
            assert_eq!(GroupHeader::decode(&forged.encode().0), Err(GroupError::CounterRange));
        }
    }

    #[test]
    fn a_block_of_zeros_was_never_written() {
        assert_eq!(GroupHeader::decode(&[0; 4096]), Err(GroupError::Zeros));
    }
}
