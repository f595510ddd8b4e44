//! Histories with deletions and trims: what is gone stays gone, and nothing goes by itself.
//!
//! One good and at least one bad story for every law; a story's own words are in the module above.

use super::*;

#[test]
fn what_was_deleted_stays_deleted() {
    let mut story = two();
    let all = [record(1, 10, "a"), record(2, 20, "b")];
    story.read(found(E1, &all)).unwrap();
    story.deleted();
    story.read(found(Epoch(0), &[])).unwrap();
    breaks(Law::Undeleted, story.read(found(E1, &all)));
    let mut story = two();
    story.deleted();
    // In whatever incarnation: these events were acknowledged before.
    breaks(Law::Undeleted, story.read(found(E9, &all)));
}

#[test]
fn a_new_incarnation_needs_a_deletion() {
    let mut story = two();
    story.read(found(E1, &[record(1, 10, "a"), record(2, 20, "b")])).unwrap();
    story.append(&["c"]);
    story.history.crash();
    let reply = found(E9, &[record(1, 30, "c")]);
    story.history.begin_audit();
    breaks(Law::Stale, story.read(reply.clone()));
    let mut story = two();
    story.read(found(E1, &[record(1, 10, "a"), record(2, 20, "b")])).unwrap();
    let to = story.delete();
    story.append(&["c"]);
    story.history.crash();
    story.audit(reply).unwrap();
    assert_eq!(story.history.open_count(), 0, "{to:?}");
}

#[test]
fn what_was_trimmed_stays_trimmed() {
    let mut story = two();
    let to = story.to();
    story.history.submit(SHARD, &Command::Trim { to, stream: key(), before: SeqNum(2) });
    story.history.reply(to, &Reply::Trimmed { first: SeqNum(2) }).unwrap();
    let gap = Gap { from: SeqNum(1), to: SeqNum(1), cause: GapCause::Trimmed };
    let mut reply = found(E1, &[record(2, 20, "b")]);
    breaks(Law::Hole, story.read(reply.clone()));
    reply.gaps.push(gap);
    story.audit(reply).unwrap();
    breaks(Law::Untrimmed, story.read(found(E1, &[record(1, 10, "a"), record(2, 20, "b")])));
}

#[test]
fn events_do_not_leave_without_a_trim() {
    let mut story = two();
    let all = [record(1, 10, "a"), record(2, 20, "b")];
    story.read(found(E1, &all)).unwrap();
    let mut reply = found(E1, &all[1..]);
    reply.gaps.push(Gap { from: SeqNum(1), to: SeqNum(1), cause: GapCause::Trimmed });
    breaks(Law::SeenVanished, story.audit(reply));
}
