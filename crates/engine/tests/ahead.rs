//! Reading ahead: who goes forward through a segment finds the next chunks there, or on their way; and nobody
//! learns of it when that goes wrong.

mod rig;

use engine::{Command, DiskErrorKind, DiskOp, FileId, Gap, Read, ReadFrom, ReadReply, Reply, ReplyTo};
use rig::{Rig, key, small_limits};
use types::{Failure, Limits, SeqNum, Unavailable};

const BLOCK: usize = 4096;
const EVENTS: u64 = 60;
/// Neither a page nor a chunk is a multiple of the other.
const PAGE: usize = 3;

/// A server that has just started, with one segment: chunks of one block with four events each.
fn cold_with(vary: impl FnOnce(&mut Limits)) -> Rig {
    let mut limits =
        Limits { journal_file_bytes: 64 * BLOCK, chunk_bytes_max: BLOCK, tail_events: 0, ..small_limits() };
    vary(&mut limits);
    let mut rig = Rig::with_limits(limits);
    for number in 1..=EVENTS {
        rig.append("s", &format!("{{\"n\":{number},\"x\":\"{}\"}}", "x".repeat(900)));
    }
    let mut rig = rig.restart();
    rig.settle();
    let segments = rig.disk.files.keys().filter(|file| matches!(file, FileId::Segment { .. })).count();
    assert_eq!(segments, 1, "all events are in one");
    rig.disk.reads.clear();
    rig
}

fn cold() -> Rig {
    cold_with(|_| {})
}

fn segment(rig: &mut Rig) -> &mut bytes::BytesMut {
    let mut files = rig.disk.files.iter_mut();
    files.find(|(file, _)| matches!(file, FileId::Segment { .. })).expect("there is one").1
}

fn ask(rig: &mut Rig, from: u64, limit: usize) -> ReplyTo {
    let to = rig.to();
    let read = Read { to, stream: key("s"), from: ReadFrom::Seq(SeqNum(from)), limit, bytes_max: 1 << 20 };
    rig.hand_in(Command::Read(read));
    to
}

/// The rest of the stream, page by page: numbers and gaps.
fn walk(rig: &mut Rig, from: u64, page: usize) -> (Vec<u64>, Vec<Gap>) {
    let (mut numbers, mut gaps, mut next) = (Vec::new(), Vec::new(), from);
    loop {
        let reply = rig.read("s", ReadFrom::Seq(SeqNum(next)), page);
        numbers.extend(reply.records.iter().map(|record| record.seq().0));
        gaps.extend(reply.gaps);
        if reply.at_tail {
            return (numbers, gaps);
        }
        next = reply.next.0;
    }
}

fn everything() -> (Vec<u64>, Vec<Gap>) {
    ((1..=EVENTS).collect(), Vec::new())
}

fn page_at(first: u64) -> Vec<u64> {
    (first..(first + PAGE as u64).min(EVENTS + 1)).collect()
}

fn numbers_of(reply: Reply) -> Vec<u64> {
    match reply {
        Reply::Read(ReadReply { records, gaps, .. }) => {
            assert!(gaps.is_empty(), "{gaps:?}");
            records.iter().map(|record| record.seq().0).collect()
        }
        other => panic!("a read is not answered with {other:?}"),
    }
}

/// A cold server whose reader has had its first pages, so that a stretch is on its way; the number from which
/// on nobody has asked yet. What the disk is asked for is held back.
fn on_its_way() -> (Rig, u64) {
    let mut rig = cold();
    rig.read("s", ReadFrom::Seq(SeqNum(1)), PAGE);
    rig.is_holding = true;
    let mut next = 1 + PAGE as u64;
    while rig.held_count() == 0 {
        assert!(next < EVENTS, "nothing was read ahead");
        ask(&mut rig, next, PAGE);
        next += PAGE as u64;
    }
    (rig, next)
}

fn complete_all(rig: &mut Rig) {
    rig.is_holding = false;
    while rig.complete_one() {}
}

#[test]
fn whatever_the_limits_a_walk_gives_every_event_once() {
    for cache in [0, 1, BLOCK, 10_000, 32 * BLOCK, 200_000, 1 << 20, 32 << 20] {
        for (page, places) in [(1, 1), (2, 64), (PAGE, 1), (PAGE, 2), (PAGE, 3), (7, 64), (50, 3)] {
            let mut rig = cold_with(|limits| {
                (limits.chunk_cache_bytes_max, limits.reads_in_flight_max) = (cache, places);
            });
            assert_eq!(walk(&mut rig, 1, page), everything(), "{cache} bytes, {page} of {places}");
        }
    }
}

