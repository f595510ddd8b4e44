//! Following a stream from an embedding program.
//!
//! The program pulls: a page is read when the one before is used up, so a slow program costs no memory and
//! loses nothing but what the stream itself forgets, and is told that as a gap.

use super::builder::Shared;
use super::core_face::Call;
use super::error::Error;
use super::stream::PAGE_BYTES;
use crate::broker::ReadRequest;
use engine::{Gap, ReadFrom, ReadReply};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use types::{Epoch, Record, SeqNum, StreamKey};

/// Events of one page.
const PAGE_EVENTS: usize = 1000;

/// What happens on a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// An event.
    Event(Record),
    /// Events that were asked for and are gone: trimmed, or damaged on disk.
    Gap(Gap),
    /// The stream was deleted. What follows begins again at 1, in this epoch; `Epoch(0)`: nothing yet.
    Reset(Epoch),
}

/// A place in a stream that moves on.
pub struct Subscription {
    shared: Arc<Shared>,
    stream: StreamKey,
    next: SeqNum,
    /// `None` until something of the stream was seen.
    epoch: Option<Epoch>,
    page: VecDeque<Message>,
}

impl Subscription {
    pub(super) fn new(shared: Arc<Shared>, stream: StreamKey, from: SeqNum) -> Subscription {
        let next = from.max(SeqNum::FIRST);
        Subscription { shared, stream, next, epoch: None, page: VecDeque::new() }
    }

    /// Where it goes on when everything that it has given was used: to be kept for [`Stream::subscribe`]
    /// after a restart.
    ///
    /// [`Stream::subscribe`]: super::Stream::subscribe
    pub fn next_seq(&self) -> SeqNum {
        self.page.iter().find_map(place_of).unwrap_or(self.next)
    }

    /// The next message, waiting for it at most so long; `None` when nothing came.
    ///
    /// # Errors
    /// Why the stream cannot be read. The subscription stays where it is and may be asked again.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Message>, Error> {
        if self.page.is_empty() {
            let (stream, from) = (self.stream.clone(), ReadFrom::Seq(self.next));
            let request = ReadRequest { stream, from, limit: PAGE_EVENTS, bytes_max: PAGE_BYTES };
            let epoch = self.epoch;
            let call = |answer| Call::Await(request, wait, epoch, answer);
            let reply = self.shared.call(&self.stream, call).wait()?;
            self.take_page(reply);
        }
        Ok(self.page.pop_front())
    }

    fn take_page(&mut self, reply: ReadReply) {
        // Epoch 0: there is no such stream.
        let known = self.epoch.filter(|epoch| *epoch != Epoch(0));
        if let Some(epoch) = known
            && epoch != reply.epoch
        {
            (self.epoch, self.next) = (Some(reply.epoch), SeqNum::FIRST);
            self.page.push_back(Message::Reset(reply.epoch));
            return;
        }
        self.epoch = Some(reply.epoch);
        let mut gaps = reply.gaps.into_iter().peekable();
        for record in reply.records {
            while let Some(gap) = gaps.next_if(|gap| gap.to < record.seq()) {
                self.page.push_back(Message::Gap(gap));
            }
            self.next = record.seq().next();
            self.page.push_back(Message::Event(record));
        }
        for gap in gaps {
            self.next = self.next.max(gap.to.next());
            self.page.push_back(Message::Gap(gap));
        }
    }
}

fn place_of(message: &Message) -> Option<SeqNum> {
    match message {
        Message::Event(record) => Some(record.seq()),
        Message::Gap(gap) => Some(gap.from),
        Message::Reset(_) => Some(SeqNum::FIRST),
    }
}
