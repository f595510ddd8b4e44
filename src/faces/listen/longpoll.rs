//! The long-poll form of `/listen`: one reply with what is there when something has come, or 204.
//!
//! The connection goes on afterwards. A client that goes away meanwhile is noticed; what it sends meanwhile
//! is kept for the next request, up to one read.

use super::guard::Guard;
use super::request::ListenRequest;
use super::wire::{SEND_BYTES, SEND_ENTRIES, Turn, Waits, Wire};
use super::{Unopened, failure_of, give_back, refuse, subscribe_all, wait_until_open};
use crate::broker::fanout::{Entry, Form, Outbox};
use crate::faces::http::counters::ListenerForm;
use crate::faces::http::handoff::Ending;
use crate::faces::http::{Alarm, Core};
use crate::sys::clock;
use bytes::{Bytes, BytesMut};
use http1::{ReplyTo, ResponseWriter};
use std::rc::Rc;
use std::time::Duration;
use types::Failure;

/// What is kept of the bytes that come while the poll waits; then no more is received until it is answered.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// How the poll ended.
enum Outcome {
    Array(Bytes),
    Nothing,
    Failed(Failure),
    /// The client went away.
    Ended,
}

/// Serves one long-poll. Gives the connection back where it goes on.
pub(super) async fn serve(
    core: Rc<Core>,
    mut wire: Box<Wire>,
    alarm: Alarm,
    (request, mut guard): (ListenRequest, Box<Guard>),
    mut to: ReplyTo,
) -> Ending {
    wire.open_listener(ListenerForm::LongPoll);
    let outcome = poll(&core, &mut wire, &alarm, &request, &mut guard).await;
    let mut out = BytesMut::new();
    to.keep_alive &= !core.is_draining();
    let status = match outcome {
        Outcome::Ended => return Ending::Close,
        Outcome::Failed(failure) => return refuse(&core, wire, &alarm, &failure, to).await,
        Outcome::Array(array) => {
            write_array(&mut out, &core, to, &array);
            wire.count_deliveries(1);
            200
        }
        Outcome::Nothing => {
            write_nothing(&mut out, &core, to);
            204
        }
    };
    wire.queue_reply(status, out);
    give_back(&core, wire, &alarm, to).await
}

/// Listens until there is an outcome.
async fn poll(
    core: &Core,
    wire: &mut Wire,
    alarm: &Alarm,
    request: &ListenRequest,
    guard: &mut Guard,
) -> Outcome {
    let listener = core.broker().listener(Form::LongPoll, request.gaps);
    subscribe_all(&listener, request);
    match wait_until_open(core, wire, alarm, &listener).await {
        Ok(()) => {}
        Err(Unopened::Failed(failure)) => return Outcome::Failed(failure),
        Err(Unopened::Ended) => return Outcome::Ended,
    }
    let deadline_ns = clock::monotonic_ns().saturating_add(nanoseconds(request.timeout));
    loop {
        listener.pump();
        if let Err(failure) = guard.check(core.broker()) {
            return Outcome::Failed(failure);
        }
        if let Some(array) = take_array(listener.outbox()) {
            return Outcome::Array(array);
        }
        if let Some(fault) = listener.outbox().fault() {
            return Outcome::Failed(failure_of(&fault));
        }
        let left = guard.at_most_left(Duration::MAX);
        if let Some(outcome) = wait(core, wire, alarm, listener.outbox(), (deadline_ns, left)).await {
            return outcome;
        }
    }
}

/// Waits until something is to be looked at, or the poll has its outcome.
async fn wait(
    core: &Core,
    wire: &mut Wire,
    alarm: &Alarm,
    outbox: &Outbox,
    (deadline_ns, session_left): (u64, Duration),
) -> Option<Outcome> {
    let left = deadline_ns.saturating_sub(clock::monotonic_ns());
    if left == 0 {
        return Some(Outcome::Nothing);
    }
    alarm.set(Duration::from_nanos(left).min(session_left));
    let receives = wire.input.len() < INPUT_BYTES_MAX;
    let draining = Some(&**core.broker().link());
    match wire.turn(alarm, Waits { changed: Some(outbox.changed()), draining, receives }).await {
        // Nothing more can come; the client asks again, and somebody else answers.
        Turn::Draining => Some(Outcome::Nothing),
        Turn::Ended => Some(Outcome::Ended),
        Turn::Sent | Turn::Rang | Turn::Woken | Turn::Received | Turn::Beside => None,
    }
}

/// What has come so far, as one array, if anything has.
fn take_array(outbox: &Outbox) -> Option<Bytes> {
    let (entries, _) = outbox.take(SEND_BYTES, SEND_ENTRIES);
    let mut arrays = entries.into_iter().map(|entry| match entry {
        Entry::Array(array) => array.json,
        Entry::Wire(_) => unreachable!("this form gets arrays"),
    });
    let first = arrays.next()?;
    if arrays.len() == 0 {
        return Some(first);
    }
    let mut joined = BytesMut::from(&first[..]);
    for array in arrays {
        // `[1,2]` and `[3]` are `[1,2,3]`; none is empty.
        joined.truncate(joined.len() - 1);
        joined.extend_from_slice(b",");
        joined.extend_from_slice(&array[1..]);
    }
    Some(joined.freeze())
}

fn write_array(out: &mut BytesMut, core: &Core, to: ReplyTo, array: &[u8]) {
    let mut writer = ResponseWriter::begin(out, 200, to);
    writer.date(&core.date());
    writer.header("Content-Type", "application/json");
    writer.header("Cache-Control", "no-store");
    writer.finish_with_body(array).expect("every header is our own");
}

fn write_nothing(out: &mut BytesMut, core: &Core, to: ReplyTo) {
    let mut writer = ResponseWriter::begin(out, 204, to);
    writer.date(&core.date());
    writer.header("Cache-Control", "no-store");
    writer.finish_empty().expect("every header is our own");
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
