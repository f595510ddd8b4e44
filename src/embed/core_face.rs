//! The embedding program's share of each core: its calls, carried out beside the connections.
//!
//! One queue per core. Appends are submitted in the order in which they were called, so a program that
//! appends without waiting keeps its order; everything else runs as a task of its own.

use super::error::Error;
use super::gate::Permit;
use super::pending::Slot;
use crate::broker::{AppendRequest, Broker, ReadRequest};
use crate::faces::http;
use crate::server::{Face, Reload, Web};
use crate::shard::{CoreLink, ShardTable};
use crate::sys::executor::{Either, Queue, race, spawn};
use crate::sys::net::Stream;
use crate::sys::post;
use engine::{Appended, ReadReply};
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use types::{Epoch, Failure, SeqNum, StreamKey};

/// A call, with its place in the gate and where its outcome goes.
pub(super) enum Call {
    Append(AppendRequest, Answer<Appended>),
    Read(ReadRequest, Answer<ReadReply>),
    /// Waits at most so long for events, or for another epoch than this one.
    Await(ReadRequest, Duration, Option<Epoch>, Answer<ReadReply>),
    Trim(StreamKey, SeqNum, Answer<SeqNum>),
    Delete(StreamKey, Answer<bool>),
}

pub(super) struct Answer<T> {
    pub(super) slot: Slot<T>,
    pub(super) permit: Permit,
}

impl<T: 'static> Answer<T> {
    fn give_when_done(self, outcome: impl Future<Output = Result<T, Failure>> + 'static) {
        spawn(Queue::Net, async move {
            let outcome = outcome.await;
            self.give(outcome);
        });
    }

    fn give(self, outcome: Result<T, Failure>) {
        drop(self.permit);
        self.slot.fill(outcome.map_err(Error::Failed));
    }
}

/// The web's faces, and the calls.
#[derive(Clone)]
pub(super) struct Embedded {
    web: Web,
    calls: Arc<Mutex<Vec<Option<post::Receiver<Call>>>>>,
    table: Arc<OnceLock<ShardTable>>,
}

impl Embedded {
    /// The face, and a queue for each core. The table is there once the server has started.
    pub(super) fn new(
        web: Web,
        core_count: usize,
    ) -> (Embedded, Vec<post::Sender<Call>>, Arc<OnceLock<ShardTable>>) {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..core_count).map(|_| post::channel()).unzip();
        let table = Arc::new(OnceLock::new());
        let calls = Arc::new(Mutex::new(receivers.into_iter().map(Some).collect()));
        (Embedded { web, calls, table: table.clone() }, senders, table)
    }
}

impl Face for Embedded {
    type Core = http::Core;

    fn prepare(&mut self, data_dir: &Path) -> Result<Vec<Reload>, String> {
        self.web.prepare(data_dir)
    }

    fn opened(core: Rc<http::Core>) -> impl Future<Output = Result<(), String>> + 'static {
        Web::opened(core)
    }

    fn open(&self, link: Rc<CoreLink>) -> Rc<http::Core> {
        let core = usize::from(link.core().0);
        self.table.get_or_init(|| link.table().clone());
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner)[core].take();
        let calls = calls.expect("each core opens its face once");
        let opened = self.web.open(link);
        spawn(Queue::Net, carry_out(opened.broker().clone(), calls));
        opened
    }

    fn serve(core: Rc<http::Core>, stream: Stream) -> impl Future<Output = ()> + 'static {
        Web::serve(core, stream)
    }
}

/// Until the server stops. Then the queue goes, and with it the calls that were not begun: their callers
/// hear that the server has stopped, now and later.
async fn carry_out(broker: Rc<Broker>, mut calls: post::Receiver<Call>) {
    let link = broker.link().clone();
    if let Either::Second(()) = race(broker.loaded(), link.draining()).await {
        return;
    }
    while let Either::First(Some(call)) = race(calls.recv(), link.draining()).await {
        let broker = broker.clone();
        match call {
            Call::Append(request, answer) => {
                broker.room(&request.stream).await;
                match broker.submit_append(request) {
                    Ok(outcome) => answer.give_when_done(outcome),
                    Err(failure) => answer.give(Err(failure)),
                }
            }
            Call::Read(request, answer) => answer.give_when_done(async move { broker.read(request).await }),
            Call::Await(request, wait, epoch, answer) => answer.give_when_done(async move {
                let is_other = |found: Epoch| epoch.is_some_and(|known| known != found);
                let is_enough = |reply: &ReadReply| {
                    !reply.records.is_empty() || !reply.gaps.is_empty() || is_other(reply.epoch)
                };
                broker.read_until(request, wait, is_enough).await
            }),
            Call::Trim(stream, before, answer) => {
                answer.give_when_done(async move { broker.trim(stream, before).await });
            }
            Call::Delete(stream, answer) => {
                answer.give_when_done(async move { broker.delete(stream).await });
            }
        }
    }
}
