//! An audit: every stream is read from end to end while nothing else is under way, and the history settles
//! what survived.
//!
//! Done after a recovery, and at the end of a life. What was acknowledged or seen must be there unless a
//! deletion, a trim, or damage that was reported excuses it. What was unknown and is not there is
//! discarded: it may never come back. Deletions and trims whose outcome was unknown are decided.

use super::model::{Outcome, Stream};
use super::{Checked, History, Law, Step};
use engine::{GapCause, Read, ReadFrom, ReadReply};
use std::collections::{BTreeMap, BTreeSet};
use types::{Epoch, SeqNum, StreamKey};

/// What an audit has read so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Audit {
    since: Step,
    streams: BTreeMap<StreamKey, Audited>,
}

#[derive(Clone, Debug, Default)]
struct Audited {
    epoch: Epoch,
    first: SeqNum,
    last: SeqNum,
    present: BTreeSet<SeqNum>,
    damaged: Vec<(SeqNum, SeqNum)>,
    next: Option<SeqNum>,
    complete: bool,
}

/// What is not there and should be.
#[derive(Debug, Default)]
struct Missing {
    seen: Vec<(Epoch, SeqNum)>,
    /// Stood in a group that nothing proved: its numbers may be used again.
    forgiven: Vec<(Epoch, SeqNum)>,
    /// Appends that were acknowledged and never seen.
    acked: Vec<usize>,
}

impl Audited {
    fn is_damaged(&self, seq: SeqNum) -> bool {
        self.damaged.iter().any(|&(from, to)| from <= seq && seq <= to)
    }
}

impl History {
    /// From now on, reads that begin at sequence number 1 and go on where the reply says make up an audit.
    ///
    /// # Panics
    /// When a change is under way.
    pub fn begin_audit(&mut self) {
        assert!(self.asks.is_empty(), "an audit needs silence");
        self.step += 1;
        self.audit = Some(Audit { since: self.step, ..Audit::default() });
    }

    /// Where the audit of a stream goes on; `None` when it has been read to its end.
    pub fn audit_next(&self, key: &StreamKey) -> Option<SeqNum> {
        let audit = self.audit.as_ref().expect("an audit was begun");
        match audit.streams.get(key) {
            None => Some(SeqNum::FIRST),
            Some(audited) if audited.complete => None,
            Some(audited) => audited.next,
        }
    }

    /// Everything was read.
    ///
    /// # Errors
    /// The law that what is there, or is not, breaks.
    ///
    /// # Panics
    /// When some stream was not read to its end.
    pub fn finish_audit(&mut self) -> Checked {
        self.step += 1;
        let audit = self.audit.take().expect("an audit was begun");
        for key in self.streams() {
            let audited = audit.streams.get(&key).filter(|audited| audited.complete);
            let audited = audited.unwrap_or_else(|| panic!("{key} was not read to its end"));
            self.check_stream(&key, audited)?;
            self.check_watchers(&key, audited.epoch, audited.last)?;
            self.settle(&key, audited);
        }
        Ok(())
    }

    pub(super) fn audit_read(&mut self, asked_at: Step, read: &Read, reply: &ReadReply) -> Checked {
        let step = self.step;
        let Some(audit) = self.audit.as_mut().filter(|audit| asked_at >= audit.since) else {
            return Ok(());
        };
        let audited = audit.streams.entry(read.stream.clone()).or_default();
        let expected = audited.next.unwrap_or(SeqNum::FIRST);
        if read.from != ReadFrom::Seq(expected) || audited.complete {
            return Ok(());
        }
        (audited.epoch, audited.first, audited.last) = (reply.epoch, reply.first, reply.last);
        audited.present.extend(reply.records.iter().map(types::Record::seq));
        let damaged = reply.gaps.iter().filter(|gap| gap.cause == GapCause::Damaged);
        audited.damaged.extend(damaged.map(|gap| (gap.from, gap.to)));
        let stuck = reply.next <= expected && !reply.at_tail;
        (audited.next, audited.complete) = (Some(reply.next), reply.at_tail || reply.epoch == Epoch(0));
        if stuck && reply.epoch != Epoch(0) {
            let detail = format!("{read:?} does not get on: {reply:?}");
            return Err(super::Violation { law: Law::WrongReply, detail, step });
        }
        Ok(())
    }

    pub(super) fn audit_corrupt(&mut self, asked_at: Step, read: &Read, from: SeqNum, to: SeqNum) {
        let Some(audit) = self.audit.as_mut().filter(|audit| asked_at >= audit.since) else {
            return;
        };
        let audited = audit.streams.entry(read.stream.clone()).or_default();
        if read.from == ReadFrom::Seq(audited.next.unwrap_or(SeqNum::FIRST)) {
            audited.damaged.push((from, to));
            audited.next = Some(to.next());
        }
    }

