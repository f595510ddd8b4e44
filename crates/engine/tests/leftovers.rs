//! What becomes of segments that no sound manifest names: used, told and removed, or refused.
//!
//! A checkpoint that was cut short leaves a file that the journal still covers; rot in a manifest leaves
//! files that nothing else names. From the outside both look alike, and neither may cost an event silently.

mod rig;

use bytes::BytesMut;
use engine::{DiskErrorKind, DiskOp, FileId, GapCause, ReadFrom, Refusal};
use rig::{Rig, key};
use types::{PartitionId, SeqNum};

const BLOCK: usize = 4096;

fn home(stream: &str) -> PartitionId {
    types::partition_of(types::stream_hash(&key(stream)), 4)
}

fn segments(rig: &Rig) -> Vec<FileId> {
    let is_segment = |file: &&FileId| matches!(file, FileId::Segment { .. });
    rig.disk.files.keys().filter(is_segment).copied().collect()
}

fn content(rig: &mut Rig, file: FileId) -> &mut BytesMut {
    rig.disk.files.get_mut(&file).expect("the file is there")
}

/// Damages the manifests of a stream's partition: all of them, or only the newest.
fn lose_manifests(rig: &mut Rig, stream: &str, newest_only: bool) {
    let manifest = |slot| FileId::Manifest { partition: home(stream), slot };
    let generation = |file: &FileId| {
        let bytes = rig.disk.files.get(file)?;
        Some(commitlog::Manifest::decode(bytes).expect("sound so far").generation)
    };
    let newest = [0, 1].map(manifest).into_iter().max_by_key(generation).expect("two files");
    for file in [0, 1].map(manifest) {
        if let (true, Some(bytes)) = (!newest_only || file == newest, rig.disk.files.get_mut(&file)) {
            bytes[40] ^= 0x10;
        }
    }
}

/// A stream with `lives` segments of ten events each, or fewer after a merge.
fn with_segments(lives: u64) -> Rig {
    let mut rig = Rig::new();
    for _ in 0..lives {
        rig.fill("s", 10);
        rig = rig.restart();
    }
    rig.settle();
    rig
}

/// The newest file of a directory with four segments, of which two or more were merged.
fn output_of_the_merge(rig: &Rig) -> FileId {
    let newest = *segments(rig).last().expect("there are segments");
    let header = commitlog::decode_segment_header(&rig.disk.files[&newest]).expect("sound");
    assert!(header.replaces.is_some(), "the last thing that was done is a merge: {header:?}");
    newest
}

fn refusal(rig: Rig) -> Refusal {
    rig.try_crash().err().expect("the directory is refused")
}

fn seqs(rig: &mut Rig) -> Vec<u64> {
    let reply = rig.read("s", ReadFrom::Seq(SeqNum(1)), 10_000);
    reply.records.iter().map(|record| record.seq().0).collect()
}

fn is_told(rig: &Rig, text: &str) -> bool {
    rig.notices.iter().any(|notice| notice.contains(text))
}

/// A directory whose first checkpoint died before its manifest was written: the file is there.
fn with_unfinished_checkpoint() -> (Rig, FileId) {
    let mut rig = Rig::new();
    rig.fill("s", 10);
    let file = begin_checkpoint(&mut rig);
    (rig, file)
}

/// Begins a checkpoint and stops the world when its segment is written, before a manifest names it.
fn begin_checkpoint(rig: &mut Rig) -> FileId {
    let before = segments(rig);
    rig.is_holding = true;
    let mut out = Vec::new();
    rig.engine.handle_stop(rig.now, &mut out);
    rig.execute(out);
    loop {
        let new = segments(rig).into_iter().find(|file| !before.contains(file));
        if let Some(file) = new.filter(|file| rig.disk.files[file].len() > 2 * BLOCK) {
            return file;
        }
        if !rig.complete_one() {
            rig.turn();
        }
    }
}

