//! Channels from every core to every other one, in batches.
//!
//! `send` queues and never waits; one flusher per pair of cores carries everything that has gathered since
//! its last turn as one batch, so a busy pair pays for one wake-up per batch. When a receiver is behind, its
//! lane is full and queues grow up to the bound, at which [`Mesh::room`] holds the producer. A receiver
//! never waits for anything but messages, so a core that waits for room always gets it.
//! Order from one core to one other is kept.

use super::executor::{Queue, spawn};
use super::lane::{Receiver, Sender, lane};
use super::notify::Notify;
use std::cell::RefCell;
use std::rc::Rc;
use types::CoreId;

/// One core's end of the mesh before the core runs; may be sent to it.
pub struct MeshPort<M: Send + 'static> {
    core: CoreId,
    messages_max: usize,
    /// Indexed by core; `None` at this core's own place.
    senders: Vec<Option<Sender<M>>>,
    receivers: Vec<Receiver<M>>,
}

/// The ports of `core_count` cores, all connected with each other. `messages_max` bounds what waits for
/// one other core in its queue, in the batch that is being carried, and in the lane.
pub fn ports<M: Send + 'static>(core_count: u16, messages_max: usize) -> Vec<MeshPort<M>> {
    let new_port = |core| MeshPort {
        core: CoreId(core),
        messages_max,
        senders: (0..core_count).map(|_| None).collect(),
        receivers: Vec::new(),
    };
    let mut ports: Vec<MeshPort<M>> = (0..core_count).map(new_port).collect();
    for from in 0..usize::from(core_count) {
        for to in (0..usize::from(core_count)).filter(|to| *to != from) {
            let (sender, receiver) = lane(messages_max);
            ports[from].senders[to] = Some(sender);
            ports[to].receivers.push(receiver);
        }
    }
    ports
}

/// Messages that wait for one other core.
struct Outbound<M> {
    queue: RefCell<Vec<M>>,
    changed: Notify,
    room: Notify,
}

/// One core's end of the running mesh.
pub struct Mesh<M: Send + 'static> {
    messages_max: usize,
    /// Indexed by core; `None` at this core's own place.
    peers: Vec<Option<Rc<Outbound<M>>>>,
}

/// Messages of other cores that are not yet received.
pub struct Inbox<M: Send + 'static>(Vec<Receiver<M>>);

impl<M: Send + 'static> MeshPort<M> {
    /// Starts the flushers on this core. Messages wait until the other cores have opened theirs.
    pub fn open(self) -> (Rc<Mesh<M>>, Inbox<M>) {
        let start = |sender: Sender<M>| {
            let outbound =
                Rc::new(Outbound { queue: RefCell::default(), changed: Notify::new(), room: Notify::new() });
            spawn(Queue::Commit, flush(outbound.clone(), sender));
            outbound
        };
        let peers = self.senders.into_iter().map(|sender| sender.map(start)).collect();
        (Rc::new(Mesh { messages_max: self.messages_max, peers }), Inbox(self.receivers))
    }

    /// Which core's end this is.
    pub fn core(&self) -> CoreId {
        self.core
    }
}

impl<M: Send + 'static> Mesh<M> {
    /// Queues a message for another core.
    ///
    /// # Panics
    /// If `to` is this core or none of the mesh.
    pub fn send(&self, to: CoreId, message: M) {
        let peer = self.peers[usize::from(to.0)].as_ref().expect("a core does not send to itself");
        peer.queue.borrow_mut().push(message);
        peer.changed.notify();
    }

    /// Waits until no queue is over its bound. One task per core waits here: the shard's driver.
    pub async fn room(&self) {
        for peer in self.peers.iter().flatten() {
            while peer.queue.borrow().len() >= self.messages_max {
                peer.room.notified().await;
            }
        }
    }
}

impl<M: Send + 'static> Inbox<M> {
    /// Receives from all cores on this one: `handle` is called for each message, between tasks.
    pub fn receive(self, handle: impl Fn(M) + 'static) {
        let handle = Rc::new(handle);
        for mut receiver in self.0 {
            let handle = handle.clone();
            spawn(Queue::Commit, async move {
                let mut batch = Vec::new();
                while receiver.take_all(&mut batch).await {
                    batch.drain(..).for_each(&*handle);
                }
            });
        }
    }
}

/// Carries what gathers for one core until that core is gone.
async fn flush<M: Send + 'static>(outbound: Rc<Outbound<M>>, mut sender: Sender<M>) {
    let mut batch = Vec::new();
    loop {
        outbound.changed.notified().await;
        std::mem::swap(&mut batch, &mut *outbound.queue.borrow_mut());
        outbound.room.notify();
        if !sender.put_all(&mut batch).await {
            return; // the other core has stopped, and with it everything that the messages are about
        }
    }
}