    fn check_stream(&mut self, key: &StreamKey, audited: &Audited) -> Checked {
        let missing = self.missing(key, audited);
        self.account_for(key, audited, &missing)?;
        let stream = &self.streams[key];
        self.check_whole(key, stream, audited)?;
        if audited.epoch == Epoch(0) {
            return Ok(());
        }
        for seq in (audited.first.0..=audited.last.0).map(SeqNum) {
            if !audited.present.contains(&seq) && !audited.is_damaged(seq) {
                return self.broken(Law::Hole, format!("{key} has no {seq}"));
            }
        }
        self.check_order(key, stream, audited)
    }

    /// What was seen or acknowledged and is not there, though neither deletion, trim nor a gap excuses it.
    fn missing(&self, key: &StreamKey, audited: &Audited) -> Missing {
        let stream = &self.streams[key];
        let mut missing = Missing::default();
        let undecided = |epoch: &Epoch| !stream.dead_epochs.contains_key(epoch) || *epoch >= audited.epoch;
        for (&epoch, incarnation) in stream.incarnations.iter().filter(|(epoch, _)| undecided(epoch)) {
            let gone = epoch < audited.epoch || audited.epoch == Epoch(0);
            let here = epoch == audited.epoch;
            let deleted = gone && !here && stream.deletion_can_reach(incarnation.since);
            for (&seq, seen) in &incarnation.seen {
                let told = here && (audited.present.contains(&seq) || audited.is_damaged(seq));
                if told || incarnation.lost.contains(&seq) {
                    continue;
                }
                let before_first = if here { seq < audited.first } else { epoch < audited.epoch };
                let trimmed = before_first && stream.trim_can_reach(incarnation.since, seq);
                if self.logicals[seen.logical].forgiven {
                    missing.forgiven.push((epoch, seq));
                } else if !deleted && !trimmed {
                    missing.seen.push((epoch, seq));
                }
            }
        }
        for &index in &stream.logicals {
            let logical = &self.logicals[index];
            let Some(acked) = logical.acked else { continue };
            let excused = logical.places.contains_key(&audited.epoch)
                || missing.seen.iter().any(|(epoch, seq)| logical.holds(*epoch, *seq))
                || logical.forgiven
                || stream.deletion_can_reach(acked.asked_at)
                || stream.trim_can_reach(acked.asked_at, acked.first)
                || audited.is_damaged(acked.first);
            if !excused {
                missing.acked.push(index);
            }
        }
        missing
    }

    /// Missing changes are a broken law, unless the server has said that so many may be missing.
    fn account_for(&mut self, key: &StreamKey, audited: &Audited, missing: &Missing) -> Checked {
        let acked: u64 = missing.acked.iter().map(|&index| self.logicals[index].count()).sum();
        let count = missing.seen.len() as u64 + acked;
        if count > self.losses_told {
            let told = self.losses_told;
            if let Some((epoch, seq)) = missing.seen.first() {
                let detail = format!("{key} {epoch:?} {seq}; now {}; {told} told", brief(audited));
                return self.broken(Law::SeenVanished, detail);
            }
            let acked = self.logicals[missing.acked[0]].acked;
            let detail = format!("{key} {acked:?}; now {}; {told} told", brief(audited));
            return self.broken(Law::AcknowledgedLost, detail);
        }
        self.losses_told -= count;
        let stream = self.streams.get_mut(key).expect("it was audited");
        for (epoch, seq) in &missing.seen {
            let incarnation = stream.incarnations.get_mut(epoch).expect("it was seen");
            incarnation.lost.insert(*seq);
            let logical = &mut self.logicals[incarnation.seen[seq].logical];
            logical.lose(*epoch);
            logical.loss_told = true;
        }
        for (epoch, seq) in &missing.forgiven {
            let incarnation = stream.incarnations.get_mut(epoch).expect("it was seen");
            if let Some(seen) = incarnation.seen.remove(seq) {
                self.logicals[seen.logical].lose(*epoch);
            }
        }
        stream.incarnations.retain(|_, incarnation| !incarnation.seen.is_empty());
        for &index in &missing.acked {
            self.logicals[index].lose(Epoch(0));
            self.logicals[index].loss_told = true;
        }
        Ok(())
    }

