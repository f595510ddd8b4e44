//! What an engine does with a damaged directory: the rows of the recovery table, one sentence each.
//!
//! A flip in acknowledged data is never silent: it is served around and told, or refused with a code. The
//! simulator tries thousands of places; these are the named ones.

mod rig;

use engine::{Command, FileId, GapCause, ReadFrom, Reply};
use rig::{Rig, append, key, run_boot, run_recovery, small_limits, start_boot};
use std::collections::BTreeMap;
use types::{PartitionId, SeqNum, ShardId, Timestamp};

const JOURNAL: FileId = FileId::Journal { shard: ShardId(0), slot: 0 };
const BLOCK: usize = 4096;

/// Flips one bit of a file.
fn flip(rig: &mut Rig, file: FileId, at: usize) {
    rig.disk.files.get_mut(&file).expect("the file is there")[at] ^= 0x10;
}

/// Offset of the journal block that holds `text`.
fn block_of(rig: &Rig, text: &str) -> usize {
    let content = &rig.disk.files[&JOURNAL];
    let at = content.windows(text.len()).position(|window| window == text.as_bytes());
    at.expect("the text is in the journal") / BLOCK * BLOCK
}

fn prove_the_last_commit(rig: &mut Rig) {
    rig.now = rig.engine.next_deadline().expect("a marker is due");
    rig.settle();
}

fn refusal_code(rig: Rig) -> String {
    match rig.try_crash() {
        Ok(_) => "served".to_owned(),
        Err(refusal) => refusal.code.to_owned(),
    }
}

fn only(rig: &Rig, wanted: impl Fn(&FileId) -> bool) -> FileId {
    *rig.disk.files.keys().find(|file| wanted(file)).expect("such a file is there")
}

#[test]
fn an_unproved_torn_tail_is_cut_and_said() {
    let mut rig = Rig::new();
    rig.append("s", "\"one\"");
    rig.append("s", "\"two\"");
    let at = block_of(&rig, "two");
    flip(&mut rig, JOURNAL, at + 200);
    let mut rig = rig.crash();
    assert!(rig.notices.iter().any(|notice| notice.contains("tail was cut")), "{:?}", rig.notices);
    assert_eq!(rig.payloads("s"), ["\"one\""]);
    assert_eq!(rig.append("s", "\"new\"").first, SeqNum(2));
    assert_eq!(rig.crash().payloads("s"), ["\"one\"", "\"new\""]);
}

#[test]
fn rot_in_a_proved_commit_is_a_gap_and_the_rest_is_served() {
    for (offset, part) in [(8, "header"), (200, "body")] {
        let mut rig = Rig::new();
        for n in 1..=5 {
            rig.append("s", &format!("\"event-{n}\""));
        }
        let at = block_of(&rig, "event-3");
        flip(&mut rig, JOURNAL, at + offset);
        for life in 0..4 {
            rig = if life == 2 { rig.restart() } else { rig.crash() };
            let reply = rig.read("s", ReadFrom::Seq(SeqNum(1)), 100);
            let got: Vec<u64> = reply.records.iter().map(|record| record.seq().0).collect();
            assert_eq!(&got[..4], [1, 2, 4, 5], "{part}, life {life}");
            assert_eq!(reply.gaps.len(), 1, "{part}, life {life}: {:?}", reply.gaps);
            assert_eq!((reply.gaps[0].from, reply.gaps[0].to), (SeqNum(3), SeqNum(3)));
            assert_eq!(reply.gaps[0].cause, GapCause::Damaged);
            assert_eq!(rig.append("s", "1").first, SeqNum(6 + life), "{part}, life {life}");
        }
    }
}

#[test]
fn numbers_that_a_lost_last_commit_may_have_held_are_never_used_again() {
    for offset in [8, 200] {
        let mut rig = Rig::new();
        rig.append("s", "\"one\"");
        rig.append("s", "\"two\"");
        prove_the_last_commit(&mut rig);
        let at = block_of(&rig, "two");
        flip(&mut rig, JOURNAL, at + offset);
        for life in 0..3 {
            rig = rig.crash();
            let appended = rig.append("s", "\"new\"");
            assert_eq!(appended.first, SeqNum(3 + life), "offset {offset}, life {life}");
            let reply = rig.read("s", ReadFrom::Seq(SeqNum(1)), 100);
            assert_eq!(reply.gaps.len(), 1, "{:?}", reply.gaps);
            assert_eq!((reply.gaps[0].from, reply.gaps[0].to), (SeqNum(2), SeqNum(2)));
        }
    }
}

