//! One listener's view of its streams: the next number due in each, and what went wrong so far.
//!
//! Fed with the stamps of everything a listener receives. Law: `received + missing - repeated` of a stream is
//! how far it has come since its first number; a delivery that is neither the next nor one seen before counts
//! the numbers it skipped as missing, and one that comes after all as reordered.

use super::payload::Stamp;

/// What was wrong, over all streams of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Numbers that never came before a later one did.
    pub(crate) missing: u64,
    /// Numbers that came again, or late.
    pub(crate) repeated: u64,
    /// Events of streams that were not asked for.
    pub(crate) foreign: u64,
}

impl Faults {
    /// Adds another listener's.
    pub(crate) fn add(&mut self, other: Faults) {
        self.missing += other.missing;
        self.repeated += other.repeated;
        self.foreign += other.foreign;
    }

    /// Whether all was in order.
    pub(crate) fn is_none(&self) -> bool {
        *self == Faults::default()
    }
}

/// Follows the streams of one listener.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    /// Streams listened to, sorted, each with the next number due.
    streams: Vec<(u32, u64)>,
    faults: Faults,
}

impl Follower {
    /// A follower of `streams`, each with the first number that is due; sorted by stream.
    pub(crate) fn new(streams: Vec<(u32, u64)>) -> Follower {
        assert!(streams.is_sorted_by(|a, b| a.0 < b.0), "each stream once, in order");
        Follower { streams, faults: Faults::default() }
    }

    /// Takes one received event into account; whether it was the next of its stream.
    pub(crate) fn handle_stamp(&mut self, stamp: Stamp) -> bool {
        let found = match self.streams.as_slice() {
            [(only, _)] => (*only == stamp.stream).then_some(0),
            more => more.binary_search_by_key(&stamp.stream, |(stream, _)| *stream).ok(),
        };
        let Some(index) = found else {
            self.faults.foreign += 1;
            return false;
        };
        let next = &mut self.streams[index].1;
        if stamp.number < *next {
            self.faults.repeated += 1;
            return false;
        }
        self.faults.missing += stamp.number - *next;
        let is_next = stamp.number == *next;
        *next = stamp.number + 1;
        is_next
    }

    /// The streams with the number due next in each: where to resume.
    pub(crate) fn streams(&self) -> &[(u32, u64)] {
        &self.streams
    }

    /// Whether everything up to `last_of(stream)` has come, in every stream.
    pub(crate) fn is_complete(&self, last_of: impl Fn(u32) -> u64) -> bool {
        self.streams.iter().all(|(stream, next)| *next > last_of(*stream))
    }

    /// How many events up to `last_of(stream)` have not come.
    pub(crate) fn behind_count(&self, last_of: impl Fn(u32) -> u64) -> u64 {
        self.streams.iter().map(|(stream, next)| (last_of(*stream) + 1).saturating_sub(*next)).sum()
    }

    /// What went wrong.
    pub(crate) fn faults(&self) -> Faults {
        self.faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp(stream: u32, number: u64) -> Stamp {
        Stamp { intended_ns: 1, stream, number }
    }

    #[test]
    fn a_gap_a_repetition_and_a_strangers_event_are_told_apart() {
        let mut follower = Follower::new(vec![(3, 1), (5, 10)]);
        assert!(follower.handle_stamp(stamp(3, 1)) && follower.handle_stamp(stamp(5, 10)));
        assert!(!follower.handle_stamp(stamp(3, 4)), "2 and 3 are missing");
        assert!(!follower.handle_stamp(stamp(3, 3)), "it comes late");
        assert!(!follower.handle_stamp(stamp(4, 1)), "nobody asked for it");
        assert_eq!(follower.faults(), Faults { missing: 2, repeated: 1, foreign: 1 });
        assert_eq!(follower.streams(), [(3, 5), (5, 11)]);
        assert_eq!(follower.behind_count(|stream| if stream == 3 { 6 } else { 10 }), 2);
    }

    proptest! {
        #[test]
        fn without_faults_a_follower_is_complete_exactly_at_the_last_number(
            last in 1..100u64, upto in 0..120u64,
        ) {
            let mut follower = Follower::new(vec![(0, 1)]);
            (1..=upto).for_each(|number| assert!(follower.handle_stamp(stamp(0, number))));
            prop_assert!(follower.faults().is_none());
            prop_assert_eq!(follower.is_complete(|_| last), upto >= last);
            prop_assert_eq!(follower.behind_count(|_| last), last.saturating_sub(upto));
        }
    }
}
