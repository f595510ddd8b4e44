//! Laws of an engine's background work: room in the journal, deadlines, retries, errors of the disk.
//!
//! Each test is one sentence about what a client sees while files are prepared, checkpointed or refused.
//! The simulator fails every operation; these are the named ones.

mod rig;

use engine::{Command, DiskErrorKind, DiskOp, FileId, Reply, ReplyTo};
use proptest::prelude::*;
use rig::{Rig, append, small_limits};
use types::{Failure, Limits, SeqNum, Timestamp, Unavailable};

fn writes_segment(work: &DiskOp) -> bool {
    matches!(work, DiskOp::Write { file: FileId::Segment { .. }, .. })
}

fn ask_to_append(rig: &mut Rig, stream: &str, payload: &str) -> ReplyTo {
    let to = rig.to();
    rig.hand_in(Command::Append(append(to, stream, &[payload])));
    to
}

/// So many appends of 1,000 bytes, which make up one group.
fn ask_for_many(rig: &mut Rig, count: usize) -> Vec<ReplyTo> {
    (0..count).map(|_| ask_to_append(rig, "s", &"x".repeat(1_000))).collect()
}

#[test]
fn what_waits_for_room_in_the_journal_is_written_when_a_checkpoint_has_made_it() {
    let mut rig = Rig::with_limits(Limits { journal_files_max: 2, ..small_limits() });
    // The fence and ten groups leave one block of the first file; the next group needs nine.
    rig.fill("s", 10);
    rig.disk.fault = Some((writes_segment, DiskErrorKind::Io));
    let large = ask_for_many(&mut rig, 34);
    rig.settle();
    assert!(large.into_iter().all(|to| matches!(rig.reply(to), Reply::Appended(_))));
    let waiting = ask_for_many(&mut rig, 14);
    rig.settle();
    assert!(!rig.has_reply(waiting[0]), "three blocks are left, four are needed");
    rig.disk.fault = None;
    rig.now = Timestamp(rig.now.0 + 501);
    rig.settle();
    for (n, to) in (45..).zip(waiting) {
        let Reply::Appended(appended) = rig.reply(to) else { panic!("it was written") };
        assert_eq!(appended.first, SeqNum(n));
    }
    assert_eq!(rig.crash().payloads("s").len(), 58);
}

/// Lets a checkpoint begin and every one of its operations wait, and appends 1,000 bytes at a time until no
/// commit starts any more; gives the bytes of the journal that are in use then.
fn append_beside_a_checkpoint_that_stands_still(rig: &mut Rig) -> u64 {
    rig.is_holding = true;
    loop {
        let to = ask_to_append(rig, "s", &"x".repeat(1_000));
        for _ in 0..3 {
            rig.turn();
            rig.complete_journal();
        }
        if !rig.has_reply(to) {
            return rig.engine.stats().journal_bytes;
        }
    }
}

#[test]
fn commits_wait_for_a_checkpoint_that_they_outrun_long_before_the_journal_is_full() {
    let mut rig = Rig::new();
    let used = append_beside_a_checkpoint_that_stands_still(&mut rig);
    let all = 48 * 4096;
    assert!(used > all / 2, "{used} of {all} bytes: it was never due");
    assert!(used < all / 4 * 3, "{used} of {all} bytes");
    let waiting = ask_to_append(&mut rig, "s", "1");
    let mut steps = 0;
    while !rig.has_reply(waiting) {
        rig.turn();
        assert!(rig.complete_one(), "something is under way as long as a commit waits");
        steps += 1;
    }
    assert_eq!(rig.engine.stats().checkpoints, 0, "{steps} steps were enough, the end was not needed");
    rig.is_holding = false;
    while rig.complete_one() {}
    rig.settle();
    assert!(rig.payloads("s").ends_with(&["1".to_owned()]));
}

