//! Checksums, records, and the block group of a commit, from drafts to the bytes that are written.
//!
//! `journal/encode` is what a commit costs beside the engine's bookkeeping: records into a batch, the
//! batch sealed, the group's header and its checksums, and the gathering copy into the aligned buffer.
//! `journal/decode` is what recovery does with it.

use super::repeat;
use crate::specimens::{draft, key, payload};
use crate::{Case, Work};
use bytes::{Bytes, BytesMut};
use commitlog::{BatchBuilder, GroupHeader, GroupKind, checksum, checksum_of_parts};
use engine::WriteBody;
use std::hint::black_box;
use types::{
    Epoch, EventDraft, LogIndex, PartitionId, Record, SeqNum, ServerEpoch, ShardId, StreamKey, Term,
    Timestamp,
};

/// Events of a round.
const EVENTS: usize = 1024;
const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub(super) const CASES: &[Case] = &[
    Case { name: "checksum/128", event: "checksum of 128 B", rounds: 32, prepare: || sums(128) },
    Case { name: "checksum/4k", event: "checksum of 4 KiB", rounds: 32, prepare: || sums(4096) },
    Case { name: "checksum/64k", event: "checksum of 64 KiB", rounds: 8, prepare: || sums(64 * 1024) },
    Case { name: "record/draft", event: "draft of 128 B, its checksum", rounds: 32, prepare: drafts },
    Case {
        name: "record/encode",
        event: "record of 128 B into one buffer",
        rounds: 32,
        prepare: encode_records,
    },
    Case { name: "record/decode", event: "record of 128 B", rounds: 32, prepare: decode_records },
    Case {
        name: "journal/encode/1",
        event: "event of 128 B, 1 in a group",
        rounds: 16,
        prepare: || encode_groups(1),
    },
    Case {
        name: "journal/encode/16",
        event: "event of 128 B, 16 in a group",
        rounds: 16,
        prepare: || encode_groups(16),
    },
    Case {
        name: "journal/encode/64",
        event: "event of 128 B, 64 in a group",
        rounds: 16,
        prepare: || encode_groups(64),
    },
    Case { name: "journal/decode/64", event: "event of 128 B, 64 in a group", rounds: 16, prepare: decode },
];

fn sums(len: usize) -> Box<dyn Work> {
    repeat(
        vec![7_u8; len],
        |_| {},
        |bytes| {
            for _ in 0..64 {
                black_box(checksum(black_box(bytes)));
            }
            64
        },
    )
}

fn drafts() -> Box<dyn Work> {
    repeat(
        payload(),
        |_| {},
        |payload| {
            for _ in 0..EVENTS {
                black_box(EventDraft::json(payload.clone()));
            }
            EVENTS as u64
        },
    )
}

fn encode_records() -> Box<dyn Work> {
    let state = (draft(), BytesMut::with_capacity(EVENTS * 256));
    repeat(
        state,
        |(_, out)| out.clear(),
        |(draft, out)| {
            (1..=EVENTS as u64).for_each(|seq| Record::encode(out, draft, SeqNum(seq), NOW, None));
            EVENTS as u64
        },
    )
}

fn decode_records() -> Box<dyn Work> {
    let mut out = BytesMut::new();
    Record::encode(&mut out, &draft(), SeqNum(1), NOW, None);
    repeat(
        out.freeze(),
        |_| {},
        |bytes| {
            for _ in 0..EVENTS {
                black_box(Record::decode(black_box(bytes)).expect("a sound record"));
            }
            EVENTS as u64
        },
    )
}

struct Groups {
    draft: EventDraft,
    key: StreamKey,
    events_per_group: usize,
    /// What is written: aligned and used again in the shell.
    written: Vec<u8>,
}

fn encode_groups(events_per_group: usize) -> Box<dyn Work> {
    let state = Groups { draft: draft(), key: key(7), events_per_group, written: vec![0; 64 * 1024] };
    repeat(
        state,
        |_| {},
        |state| {
            for _ in 0..EVENTS / state.events_per_group {
                let body = encode_group(state);
                body.copy_to(&mut state.written[..body.padded_len]);
                black_box(&state.written);
            }
            EVENTS as u64
        },
    )
}

fn encode_group(state: &Groups) -> WriteBody {
    let mut builder = BatchBuilder::new(PartitionId(3), Term(1), LogIndex(1), NOW);
    let reference = builder.introduce();
    for at in 0..state.events_per_group as u64 {
        let introduced = (at == 0).then_some((&state.key, Epoch(1)));
        builder.push(reference, introduced, |out| {
            Record::encode(out, &state.draft, SeqNum(at + 1), NOW, None);
        });
    }
    let (batch, bytes) = builder.finish();
    let batches = [bytes];
    let (head, _) = header(batch.record_count, &batches).encode();
    let [bytes] = batches;
    WriteBody::new(vec![head, bytes])
}

fn header(record_count: u32, batches: &[Bytes]) -> GroupHeader {
    let body_len: usize = batches.iter().map(Bytes::len).sum();
    GroupHeader {
        kind: GroupKind::Commit,
        shard: ShardId(0),
        slots: 4,
        directory_id: 0xd1,
        generation: 1,
        offset: 4096,
        epoch: ServerEpoch(1),
        number: 2,
        durable_upto: 1,
        replay_from: 1,
        records_before: 0,
        previous_checksum: 7,
        body_len: u32::try_from(body_len).expect("a small group"),
        batch_count: u32::try_from(batches.len()).expect("a small group"),
        record_count,
        body_checksum: checksum_of_parts(batches),
    }
}

fn decode() -> Box<dyn Work> {
    let state = Groups { draft: draft(), key: key(7), events_per_group: 64, written: Vec::new() };
    let body = encode_group(&state);
    let mut block = vec![0; body.padded_len];
    body.copy_to(&mut block);
    repeat(
        Bytes::from(block),
        |_| {},
        |block| {
            for _ in 0..16 {
                let (header, _) = GroupHeader::decode(black_box(block)).expect("a sound header");
                black_box(header.decode_body(block).expect("a sound body"));
            }
            16 * 64
        },
    )
}
