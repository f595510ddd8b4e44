//! The laws of an engine on a disk that never fails (`docs/architecture.md`, "Laws").
//!
//! Each test is one sentence about what a client sees, most of them across a crash or a clean restart.
//! Faulty disks and every crash point are the simulator's.

mod rig;

use bytes::Bytes;
use engine::{Change, Command, Expect, GapCause, ListPage, OnMismatch, ReadFrom, Reply, WatchTarget};
use rig::{Rig, append, idempotency, key};
use types::{Failure, SeqNum, Timestamp};

fn numbers(reply: &engine::ReadReply) -> Vec<u64> {
    reply.records.iter().map(|record| record.seq().0).collect()
}

#[test]
fn sequence_numbers_begin_at_1_and_have_no_holes() {
    let mut rig = Rig::new();
    for n in 1..=5 {
        assert_eq!(rig.append("s", "{}").first, SeqNum(n));
    }
    assert_eq!(rig.append("t", "{}").first, SeqNum(1));
}

#[test]
fn nothing_is_answered_before_a_flush() {
    let mut rig = Rig::new();
    let flushes = rig.disk.flushes;
    let to = rig.to();
    rig.hand_in(Command::Append(append(to, "s", &["{}"])));
    assert!(!rig.has_reply(to));
    rig.settle();
    assert!(rig.disk.flushes > flushes);
    assert!(matches!(rig.reply(to), Reply::Appended(_)));
}

#[test]
fn what_was_acknowledged_survives_a_crash() {
    let mut rig = Rig::new();
    rig.append("s", "1");
    rig.append("t", "2");
    rig.append("s", "3");
    let mut rig = rig.crash();
    assert_eq!(rig.payloads("s"), ["1", "3"]);
    assert_eq!(rig.payloads("t"), ["2"]);
    assert_eq!(rig.append("s", "4").first, SeqNum(3));
}

#[test]
fn what_was_acknowledged_survives_checkpoints_merges_and_restarts() {
    let mut rig = Rig::new();
    for round in 0..12_u64 {
        rig.fill("s", 60);
        rig.fill(&format!("t{}", round % 3), 7);
        rig = if round % 2 == 0 { rig.restart() } else { rig.crash() };
        assert_eq!(rig.payloads("s").len() as u64, 60 * (round + 1), "round {round}");
    }
    assert!(rig.engine.stats().segments > 0);
    let expected: Vec<String> = (0..12).flat_map(|_| (0..60).map(|n| format!("{{\"n\":{n}}}"))).collect();
    assert_eq!(rig.payloads("s"), expected);
    assert_eq!(rig.payloads("t1").len(), 28);
}

#[test]
fn a_long_journal_is_used_again_and_again() {
    let mut rig = Rig::new();
    rig.fill("s", 700);
    assert!(rig.engine.stats().checkpoints > 2, "{:?}", rig.engine.stats());
    assert!(rig.engine.stats().merges > 0, "{:?}", rig.engine.stats());
    let journals = rig.disk.files.keys().filter(|f| matches!(f, engine::FileId::Journal { .. })).count();
    assert!(journals <= 4);
    assert_eq!(rig.payloads("s").len(), 700);
    assert_eq!(rig.crash().payloads("s").len(), 700);
}

#[test]
fn a_read_gives_what_was_asked_for_from_disk_and_memory_alike() {
    let mut rig = Rig::new();
    rig.fill("s", 100);
    let mut rig = rig.restart();
    rig.fill("s", 20);
    assert_eq!(numbers(&rig.read("s", ReadFrom::Newest, 3)), [118, 119, 120]);
    assert_eq!(numbers(&rig.read("s", ReadFrom::Seq(SeqNum(40)), 3)), [40, 41, 42]);
    assert_eq!(numbers(&rig.read("s", ReadFrom::Seq(SeqNum(99)), 4)), [99, 100, 101, 102]);
    assert_eq!(numbers(&rig.read("s", ReadFrom::BeforeLast(1), 10)), [119, 120]);
    assert_eq!(numbers(&rig.read("s", ReadFrom::BeforeLast(500), 2)), [1, 2]);
    let past = rig.read("s", ReadFrom::Seq(SeqNum(500)), 2);
    assert!(past.records.is_empty() && past.at_tail);
    assert_eq!(past.next, SeqNum(121));
    let none = rig.read("absent", ReadFrom::Newest, 2);
    assert!(none.records.is_empty() && none.at_tail);
}

