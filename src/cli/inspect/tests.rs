//! Laws of `inspect`, over a directory that the formats' own encoders wrote.
//!
//! Each test plants a directory of its own, damages one thing, and checks what is told, what is salvaged,
//! and that nothing was changed.

use super::super::args::InspectArgs;
use super::super::error::{CliError, Exit};
use super::inspect;
use bytes::{Bytes, BytesMut};
use commitlog::{
    BLOCK_BYTES, BatchBody, BatchBuilder, BatchHeader, DIRECTORY_FORMAT, EpochMark, GroupHeader, GroupKind,
    Identity, Manifest, ManifestSegment, SegmentBuilder, SegmentMeta, ShardMark, StreamState, checksum,
    encode_change,
};
use engine::FileId;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use types::{
    Epoch, EventDraft, LogIndex, PartitionId, Record, SeqNum, ServerEpoch, ShardId, StreamKey, Term,
    Timestamp,
};

const DIRECTORY_ID: u128 = 0xfeed;
const SEGMENT: FileId = FileId::Segment { partition: PartitionId(0), ordinal: 1 };
const JOURNAL: FileId = FileId::Journal { shard: ShardId(0), slot: 0 };

/// A data directory in the temporary directory, removed at the end.
struct Planted(PathBuf);

impl Drop for Planted {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Planted {
    /// Stream b/x: events 1 to 20 in a segment, 21 and 22 in the journal; b/y: 1 and 2 in the journal;
    /// b/gone: deleted.
    fn new() -> Planted {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("millrace-inspect-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let planted = Planted(std::env::temp_dir().join(name));
        planted.put(FileId::Identity, &identity());
        let mark = mark().encode();
        planted.put(FileId::Epoch, &[vec![0; BLOCK_BYTES], mark.to_vec()].concat());
        let (segment, manifest) = segment();
        planted.put(SEGMENT, &segment);
        planted.put(FileId::Manifest { partition: PartitionId(0), slot: 1 }, &manifest);
        planted.put(JOURNAL, &journal());
        planted
    }

    fn put(&self, file: FileId, bytes: &[u8]) {
        let path = self.0.join(file.to_string());
        std::fs::create_dir_all(path.parent().expect("inside the directory")).expect("it can be made");
        std::fs::write(path, bytes).expect("it can be written");
    }

    fn get(&self, file: FileId) -> Vec<u8> {
        std::fs::read(self.0.join(file.to_string())).expect("it was planted")
    }

    /// Flips a bit of the first place that holds `text`.
    fn flip(&self, file: FileId, text: &str) {
        let mut bytes = self.get(file);
        let found = bytes.windows(text.len()).position(|part| part == text.as_bytes());
        bytes[found.expect("the text is there")] ^= 1;
        self.put(file, &bytes);
    }

    fn inspect(&self, salvage: Option<&Path>, is_json: bool) -> (String, Result<(), CliError>) {
        let args = InspectArgs {
            directory: self.0.clone(),
            salvage: salvage.map(Path::to_owned),
            verbose: true,
            json: is_json,
        };
        let mut out = Vec::new();
        let result = inspect(&args, &mut out);
        (String::from_utf8(out).expect("text"), result)
    }

    /// What was salvaged: `stream id` by line.
    fn salvage(&self) -> Vec<String> {
        let out = self.0.join("out");
        let _ = self.inspect(Some(&out), false);
        let text = std::fs::read_to_string(out.join("events.jsonl")).expect("it was written");
        let event = |line: &str| {
            let item: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
            let meta = &item["meta"];
            assert_eq!(
                item["data"]["n"],
                format!("{}-{}", meta["stream"].as_str().expect("text"), meta["id"])
            );
            format!("{} {}", meta["stream"].as_str().expect("text"), meta["id"])
        };
        text.lines().map(event).collect()
    }
}

fn identity() -> Bytes {
    Identity {
        format: DIRECTORY_FORMAT,
        incompatible_features: 0,
        directory_id: DIRECTORY_ID,
        node_id: 1,
        cluster_id: 0,
        partition_count: 2,
        hash_name: "h".to_owned(),
        created: Timestamp(1),
        writer_version: "0.1.0".to_owned(),
    }
    .encode()
}

fn mark() -> EpochMark {
    let shards = vec![ShardMark { durable: 1, replay_from: 1, slots: 1 }];
    EpochMark {
        directory_id: DIRECTORY_ID,
        generation: 1,
        epoch: ServerEpoch(1),
        shard_count: 1,
        clean: false,
        shards,
    }
}

fn key(stream: &str) -> StreamKey {
    StreamKey::parse("b", stream).expect("a name")
}

fn encode(out: &mut BytesMut, stream: &str, seq: u64) {
    let payload = format!("{{\"n\":\"{stream}-{seq}\", \"filler\":\"{}\"}}", "f".repeat(700));
    Record::encode(out, &EventDraft::json(Bytes::from(payload)), SeqNum(seq), Timestamp(seq), None);
}

fn record(stream: &str, seq: u64) -> Record {
    let mut out = BytesMut::new();
    encode(&mut out, stream, seq);
    Record::from_encoded(out.freeze())
}

/// The segment's bytes and the manifest that names it.
fn segment() -> (Vec<u8>, Bytes) {
    let meta = SegmentMeta {
        directory_id: DIRECTORY_ID,
        partition: PartitionId(0),
        ordinal: 1,
        first_index: LogIndex(1),
        last_index: LogIndex(20),
        term_first: Term(1),
        term_last: Term(1),
        replaces: None,
    };
    let mut builder = SegmentBuilder::new(meta, BLOCK_BYTES);
    builder.begin_stream(StreamState {
        key: key("x"),
        epoch: Epoch(1),
        first: SeqNum(1),
        next: SeqNum(21),
        last_time: Timestamp(20),
        last_index: LogIndex(20),
        deleted: false,
        bytes: 0,
    });
    (1..=20).for_each(|seq| builder.push_record(&record("x", seq)));
    let (pieces, summary) = builder.finish();
    let bytes = pieces.iter().flat_map(|piece| &piece.parts).flat_map(|part| part.to_vec()).collect();
    let named = ManifestSegment {
        ordinal: 1,
        len: summary.len,
        checksum: summary.checksum,
        first_index: LogIndex(1),
        last_index: LogIndex(20),
    };
    let manifest = Manifest {
        directory_id: DIRECTORY_ID,
        partition: PartitionId(0),
        generation: 1,
        checkpoint_index: LogIndex(20),
        next_ordinal: 2,
        segments: vec![named],
        gaps: Vec::new(),
    };
    (bytes, manifest.encode())
}

fn events(partition: u16, stream: &str, first_index: u64, seqs: [u64; 2]) -> Bytes {
    let mut builder = BatchBuilder::new(PartitionId(partition), Term(1), LogIndex(first_index), Timestamp(1));
    let reference = builder.introduce();
    for seq in seqs {
        let introduced = (seq == seqs[0]).then(|| key(stream));
        let introduced = introduced.as_ref().map(|key| (key, Epoch(1)));
        builder.push(reference, introduced, |out| encode(out, stream, seq));
    }
    builder.finish().1
}

/// Two groups of two batches each, and an idle marker that proves them.
fn journal() -> Vec<u8> {
    let deletion = BatchHeader {
        partition: PartitionId(1),
        term: Term(1),
        first_index: LogIndex(5),
        record_count: 1,
        leader_time: Timestamp(1),
    };
    let deletion = encode_change(&deletion, &BatchBody::Delete { key: key("gone"), epoch: Epoch(1) });
    let bodies = [
        (GroupKind::Commit, vec![events(0, "x", 21, [21, 22]), events(1, "y", 1, [1, 2])], 4),
        (GroupKind::Commit, vec![events(1, "gone", 3, [1, 2]), deletion], 3),
        (GroupKind::IdleMarker, Vec::new(), 0),
    ];
    let (mut out, mut previous, mut records) = (Vec::new(), 0, 0);
    for (number, (kind, batches, count)) in (1_u64..).zip(bodies) {
        let body: Vec<u8> = batches.concat();
        let header = GroupHeader {
            kind,
            shard: ShardId(0),
            slots: 1,
            directory_id: DIRECTORY_ID,
            generation: 1,
            offset: out.len() as u64,
            epoch: ServerEpoch(1),
            number,
            durable_upto: number - 1,
            replay_from: 1,
            records_before: records,
            previous_checksum: previous,
            body_len: u32::try_from(body.len()).expect("small"),
            batch_count: u32::try_from(batches.len()).expect("small"),
            record_count: count,
            body_checksum: checksum(&body),
        };
        let (bytes, sum) = header.encode();
        out.extend_from_slice(&bytes);
        out.extend_from_slice(&body);
        out.resize(out.len().next_multiple_of(BLOCK_BYTES), 0);
        (previous, records) = (sum, records + u64::from(count));
    }
    out.resize(16 * BLOCK_BYTES, 0);
    out
}

fn x(ids: impl IntoIterator<Item = u64>) -> Vec<String> {
    ids.into_iter().map(|id| format!("x {id}")).collect()
}

#[test]
fn a_sound_directory_is_told_file_by_file_and_is_not_changed() {
    let planted = Planted::new();
    let files = [FileId::Identity, FileId::Epoch, SEGMENT, JOURNAL];
    let before = files.map(|file| planted.get(file));
    let (text, result) = planted.inspect(None, false);
    assert_eq!(result, Ok(()), "{text}");
    for expected in [
        "format 1, directory 0000000000000000000000000000feed, 2 partitions",
        "life 1 of the server, did not end cleanly",
        "generation 1, up to index 20, 1 segments",
        "log indexes 1 to 20, 4 chunks, 20 records",
        "3 groups, numbers 1 to 3",
        "batch of partition 1, log indexes 5 to 5, deletion of b/gone",
        "5 files, 26 records: sound",
    ] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
    assert_eq!(files.map(|file| planted.get(file)), before);
}

#[test]
fn a_flipped_bit_in_a_segment_names_the_chunk_and_its_events() {
    let planted = Planted::new();
    planted.flip(SEGMENT, "x-7");
    let (text, result) = planted.inspect(None, false);
    assert_eq!(result.expect_err("damaged").exit, Exit::Refused);
    let expected = "damage partitions/0000/0000000001.seg at offset 8192, 4096 bytes, partition 0, \
                    b/x events 6 to 10: ";
    assert!(text.contains(expected), "{text}");
    assert!(text.ends_with("5 files, 21 records: 1 damaged\n"), "{text}");
    assert_eq!(planted.salvage()[..], [x((1..=5).chain(11..=22)), vec!["y 1".into(), "y 2".into()]].concat());
}

#[test]
fn a_flipped_bit_in_a_proved_group_names_the_batch_and_its_events() {
    let planted = Planted::new();
    planted.flip(JOURNAL, "y-1");
    let (text, result) = planted.inspect(None, true);
    assert_eq!(result.expect_err("damaged").exit, Exit::Refused);
    let damage = text.lines().find(|line| line.contains("\"damage\":{")).expect("damage is told");
    let damage: serde_json::Value = serde_json::from_str(damage).expect("JSON");
    let damage = &damage["damage"];
    assert_eq!((&damage["file"], &damage["partition"]), (&"journal/00/000.jnl".into(), &1.into()));
    let stream = &damage["streams"][0];
    assert_eq!((&stream["bucket"], &stream["stream"]), (&"b".into(), &"y".into()));
    assert_eq!((&stream["from"], &stream["to"]), (&1.into(), &2.into()));
    assert!(damage["what"].as_str().is_some_and(|what| what.starts_with("batch of group 1: ")), "{damage}");
    let offset = damage["offset"].as_u64().expect("a number");
    assert_eq!(&planted.get(JOURNAL)[offset as usize + 8..][..4], [1, 1, 1, 0], "the batch starts there");
}

#[test]
fn a_group_that_nothing_proves_is_a_torn_tail_and_no_damage() {
    let planted = Planted::new();
    let mut journal = planted.get(JOURNAL);
    let marker = journal.chunks(BLOCK_BYTES).rposition(|block| block.starts_with(b"MRGROUP1"));
    journal[marker.expect("a marker") * BLOCK_BYTES..].fill(0);
    planted.put(JOURNAL, &journal);
    planted.flip(JOURNAL, "gone-1");
    let (text, result) = planted.inspect(None, false);
    assert_eq!(result, Ok(()), "{text}");
    assert!(text.contains("group 2 at offset 4096 is cut off: it was never acknowledged"), "{text}");
}

#[test]
fn everything_sound_is_salvaged_once_in_order_without_what_was_deleted() {
    let planted = Planted::new();
    assert_eq!(planted.salvage(), [x(1..=22), vec!["y 1".into(), "y 2".into()]].concat());
}

#[test]
fn a_lost_footer_or_trailer_or_manifest_loses_no_event() {
    for lost in ["footer", "trailer", "header", "manifest", "identity", "epoch"] {
        let planted = Planted::new();
        let mut segment = planted.get(SEGMENT);
        let len = segment.len();
        match lost {
            "footer" => segment[len - 2 * BLOCK_BYTES + 100] ^= 1,
            "trailer" => segment[len - BLOCK_BYTES + 20] ^= 1,
            "header" => segment[20] ^= 1,
            "manifest" => planted.put(FileId::Manifest { partition: PartitionId(0), slot: 1 }, b"rot"),
            "identity" => planted.put(FileId::Identity, b"rot"),
            _ => planted.put(FileId::Epoch, b"rot"),
        }
        planted.put(SEGMENT, &segment);
        let (text, result) = planted.inspect(None, false);
        let is_noted_only = lost == "manifest";
        assert_eq!(result.is_ok(), is_noted_only, "{lost}: {text}");
        assert_eq!(planted.salvage()[..22], x(1..=22), "{lost}: {text}");
    }
}

#[test]
fn a_missing_segment_and_a_journal_that_would_be_refused_are_damage() {
    let planted = Planted::new();
    std::fs::remove_file(planted.0.join(SEGMENT.to_string())).expect("it was planted");
    std::fs::remove_file(planted.0.join(JOURNAL.to_string())).expect("it was planted");
    let (text, result) = planted.inspect(None, false);
    assert!(result.is_err());
    assert!(text.contains("0000000001.seg at offset 0, partition 0: the file is missing"), "{text}");
    assert!(text.contains("journal file 000.jnl is missing; a server refuses to start"), "{text}");
}

#[test]
fn what_is_no_data_directory_and_an_output_that_exists_are_usage_errors() {
    let planted = Planted::new();
    let error = planted.inspect(Some(&planted.0), false).1.expect_err("it is there");
    assert_eq!(error.exit, Exit::Usage);
    let empty = Planted(planted.0.join("empty"));
    std::fs::create_dir(&empty.0).expect("it can be made");
    assert_eq!(empty.inspect(None, false).1.expect_err("nothing is in it").exit, Exit::Usage);
    let absent = Planted(planted.0.join("absent"));
    assert_eq!(absent.inspect(None, false).1.expect_err("it is not there").exit, Exit::Io);
}
