//! What operators and probes ask: `/ping`, `/livez`, `/readyz`, `/stats`, `/metrics`.
//!
//! Probes are answered on the spot from this core's memory. Figures are asked of every shard; one that does
//! not answer is left out rather than waited for. Metrics are Prometheus text, written by hand: a counter a
//! line.

use super::core::Core;
use super::counters::{Counter, Counters};
use super::flight::{Answer, Flight};
use super::reply::Reply;
use bytes::Bytes;
use engine::ShardStats;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::rc::Rc;
use types::{Failure, PartitionId, ShardId, Unavailable};

/// Prometheus text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

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

/// A counter or gauge of a shard.
struct ShardFigure {
    name: &'static str,
    is_counter: bool,
    value: fn(&ShardStats) -> u64,
}

const SHARD_FIGURES: [ShardFigure; 13] = [
    ShardFigure { name: "streams", is_counter: false, value: |s| s.streams },
    ShardFigure { name: "events_appended", is_counter: true, value: |s| s.events_appended },
    ShardFigure { name: "bytes_appended", is_counter: true, value: |s| s.bytes_appended },
    ShardFigure { name: "groups_written", is_counter: true, value: |s| s.groups_written },
    ShardFigure { name: "events_read", is_counter: true, value: |s| s.events_read },
    ShardFigure { name: "memory_bytes", is_counter: false, value: |s| s.memory_bytes },
    ShardFigure { name: "journal_bytes", is_counter: false, value: |s| s.journal_bytes },
    ShardFigure { name: "segments", is_counter: false, value: |s| s.segments },
    ShardFigure { name: "segment_bytes", is_counter: false, value: |s| s.segment_bytes },
    ShardFigure { name: "checkpoints", is_counter: true, value: |s| s.checkpoints },
    ShardFigure { name: "merges", is_counter: true, value: |s| s.merges },
    ShardFigure { name: "damaged_ranges", is_counter: true, value: |s| s.damaged_ranges },
    ShardFigure { name: "storage_full", is_counter: false, value: |s| s.storage_full.into() },
];

/// A counter or gauge of the HTTP face, summed over cores.
struct HttpFigure {
    name: &'static str,
    is_counter: bool,
    pick: fn(&Counters) -> &Counter,
}

const HTTP_FIGURES: [HttpFigure; 11] = [
    HttpFigure { name: "connections_open", is_counter: false, pick: |c| &c.connections_open },
    HttpFigure { name: "connections", is_counter: true, pick: |c| &c.connections },
    HttpFigure { name: "requests", is_counter: true, pick: |c| &c.requests },
    HttpFigure { name: "replies_1xx", is_counter: true, pick: |c| &c.replies[0] },
    HttpFigure { name: "replies_2xx", is_counter: true, pick: |c| &c.replies[1] },
    HttpFigure { name: "replies_3xx", is_counter: true, pick: |c| &c.replies[2] },
    HttpFigure { name: "replies_4xx", is_counter: true, pick: |c| &c.replies[3] },
    HttpFigure { name: "replies_5xx", is_counter: true, pick: |c| &c.replies[4] },
    HttpFigure { name: "bytes_in", is_counter: true, pick: |c| &c.bytes_in },
    HttpFigure { name: "bytes_out", is_counter: true, pick: |c| &c.bytes_out },
    HttpFigure { name: "listeners_open", is_counter: false, pick: |c| &c.listeners_open },
];

/// `GET /stats`.
pub(super) fn stats(core: &Rc<Core>) -> Flight {
    let core = core.clone();
    Flight::task(async move {
        let shards = core.broker().stats().await;
        let one = |stats: &ShardStats| -> Map<String, Value> {
            SHARD_FIGURES
                .iter()
                .map(|figure| (figure.name.to_owned(), (figure.value)(stats).into()))
                .collect()
        };
        let http: Map<String, Value> = HTTP_FIGURES
            .iter()
            .map(|figure| (figure.name.to_owned(), core.all_counters().sum(figure.pick).into()))
            .collect();
        let storage: Map<String, Value> = SHARD_FIGURES
            .iter()
            .map(|figure| {
                (figure.name.to_owned(), shards.iter().map(|(_, s)| (figure.value)(s)).sum::<u64>().into())
            })
            .collect();
        let shards: Vec<Value> = shards
            .iter()
            .map(|(shard, stats)| {
                let mut object = one(stats);
                object.insert("shard".to_owned(), shard.0.into());
                Value::Object(object)
            })
            .collect();
        let version = env!("CARGO_PKG_VERSION");
        let body = json!({ "version": version, "http": http, "storage": storage, "shards": shards });
        Answer::Reply(Reply::json(200, body.to_string()))
    })
}

/// `GET /metrics`.
pub(super) fn metrics(core: &Rc<Core>) -> Flight {
    let core = core.clone();
    Flight::task(async move {
        let shards = core.broker().stats().await;
        let mut text = String::with_capacity(4096);
        for figure in &HTTP_FIGURES {
            let (name, value) = (figure.name, core.all_counters().sum(figure.pick));
            describe(&mut text, "http", name, figure.is_counter);
            line(&mut text, "http", name, figure.is_counter, "", value);
        }
        for figure in &SHARD_FIGURES {
            describe(&mut text, "storage", figure.name, figure.is_counter);
            for (shard, stats) in &shards {
                let label = format!("{{shard=\"{shard}\"}}");
                line(&mut text, "storage", figure.name, figure.is_counter, &label, (figure.value)(stats));
            }
        }
        Answer::Reply(Reply::with_type(200, Bytes::from_static(METRICS_TYPE.as_bytes()), text))
    })
}

fn describe(text: &mut String, area: &str, name: &str, is_counter: bool) {
    let (suffix, kind) = if is_counter { ("_total", "counter") } else { ("", "gauge") };
    writeln!(text, "# TYPE millrace_{area}_{name}{suffix} {kind}").expect("a string takes everything");
}

fn line(text: &mut String, area: &str, name: &str, is_counter: bool, label: &str, value: u64) {
    let suffix = if is_counter { "_total" } else { "" };
    writeln!(text, "millrace_{area}_{name}{suffix}{label} {value}").expect("a string takes everything");
}
