//! Requests that concern one stream: append, read, describe, delete, trim.
//!
//! Each has a form that waits. Appends and reads can also be submitted without waiting, so that a connection
//! can put many of them under way before it awaits the first; the caller asks [`Broker::has_room`] before.
//! What is submitted first reaches the shard first.

use super::Broker;
use crate::shard::PendingReply;
use engine::{
    AckLevel, Append, Appended, Command, Expect, Read, ReadFrom, ReadReply, Reply, StreamDescription,
};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use types::{Drafts, Failure, Idempotency, SeqNum, ShardId, StreamKey};

/// What to append.
#[derive(Clone, Debug)]
pub struct AppendRequest {
    /// To which stream.
    pub stream: StreamKey,
    /// The events, at least one; all are appended or none.
    pub drafts: Drafts,
    /// A condition on the last sequence number.
    pub expect: Option<Expect>,
    /// Makes a retry safe.
    pub idempotency: Option<Idempotency>,
    /// When to answer. `Memory` must be allowed by the stream's settings.
    pub ack: AckLevel,
}

/// What to read.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// From which stream.
    pub stream: StreamKey,
    /// Where to start.
    pub from: ReadFrom,
    /// Most events.
    pub limit: usize,
    /// Payload bytes after which the reply ends; at least one event is given.
    pub bytes_max: usize,
}

/// The outcome of a request that is under way. Dropping it does not undo the request.
pub struct Pending<T> {
    reply: PendingReply,
    convert: fn(Reply) -> Result<T, Failure>,
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let convert = self.convert;
        Pin::new(&mut self.reply).poll(cx).map(convert)
    }
}

impl Broker {
    /// Whether the shard of `stream` takes another request of this core at once.
    pub fn has_room(&self, stream: &StreamKey) -> bool {
        self.link.has_room(self.link.shard_of(stream))
    }

    /// Waits until [`Broker::has_room`].
    pub async fn room(&self, stream: &StreamKey) {
        self.link.room(self.link.shard_of(stream)).await;
    }

    /// Puts an append under way.
    ///
    /// # Errors
    /// [`Failure::AckNotAllowed`]; nothing was submitted then.
    pub fn submit_append(self: &Rc<Self>, request: AppendRequest) -> Result<Pending<Appended>, Failure> {
        let AppendRequest { stream, drafts, expect, idempotency, ack } = request;
        if ack == AckLevel::Memory && !self.allows_memory_ack(&stream) {
            return Err(Failure::AckNotAllowed);
        }
        let shard = self.link.shard_of(&stream);
        self.send_tail(shard, &stream);
        let (to, reply) = self.link.request();
        let append = Append { to, stream, drafts, expect, idempotency, ack };
        self.link.submit(shard, Command::Append(append));
        Ok(Pending { reply, convert: appended })
    }

    /// Appends.
    ///
    /// # Errors
    /// The engine's failures, and [`Failure::AckNotAllowed`].
    pub async fn append(self: &Rc<Self>, request: AppendRequest) -> Result<Appended, Failure> {
        self.room(&request.stream).await;
        self.submit_append(request)?.await
    }

    /// Puts a read under way.
    pub fn submit_read(self: &Rc<Self>, request: ReadRequest) -> Pending<ReadReply> {
        let shard = self.link.shard_of(&request.stream);
        let (to, reply) = self.link.request();
        let ReadRequest { stream, from, limit, bytes_max } = request;
        self.link.submit(shard, Command::Read(Read { to, stream, from, limit, bytes_max }));
        Pending { reply, convert: read }
    }

    /// Reads.
    ///
    /// # Errors
    /// The engine's failures.
    pub async fn read(self: &Rc<Self>, request: ReadRequest) -> Result<ReadReply, Failure> {
        self.room(&request.stream).await;
        self.submit_read(request).await
    }

    /// Reads, and calls `callback` at the moment the reply arrives: after every delivery that the shard sent
    /// before it and before every one that it sends after it. See `CoreLink::request_then`.
    pub fn read_then(
        &self,
        request: ReadRequest,
        callback: impl FnOnce(Result<ReadReply, Failure>) + 'static,
    ) {
        let shard = self.link.shard_of(&request.stream);
        let to = self.link.request_then(move |reply| callback(read(reply)));
        let ReadRequest { stream, from, limit, bytes_max } = request;
        self.link.submit(shard, Command::Read(Read { to, stream, from, limit, bytes_max }));
    }

    /// Describes a stream; `None` when there is none.
    ///
    /// # Errors
    /// The engine's failures.
    pub async fn describe(&self, stream: StreamKey) -> Result<Option<StreamDescription>, Failure> {
        let reply = self.ask(&stream.clone(), |to| Command::Describe { to, stream }).await;
        match reply {
            Reply::Described(description) => Ok(description),
            other => Err(failure_of(other)),
        }
    }

    /// Deletes a stream, durably; tells whether there was one.
    ///
    /// # Errors
    /// The engine's failures.
    pub async fn delete(&self, stream: StreamKey) -> Result<bool, Failure> {
        match self.ask(&stream.clone(), |to| Command::Delete { to, stream }).await {
            Reply::Deleted { existed } => Ok(existed),
            other => Err(failure_of(other)),
        }
    }

    /// Forgets the events before `before`, durably; gives the oldest sequence number that is left.
    ///
    /// # Errors
    /// The engine's failures.
    pub async fn trim(&self, stream: StreamKey, before: SeqNum) -> Result<SeqNum, Failure> {
        match self.ask(&stream.clone(), |to| Command::Trim { to, stream, before }).await {
            Reply::Trimmed { first } => Ok(first),
            other => Err(failure_of(other)),
        }
    }

    async fn ask(&self, stream: &StreamKey, command: impl FnOnce(engine::ReplyTo) -> Command) -> Reply {
        let shard = self.link.shard_of(stream);
        self.link.ask(shard, command).await
    }

    /// Tells the shard how much of the stream to keep in memory, where settings say or said so. Sent with
    /// each append: a tail changes only when events that were appended are checkpointed.
    fn send_tail(&self, shard: ShardId, stream: &StreamKey) {
        if let Some((events, bytes)) = self.tail_of(stream) {
            let stream = stream.clone();
            self.link.submit(shard, Command::SetTail { stream, events, bytes });
        }
    }
}

fn appended(reply: Reply) -> Result<Appended, Failure> {
    match reply {
        Reply::Appended(appended) => Ok(appended),
        other => Err(failure_of(other)),
    }
}

fn read(reply: Reply) -> Result<ReadReply, Failure> {
    match reply {
        Reply::Read(read) => Ok(read),
        other => Err(failure_of(other)),
    }
}

/// The failure of a reply that is not what the command asked for.
pub(super) fn failure_of(reply: Reply) -> Failure {
    match reply {
        Reply::Failed(failure) => failure,
        _ => Failure::Internal { detail: "a shard answered another question".into() },
    }
}
