//! The requests of one core that wait for their replies.
//!
//! Owned by `link`. A slab: the number of a request is its slot and the slot's generation, so a reply that
//! comes twice or too late cannot reach another request. A request whose asker went away keeps its slot
//! until its reply comes, so `outstanding` counts what the shards really have to answer.

use engine::Reply;
use std::task::Waker;
use types::ShardId;

/// Who gets a reply.
enum Asker {
    /// Nobody yet, the future was not polled.
    Quiet,
    /// The task that polls the future.
    Waiting(Waker),
    /// Code that runs when the reply arrives, before anything that the shard sent later.
    Callback(Box<dyn FnOnce(Reply)>),
    /// The future was dropped.
    Gone,
}

enum Slot {
    Free { next: Option<u32> },
    Asked { asker: Asker, shard: Option<ShardId> },
    Answered(Reply),
}

struct Entry {
    generation: u32,
    slot: Slot,
}

/// What to do after a reply was filed; done by the caller outside any borrow.
pub(super) enum Wake {
    Nothing,
    Task(Waker),
    Callback(Box<dyn FnOnce(Reply)>, Reply),
}

/// All requests of a core.
pub(super) struct Requests {
    entries: Vec<Entry>,
    free: Option<u32>,
    /// Requests without a reply, by shard.
    outstanding: Vec<usize>,
}

impl Requests {
    pub(super) fn new(shard_count: usize) -> Self {
        Requests { entries: Vec::new(), free: None, outstanding: vec![0; shard_count] }
    }

    /// A new request; gives its number.
    pub(super) fn open(&mut self, callback: Option<Box<dyn FnOnce(Reply)>>) -> u64 {
        let asker = callback.map_or(Asker::Quiet, Asker::Callback);
        let slot = Slot::Asked { asker, shard: None };
        let index = match self.free {
            Some(index) => {
                let entry = &mut self.entries[index as usize];
                let Slot::Free { next } = entry.slot else { unreachable!("the free list holds free slots") };
                self.free = next;
                entry.slot = slot;
                index
            }
            None => {
                let index = u32::try_from(self.entries.len()).expect("fewer than 2^32 requests at once");
                self.entries.push(Entry { generation: 0, slot });
                index
            }
        };
        u64::from(self.entries[index as usize].generation) << 32 | u64::from(index)
    }

    /// Notes which shard has to answer.
    pub(super) fn sent(&mut self, request: u64, to: ShardId) {
        if let Some(Slot::Asked { shard, .. }) = self.slot_mut(request) {
            let before = shard.replace(to);
            assert!(before.is_none(), "a request is submitted once");
            self.outstanding[usize::from(to.0)] += 1;
        }
    }

    /// Files a reply. One that nobody expects any more is dropped.
    pub(super) fn answer(&mut self, request: u64, reply: Reply) -> Wake {
        let Some(slot) = self.slot_mut(request) else {
            return Wake::Nothing;
        };
        let Slot::Asked { .. } = slot else { unreachable!("a shard answers a request once") };
        let Slot::Asked { asker, shard } = std::mem::replace(slot, Slot::Free { next: None }) else {
            unreachable!("it was just seen")
        };
        if let Some(shard) = shard {
            self.outstanding[usize::from(shard.0)] -= 1;
        }
        match asker {
            Asker::Quiet => {
                self.put_answer(request, reply);
                Wake::Nothing
            }
            Asker::Waiting(waker) => {
                self.put_answer(request, reply);
                Wake::Task(waker)
            }
            Asker::Callback(callback) => {
                self.close(request);
                Wake::Callback(callback, reply)
            }
            Asker::Gone => {
                self.close(request);
                Wake::Nothing
            }
        }
    }

    /// The reply if it is there, else remembers who to wake.
    pub(super) fn poll(&mut self, request: u64, waker: &Waker) -> Option<Reply> {
        let slot = self.slot_mut(request).expect("a future that was not answered has its slot");
        match slot {
            Slot::Answered(_) => {
                let Slot::Answered(reply) = std::mem::replace(slot, Slot::Free { next: None }) else {
                    unreachable!("it was just seen")
                };
                self.close(request);
                Some(reply)
            }
            Slot::Asked { asker, .. } => {
                *asker = Asker::Waiting(waker.clone());
                None
            }
            Slot::Free { .. } => unreachable!("slot_mut gives no free slot"),
        }
    }

    /// The asker went away. A request that was never submitted is forgotten at once.
    pub(super) fn abandon(&mut self, request: u64) {
        match self.slot_mut(request) {
            Some(Slot::Asked { asker, shard: Some(_) }) => *asker = Asker::Gone,
            Some(_) => self.close(request),
            None => {}
        }
    }

    /// Requests that this shard has not answered.
    pub(super) fn outstanding(&self, shard: ShardId) -> usize {
        self.outstanding[usize::from(shard.0)]
    }

    fn put_answer(&mut self, request: u64, reply: Reply) {
        self.entries[(request as u32) as usize].slot = Slot::Answered(reply);
    }

    fn close(&mut self, request: u64) {
        let index = request as u32;
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.slot = Slot::Free { next: self.free };
        self.free = Some(index);
    }

    /// The slot of a request that is still open.
    fn slot_mut(&mut self, request: u64) -> Option<&mut Slot> {
        let entry = self.entries.get_mut((request as u32) as usize)?;
        let current = entry.generation == (request >> 32) as u32 && !matches!(entry.slot, Slot::Free { .. });
        current.then_some(&mut entry.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: Reply = Reply::Deleted { existed: true };

    fn answered(wake: &Wake) -> &'static str {
        match wake {
            Wake::Nothing => "nothing",
            Wake::Task(_) => "task",
            Wake::Callback(..) => "callback",
        }
    }

    #[test]
    fn a_reply_waits_for_its_asker() {
        let mut requests = Requests::new(1);
        let request = requests.open(None);
        requests.sent(request, ShardId(0));
        assert_eq!(requests.outstanding(ShardId(0)), 1);
        assert_eq!(answered(&requests.answer(request, REPLY)), "nothing");
        assert_eq!(requests.outstanding(ShardId(0)), 0);
        assert_eq!(requests.poll(request, Waker::noop()), Some(REPLY));
    }

    #[test]
    fn a_waiting_asker_is_woken() {
        let mut requests = Requests::new(1);
        let request = requests.open(None);
        requests.sent(request, ShardId(0));
        assert_eq!(requests.poll(request, Waker::noop()), None);
        assert_eq!(answered(&requests.answer(request, REPLY)), "task");
    }

    #[test]
    fn a_request_without_asker_counts_until_its_reply_comes() {
        let mut requests = Requests::new(2);
        let request = requests.open(None);
        requests.sent(request, ShardId(1));
        requests.abandon(request);
        assert_eq!(requests.outstanding(ShardId(1)), 1);
        assert_eq!(answered(&requests.answer(request, REPLY)), "nothing");
        assert_eq!(requests.outstanding(ShardId(1)), 0);
    }

    #[test]
    fn a_late_reply_never_reaches_the_slots_next_request() {
        let mut requests = Requests::new(1);
        let first = requests.open(None);
        requests.abandon(first);
        let second = requests.open(None);
        assert_eq!(first as u32, second as u32, "the slot is used again");
        assert_eq!(answered(&requests.answer(first, REPLY)), "nothing");
        assert_eq!(requests.poll(second, Waker::noop()), None);
    }
}
