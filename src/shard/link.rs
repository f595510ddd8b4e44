//! The way from the tasks of one core to every shard, and back.
//!
//! One per core, shared as `Rc<CoreLink>` by its broker and faces. A command for this core's own shard goes
//! into the shard's mailbox, one for another core into the next batch of the mesh. Order is kept: commands
//! of one core reach a shard in the order of `submit`, and what a shard sends to one core (replies and
//! deliveries alike) arrives in the order in which it was emitted.
//! Nothing here waits but [`CoreLink::room`]; nothing is dropped.

use super::requests::{Requests, Wake};
use super::table::ShardTable;
use crate::observe::Histogram;
use crate::sys::clock;
use crate::sys::mesh::Mesh;
use crate::sys::notify::{Latch, Notify};
use engine::{Command, Delivery, Reply, ReplyTo};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use types::{CoreId, Limits, ShardId, StreamKey, Timestamp};

/// What one core says to another.
#[derive(Debug)]
pub enum Message {
    /// For the shard of the receiving core.
    Command(Command),
    /// For a request of the receiving core.
    Reply {
        /// The receiver's number for it.
        request: u64,
        /// The answer.
        reply: Reply,
    },
    /// For the fan-out of the receiving core.
    Delivery(Delivery),
}

/// What waits for this core's shard. Bounded by the askers: see [`CoreLink::room`].
#[derive(Default)]
pub(super) struct Mailbox {
    pub(super) commands: RefCell<VecDeque<Command>>,
    /// Notified for results of the disk too.
    pub(super) changed: Rc<Notify>,
}

type DeliveryHandler = Rc<dyn Fn(Delivery)>;

/// A core's link to all shards.
pub struct CoreLink {
    core: CoreId,
    limits: Limits,
    table: ShardTable,
    mesh: Rc<Mesh<Message>>,
    pub(super) mailbox: Mailbox,
    requests: RefCell<Requests>,
    on_delivery: RefCell<Option<DeliveryHandler>>,
    /// Tasks in [`CoreLink::room`].
    waiting_for_room: RefCell<Vec<Waker>>,
    draining: Latch,
    /// How long the journal writes of this core's shard take.
    journal_times: Arc<Histogram>,
}

impl CoreLink {
    /// The link of `core`.
    pub fn new(core: CoreId, limits: Limits, table: ShardTable, mesh: Rc<Mesh<Message>>) -> Rc<Self> {
        let shard_count = table.shards().count();
        Rc::new(CoreLink {
            core,
            limits,
            table,
            mesh,
            mailbox: Mailbox::default(),
            requests: RefCell::new(Requests::new(shard_count)),
            on_delivery: RefCell::new(None),
            waiting_for_room: RefCell::default(),
            draining: Latch::new(),
            journal_times: Arc::default(),
        })
    }

    /// Registers the fan-out: it is called once per delivery, in the order of the shard that sent it, on
    /// this core, between tasks. It must not wait and should be quick. It may call `submit` and `request`.
    pub fn on_delivery(&self, handler: impl Fn(Delivery) + 'static) {
        *self.on_delivery.borrow_mut() = Some(Rc::new(handler));
    }

    /// A number for a request and the future of its reply. Dropping the future does not undo the command.
    pub fn request(self: &Rc<Self>) -> (ReplyTo, PendingReply) {
        let request = self.requests.borrow_mut().open(None);
        let pending = PendingReply { link: Some(self.clone()), request };
        (ReplyTo { core: self.core, request }, pending)
    }

    /// A number for a request whose reply is handed to `callback` at the moment it arrives: after everything
    /// that the shard emitted before it and *before* any delivery emitted after it. This is what lets a
    /// reader that has reached the tail go live without a hole; a future is polled only later.
    /// The callback must not wait; it may call `submit` and `request_then`.
    pub fn request_then(&self, callback: impl FnOnce(Reply) + 'static) -> ReplyTo {
        let request = self.requests.borrow_mut().open(Some(Box::new(callback)));
        ReplyTo { core: self.core, request }
    }

    /// Sends a command to a shard; at most once per request number. Never waits: call [`CoreLink::room`]
    /// before new work is accepted from a client.
    pub fn submit(&self, shard: ShardId, command: Command) {
        if let Some(to) = reply_address(&command) {
            assert_eq!(to.core, self.core, "a command is answered to the core that submits it");
            self.requests.borrow_mut().sent(to.request, shard);
        }
        let core = self.table.core_of(shard);
        if core == self.core {
            self.mailbox.commands.borrow_mut().push_back(command);
            self.mailbox.changed.notify();
        } else {
            self.mesh.send(core, Message::Command(command));
        }
    }

