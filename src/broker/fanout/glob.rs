//! One listener's places in all streams that a pattern names, as a value.
//!
//! A stream that is listed and has no child here is live, which costs nothing; a child exists while its
//! stream is read, missed, or owes word of a reset. A listener that goes back to the past lists the streams
//! page by page; activity of a stream that the listing has not reached makes its child at once, so that
//! nothing falls between the listing and the deliveries.
//! Invariants: every child behind the listing's cursor is not settled; `children.len() <= children_max`, or
//! the listener is to be closed.

use super::positions::Place;
use super::subscription::{Answer, Offer, Part, Position, ReadTicket, Slow, Start, Subscription, Want};
use engine::{Gap, GapCause, ReadFrom, ReadReply};
use std::collections::BTreeMap;
use types::{Epoch, SeqNum, StreamKey, StreamName, StreamPattern, Timestamp, stream_hash};

/// Children that are wanted before the next page is listed.
const CHILDREN_AHEAD: usize = 64;

/// Where the streams of a pattern start that the listener got nothing of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Now,
    From(SeqNum),
    Since(Timestamp),
}

/// How far the streams are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Listed {
    /// Up to this name, inclusive.
    Upto(Option<StreamName>),
    All,
}

/// The listener cannot hold so many streams that are behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyBehind;

#[derive(Debug)]
pub(super) struct Glob {
    pattern: StreamPattern,
    rest: Rest,
    /// Streams that an earlier listener got something of, by the hash of their names.
    known: BTreeMap<u64, Position>,
    listed: Listed,
    listing: bool,
    children: BTreeMap<StreamName, Subscription>,
    children_max: usize,
    slow: Slow,
    /// More streams were deleted than are remembered: from now on every new one is told as a reset.
    tells_every_reset: bool,
    began: Timestamp,
}

impl Glob {
    /// A pattern that starts with what comes, at `from`, or where an earlier listener stopped.
    pub(super) fn new(
        pattern: StreamPattern,
        from: Option<SeqNum>,
        after: Option<Place>,
        slow: Slow,
        now: Timestamp,
        children_max: usize,
    ) -> Glob {
        let (began, known, resumes) = match after {
            Some(Place::Pattern { since, seen }) => (since, seen, true),
            Some(Place::Stream(_)) | None => (now, BTreeMap::new(), false),
        };
        let rest = match from {
            Some(from) => Rest::From(from),
            None if resumes => Rest::Since(began),
            None => Rest::Now,
        };
        let listed = if rest == Rest::Now { Listed::All } else { Listed::Upto(None) };
        Glob {
            pattern,
            rest,
            known,
            listed,
            listing: false,
            children: BTreeMap::new(),
            children_max,
            slow,
            tells_every_reset: false,
            began,
        }
    }

    /// The name after which the next page is to be listed, if one is.
    pub(super) fn begin_listing(&mut self) -> Option<String> {
        let Listed::Upto(last) = &self.listed else { return None };
        if self.listing || self.children.len() >= CHILDREN_AHEAD {
            return None;
        }
        self.listing = true;
        Some(last.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default())
    }

    /// A page was listed: streams of the pattern's bucket with their ends, ascending. Gives those that are
    /// behind now.
    pub(super) fn handle_listing(
        &mut self,
        streams: &[(StreamKey, Position)],
        is_last: bool,
    ) -> Result<Vec<StreamKey>, TooManyBehind> {
        assert!(self.listing, "a page was asked for");
        self.listing = false;
        for (key, present) in streams {
            if self.pattern.matches(key) && !self.children.contains_key(&key.stream) {
                let mut child = Subscription::new(self.start_of(key), self.slow);
                child.handle_open(*present);
                self.children.insert(key.stream.clone(), child);
            }
        }
        self.listed = match streams.last() {
            Some((key, _)) if !is_last => Listed::Upto(Some(key.stream.clone())),
            _ => Listed::All,
        };
        let listed = &self.listed;
        self.children.retain(|name, child| !(child.is_settled() && listed.reaches(name)));
        self.check_count()?;
        let behind = streams.iter().map(|(key, _)| key).filter(|key| self.want(&key.stream) == Want::Read);
        Ok(behind.cloned().collect())
    }

    /// New events of a stream arrived.
    pub(super) fn offer(
        &mut self,
        key: &StreamKey,
        offer: Offer,
        has_room: bool,
    ) -> Result<Answer, TooManyBehind> {
        let is_listed = self.listed.reaches(&key.stream);
        if !self.children.contains_key(&key.stream) {
            if is_listed && has_room {
                let is_new = offer.first == SeqNum::FIRST && self.tells_every_reset;
                return Ok(Answer::Take(is_new.then_some(offer.epoch)));
            }
            let start = if is_listed { Start::Now } else { self.start_of(key) };
            let mut child = Subscription::new(start, self.slow);
            child.handle_open(Position { epoch: offer.epoch, next: offer.first });
            self.children.insert(key.stream.clone(), child);
            self.check_count()?;
        }
        Ok(self.with_child(key, |child| child.offer(offer, has_room)).unwrap_or(Answer::Leave))
    }