#[test]
fn a_checkpoint_that_begins_with_little_room_does_not_stop_every_commit() {
    let mut rig = Rig::with_limits(Limits { journal_files_max: 16, ..small_limits() });
    rig.disk.fault = Some((writes_segment, DiskErrorKind::Io));
    while rig.engine.stats().journal_bytes < 16 * 12 * 4096 / 16 * 14 {
        rig.now = Timestamp(rig.now.0 + 501);
        let asked = ask_for_many(&mut rig, 1);
        rig.settle();
        assert!(rig.has_reply(asked[0]), "the journal has room: {:?}", rig.engine.stats());
    }
    // The next life begins with a checkpoint at once, and none of its operations comes to an end.
    let mut rig = rig.crash();
    (rig.disk.fault, rig.is_holding) = (None, true);
    for _ in 0..2 {
        let asked = ask_to_append(&mut rig, "s", "1");
        for _ in 0..3 {
            rig.turn();
            rig.complete_journal();
        }
        assert!(rig.has_reply(asked), "{:?}", rig.engine.stats());
    }
}

#[test]
fn commits_do_not_wait_for_a_checkpoint_that_fails() {
    let mut rig = Rig::new();
    rig.disk.fault = Some((writes_segment, DiskErrorKind::Io));
    for _ in 0..30 {
        let asked = ask_for_many(&mut rig, 1);
        rig.settle();
        assert!(rig.has_reply(asked[0]), "the journal has room: {:?}", rig.engine.stats());
    }
    assert!(rig.engine.stats().journal_bytes > 30 * 4096, "{:?}", rig.engine.stats());
}

#[test]
fn a_checkpoint_ends_although_its_stream_is_written_all_the_while() {
    let mut rig = Rig::new();
    for turn in 0..1_000 {
        let to = ask_to_append(&mut rig, "s", "1");
        rig.turn();
        assert!(rig.has_reply(to), "turn {turn} found the journal full: {:?}", rig.engine.stats());
    }
    assert!(rig.engine.stats().checkpoints > 10, "{:?}", rig.engine.stats());
}

#[test]
fn a_marker_that_finds_no_room_is_written_later() {
    let limits = Limits { journal_files_max: 2, ..small_limits() };
    let mut rig = Rig::with_limits(limits);
    rig.disk.fault = Some((writes_segment, DiskErrorKind::Io));
    // The last group that finds room fills the ring to its end.
    while rig.engine.stats().journal_bytes < 2 * 12 * 4096 {
        rig.append("s", "1");
        rig.now = Timestamp(rig.now.0 + 501);
    }
    rig.settle();
    let groups = rig.engine.stats().groups_written;
    rig.disk.fault = None;
    rig.now = Timestamp(rig.now.0 + 501);
    rig.settle();
    rig.settle();
    assert_eq!(rig.engine.stats().groups_written, groups + 1, "the last commit is proved");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn after_a_turn_no_deadline_lies_in_the_past(
        steps in proptest::collection::vec((0..6_u8, 0..30_u64), 1..300),
    ) {
        let mut rig = Rig::new();
        rig.is_holding = true;
        for (step, time) in steps {
            rig.now = Timestamp(rig.now.0 + time);
            match step {
                0 | 1 => drop(ask_to_append(&mut rig, "s", &"x".repeat(900))),
                2 => rig.disk.fault = Some((writes_segment, DiskErrorKind::NoSpace)),
                3 => rig.disk.fault = None,
                _ => drop(rig.complete_one()),
            }
            rig.turn();
            let deadline = rig.engine.next_deadline();
            prop_assert!(deadline.is_none_or(|at| at > rig.now), "{deadline:?} at {:?}", rig.now);
        }
        // And nothing is forgotten: what is due when the disk is at rest is done.
        rig.disk.fault = None;
        for _ in 0..10_000 {
            if rig.complete_one() || rig.engine.wants_turn() {
                rig.turn();
            } else if let Some(deadline) = rig.engine.next_deadline() {
                rig.now = deadline.max(rig.now);
                rig.turn();
            } else {
                return Ok(());
            }
        }
        prop_assert!(false, "the engine never comes to rest");
    }
}

#[test]
fn while_the_last_commit_is_in_flight_no_marker_is_due() {
    let mut rig = Rig::new();
    rig.append("s", "1");
    let due = rig.engine.next_deadline().expect("a marker is due");
    rig.is_holding = true;
    ask_to_append(&mut rig, "s", "2");
    rig.turn();
    rig.now = due;
    rig.turn();
    assert_eq!(rig.engine.next_deadline(), None);
    while rig.complete_one() {}
    assert!(rig.engine.next_deadline().is_some_and(|next| next > due));
}

