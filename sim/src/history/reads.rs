//! A read's reply: dense, from the right place, within its limits, and no older than what was known.
//!
//! What was known is what the asker could know when it asked: replies that were on their way then do not
//! count. A gap in a reply needs its reason.

use super::model::Floor;
use super::{Checked, History, Law, Step};
use engine::{Gap, GapCause, Read, ReadFrom, ReadReply, Reply};
use types::{Epoch, Failure, SeqNum};

impl History {
    pub(super) fn read_answered(
        &mut self,
        asked_at: Step,
        read: &Read,
        floor: Floor,
        reply: &Reply,
    ) -> Checked {
        match reply {
            Reply::Read(reply) => {
                self.check_floor(read, floor, reply)?;
                self.check_dense(asked_at, read, reply)?;
                self.check_start(read, reply)?;
                self.check_limits(read, reply)?;
                for record in &reply.records {
                    self.see(&read.stream, reply.epoch, record, Some(asked_at))?;
                }
                self.raise_floor(read, floor, reply);
                if reply.at_tail {
                    self.check_present(read.to.core, &read.stream, reply.epoch, reply.next)?;
                }
                self.audit_read(asked_at, read, reply)
            }
            Reply::Failed(Failure::Corrupt { from, to }) => {
                let gap = Gap { from: *from, to: *to, cause: GapCause::Damaged };
                self.check_gap(read, &gap, SeqNum::ZERO)?;
                self.audit_corrupt(asked_at, read, *from, *to);
                Ok(())
            }
            Reply::Failed(Failure::Unavailable(_)) => Ok(()),
            reply => self.broken(Law::WrongReply, format!("{read:?} is answered with {reply:?}")),
        }
    }

    fn check_floor(&self, read: &Read, floor: Floor, reply: &ReadReply) -> Checked {
        let stream = &self.streams[&read.stream];
        if reply.first > reply.last.next() && reply.epoch != Epoch(0) {
            return self
                .broken(Law::WrongReply, format!("{read:?}: first {} last {}", reply.first, reply.last));
        }
        if !stream.holds(&floor) {
            return Ok(());
        }
        if reply.last < floor.tail {
            let detail = format!("{read:?} shows last {}, known was {}", reply.last, floor.tail);
            return self.broken(Law::Stale, detail);
        }
        if reply.first < floor.first && reply.epoch != Epoch(0) {
            let detail = format!("{read:?} shows first {}, trimmed to {}", reply.first, floor.first);
            return self.broken(Law::Untrimmed, detail);
        }
        Ok(())
    }

    /// Every sequence number from the first record on is a record or lies in a gap, up to `next`.
    fn check_dense(&mut self, asked_at: Step, read: &Read, reply: &ReadReply) -> Checked {
        for gap in &reply.gaps {
            self.check_gap(read, gap, reply.first)?;
        }
        let Some(first) = reply.records.first() else {
            return Ok(());
        };
        let mut expected = first.seq();
        for record in &reply.records {
            if record.seq() < expected || !gaps_cover(&reply.gaps, expected, record.seq()) {
                let detail = format!("{read:?}: {} where {expected} was expected", record.seq());
                return self.broken(Law::Hole, detail);
            }
            expected = record.seq().next();
        }
        // A trim that came meanwhile may have raised the first; what was read before it is told all the same.
        let trimmed = self.streams[&read.stream].trim_can_reach(asked_at, first.seq());
        if (first.seq() < reply.first && !trimmed) || expected.previous() > reply.last {
            let detail =
                format!("{read:?}: {}..{expected} outside {}..={}", first.seq(), reply.first, reply.last);
            return self.broken(Law::WrongReply, detail);
        }
        if reply.next < expected || !gaps_cover(&reply.gaps, expected, reply.next) {
            let detail = format!("{read:?}: next {} after {expected}", reply.next);
            return self.broken(Law::Hole, detail);
        }
        Ok(())
    }

