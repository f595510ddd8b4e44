//! Appends: what is submitted, and what an answer to it may say.
//!
//! An append with an idempotency key is one logical append, however often it is tried. An acknowledgement
//! fixes its place for ever; an error after submission means unknown, never absent.

use super::model::{Acked, Logical};
use super::{Asked, Checked, History, Law};
use engine::{AckLevel, Append, Appended, Expect, Reply};
use std::collections::BTreeMap;
use types::{Failure, SeqNum, Unavailable};

impl History {
    pub(super) fn submit_append(&mut self, append: &Append) -> Asked {
        let logical = self.logical_of(append);
        self.logicals[logical].open_attempts += 1;
        // A retry may store what a recovery had discarded.
        self.logicals[logical].discarded = false;
        self.logicals[logical].last_submit = self.step;
        Asked::Append { logical, expect: append.expect, ack: append.ack }
    }

    fn logical_of(&mut self, append: &Append) -> usize {
        if let Some(&(logical, _)) = self.payloads.get(&append.drafts[0].payload) {
            let known = &self.logicals[logical];
            let same = known.key == append.idempotency && known.drafts == append.drafts;
            assert!(same && known.key.is_some(), "only a retry with a key repeats a payload");
            return logical;
        }
        let index = self.logicals.len();
        for (at, draft) in append.drafts.iter().enumerate() {
            let earlier = self.payloads.insert(draft.payload.clone(), (index, at as u64));
            assert!(earlier.is_none(), "every event of a run has its own payload");
        }
        if let Some(idempotency) = &append.idempotency {
            let key = (append.stream.clone(), idempotency.key.clone());
            self.keys.entry(key).or_default().push(index);
        }
        self.logicals.push(Logical {
            stream: append.stream.clone(),
            drafts: append.drafts.clone(),
            key: append.idempotency.clone(),
            first_submit: self.step,
            last_submit: self.step,
            open_attempts: 0,
            maybe_stored: false,
            acked: None,
            places: BTreeMap::new(),
            discarded: false,
            forgiven: false,
            loss_told: false,
            first_seen: None,
        });
        self.stream(&append.stream).logicals.push(index);
        index
    }

    pub(super) fn append_unknown(&mut self, logical: usize) {
        let logical = &mut self.logicals[logical];
        logical.open_attempts -= 1;
        logical.maybe_stored = true;
        self.counts.unknown += 1;
    }

    pub(super) fn append_answered(
        &mut self,
        asked_at: u64,
        logical: usize,
        expect: Option<Expect>,
        ack: AckLevel,
        reply: &Reply,
    ) -> Checked {
        match reply {
            Reply::Appended(appended) => self.appended(asked_at, logical, expect, ack, appended),
            Reply::Failed(Failure::Unavailable(Unavailable::Stopped)) => {
                self.append_unknown(logical);
                Ok(())
            }
            Reply::Failed(failure) => self.append_refused(logical, expect, failure),
            reply => self.broken(Law::WrongReply, format!("an append is answered with {reply:?}")),
        }
    }

    fn appended(
        &mut self,
        asked_at: u64,
        index: usize,
        expect: Option<Expect>,
        ack: AckLevel,
        appended: &Appended,
    ) -> Checked {
        self.logicals[index].open_attempts -= 1;
        self.check_reply(index, expect, ack, appended)?;
        self.check_key(asked_at, index, appended)?;
        if appended.ack == AckLevel::Memory {
            self.logicals[index].maybe_stored = true;
            return Ok(());
        }
        self.counts.acked += 1;
        let stream = &self.streams[&self.logicals[index].stream];
        // An answer belongs to the present incarnation only if no deletion can have come in between.
        let deleted_since = stream.deletion_can_reach(asked_at);
        let generation = (!deleted_since).then_some(stream.generation);
        let step = self.step;
        let logical = &mut self.logicals[index];
        logical.first_seen.get_or_insert(step);
        let last = SeqNum(appended.first.0 + logical.count() - 1);
        let stored_at = if appended.replayed { logical.first_submit } else { asked_at };
        let acked =
            Acked { at: step, asked_at: stored_at, first: appended.first, time: appended.time, generation };
        match logical.acked {
            // A key that was damaged with its event stands for nothing: the retry is stored anew.
            Some(_) if self.damaged && !appended.replayed => logical.acked = Some(acked),
            Some(earlier) if earlier.generation.is_some() && earlier.generation == generation => {
                if (earlier.first, earlier.time) != (acked.first, acked.time) {
                    let detail = format!("a retry is answered {acked:?}, at first it was {earlier:?}");
                    return self.broken(Law::Duplicated, detail);
                }
            }
            // What is told again may be long deleted; what is stored again counts from now.
            Some(_) if appended.replayed => (),
            _ => logical.acked = Some(acked),
        }
        if generation.is_some() {
            let key = self.logicals[index].stream.clone();
            let stream = self.stream(&key);
            stream.tail_floor = stream.tail_floor.max(last);
        }
        self.check_places(index)
    }