#[test]
fn a_read_from_a_time_begins_with_the_first_event_that_is_not_older() {
    let mut rig = Rig::new();
    for n in 0..50 {
        rig.now = Timestamp(10_000 + n * 10);
        rig.append("s", "{}");
    }
    let mut rig = rig.restart();
    for n in 50..60 {
        rig.now = Timestamp(10_000 + n * 10);
        rig.append("s", "{}");
    }
    for (time, first) in [(0, 1), (10_000, 1), (10_001, 2), (10_205, 22), (10_500, 51), (10_595, 61)] {
        let reply = rig.read("s", ReadFrom::Time(Timestamp(time)), 1);
        assert_eq!(numbers(&reply).first().copied().unwrap_or(61), first, "time {time}");
        assert!(reply.gaps.is_empty(), "time {time}: {:?}", reply.gaps);
    }
}

#[test]
fn a_read_from_a_time_after_the_last_event_is_at_the_tail() {
    let mut rig = Rig::new();
    rig.fill("s", 5);
    // In memory, in segments with a cached tail, and both.
    for life in 0..3 {
        let tail = rig.read("s", ReadFrom::Seq(SeqNum(1)), 100);
        let reply = rig.read("s", ReadFrom::Time(Timestamp(rig.now.0 + 1)), 100);
        assert_eq!((numbers(&reply), reply.at_tail), (Vec::new(), true), "life {life}");
        assert_eq!((reply.next, reply.gaps.len()), (tail.next, 0), "life {life}");
        rig = if life == 0 { rig.restart() } else { rig };
        rig.fill("s", life);
    }
}

#[test]
fn times_of_a_stream_never_go_back() {
    let mut rig = Rig::new();
    let first = rig.append("s", "{}").time;
    rig.now = Timestamp(5);
    assert_eq!(rig.append("s", "{}").time, first);
    let mut rig = rig.crash();
    assert_eq!(rig.append("s", "{}").time, first);
}

#[test]
fn several_events_of_one_append_are_contiguous() {
    let mut rig = Rig::new();
    let appended = rig.append_as(|to| append(to, "s", &["1", "2", "3"])).expect("taken");
    assert_eq!((appended.first, appended.count), (SeqNum(1), 3));
    assert_eq!(rig.crash().payloads("s"), ["1", "2", "3"]);
}

#[test]
fn a_condition_is_judged_against_all_that_was_appended() {
    let mut rig = Rig::new();
    rig.append("s", "1");
    let expect = |last, on_mismatch| Some(Expect { last: SeqNum(last), on_mismatch });
    let stale = rig.append_as(|to| engine::Append {
        expect: expect(0, OnMismatch::PreconditionFailed),
        ..append(to, "s", &["x"])
    });
    assert_eq!(stale, Err(Failure::PreconditionFailed { last: SeqNum(1) }));
    let lost = rig.append_as(|to| engine::Append {
        expect: expect(7, OnMismatch::Conflict),
        ..append(to, "s", &["x"])
    });
    assert_eq!(lost, Err(Failure::Conflict { expected: SeqNum(7), got: SeqNum(1) }));
    let held = rig.append_as(|to| engine::Append {
        expect: expect(1, OnMismatch::PreconditionFailed),
        ..append(to, "s", &["2"])
    });
    assert_eq!(held.expect("the condition holds").first, SeqNum(2));
}

#[test]
fn an_answer_that_tells_of_an_undurable_event_waits_for_it() {
    let mut rig = Rig::new();
    let (first, second) = (rig.to(), rig.to());
    rig.hand_in(Command::Append(append(first, "s", &["1"])));
    let expect = Some(Expect { last: SeqNum(0), on_mismatch: OnMismatch::PreconditionFailed });
    rig.hand_in(Command::Append(engine::Append { expect, ..append(second, "s", &["2"]) }));
    assert!(!rig.has_reply(second));
    rig.settle();
    assert_eq!(rig.reply(second), Reply::Failed(Failure::PreconditionFailed { last: SeqNum(1) }));
}

#[test]
fn a_retry_with_the_same_key_is_answered_with_the_first_reply_for_ever() {
    let with_key = |name: &'static str, digest| {
        move |to| engine::Append { idempotency: idempotency(name, digest), ..append(to, "s", &["1", "2"]) }
    };
    let mut rig = Rig::new();
    let first = rig.append_as(with_key("k", 7)).expect("taken");
    for life in 0..4 {
        let again = rig.append_as(with_key("k", 7)).expect("a retry succeeds");
        assert!(again.replayed, "life {life}");
        assert_eq!((again.first, again.count, again.time), (first.first, 2, first.time));
        assert_eq!(
            rig.append_as(with_key("k", 8)),
            Err(Failure::IdempotencyMismatch { seq: SeqNum(1) }),
            "life {life}"
        );
        rig = if life == 1 { rig.restart() } else { rig.crash() };
    }
    assert_eq!(rig.payloads("s"), ["1", "2"]);
}

