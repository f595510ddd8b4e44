//! The laws of a segment, over generated ones. Here: what they are made of, how they are built and read.
//!
//! A generated segment has up to twelve streams with gaps between their records, some of them empty,
//! some records larger than a chunk, some with idempotency keys.

mod rebuild;
mod rot;
mod sound;

use super::*;
use crate::frame::tests::{covered_len, reseal};
use crate::{BLOCK_BYTES, FormatError, checksum};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeMap;
use types::{
    Epoch, EventDraft, Idempotency, LogIndex, PartitionId, Record, SeqNum, StreamKey, Term, Timestamp,
};

const META: SegmentMeta = SegmentMeta {
    directory_id: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
    partition: PartitionId(17),
    ordinal: 42,
    first_index: LogIndex(100),
    last_index: LogIndex(900),
    term_first: Term(1),
    term_last: Term(2),
    replaces: Some((7, 9)),
};

/// What a segment is built from.
#[derive(Clone, Debug)]
struct Content {
    streams: Vec<(StreamState, Vec<Record>)>,
    chunk_bytes_max: usize,
}

/// A built segment.
struct Built {
    file: Bytes,
    summary: SegmentSummary,
}

fn record(seq: u64, payload_len: usize, key: Option<u64>) -> Record {
    let mut out = BytesMut::new();
    let payload: Vec<u8> = (0..payload_len).map(|at| (at as u64 * 31 + seq) as u8).collect();
    let draft = EventDraft::json(Bytes::from(payload));
    let key = key.map(|digest| Idempotency { key: Bytes::from(digest.to_string()), digest });
    Record::encode(&mut out, &draft, SeqNum(seq), Timestamp(1000 + seq), key.as_ref().map(|key| (key, 1)));
    Record::from_encoded(out.freeze())
}

/// Records with gaps: each is (steps from the one before, payload length, idempotency).
fn stream(
    name: (u8, u8, u8),
    first: u32,
    steps: Vec<(u64, usize, Option<u64>)>,
) -> (StreamState, Vec<Record>) {
    let (bucket, stream, epoch) = name;
    let mut seq = u64::from(first);
    let mut records = Vec::new();
    for (step, payload_len, key) in steps {
        seq += step;
        records.push(record(seq, payload_len, key));
    }
    let state = StreamState {
        key: StreamKey::parse(&format!("b{bucket}"), &format!("s/{stream}")).expect("a name"),
        epoch: Epoch(u64::from(epoch)),
        first: SeqNum(u64::from(first)),
        next: SeqNum(seq + 1),
        last_time: Timestamp(1000 + seq),
        last_index: LogIndex(seq + 100),
        deleted: records.is_empty(),
        bytes: records.iter().map(|record| record.encoded().len() as u64).sum(),
    };
    (state, records)
}

fn content() -> impl Strategy<Value = Content> {
    let step = (
        prop_oneof![9 => Just(1_u64), 1 => 2_u64..9],
        prop_oneof![9 => 0_usize..300, 1 => 0_usize..9000],
        proptest::option::weighted(0.1, any::<u64>()),
    );
    let names = (0_u8..3, 0_u8..12, 0_u8..3);
    let streams = (1_u32..1000, proptest::collection::vec(step, 0..60));
    let all = proptest::collection::btree_map(names, streams, 0..12);
    (all, 1_usize..5).prop_map(|(all, blocks)| {
        let made = all.into_iter().map(|(name, (first, steps))| stream(name, first, steps));
        let sorted: BTreeMap<_, _> =
            made.map(|(state, records)| ((state.key.clone(), state.epoch), (state, records))).collect();
        Content { streams: sorted.into_values().collect(), chunk_bytes_max: blocks * BLOCK_BYTES }
    })
}

/// Contents with at least one record.
fn filled() -> impl Strategy<Value = Content> {
    content()
        .prop_filter("has a record", |content| content.streams.iter().any(|(_, records)| !records.is_empty()))
}

fn entries(content: &Content) -> Vec<IdempotencyEntry> {
    let mut entries = Vec::new();
    for (state, records) in &content.streams {
        for record in records {
            if let Some((idempotency, count)) = record.idempotency() {
                let (key, epoch) = (state.key.clone(), state.epoch);
                let (first, time) = (record.seq(), record.time());
                entries.push(IdempotencyEntry { key, epoch, idempotency, first, count, time });
            }
        }
    }
    entries
}

/// Builds the segment and takes its bytes whenever `take_bytes` are ready.
fn build(content: &Content, take_bytes: usize) -> Built {
    let mut builder = SegmentBuilder::new(META, content.chunk_bytes_max);
    let mut pieces = Vec::new();
    for (state, records) in &content.streams {
        builder.begin_stream(state.clone());
        for record in records {
            builder.push_record(record);
            let taken = builder.take_output(take_bytes);
            assert!(builder.output_len() < take_bytes.max(1), "what is ready can be taken");
            pieces.extend(taken);
        }
    }
    for entry in entries(content) {
        builder.push_idempotency(entry);
    }
    let (rest, summary) = builder.finish();
    pieces.extend(rest);
    let mut file = BytesMut::new();
    for piece in pieces {
        assert_eq!(piece.offset, file.len() as u64, "pieces come in file order without holes");
        assert!(piece.padded_len.is_multiple_of(BLOCK_BYTES) && piece.padded_len > 0);
        piece.parts.iter().for_each(|part| file.extend_from_slice(part));
        assert_eq!(piece.offset as usize + piece.padded_len, file.len(), "a piece is as long as its parts");
    }
    assert_eq!(file.len() as u64, summary.len);
    Built { file: file.freeze(), summary }
}

impl Built {
    fn trailer(&self) -> Trailer {
        decode_trailer(&self.file[self.file.len() - BLOCK_BYTES..], self.file.len() as u64).expect("sound")
    }

    fn footer(&self) -> Footer {
        decode_footer(&self.file[self.summary.footer_offset as usize..], &self.trailer()).expect("sound")
    }

    /// Offset and length of every chunk.
    fn chunks(&self) -> Vec<(usize, usize)> {
        let mut chunks = Vec::new();
        let mut at = BLOCK_BYTES;
        while (at as u64) < self.summary.footer_offset {
            let header =
                decode_chunk_header(&self.file[at..], &META.chunk_address(at as u64)).expect("sound");
            chunks.push((at, header.padded_len as usize));
            at += header.padded_len as usize;
        }
        chunks
    }

    fn content_len(&self, at: usize) -> usize {
        let header = decode_chunk_header(&self.file[at..], &META.chunk_address(at as u64)).expect("sound");
        CHUNK_HEADER_BYTES + header.content_len as usize
    }
}

fn flip(bytes: &mut [u8], bit: usize) {
    bytes[bit / 8] ^= 1 << (bit % 8);
}

fn one_stream(name: (u8, u8, u8), count: usize) -> Content {
    let streams = vec![stream(name, 1, vec![(1, 100, None); count])];
    Content { streams, chunk_bytes_max: BLOCK_BYTES }
}
