//! A request of a connection that was started and not yet answered, with what its answer must know of it.
//!
//! Only `connection` makes them and takes them off. The counters of requests under way follow: counted in
//! here, counted out when the answer is written or the request dropped.

use super::access;
use super::core::Core;
use super::cors::Stamp;
use super::endpoint::Endpoint;
use super::flight::{Answer, Flight};
use super::plan::Class;
use crate::observe::Trail;
use crate::sys::executor::tick_ns;
use http1::{ReplyTo, RequestHead};
use std::net::SocketAddr;
use std::rc::Rc;
use types::Failure;

/// A request that was started.
pub(super) struct Queued {
    pub(super) flight: Flight,
    pub(super) class: Class,
    pub(super) to: ReplyTo,
    pub(super) as_problem: bool,
    pub(super) body_bytes: usize,
    pub(super) stamp: Stamp,
    /// Where there is an access log.
    pub(super) trail: Option<Box<Trail>>,
    watch: Watch,
}

impl Queued {
    /// A request whose work has begun.
    pub(super) fn new(
        (flight, class, endpoint): (Flight, Class, Endpoint),
        (to, as_problem): (ReplyTo, bool),
        (body_bytes, stamp): (usize, Stamp),
        core: &Rc<Core>,
    ) -> Queued {
        let watch = Watch::start(core, endpoint);
        Queued { flight, class, to, as_problem, body_bytes, stamp, trail: None, watch }
    }

    /// A refusal, after which the connection ends.
    pub(super) fn last(
        failure: Failure,
        to: ReplyTo,
        (as_problem, stamp): (bool, Stamp),
        core: &Rc<Core>,
    ) -> Queued {
        let flight = Flight::Done(Answer::Failed(failure));
        let to = ReplyTo { keep_alive: false, ..to };
        Queued::new((flight, Class::Alone, Endpoint::Other), (to, as_problem), (0, stamp), core)
    }

    /// With the trail that leads to its line in the access log.
    #[must_use]
    pub(super) fn with(mut self, trail: Option<Box<Trail>>) -> Queued {
        self.trail = trail;
        self
    }

    /// Counts the time of a request that was answered with so many bytes, and ends its trail.
    pub(super) fn finish(mut self, status: u16, bytes_out: usize) {
        if let Some(trail) = &mut self.trail {
            trail.set_status(status);
            trail.add_bytes_out(bytes_out);
        }
        self.count_time();
    }

    fn count_time(&self) {
        let Watch { core, endpoint, begin_ns } = &self.watch;
        let duration_ns = tick_ns().saturating_sub(*begin_ns);
        core.counters().times[*endpoint as usize].observe_ns(duration_ns);
    }
}

/// The trail of a request, where there is an access log.
pub(super) fn trail_of(
    core: &Core,
    peer: SocketAddr,
    head: Option<&RequestHead>,
    body_bytes: usize,
) -> Option<Box<Trail>> {
    let log = core.access_log().as_ref()?;
    let request = head.map_or(("", ""), |head| (head.method_name(), head.raw_target()));
    let mut trail = Trail::begin(log, core.broker().link().core(), peer, request, body_bytes);
    if let Some(session) = head.and_then(|head| access::known_session(core, head)) {
        trail.set_user(session.user());
    }
    Some(trail)
}

/// Counts a request as under way while it lives. The loop's own looks at the clock are near enough.
struct Watch {
    core: Rc<Core>,
    endpoint: Endpoint,
    begin_ns: u64,
}

impl Watch {
    fn start(core: &Rc<Core>, endpoint: Endpoint) -> Watch {
        core.counters().requests_open.add(1);
        Watch { core: core.clone(), endpoint, begin_ns: tick_ns() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.core.counters().requests_open.subtract(1);
    }
}
