//! A partition as its shard keeps it: watermarks, segments, gaps, idempotency keys.
//!
//! Invariant: `first <= visible = applied = committed <= durable <= appended` (`docs/architecture.md`, laws).

use crate::idempotency::IdempotencyTable;
use crate::stream::StreamSlot;
use bytes::BytesMut;
use commitlog::{Manifest, ManifestSegment, PartitionGap, Trailer};
use types::{LogIndex, PartitionId};

/// Memory that small batches share, and how many like the last one at most.
const ROOM_BYTES: usize = 64 << 10;
const ROOM_BATCHES: usize = 8;

/// What is resident of a segment.
#[derive(Clone, Debug)]
pub(crate) struct SegmentFile {
    pub(crate) ordinal: u64,
    pub(crate) len: u64,
    pub(crate) trailer: Trailer,
    /// A chunk or the footer was found bad: never merged away, so that what is good can be salvaged.
    pub(crate) damaged: bool,
    /// The disk has refused a long read: nothing is read ahead here.
    pub(crate) reads_fail: bool,
}

#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) id: PartitionId,
    /// The last log index that was given out.
    pub(crate) appended: LogIndex,
    /// The last log index that the journal holds durably.
    pub(crate) durable: LogIndex,
    /// The last log index that is committed and applied: what everyone may see.
    pub(crate) applied: LogIndex,
    /// Everything up to here is in segments.
    pub(crate) checkpointed: LogIndex,
    pub(crate) generation: u64,
    pub(crate) next_ordinal: u64,
    /// By first index.
    pub(crate) segments: Vec<SegmentFile>,
    pub(crate) gaps: Vec<PartitionGap>,
    pub(crate) idempotency: IdempotencyTable,
    /// Streams with changes that are not in segments.
    pub(crate) dirty: Vec<StreamSlot>,
    /// What these changes are about, in bytes of a segment.
    pub(crate) dirty_bytes: u64,
    /// Index of the open batch of events in the open group.
    pub(crate) open_batch: Option<usize>,
    /// Memory for the next batches of events; empty while one is open.
    room: BytesMut,
    /// Length of the last batch of events.
    batch_bytes: usize,
    /// A manifest is being written.
    pub(crate) manifest_busy: bool,
    /// Manifest files that exist, by slot.
    pub(crate) manifest_exists: [bool; 2],
    /// Ordinals of files that recovery found useless, until they are removed.
    pub(crate) leftovers: Vec<u64>,
}

impl Partition {
    pub(crate) fn new(id: PartitionId) -> Partition {
        Partition {
            id,
            appended: LogIndex::ZERO,
            durable: LogIndex::ZERO,
            applied: LogIndex::ZERO,
            checkpointed: LogIndex::ZERO,
            generation: 0,
            next_ordinal: 1,
            segments: Vec::new(),
            gaps: Vec::new(),
            idempotency: IdempotencyTable::default(),
            dirty: Vec::new(),
            dirty_bytes: 0,
            open_batch: None,
            room: BytesMut::new(),
            batch_bytes: 0,
            manifest_busy: false,
            manifest_exists: [false; 2],
            leftovers: Vec::new(),
        }
    }

    /// Memory for a batch that begins with an append of `append_bytes`; [`Self::take_back`] gets what it
    /// leaves. Batches share memory, one after the other, since a small one has few bytes beside its own
    /// block's; but only a few, since the block lives as long as any record in it.
    pub(crate) fn take_room(&mut self, append_bytes: usize) -> BytesMut {
        let room = std::mem::take(&mut self.room);
        let wanted = append_bytes.max(self.batch_bytes.min(ROOM_BYTES));
        if room.capacity() >= wanted {
            return room;
        }
        let batches = (ROOM_BYTES / wanted).clamp(1, ROOM_BATCHES);
        BytesMut::with_capacity(wanted * batches)
    }

    /// What a batch of `batch_bytes` has left of its memory.
    pub(crate) fn take_back(&mut self, room: BytesMut, batch_bytes: usize) {
        self.room = room;
        self.batch_bytes = batch_bytes;
    }

    /// Gives the memory for batches back: a checkpoint has dropped the records that shared it.
    pub(crate) fn drop_room(&mut self) {
        self.room = BytesMut::new();
    }

    /// Whether something is only in memory and in the journal. A gap that recovery found has no stream, and
    /// is nowhere else either until a manifest tells of it.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || self.checkpointed < self.applied
    }

    pub(crate) fn assert_invariants(&self) {
        assert!(
            self.checkpointed <= self.applied
                && self.applied <= self.durable
                && self.durable <= self.appended,
            "partition {}: checkpointed {} <= applied {} <= durable {} <= appended {}",
            self.id,
            self.checkpointed,
            self.applied,
            self.durable,
            self.appended
        );
    }

    /// The manifest of the partition as it stands, one generation on.
    pub(crate) fn next_manifest(&self, directory_id: u128) -> Manifest {
        Manifest {
            directory_id,
            partition: self.id,
            generation: self.generation + 1,
            checkpoint_index: self.checkpointed,
            next_ordinal: self.next_ordinal,
            segments: self.segments.iter().map(SegmentFile::manifest_entry).collect(),
            gaps: self.gaps.clone(),
        }
    }

    pub(crate) fn segment(&self, ordinal: u64) -> Option<&SegmentFile> {
        self.segments.iter().find(|segment| segment.ordinal == ordinal)
    }

    pub(crate) fn segment_mut(&mut self, ordinal: u64) -> Option<&mut SegmentFile> {
        self.segments.iter_mut().find(|segment| segment.ordinal == ordinal)
    }

    /// How many sequence numbers a stream whose newest record has `last_index` must skip, since lost
    /// records of this partition may have held them.
    pub(crate) fn numbers_to_skip(&self, last_index: LogIndex) -> u64 {
        let later = self.gaps.iter().filter(|gap| gap.from > last_index);
        later.map(|gap| gap.to.0 - gap.from.0 + 1).sum()
    }
}

impl SegmentFile {
    pub(crate) fn new(trailer: Trailer) -> SegmentFile {
        SegmentFile {
            ordinal: trailer.meta.ordinal,
            len: trailer.file_len,
            trailer,
            damaged: false,
            reads_fail: false,
        }
    }

    pub(crate) fn manifest_entry(&self) -> ManifestSegment {
        ManifestSegment {
            ordinal: self.ordinal,
            len: self.len,
            checksum: self.trailer.checksum,
            first_index: self.trailer.meta.first_index,
            last_index: self.trailer.meta.last_index,
        }
    }
}
