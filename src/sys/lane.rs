//! The way from one core to one other: messages in batches, over a buffer that only these two touch.
//!
//! `mesh` has one for each ordered pair of cores. Either end waits without holding the lock, and a batch
//! costs one lock at each end and at most one wake-up however many messages it holds.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// The way from one core to one other: a buffer of its own, so that a pair meets at nobody else's lock.
struct Lane<M> {
    messages: Vec<M>,
    messages_max: usize,
    /// The receiver, while it waits for messages.
    receiver: Option<Waker>,
    /// The sender, while it waits for room.
    sender: Option<Waker>,
    /// One of the two is gone.
    is_closed: bool,
}

type SharedLane<M> = Arc<Mutex<Lane<M>>>;

fn lock<M>(lane: &Mutex<Lane<M>>) -> MutexGuard<'_, Lane<M>> {
    // Every critical section leaves the lane whole.
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sender's end; dropped, the lane ends.
pub struct Sender<M>(SharedLane<M>);

/// The receiver's end; dropped, the lane ends.
pub struct Receiver<M>(SharedLane<M>);

/// A lane for `messages_max` messages.
pub fn lane<M>(messages_max: usize) -> (Sender<M>, Receiver<M>) {
    let lane = Lane { messages: Vec::new(), messages_max, receiver: None, sender: None, is_closed: false };
    let lane = Arc::new(Mutex::new(lane));
    (Sender(lane.clone()), Receiver(lane))
}

impl<M> Sender<M> {
    /// Puts all of `batch` into the lane, in parts when it has too little room. Whether there is a receiver.
    pub async fn put_all(&mut self, batch: &mut Vec<M>) -> bool {
        poll_fn(|cx| {
            let (receiver, polled) = {
                let mut lane = lock(&self.0);
                if lane.is_closed {
                    return Poll::Ready(false);
                }
                let room = lane.messages_max.saturating_sub(lane.messages.len());
                lane.messages.extend(batch.drain(..room.min(batch.len())));
                let polled = if batch.is_empty() {
                    Poll::Ready(true)
                } else {
                    lane.sender = Some(cx.waker().clone());
                    Poll::Pending
                };
                (lane.receiver.take(), polled)
            };
            if let Some(waker) = receiver {
                waker.wake();
            }
            polled
        })
        .await
    }
}

impl<M> Receiver<M> {
    /// Takes all messages that are there, at least one, into `batch`, which is empty. `false`: there will be
    /// none any more.
    pub async fn take_all(&mut self, batch: &mut Vec<M>) -> bool {
        poll_fn(|cx| {
            let sender = {
                let mut lane = lock(&self.0);
                if lane.messages.is_empty() {
                    if lane.is_closed {
                        return Poll::Ready(false);
                    }
                    lane.receiver = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                std::mem::swap(&mut lane.messages, batch);
                lane.sender.take()
            };
            if let Some(waker) = sender {
                waker.wake();
            }
            Poll::Ready(true)
        })
        .await
    }
}

/// Says that one end is gone and wakes the other one.
fn close<M>(lane: &Mutex<Lane<M>>) {
    let waiting = {
        let mut lane = lock(lane);
        lane.is_closed = true;
        [lane.sender.take(), lane.receiver.take()]
    };
    waiting.into_iter().flatten().for_each(Waker::wake);
}

impl<M> Drop for Sender<M> {
    fn drop(&mut self) {
        close(&self.0);
    }
}

impl<M> Drop for Receiver<M> {
    fn drop(&mut self) {
        close(&self.0);
    }
}
