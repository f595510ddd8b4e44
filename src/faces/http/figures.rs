//! The tables of figures: what is counted, under which name it is told, and what it means.
//!
//! `/stats`, `/metrics` and the metrics stream all walk them, so a figure is told everywhere or nowhere. A
//! shard that does not answer is left out rather than waited for.

use super::core::Core;
use super::counters::SharedCounters;
use super::endpoint::Endpoint;
use crate::observe::Reading;
use crate::observe::access_log::AccessLog;
use crate::observe::histogram::BOUNDS;
use crate::observe::prometheus::Kind::{self, Counter, Gauge};
use crate::sys::clock;
use crate::sys::usage::Usage;
use engine::ShardStats;
use serde_json::{Map, Value, json};
use std::rc::Rc;
use types::ShardId;

/// One number.
pub(super) struct Figure<T> {
    /// Its name in JSON.
    pub(super) key: &'static str,
    /// Its family in `/metrics`, and a label that tells it from others of the family. Figures of one family
    /// stand together.
    pub(super) family: &'static str,
    pub(super) label: Option<(&'static str, &'static str)>,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
    pub(super) value: fn(&T) -> u64,
}

macro_rules! figures {
    ($($key:literal, $family:literal $([$label:literal = $of:literal])?, $kind:ident,
        $help:literal, $value:expr;)*) => {
        &[$(Figure {
            key: $key,
            family: $family,
            label: figures!(@label $($label, $of)?),
            kind: $kind,
            help: $help,
            value: $value,
        }),*]
    };
    (@label) => { None };
    (@label $label:literal, $of:literal) => { Some(($label, $of)) };
}

/// The HTTP face, summed over cores.
pub(super) static HTTP: &[Figure<SharedCounters>] = figures! {
    "connections_open", "millrace_http_connections_open", Gauge,
        "Connections that are open.", |c| c.sum(|c| &c.connections_open);
    "connections", "millrace_http_connections_total", Counter,
        "Connections that were accepted.", |c| c.sum(|c| &c.connections);
    "connections_refused", "millrace_http_connections_refused_total", Counter,
        "Connections that were closed at once because there were too many.",
        |c| c.sum(|c| &c.connections_refused);
    "tls_handshakes", "millrace_tls_handshakes_total"["result" = "done"], Counter,
        "TLS handshakes by how they ended.", |c| c.sum(|c| &c.tls_handshakes);
    "tls_handshakes_failed", "millrace_tls_handshakes_total"["result" = "failed"], Counter,
        "TLS handshakes by how they ended.", |c| c.sum(|c| &c.tls_handshakes_failed);
    "requests_open", "millrace_http_requests_open", Gauge,
        "Requests that are under way; listeners not among them.", |c| c.sum(|c| &c.requests_open);
    "requests", "millrace_http_requests_total", Counter,
        "Requests that were answered.", |c| c.sum(|c| &c.requests);
    "replies_1xx", "millrace_http_replies_total"["class" = "1xx"], Counter,
        "Replies by class of their status.", |c| c.sum(|c| &c.replies[0]);
    "replies_2xx", "millrace_http_replies_total"["class" = "2xx"], Counter,
        "Replies by class of their status.", |c| c.sum(|c| &c.replies[1]);
    "replies_3xx", "millrace_http_replies_total"["class" = "3xx"], Counter,
        "Replies by class of their status.", |c| c.sum(|c| &c.replies[2]);
    "replies_4xx", "millrace_http_replies_total"["class" = "4xx"], Counter,
        "Replies by class of their status.", |c| c.sum(|c| &c.replies[3]);
    "replies_5xx", "millrace_http_replies_total"["class" = "5xx"], Counter,
        "Replies by class of their status.", |c| c.sum(|c| &c.replies[4]);
    "bytes_in", "millrace_http_received_bytes_total", Counter,
        "Bytes received; from listeners not among them.", |c| c.sum(|c| &c.bytes_in);
    "bytes_out", "millrace_http_sent_bytes_total", Counter,
        "Bytes sent; to listeners not among them.", |c| c.sum(|c| &c.bytes_out);
};