#[test]
fn a_failed_journal_write_stops_the_shard_and_says_where() {
    let journal = |work: &DiskOp| matches!(work, DiskOp::Write { file: FileId::Journal { .. }, .. });
    let flush = |work: &DiskOp| matches!(work, DiskOp::Flush { file: FileId::Journal { .. } });
    for (picks, doing) in [(journal as fn(&DiskOp) -> bool, "writing"), (flush, "flushing")] {
        let mut rig = Rig::new();
        rig.append("s", "1");
        rig.disk.fault = Some((picks, DiskErrorKind::Io));
        let to = ask_to_append(&mut rig, "s", "2");
        rig.settle();
        assert!(!rig.has_reply(to), "what may be on disk is not answered");
        let fatal = rig.fatal.clone().expect("a failed journal operation is never tried again");
        assert!(fatal.doing.contains(doing) && fatal.errno == 5, "{fatal:?}");
        assert!(rig.engine.is_failed() && !rig.engine.is_serving());
        assert_eq!(rig.engine.next_deadline(), None);
        let later = rig.append_as(|to| append(to, "s", &["3"]));
        assert_eq!(later, Err(Failure::Unavailable(Unavailable::Stopped)));
        rig.disk.fault = None;
        assert_eq!(rig.crash().payloads("s")[0], "1");
    }
}

fn segments(rig: &Rig) -> Vec<FileId> {
    let is_segment = |file: &&FileId| matches!(file, FileId::Segment { .. });
    rig.disk.files.keys().filter(is_segment).copied().collect()
}

/// A directory with as many segments of one partition as are allowed; one more, and they are merged.
fn before_a_merge() -> Rig {
    let mut rig = Rig::new();
    for _ in 0..3 {
        rig.fill("s", 10);
        rig = rig.restart();
    }
    assert_eq!(segments(&rig).len(), 3);
    rig.fill("s", 10);
    rig
}

fn reads_chunk(work: &DiskOp) -> bool {
    matches!(work, DiskOp::Read { file: FileId::Segment { .. }, offset: 4096, .. })
}

fn reads_footer(work: &DiskOp) -> bool {
    matches!(work, DiskOp::Read { file: FileId::Segment { .. }, offset: 8192.., .. })
}

#[test]
fn a_merge_that_meets_damage_stops_and_keeps_what_is_damaged() {
    type Harm = fn(&mut Rig, FileId);
    let harms: [(&str, Harm); 4] = [
        ("a rotten chunk", |rig, file| rig.disk.files.get_mut(&file).expect("there")[4096 + 100] ^= 1),
        ("a rotten footer", |rig, file| {
            let bytes = rig.disk.files.get_mut(&file).expect("there");
            let footer_at = bytes.len() - 2 * 4096;
            bytes[footer_at + 40] ^= 1;
        }),
        ("an unreadable chunk", |rig, _| rig.disk.fault = Some((reads_chunk, DiskErrorKind::Io))),
        ("an unreadable footer", |rig, _| rig.disk.fault = Some((reads_footer, DiskErrorKind::Io))),
    ];
    for (what, harm) in harms {
        let limits = Limits { footer_cache_bytes_max: 1, ..small_limits() };
        let mut rig = before_a_merge();
        rig.limits = limits;
        let mut rig = rig.restart();
        // The checkpoint of that stop made the fourth segment; this life is about to merge.
        let inputs = segments(&rig);
        assert!(inputs.len() >= 4, "{what}: {inputs:?}");
        harm(&mut rig, inputs[1]);
        rig.settle();
        rig.disk.fault = None;
        assert!(segments(&rig).contains(&inputs[1]), "{what}: {:?}", segments(&rig));
        assert!(rig.notices.iter().any(|notice| notice.contains("merge")), "{what}: {:?}", rig.notices);
        // What is sound is served.
        let reply = rig.read("s", engine::ReadFrom::Seq(SeqNum(1)), 1_000);
        let lost: u64 = reply.gaps.iter().map(|gap| gap.to.0 - gap.from.0 + 1).sum();
        assert_eq!(reply.records.len() as u64 + lost, 40, "{what}: {:?}", reply.gaps);
        assert_eq!(lost > 0, what == "a rotten chunk", "{what}: {:?}", reply.gaps);
    }
}

