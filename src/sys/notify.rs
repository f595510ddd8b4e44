//! Wake-ups between tasks of one core.
//!
//! [`Notify`] is for mailboxes, outboxes and flushers: one task waits, any number notify; notifications that
//! come while nobody waits are remembered as one. [`Latch`] is set once and wakes everybody: "the server
//! stops". Neither is used across threads (that is `post`).

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A flag that one task can wait for.
#[derive(Debug, Default)]
pub struct Notify {
    set: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Notify {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag and wakes the waiting task. Costs a branch when it is set already.
    pub fn notify(&self) {
        if !self.set.replace(true) {
            let waiter = self.waiter.borrow_mut().take();
            if let Some(waker) = waiter {
                waker.wake();
            }
        }
    }

    /// Waits until the flag is set, and clears it. A second task that waits displaces the first one.
    pub async fn notified(&self) {
        poll_fn(|cx| {
            if self.set.replace(false) {
                return Poll::Ready(());
            }
            let mut waiter = self.waiter.borrow_mut();
            match &*waiter {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                _ => *waiter = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await;
    }
}

/// A flag that is set once and that any number of tasks can wait for.
#[derive(Debug, Default)]
pub struct Latch {
    set: Cell<bool>,
    waiters: RefCell<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    /// `None` where nobody waits; those places are listed in `free`.
    places: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Latch {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag for good and wakes all that wait.
    pub fn set(&self) {
        self.set.set(true);
        let waiters = self.waiters.take();
        waiters.places.into_iter().flatten().for_each(Waker::wake);
    }

    /// Whether it was set.
    pub fn is_set(&self) -> bool {
        self.set.get()
    }

    /// Waits until it is set.
    pub fn wait(&self) -> LatchWait<'_> {
        LatchWait { latch: self, place: None }
    }
}

/// The future of [`Latch::wait`]; gives its place back when it is dropped.
#[derive(Debug)]
pub struct LatchWait<'a> {
    latch: &'a Latch,
    place: Option<usize>,
}

impl Future for LatchWait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.latch.is_set() {
            return Poll::Ready(());
        }
        let mut waiters = self.latch.waiters.borrow_mut();
        let place = self.place.or_else(|| waiters.free.pop()).unwrap_or(waiters.places.len());
        if place == waiters.places.len() {
            waiters.places.push(None);
        }
        match &waiters.places[place] {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => waiters.places[place] = Some(cx.waker().clone()),
        }
        drop(waiters);
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for LatchWait<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.filter(|_| !self.latch.is_set()) {
            let mut waiters = self.latch.waiters.borrow_mut();
            waiters.places[place] = None;
            waiters.free.push(place);
        }
    }
}
