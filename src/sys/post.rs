//! A queue between threads: boot, recovery, signals, results of blocking work, calls of an embedding program.
//!
//! Messages between cores never come this way (that is `mesh`). Any number of senders on any thread, one
//! receiver on any executor. Unbounded: whoever uses it sends a number of values that is bounded by itself.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

struct State<T> {
    queue: VecDeque<T>,
    waiter: Option<Waker>,
    sender_count: usize,
    /// The receiver is gone: what is sent is dropped.
    is_closed: bool,
}

struct Shared<T>(Mutex<State<T>>);

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every critical section leaves the state whole, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts values into the queue.
pub struct Sender<T>(Arc<Shared<T>>);

/// Takes values out of the queue.
pub struct Receiver<T>(Arc<Shared<T>>);

/// A new queue.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = State { queue: VecDeque::new(), waiter: None, sender_count: 1, is_closed: false };
    let shared = Arc::new(Shared(Mutex::new(state)));
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Sender<T> {
    /// Appends a value and wakes the receiver; drops the value when there is no receiver any more.
    pub fn send(&self, value: T) {
        let waiter = {
            let mut state = self.0.lock();
            if state.is_closed {
                // A value may do anything when it is dropped: not under the lock.
                drop(state);
                return drop(value);
            }
            state.queue.push_back(value);
            state.waiter.take()
        };
        if let Some(waker) = waiter {
            waker.wake();
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().sender_count += 1;
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waiter = {
            let mut state = self.0.lock();
            state.sender_count -= 1;
            if state.sender_count == 0 { state.waiter.take() } else { None }
        };
        if let Some(waker) = waiter {
            waker.wake();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = {
            let mut state = self.0.lock();
            state.is_closed = true;
            std::mem::take(&mut state.queue)
        };
        drop(left);
    }
}

impl<T> Receiver<T> {
    /// The next value; `None` when the queue is empty and no sender is left.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            match state.queue.pop_front() {
                Some(value) => Poll::Ready(Some(value)),
                None if state.sender_count == 0 => Poll::Ready(None),
                None => {
                    state.waiter = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The next value if there is one.
    pub fn try_recv(&mut self) -> Option<T> {
        self.0.lock().queue.pop_front()
    }
}