#[test]
fn lost_numbers_stay_lost_when_only_others_are_written_and_checkpointed_since() {
    for ends_cleanly in [false, true] {
        let mut rig = Rig::new();
        rig.fill("s", 2);
        let mut rig = rig.restart();
        rig.append("s", "\"three\"");
        prove_the_last_commit(&mut rig);
        let at = block_of(&rig, "three");
        flip(&mut rig, JOURNAL, at + 200);
        let mut rig = rig.crash();
        // The journal that tells of the loss is given up.
        let before = rig.engine.stats().checkpoints;
        while rig.engine.stats().checkpoints < before + 2 {
            rig.append("other", "1");
        }
        let mut rig = if ends_cleanly { rig.restart() } else { rig.crash() };
        assert_eq!(rig.append("s", "\"four\"").first, SeqNum(4), "ends cleanly: {ends_cleanly}");
        let mut rig = rig.crash();
        let reply = rig.read("s", ReadFrom::Seq(SeqNum(1)), 100);
        let got: Vec<u64> = reply.records.iter().map(|record| record.seq().0).collect();
        assert_eq!(got, [1, 2, 4], "ends cleanly: {ends_cleanly}");
        assert_eq!(reply.gaps.len(), 1, "{:?}", reply.gaps);
    }
}

#[test]
fn strict_start_refuses_damage_in_acknowledged_data() {
    let mut rig = Rig::new();
    rig.append("s", "\"one\"");
    rig.append("s", "\"two\"");
    let at = block_of(&rig, "one");
    flip(&mut rig, JOURNAL, at + 200);
    let (_, mut plans) = start_boot(&mut rig.disk, 1, rig.now).expect("the directory itself is sound");
    plans[0].strict = true;
    let mut recovery = engine::Recovery::new(plans.remove(0), small_limits());
    let mut out = Vec::new();
    recovery.handle_start(&mut out);
    run_recovery(&mut recovery, &mut rig.disk, Timestamp(1), &mut out);
    let refusal = recovery.take_report().expect("it ends").expect_err("strict refuses");
    assert_eq!(refusal.code, "journal-damaged");
    assert!(refusal.to_string().contains("--strict"), "{refusal}");
}

#[test]
fn a_missing_journal_file_is_refused() {
    let mut rig = Rig::new();
    rig.append("s", "1");
    rig.disk.files.remove(&JOURNAL);
    assert_eq!(refusal_code(rig), "journal-missing");
}

#[test]
fn a_journal_that_lost_flushed_writes_is_refused() {
    let mut rig = Rig::new();
    rig.append("s", "1");
    rig.stop();
    let journal = rig.disk.files.get_mut(&JOURNAL).expect("there");
    journal.fill(0);
    let mark = rig.engine.mark();
    assert_eq!(mark.replay_from, mark.durable + 1, "a clean stop leaves nothing to replay");
    // Nothing of it is needed, so nothing is lost: the directory opens.
    assert_eq!(refusal_code(rig), "served");

    let mut rig = Rig::new();
    rig.append("s", "1");
    let mut rig = rig.crash();
    // The mark of this life proves the groups of the last one.
    rig.disk.files.get_mut(&JOURNAL).expect("there").fill(0);
    assert_eq!(refusal_code(rig), "journal-beyond-end");
}

#[test]
fn a_journal_of_another_directory_is_refused() {
    let mut rig = Rig::new();
    rig.append("s", "1");
    let journal = rig.disk.files.get_mut(&JOURNAL).expect("there");
    let header = journal[..BLOCK].to_vec();
    let (mut header, _) = commitlog::GroupHeader::decode(&header).expect("the fence");
    header.directory_id ^= 1;
    header.offset = 8 * BLOCK as u64;
    let at = 8 * BLOCK;
    journal[at..at + commitlog::GROUP_HEADER_BYTES].copy_from_slice(&header.encode().0);
    assert_eq!(refusal_code(rig), "journal-foreign");
}

#[test]
fn an_epoch_file_from_an_older_backup_is_refused() {
    let mut rig = Rig::new();
    rig.append("s", "1");
    let old = rig.disk.files[&FileId::Epoch].clone();
    let mut rig = rig.crash();
    rig.append("s", "2");
    rig.disk.files.insert(FileId::Epoch, old);
    assert_eq!(refusal_code(rig), "epoch-behind");
}