#[test]
fn a_key_is_forgotten_after_its_window() {
    let mut rig = Rig::new();
    let with_key = |to| engine::Append { idempotency: idempotency("k", 7), ..append(to, "s", &["1"]) };
    rig.append_as(with_key).expect("taken");
    rig.now = Timestamp(rig.now.0 + rig.limits.idempotency_window_ms + 1);
    assert!(!rig.append_as(with_key).expect("taken").replayed);
}

#[test]
fn trimmed_events_are_told_as_a_gap_and_their_numbers_are_never_used_again() {
    let mut rig = Rig::new();
    rig.fill("s", 30);
    let mut rig = rig.restart();
    rig.fill("s", 5);
    let trimmed = rig.ask(|to| Command::Trim { to, stream: key("s"), before: SeqNum(33) });
    assert_eq!(trimmed, Reply::Trimmed { first: SeqNum(33) });
    for life in 0..3 {
        let reply = rig.read("s", ReadFrom::Seq(SeqNum(1)), 100);
        assert_eq!(numbers(&reply), [33, 34, 35], "life {life}");
        assert_eq!(reply.gaps.len(), 1);
        assert_eq!((reply.gaps[0].from, reply.gaps[0].to), (SeqNum(1), SeqNum(32)));
        assert_eq!(reply.gaps[0].cause, GapCause::Trimmed);
        rig = if life == 0 { rig.crash() } else { rig.restart() };
    }
    rig.ask(|to| Command::Trim { to, stream: key("s"), before: SeqNum(u64::MAX) });
    let mut rig = rig.crash();
    assert_eq!(rig.append("s", "{}").first, SeqNum(36));
}

#[test]
fn a_deleted_stream_is_gone_and_begins_again_at_1_in_a_greater_epoch() {
    let mut rig = Rig::new();
    rig.fill("s", 20);
    let epoch = rig.read("s", ReadFrom::Newest, 1).epoch;
    let mut rig = rig.restart();
    assert_eq!(rig.ask(|to| Command::Delete { to, stream: key("s") }), Reply::Deleted { existed: true });
    assert_eq!(rig.ask(|to| Command::Delete { to, stream: key("s") }), Reply::Deleted { existed: false });
    for _ in 0..2 {
        assert!(rig.payloads("s").is_empty());
        assert!(rig.list("b", ListPage { limit: 10, ..ListPage::default() }).is_empty());
        rig = rig.restart();
    }
    assert_eq!(rig.append("s", "new").first, SeqNum(1));
    let mut rig = rig.restart().crash();
    assert_eq!(rig.payloads("s"), ["new"]);
    assert!(rig.read("s", ReadFrom::Newest, 1).epoch > epoch);
}

#[test]
fn a_delete_and_an_append_in_one_group_are_applied_in_order() {
    let mut rig = Rig::new();
    rig.fill("s", 3);
    let (delete, add) = (rig.to(), rig.to());
    rig.hand_in(Command::Delete { to: delete, stream: key("s") });
    rig.hand_in(Command::Append(append(add, "s", &["new"])));
    rig.settle();
    let Reply::Appended(appended) = rig.reply(add) else { panic!("taken") };
    assert_eq!(appended.first, SeqNum(1));
    assert_eq!(rig.payloads("s"), ["new"]);
    assert_eq!(rig.crash().payloads("s"), ["new"]);
}