#[test]
fn a_merge_reads_less_at_once_when_a_long_read_fails() {
    let is_long = |work: &DiskOp| {
        matches!(work, DiskOp::Read { file: FileId::Segment { .. }, offset: 4096, len: 8192.. })
    };
    let mut rig = before_a_merge();
    rig.limits = Limits { footer_cache_bytes_max: 1, ..small_limits() };
    let mut rig = rig.restart();
    rig.disk.fault = Some((is_long, DiskErrorKind::Io));
    rig.settle();
    assert_eq!(rig.engine.stats().merges, 1, "{:?}", rig.notices);
    assert_eq!(rig.payloads("s").len(), 40);
}

#[test]
fn a_merge_without_a_descriptor_is_tried_again() {
    let mut rig = before_a_merge();
    rig.limits = Limits { footer_cache_bytes_max: 1, ..small_limits() };
    let mut rig = rig.restart();
    rig.disk.fault = Some((reads_chunk, DiskErrorKind::TooManyFiles));
    for _ in 0..20 {
        rig.turn();
    }
    assert_eq!(rig.engine.stats().merges, 0);
    rig.disk.fault = None;
    rig.settle();
    assert_eq!(rig.engine.stats().merges, 1, "{:?}", rig.notices);
    assert_eq!(rig.payloads("s").len(), 40);
}

#[test]
fn a_merge_without_room_refuses_appends_until_there_is_some() {
    let creates = |work: &DiskOp| matches!(work, DiskOp::Create { file: FileId::Segment { .. } });
    let mut rig = before_a_merge().restart();
    rig.disk.fault = Some((creates, DiskErrorKind::NoSpace));
    rig.settle();
    assert_eq!(rig.append_as(|to| append(to, "s", &["1"])), Err(Failure::StorageFull));
    assert_eq!(rig.payloads("s").len(), 40, "reads go on");
    rig.disk.fault = None;
    rig.now = rig.engine.next_deadline().expect("it is tried again");
    rig.settle();
    assert_eq!(rig.append("s", "1").first, SeqNum(41));
    assert_eq!(rig.engine.stats().merges, 1);
}

/// One of each kind of command that is answered.
fn questions(to: ReplyTo) -> Vec<Command> {
    let stream = || rig::key("s");
    let page = || engine::ListPage { prefix: String::new(), after: String::new(), limit: 10 };
    let bucket = types::BucketName::parse("b").expect("a valid name");
    let from = engine::ReadFrom::Newest;
    vec![
        Command::Append(append(to, "s", &["2"])),
        Command::Read(engine::Read { to, stream: stream(), from, limit: 1, bytes_max: 1 }),
        Command::Delete { to, stream: stream() },
        Command::Trim { to, stream: stream(), before: SeqNum(1) },
        Command::Describe { to, stream: stream() },
        Command::ListBuckets { to, page: page() },
        Command::ListStreams { to, bucket, page: page() },
        Command::Watch { to, route: 1, target: engine::WatchTarget::Stream(stream()) },
        Command::Stats { to },
    ]
}

#[test]
fn a_shard_that_stops_refuses_every_question_and_says_why() {
    let mut rig = Rig::new();
    rig.append("s", "1");
    rig.stop();
    let nobody = ReplyTo { core: types::CoreId(0), request: 0 };
    for kind in 0..questions(nobody).len() {
        let reply = rig.ask(|to| questions(to).swap_remove(kind));
        assert_eq!(reply, Reply::Failed(Failure::Unavailable(Unavailable::Draining)));
    }
    // These have no answer, and change nothing.
    rig.hand_in(Command::Unwatch { core: types::CoreId(0), route: 1 });
    rig.hand_in(Command::SetTail { stream: rig::key("s"), events: 1, bytes: 1 });
    assert_eq!(rig.crash().payloads("s"), ["1"]);
}
