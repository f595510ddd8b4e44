//! One event is seen, in a reply or a delivery: is it one that was appended, and is it where it must be?
//!
//! "Seen" binds for ever: from now on this event has this place, and may leave it only by trim, deletion
//! or reported damage.

use super::model::{Incarnation, Logical, Seen, Stream};
use super::{Checked, History, Law, Step};
use crate::rng::mix;
use types::{Epoch, Record, SeqNum, StreamKey};

impl History {
    /// Takes the sight of an event. `asked_at` is when the question was put whose answer shows it; a
    /// delivery answers no question.
    pub(super) fn see(
        &mut self,
        key: &StreamKey,
        epoch: Epoch,
        record: &Record,
        asked_at: Option<Step>,
    ) -> Checked {
        self.counts.seen += 1;
        let digest = digest(record.encoded());
        let Some(stream) = self.streams.get(key) else {
            return self.broken(Law::Invented, format!("{record:?} in {key}, which nobody wrote"));
        };
        let died_at = stream.dead_epochs.get(&epoch);
        if died_at.zip(asked_at).is_some_and(|(&died_at, asked_at)| died_at < asked_at) {
            return self.broken(Law::Undeleted, format!("{record:?} of {key} {epoch:?}"));
        }
        if let Some(seen) = stream.incarnations.get(&epoch).and_then(|i| i.seen.get(&record.seq())) {
            // With a lost index a stream's head may be lost, and its numbers used again.
            if seen.digest == digest || self.losses_told >= super::LOSSES_UNKNOWN {
                return Ok(());
            }
            let detail = format!("{record:?} of {key} {epoch:?} is not what was there before");
            return self.broken(Law::Changed, detail);
        }
        let Some(&(logical, at)) = self.payloads.get(record.payload()) else {
            return self.broken(Law::Invented, format!("{record:?} in {key}: nobody appended this payload"));
        };
        self.check_sight(key, epoch, record, logical, at, asked_at)?;
        self.check_neighbours(key, epoch, record)?;
        let first = SeqNum(record.seq().0 - at);
        self.logicals[logical].places.insert(epoch, first);
        let step = self.step;
        self.logicals[logical].first_seen.get_or_insert(step);
        let submit = self.logicals[logical].first_submit;
        let incarnation = self.stream(key).incarnations.entry(epoch).or_insert_with(|| Incarnation {
            since: submit,
            seen_at: step,
            ..Incarnation::default()
        });
        incarnation.since = incarnation.since.min(submit);
        incarnation.seen.insert(record.seq(), Seen { logical, digest, time: record.time() });
        Ok(())
    }

    fn check_sight(
        &self,
        key: &StreamKey,
        epoch: Epoch,
        record: &Record,
        index: usize,
        at: u64,
        asked_at: Option<Step>,
    ) -> Checked {
        let logical = &self.logicals[index];
        let stream = &self.streams[key];
        let says = |law, what: &str| self.broken(law, format!("{what}: {record:?} of {key} {epoch:?}"));
        if logical.stream != *key {
            return says(Law::Invented, "belongs to another stream");
        }
        if logical.is_rejected() {
            return says(Law::RejectedAppeared, "its append was refused");
        }
        // A lost deletion brings back what it had removed; a damaged group may be read again one day.
        let may_return =
            logical.loss_told || (self.damaged && !logical.forgiven && logical.first_seen.is_some());
        if logical.discarded && !may_return {
            return says(Law::Resurrected, "an earlier recovery had discarded it");
        }
        if !self.is_what_was_appended(record, index, at) {
            return says(Law::Changed, "headers differ from what was appended");
        }
        let Some(first) = record.seq().0.checked_sub(at).filter(|&first| first > 0).map(SeqNum) else {
            return says(Law::AppendTorn, "the events before it have no room");
        };
        match logical.places.get(&epoch) {
            Some(&place) if place != first && !self.may_be_stored_again(logical, stream, place) => {
                return says(Law::Duplicated, "has another place too");
            }
            None if !logical.places.is_empty()
                && !stream.deletion_can_reach(logical.first_submit)
                && !self.may_be_stored_again(logical, stream, SeqNum(u64::MAX)) =>
            {
                return says(Law::Duplicated, "is in another incarnation too");
            }
            _ => (),
        }
        self.check_acknowledged((key, epoch), record, index, first, asked_at)
    }

    /// An event that was acknowledged stands where the answer said, unless it was deleted.
    fn check_acknowledged(
        &self,
        (key, epoch): (&StreamKey, Epoch),
        record: &Record,
        index: usize,
        first: SeqNum,
        asked_at: Option<Step>,
    ) -> Checked {
        let (logical, stream) = (&self.logicals[index], &self.streams[key]);
        let says = |law, what: &str| self.broken(law, format!("{what}: {record:?} of {key} {epoch:?}"));
        let Some(acked) = logical.acked else { return Ok(()) };
        let is_dead = |asked_at| acked.at.max(logical.last_submit) < stream.dead_before(asked_at);
        if asked_at.is_some_and(is_dead) {
            return says(Law::Undeleted, "acknowledged before a deletion that was acknowledged");
        }
        let since = stream.incarnations.get(&epoch).map_or(logical.first_submit, |i| i.since);
        let surely_present = !stream.deletion_can_reach(since.min(logical.first_submit));
        if acked.generation == Some(stream.generation) && surely_present && !self.damaged {
            if acked.first != first {
                return says(Law::Changed, "was acknowledged at another place");
            }
            if acked.time != record.time() {
                return says(Law::Changed, "was acknowledged with another time");
            }
        }
        Ok(())
    }

    /// Whether damage may have taken an append's key, so that a retry was stored anew: with its event, or,
    /// when that was trimmed, with the index that alone held the key.
    fn may_be_stored_again(&self, logical: &Logical, stream: &Stream, place: SeqNum) -> bool {
        let trimmed = self.damaged && stream.trim_can_reach(0, place);
        logical.forgiven || trimmed || self.losses_told >= super::LOSSES_UNKNOWN
    }

    fn is_what_was_appended(&self, record: &Record, logical: usize, at: u64) -> bool {
        let logical = &self.logicals[logical];
        let draft = &logical.drafts[at as usize];
        let key = record.idempotency().map(|(key, count)| (key, u64::from(count)));
        let expected_key = logical.key.clone().filter(|_| at == 0).map(|key| (key, logical.count()));
        record.is_json() == draft.json
            && record.content_type() == draft.content_type.as_deref()
            && record.parent() == draft.parent.as_deref()
            && record.traceparent() == draft.traceparent.as_deref()
            && key == expected_key
    }

    fn check_neighbours(&self, key: &StreamKey, epoch: Epoch, record: &Record) -> Checked {
        let Some(incarnation) = self.streams[key].incarnations.get(&epoch) else {
            return Ok(());
        };
        let (seq, time) = (record.seq(), record.time());
        let before = incarnation.seen.range(..seq).next_back();
        let after = incarnation.seen.range(seq..).next();
        let sound =
            before.is_none_or(|(_, seen)| seen.time <= time) && after.is_none_or(|(_, s)| s.time >= time);
        // The time of the last event may have been lost with it.
        if sound || self.damaged {
            return Ok(());
        }
        self.broken(Law::TimeWentBack, format!("{record:?} of {key} between {before:?} and {after:?}"))
    }
}

/// A hash of content that is compared only with itself.
fn digest(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash ^ u64::from_le_bytes(word));
    }
    hash
}
