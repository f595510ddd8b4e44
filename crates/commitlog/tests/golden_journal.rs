//! Golden journals: their bytes never change by accident, and each broken one is judged as its name says.
//!
//! A journal of three groups (a commit, an idle marker, a commit with two batches) in one file of eight
//! blocks, and the same with one fault each. Written anew with
//! `MILLRACE_BLESS=1 cargo test -p commitlog --test golden_journal`.

#[allow(dead_code, reason = "each golden test uses a part")]
#[path = "golden/mod.rs"]
mod golden;

use bytes::Bytes;
use commitlog::{
    BLOCK_BYTES, BatchBody, BatchBuilder, BatchHeader, FileScan, GroupHeader, GroupKind, JournalFile,
    JournalMark, Rules, Verdict, checksum_of_parts, encode_change, judge,
};
use golden::{DIRECTORY_ID, changed, check};
use types::{
    Epoch, EventDraft, Idempotency, LogIndex, PartitionId, Record, SeqNum, ServerEpoch, ShardId, StreamKey,
    Term, Timestamp,
};

fn events(partition: u16, first_index: u64, first_seq: u64, payloads: &[&'static str]) -> Bytes {
    let key = StreamKey::parse("iot", "house1/temp").expect("a valid name");
    let mut builder = BatchBuilder::new(
        PartitionId(partition),
        Term(1),
        LogIndex(first_index),
        Timestamp(1_700_000_000_000),
    );
    let reference = builder.introduce();
    for (n, payload) in (0_u64..).zip(payloads) {
        let draft = EventDraft::json(Bytes::from_static(payload.as_bytes()));
        let retry = Idempotency { key: Bytes::from_static(b"key-1"), digest: 42 };
        let introduced = (n == 0).then_some((&key, Epoch(first_index)));
        builder.push(reference, introduced, |out| {
            let with_key = (n == 0).then_some((&retry, payloads.len() as u32));
            Record::encode(out, &draft, SeqNum(first_seq + n), Timestamp(1_700_000_000_001), with_key);
        });
    }
    builder.finish().1
}

fn trim() -> Bytes {
    let header = BatchHeader {
        partition: PartitionId(9),
        term: Term(1),
        first_index: LogIndex(1),
        record_count: 1,
        leader_time: Timestamp(1_700_000_000_002),
    };
    let key = StreamKey::parse("b", "s").expect("a valid name");
    encode_change(&header, &BatchBody::Trim { key, epoch: Epoch(1), before: SeqNum(7) })
}

/// Three groups in a file of eight blocks.
fn journal() -> Vec<u8> {
    let mut file = vec![0; 8 * BLOCK_BYTES];
    let mut previous = 0;
    let groups: [(GroupKind, Vec<Bytes>, u32); 3] = [
        (GroupKind::Commit, vec![events(5, 1, 1, &["{\"t\":20.5}", "{\"t\":20.6}"])], 2),
        (GroupKind::IdleMarker, Vec::new(), 0),
        (GroupKind::Commit, vec![events(5, 3, 3, &["{\"t\":20.7}"]), trim()], 2),
    ];
    let mut records_before = 0;
    for ((at, (kind, batches, records)), number) in groups.into_iter().enumerate().zip(1_u64..) {
        let offset = at * BLOCK_BYTES;
        let header = GroupHeader {
            kind,
            shard: ShardId(0),
            slots: 1,
            directory_id: DIRECTORY_ID,
            generation: 1,
            offset: offset as u64,
            epoch: ServerEpoch(1),
            number,
            durable_upto: number - 1,
            replay_from: 1,
            records_before,
            previous_checksum: previous,
            body_len: batches.iter().map(Bytes::len).sum::<usize>() as u32,
            batch_count: batches.len() as u32,
            record_count: records,
            body_checksum: checksum_of_parts(&batches),
        };
        let (head, sum) = header.encode();
        previous = sum;
        records_before += u64::from(records);
        let parts = std::iter::once(head).chain(batches);
        let body: Vec<u8> = parts.flat_map(|part| part.to_vec()).collect();
        file[offset..offset + body.len()].copy_from_slice(&body);
    }
    file
}

fn verdict(bytes: &Bytes) -> Result<Verdict, String> {
    verdict_with(bytes, JournalMark { epoch: ServerEpoch(1), replay_from: 1, ..JournalMark::default() })
}

fn verdict_with(bytes: &Bytes, mark: JournalMark) -> Result<Verdict, String> {
    let file = JournalFile { shard: ShardId(0), slot: 0, bytes: bytes.clone(), unreadable: Vec::new() };
    let scans: Vec<(u16, FileScan)> = vec![(0, file.scan(DIRECTORY_ID))];
    let place = |_, offset| file.place(offset);
    judge(&scans, mark, Rules::default(), &place).map_err(|refusal| refusal.to_string())
}

/// A verdict in one line.
fn line(result: Result<Verdict, String>) -> String {
    match result {
        Err(text) => format!("refused: {text}"),
        Ok(verdict) => {
            let numbers: Vec<u64> = verdict.accepted.iter().map(|group| group.number).collect();
            let lost: Vec<_> = verdict.lost.iter().map(|l| (l.first, l.last, l.records_max)).collect();
            let cut = verdict.cut.map(|cut| (cut.number, cut.offset));
            let next = verdict.tail.next_number;
            format!("accepted {numbers:?} lost {lost:?} cut {cut:?} next {next}")
        }
    }
}

fn judged(bytes: &Bytes) -> String {
    line(verdict(bytes))
}

fn flipped(at: usize) -> Vec<u8> {
    changed(&journal(), |bytes| bytes[at] ^= 1)
}

#[test]
fn a_sound_journal_is_replayed_whole() {
    check("journal.sound.jnl", &journal(), judged, "accepted [1, 2, 3] lost [] cut None next 4");
}

#[test]
fn a_broken_journal_is_judged_as_its_name_says() {
    check(
        "journal.last-group-body-torn.jnl",
        &flipped(2 * BLOCK_BYTES + 200),
        judged,
        "accepted [1, 2] lost [] cut Some((3, 8192)) next 3",
    );
    check(
        "journal.last-group-header-torn.jnl",
        &flipped(2 * BLOCK_BYTES + 20),
        judged,
        "accepted [1, 2] lost [] cut Some((3, 8192)) next 3",
    );
    check(
        "journal.proved-body-rotten.jnl",
        &flipped(200),
        judged,
        "accepted [2, 3] lost [(1, 1, 2)] cut None next 4",
    );
    check(
        "journal.proved-header-rotten.jnl",
        &flipped(60),
        judged,
        "accepted [2, 3] lost [(1, 1, 2)] cut None next 4",
    );
    check(
        "journal.marker-zeroed.jnl",
        &changed(&journal(), |bytes| bytes[BLOCK_BYTES..2 * BLOCK_BYTES].fill(0)),
        judged,
        "accepted [1, 3] lost [(2, 2, 0)] cut None next 4",
    );
    check(
        "journal.group-misdirected.jnl",
        &changed(&journal(), |bytes| {
            let group = bytes[..BLOCK_BYTES].to_vec();
            bytes[5 * BLOCK_BYTES..6 * BLOCK_BYTES].copy_from_slice(&group);
            bytes[..BLOCK_BYTES].fill(0);
        }),
        judged,
        "refused: group 1 lies in journal file 000.jnl at offset 20480, which is not its own place",
    );
    check(
        "journal.of-other-directory.jnl",
        &changed(&journal(), |bytes| {
            let (mut header, _) = GroupHeader::decode(bytes).expect("sound");
            header.directory_id ^= 1;
            bytes[..commitlog::GROUP_HEADER_BYTES].copy_from_slice(&header.encode().0);
        }),
        judged,
        "refused: journal file 000.jnl holds a group of another data directory at offset 0",
    );
}

#[test]
fn what_the_epoch_file_knows_counts_as_proof() {
    let mark = |durable, slots| JournalMark { durable, replay_from: 1, slots, epoch: ServerEpoch(1) };
    let torn = Bytes::from(flipped(2 * BLOCK_BYTES + 200));
    assert_eq!(line(verdict_with(&torn, mark(3, 1))), "accepted [1, 2] lost [(3, 3, 2)] cut None next 4");
    let headless = Bytes::from(flipped(2 * BLOCK_BYTES + 20));
    let found = line(verdict_with(&headless, mark(3, 1)));
    assert!(found.starts_with("accepted [1, 2] lost [(3, 3, "), "{found}");
    let sound = Bytes::from(journal());
    assert_eq!(
        line(verdict_with(&sound, mark(9, 1))),
        "refused: groups up to 9 were durable but nothing is left of group 4: the disk lost flushed writes, \
         or files are missing or mixed"
    );
    assert_eq!(line(verdict_with(&sound, mark(3, 2))), "refused: journal file 001.jnl is missing");
    let older = JournalMark { epoch: ServerEpoch(0), replay_from: 1, ..JournalMark::default() };
    assert_eq!(
        line(verdict_with(&sound, older)),
        "refused: the EPOCH file knows life 0 of the server, the journal was written in life 1"
    );
}

#[test]
fn damage_before_the_first_needed_group_means_nothing() {
    let mark = JournalMark { durable: 3, replay_from: 3, slots: 1, epoch: ServerEpoch(1) };
    let rotten = Bytes::from(flipped(200));
    assert_eq!(line(verdict_with(&rotten, mark)), "accepted [3] lost [] cut None next 4");
    let blank = Bytes::from(vec![0; 8 * BLOCK_BYTES]);
    let after = JournalMark { replay_from: 4, ..mark };
    assert_eq!(line(verdict_with(&blank, after)), "accepted [] lost [] cut None next 4");
}

#[test]
fn a_group_that_does_not_chain_is_not_taken() {
    let mut bytes = journal();
    let (mut header, _) = GroupHeader::decode(&bytes[2 * BLOCK_BYTES..]).expect("sound");
    header.previous_checksum ^= 1;
    header.durable_upto = 0;
    let start = 2 * BLOCK_BYTES;
    bytes[start..start + commitlog::GROUP_HEADER_BYTES].copy_from_slice(&header.encode().0);
    let found = judged(&Bytes::from(bytes));
    assert_eq!(
        found,
        "refused: group 3 in journal file 000.jnl at offset 8192 does not follow the group before it: \
         files of different copies of the directory are mixed"
    );
}

#[test]
fn no_journal_makes_the_verdict_panic() {
    use proptest::prelude::*;
    let sound = journal();
    let flips = proptest::collection::vec((0..sound.len(), any::<u8>()), 0..6);
    proptest!(|(flips in flips, durable in 0_u64..6, replay_from in 1_u64..6)| {
        let mut bytes = sound.clone();
        flips.iter().for_each(|&(at, value)| bytes[at] = value);
        let mark = JournalMark { durable, replay_from, slots: 1, epoch: ServerEpoch(1) };
        let _ = verdict_with(&Bytes::from(bytes), mark);
    });
}
