//! Disk operations of one state machine: started as tasks, completed through one queue.
//!
//! Used by the driver, by recovery and by `server` for the directory. Each operation runs to its end in a
//! task of its own, in the task queue of its urgency; its result waits here and `changed` is notified. The
//! machine that asked decides in which order things may be under way.

use crate::observe::Histogram;
use crate::sys::clock;
use crate::sys::disk::Disk;
use crate::sys::executor::{Queue, spawn};
use crate::sys::notify::Notify;
use engine::{DiskOp, DiskResult, OpId, Urgency};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// Operations under way and results not yet taken.
pub(crate) struct Files {
    disk: Rc<Disk>,
    done: RefCell<VecDeque<(OpId, DiskResult)>>,
    in_flight: Cell<usize>,
    changed: Rc<Notify>,
    /// Where the times of commits are counted.
    commit_times: OnceCell<Arc<Histogram>>,
}

impl Files {
    /// No operation yet. `changed` is notified with each result.
    pub(crate) fn new(disk: Rc<Disk>, changed: Rc<Notify>) -> Rc<Files> {
        let (done, in_flight, commit_times) = (RefCell::default(), Cell::new(0), OnceCell::new());
        Rc::new(Files { disk, done, in_flight, changed, commit_times })
    }

    /// From now on the time of each operation that a commit waits for is counted.
    pub(crate) fn measure_commits(&self, times: Arc<Histogram>) {
        // The first one stays: a shard has one driver.
        let _ = self.commit_times.set(times);
    }

    /// Starts an operation.
    pub(crate) fn start(self: &Rc<Self>, op: OpId, urgency: Urgency, work: DiskOp) {
        self.in_flight.set(self.in_flight.get() + 1);
        let queue = match urgency {
            Urgency::Commit => Queue::Commit,
            Urgency::Read => Queue::Net,
            Urgency::Background => Queue::Background,
        };
        let files = self.clone();
        spawn(queue, async move {
            let begin_ns = clock::monotonic_ns();
            let result = files.disk.execute(work).await;
            if let Some(times) = files.commit_times.get().filter(|_| urgency == Urgency::Commit) {
                times.observe_ns(clock::monotonic_ns() - begin_ns);
            }
            files.done.borrow_mut().push_back((op, result));
            files.in_flight.set(files.in_flight.get() - 1);
            files.changed.notify();
        });
    }

    /// The next result that is there.
    pub(crate) fn take(&self) -> Option<(OpId, DiskResult)> {
        self.done.borrow_mut().pop_front()
    }

    /// Waits for a result. Only for a machine that waits for nothing else.
    pub(crate) async fn next(&self) -> (OpId, DiskResult) {
        loop {
            if let Some(done) = self.take() {
                return done;
            }
            self.changed.notified().await;
        }
    }

    /// Whether nothing is under way and every result was taken.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.get() == 0 && self.done.borrow().is_empty()
    }
}
