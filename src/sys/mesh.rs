//! Channels from every core to every other one, in batches.
//!
//! `send` queues and never waits; one flusher per pair of cores carries everything that has gathered since
//! its last turn as one batch, so a busy pair pays for one wake-up per batch. When a receiver is behind, its
//! batches are full and queues grow up to the bound, at which [`Mesh::room`] holds the producer. A receiver
//! never waits for anything but messages, so a core that waits for room always gets it.
//! Order from one core to one other is kept.

use super::executor::{Queue, sleep, spawn};
use super::notify::Notify;
use glommio::channels::shared_channel::{SharedReceiver, SharedSender, new_bounded};
use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use types::CoreId;

/// Batches that lie in one channel; with full ones a channel holds as many messages as one queue may.
const CHANNEL_BATCHES: usize = 16;

/// One core's end of the mesh before the core runs; may be sent to it.
pub struct MeshPort<M: Send + 'static> {
    core: CoreId,
    messages_max: usize,
    /// Indexed by core; `None` at this core's own place.
    senders: Vec<Option<SharedSender<Vec<M>>>>,
    receivers: Vec<SharedReceiver<Vec<M>>>,
}

/// The ports of `core_count` cores, all connected with each other. `messages_max` bounds what waits for
/// one other core in its queue, and again in its channel.
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
            let (sender, receiver) = new_bounded(CHANNEL_BATCHES);
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
pub struct Inbox<M: Send + 'static>(Vec<SharedReceiver<Vec<M>>>);

impl<M: Send + 'static> MeshPort<M> {
    /// Starts the flushers on this core. Messages wait until the other cores have opened theirs.
    pub fn open(self) -> (Rc<Mesh<M>>, Inbox<M>) {
        let batch_max = (self.messages_max / CHANNEL_BATCHES).max(1);
        let start = |sender: SharedSender<Vec<M>>| {
            let outbound =
                Rc::new(Outbound { queue: RefCell::default(), changed: Notify::new(), room: Notify::new() });
            spawn(Queue::Commit, flush(outbound.clone(), sender, batch_max));
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
        for receiver in self.0 {
            let handle = handle.clone();
            spawn(Queue::Commit, async move {
                let receiver = connected(receiver.connect()).await;
                while let Some(batch) = receiver.recv().await {
                    batch.into_iter().for_each(&*handle);
                }
            });
        }
    }
}

/// Waits for the other core to open its end. glommio does not wake a core that sleeps in `connect` when its
/// peer connects, so this one looks again every millisecond; it lasts only while the cores start.
async fn connected<C>(connecting: impl Future<Output = C>) -> C {
    let look_again = async {
        loop {
            sleep(Duration::from_millis(1)).await;
        }
    };
    futures_lite::future::or(connecting, look_again).await
}

/// Carries what gathers for one core until that core is gone.
async fn flush<M: Send + 'static>(outbound: Rc<Outbound<M>>, sender: SharedSender<Vec<M>>, batch_max: usize) {
    let sender = connected(sender.connect()).await;
    loop {
        outbound.changed.notified().await;
        while let Some(batch) = outbound.take_batch(batch_max) {
            outbound.room.notify();
            if sender.send(batch).await.is_err() {
                return; // the other core has stopped, and with it everything that the messages are about
            }
        }
    }
}

impl<M> Outbound<M> {
    fn take_batch(&self, batch_max: usize) -> Option<Vec<M>> {
        let mut queue = self.queue.borrow_mut();
        if queue.len() <= batch_max {
            let batch = std::mem::take(&mut *queue);
            return (!batch.is_empty()).then_some(batch);
        }
        let rest = queue.split_off(batch_max);
        Some(std::mem::replace(&mut *queue, rest))
    }
}
