//! A connection that leaves the request-and-reply loop: listeners, and the WebSocket of `/x/echo`.
//!
//! The HTTP face decodes a request and finds that it begins something long: it hands the connection over
//! with [`Handoff`] and awaits the [`LongTask`] that was registered in [`Core`]. Every request before it on
//! the connection has been answered and sent; nothing behind it was decoded.
//! The face counts the connection until the task ends; the task owns everything else of it.

use super::alarm::Alarm;
use super::core::Core;
use crate::broker::identity::Session;
use crate::observe::Trail;
use crate::sys::net::Stream;
use bytes::BytesMut;
use http1::RequestHead;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// What the connection is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `GET /listen` (any of its three forms; HEAD never comes here).
    Listen,
    /// `GET /x/echo/…` with `Upgrade: websocket`.
    Echo,
}

/// A request that wants its connection for something long.
pub(super) struct Wanted {
    pub(super) purpose: Purpose,
    pub(super) head: RequestHead,
    pub(super) session: Option<Rc<Session>>,
}

/// A connection and the request that began something long.
pub struct Handoff {
    /// The core's share of the face: `core.broker()`, `core.limits()`, `core.date()`, `core.offload()`.
    pub core: Rc<Core>,
    /// The connection. `peer_addr` tells the other end.
    pub stream: Stream,
    /// The request. Its target was checked to decode (no bad escapes, no NUL); its `Accept` was not.
    pub head: RequestHead,
    /// Bytes that arrived behind the request; they belong to whatever comes next.
    pub leftover: BytesMut,
    /// The connection's alarm clock, off: deadlines without a timer of their own, and the news of a drain.
    pub alarm: Alarm,
    /// What for.
    pub purpose: Purpose,
    /// Who asks; a listener has one.
    pub session: Option<Rc<Session>>,
    /// The request's way to the access log, where there is one.
    pub trail: Option<Box<Trail>>,
}

/// How a handed-over connection comes back.
pub enum Ending {
    /// It does not: close it (dropping `Handoff::stream` closes it).
    Close,
    /// A complete reply was sent and the connection goes on (long-poll): with the unread bytes.
    GoOn {
        /// The connection.
        stream: Stream,
        /// Bytes behind the request.
        leftover: BytesMut,
    },
}

/// Serves a connection that was handed over, to its end.
pub type LongTask = fn(Handoff) -> Pin<Box<dyn Future<Output = Ending>>>;