#[test]
fn a_walk_in_small_pages_reads_every_block_once_and_in_few_reads() {
    let mut rig = cold();
    assert_eq!(walk(&mut rig, 1, PAGE), everything());
    let mut counts = vec![0; segment(&mut rig).len() / BLOCK];
    for (_, offset, len) in &rig.disk.reads {
        let first = *offset as usize / BLOCK;
        counts[first..first + len.div_ceil(BLOCK)].iter_mut().for_each(|count| *count += 1);
    }
    assert!(counts.len() > 15, "{} blocks", counts.len());
    assert!(counts.iter().all(|count| *count <= 1), "{counts:?}");
    assert!(rig.disk.reads.len() <= 3, "the footer, the first chunk, the rest: {:?}", rig.disk.reads);
}

#[test]
fn a_reader_of_single_events_reads_nothing_ahead() {
    let mut rig = cold();
    for number in 1..=EVENTS / 2 {
        rig.read("s", ReadFrom::Seq(SeqNum(number)), 1);
    }
    assert!(rig.disk.reads.len() > 5);
    assert!(rig.disk.reads.iter().all(|(_, _, len)| *len <= BLOCK), "{:?}", rig.disk.reads);
}

#[test]
fn a_small_cache_gets_small_stretches() {
    let mut rig = cold_with(|limits| limits.chunk_cache_bytes_max = 32 * 2 * BLOCK);
    assert_eq!(walk(&mut rig, 1, PAGE), everything());
    let longest = rig.disk.reads.iter().map(|(_, _, len)| *len).max();
    assert_eq!(longest, Some(2 * BLOCK), "{:?}", rig.disk.reads);
}

#[test]
fn who_needs_a_chunk_that_is_on_its_way_waits_for_it() {
    let (mut rig, next) = on_its_way();
    let late = [next, next + PAGE as u64, EVENTS - 1].map(|from| (from, ask(&mut rig, from, PAGE)));
    assert_eq!(rig.held_count(), 1, "it is not read a second time");
    complete_all(&mut rig);
    for (from, to) in late {
        assert_eq!(numbers_of(rig.reply(to)), page_at(from));
    }
}

#[test]
fn every_reader_is_answered_however_few_reads_may_be_under_way() {
    for places in [1, 2, 3, 4] {
        let mut rig = cold_with(|limits| limits.reads_in_flight_max = places);
        rig.is_holding = true;
        let mut asked = Vec::new();
        for round in 0..12 {
            for from in [1 + round * 4, 30, EVENTS - round] {
                asked.push((from, ask(&mut rig, from, PAGE)));
            }
            assert!(rig.held_count() <= places);
            rig.complete_one();
        }
        while rig.complete_one() {
            assert!(rig.held_count() <= places);
        }
        for (from, to) in asked {
            assert_eq!(numbers_of(rig.reply(to)), page_at(from), "{places} places");
        }
    }
}

/// Reads of more than a page may need at once.
fn is_stretch(work: &DiskOp) -> bool {
    let is_segment = matches!(work, DiskOp::Read { file: FileId::Segment { .. }, .. });
    is_segment && matches!(work, DiskOp::Read { len: 8193.., .. })
}

#[test]
fn a_stretch_that_cannot_be_read_is_told_to_nobody() {
    for kind in [DiskErrorKind::Io, DiskErrorKind::TooManyFiles, DiskErrorKind::NotFound] {
        let (mut rig, next) = on_its_way();
        let late = ask(&mut rig, next, PAGE);
        rig.disk.fault = Some((is_stretch, kind));
        complete_all(&mut rig);
        assert_eq!(numbers_of(rig.reply(late)), page_at(next), "{kind:?}");
        assert_eq!(walk(&mut rig, 1, PAGE), everything(), "{kind:?}");
        assert_eq!((rig.engine.stats().damaged_ranges, rig.notices.as_slice()), (0, &[][..]), "{kind:?}");
    }
}