    pub(super) fn handle_deleted(&mut self, key: &StreamKey, epoch: Epoch) {
        if !self.children.contains_key(&key.stream) {
            if !self.listed.reaches(&key.stream) {
                return;
            }
            if self.children.len() >= self.children_max {
                self.tells_every_reset = true;
                return;
            }
            let mut child = Subscription::new(Start::Now, self.slow);
            child.handle_open(Position { epoch, next: SeqNum::FIRST });
            self.children.insert(key.stream.clone(), child);
        }
        self.with_child(key, Subscription::handle_deleted);
    }

    /// The shard skipped `from..next` of a stream after damage. Gives the gap to be told.
    pub(super) fn handle_skipped(&mut self, key: &StreamKey, from: SeqNum, next: SeqNum) -> Option<Gap> {
        if self.children.contains_key(&key.stream) {
            return self.with_child(key, |child| child.handle_skipped(from, next)).flatten();
        }
        let gap = Gap { from, to: next.previous(), cause: GapCause::Damaged };
        self.listed.reaches(&key.stream).then_some(gap)
    }

    /// Starts the read that a child wants.
    pub(super) fn begin_read(&mut self, name: &StreamName) -> (ReadFrom, ReadTicket) {
        self.children.get_mut(name).expect("only a child wants a read").begin_read()
    }

    /// See [`Subscription::handle_read`].
    pub(super) fn handle_read(
        &mut self,
        key: &StreamKey,
        ticket: ReadTicket,
        reply: ReadReply,
    ) -> Option<Vec<Part>> {
        self.with_child(key, |child| child.handle_read(ticket, reply)).flatten()
    }

    /// See [`Subscription::jump`].
    pub(super) fn jump(&mut self, key: &StreamKey) -> (Epoch, Vec<Part>) {
        self.with_child(key, Subscription::jump).expect("only a child jumps")
    }

    pub(super) fn want(&self, name: &StreamName) -> Want {
        self.children.get(name).map_or(Want::Nothing, Subscription::want)
    }

    /// Whether nothing of the past is left to be given.
    pub(super) fn is_live(&self) -> bool {
        self.listed == Listed::All && self.children.values().all(Subscription::is_live)
    }

    pub(super) fn slow(&self) -> Slow {
        self.slow
    }

    pub(super) fn pattern(&self) -> &StreamPattern {
        &self.pattern
    }

    /// Where a listener that is given this place goes on.
    pub(super) fn place(&self) -> Place {
        Place::Pattern { since: self.began, seen: self.known.clone() }
    }

    fn start_of(&self, key: &StreamKey) -> Start {
        match (self.known.get(&stream_hash(key)), self.rest) {
            (Some(position), _) => Start::After(*position),
            (None, Rest::Now) => Start::Now,
            (None, Rest::From(from)) => Start::From(from),
            (None, Rest::Since(time)) => Start::Since(time),
        }
    }

    /// Changes a child, and forgets it when it is settled.
    fn with_child<T>(&mut self, key: &StreamKey, change: impl FnOnce(&mut Subscription) -> T) -> Option<T> {
        let child = self.children.get_mut(&key.stream)?;
        let result = change(child);
        if child.is_settled() && self.listed.reaches(&key.stream) {
            self.children.remove(&key.stream);
        }
        Some(result)
    }

    fn check_count(&self) -> Result<(), TooManyBehind> {
        if self.children.len() > self.children_max { Err(TooManyBehind) } else { Ok(()) }
    }
}