#[test]
fn a_segment_that_was_cut_is_refused_whichever_manifest_names_it() {
    for newest_only_lost in [false, true] {
        for cut in [1, 100, BLOCK] {
            let mut rig = with_segments(2);
            let first = segments(&rig)[0];
            let len = content(&mut rig, first).len() - cut;
            content(&mut rig, first).truncate(len);
            if newest_only_lost {
                lose_manifests(&mut rig, "s", true);
            }
            let refusal = refusal(rig);
            assert_eq!((refusal.code, refusal.file), ("segment-missing", Some(first)), "{refusal}");
            assert!(refusal.message.contains(&format!("has {len} bytes")), "{refusal}");
        }
    }
}

#[test]
fn a_cut_segment_that_nothing_else_covers_is_refused_unless_whole_blocks_are_left() {
    let mut rig = with_segments(2);
    let last = segments(&rig)[1];
    let len = content(&mut rig, last).len() - 100;
    content(&mut rig, last).truncate(len);
    lose_manifests(&mut rig, "s", false);
    let refusal = refusal(rig);
    assert_eq!((refusal.code, refusal.file, refusal.offset), ("segment-cut", Some(last), Some(len as u64)));
    assert!(refusal.message.contains("was cut") && refusal.next_step.contains("backup"), "{refusal}");
}

#[test]
fn what_is_left_of_a_cut_segment_is_served_and_its_numbers_are_never_used_again() {
    let mut rig = with_segments(2);
    let last = segments(&rig)[1];
    content(&mut rig, last).truncate(2 * BLOCK);
    lose_manifests(&mut rig, "s", false);
    for life in 0..3 {
        rig = if life == 1 { rig.restart() } else { rig.crash() };
        assert!(is_told(&rig, "acknowledged data is damaged"), "life {life}: {:?}", rig.notices);
        let got = seqs(&mut rig);
        assert_eq!(&got[..10], (1..=10).collect::<Vec<_>>(), "life {life}");
        let appended = rig.append("s", "\"new\"").first;
        assert!(appended > SeqNum(20), "life {life}: {appended} may have been somebody else's");
        let reply = rig.read("s", ReadFrom::Seq(SeqNum(1)), 10_000);
        assert!(reply.gaps.iter().all(|gap| gap.cause == GapCause::Damaged) && !reply.gaps.is_empty());
    }
}

#[test]
fn strict_start_refuses_a_segment_that_is_not_complete() {
    let mut rig = with_segments(2);
    let last = segments(&rig)[1];
    content(&mut rig, last).truncate(2 * BLOCK);
    lose_manifests(&mut rig, "s", false);
    rig.strict = true;
    assert_eq!(refusal(rig).code, "segment-damaged");
}

#[test]
fn a_segment_that_nothing_identifies_is_refused_when_no_manifest_is_left() {
    let mut rig = with_segments(2);
    let last = segments(&rig)[1];
    let len = content(&mut rig, last).len();
    content(&mut rig, last)[20] ^= 1;
    content(&mut rig, last)[len - BLOCK + 20] ^= 1;
    lose_manifests(&mut rig, "s", false);
    let refusal = refusal(rig);
    assert_eq!((refusal.code, refusal.file), ("segment-unknown", Some(last)), "{refusal}");
}

#[test]
fn a_checkpoint_that_was_cut_short_costs_nothing_while_the_journal_holds_its_events() {
    type Harm = fn(&mut BytesMut);
    let harms: [(&str, Harm); 5] = [
        ("nothing", |_| {}),
        ("a chunk", |bytes| bytes[BLOCK + 100] ^= 1),
        ("the end", |bytes| bytes.truncate(2 * BLOCK)),
        ("the end within a block", |bytes| bytes.truncate(2 * BLOCK + 70)),
        ("both ends", |bytes| bytes.fill(7)),
    ];
    for (what, harm) in harms {
        let (mut rig, file) = with_unfinished_checkpoint();
        harm(content(&mut rig, file));
        let mut rig = rig.crash();
        assert_eq!(seqs(&mut rig), (1..=10).collect::<Vec<_>>(), "{what}: {:?}", rig.notices);
        assert!(!rig.disk.files.contains_key(&file), "{what}: the journal is what is depended on");
        assert!(is_told(&rig, "segment 1 "), "{what}: {:?}", rig.notices);
        assert_eq!(rig.append("s", "1").first, SeqNum(11), "{what}");
        let mut rig = rig.restart().crash();
        assert_eq!(seqs(&mut rig).len(), 11, "{what}");
    }
}

