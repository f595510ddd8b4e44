//! Events of any number as one body, a page of memory at a time.
//!
//! A page is read, written and sent before the next is asked for, so a reader costs one page whatever it
//! reads. The head was sent with the first page: a gap, a failure or another epoch that turns up later can
//! only be told by not ending the body, so that the client notices and asks again from where it is.

use super::event_json::{write_event, write_event_line};
use super::negotiate::{JSON, NDJSON};
use super::read::PAGE_BYTES;
use super::reply::Reply;
use crate::broker::identity::Session;
use crate::broker::{Broker, ReadRequest};
use auth::policy::Permission;
use bytes::{BufMut, Bytes, BytesMut};
use engine::{ReadFrom, ReadReply};
use std::rc::Rc;
use types::{Epoch, SeqNum, StreamKey};

/// How events stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON array.
    Array,
    /// One JSON text a line.
    Lines,
}

impl Form {
    pub(super) fn content_type(self) -> Bytes {
        Bytes::from_static(match self {
            Form::Array => JSON.as_bytes(),
            Form::Lines => NDJSON.as_bytes(),
        })
    }
}

/// A reply that is longer than one page.
pub(super) struct PagedReply {
    /// Status and headers.
    pub base: Reply,
    /// The body so far.
    pub first: BytesMut,
    /// What follows.
    pub pages: Pages,
}

/// The events of one body that are still to come.
pub(super) struct Pages {
    broker: Rc<Broker>,
    session: Rc<Session>,
    stream: StreamKey,
    form: Form,
    epoch: Epoch,
    /// Events that may still come.
    left: u64,
    next: SeqNum,
    is_at_tail: bool,
    is_begun: bool,
}

/// The body cannot be ended: something happened that its head did not tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CutShort;

impl Pages {
    /// Before the first page.
    pub(super) fn new(
        (broker, session): (Rc<Broker>, Rc<Session>),
        stream: StreamKey,
        form: Form,
        left: u64,
        epoch: Epoch,
    ) -> Pages {
        Pages {
            broker,
            session,
            stream,
            form,
            epoch,
            left,
            next: SeqNum::FIRST,
            is_at_tail: false,
            is_begun: false,
        }
    }

    /// Appends the events of a page to `out`.
    pub(super) fn write(&mut self, reply: &ReadReply, out: &mut BytesMut) {
        for record in reply.records.iter().take(usize::try_from(self.left).unwrap_or(usize::MAX)) {
            match self.form {
                Form::Array => {
                    out.put_u8(if self.is_begun { b',' } else { b'[' });
                    write_event(out, record, None);
                }
                Form::Lines => write_event_line(out, record),
            }
            self.is_begun = true;
            self.left -= 1;
        }
        self.next = reply.next;
        // A page gives at least one event if there is one: nothing follows an empty one.
        self.is_at_tail = reply.at_tail || reply.records.is_empty();
    }

    /// Whether every event was written.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0 || self.is_at_tail
    }

    /// Appends what ends the body.
    pub(super) fn write_end(&self, out: &mut BytesMut) {
        if self.form == Form::Array {
            out.put_slice(if self.is_begun { b"]" } else { b"[]" });
        }
    }

    /// Reads the next page and appends it to `out`.
    ///
    /// # Errors
    /// [`CutShort`]; the connection has to be closed without an end of the body.
    pub(super) async fn write_next(&mut self, out: &mut BytesMut) -> Result<(), CutShort> {
        // A body that takes hours must not outlive the right to it.
        self.broker.may(&self.session, Permission::Get, &self.stream).map_err(|_| CutShort)?;
        let request = ReadRequest {
            stream: self.stream.clone(),
            from: ReadFrom::Seq(self.next),
            limit: usize::try_from(self.left).unwrap_or(usize::MAX),
            bytes_max: PAGE_BYTES,
        };
        let reply = self.broker.read(request).await.map_err(|_| CutShort)?;
        if reply.epoch != self.epoch || !reply.gaps.is_empty() {
            return Err(CutShort);
        }
        self.write(&reply, out);
        Ok(())
    }
}