impl Listed {
    fn reaches(&self, name: &StreamName) -> bool {
        match self {
            Listed::All => true,
            Listed::Upto(last) => last.as_ref().is_some_and(|last| name <= last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::BucketName;

    fn key(name: &str) -> StreamKey {
        StreamKey::parse("b", name).expect("a valid name")
    }

    fn glob(from: Option<u64>, after: Option<Place>, slow: Slow) -> Glob {
        let pattern = StreamPattern::parse(BucketName::parse("b").expect("valid"), "*").expect("valid");
        Glob::new(pattern, from.map(SeqNum), after, slow, Timestamp(50), 3)
    }

    fn offer(events: std::ops::Range<u64>) -> Offer {
        Offer { epoch: Epoch(4), first: SeqNum(events.start), next: SeqNum(events.end) }
    }

    fn present(next: u64) -> Position {
        Position { epoch: Epoch(4), next: SeqNum(next) }
    }

    fn reply_at_tail(next: u64) -> ReadReply {
        ReadReply { epoch: Epoch(4), last: SeqNum(next - 1), next: SeqNum(next), ..ReadReply::of_nothing() }
    }

    #[test]
    fn live_streams_cost_nothing() {
        let mut glob = glob(None, None, Slow::Wait);
        assert_eq!(glob.begin_listing(), None);
        for name in ["a", "b", "c", "d", "e"] {
            assert_eq!(glob.offer(&key(name), offer(7..9), true), Ok(Answer::Take(None)));
        }
        assert!(glob.children.is_empty() && glob.is_live());
    }

    #[test]
    fn a_stream_that_finds_no_room_is_read_until_it_is_live_again() {
        let mut glob = glob(None, None, Slow::Wait);
        assert_eq!(glob.offer(&key("a"), offer(7..9), false), Ok(Answer::Leave));
        assert_eq!(glob.offer(&key("b"), offer(1..2), true), Ok(Answer::Take(None)), "others go on");
        assert_eq!(glob.want(&key("a").stream), Want::Read);
        let (from, ticket) = glob.begin_read(&key("a").stream);
        assert_eq!(from, ReadFrom::Seq(SeqNum(7)));
        glob.handle_read(&key("a"), ticket, reply_at_tail(9));
        assert!(glob.is_live() && glob.children.is_empty());
    }

    #[test]
    fn the_past_of_every_stream_is_listed_and_activity_does_not_wait_for_it() {
        let mut glob = glob(Some(1), None, Slow::Wait);
        assert_eq!(glob.begin_listing(), Some(String::new()));
        assert_eq!(glob.begin_listing(), None, "one page at a time");
        assert_eq!(glob.offer(&key("z"), offer(5..6), true), Ok(Answer::Leave), "1 to 4 come first");
        assert_eq!(glob.offer(&key("y"), offer(1..2), true), Ok(Answer::Take(None)), "it has no past");
        assert_eq!(glob.offer(&key("y"), offer(2..3), true), Ok(Answer::Take(None)));
        let page = [(key("a"), present(3)), (key("c"), present(1))];
        assert_eq!(glob.handle_listing(&page, false), Ok(vec![key("a")]));
        assert_eq!(glob.begin_listing(), Some("c".to_owned()));
        assert_eq!(
            glob.handle_listing(&[(key("y"), present(2)), (key("z"), present(5))], true),
            Ok(vec![key("z")])
        );
        assert_eq!(glob.children.len(), 2, "a and z are behind, y is live");
        assert!(!glob.is_live());
    }

    #[test]
    fn a_listener_that_comes_back_goes_on_in_each_stream() {
        let seen = BTreeMap::from([(stream_hash(&key("a")), present(8))]);
        let place = Place::Pattern { since: Timestamp(9), seen };
        let mut glob = glob(None, Some(place.clone()), Slow::Wait);
        assert_eq!(glob.place(), place);
        glob.begin_listing();
        let page = [(key("a"), present(12)), (key("b"), present(5))];
        assert_eq!(glob.handle_listing(&page, true), Ok(vec![key("a"), key("b")]));
        assert_eq!(glob.begin_read(&key("a").stream).0, ReadFrom::Seq(SeqNum(8)));
        assert_eq!(glob.begin_read(&key("b").stream).0, ReadFrom::Time(Timestamp(9)));
    }

    #[test]
    fn a_deleted_stream_that_comes_back_is_told() {
        let mut glob = glob(None, None, Slow::Wait);
        glob.handle_deleted(&key("a"), Epoch(2));
        assert_eq!(glob.offer(&key("a"), offer(1..2), true), Ok(Answer::Take(Some(Epoch(4)))));
        assert!(glob.children.is_empty());
        ["a", "b", "c", "d"].iter().for_each(|name| glob.handle_deleted(&key(name), Epoch(2)));
        assert_eq!(glob.children.len(), 3);
        assert_eq!(
            glob.offer(&key("d"), offer(1..2), true),
            Ok(Answer::Take(Some(Epoch(4)))),
            "told all the same"
        );
    }

    #[test]
    fn more_streams_behind_than_allowed_end_the_listener() {
        let mut glob = glob(None, None, Slow::Wait);
        for name in ["a", "b", "c"] {
            assert_eq!(glob.offer(&key(name), offer(7..9), false), Ok(Answer::Leave));
        }
        assert_eq!(glob.offer(&key("d"), offer(7..9), false), Err(TooManyBehind));
    }
}
