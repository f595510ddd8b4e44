//! The listen face: `/listen` as WebSocket, event stream or long-poll, and the WebSocket of `/x/echo`.
//!
//! The HTTP face hands a connection over ([`serve`]); from then on this face owns it. It translates between
//! the wire and the broker's fan-out and stores nothing: what waits stands in the listener's outbox, bounded.
//! A connection is one task that never blocks another; an idle one owns no buffer.

mod commands;
mod conversation;
mod echo;
mod guard;
mod longpoll;
mod request;
mod socket;
mod sse;
mod wire;

use crate::broker::fanout::{Begin, Fault, Form, Listener};
use crate::faces::http::counters::ListenerForm;
use crate::faces::http::handoff::{Ending, Handoff, Purpose};
use crate::faces::http::{Alarm, Core, encode_failure};
use bytes::BytesMut;
use engine::WatchTarget;
use guard::Guard;
use http1::{ReplyTo, RequestHead, ResponseWriter};
use request::{ListenForm, ListenRequest};
use socket::Socket;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use types::{Failure, Unavailable};
use websocket::UpgradeRefused;
use wire::{Turn, Waits, Wire};

/// How long the other end has to take a refusal.
const REFUSAL_WAIT: Duration = Duration::from_secs(2);

/// A connection's future: of the size of its own form, which counts with many idle listeners.
type Serving = Pin<Box<dyn Future<Output = Ending>>>;

/// Serves a connection that the HTTP face handed over, to its end.
pub fn serve(handoff: Handoff) -> Serving {
    let Handoff { core, stream, head, leftover, alarm, purpose, session, trail } = handoff;
    let wire = Wire::new(core.clone(), stream, leftover, (core.cors().judge(&head), trail));
    let to = head.reply_to();
    if purpose == Purpose::Echo {
        return match check_upgrade(&core, &head) {
            Ok(accept) => Box::pin(open_echo(core, wire, alarm, accept)),
            Err(why) => Box::pin(async move { refuse_upgrade(&core, wire, &alarm, why, to).await }),
        };
    }
    let mut guard = Guard::new(session.expect("a listener has a session"));
    let allow = |target: &WatchTarget| guard.allow(core.broker(), target);
    let request = match ListenRequest::parse(&head, core.limits(), allow) {
        Ok(request) => request,
        Err(failure) => return Box::pin(async move { refuse(&core, wire, &alarm, &failure, to).await }),
    };
    match request.form {
        ListenForm::WebSocket => match check_upgrade(&core, &head) {
            Ok(accept) => {
                let listener = core.broker().listener(Form::WebSocket, request.gaps);
                subscribe_all(&listener, &request);
                Box::pin(open_websocket(core, wire, alarm, (listener, guard), (accept, to)))
            }
            Err(why) => Box::pin(async move { refuse_upgrade(&core, wire, &alarm, why, to).await }),
        },
        ListenForm::Sse => Box::pin(sse::serve(core, wire, alarm, (request, guard), to)),
        ListenForm::LongPoll => Box::pin(longpoll::serve(core, wire, alarm, (request, guard), to)),
    }
}

/// Once the upgrade is answered, everything that happens reaches the listener.
async fn open_websocket(
    core: Rc<Core>,
    mut wire: Box<Wire>,
    alarm: Alarm,
    (listener, guard): (Listener, Box<Guard>),
    (accept, to): ([u8; 28], ReplyTo),
) -> Ending {
    wire.open_listener(ListenerForm::WebSocket);
    match wait_until_open(&core, &mut wire, &alarm, &listener).await {
        Ok(()) => {}
        Err(Unopened::Failed(failure)) => return refuse(&core, wire, &alarm, &failure, to).await,
        Err(Unopened::Ended) => return Ending::Close,
    }
    conversation::serve(Socket::accept(core, wire, alarm, &accept), listener, guard).await;
    Ending::Close
}

async fn open_echo(core: Rc<Core>, mut wire: Box<Wire>, alarm: Alarm, accept: [u8; 28]) -> Ending {
    wire.name_form("echo");
    echo::serve(Socket::accept(core, wire, alarm, &accept)).await;
    Ending::Close
}

/// Why a request does not become a WebSocket.
enum NoUpgrade {
    Refused(UpgradeRefused),
    Failed(Failure),
}

/// The accept value of an upgrade that may be.
fn check_upgrade(core: &Core, head: &RequestHead) -> Result<[u8; 28], NoUpgrade> {
    if core.is_draining() {
        return Err(NoUpgrade::Failed(Failure::Unavailable(Unavailable::Draining)));
    }
    if !core.cors().allows_upgrade(head) {
        return Err(NoUpgrade::Failed(Failure::OriginNotAllowed));
    }
    socket::check(head).map(|upgrade| upgrade.accept).map_err(NoUpgrade::Refused)
}