    /// An append is there whole, but for what was trimmed or damaged.
    fn check_whole(&self, key: &StreamKey, stream: &Stream, audited: &Audited) -> Checked {
        for &index in &stream.logicals {
            let logical = &self.logicals[index];
            let Some(&first) = logical.places.get(&audited.epoch) else {
                continue;
            };
            let mut seqs = (first.0..first.0 + logical.count()).map(SeqNum);
            let there = |seq: &SeqNum| {
                *seq < audited.first
                    || audited.is_damaged(*seq)
                    || stream.incarnations[&audited.epoch].seen.get(seq).is_some_and(|s| s.logical == index)
            };
            if let Some(missing) = seqs.find(|seq| !there(seq)) {
                let detail = format!("{key}: the append at {first} has no {missing}; {}", brief(audited));
                return self.broken(Law::AppendTorn, detail);
            }
        }
        Ok(())
    }

    /// If A was acknowledged before B was submitted, A stands before B.
    fn check_order(&self, key: &StreamKey, stream: &Stream, audited: &Audited) -> Checked {
        let Some(incarnation) = stream.incarnations.get(&audited.epoch) else {
            return Ok(());
        };
        let mut latest_submit = (0, SeqNum::ZERO);
        for (&seq, seen) in &incarnation.seen {
            let logical = &self.logicals[seen.logical];
            // An acknowledgement of an earlier incarnation says nothing about this place.
            let speaks_of_this = |acked: &super::model::Acked| {
                logical.last_submit < acked.at || !stream.deletion_can_reach(acked.asked_at)
            };
            if logical.acked.filter(speaks_of_this).is_some_and(|acked| acked.at < latest_submit.0) {
                let detail =
                    format!("{key}: {seq} was acknowledged before {} was submitted", latest_submit.1);
                return self.broken(Law::OutOfOrder, detail);
            }
            latest_submit = latest_submit.max((logical.first_submit, seq));
        }
        Ok(())
    }

    /// What was open is decided by what is there.
    fn settle(&mut self, key: &StreamKey, audited: &Audited) {
        if self.losses_told >= super::LOSSES_UNKNOWN {
            // An index that could not be read may be read again: nothing that is not there is gone for sure.
            return;
        }
        let step = self.step;
        let stream = self.streams.get_mut(key).expect("it was audited");
        for &index in &stream.logicals {
            let logical = &mut self.logicals[index];
            logical.places.retain(|epoch, _| *epoch == audited.epoch);
            if logical.places.is_empty() && logical.open_attempts == 0 && audited.damaged.is_empty() {
                // Never stored, or removed: either way it is gone for ever.
                (logical.acked, logical.maybe_stored, logical.discarded) = (None, true, true);
            }
        }
        if let Some(incarnation) = stream.incarnations.get(&audited.epoch) {
            // What is damaged may be appended again, by a retry whose key is damaged too.
            for (_, seen) in incarnation.seen.iter().filter(|(seq, _)| audited.is_damaged(**seq)) {
                self.logicals[seen.logical].forgiven = true;
            }
        }
        // So may what was acknowledged and never seen; and one day the disk may give the first one again.
        for &index in &stream.logicals {
            let logical = &mut self.logicals[index];
            let is_damaged = logical.acked.is_some_and(|acked| audited.is_damaged(acked.first));
            logical.forgiven |= is_damaged && logical.key.is_some();
        }
        // What is lost with a word may be read again one day; what was deleted may not.
        let certain = stream.incarnations.iter().filter(|(_, incarnation)| incarnation.lost.is_empty());
        let epochs: Vec<Epoch> = certain.map(|(&epoch, _)| epoch).collect();
        for epoch in epochs.into_iter().filter(|&epoch| epoch != audited.epoch) {
            stream.dead_epochs.entry(epoch).or_insert(step);
        }
        let alive = stream.incarnations.get(&audited.epoch).map(|incarnation| incarnation.since);
        for removal in &mut stream.removals {
            // With damage about, a deletion may be lost today and proved tomorrow.
            if removal.outcome != Outcome::Unknown || self.damaged {
                continue;
            }
            let took_effect = match removal.before {
                None => alive.is_none_or(|since| removal.from > since || removal.to < since),
                // It was cut to the stream's end as it was then, which nobody may have seen.
                Some(before) => audited.first > SeqNum::FIRST && audited.first <= before,
            };
            removal.outcome = if took_effect { Outcome::Done } else { Outcome::Refused };
        }
        if audited.epoch == Epoch(0) {
            (stream.tail_floor, stream.first_floor) = (SeqNum::ZERO, SeqNum::ZERO);
        } else {
            (stream.tail_floor, stream.first_floor) = (audited.last, audited.first);
        }
    }
}

fn brief(audited: &Audited) -> String {
    format!("{:?} {}..={}", audited.epoch, audited.first, audited.last)
}