#[test]
fn a_listing_is_sorted_paged_and_up_to_date() {
    let mut rig = Rig::new();
    for name in ["d", "a", "c/x", "c/y", "b"] {
        rig.append(name, "{}");
    }
    let page = |prefix: &str, after: &str, limit| ListPage {
        prefix: prefix.to_owned(),
        after: after.to_owned(),
        limit,
    };
    assert_eq!(rig.list("b", page("", "", 10)), ["a", "b", "c/x", "c/y", "d"]);
    assert_eq!(rig.list("b", page("c/", "", 10)), ["c/x", "c/y"]);
    assert_eq!(rig.list("b", page("", "b", 2)), ["c/x", "c/y"]);
    assert!(rig.list("other", page("", "", 10)).is_empty());
    assert_eq!(rig.crash().list("b", page("", "", 1)), ["a"]);
    let mut rig = Rig::new();
    rig.append("a", "{}");
    let page = ListPage { limit: 10, ..ListPage::default() };
    let Reply::Buckets(buckets) = rig.ask(|to| Command::ListBuckets { to, page }) else { panic!("buckets") };
    assert_eq!(buckets.iter().map(|b| b.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_watcher_gets_every_event_from_the_promised_number_on() {
    let mut rig = Rig::new();
    rig.fill("s", 2);
    let target = WatchTarget::Stream(key("s"));
    let Reply::Watching { next, .. } = rig.ask(|to| Command::Watch { to, route: 9, target }) else {
        panic!("watching")
    };
    assert_eq!(next, SeqNum(3));
    rig.fill("s", 3);
    rig.append("t", "{}");
    let got: Vec<u64> = rig
        .deliveries
        .iter()
        .flat_map(|delivery| match &delivery.change {
            Change::Records(records) => records.iter().map(|record| record.seq().0).collect(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(got, [3, 4, 5]);
    rig.ask(|to| Command::Delete { to, stream: key("s") });
    assert_eq!(rig.deliveries.last().map(|d| d.change.clone()), Some(Change::Deleted));
    let told = rig.deliveries.len();
    rig.hand_in(Command::Unwatch { core: types::CoreId(0), route: 9 });
    rig.fill("s", 1);
    assert_eq!(rig.deliveries.len(), told);
}

#[test]
fn a_pattern_hears_of_streams_that_come_later() {
    let mut rig = Rig::new();
    let bucket = types::BucketName::parse("b").expect("a valid name");
    let pattern = types::StreamPattern::parse(bucket, "a/**").expect("a valid pattern");
    rig.ask(|to| Command::Watch { to, route: 1, target: WatchTarget::Pattern(pattern) });
    rig.append("a/x", "{}");
    rig.append("b/x", "{}");
    rig.append("a/y/z", "{}");
    let names: Vec<String> = rig.deliveries.iter().map(|d| d.stream.stream.to_string()).collect();
    assert_eq!(names, ["a/x", "a/y/z"]);
}

#[test]
fn bad_appends_are_refused_one_by_one() {
    let mut rig = Rig::new();
    assert!(matches!(rig.append_as(|to| append(to, "s", &[])), Err(Failure::InvalidBody { .. })));
    assert_eq!(rig.append_as(|to| append(to, "s", &["1"; 9])), Err(Failure::TooLarge { limit: 8 }));
    let large = "x".repeat(1025);
    assert_eq!(rig.append_as(|to| append(to, "s", &[&large])), Err(Failure::TooLarge { limit: 1024 }));
    let key = "k".repeat(256);
    let long_key = |to| engine::Append { idempotency: idempotency(&key, 1), ..append(to, "s", &["1"]) };
    assert!(matches!(rig.append_as(long_key), Err(Failure::InvalidField { .. })));
    let mut draft = types::EventDraft::json(Bytes::from_static(b"1"));
    draft.parent = Some(Bytes::from(vec![b'p'; 4096]));
    let long_header = |to| engine::Append { drafts: [draft].into(), ..append(to, "s", &["1"]) };
    assert!(matches!(rig.append_as(long_header), Err(Failure::TooLarge { .. })));
    assert_eq!(rig.append("s", "1").first, SeqNum(1));
}

#[test]
fn a_full_disk_refuses_appends_serves_reads_and_heals_by_itself() {
    let mut rig = Rig::new();
    rig.fill("s", 5);
    rig.disk.segment_fault = Some(engine::DiskErrorKind::NoSpace);
    let mut refused = None;
    for n in 0..400 {
        if let Err(failure) = rig.append_as(|to| append(to, "s", &["{}"])) {
            refused = Some((n, failure));
            break;
        }
    }
    let (taken, failure) = refused.expect("a journal that cannot be checkpointed fills up");
    assert_eq!(failure, Failure::StorageFull);
    assert_eq!(rig.payloads("s").len(), 5 + taken);
    rig.disk.segment_fault = None;
    rig.now = Timestamp(rig.now.0 + 1_000);
    rig.settle();
    assert!(rig.append_as(|to| append(to, "s", &["{}"])).is_ok());
    assert_eq!(rig.crash().payloads("s").len(), 6 + taken);
}

#[test]
fn an_idle_engine_proves_its_last_commit_once() {
    let mut rig = Rig::new();
    rig.append("s", "{}");
    let groups = rig.engine.stats().groups_written;
    let deadline = rig.engine.next_deadline().expect("a marker is due");
    assert!(deadline.0 <= rig.now.0 + 10);
    rig.now = deadline;
    rig.settle();
    assert_eq!(rig.engine.stats().groups_written, groups + 1);
    assert_eq!(rig.engine.next_deadline(), None);
    rig.now = Timestamp(rig.now.0 + 1_000);
    rig.settle();
    assert_eq!(rig.engine.stats().groups_written, groups + 1);
}

#[test]
fn after_a_clean_stop_nothing_is_replayed() {
    let mut rig = Rig::new();
    rig.fill("s", 10);
    rig.stop();
    let journal_blocks = |rig: &Rig| {
        rig.disk.files.iter().filter(|(f, _)| matches!(f, engine::FileId::Journal { .. })).count()
    };
    assert!(journal_blocks(&rig) >= 1);
    let mut rig = rig.crash();
    assert!(rig.notices.is_empty(), "{:?}", rig.notices);
    assert_eq!(rig.payloads("s").len(), 10);
}
