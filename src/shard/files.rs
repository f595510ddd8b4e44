//! Disk operations of one state machine: started as tasks, completed through one queue.
//!
//! Used by the driver, by recovery and by `server` for the directory. Each operation runs to its end in a
//! task of its own, in the task queue of its urgency; its result waits here and `changed` is notified. The
//! machine that asked decides in which order things may be under way.

use crate::sys::disk::Disk;
use crate::sys::executor::{Queue, spawn};
use crate::sys::notify::Notify;
use engine::{DiskOp, DiskResult, OpId, Urgency};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// Operations under way and results not yet taken.
pub(crate) struct Files {
    disk: Rc<Disk>,
    done: RefCell<VecDeque<(OpId, DiskResult)>>,
    in_flight: Cell<usize>,
    changed: Rc<Notify>,
}

impl Files {
    /// No operation yet. `changed` is notified with each result.
    pub(crate) fn new(disk: Rc<Disk>, changed: Rc<Notify>) -> Rc<Files> {
        Rc::new(Files { disk, done: RefCell::default(), in_flight: Cell::new(0), changed })
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
            let result = files.disk.execute(work).await;
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
