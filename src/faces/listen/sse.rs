//! The event stream form of `/listen` (HTML Living Standard, "Server-sent events").
//!
//! Each array is one message with one `data:` line; its `id:` tells the places in all streams, so that a
//! client that comes back gets everything once. A listener of one stream gets chunks that the fan-out made
//! for all of its kind; one of several gets arrays, framed here when they are sent.

use super::guard::{self, Guard};
use super::request::ListenRequest;
use super::wire::{SEND_BYTES, SEND_ENTRIES, Turn, Waits, Wire};
use super::{Unopened, refuse, subscribe_all, wait_until_open};
use crate::broker::fanout::{
    ArrayEntry, Entry, Fault, Form, Kind, Listener, Outbox, Place, SSE_END, encode, one_line, sse_head,
};
use crate::faces::http::counters::ListenerForm;
use crate::faces::http::handoff::Ending;
use crate::faces::http::{Alarm, Core};
use bytes::{Bytes, BytesMut};
use engine::WatchTarget;
use http1::{BodyForm, ReplyTo, ResponseWriter, Version, write_chunk, write_last_chunk};
use std::rc::Rc;
use std::time::Duration;

/// A comment that keeps the connection alive.
const HEARTBEAT: &str = ":\n\n";
/// How long the other end has to take the last words.
const GOODBYE: Duration = Duration::from_secs(2);

struct EventStream {
    core: Rc<Core>,
    wire: Box<Wire>,
    alarm: Alarm,
    listener: Listener,
    guard: Box<Guard>,
    framing: BodyForm,
    tag: u32,
    /// What was queued to be sent, by subscription.
    places: Vec<Place>,
    /// What the entries that are being sent count for in the outbox.
    cost: usize,
}

/// Serves an event stream to its end.
pub(super) async fn serve(
    core: Rc<Core>,
    mut wire: Box<Wire>,
    alarm: Alarm,
    (request, guard): (ListenRequest, Box<Guard>),
    to: ReplyTo,
) -> Ending {
    let is_of_one = matches!(&request.streams[..], [asked] if matches!(asked.target, WatchTarget::Stream(_)));
    let form = match is_of_one && to.version == Version::Http11 {
        true => Form::SseOfOne { tag: request.tag },
        false => Form::Sse,
    };
    wire.open_listener(ListenerForm::Sse);
    let listener = core.broker().listener(form, request.gaps);
    subscribe_all(&listener, &request);
    match wait_until_open(&core, &mut wire, &alarm, &listener).await {
        Ok(()) => {}
        Err(Unopened::Failed(failure)) => return refuse(&core, wire, &alarm, &failure, to).await,
        Err(Unopened::Ended) => return Ending::Close,
    }
    let tag = request.tag;
    drop(request);
    EventStream::begin(core, wire, alarm, (listener, guard), (tag, to)).follow().await;
    Ending::Close
}

fn write_head(out: &mut BytesMut, core: &Core, to: ReplyTo) -> BodyForm {
    let mut writer = ResponseWriter::begin(out, 200, to);
    writer.date(&core.date());
    writer.header("Content-Type", "text/event-stream");
    writer.header("Cache-Control", "no-store, no-transform");
    writer.header("X-Accel-Buffering", "no");
    writer.finish_chunked().expect("every header is our own")
}

impl EventStream {
    /// Answers the request. Boxed: see [`Wire::new`].
    fn begin(
        core: Rc<Core>,
        mut wire: Box<Wire>,
        alarm: Alarm,
        (listener, guard): (Listener, Box<Guard>),
        (tag, to): (u32, ReplyTo),
    ) -> Box<EventStream> {
        let mut head = BytesMut::new();
        let framing = write_head(&mut head, &core, to);
        wire.queue_reply(200, head);
        let places = listener.places();
        let mut stream =
            Box::new(EventStream { core, wire, alarm, listener, guard, framing, tag, places, cost: 0 });
        // The place where it begins: what comes while the client is away right after this is not lost.
        let begin = format!("id: {}\n\n", stream.id());
        stream.queue_text(&begin);
        stream
    }