    fn check_reply(
        &self,
        index: usize,
        expect: Option<Expect>,
        ack: AckLevel,
        appended: &Appended,
    ) -> Checked {
        let logical = &self.logicals[index];
        let wrong = |what: &str| {
            let detail = format!("{what}: append to {} is answered {appended:?}", logical.stream);
            self.broken(Law::WrongReply, detail)
        };
        if u64::from(appended.count) != logical.count() || appended.first == SeqNum::ZERO {
            return wrong("count or place");
        }
        if ack == AckLevel::Fsync && appended.ack != AckLevel::Fsync {
            return wrong("weaker acknowledgement than asked for");
        }
        // After damage numbers are skipped that may have been held.
        let follows = |expect: Expect| {
            expect.last.next() == appended.first || (self.damaged && expect.last < appended.first)
        };
        if !appended.replayed && !expect.is_none_or(follows) {
            return wrong("condition did not hold");
        }
        let may_be_stored = logical.acked.is_some() || logical.maybe_stored || logical.open_attempts > 0;
        if appended.replayed && (logical.key.is_none() || !may_be_stored) {
            return wrong("nothing to replay");
        }
        Ok(())
    }

    /// A key stands for one body, and a retry of what was acknowledged says so.
    fn check_key(&self, asked_at: u64, index: usize, appended: &Appended) -> Checked {
        let logical = &self.logicals[index];
        let Some(idempotency) = &logical.key else {
            return Ok(());
        };
        let stream = &self.streams[&logical.stream];
        for &other in &self.keys[&(logical.stream.clone(), idempotency.key.clone())] {
            let Some(acked) = self.logicals[other].acked else {
                continue;
            };
            let stands = acked.at < asked_at && acked.generation == Some(stream.generation);
            if !stands || self.logicals[other].forgiven || self.damaged {
                continue;
            }
            if other != index {
                let detail =
                    format!("key {:?} of {} is taken for two bodies", idempotency.key, logical.stream);
                return self.broken(Law::WrongReply, detail);
            }
            if !appended.replayed {
                let detail = format!("a retry in {} is stored again: {appended:?}", logical.stream);
                return self.broken(Law::Duplicated, detail);
            }
        }
        Ok(())
    }

    /// Where it was seen is where it was acknowledged.
    fn check_places(&self, index: usize) -> Checked {
        if self.damaged {
            // A retry may have been stored anew because its first place is damaged.
            return Ok(());
        }
        let logical = &self.logicals[index];
        let Some(acked) = logical.acked else { return Ok(()) };
        let stream = &self.streams[&logical.stream];
        // The newest incarnation that anybody saw, when it is surely the present one.
        let current = stream.incarnations.last_key_value();
        let current = current.filter(|(_, incarnation)| !stream.deletion_can_reach(incarnation.since));
        let current = current.map(|(&epoch, _)| epoch);
        let Some(seen) = current.and_then(|epoch| logical.places.get(&epoch)) else {
            return Ok(());
        };
        if acked.generation == Some(stream.generation) && *seen != acked.first {
            let detail = format!("{} {acked:?} was seen at {seen}", logical.stream);
            return self.broken(Law::Changed, detail);
        }
        Ok(())
    }

    fn append_refused(&mut self, index: usize, expect: Option<Expect>, failure: &Failure) -> Checked {
        self.logicals[index].open_attempts -= 1;
        let logical = &self.logicals[index];
        if logical.is_rejected() && !logical.places.is_empty() {
            let detail = format!("{} {:?} after {failure:?}", logical.stream, logical.places);
            return self.broken(Law::RejectedAppeared, detail);
        }
        let justified = match failure {
            Failure::PreconditionFailed { last } => expect.is_some_and(|expect| expect.last != *last),
            Failure::Conflict { expected, got } => {
                expect.is_some_and(|expect| expect.last == *expected && expected != got)
            }
            Failure::IdempotencyMismatch { .. } => logical.key.as_ref().is_some_and(|idempotency| {
                self.keys[&(logical.stream.clone(), idempotency.key.clone())].len() > 1
            }),
            Failure::TooLarge { .. } => true,
            failure => return self.refusal_is_allowed(failure),
        };
        if justified {
            return Ok(());
        }
        self.broken(
            Law::WrongReply,
            format!("append to {} with {expect:?} fails: {failure:?}", logical.stream),
        )
    }
}
