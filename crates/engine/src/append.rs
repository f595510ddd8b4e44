//! Appends, trims and deletions: validation, sequence numbers, and the open group.
//!
//! Conditions are judged against everything that was appended, durable or not; an answer that would tell of
//! un-durable events waits until they are durable. When memory or journal is nearly full, commands wait in
//! order; they fail only when the waiting room is full too.

use crate::command::{AckLevel, Append, Appended, Command, Effect, Expect, OnMismatch, Reply, ReplyTo};
use crate::commit::{Change, EventPlace, OpenBatch};
use crate::idempotency::KeyUse;
use crate::machine::Engine;
use crate::stream::{ACTIVE_COST_BYTES, StreamSlot};
use commitlog::BatchBuilder;
use types::{
    DurationMs, Epoch, EventDraft, Failure, LogIndex, Record, SeqNum, StreamKey, Term, Timestamp,
    Unavailable, stream_hash,
};

/// Bytes that one command takes in the waiting room beside its payloads.
const WAITING_COST_BYTES: usize = 256;

impl Engine {
    /// A command that writes: carried out now, or put behind those that wait.
    pub(crate) fn handle_write(&mut self, now: Timestamp, command: Command, out: &mut Vec<Effect>) {
        if self.waiting.is_empty() && !self.must_wait() {
            return self.write_now(now, &command, out);
        }
        let cost = waiting_cost(&command);
        if self.waiting_bytes + cost > self.limits.pending_bytes_max {
            let failure = if self.storage_full {
                Failure::StorageFull
            } else {
                Failure::Unavailable(Unavailable::Overloaded)
            };
            return refuse(write_to(&command), failure, out);
        }
        self.waiting_bytes += cost;
        self.waiting.push_back(command);
    }

    /// Carries out what waited, as far as there is room again.
    pub(crate) fn resume_waiting(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        while !self.waiting.is_empty() && !self.must_wait() {
            let command = self.waiting.pop_front().expect("not empty");
            self.waiting_bytes -= waiting_cost(&command);
            self.write_now(now, &command, out);
        }
    }

    /// Refuses what waits, when the disk is full or the shard stops.
    pub(crate) fn refuse_waiting(&mut self, failure: &Failure, out: &mut Vec<Effect>) {
        self.waiting_bytes = 0;
        for command in std::mem::take(&mut self.waiting) {
            refuse(write_to(&command), failure.clone(), out);
        }
    }

    /// Whether writes must wait for the disk.
    fn must_wait(&self) -> bool {
        let pending = self.open.bytes + self.flying.as_ref().map_or(0, |flying| flying.bytes);
        // One group must stay below a journal file whatever comes next.
        let group_full = self.open.bytes + self.limits.append_bytes_max() > self.limits.journal_file_bytes;
        let memory_full = self.uncheckpointed_bytes() >= self.limits.memory_bytes_max as u64;
        (group_full && !self.open.is_empty()) || pending >= self.limits.pending_bytes_max || memory_full
    }

    fn write_now(&mut self, now: Timestamp, command: &Command, out: &mut Vec<Effect>) {
        if self.storage_full {
            return refuse(write_to(command), Failure::StorageFull, out);
        }
        match command {
            Command::Append(append) => self.append(now, append, out),
            Command::Delete { to, stream } => self.delete(now, *to, stream, out),
            Command::Trim { to, stream, before } => self.trim(now, *to, stream, *before, out),
            _ => unreachable!("only writes come here"),
        }
    }

    fn append(&mut self, now: Timestamp, append: &Append, out: &mut Vec<Effect>) {
        let hash = stream_hash(&append.stream);
        let found = self.catalog.find_hashed(&append.stream, hash);
        if let Err(failure) = self.check_append(append, found) {
            return refuse(append.to, failure, out);
        }
        let slot = found.unwrap_or_else(|| self.make_slot(&append.stream, hash));
        if let Some(reply) = self.replayed(now, slot, append) {
            self.catalog.forget_if_unused(slot);
            return self.reply_when_durable(append.to, reply, out);
        }
        if let Some(failure) = self.mismatch(slot, append.expect) {
            self.catalog.forget_if_unused(slot);
            return self.reply_when_durable(append.to, Reply::Failed(failure), out);
        }
        let appended = self.append_events(now, slot, append);
        let reply = Reply::Appended(Appended { ack: append.ack, ..appended });
        match append.ack {
            AckLevel::Memory => out.push(Effect::Reply { to: append.to, reply }),
            AckLevel::Fsync => self.open.replies.push((append.to, reply)),
        }
    }

