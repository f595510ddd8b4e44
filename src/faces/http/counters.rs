//! Counters of the HTTP face and of listeners: one set per core, written by that core alone, read by all.
//!
//! `/stats`, `/metrics` and the metrics stream sum them up (`figures`). Nothing here looks at a clock: times
//! are told.

use super::endpoint::Endpoint;
pub use crate::observe::Counter;
use crate::observe::{Histogram, Reading};
use std::sync::{Arc, OnceLock};
use types::CoreId;

/// The form of a listener, as far as figures tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerForm {
    /// `/listen` as WebSocket.
    WebSocket = 0,
    /// `/listen` as an event stream.
    Sse = 1,
    /// `/listen` as a long-poll.
    LongPoll = 2,
}

impl ListenerForm {
    /// The label's value, and the word of the access log.
    pub fn label(self) -> &'static str {
        match self {
            ListenerForm::WebSocket => "websocket",
            ListenerForm::Sse => "sse",
            ListenerForm::LongPoll => "long_poll",
        }
    }
}

/// The counters of one core. Aligned so that two cores never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// Connections that are open.
    pub connections_open: Counter,
    /// Connections that were accepted.
    pub connections: Counter,
    /// Connections that were closed because there were too many.
    pub connections_refused: Counter,
    /// TLS handshakes that came to a connection.
    pub tls_handshakes: Counter,
    /// TLS handshakes that did not: wrong, too slow, or cut.
    pub tls_handshakes_failed: Counter,
    /// Requests that are under way.
    pub requests_open: Counter,
    /// Requests that were answered.
    pub requests: Counter,
    /// Replies by the first digit of their status: 1 to 5 at index 0 to 4.
    pub replies: [Counter; 5],
    /// Bytes received, listeners not among them.
    pub bytes_in: Counter,
    /// Bytes sent, listeners not among them.
    pub bytes_out: Counter,
    /// Listeners that are open, by form.
    pub listeners_open: [Counter; 3],
    /// Listeners that were opened, by form.
    pub listeners: [Counter; 3],
    /// What was handed to listeners' sockets: arrays of events, notices, answers to commands.
    pub deliveries: Counter,
    /// Bytes received from listeners.
    pub listen_bytes_in: Counter,
    /// Bytes sent to listeners.
    pub listen_bytes_out: Counter,
    /// From the decoded request to its encoded reply, by endpoint.
    pub(super) times: [Histogram; Endpoint::ALL.len()],
    /// Of this core's shard; there once the core is open.
    pub(super) journal_times: OnceLock<Arc<Histogram>>,
}

impl Counters {
    /// Counts a reply.
    pub fn count_reply(&self, status: u16) {
        self.requests.add(1);
        if let Some(counter) = self.replies.get(usize::from(status / 100).wrapping_sub(1)) {
            counter.add(1);
        }
    }

    /// Counts a listener in.
    pub fn open_listener(&self, form: ListenerForm) {
        self.listeners[form as usize].add(1);
        self.listeners_open[form as usize].add(1);
    }

    /// Counts a listener out.
    pub fn close_listener(&self, form: ListenerForm) {
        self.listeners_open[form as usize].subtract(1);
    }
}

/// The counters of all cores.
#[derive(Clone, Debug)]
pub(super) struct SharedCounters(Arc<[Counters]>);

impl SharedCounters {
    pub(super) fn new(core_count: usize) -> Self {
        SharedCounters((0..core_count).map(|_| Counters::default()).collect())
    }

    pub(super) fn of(&self, core: CoreId) -> &Counters {
        &self.0[usize::from(core.0)]
    }

    pub(super) fn core_count(&self) -> usize {
        self.0.len()
    }

    /// The sum over all cores of what `pick` picks.
    pub(super) fn sum(&self, pick: impl Fn(&Counters) -> &Counter) -> u64 {
        self.0.iter().map(|counters| pick(counters).get()).fold(0, u64::wrapping_add)
    }

    /// Times of requests to one endpoint, of all cores.
    pub(super) fn times(&self, endpoint: Endpoint) -> Reading {
        let readings = self.0.iter().map(|counters| counters.times[endpoint as usize].read());
        readings.fold(Reading::default(), |sum, reading| sum.plus(&reading))
    }

    /// Times of journal writes, by shard.
    pub(super) fn journal_times(&self) -> impl Iterator<Item = (usize, Reading)> {
        let by_core = self.0.iter().enumerate();
        by_core.filter_map(|(core, counters)| Some((core, counters.journal_times.get()?.read())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_by_class_and_summed_over_cores() {
        let shared = SharedCounters::new(2);
        shared.of(CoreId(0)).count_reply(201);
        shared.of(CoreId(1)).count_reply(204);
        shared.of(CoreId(1)).count_reply(404);
        shared.of(CoreId(1)).count_reply(99);
        assert_eq!(shared.sum(|counters| &counters.replies[1]), 2);
        assert_eq!(shared.sum(|counters| &counters.replies[3]), 1);
        assert_eq!(shared.sum(|counters| &counters.requests), 4);
    }

    #[test]
    fn times_are_kept_by_endpoint_and_added_up_over_cores() {
        let shared = SharedCounters::new(2);
        shared.of(CoreId(0)).times[Endpoint::Append as usize].observe_ns(1_000);
        shared.of(CoreId(1)).times[Endpoint::Append as usize].observe_ns(2_000);
        shared.of(CoreId(1)).times[Endpoint::Read as usize].observe_ns(4_000);
        let append = shared.times(Endpoint::Append);
        assert_eq!((append.count(), append.sum_ns), (2, 3_000));
        assert_eq!(shared.times(Endpoint::Read).count(), 1);
        assert_eq!(shared.times(Endpoint::List), Reading::default());
    }
}