#[test]
fn rot_in_one_slot_of_epoch_or_one_copy_of_identity_hurts_nobody() {
    for (file, at) in [
        (FileId::Epoch, 30),
        (FileId::Epoch, BLOCK + 30),
        (FileId::Identity, 30),
        (FileId::Identity, BLOCK + 30),
    ] {
        let mut rig = Rig::new();
        rig.append("s", "1");
        flip(&mut rig, file, at);
        let mut rig = rig.crash();
        assert_eq!(rig.payloads("s"), ["1"], "{file} at {at}");
    }
}

#[test]
fn an_identity_without_a_sound_copy_is_refused() {
    let mut rig = Rig::new();
    flip(&mut rig, FileId::Identity, 30);
    flip(&mut rig, FileId::Identity, BLOCK + 30);
    assert_eq!(refusal_code(rig), "identity-damaged");
    let mut rig = Rig::new();
    rig.disk.files.remove(&FileId::Identity);
    assert_eq!(refusal_code(rig), "identity-missing");
}

#[test]
fn a_lost_manifest_is_rebuilt_from_the_segments() {
    for broken in [&[0_u8][..], &[1], &[0, 1]] {
        let mut rig = Rig::new();
        for _ in 0..3 {
            rig.fill("s", 10);
            rig = rig.restart();
        }
        for slot in broken {
            let manifest = |file: &FileId| matches!(file, FileId::Manifest { slot: s, .. } if s == slot);
            if let Some(file) = rig.disk.files.keys().copied().find(manifest) {
                flip(&mut rig, file, 40);
            }
        }
        let mut rig = rig.crash();
        assert_eq!(rig.payloads("s").len(), 30, "slots {broken:?}: {:?}", rig.notices);
        rig.fill("s", 5);
        assert_eq!(rig.restart().crash().payloads("s").len(), 35, "slots {broken:?}");
    }
}

#[test]
fn a_segment_with_a_damaged_index_is_served_whole() {
    let mut rig = Rig::new();
    rig.fill("s", 40);
    let mut rig = rig.restart();
    let file = only(&rig, |file| matches!(file, FileId::Segment { .. }));
    let len = rig.disk.files[&file].len();
    // The last block is the trailer, the one before belongs to the index.
    for at in [len - 2 * BLOCK + 50, len - BLOCK + 50] {
        flip(&mut rig, file, at);
        let mut again = rig.crash();
        assert_eq!(again.payloads("s").len(), 40, "{:?}", again.notices);
        assert!(!again.notices.is_empty());
        rig = again;
    }
}

#[test]
fn a_damaged_chunk_is_a_gap_between_events_that_are_served() {
    let mut rig = Rig::new();
    rig.fill("s", 60);
    let mut rig = rig.restart();
    let file = only(&rig, |file| matches!(file, FileId::Segment { .. }));
    flip(&mut rig, file, BLOCK + 120);
    let mut rig = rig.crash();
    let reply = rig.read("s", ReadFrom::Seq(SeqNum(1)), 100);
    assert_eq!(reply.gaps.len(), 1, "{:?}", reply.gaps);
    let gap = reply.gaps[0];
    assert_eq!(gap.cause, GapCause::Damaged);
    let lost = gap.to.0 - gap.from.0 + 1;
    assert!(lost < 20, "one chunk is lost, not more: {gap:?}");
    assert_eq!(reply.records.len() as u64, 60 - lost);
    let told =
        |rig: &Rig| rig.notices.iter().filter(|notice| notice.contains("is damaged at offset")).count();
    assert_eq!(told(&rig), 1, "the operator is told: {:?}", rig.notices);
    rig.read("s", ReadFrom::Seq(SeqNum(1)), 100);
    assert_eq!(told(&rig), 1, "and once is enough");
    assert!(reply.at_tail);
    assert_eq!(rig.append("s", "1").first, SeqNum(61));
}

#[test]
fn a_missing_segment_is_refused() {
    let mut rig = Rig::new();
    rig.fill("s", 10);
    let mut rig = rig.restart();
    let file = only(&rig, |file| matches!(file, FileId::Segment { .. }));
    rig.disk.files.remove(&file);
    assert_eq!(refusal_code(rig), "segment-missing");
}