    /// What an append must hold whatever the stream's state; `found` is the stream's slot.
    fn check_append(&self, append: &Append, found: Option<StreamSlot>) -> Result<(), Failure> {
        let limits = &self.limits;
        if append.drafts.is_empty() {
            return Err(Failure::InvalidBody { detail: "an append needs at least one event".into() });
        }
        if append.drafts.len() > limits.append_events_max {
            return Err(Failure::TooLarge { limit: limits.append_events_max as u64 });
        }
        let bytes: usize = append.drafts.iter().map(|draft| draft.payload.len()).sum();
        if bytes > limits.body_bytes_max {
            return Err(Failure::TooLarge { limit: limits.body_bytes_max as u64 });
        }
        let header_max = limits.event_header_bytes_max;
        let headers = |draft: &EventDraft| {
            let all = [&draft.content_type, &draft.parent, &draft.traceparent];
            all.into_iter().flatten().any(|value| value.len() > header_max)
        };
        if append.drafts.iter().any(headers) {
            return Err(Failure::TooLarge { limit: header_max as u64 });
        }
        if let Some(idempotency) = &append.idempotency {
            let len = idempotency.key.len();
            if len == 0 || len > limits.idempotency_key_bytes_max {
                return Err(Failure::InvalidField {
                    field: "Idempotency-Key".into(),
                    value: String::from_utf8_lossy(&idempotency.key).into_owned(),
                });
            }
        }
        if found.is_none() && self.catalog.len() >= limits.streams_max {
            return Err(Failure::Unavailable(Unavailable::Overloaded));
        }
        Ok(())
    }

    /// The answer to a request that was carried out before.
    fn replayed(&self, now: Timestamp, slot: StreamSlot, append: &Append) -> Option<Reply> {
        let idempotency = append.idempotency.as_ref()?;
        let stream = &self.catalog[slot];
        let window = (now, DurationMs(self.limits.idempotency_window_ms));
        let table = &self.partitions[usize::from(stream.partition)].idempotency;
        let known = table.find(slot, &idempotency.key, stream.appended().epoch, window)?;
        Some(if known.digest == idempotency.digest {
            Reply::Appended(Appended {
                first: known.first,
                time: known.time,
                count: known.count,
                replayed: true,
                ack: AckLevel::Fsync,
            })
        } else {
            Reply::Failed(Failure::IdempotencyMismatch { seq: known.first })
        })
    }

    fn mismatch(&self, slot: StreamSlot, expect: Option<Expect>) -> Option<Failure> {
        let expect = expect?;
        let last = self.catalog[slot].appended().next.previous();
        (last != expect.last).then_some(match expect.on_mismatch {
            OnMismatch::PreconditionFailed => Failure::PreconditionFailed { last },
            OnMismatch::Conflict => Failure::Conflict { expected: expect.last, got: last },
        })
    }

    /// Gives the events their numbers and puts them into the open group. Cannot fail.
    fn append_events(&mut self, now: Timestamp, slot: StreamSlot, append: &Append) -> Appended {
        let partition = usize::from(self.catalog[slot].partition);
        let seen = self.catalog[slot].appended();
        let skip = self.partitions[partition].numbers_to_skip(seen.last_index);
        let first = seen.next.plus(skip);
        let time = now.max(seen.time);
        let first_index = self.partitions[partition].appended.next();
        let epoch = if seen.epoch == Epoch(0) { Epoch(first_index.0) } else { seen.epoch };
        let count = u32::try_from(append.drafts.len()).expect("checked against append_events_max");
        self.push_events(now, slot, epoch, append, first, time);
        let entry = &mut self.partitions[partition];
        entry.appended = entry.appended.plus(count.into());
        let last_index = entry.appended;
        let active = self.catalog[slot].active_mut();
        active.pending += count;
        active.appended = crate::stream::Appended { epoch, next: first.plus(count.into()), time, last_index };
        self.remember_use(slot, partition, epoch, append, first, time, count, first_index);
        Appended { first, time, count, replayed: false, ack: AckLevel::Fsync }
    }

    #[allow(clippy::too_many_arguments, reason = "one call, and every argument is a different newtype")]
    fn remember_use(
        &mut self,
        slot: StreamSlot,
        partition: usize,
        epoch: Epoch,
        append: &Append,
        first: SeqNum,
        time: Timestamp,
        count: u32,
        index: LogIndex,
    ) {
        let Some(idempotency) = &append.idempotency else { return };
        let entry = KeyUse { digest: idempotency.digest, epoch, first, count, time, index };
        let keys_max = self.limits.idempotency_keys_max;
        self.partitions[partition].idempotency.insert(slot, idempotency, entry, keys_max);
    }