#[test]
fn a_checkpoint_that_was_cut_short_costs_nothing_although_the_manifests_of_an_earlier_one_are_lost() {
    let mut rig = with_segments(1);
    let first = segments(&rig)[0];
    lose_manifests(&mut rig, "s", false);
    let mut rig = rig.crash();
    rig.fill("s", 5);
    let second = begin_checkpoint(&mut rig);
    content(&mut rig, second).fill(7);
    let mut rig = rig.crash();
    assert_eq!(seqs(&mut rig), (1..=15).collect::<Vec<_>>(), "{:?}", rig.notices);
    assert!(rig.disk.files.contains_key(&first) && !rig.disk.files.contains_key(&second));
    assert_eq!(rig.append("s", "1").first, SeqNum(16));
}

#[test]
fn torn_and_whole_leftovers_cost_nothing_even_when_their_removal_does_not_last() {
    let (mut rig, whole) = with_unfinished_checkpoint();
    let FileId::Segment { partition, ordinal } = whole else { panic!("{whole:?} is no segment") };
    let torn = FileId::Segment { partition, ordinal: ordinal + 1 };
    rig.disk.files.insert(torn, [7; 3 * BLOCK].as_slice().into());
    let leftovers = [whole, torn].map(|file| (file, rig.disk.files[&file].clone()));
    for life in 0..3 {
        rig = if life == 1 { rig.restart() } else { rig.crash() };
        assert_eq!(seqs(&mut rig), (1..=10).collect::<Vec<_>>(), "life {life}");
        let is_there = |(file, _): &(FileId, BytesMut)| rig.disk.files.contains_key(file);
        assert!(!leftovers.iter().any(is_there), "life {life}: they are removed: {:?}", rig.notices);
        // The folder was not synchronized: after a power cut they are back, whatever was released meanwhile.
        rig.disk.files.extend(leftovers.clone());
    }
}

#[test]
fn a_checkpoint_whose_manifest_and_trailer_are_lost_is_served_from_its_events() {
    let mut rig = with_segments(2);
    let last = segments(&rig)[1];
    let len = content(&mut rig, last).len();
    content(&mut rig, last)[len - BLOCK + 20] ^= 1;
    lose_manifests(&mut rig, "s", true);
    for life in 0..3 {
        rig = if life == 1 { rig.restart() } else { rig.crash() };
        let got = seqs(&mut rig);
        assert_eq!(&got[..20], (1..=20).collect::<Vec<_>>(), "life {life}: {:?}", rig.notices);
        assert_eq!(rig.append("s", "1").first, SeqNum(21 + life));
    }
}

#[test]
fn a_checkpoint_is_not_taken_for_a_leftover_because_its_manifest_is_gone() {
    // The second manifest of a partition reads as zeros: the first one looks like the newest that ever was.
    let mut rig = with_segments(2);
    let last = segments(&rig)[1];
    content(&mut rig, last).truncate(2 * BLOCK);
    let newest = FileId::Manifest { partition: home("s"), slot: 0 };
    content(&mut rig, newest).fill(0);
    let mut rig = rig.crash();
    assert!(is_told(&rig, "acknowledged data is damaged"), "{:?}", rig.notices);
    assert!(rig.append("s", "1").first > SeqNum(20));
}

#[test]
fn a_merge_that_is_lost_with_its_manifest_is_refused() {
    let mut rig = with_segments(4);
    let merged = output_of_the_merge(&rig);
    lose_manifests(&mut rig, "s", true);
    rig.disk.files.remove(&merged);
    assert_eq!(refusal(rig).code, "segment-missing");
}

