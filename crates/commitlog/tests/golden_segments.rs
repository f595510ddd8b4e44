//! Golden files of records and segments, sound and broken, named by the fault.
//!
//! Each case is built here, compared byte for byte with `tests/golden/NAME`, read, and what was found
//! compared with the text beside it. `tests/golden/mod.rs` says how to write the files anew.

mod golden;

use bytes::{Bytes, BytesMut};
use commitlog::{
    BLOCK_BYTES, Footer, IdempotencyEntry, SegmentBuilder, SegmentMeta, StreamState, decode_chunk,
    decode_footer, decode_segment_header, decode_trailer, rebuild_footer,
};
use golden::{DIRECTORY_ID, changed, check, reseal};
use types::{
    Epoch, EventDraft, Idempotency, LogIndex, PartitionId, Record, SeqNum, StreamKey, Term, Timestamp,
};

const META: SegmentMeta = SegmentMeta {
    directory_id: DIRECTORY_ID,
    partition: PartitionId(17),
    ordinal: 42,
    first_index: LogIndex(1),
    last_index: LogIndex(70),
    term_first: Term(1),
    term_last: Term(1),
    replaces: Some((3, 5)),
};

/// As [`check`]: the sound lines, but for those that are given by number.
fn check_segment(name: &str, file: &[u8], faults: &[(usize, &str)]) {
    let mut found = [HEADER_SOUND, CHUNK0_SOUND, CHUNK1_SOUND, TRAILER_SOUND, FOOTER_SOUND, REBUILT_SOUND];
    faults.iter().for_each(|&(line, text)| found[line] = text);
    check(name, file, read_segment, &found.concat());
}

fn key(bucket: &str, stream: &str) -> StreamKey {
    StreamKey::parse(bucket, stream).expect("a name")
}

fn record(seq: u64, draft: &EventDraft, idempotency: Option<(&Idempotency, u32)>) -> Record {
    let mut out = BytesMut::new();
    Record::encode(&mut out, draft, SeqNum(seq), Timestamp(1_700_000_000_000 + seq), idempotency);
    Record::from_encoded(out.freeze())
}

