//! Segments as plans: what is written for a checkpoint, and what is read for a listener of the past.
//!
//! The write plan turns records in order of streams into chunks, footer and trailer, in pieces of a
//! mebibyte. The read plan finds a stream in a footer and takes its records out of the chunks.

use super::repeat;
use crate::specimens::{key, records};
use crate::{Case, Work};
use bytes::{Bytes, BytesMut};
use commitlog::{
    SegmentBuilder, SegmentMeta, SegmentPiece, StreamState, Trailer, chunk_records, decode_footer,
};
use std::hint::black_box;
use types::{Epoch, LogIndex, PartitionId, Record, SeqNum, StreamKey, Term, Timestamp};

/// Records of a segment.
const RECORDS: usize = 4096;
/// Bytes of a chunk and of a piece, as the engine has them.
const CHUNK_BYTES: usize = 64 * 1024;
const PIECE_BYTES: usize = 1 << 20;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "segment/write/1-stream",
        event: "event of 128 B, 4,096 of one stream",
        rounds: 8,
        prepare: || write(1),
    },
    Case {
        name: "segment/write/64-streams",
        event: "event of 128 B, 64 of each of 64 streams",
        rounds: 8,
        prepare: || write(64),
    },
    Case {
        name: "segment/write/4096-streams",
        event: "event of 128 B, each of another stream",
        rounds: 8,
        prepare: || write(RECORDS),
    },
    Case {
        name: "segment/read/footer",
        event: "stream of a footer of 4,096 streams",
        rounds: 8,
        prepare: || read_footer(RECORDS),
    },
    Case {
        name: "segment/read/records",
        event: "event of 128 B out of chunks, one stream of 64",
        rounds: 32,
        prepare: read_records,
    },
];

struct Streams {
    keys: Vec<StreamKey>,
    records: Vec<Record>,
}

impl Streams {
    fn new(count: usize) -> Streams {
        Streams { keys: (0..count).map(key).collect(), records: records((RECORDS / count) as u64) }
    }

    /// All pieces of the segment, taken as a checkpoint takes them.
    fn build(&self) -> (Vec<SegmentPiece>, Trailer) {
        let mut builder = SegmentBuilder::new(meta(), CHUNK_BYTES);
        let mut pieces = Vec::new();
        for key in &self.keys {
            builder.begin_stream(state(key, self.records.len() as u64));
            self.records.iter().for_each(|record| builder.push_record(record));
            pieces.extend(builder.take_output(PIECE_BYTES));
        }
        let (rest, summary) = builder.finish();
        pieces.extend(rest);
        (pieces, summary.trailer())
    }
}

fn meta() -> SegmentMeta {
    SegmentMeta {
        directory_id: 0xd1,
        partition: PartitionId(3),
        ordinal: 1,
        first_index: LogIndex(1),
        last_index: LogIndex(RECORDS as u64),
        term_first: Term(1),
        term_last: Term(1),
        replaces: None,
    }
}

fn state(key: &StreamKey, count: u64) -> StreamState {
    StreamState {
        key: key.clone(),
        epoch: Epoch(1),
        first: SeqNum(1),
        next: SeqNum(count + 1),
        last_time: Timestamp(1_700_000_000_000),
        last_index: LogIndex(RECORDS as u64),
        deleted: false,
        bytes: count * 160,
    }
}

fn write(stream_count: usize) -> Box<dyn Work> {
    repeat(
        Streams::new(stream_count),
        |_| {},
        |streams| {
            black_box(streams.build());
            RECORDS as u64
        },
    )
}

/// A segment's file and its trailer.
fn file(stream_count: usize) -> (Bytes, Trailer) {
    let (pieces, trailer) = Streams::new(stream_count).build();
    let mut file = BytesMut::new();
    pieces.iter().flat_map(|piece| &piece.parts).for_each(|part| file.extend_from_slice(part));
    (file.freeze(), trailer)
}

fn footer_of(file: &Bytes, trailer: &Trailer) -> Bytes {
    let at = |offset: u64| usize::try_from(offset).expect("a small file");
    file.slice(at(trailer.footer_offset)..at(trailer.footer_offset + trailer.footer_len))
}

fn read_footer(stream_count: usize) -> Box<dyn Work> {
    let (file, trailer) = file(stream_count);
    repeat(
        (footer_of(&file, &trailer), trailer),
        |_| {},
        |(footer, trailer)| {
            let footer = decode_footer(black_box(footer), trailer).expect("a sound footer");
            black_box(&footer).streams.len() as u64
        },
    )
}

fn read_records() -> Box<dyn Work> {
    let (file, trailer) = file(64);
    let footer = decode_footer(&footer_of(&file, &trailer), &trailer).expect("a sound footer");
    repeat(
        (file, footer, key(33)),
        |_| {},
        |(file, footer, key)| {
            let stream = footer.stream(key, Epoch(1)).expect("one of the streams");
            let mut count = 0;
            for run in stream.runs_from(SeqNum(1)) {
                let start = usize::try_from(run.chunk_offset).expect("a small file");
                let chunk = file.slice(start..start + run.chunk_len as usize);
                let address = meta().chunk_address(run.chunk_offset);
                let records = chunk_records(&chunk, &address, key, Epoch(1), run.first_seq, usize::MAX);
                count += black_box(records.expect("a sound chunk")).len();
            }
            count as u64
        },
    )
}