#[test]
fn a_damaged_merge_is_used_when_its_inputs_are_gone() {
    let mut rig = with_segments(4);
    let merged = output_of_the_merge(&rig);
    lose_manifests(&mut rig, "s", true);
    content(&mut rig, merged)[BLOCK + 100] ^= 1;
    let mut rig = rig.crash();
    let reply = rig.read("s", ReadFrom::Seq(SeqNum(1)), 10_000);
    let lost: u64 = reply.gaps.iter().map(|gap| gap.to.0 - gap.from.0 + 1).sum();
    assert_eq!(reply.records.len() as u64 + lost, 40, "{:?}", rig.notices);
    assert!(lost > 0 && is_told(&rig, "damaged"), "{:?}", rig.notices);
    assert_eq!(rig.append("s", "1").first, SeqNum(41));
}

#[test]
fn a_leftover_is_told_and_removed_when_the_manifest_is_sound() {
    let mut rig = with_segments(2);
    let leftover = FileId::Segment { partition: home("s"), ordinal: 77 };
    rig.disk.files.insert(leftover, BytesMut::zeroed(BLOCK + 5));
    let mut rig = rig.crash();
    assert!(is_told(&rig, "segment 77 was never finished"), "{:?}", rig.notices);
    assert!(!rig.disk.files.contains_key(&leftover));
    assert_eq!(seqs(&mut rig).len(), 20);
}

#[test]
fn a_leftover_that_cannot_be_read_is_told_and_left_alone() {
    let leftover = FileId::Segment { partition: home("s"), ordinal: 77 };
    let reads =
        |work: &DiskOp| matches!(work, DiskOp::Read { file: FileId::Segment { ordinal: 77, .. }, .. });
    let mut rig = with_segments(2);
    rig.disk.files.insert(leftover, BytesMut::zeroed(2 * BLOCK));
    rig.disk.fault = Some((reads, DiskErrorKind::Io));
    let mut rig = rig.crash();
    assert!(is_told(&rig, "segment 77, which no manifest names, cannot be read"), "{:?}", rig.notices);
    assert!(rig.disk.files.contains_key(&leftover));
    assert_eq!(seqs(&mut rig).len(), 20);
    // Its ordinal is not given to a new segment.
    rig.fill("s", 3);
    assert_eq!(seqs(&mut rig.restart()).len(), 23);
}

#[test]
fn a_leftover_that_cannot_be_removed_is_told_and_tried_again() {
    let removes = |work: &DiskOp| matches!(work, DiskOp::Remove { .. });
    let leftover = FileId::Segment { partition: home("s"), ordinal: 77 };
    let mut rig = with_segments(2);
    rig.disk.files.insert(leftover, BytesMut::zeroed(BLOCK));
    rig.disk.fault = Some((removes, DiskErrorKind::Io));
    let mut rig = rig.crash();
    assert!(rig.disk.files.contains_key(&leftover));
    assert_eq!(seqs(&mut rig).len(), 20);
    rig.disk.fault = None;
    assert!(!rig.crash().disk.files.contains_key(&leftover));
}

#[test]
fn a_hole_between_segments_without_a_manifest_is_told_and_its_numbers_are_skipped() {
    let mut rig = with_segments(3);
    let middle = segments(&rig)[1];
    lose_manifests(&mut rig, "s", false);
    rig.disk.files.remove(&middle);
    for life in 0..3 {
        rig = if life == 1 { rig.restart() } else { rig.crash() };
        let reply = rig.read("s", ReadFrom::Seq(SeqNum(1)), 1_000);
        let gap = reply.gaps.first().expect("what is missing is told");
        assert_eq!((gap.from, gap.to, gap.cause), (SeqNum(11), SeqNum(20), GapCause::Damaged), "life {life}");
        assert_eq!(rig.append("s", "1").first, SeqNum(31 + life), "life {life}");
    }
}
