//! GET of a stream: what to read, in which form, and the reply once events are there.
//!
//! The parameters are those of `docs/api.md`, to the letter. A reply that one page of memory holds goes out
//! with its length; a longer one goes on page by page from where the first page ended (`pages`). With
//! `wait`, an empty reply is held back until an event comes, the time is over, or the server drains.

use super::access::Asker;
use super::core::Core;
use super::flight::{Answer, Flight};
use super::headers::{self, Tag};
use super::negotiate::{self, JSON, NDJSON, OCTETS};
use super::pages::{Form, PagedReply, Pages};
use super::parameters::{Parameters, ReadParameters};
use super::reply::Reply;
use crate::broker::identity::{Action, Session};
use crate::broker::{Broker, ReadRequest};
use auth::policy::Permission;
use bytes::{Bytes, BytesMut};
use engine::{Gap, GapCause, ReadReply};
use http1::RequestHead;
use std::fmt::Write;
use std::rc::Rc;
use types::{Failure, StreamKey};

/// Payload bytes of one page: what a reader costs in memory, a few times over.
pub(super) const PAGE_BYTES: usize = 1024 * 1024;

/// A browser must take the type as it is said.
const NO_SNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");

/// What a GET asks for.
pub(super) struct ReadPlan {
    stream: StreamKey,
    parameters: ReadParameters,
    shape: Shape,
    download: Option<String>,
    head: RequestHead,
    session: Rc<Session>,
}

/// The form of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Events(Form),
    /// The payload of one event.
    Payload,
}

impl ReadPlan {
    /// Checks the head.
    ///
    /// # Errors
    /// In the order of `docs/api.md`: malformed target, permission, `Accept`.
    pub(super) fn of(asker: &Asker<'_>) -> Result<ReadPlan, Failure> {
        let Asker { core, head, .. } = *asker;
        let stream = core.stream_keys().of(head)?;
        let parameters = Parameters::of(head)?;
        let download = parameters.get("download").map(str::to_owned);
        let bounded = ReadParameters::read(&parameters, core.limits(), true)?;
        let session = asker.admit(Action::Get, Permission::Get, &stream)?;
        let offered = [JSON, NDJSON, OCTETS];
        // The bytes of one event, or nothing that this form could say.
        let offered = if bounded.limit == Some(1) { &offered[..] } else { &offered[..2] };
        let (parameters, shape) = match negotiate::choose(head, offered)? {
            0 => (bounded, Shape::Events(Form::Array)),
            1 => (ReadParameters::read(&parameters, core.limits(), false)?, Shape::Events(Form::Lines)),
            _ => (bounded, Shape::Payload),
        };
        Ok(ReadPlan { stream, parameters, shape, download, head: head.clone(), session })
    }

    /// Puts the read under way.
    pub(super) fn start(self, core: &Rc<Core>) -> Flight {
        let Some(request) = self.request() else {
            // Nothing was asked for; the stream need not even exist.
            let form = if self.shape == Shape::Events(Form::Lines) { Form::Lines } else { Form::Array };
            let nothing = if form == Form::Array { "[]" } else { "" };
            return Flight::Done(Answer::Reply(Reply::with_type(200, form.content_type(), nothing)));
        };
        let broker = core.broker().clone();
        if let Some(wait) = self.parameters.wait {
            let future = async move {
                let is_enough = |reply: &ReadReply| !reply.records.is_empty() || only_damage(reply).is_some();
                match broker.read_until(request, wait, is_enough).await {
                    // What came after a grant was taken back, or the session ended, is not for it.
                    Ok(reply) => match broker.may(&self.session, Permission::Get, &self.stream) {
                        Ok(()) => self.answer(broker, reply),
                        Err(failure) => Answer::Failed(failure),
                    },
                    Err(failure) => Answer::Failed(failure),
                }
            };
            return Flight::Task { future: Box::pin(future), ends_with_client: true };
        }
        // Submitted now, so that reads of one connection are under way together.
        let pending = broker.has_room(&self.stream).then(|| broker.submit_read(request.clone()));
        Flight::task(async move {
            let outcome = match pending {
                Some(pending) => pending.await,
                None => broker.read(request).await,
            };
            match outcome {
                Ok(reply) => self.answer(broker, reply),
                Err(failure) => Answer::Failed(failure),
            }
        })
    }

    /// Whether it may wait for an event to come.
    pub(super) fn waits(&self) -> bool {
        self.parameters.wait.is_some()
    }

    fn request(&self) -> Option<ReadRequest> {
        let limit = usize::try_from(self.parameters.limit?).unwrap_or(usize::MAX);
        let (stream, from) = (self.stream.clone(), self.parameters.from);
        Some(ReadRequest { stream, from, limit, bytes_max: PAGE_BYTES })
    }