#[test]
fn a_leftover_of_an_unfinished_checkpoint_is_removed() {
    let mut rig = Rig::new();
    rig.fill("s", 10);
    let mut rig = rig.restart();
    let partition = match only(&rig, |file| matches!(file, FileId::Segment { .. })) {
        FileId::Segment { partition, .. } => partition,
        _ => PartitionId(0),
    };
    let leftover = FileId::Segment { partition, ordinal: 77 };
    rig.disk.files.insert(leftover, bytes::BytesMut::zeroed(BLOCK));
    let mut rig = rig.crash();
    assert!(!rig.disk.files.contains_key(&leftover));
    assert_eq!(rig.payloads("s").len(), 10);
}

#[test]
fn a_directory_of_another_partition_count_is_refused() {
    let mut rig = Rig::new();
    let config = engine::BootConfig {
        directory_id_new: 1,
        node_id_new: 1,
        partition_count: 8,
        shard_count: 1,
        now: rig.now,
        writer_version: String::new(),
        strict: false,
        sabotage: engine::Sabotage::None,
    };
    let mut boot = engine::Boot::new(config);
    let mut out = Vec::new();
    boot.handle_start(&mut out);
    run_boot(&mut boot, &mut rig.disk, &mut out);
    let refusal = boot.take_plans().expect("it ends").expect_err("refused");
    assert_eq!(refusal.code, "partition-count");
    assert!(refusal.message.contains('4') && refusal.message.contains('8'), "{refusal}");
}

/// Opens a directory with `shards` shards, does `visit` with each engine and its partitions, and crashes.
fn live_with(rig: Rig, shards: u16, visit: impl Fn(&mut Rig, &[PartitionId])) -> Rig {
    let (mut disk, now, limits) = (rig.disk, rig.now, rig.limits);
    let (mut boot, plans) = start_boot(&mut disk, shards, now).expect("the directory is sound");
    let mut recoveries = Vec::new();
    let mut reports = Vec::new();
    for plan in plans {
        let partitions = plan.partitions.clone();
        let mut recovery = engine::Recovery::new(plan, limits.clone());
        let mut out = Vec::new();
        recovery.handle_start(&mut out);
        run_recovery(&mut recovery, &mut disk, now, &mut out);
        reports.push(recovery.take_report().expect("it ends").expect("sound"));
        recoveries.push((recovery, partitions));
    }
    let mut out = Vec::new();
    boot.handle_recovered(&reports, &mut out);
    run_boot(&mut boot, &mut disk, &mut out);
    let epoch = boot.take_armed().expect("it ends").expect("armed");
    let mut spare = Rig::with_limits(limits);
    for (mut recovery, partitions) in recoveries {
        let mut out = Vec::new();
        recovery.handle_epoch(epoch, &mut out);
        run_recovery(&mut recovery, &mut disk, now, &mut out);
        let engine = recovery.take_engine().expect("it ends").expect("armed");
        std::mem::swap(&mut spare.disk, &mut disk);
        spare.engine = engine;
        visit(&mut spare, &partitions);
        std::mem::swap(&mut spare.disk, &mut disk);
    }
    spare.disk = disk;
    spare
}

#[test]
fn events_stay_where_they_are_when_the_number_of_cores_changes() {
    let names: Vec<String> = (0..12).map(|n| format!("stream-{n}")).collect();
    let home = |name: &str| types::partition_of(types::stream_hash(&key(name)), 4);
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    let mut rig = Rig::new();
    for (life, shards) in [1_u16, 2, 4, 1, 3, 2].into_iter().enumerate() {
        let before = expected.clone();
        rig = live_with(rig, shards, |rig, partitions| {
            for name in names.iter().filter(|name| partitions.contains(&home(name))) {
                let had = before.get(name).copied().unwrap_or(0);
                assert_eq!(rig.payloads(name).len() as u64, had, "{name} in life {life}");
                for n in 0..3 {
                    assert_eq!(rig.append(name, "1").first, SeqNum(had + n + 1), "{name} in life {life}");
                }
            }
        });
        names.iter().for_each(|name| *expected.entry(name.clone()).or_default() += 3);
    }
}

#[test]
fn describing_a_stream_tells_its_ends() {
    let mut rig = Rig::new();
    rig.fill("s", 4);
    let Reply::Described(Some(found)) = rig.ask(|to| engine::Command::Describe { to, stream: key("s") })
    else {
        panic!("described")
    };
    assert_eq!((found.first, found.last), (SeqNum(1), SeqNum(4)));
    let absent = rig.ask(|to| engine::Command::Describe { to, stream: key("absent") });
    assert_eq!(absent, Reply::Described(None));
}