/// Listeners, summed over cores.
pub(super) static LISTEN: &[Figure<SharedCounters>] = figures! {
    "websocket_open", "millrace_listeners_open"["form" = "websocket"], Gauge,
        "Listeners that are open.", |c| c.sum(|c| &c.listeners_open[0]);
    "sse_open", "millrace_listeners_open"["form" = "sse"], Gauge,
        "Listeners that are open.", |c| c.sum(|c| &c.listeners_open[1]);
    "long_poll_open", "millrace_listeners_open"["form" = "long_poll"], Gauge,
        "Listeners that are open.", |c| c.sum(|c| &c.listeners_open[2]);
    "websocket", "millrace_listeners_total"["form" = "websocket"], Counter,
        "Listeners that were opened.", |c| c.sum(|c| &c.listeners[0]);
    "sse", "millrace_listeners_total"["form" = "sse"], Counter,
        "Listeners that were opened.", |c| c.sum(|c| &c.listeners[1]);
    "long_poll", "millrace_listeners_total"["form" = "long_poll"], Counter,
        "Listeners that were opened.", |c| c.sum(|c| &c.listeners[2]);
    "deliveries", "millrace_listen_deliveries_total", Counter,
        "Arrays of events, notices and answers that were handed to listeners' sockets.",
        |c| c.sum(|c| &c.deliveries);
    "bytes_in", "millrace_listen_received_bytes_total", Counter,
        "Bytes received from listeners.", |c| c.sum(|c| &c.listen_bytes_in);
    "bytes_out", "millrace_listen_sent_bytes_total", Counter,
        "Bytes sent to listeners.", |c| c.sum(|c| &c.listen_bytes_out);
};

/// The access log, if there is one.
pub(super) static LOG: &[Figure<Option<AccessLog>>] = figures! {
    "lines", "millrace_access_log_lines_total", Counter,
        "Lines that were taken.", |log| log.as_ref().map_or(0, AccessLog::lines);
    "dropped", "millrace_access_log_dropped_total", Counter,
        "Lines that found no room or could not be written.", |log| log.as_ref().map_or(0, AccessLog::dropped);
};

/// One shard.
pub(super) static SHARD: &[Figure<ShardStats>] = figures! {
    "streams", "millrace_storage_streams", Gauge,
        "Streams that exist.", |s| s.streams;
    "events_appended", "millrace_storage_events_appended_total", Counter,
        "Events appended since the start.", |s| s.events_appended;
    "bytes_appended", "millrace_storage_appended_bytes_total", Counter,
        "Payload bytes appended since the start.", |s| s.bytes_appended;
    "groups_written", "millrace_storage_groups_written_total", Counter,
        "Groups of appends committed to the journal.", |s| s.groups_written;
    "events_read", "millrace_storage_events_read_total", Counter,
        "Events read by clients.", |s| s.events_read;
    "memory_bytes", "millrace_storage_memory_bytes", Gauge,
        "Events in memory that are not yet in segments.", |s| s.memory_bytes;
    "journal_bytes", "millrace_storage_journal_bytes", Gauge,
        "Journal in use.", |s| s.journal_bytes;
    "segments", "millrace_storage_segments", Gauge,
        "Segment files.", |s| s.segments;
    "segment_bytes", "millrace_storage_segment_bytes", Gauge,
        "Segment files in bytes.", |s| s.segment_bytes;
    "checkpoints", "millrace_storage_checkpoints_total", Counter,
        "Checkpoints finished.", |s| s.checkpoints;
    "merges", "millrace_storage_merges_total", Counter,
        "Merges of segments finished.", |s| s.merges;
    "damaged_ranges", "millrace_storage_damaged_ranges_total", Counter,
        "Ranges of events that were found damaged.", |s| s.damaged_ranges;
    "storage_full", "millrace_storage_full", Gauge,
        "1 while appends are refused because the disk is full.", |s| s.storage_full.into();
};

/// Figures that have to be asked for.
pub(super) struct Snapshot {
    /// Of every shard that answered, ascending.
    pub(super) shards: Vec<(ShardId, ShardStats)>,
    pub(super) usage: Usage,
}

impl Snapshot {
    /// Asks the shards, and the system on a blocking thread.
    pub(super) async fn take(core: &Rc<Core>) -> Snapshot {
        let shards = core.broker().stats().await;
        Snapshot { shards, usage: core.offload().run(Usage::read).await }
    }

