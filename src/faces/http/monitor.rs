//! What operators and probes ask: `/ping`, `/livez`, `/readyz`, `/stats`, `/metrics`.
//!
//! Probes are answered on the spot from this core's memory. What is told as a figure stands in `figures`;
//! here it becomes JSON or the text of Prometheus. No figure carries a name that a client chose.

use super::core::Core;
use super::endpoint::Endpoint;
use super::figures::{self, Area, Figure, Snapshot};
use super::flight::{Answer, Flight};
use super::reply::Reply;
use crate::observe::prometheus::{self, Exposition, Kind, seconds};
use crate::sys::usage::Usage;
use bytes::Bytes;
use serde_json::{Value, json};
use std::rc::Rc;
use types::{Failure, PartitionId, ShardId, Unavailable};

/// `{"pong":"<partition>"}`: a partition that this core owns.
pub(super) fn ping(core: &Core) -> Reply {
    let link = core.broker().link();
    let (table, own) = (link.table(), ShardId(link.core().0));
    let owned = (0..table.partition_count()).find(|n| table.shard_of(PartitionId(*n)) == own);
    Reply::json(200, format!("{{\"pong\":\"{}\"}}", owned.unwrap_or(0)))
}

/// The process runs.
pub(super) fn live() -> Reply {
    Reply::json(200, Bytes::from_static(b"{\"status\":\"ok\"}"))
}

/// The server takes work.
pub(super) fn ready(core: &Core) -> Answer {
    if core.is_draining() {
        return Answer::Failed(Failure::Unavailable(Unavailable::Draining));
    }
    if !core.broker().is_loaded() {
        return Answer::Failed(Failure::Unavailable(Unavailable::Starting));
    }
    Answer::Reply(live())
}

/// `GET /stats`.
pub(super) fn stats(core: &Rc<Core>) -> Flight {
    let core = core.clone();
    Flight::task(async move {
        let snapshot = Snapshot::take(&core).await;
        let counters = core.all_counters();
        let mut http = Area::of(figures::HTTP, |figure| (figure.value)(counters)).flat();
        let times = figures::request_times(|endpoint| counters.times(endpoint));
        http.insert("times".to_owned(), Value::Object(times));
        let shards: Vec<Value> = snapshot
            .shards
            .iter()
            .map(|(shard, stats)| {
                let mut object = Area::of(figures::SHARD, |figure| (figure.value)(stats)).flat();
                object.insert("shard".to_owned(), shard.0.into());
                Value::Object(object)
            })
            .collect();
        let body = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "node": Area::of_node(&snapshot, counters.core_count()).flat(),
            "http": http,
            "listen": Area::of(figures::LISTEN, |figure| (figure.value)(counters)).flat(),
            "storage": Area::of(figures::SHARD, |figure| snapshot.sum(figure)).flat(),
            "access_log": Area::of(figures::LOG, |figure| (figure.value)(core.access_log())).flat(),
            "shards": shards,
        });
        Answer::Reply(Reply::json(200, body.to_string()))
    })
}

/// `GET /metrics`.
pub(super) fn metrics(core: &Rc<Core>) -> Flight {
    let core = core.clone();
    Flight::task(async move {
        let snapshot = Snapshot::take(&core).await;
        let text = exposition(&core, &snapshot);
        let content_type = Bytes::from_static(prometheus::CONTENT_TYPE.as_bytes());
        Answer::Reply(Reply::with_type(200, content_type, text))
    })
}

fn exposition(core: &Core, snapshot: &Snapshot) -> String {
    let counters = core.all_counters();
    let mut text = Exposition::default();
    text.family("millrace_build_info", Kind::Gauge, "1, with the version as a label.");
    text.sample("millrace_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.family("millrace_cores", Kind::Gauge, "Cores that run, each with a shard.");
    text.sample("millrace_cores", &[], counters.core_count());
    for (index, figure) in figures::HTTP.iter().enumerate() {
        put_figure(&mut text, figures::HTTP, index, |text, labels| {
            text.sample(figure.family, labels, (figure.value)(counters));
        });
    }
    put_times(&mut text, core);
    for (index, figure) in figures::LISTEN.iter().enumerate() {
        put_figure(&mut text, figures::LISTEN, index, |text, labels| {
            text.sample(figure.family, labels, (figure.value)(counters));
        });
    }
    for (index, figure) in figures::LOG.iter().enumerate() {
        put_figure(&mut text, figures::LOG, index, |text, labels| {
            text.sample(figure.family, labels, (figure.value)(core.access_log()));
        });
    }
    for (index, figure) in figures::SHARD.iter().enumerate() {
        put_figure(&mut text, figures::SHARD, index, |text, _| {
            for (shard, stats) in &snapshot.shards {
                text.sample(figure.family, &[("shard", &shard.to_string())], (figure.value)(stats));
            }
        });
    }
    put_journal_times(&mut text, core);
    put_usage(&mut text, &snapshot.usage);
    text.into_text()
}

/// Writes one figure of a table, behind the description of its family where it is the first of it.
fn put_figure<T>(
    text: &mut Exposition,
    table: &[Figure<T>],
    index: usize,
    put: impl FnOnce(&mut Exposition, &[prometheus::Label<'_>]),
) {
    let Figure { family, kind, help, label, .. } = &table[index];
    if index == 0 || table[index - 1].family != *family {
        text.family(family, *kind, help);
    }
    put(text, label.as_slice());
}

fn put_times(text: &mut Exposition, core: &Core) {
    let name = "millrace_http_request_duration_seconds";
    text.family(name, Kind::Histogram, "From the decoded request to its encoded reply, by kind of work.");
    for endpoint in Endpoint::ALL {
        text.histogram(name, &[("endpoint", endpoint.label())], &core.all_counters().times(endpoint));
    }
}

fn put_journal_times(text: &mut Exposition, core: &Core) {
    let name = "millrace_storage_journal_write_duration_seconds";
    text.family(name, Kind::Histogram, "A write or flush of the journal; every commit waits for one.");
    for (shard, reading) in core.all_counters().journal_times() {
        text.histogram(name, &[("shard", &shard.to_string())], &reading);
    }
}

/// The process, by the names that every exporter uses.
fn put_usage(text: &mut Exposition, usage: &Usage) {
    let figures = [
        ("resident_memory_bytes", Kind::Gauge, "Memory in use.", whole(usage.resident_bytes)),
        ("virtual_memory_bytes", Kind::Gauge, "Addresses that are mapped.", whole(usage.virtual_bytes)),
        ("cpu_seconds_total", Kind::Counter, "Processor time of all threads.", usage.cpu_ns.map(seconds)),
        ("open_fds", Kind::Gauge, "Descriptors that are open.", whole(usage.open_fds)),
        ("max_fds", Kind::Gauge, "Descriptors that may be open.", whole(usage.max_fds)),
        ("start_time_seconds", Kind::Gauge, "Start of the process, since 1970.", usage.start_time_s),
    ];
    for (name, kind, help, value) in figures {
        if let Some(value) = value {
            let name = format!("process_{name}");
            text.family(&name, kind, help);
            text.sample(&name, &[], value);
        }
    }
}

/// A whole number as all of these are written; exact up to 8 PiB.
fn whole(value: Option<u64>) -> Option<f64> {
    value.map(|value| value as f64)
}
