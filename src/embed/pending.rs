//! The outcome of a call that a core carries out: one value from one thread to another.
//!
//! [`Slot`] is the core's end, [`Pending`] the caller's. A slot that goes without a value says so: the core
//! has ended.

use super::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use types::Failure;

enum State<T> {
    Waiting(Option<Waker>),
    Done(Result<T, Error>),
    Taken,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    done: Condvar,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, outcome: Result<T, Error>) {
        let before = {
            let mut state = self.lock();
            match *state {
                State::Waiting(_) => std::mem::replace(&mut *state, State::Done(outcome)),
                State::Done(_) | State::Taken => return,
            }
        };
        self.done.notify_one();
        if let State::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

/// What a call will give: wait for it on this thread, or await it in any executor. Dropping it does not undo
/// the call.
#[must_use = "the outcome says whether it was done"]
pub struct Pending<T>(Arc<Shared<T>>);

/// Where the outcome goes.
pub(super) struct Slot<T>(Arc<Shared<T>>);

pub(super) fn pair<T>() -> (Slot<T>, Pending<T>) {
    let shared = Arc::new(Shared { state: Mutex::new(State::Waiting(None)), done: Condvar::new() });
    (Slot(shared.clone()), Pending(shared))
}

impl<T> Pending<T> {
    /// An outcome that is there already.
    pub(super) fn failed(failure: Failure) -> Pending<T> {
        let (slot, pending) = pair();
        slot.fill(Err(Error::Failed(failure)));
        pending
    }

    /// Waits on this thread. Never call it on a thread that runs an executor's other tasks.
    ///
    /// # Errors
    /// Why the call failed.
    pub fn wait(self) -> Result<T, Error> {
        let mut state = self.0.lock();
        while matches!(*state, State::Waiting(_)) {
            state = self.0.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(outcome) => outcome,
            State::Waiting(_) | State::Taken => unreachable!("it was done, and only `self` takes it"),
        }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Error>;

    /// # Panics
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        if let State::Waiting(waker) = &mut *state {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(outcome) => Poll::Ready(outcome),
            State::Waiting(_) | State::Taken => panic!("polled after it was ready"),
        }
    }
}

impl<T> Slot<T> {
    pub(super) fn fill(self, outcome: Result<T, Error>) {
        self.0.fill(outcome);
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        self.0.fill(Err(Error::Stopped));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_arrives_on_another_thread_and_in_an_executor() {
        let (slot, pending) = pair();
        let waiting = std::thread::spawn(move || pending.wait());
        slot.fill(Ok(7));
        assert_eq!(waiting.join().expect("it does not panic"), Ok(7));
        let (slot, pending) = pair();
        let filling = std::thread::spawn(move || slot.fill(Ok(8)));
        assert_eq!(futures_lite::future::block_on(pending), Ok(8));
        filling.join().expect("it does not panic");
    }

    #[test]
    fn a_core_that_ends_says_so() {
        let (slot, pending) = pair::<u64>();
        drop(slot);
        assert_eq!(pending.wait(), Err(Error::Stopped));
    }
}