fn full_record() -> Record {
    let mut draft = EventDraft::binary(Bytes::from_static(b"21.5 C"), Bytes::from_static(b"text/plain"));
    draft.parent = Some(Bytes::from_static(b"iot/house1/temp/6"));
    draft.traceparent = Some(Bytes::from_static(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    record(7, &draft, Some((&idempotency(), 2)))
}

fn idempotency() -> Idempotency {
    Idempotency { key: Bytes::from_static(b"retry-1"), digest: 0x1122_3344_5566_7788 }
}

#[test]
fn record_files_read_as_their_names_say() {
    let read = |bytes: &Bytes| match Record::decode(bytes) {
        Ok(record) => format!("{record:?}"),
        Err(error) => error.to_string(),
    };
    let sound = full_record().encoded().to_vec();
    check("record.sound.bin", &sound, read, "Record(7 @1700000000007 6 B)");
    let flipped = changed(&sound, |bytes| bytes[40] ^= 4);
    check("record.header-flipped.bin", &flipped, read, "record header fails its checksum");
    let flipped = changed(&sound, |bytes| *bytes.last_mut().expect("not empty") ^= 1);
    check("record.payload-flipped.bin", &flipped, read, "record payload fails its checksum");
}

fn state(key: StreamKey, epoch: u64, next: u64) -> StreamState {
    StreamState {
        key,
        epoch: Epoch(epoch),
        first: SeqNum(next.min(2)),
        next: SeqNum(next),
        last_time: Timestamp(1_700_000_000_000 + next - 1),
        last_index: LogIndex(60 + next),
        deleted: false,
        bytes: 4321,
    }
}

/// Three streams: one with a gap and a key, one deleted without records, one that fills two chunks.
fn segment() -> Vec<u8> {
    let mut builder = SegmentBuilder::new(META, BLOCK_BYTES);
    let json = |text: &'static str| EventDraft::json(Bytes::from_static(text.as_bytes()));
    builder.begin_stream(state(key("iot", "house1/temp"), 1, 9));
    for seq in [2, 3, 4] {
        builder.push_record(&record(seq, &json(r#"{"t":21.5}"#), None));
    }
    builder.push_record(&full_record());
    builder.push_record(&record(8, &json("null"), None));
    builder.begin_stream(StreamState {
        deleted: true,
        first: SeqNum(5),
        bytes: 0,
        ..state(key("iot", "old"), 3, 5)
    });
    builder.begin_stream(state(key("logs", "app"), 9, 41));
    for seq in 1..=40 {
        builder.push_record(&record(seq, &EventDraft::json(Bytes::from(vec![b'7'; 120])), None));
    }
    let entry = IdempotencyEntry {
        key: key("iot", "house1/temp"),
        epoch: Epoch(1),
        idempotency: idempotency(),
        first: SeqNum(7),
        count: 2,
        time: Timestamp(1_700_000_000_007),
    };
    builder.push_idempotency(entry);
    let (pieces, _) = builder.finish();
    pieces.iter().flat_map(|piece| piece.parts.iter().flatten().copied()).collect()
}

fn read_segment(file: &Bytes) -> String {
    let mut text = String::new();
    let mut line = |part: &str, found: Result<String, commitlog::FormatError>| {
        text += &format!("{part}: {}\n", found.unwrap_or_else(|error| error.to_string()));
    };
    let header = decode_segment_header(file).and_then(|meta| {
        meta.check_place(DIRECTORY_ID, PartitionId(17), 42).map(|()| format!("{:?}", meta.replaces))
    });
    line("header", header);
    for at in [4096, 8192] {
        let chunk = decode_chunk(&file.slice(at..), &META.chunk_address(at as u64));
        line("chunk", chunk.map(|runs| runs.iter().map(run_text).collect::<Vec<_>>().join(", ")));
    }
    let trailer = decode_trailer(&file[file.len() - BLOCK_BYTES..], file.len() as u64);
    let footer =
        trailer.clone().and_then(|found| decode_footer(&file[found.footer_offset as usize..], &found));
    line("trailer", trailer.map(|found| format!("footer at {}", found.footer_offset)));
    line("footer", footer.map(|footer| footer_text(&footer)));
    let (footer, damaged) = rebuild_footer(file, META);
    let damaged: Vec<String> =
        damaged.iter().map(|range| format!("{}+{}", range.offset, range.len)).collect();
    line("rebuilt", Ok(format!("{}; damaged {damaged:?}", footer_text(&footer))));
    text
}

fn run_text(run: &commitlog::ChunkRun) -> String {
    format!("{}@{} {}x{}", run.key, run.epoch, run.first_seq, run.records.len())
}

fn footer_text(footer: &Footer) -> String {
    let stream = |stream: &commitlog::FooterStream| {
        let runs = stream.runs.iter().map(|run| format!("{}-{}", run.first_seq, run.last_seq));
        format!("{} {}", stream.state.key, runs.collect::<Vec<_>>().join("+"))
    };
    let streams: Vec<String> = footer.streams.iter().map(stream).collect();
    format!("{}; {} key", streams.join(", "), footer.idempotency.len())
}

const HEADER_SOUND: &str = "header: Some((3, 5))\n";
const CHUNK0_SOUND: &str = "chunk: iot/house1/temp@1 2x3, iot/house1/temp@1 7x2, logs/app@9 1x23\n";
const CHUNK1_SOUND: &str = "chunk: logs/app@9 24x17\n";
const TRAILER_SOUND: &str = "trailer: footer at 12288\n";
const FOOTER_SOUND: &str = "footer: iot/house1/temp 2-4+7-8, iot/old , logs/app 1-23+24-40; 1 key\n";
const REBUILT_SOUND: &str = "rebuilt: iot/house1/temp 2-4+7-8, logs/app 1-23+24-40; 1 key; damaged []\n";

#[test]
fn segment_files_read_as_their_names_say() {
    let sound = segment();
    check_segment("segment.sound.seg", &sound, &[]);
    let padding = changed(&sound, |file| [4095, 12287, 16383, 20479].into_iter().for_each(|at| file[at] = 1));
    check_segment("segment.padding-flipped.seg", &padding, &[]);

    let other = changed(&sound, |file| {
        file[24] ^= 0xff;
        reseal(file);
    });
    let text = "header: segment header belongs elsewhere: it is of data directory \
                00112233445566778899aabbccddee00, this one is 00112233445566778899aabbccddeeff\n";
    check_segment("segment.header-of-other-directory.seg", &other, &[(0, text)]);

    let flipped = changed(&sound, |file| file[5000] ^= 0x10);
    let chunk = "chunk: segment chunk fails its checksum: its content has be8ec5dc, the file says 45576304\n";
    let rebuilt = "rebuilt: logs/app 24-40; 0 key; damaged [\"4096+4096\"]\n";
    check_segment("segment.chunk-content-flipped.seg", &flipped, &[(1, chunk), (5, rebuilt)]);

    let flipped = changed(&sound, |file| file[8192 + 60] ^= 1);
    let chunk = "chunk: segment chunk fails its checksum: its header has 5626f2a2, the file says cd83becd\n";
    let rebuilt = "rebuilt: iot/house1/temp 2-4+7-8, logs/app 1-23; 1 key; damaged [\"8192+4096\"]\n";
    check_segment("segment.chunk-header-flipped.seg", &flipped, &[(2, chunk), (5, rebuilt)]);

    let swapped = changed(&sound, |file| {
        let (first, second) = file[4096..12288].split_at_mut(4096);
        first.swap_with_slice(second);
    });
    let first = "chunk: segment chunk belongs elsewhere: it was written for offset 8192, found at 4096\n";
    let second = "chunk: segment chunk belongs elsewhere: it was written for offset 4096, found at 8192\n";
    let rebuilt = "rebuilt: ; 0 key; damaged [\"4096+8192\"]\n";
    check_segment("segment.chunks-swapped.seg", &swapped, &[(1, first), (2, second), (5, rebuilt)]);
}

#[test]
fn segment_files_with_a_bad_end_read_as_their_names_say() {
    let sound = segment();
    let flipped = changed(&sound, |file| file[12288 + 200] ^= 1);
    let footer =
        "footer: segment footer fails its checksum: its content has eb7e7cbb, the file says 95d0ad99\n";
    check_segment("segment.footer-flipped.seg", &flipped, &[(4, footer)]);

    let cut = &sound[..sound.len() - BLOCK_BYTES];
    let no_trailer = "trailer: no segment trailer here: it begins with \"MR.SEG.F\"\n";
    let no_footer = "footer: no segment trailer here: it begins with \"MR.SEG.F\"\n";
    check_segment("segment.trailer-cut-off.seg", cut, &[(3, no_trailer), (4, no_footer)]);

    let newer = changed(&sound, |file| {
        let at = file.len() - BLOCK_BYTES;
        file[at + 12] = 2;
        reseal(&mut file[at..]);
    });
    let no_trailer = "trailer: segment trailer has format version 2, this build knows version 1\n";
    let no_footer = "footer: segment trailer has format version 2, this build knows version 1\n";
    check_segment("segment.trailer-of-newer-version.seg", &newer, &[(3, no_trailer), (4, no_footer)]);
}