    /// The reply to what was read.
    fn answer(self, broker: Rc<Broker>, first: ReadReply) -> Answer {
        if let Some(failure) = only_damage(&first) {
            return Answer::Failed(failure);
        }
        let tag = Tag { last: first.last, rest: Some((first.epoch, first.first)) };
        let mut base = Reply::empty(200).header("ETag", tag.to_string()).header("Vary", "Accept");
        if !first.gaps.is_empty() {
            base = base.header("Millrace-Gap", gap_list(&first.gaps));
        }
        if headers::has_current(&self.head, tag) {
            return Answer::Reply(Reply { status: 304, ..base });
        }
        if let Some(name) = &self.download {
            base =
                base.header("Content-Disposition", headers::disposition(name)).header(NO_SNIFF.0, NO_SNIFF.1);
        }
        match self.shape {
            Shape::Payload => Answer::Reply(payload(base, &first)),
            Shape::Events(form) => {
                let base = Reply { content_type: Some(form.content_type()), ..base };
                let left = self.parameters.limit.unwrap_or(0);
                self.events(broker, form, base, left, first)
            }
        }
    }

    fn events(self, broker: Rc<Broker>, form: Form, base: Reply, left: u64, first: ReadReply) -> Answer {
        let mut pages = Pages::new((broker, self.session), self.stream, form, left, first.epoch);
        let mut body = BytesMut::new();
        pages.write(&first, &mut body);
        if pages.is_over() {
            pages.write_end(&mut body);
            return Answer::Reply(Reply { body: body.freeze(), ..base });
        }
        Answer::Pages(Box::new(PagedReply { base, first: body, pages }))
    }
}

/// The payload of the one event as it is, or nothing if there is none.
fn payload(base: Reply, reply: &ReadReply) -> Reply {
    let Some(record) = reply.records.first() else {
        return Reply { status: 204, ..base };
    };
    let content_type = match record.content_type() {
        Some(content_type) => Bytes::copy_from_slice(content_type),
        None if record.is_json() => Bytes::from_static(JSON.as_bytes()),
        None => Bytes::from_static(OCTETS.as_bytes()),
    };
    let base = sandboxed(base).header("Millrace-Id", record.seq().to_string());
    let base = base.header("Millrace-Time", record.time().to_string());
    Reply { content_type: Some(content_type), body: record.payload_bytes(), ..base }
}

/// What a client stored is no page of ours: it runs no script here, whatever type it came with.
fn sandboxed(base: Reply) -> Reply {
    let knows_its_type = base.headers.contains(&(NO_SNIFF.0, NO_SNIFF.1.to_owned()));
    let base = if knows_its_type { base } else { base.header(NO_SNIFF.0, NO_SNIFF.1) };
    base.header("Content-Security-Policy", "sandbox")
}

/// The failure of a read that found nothing but damage.
fn only_damage(reply: &ReadReply) -> Option<Failure> {
    let mut damaged = reply.gaps.iter().filter(|gap| gap.cause == GapCause::Damaged);
    let first = damaged.next().filter(|_| reply.records.is_empty())?;
    let to = damaged.next_back().map_or(first.to, |gap| gap.to);
    Some(Failure::Corrupt { from: first.from, to })
}

/// `from-to`, several comma separated.
fn gap_list(gaps: &[Gap]) -> String {
    let mut text = String::new();
    for gap in gaps {
        let comma = if text.is_empty() { "" } else { ", " };
        write!(text, "{comma}{}-{}", gap.from, gap.to).expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Epoch, SeqNum};

    fn gap(from: u64, to: u64, cause: GapCause) -> Gap {
        Gap { from: SeqNum(from), to: SeqNum(to), cause }
    }

    fn reply(gaps: Vec<Gap>) -> ReadReply {
        ReadReply {
            records: Vec::new(),
            epoch: Epoch(1),
            first: SeqNum(1),
            last: SeqNum(9),
            gaps,
            next: SeqNum(9),
            at_tail: true,
        }
    }

    #[test]
    fn a_reply_with_nothing_but_damage_is_a_failure_that_names_the_range() {
        let damaged = reply(vec![
            gap(1, 2, GapCause::Trimmed),
            gap(3, 4, GapCause::Damaged),
            gap(6, 8, GapCause::Damaged),
        ]);
        assert_eq!(only_damage(&damaged), Some(Failure::Corrupt { from: SeqNum(3), to: SeqNum(8) }));
        assert_eq!(only_damage(&reply(vec![gap(1, 2, GapCause::Trimmed)])), None);
    }

    #[test]
    fn gaps_are_ranges_separated_by_commas() {
        let gaps = [gap(1, 4, GapCause::Trimmed), gap(9, 9, GapCause::Damaged)];
        assert_eq!(gap_list(&gaps), "1-4, 9-9");
    }
}