    /// Waits until the shard has fewer than `Limits::mesh_messages_max` unanswered requests of this core.
    /// This is the backpressure from disk to client.
    pub async fn room(&self, shard: ShardId) {
        std::future::poll_fn(|cx| {
            if self.has_room(shard) {
                return Poll::Ready(());
            }
            self.waiting_for_room.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whether [`CoreLink::room`] would not wait.
    pub fn has_room(&self, shard: ShardId) -> bool {
        self.requests.borrow().outstanding(shard) < self.limits.mesh_messages_max
    }

    /// Waits for room, submits the command that `command` makes, waits for the reply.
    pub async fn ask(self: &Rc<Self>, shard: ShardId, command: impl FnOnce(ReplyTo) -> Command) -> Reply {
        self.room(shard).await;
        let (to, reply) = self.request();
        self.submit(shard, command(to));
        reply.await
    }

    /// This core.
    pub fn core(&self) -> CoreId {
        self.core
    }

    /// The shard that owns a stream.
    pub fn shard_of(&self, stream: &StreamKey) -> ShardId {
        self.table.shard_of_stream(stream)
    }

    /// All shards, ascending.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        self.table.shards()
    }

    /// The table of partitions.
    pub fn table(&self) -> &ShardTable {
        &self.table
    }

    /// The bounds of the server.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        clock::now()
    }

    /// Whether the server is stopping: no new work, finish what was accepted.
    pub fn is_draining(&self) -> bool {
        self.draining.is_set()
    }

    /// Waits until the server is stopping. Any number of tasks may wait; dropping the future is free.
    pub async fn draining(&self) {
        self.draining.wait().await;
    }

    /// From now on the server is stopping.
    pub(crate) fn set_draining(&self) {
        self.draining.set();
    }

    /// Hands over an answer of a shard, its own core's or another's.
    pub(super) fn handle_reply(&self, request: u64, reply: Reply) {
        let wake = self.requests.borrow_mut().answer(request, reply);
        self.wake_those_without_room();
        match wake {
            Wake::Nothing => {}
            Wake::Task(waker) => waker.wake(),
            Wake::Callback(callback, reply) => callback(reply),
        }
    }

    /// Wakes all that wait for room, once a shard's queue has fallen to half, not at each reply.
    fn wake_those_without_room(&self) {
        if self.waiting_for_room.borrow().is_empty() {
            return;
        }
        let half = self.limits.mesh_messages_max / 2;
        let requests = self.requests.borrow();
        if self.table.shards().any(|shard| requests.outstanding(shard) == half) {
            let waiting = self.waiting_for_room.take();
            drop(requests);
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// Hands events to the fan-out. Without one they have no reader.
    pub(super) fn handle_delivery(&self, delivery: Delivery) {
        let handler = self.on_delivery.borrow().clone();
        if let Some(handler) = handler {
            handler(delivery);
        }
    }

    /// Handles what another core sent.
    pub(crate) fn handle_message(&self, message: Message) {
        match message {
            Message::Command(command) => {
                self.mailbox.commands.borrow_mut().push_back(command);
                self.mailbox.changed.notify();
            }
            Message::Reply { request, reply } => self.handle_reply(request, reply),
            Message::Delivery(delivery) => self.handle_delivery(delivery),
        }
    }

    /// Sends what this core's shard has for `core`, in order.
    pub(super) fn send(&self, core: CoreId, message: Message) {
        if core == self.core {
            self.handle_message(message);
        } else {
            self.mesh.send(core, message);
        }
    }

    /// What the shard's disk work notifies.
    pub(crate) fn shard_changed(&self) -> Rc<Notify> {
        self.mailbox.changed.clone()
    }

    /// How long the journal writes of this core's shard take.
    pub fn journal_times(&self) -> &Arc<Histogram> {
        &self.journal_times
    }

    /// The channels to other cores.
    pub(super) fn mesh(&self) -> &Mesh<Message> {
        &self.mesh
    }
}

/// The reply to one request. May be dropped; the reply is then ignored.
pub struct PendingReply {
    /// `None` after the reply was given.
    link: Option<Rc<CoreLink>>,
    request: u64,
}

impl Future for PendingReply {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        let link = self.link.as_ref().expect("not polled after it was ready");
        let reply = link.requests.borrow_mut().poll(self.request, cx.waker());
        match reply {
            Some(reply) => {
                self.link = None;
                Poll::Ready(reply)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            link.requests.borrow_mut().abandon(self.request);
        }
    }
}

/// Where the answer to a command goes; `None` for commands that are not answered.
pub(super) fn reply_address(command: &Command) -> Option<ReplyTo> {
    match command {
        Command::Append(append) => Some(append.to),
        Command::Read(read) => Some(read.to),
        Command::Delete { to, .. }
        | Command::Trim { to, .. }
        | Command::Describe { to, .. }
        | Command::ListBuckets { to, .. }
        | Command::ListStreams { to, .. }
        | Command::Watch { to, .. }
        | Command::Stats { to } => Some(*to),
        Command::Unwatch { .. } | Command::SetTail { .. } => None,
    }
}
