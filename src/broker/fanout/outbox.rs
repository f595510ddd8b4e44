//! What waits to be sent to one listener, bounded.
//!
//! The fan-out appends, the connection's task takes and says when it was sent; until then it counts. The
//! bound is `Limits::outbox_bytes_max`: the fan-out asks before it appends live events, and reads no more
//! from the log than there is room for. One array may always stand in an empty outbox, however long it is.

use super::item::Kind;
use super::subscription::Position;
use crate::sys::notify::Notify;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use types::Failure;

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Bytes for the socket as they are.
    Wire(Bytes),
    /// An array that the face frames itself.
    Array(ArrayEntry),
}

/// [`Entry::Array`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayEntry {
    /// The JSON text.
    pub json: Bytes,
    /// What it tells.
    pub kind: Kind,
    /// The listener's subscription, counted from 0 in the order of subscribing.
    pub subscription: usize,
    /// The hash of the stream's name, where the subscription is a pattern.
    pub stream: Option<u64>,
    /// The place in the stream behind the items.
    pub after: Position,
}

/// Why the fan-out wants a listener to be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A shard refused a watch or a read.
    Failed(Failure),
    /// More streams of a pattern are behind than a listener may have.
    TooManyBehind,
}

/// The outbox of one listener.
#[derive(Debug)]
pub struct Outbox {
    entries: RefCell<VecDeque<Entry>>,
    /// Of the entries, and of what was taken and is not yet sent.
    bytes: Cell<usize>,
    bytes_max: usize,
    fault: RefCell<Option<Fault>>,
    changed: Notify,
}

impl Entry {
    /// What it counts for.
    fn cost(&self) -> usize {
        match self {
            Entry::Wire(bytes) => bytes.len(),
            Entry::Array(array) => array.json.len(),
        }
    }
}

impl Outbox {
    /// An empty outbox for `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Outbox {
        let (entries, fault) = (RefCell::default(), RefCell::default());
        Outbox { entries, bytes: Cell::new(0), bytes_max, fault, changed: Notify::new() }
    }

    /// Appends. The caller has asked for room where that matters.
    pub fn push(&self, entry: Entry) {
        self.bytes.set(self.bytes.get() + entry.cost());
        self.entries.borrow_mut().push_back(entry);
        self.changed.notify();
    }

    /// The oldest entries, of about `bytes_max` bytes or one entry, and what they count for; they count until
    /// [`Outbox::sent`] is told so.
    pub fn take(&self, bytes_max: usize, entries_max: usize) -> (Vec<Entry>, usize) {
        let mut entries = self.entries.borrow_mut();
        let (mut taken, mut cost) = (Vec::new(), 0);
        while let Some(entry) = entries.front() {
            let is_enough = cost + entry.cost() > bytes_max || taken.len() >= entries_max;
            if is_enough && !taken.is_empty() {
                break;
            }
            cost += entry.cost();
            taken.extend(entries.pop_front());
        }
        if entries.is_empty() {
            // An idle listener holds no memory for a queue.
            *entries = VecDeque::new();
        }
        (taken, cost)
    }

    /// Forgets what waits: nobody may have it any more.
    pub fn clear(&self) {
        let (_, cost) = self.take(usize::MAX, usize::MAX);
        self.sent(cost);
    }

    /// Entries that were taken and count for `cost` were sent.
    pub fn sent(&self, cost: usize) {
        let bytes = self.bytes.get().checked_sub(cost);
        self.bytes.set(bytes.expect("no more is sent than was taken"));
    }

    /// Whether nothing waits to be taken.
    pub fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    /// Bytes that count: waiting, or taken and not yet sent.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// The bound.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Whether so many bytes more may stand here.
    pub(super) fn has_room(&self, more: usize) -> bool {
        self.bytes.get() == 0 || self.bytes.get() + more <= self.bytes_max
    }

    /// The listener is to be closed. The first reason stays.
    pub(super) fn fail(&self, fault: Fault) {
        self.fault.borrow_mut().get_or_insert(fault);
        self.changed.notify();
    }

    /// Why the listener is to be closed, if it is.
    pub fn fault(&self) -> Option<Fault> {
        self.fault.borrow().clone()
    }

    /// Wakes the connection's task without an entry.
    pub(super) fn wake(&self) {
        self.changed.notify();
    }

    /// Notified whenever something was appended or wants to be looked at. One task waits for it.
    pub fn changed(&self) -> &Notify {
        &self.changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(len: usize) -> Entry {
        Entry::Wire(Bytes::from(vec![b'x'; len]))
    }

    #[test]
    fn what_was_taken_counts_until_it_was_sent() {
        let outbox = Outbox::new(100);
        outbox.push(entry(40));
        outbox.push(entry(40));
        assert!(outbox.has_room(20) && !outbox.has_room(21));
        let (taken, cost) = outbox.take(1000, 64);
        assert_eq!((taken.len(), cost), (2, 80));
        assert!(outbox.is_empty() && !outbox.has_room(21));
        outbox.sent(cost);
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn an_empty_outbox_takes_one_entry_of_any_length() {
        let outbox = Outbox::new(100);
        assert!(outbox.has_room(5000));
        outbox.push(entry(5000));
        assert!(!outbox.has_room(1));
        assert_eq!(outbox.take(10, 64).1, 5000);
    }

    #[test]
    fn entries_are_taken_in_order_and_in_portions() {
        let outbox = Outbox::new(100);
        (1..=5).for_each(|len| outbox.push(entry(len)));
        assert_eq!(outbox.take(6, 64), (vec![entry(1), entry(2), entry(3)], 6));
        assert_eq!(outbox.take(100, 1), (vec![entry(4)], 4));
    }
}