    async fn follow(mut self: Box<Self>) {
        let heartbeat = Duration::from_millis(self.core.limits().sse_heartbeat_ms);
        let stall_max = Duration::from_millis(self.core.limits().body_timeout_ms);
        let outbox = self.listener.outbox().clone();
        let core = self.core.clone();
        self.rest(heartbeat);
        loop {
            if let Err(failure) = self.guard.check(core.broker()) {
                return self.end(guard::reason_of(&failure)).await;
            }
            self.queue_entries(&outbox);
            self.listener.pump();
            let draining = Some(&**core.broker().link());
            let waits = Waits { changed: Some(outbox.changed()), draining, receives: true };
            match self.wire.turn(&self.alarm, waits).await {
                Turn::Sent => {
                    outbox.sent(std::mem::take(&mut self.cost));
                    self.rest(heartbeat);
                }
                Turn::Rang => match self.wire.stalled_for() {
                    Some(stalled) if stalled >= stall_max && self.listener.closes_when_slow() => return,
                    Some(_) => self.rest(heartbeat),
                    None => {
                        self.queue_text(HEARTBEAT);
                        self.rest(heartbeat);
                    }
                },
                Turn::Draining => return self.end("draining").await,
                Turn::Woken => {
                    if let Some(fault) = outbox.fault() {
                        return self.end(reason_of(&fault)).await;
                    }
                }
                // An event stream hears nothing.
                Turn::Received => self.wire.clear_input(),
                Turn::Ended => return,
                Turn::Beside => unreachable!("nothing is waited for beside"),
            }
        }
    }

    /// Sets the alarm, at the latest for the end of the session.
    fn rest(&self, heartbeat: Duration) {
        self.alarm.set(self.guard.at_most_left(heartbeat));
    }

    /// Takes from the outbox once the last was sent.
    fn queue_entries(&mut self, outbox: &Outbox) {
        if !self.wire.is_flushed() || outbox.is_empty() {
            return;
        }
        let (entries, cost) = outbox.take(SEND_BYTES, SEND_ENTRIES);
        self.wire.count_deliveries(entries.len());
        self.cost += cost;
        let mut events: Vec<Bytes> = Vec::new();
        for entry in entries {
            match entry {
                Entry::Wire(bytes) => self.wire.queue(bytes),
                Entry::Array(array) => {
                    if array.kind != Kind::Events {
                        self.queue_message(Kind::Events, std::mem::take(&mut events));
                    }
                    self.advance(&array);
                    match array.kind {
                        Kind::Events => events.push(array.json),
                        notice => self.queue_message(notice, vec![array.json]),
                    }
                }
            }
        }
        self.queue_message(Kind::Events, events);
    }

    fn advance(&mut self, array: &ArrayEntry) {
        match (&mut self.places[array.subscription], array.stream) {
            (Place::Stream(position), _) => *position = array.after,
            (Place::Pattern { seen, .. }, stream) => {
                seen.insert(stream.expect("an array of a pattern names its stream"), array.after);
            }
        }
    }

    /// Queues one message with the items of all arrays.
    fn queue_message(&mut self, kind: Kind, arrays: Vec<Bytes>) {
        if arrays.is_empty() {
            return;
        }
        let head = sse_head(kind, &self.id());
        let arrays: Vec<Bytes> = arrays.into_iter().map(in_one_line).collect();
        let mut parts = vec![Bytes::from(head)];
        let last = arrays.len() - 1;
        for (index, array) in arrays.into_iter().enumerate() {
            let (from, to) = (usize::from(index > 0), array.len() - usize::from(index < last));
            if index > 0 {
                parts.push(Bytes::from_static(b","));
            }
            parts.push(array.slice(from..to));
        }
        parts.push(Bytes::from_static(SSE_END.as_bytes()));
        if self.framing == BodyForm::Chunks {
            let length: usize = parts.iter().map(Bytes::len).sum();
            parts.insert(0, Bytes::from(format!("{length:x}\r\n")));
            parts.push(Bytes::from_static(b"\r\n"));
        }
        parts.into_iter().for_each(|part| self.wire.queue(part));
    }

    /// The places as an id. Empty where they are too many for one: then there is nothing to come back to.
    fn id(&self) -> String {
        encode(self.tag, &self.places).unwrap_or_default()
    }

    fn queue_text(&mut self, text: &str) {
        let mut out = BytesMut::new();
        match self.framing {
            BodyForm::Chunks => write_chunk(&mut out, text.as_bytes()),
            BodyForm::Plain | BodyForm::UntilClose | BodyForm::None => out.extend_from_slice(text.as_bytes()),
        }
        self.wire.queue(out.freeze());
    }

    /// Says why, and ends the connection.
    async fn end(mut self: Box<Self>, reason: &str) {
        self.queue_text(&format!("event: close\ndata: {{\"reason\":\"{reason}\"}}\n\n"));
        if self.framing == BodyForm::Chunks {
            let mut out = BytesMut::new();
            write_last_chunk(&mut out);
            self.wire.queue(out.freeze());
        }
        if self.wire.flush(&self.alarm, GOODBYE).await {
            self.wire.close(&self.alarm, GOODBYE).await;
        }
    }
}

fn in_one_line(array: Bytes) -> Bytes {
    match one_line(&array) {
        std::borrow::Cow::Borrowed(_) => array,
        std::borrow::Cow::Owned(line) => line.into(),
    }
}

fn reason_of(fault: &Fault) -> &'static str {
    match fault {
        Fault::Failed(failure) => failure.type_name(),
        Fault::TooManyBehind => "slow",
    }
}
