//! Deadlines of connections without a timer each: one sweep per core looks at all of them.
//!
//! A connection owns an [`Alarm`] and sets its deadline as often as it likes, which costs a store. The sweep
//! runs four times a second while there are connections and wakes those whose deadline has passed; when the
//! server begins to drain it wakes all. It also keeps the `Date` header. A deadline may ring up to a quarter
//! of a second late, never early.

use crate::shard::CoreLink;
use crate::sys::clock;
use crate::sys::executor::{Queue, sleep, spawn, yield_if_needed};
use crate::sys::notify::Notify;
use http1::{HTTP_DATE_BYTES, format_http_date};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Time between two sweeps.
const SWEEP: Duration = Duration::from_millis(250);
/// Connections that a sweep looks at before it lets others run.
const SWEEP_SLICE: usize = 1024;
/// No deadline.
const NEVER: u64 = u64::MAX;

/// All alarms of a core.
pub(super) struct Alarms {
    places: RefCell<Places>,
    /// Milliseconds of a clock that never jumps, as of the last sweep.
    now_ms: Cell<u64>,
    date: Cell<[u8; HTTP_DATE_BYTES]>,
    /// Notified when the first connection comes.
    woken: Notify,
}

#[derive(Default)]
struct Places {
    entries: Vec<Option<Rc<Entry>>>,
    free: Vec<usize>,
}

struct Entry {
    deadline_ms: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

/// The alarm clock of one connection. Dropping it gives its place back.
pub struct Alarm {
    alarms: Rc<Alarms>,
    entry: Rc<Entry>,
    place: usize,
}

impl Alarms {
    /// The alarms of `link`'s core, swept by a task that lives as long as they do.
    pub(super) fn start(link: Rc<CoreLink>) -> Rc<Alarms> {
        let alarms = Rc::new(Alarms {
            places: RefCell::default(),
            now_ms: Cell::new(0),
            date: Cell::new([0; HTTP_DATE_BYTES]),
            woken: Notify::new(),
        });
        alarms.look_at_the_clock();
        spawn(Queue::Net, sweep_for_ever(Rc::downgrade(&alarms)));
        let weak = Rc::downgrade(&alarms);
        spawn(Queue::Net, async move {
            link.draining().await;
            if let Some(alarms) = weak.upgrade() {
                alarms.wake_where(|_| true, 0, usize::MAX);
            }
        });
        alarms
    }

    /// A new alarm, off.
    pub(super) fn new_alarm(self: &Rc<Self>) -> Alarm {
        let entry = Rc::new(Entry { deadline_ms: Cell::new(NEVER), waker: RefCell::default() });
        let mut places = self.places.borrow_mut();
        let was_empty = places.is_empty();
        let place = places.free.pop().unwrap_or(places.entries.len());
        if place == places.entries.len() {
            places.entries.push(None);
        }
        places.entries[place] = Some(entry.clone());
        drop(places);
        if was_empty {
            self.look_at_the_clock();
            self.woken.notify();
        }
        Alarm { alarms: self.clone(), entry, place }
    }

    /// The value of a `Date` header, right to the second while there are connections.
    pub(super) fn date(&self) -> [u8; HTTP_DATE_BYTES] {
        self.date.get()
    }

    fn look_at_the_clock(&self) {
        self.now_ms.set(clock::monotonic_ns() / 1_000_000);
        self.date.set(format_http_date(clock::now().0 / 1000));
    }

    /// Wakes those of the places from `start` on that are wanted, at most `count`; `false` at the end.
    fn wake_where(&self, is_wanted: impl Fn(&Entry) -> bool, start: usize, count: usize) -> bool {
        let places = self.places.borrow();
        let entries = places.entries.iter().skip(start).take(count).flatten();
        for entry in entries.filter(|entry| is_wanted(entry)) {
            // Waking only queues the task: it does not come back here before the borrow ends.
            if let Some(waker) = entry.waker.borrow_mut().take() {
                waker.wake();
            }
        }
        start.saturating_add(count) < places.entries.len()
    }
}

impl Places {
    fn is_empty(&self) -> bool {
        self.entries.len() == self.free.len()
    }
}

async fn sweep_for_ever(weak: Weak<Alarms>) {
    loop {
        let Some(alarms) = weak.upgrade() else { return };
        let is_empty = alarms.places.borrow().is_empty();
        if is_empty {
            alarms.woken.notified().await;
            continue;
        }
        alarms.look_at_the_clock();
        let now_ms = alarms.now_ms.get();
        let mut start = 0;
        while alarms.wake_where(|entry| entry.deadline_ms.get() <= now_ms, start, SWEEP_SLICE) {
            start += SWEEP_SLICE;
            yield_if_needed().await;
        }
        drop(alarms);
        sleep(SWEEP).await;
    }
}

impl Alarm {
    /// Rings in `after` from now.
    pub fn set(&self, after: Duration) {
        let after_ms = u64::try_from((after + SWEEP).as_millis()).unwrap_or(NEVER);
        self.entry.deadline_ms.set(self.alarms.now_ms.get().saturating_add(after_ms));
    }

    /// Does not ring.
    pub fn off(&self) {
        self.entry.deadline_ms.set(NEVER);
    }

    /// Whether it is set to ring.
    pub fn is_set(&self) -> bool {
        self.entry.deadline_ms.get() != NEVER
    }

    /// Ready once the deadline has passed, and until it is set anew. While it is pending, the task is also
    /// woken once when the server begins to drain: look at `CoreLink::is_draining` then.
    pub fn poll_ring(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.entry.deadline_ms.get() <= self.alarms.now_ms.get() {
            return Poll::Ready(());
        }
        let mut waker = self.entry.waker.borrow_mut();
        match &*waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            _ => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut places = self.alarms.places.borrow_mut();
        places.entries[self.place] = None;
        places.free.push(self.place);
        if places.is_empty() {
            // Give the memory of a past crowd back.
            *places = Places::default();
        }
    }
}
