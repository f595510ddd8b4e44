//! Histories of readers, listings and watchers: what a reply shows, and what a delivery continues.
//!
//! One good and at least one bad story for every law; a story's own words are in the module above.

use super::*;

#[test]
fn a_reply_shows_what_was_acknowledged_before_the_question() {
    let mut story = two();
    let early = story.ask_read(1);
    story.stored("c", 3);
    let two_events = found(E1, &[record(1, 10, "a"), record(2, 20, "b")]);
    story.history.reply(early, &Reply::Read(two_events.clone())).unwrap();
    breaks(Law::Stale, story.read(two_events));
    breaks(Law::Stale, story.watch(3, E1));
    let to = story.to();
    story.history.submit(SHARD, &Command::Describe { to, stream: key() });
    breaks(Law::Stale, story.history.reply(to, &Reply::Described(None)));
}

#[test]
fn a_listing_is_sorted_whole_and_true() {
    let listing = |streams: &[&str], after: &str| {
        let mut story = two();
        story.history.set_owner(&key(), SHARD);
        let to = story.to();
        let bucket = key().bucket;
        let page = ListPage { after: after.to_owned(), limit: 10, ..ListPage::default() };
        story.history.submit(SHARD, &Command::ListStreams { to, bucket, page });
        let describe = |name: &&str| engine::StreamDescription {
            key: StreamKey::parse("b", name).unwrap(),
            epoch: E1,
            first: SeqNum(1),
            last: SeqNum(2),
            bytes: 100,
            last_time: Timestamp(20),
        };
        story.history.reply(to, &Reply::Streams(streams.iter().map(describe).collect()))
    };
    listing(&["s"], "").unwrap();
    breaks(Law::Stale, listing(&[], ""));
    listing(&[], "s").unwrap();
    breaks(Law::WrongReply, listing(&["s"], "s"));
    breaks(Law::Invented, listing(&["s", "t"], ""));
    breaks(Law::WrongReply, listing(&["s", "s"], ""));
}

#[test]
fn a_question_has_one_answer() {
    let mut story = Story::default();
    let to = story.append(&["a"]);
    story.ack(to, 1, 1).unwrap();
    breaks(Law::AnsweredTwice, story.ack(to, 1, 1));
}

#[test]
fn deliveries_continue_each_other() {
    let mut story = two();
    story.watch(3, E1).unwrap();
    story.append(&["c"]);
    story.append(&["d"]);
    breaks(Law::DeliveryOutOfOrder, story.delivered(&[record(4, 40, "d")]));
    story.delivered(&[record(3, 30, "c")]).unwrap();
    breaks(Law::DeliveryOutOfOrder, story.delivered(&[record(3, 30, "c")]));
    story.delivered(&[record(4, 40, "d")]).unwrap();
    let skip = Change::Skipped { from: SeqNum(5), next: SeqNum(7) };
    breaks(Law::GapUnexplained, story.deliver(E1, skip));
}

#[test]
fn a_watcher_is_told_of_a_deletion() {
    let mut story = two();
    story.watch(3, E1).unwrap();
    story.deleted();
    story.append(&["c"]);
    breaks(Law::DeliveryOutOfOrder, story.deliver(E9, Change::Records(vec![record(1, 30, "c")])));
    story.deliver(E1, Change::Deleted).unwrap();
    story.deliver(E9, Change::Records(vec![record(1, 30, "c")])).unwrap();
}

#[test]
fn a_watcher_misses_nothing() {
    let mut story = two();
    story.watch(3, E1).unwrap();
    story.stored("c", 3);
    let all = [record(1, 10, "a"), record(2, 20, "b"), record(3, 30, "c")];
    // The read says "you are in the present", the watch has not had the event.
    breaks(Law::DeliveryMissed, story.read(found(E1, &all)));
}