    /// Encodes the events into the open batch of the stream's partition.
    fn push_events(
        &mut self,
        now: Timestamp,
        slot: StreamSlot,
        epoch: Epoch,
        append: &Append,
        first: SeqNum,
        time: Timestamp,
    ) {
        let at = self.open_batch_of(now, usize::from(self.catalog[slot].partition), append);
        // A stamp of its own per batch: the group's stamp and the batch's place.
        let stamp = self.open.stamp << 24 | at as u64;
        let OpenBatch::Events { builder, events, .. } = &mut self.open.batches[at] else {
            unreachable!("open_batch_of gives a batch of events")
        };
        let before = builder.len();
        let stream = &mut self.catalog[slot];
        if stream.active.is_none() {
            self.memory_bytes += ACTIVE_COST_BYTES;
        }
        let active = stream.active_mut();
        let known = active.introduced_in.filter(|(when, _)| *when == stamp && active.appended.epoch == epoch);
        let reference = known.map_or_else(|| builder.introduce(), |(_, reference)| reference);
        active.introduced_in = Some((stamp, reference));
        let mut introduced = known.is_none().then_some((&stream.key, epoch));
        let count = u32::try_from(append.drafts.len()).expect("checked against append_events_max");
        let mut idempotency = append.idempotency.as_ref().map(|key| (key, count));
        for (seq, draft) in (first.0..).map(SeqNum).zip(&append.drafts) {
            let idempotency = idempotency.take();
            let range = builder.push(reference, introduced.take(), |out| {
                Record::encode(out, draft, seq, time, idempotency);
            });
            events.push(EventPlace { slot, epoch, range });
        }
        self.open.bytes += builder.len() - before;
    }

    /// The open batch of events of a partition; opens one with room for `append`.
    fn open_batch_of(&mut self, now: Timestamp, partition: usize, append: &Append) -> usize {
        let entry = &mut self.partitions[partition];
        if let Some(at) = entry.open_batch {
            return at;
        }
        let room = entry.take_room(batch_len(append));
        let builder = BatchBuilder::in_room(room, entry.id, Term(1), entry.appended.next(), now);
        self.open.bytes += builder.len();
        let at = self.open.batches.len();
        let events = self.empty.take_events();
        self.open.batches.push(OpenBatch::Events { partition, builder, events });
        entry.open_batch = Some(at);
        at
    }

    fn delete(&mut self, now: Timestamp, to: ReplyTo, key: &StreamKey, out: &mut Vec<Effect>) {
        let found = self.catalog.find(key).map(|slot| (slot, self.catalog[slot].appended()));
        let Some((slot, seen)) = found.filter(|(_, seen)| seen.epoch != Epoch(0)) else {
            return self.reply_when_durable(to, Reply::Deleted { existed: false }, out);
        };
        let partition = usize::from(self.catalog[slot].partition);
        self.open_change(now, partition, Change::Delete { slot, epoch: seen.epoch });
        let last_index = self.partitions[partition].appended;
        self.change_appended(slot, |appended| {
            *appended = crate::stream::Appended {
                epoch: Epoch(0),
                next: SeqNum::FIRST,
                time: appended.time,
                last_index,
            };
        });
        self.open.replies.push((to, Reply::Deleted { existed: true }));
    }

    fn trim(&mut self, now: Timestamp, to: ReplyTo, key: &StreamKey, before: SeqNum, out: &mut Vec<Effect>) {
        let found = self.catalog.find(key).map(|slot| (slot, self.catalog[slot].appended()));
        let Some((slot, seen)) = found.filter(|(_, seen)| seen.epoch != Epoch(0)) else {
            return self.reply_when_durable(to, Reply::Trimmed { first: SeqNum::FIRST }, out);
        };
        let before = before.min(seen.next);
        let stream = &self.catalog[slot];
        if stream.epoch == seen.epoch && before <= stream.first {
            let first = stream.first;
            return self.reply_when_durable(to, Reply::Trimmed { first }, out);
        }
        let partition = usize::from(stream.partition);
        self.open_change(now, partition, Change::Trim { slot, epoch: seen.epoch, before });
        self.change_appended(slot, |_| {});
        self.open.replies.push((to, Reply::Trimmed { first: before.max(SeqNum::FIRST) }));
    }

    /// Counts a pending change of a stream and updates what the next append sees.
    fn change_appended(&mut self, slot: StreamSlot, update: impl FnOnce(&mut crate::stream::Appended)) {
        let stream = &mut self.catalog[slot];
        let mut appended = stream.appended();
        update(&mut appended);
        if stream.active.is_none() {
            self.memory_bytes += ACTIVE_COST_BYTES;
        }
        let active = stream.active_mut();
        active.appended = appended;
        active.pending += 1;
    }
}

/// Length of a batch that holds one append.
fn batch_len(append: &Append) -> usize {
    let mut idempotency = append.idempotency.as_ref();
    let records = append.drafts.iter().map(|draft| Record::encoded_len(draft, idempotency.take()));
    BatchBuilder::len_of(&append.stream, append.drafts.len(), records.sum())
}

fn refuse(to: ReplyTo, failure: Failure, out: &mut Vec<Effect>) {
    out.push(Effect::Reply { to, reply: Reply::Failed(failure) });
}

fn write_to(command: &Command) -> ReplyTo {
    match command {
        Command::Append(append) => append.to,
        Command::Delete { to, .. } | Command::Trim { to, .. } => *to,
        _ => unreachable!("only writes wait"),
    }
}

fn waiting_cost(command: &Command) -> usize {
    match command {
        Command::Append(append) => {
            let payloads = append.drafts.iter().map(|draft| draft.payload.len() + WAITING_COST_BYTES);
            WAITING_COST_BYTES + payloads.sum::<usize>()
        }
        _ => WAITING_COST_BYTES,
    }
}