async fn refuse_upgrade(
    core: &Core,
    mut wire: Box<Wire>,
    alarm: &Alarm,
    why: NoUpgrade,
    to: ReplyTo,
) -> Ending {
    let refused = match why {
        NoUpgrade::Refused(refused) => refused,
        NoUpgrade::Failed(failure) => return refuse(core, wire, alarm, &failure, to).await,
    };
    let mut out = BytesMut::new();
    let to = ReplyTo { keep_alive: false, ..to };
    let mut writer = ResponseWriter::begin(&mut out, refused.status(), to);
    writer.date(&core.date());
    writer.header("Content-Type", "application/json");
    // The connection is closed, and that is what its header says.
    for (name, value) in refused.headers().iter().filter(|(name, _)| *name != "Connection") {
        writer.header(name, value);
    }
    let body = format!("{{\"type\":\"bad-request\",\"reason\":\"Bad Request\",\"detail\":\"{refused}\"}}");
    writer.finish_with_body(body.as_bytes()).expect("every header is our own");
    wire.queue_reply(refused.status(), out);
    give_back(core, wire, alarm, to).await
}

/// Answers a request with a failure; the connection goes on where it may.
async fn refuse(core: &Core, mut wire: Box<Wire>, alarm: &Alarm, failure: &Failure, to: ReplyTo) -> Ending {
    let mut out = BytesMut::new();
    let to = ReplyTo { keep_alive: to.keep_alive && !core.is_draining(), ..to };
    encode_failure(failure, false, &mut out, to, &core.date());
    wire.queue_reply(failure.status(), out);
    give_back(core, wire, alarm, to).await
}

/// Sends what is queued and gives the connection back, where it goes on.
async fn give_back(core: &Core, mut wire: Box<Wire>, alarm: &Alarm, to: ReplyTo) -> Ending {
    let stall_max = Duration::from_millis(core.limits().body_timeout_ms);
    if !wire.flush(alarm, stall_max).await {
        return Ending::Close;
    }
    alarm.off();
    if to.keep_alive {
        let (stream, leftover) = wire.into_parts();
        return Ending::GoOn { stream, leftover };
    }
    wire.close(alarm, REFUSAL_WAIT).await;
    Ending::Close
}

/// Subscribes to all that was asked for. Each target stands in a request once.
fn subscribe_all(listener: &Listener, request: &ListenRequest) {
    for (index, asked) in request.streams.iter().enumerate() {
        let after = request.places.as_ref().and_then(|places| places.get(index).cloned());
        let begin = Begin { from: asked.from, after, slow: request.slow, welcome: None };
        let subscribed = listener.subscribe(asked.target.clone(), begin);
        assert!(subscribed.is_ok(), "a request names each target once");
    }
}

/// Waits until everything that happens from now on reaches the listener. An answer before that could make
/// its client miss what it does next. Gives why it cannot be, if it cannot.
async fn wait_until_open(
    core: &Core,
    wire: &mut Wire,
    alarm: &Alarm,
    listener: &Listener,
) -> Result<(), Unopened> {
    alarm.off();
    let outbox = listener.outbox();
    while !listener.all_open() {
        let draining = Some(&**core.broker().link());
        match wire.turn(alarm, Waits { changed: Some(outbox.changed()), draining, receives: false }).await {
            Turn::Draining => return Err(Unopened::Failed(Failure::Unavailable(Unavailable::Draining))),
            Turn::Ended => return Err(Unopened::Ended),
            _ => {}
        }
        if let Some(fault) = outbox.fault() {
            return Err(Unopened::Failed(failure_of(&fault)));
        }
    }
    Ok(())
}

/// Why a listener did not come to be.
enum Unopened {
    Failed(Failure),
    /// The client went away.
    Ended,
}

fn failure_of(fault: &Fault) -> Failure {
    match fault {
        Fault::Failed(failure) => failure.clone(),
        Fault::TooManyBehind => Failure::Unavailable(Unavailable::Overloaded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_listener_costs_little_more_than_its_connection() {
        fn size_of_future<A, B, C, D, E, F>(_: fn(A, B, C, D, E) -> F) -> usize {
            std::mem::size_of::<F>()
        }
        let sizes =
            [size_of_future(open_websocket), size_of_future(sse::serve), size_of_future(longpoll::serve)];
        assert!(sizes.iter().all(|size| *size <= 1024), "{sizes:?}");
    }
}