#[test]
fn after_a_stretch_that_failed_the_disk_is_not_asked_for_another_there() {
    let (mut rig, _) = on_its_way();
    rig.disk.fault = Some((is_stretch, DiskErrorKind::Io));
    complete_all(&mut rig);
    rig.disk.fault = None;
    rig.disk.reads.clear();
    assert_eq!(walk(&mut rig, 1, PAGE), everything());
    assert!(rig.disk.reads.iter().all(|(_, _, len)| *len <= 2 * BLOCK), "{:?}", rig.disk.reads);
}

/// The block of the sixth chunk, behind the header's: events 21 to 24.
fn touches_block_6(work: &DiskOp) -> bool {
    matches!(work, DiskOp::Read { file: FileId::Segment { .. }, offset, len }
        if (*offset as usize..*offset as usize + len).contains(&(6 * BLOCK)))
}

#[test]
fn a_block_that_the_disk_refuses_costs_its_events_and_no_others() {
    for page in [1, 2, PAGE, 7, 50] {
        let mut rig = cold();
        rig.disk.fault = Some((touches_block_6, DiskErrorKind::Io));
        let (numbers, gaps) = walk(&mut rig, 1, page);
        let [gap] = gaps[..] else { panic!("pages of {page}: {gaps:?}") };
        assert!(gap.to.0 - gap.from.0 < 5 && numbers.contains(&(gap.from.0 - 1)), "pages of {page}: {gap:?}");
        assert_eq!(numbers.len() as u64 + gap.to.0 - gap.from.0 + 1, EVENTS, "pages of {page}");
    }
}

#[test]
fn without_a_descriptor_the_reader_is_told_to_come_again() {
    let (mut rig, next) = on_its_way();
    let late = ask(&mut rig, next, PAGE);
    let all = |work: &DiskOp| matches!(work, DiskOp::Read { file: FileId::Segment { .. }, .. });
    rig.disk.fault = Some((all, DiskErrorKind::TooManyFiles));
    complete_all(&mut rig);
    assert_eq!(rig.reply(late), Reply::Failed(Failure::Unavailable(Unavailable::Overloaded)));
    rig.disk.fault = None;
    assert_eq!(walk(&mut rig, 1, PAGE), everything());
}

#[test]
fn what_came_bad_from_the_disk_is_read_again_before_it_counts_as_damaged() {
    let (mut rig, next) = on_its_way();
    let late = ask(&mut rig, next, PAGE);
    segment(&mut rig)[6 * BLOCK + 100] ^= 1;
    rig.complete_one();
    assert_eq!(numbers_of(rig.reply(late)), page_at(next), "its own chunks were sound");
    segment(&mut rig)[6 * BLOCK + 100] ^= 1;
    complete_all(&mut rig);
    assert_eq!(walk(&mut rig, 1, PAGE), everything());
}

#[test]
fn a_file_that_ends_early_is_a_gap_at_its_end() {
    for page in [PAGE, 50] {
        let mut rig = cold();
        rig.read("s", ReadFrom::Seq(SeqNum(1)), PAGE);
        segment(&mut rig).truncate(8 * BLOCK + 10);
        let (numbers, gaps) = walk(&mut rig, 1, page);
        let lost: u64 = gaps.iter().map(|gap| gap.to.0 - gap.from.0 + 1).sum();
        assert_eq!(numbers.len() as u64 + lost, EVENTS, "{gaps:?}");
        assert!(numbers.len() >= 24 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    }
}

#[test]
fn a_stream_that_is_deleted_meanwhile_is_empty_for_who_waits() {
    let (mut rig, next) = on_its_way();
    let late = ask(&mut rig, next, PAGE);
    let deletion = rig.to();
    rig.hand_in(Command::Delete { to: deletion, stream: key("s") });
    rig.turn();
    rig.complete_journal();
    assert!(rig.has_reply(deletion));
    complete_all(&mut rig);
    rig.settle();
    assert_eq!(numbers_of(rig.reply(late)), Vec::<u64>::new());
}

#[test]
fn a_stop_does_not_wait_for_a_stretch_and_begins_none() {
    let (mut rig, next) = on_its_way();
    let late = ask(&mut rig, next, PAGE);
    let stretches = rig.held_count();
    rig.is_holding = false;
    rig.stop();
    assert_eq!(rig.held_count(), stretches);
    rig.disk.reads.clear();
    while rig.complete_one() {}
    assert_eq!(numbers_of(rig.reply(late)), page_at(next));
    assert_eq!(rig.disk.reads.len(), stretches);
}