    fn check_gap(&mut self, read: &Read, gap: &Gap, first: SeqNum) -> Checked {
        self.counts.gaps += u64::from(gap.cause == GapCause::Damaged);
        let explained = match gap.cause {
            GapCause::Trimmed => gap.to < first,
            GapCause::Damaged => self.damaged || self.read_failed,
        };
        if explained && gap.from <= gap.to {
            return Ok(());
        }
        self.broken(Law::GapUnexplained, format!("{read:?}: {gap:?}, first {first}"))
    }

    fn check_start(&self, read: &Read, reply: &ReadReply) -> Checked {
        let start = match read.from {
            _ if reply.epoch == Epoch(0) => return Ok(()),
            // What was asked for and is trimmed must be told as a gap.
            ReadFrom::Seq(seq) => seq.max(SeqNum::FIRST),
            ReadFrom::Newest => SeqNum((reply.last.0 + 1).saturating_sub(read.limit as u64)).max(reply.first),
            ReadFrom::BeforeLast(places) => SeqNum(reply.last.0.saturating_sub(places)).max(reply.first),
            ReadFrom::Time(time) => {
                let early = reply.records.first().is_some_and(|record| record.time() < time);
                if early {
                    return self.broken(Law::WrongReply, format!("{read:?} begins too early"));
                }
                return self.check_time_start(read, time, reply);
            }
        };
        let begins = reply.records.first().map_or(reply.next, types::Record::seq);
        let nothing_there = start > reply.last && reply.records.is_empty();
        if nothing_there || gaps_cover(&reply.gaps, start, begins) || read.limit == 0 {
            return Ok(());
        }
        // A byte bound may cut the newest events at their beginning, not elsewhere.
        if read.from == ReadFrom::Newest && begins > start {
            return Ok(());
        }
        self.broken(Law::Hole, format!("{read:?} begins with {begins}, not {start}"))
    }

    fn check_time_start(&self, read: &Read, time: types::Timestamp, reply: &ReadReply) -> Checked {
        let Some(first) = reply.records.first() else {
            return Ok(());
        };
        let Some(incarnation) = self.streams[&read.stream].incarnations.get(&reply.epoch) else {
            return Ok(());
        };
        let skipped = incarnation.seen.range(reply.first.min(first.seq())..first.seq()).next_back();
        match skipped {
            Some((seq, seen)) if seen.time >= time && reply.gaps.is_empty() && !self.damaged => {
                self.broken(Law::Hole, format!("{read:?} leaves out {seq}, which is not older"))
            }
            _ => Ok(()),
        }
    }

    fn check_limits(&self, read: &Read, reply: &ReadReply) -> Checked {
        let bytes: usize = reply.records.iter().map(|record| record.payload().len()).sum();
        let last = reply.records.last().map_or(0, |record| record.payload().len());
        if reply.records.len() > read.limit {
            return self.broken(Law::WrongReply, format!("{read:?} gives {} events", reply.records.len()));
        }
        if bytes - last > read.bytes_max {
            return self.broken(Law::WrongReply, format!("{read:?} gives {bytes} bytes"));
        }
        Ok(())
    }

    /// What was shown must be shown again.
    fn raise_floor(&mut self, read: &Read, floor: Floor, reply: &ReadReply) {
        let stream = self.stream(&read.stream);
        if stream.holds(&floor) && reply.epoch != Epoch(0) {
            stream.tail_floor = stream.tail_floor.max(reply.last);
            stream.first_floor = stream.first_floor.max(reply.first);
        }
    }
}

/// Whether the gaps hold every sequence number of `from..to`.
fn gaps_cover(gaps: &[Gap], from: SeqNum, to: SeqNum) -> bool {
    let mut at = from;
    while at < to {
        match gaps.iter().find(|gap| gap.from <= at && at <= gap.to) {
            Some(gap) => at = gap.to.next(),
            None => return false,
        }
    }
    true
}