#[test]
fn what_an_earlier_use_of_a_journal_file_has_left_is_no_torn_tail() {
    let mut rig = Rig::new();
    let mut is_block_of_another_use_met = false;
    for life in 0..6 {
        // Groups of one to three blocks, so that they begin elsewhere when the file is used again.
        for n in 0..40 {
            let payload = format!("\"{life}-{n}-{}\"", "x".repeat(900));
            for _ in 0..=n % 9 {
                let to = rig.to();
                rig.hand_in(Command::Append(append(to, "s", &[&payload])));
            }
            rig.settle();
        }
        rig = rig.restart();
        assert!(rig.notices.is_empty(), "after a clean stop there is nothing to say: {:?}", rig.notices);
        rig.append("s", "\"killed\"");
        rig = rig.crash();
        assert!(!rig.notices.iter().any(|notice| notice.contains("was cut")), "{:?}", rig.notices);
        is_block_of_another_use_met |= rig.notices.iter().any(|notice| notice.contains("earlier use"));
    }
    assert!(is_block_of_another_use_met, "the test reaches what it is about");
}

#[test]
fn an_epoch_file_without_a_sound_slot_is_refused() {
    let mut rig = Rig::new();
    rig.append("s", "1");
    flip(&mut rig, FileId::Epoch, 30);
    flip(&mut rig, FileId::Epoch, BLOCK + 30);
    assert_eq!(refusal_code(rig), "epoch-damaged");
}

#[test]
fn more_cores_than_partitions_are_refused_in_a_new_directory_and_in_an_old_one() {
    let mut rig = Rig::new();
    rig.append("s", "1");
    for mut disk in [rig.disk.clone(), rig::Disk::default()] {
        let (code, files) = match start_boot(&mut disk, 5, rig.now) {
            Ok(_) => ("served", 0),
            Err(refusal) => (refusal.code, disk.files.len()),
        };
        assert_eq!(code, "too-many-cores", "{files} files");
    }
    assert_eq!(rig.crash().payloads("s"), ["1"]);
}

#[test]
fn a_directory_that_places_streams_by_another_hash_is_refused() {
    let mut rig = Rig::new();
    let found = commitlog::Identity::decode(&rig.disk.files[&FileId::Identity]).expect("sound");
    let other = commitlog::Identity { hash_name: "other-hash".to_owned(), ..found.identity };
    rig.disk.files.insert(FileId::Identity, bytes::BytesMut::from(&other.encode()[..]));
    let Err(refusal) = rig.try_crash() else { panic!("refused") };
    assert_eq!(refusal.code, "hash-name");
    assert!(refusal.message.contains("other-hash"), "{refusal}");
}

#[test]
fn a_block_that_the_disk_refuses_costs_one_chunk_of_a_long_read() {
    let mut rig = Rig::new();
    rig.fill("s", 60);
    let mut rig = rig.restart().crash();
    let bad = |work: &engine::DiskOp| {
        matches!(work, engine::DiskOp::Read { file: FileId::Segment { ordinal: 1, .. }, offset, len }
            if (*offset..*offset + *len as u64).contains(&(2 * BLOCK as u64)))
    };
    rig.disk.fault = Some((bad, engine::DiskErrorKind::Io));
    let reply = rig.read("s", ReadFrom::Seq(SeqNum(1)), 100);
    assert_eq!(reply.gaps.len(), 1, "{:?}", reply.gaps);
    let lost = reply.gaps[0].to.0 - reply.gaps[0].from.0 + 1;
    assert!(lost < 20 && reply.gaps[0].from > SeqNum(1), "one chunk is lost, not more: {:?}", reply.gaps);
    assert_eq!(reply.records.len() as u64, 60 - lost);
    rig.disk.fault = None;
    let again = rig.read("s", ReadFrom::Seq(SeqNum(1)), 100);
    assert_eq!((again.records.len(), again.gaps.len()), (60, 0), "an error of the disk may pass");
}

#[test]
fn a_start_that_finds_no_descriptor_is_refused_and_loses_nothing() {
    let reads =
        |work: &engine::DiskOp| matches!(work, engine::DiskOp::Read { file: FileId::Segment { .. }, .. });
    let mut rig = Rig::new();
    rig.fill("s", 10);
    let mut rig = rig.restart();
    rig.disk.fault = Some((reads, engine::DiskErrorKind::TooManyFiles));
    let disk = rig.disk.clone();
    assert_eq!(refusal_code(rig), "partition-io");
    let mut rig = Rig::new();
    rig.disk = rig::Disk { fault: None, ..disk };
    assert_eq!(rig.crash().payloads("s").len(), 10);
}