    /// A figure added up over the shards.
    pub(super) fn sum(&self, figure: &Figure<ShardStats>) -> u64 {
        self.shards.iter().map(|(_, stats)| (figure.value)(stats)).fold(0, u64::wrapping_add)
    }
}

/// Figures of one kind of thing as JSON: what is now, and what has added up since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Area {
    pub(super) now: Map<String, Value>,
    pub(super) total: Map<String, Value>,
}

impl Area {
    /// A table's figures with their values.
    pub(super) fn of<T>(figures: &[Figure<T>], value: impl Fn(&Figure<T>) -> u64) -> Area {
        let mut area = Area::default();
        for figure in figures {
            area.put(figure.kind, figure.key, value(figure));
        }
        area
    }

    /// The process, as far as the system tells.
    pub(super) fn of_node(snapshot: &Snapshot, core_count: usize) -> Area {
        let usage = &snapshot.usage;
        let mut area = Area::default();
        let uptime_s = usage.start_time_s.map(|start_s| clock::now().0 as f64 / 1000.0 - start_s);
        for (key, value) in [
            ("uptime_s", uptime_s.map(|seconds| seconds.max(0.0) as u64)),
            ("resident_bytes", usage.resident_bytes),
            ("virtual_bytes", usage.virtual_bytes),
            ("open_fds", usage.open_fds),
            ("max_fds", usage.max_fds),
            ("cores", Some(core_count as u64)),
        ] {
            value.into_iter().for_each(|value| area.put(Gauge, key, value));
        }
        usage.cpu_ns.into_iter().for_each(|cpu_ns| area.put(Counter, "cpu_ms", cpu_ns / 1_000_000));
        area
    }

    fn put(&mut self, kind: Kind, key: &str, value: u64) {
        let place = if kind == Counter { &mut self.total } else { &mut self.now };
        place.insert(key.to_owned(), value.into());
    }

    /// Both together, for who asks for figures now and then.
    pub(super) fn flat(self) -> Map<String, Value> {
        self.now.into_iter().chain(self.total).collect()
    }
}

/// Times of requests by endpoint, those that had any.
pub(super) fn request_times(mut of: impl FnMut(Endpoint) -> Reading) -> Map<String, Value> {
    let times = Endpoint::ALL.into_iter().map(|endpoint| (endpoint, of(endpoint)));
    times
        .filter(|(_, reading)| reading.count() > 0)
        .map(|(endpoint, reading)| (endpoint.label().to_owned(), times_json(&reading)))
        .collect()
}

/// `{"count","sum_us","le_s":{bound: count}}`: each observation in one bucket, empty buckets left out.
pub(super) fn times_json(reading: &Reading) -> Value {
    let bounds = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
    let buckets = bounds.zip(reading.buckets).filter(|(_, count)| *count > 0);
    let buckets: Map<String, Value> =
        buckets.map(|(bound, count)| (bound.to_owned(), count.into())).collect();
    json!({ "count": reading.count(), "sum_us": reading.sum_ns / 1000, "le_s": buckets })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Histogram;

    #[test]
    fn an_area_keeps_what_is_now_apart_from_what_adds_up() {
        let counters = SharedCounters::new(1);
        counters.of(types::CoreId(0)).count_reply(200);
        let area = Area::of(HTTP, |figure| (figure.value)(&counters));
        assert_eq!(area.total["requests"], 1);
        assert!(area.now.contains_key("requests_open") && !area.total.contains_key("requests_open"));
        assert_eq!(area.clone().flat().len(), area.now.len() + area.total.len());
    }

    #[test]
    fn times_are_told_by_bucket_and_empty_buckets_are_not() {
        let histogram = Histogram::default();
        histogram.observe_ns(60_000);
        histogram.observe_ns(20_000_000_000);
        let expected = json!({ "count": 2, "sum_us": 20_000_060, "le_s": { "0.0001": 1, "+Inf": 1 } });
        assert_eq!(times_json(&histogram.read()), expected);
        let times = request_times(|endpoint| match endpoint {
            Endpoint::Patch => histogram.read(),
            _ => Reading::default(),
        });
        assert_eq!(times.keys().collect::<Vec<_>>(), ["patch"]);
    }
}
