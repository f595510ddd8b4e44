//! The server's own streams: an event of figures in `$sys/metrics` each interval, and who has used it in
//! `$sys/activity`.
//!
//! One task, on core 0. It appends through the broker like any client, so the events are durable, listened
//! to and read like others. A failure is told once and never ends anything: the next interval tries anew.

use super::core::Core;
use super::counters::SharedCounters;
use super::endpoint::Endpoint;
use super::figures::{self, Area, Snapshot};
use super::options::Reports;
use crate::broker::AppendRequest;
use crate::observe::Reading;
use crate::observe::activity::Checks;
use crate::sys::clock;
use crate::sys::executor::{Either, Queue, race, sleep, spawn};
use engine::AckLevel;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::rc::Rc;
use types::{CoreId, Drafts, EventDraft, Failure, SeqNum, StreamKey};

/// Number of this server among several; there is one.
const NODE: u64 = 0;

/// Starts the task, on the core that has it.
pub(super) fn start(core: &Rc<Core>, reports: Reports) {
    if core.broker().link().core() == CoreId(0) {
        let reporter =
            Reporter { core: core.clone(), reports, before: Before::default(), has_complained: false };
        spawn(Queue::Background, reporter.run());
    }
}

struct Reporter {
    core: Rc<Core>,
    reports: Reports,
    before: Before,
    /// The last event could not be stored, and that was told.
    has_complained: bool,
}

impl Reporter {
    /// Reports until the server drains.
    async fn run(mut self) {
        let core = self.core.clone();
        let link = core.broker().link();
        if let Either::First(()) = race(link.draining(), core.broker().loaded()).await {
            return;
        }
        self.before.at_ns = clock::monotonic_ns();
        while let Either::Second(()) = race(link.draining(), sleep(self.reports.interval)).await {
            let snapshot = Snapshot::take(&core).await;
            let metrics = event(&snapshot, core.all_counters(), clock::monotonic_ns(), &mut self.before);
            let mut stored = self.append("metrics", metrics).await;
            let checks = core.activity().take();
            if !checks.is_empty() {
                stored = self.append("activity", activity_event(&checks)).await.and(stored);
            }
            self.tell(stored);
        }
    }

    /// Appends an event and forgets the oldest where there are too many.
    async fn append(&self, stream: &str, event: Value) -> Result<(), Failure> {
        let broker = self.core.broker();
        let stream = StreamKey::parse("$sys", stream).expect("our own names are sound");
        let drafts = Drafts::from([EventDraft::json(event.to_string().into())]);
        let (expect, idempotency, ack) = (None, None, AckLevel::Fsync);
        let request = AppendRequest { stream: stream.clone(), drafts, expect, idempotency, ack };
        let appended = broker.append(request).await?;
        match appended.first.0.checked_sub(self.reports.events_max) {
            Some(last_gone @ 1..) => broker.trim(stream, SeqNum(last_gone + 1)).await.map(|_| ()),
            _ => Ok(()),
        }
    }

    /// A line for the operator, once, until it works again.
    fn tell(&mut self, stored: Result<(), Failure>) {
        match stored {
            Ok(()) => self.has_complained = false,
            Err(_) if self.has_complained => {}
            Err(failure) => {
                self.has_complained = true;
                let reason = failure.reason();
                eprintln!(
                    "millrace: figures are not stored in $sys: {reason}; it is tried again each interval"
                );
            }
        }
    }
}

/// What the last event told: the next one tells what has come since.
#[derive(Debug, Default)]
struct Before {
    at_ns: u64,
    /// By area, and `shard N`.
    totals: HashMap<String, Map<String, Value>>,
    times: HashMap<&'static str, Reading>,
    journal_times: HashMap<usize, Reading>,
}

impl Before {
    /// An area with what has come since.
    fn area(&mut self, name: &str, area: Area) -> Map<String, Value> {
        let before = self.totals.get(name);
        let since = area.total.iter().map(|(key, value)| {
            let then = before.and_then(|before| before.get(key)).and_then(Value::as_u64).unwrap_or(0);
            (key.clone(), value.as_u64().unwrap_or(0).saturating_sub(then).into())
        });
        let interval: Map<String, Value> = since.collect();
        let mut told = Map::new();
        told.insert("now".to_owned(), area.now.into());
        told.insert("total".to_owned(), area.total.clone().into());
        told.insert("interval".to_owned(), interval.into());
        self.totals.insert(name.to_owned(), area.total);
        told
    }
}

/// `{"node","metrics":{…}}`: for each kind of thing what is `now`, what has added up since the start
/// (`total`) and what has come since the last event (`interval`).
fn event(snapshot: &Snapshot, counters: &SharedCounters, now_ns: u64, before: &mut Before) -> Value {
    let interval_ms = now_ns.saturating_sub(before.at_ns) / 1_000_000;
    before.at_ns = now_ns;
    let mut node = before.area("node", Area::of_node(snapshot, counters.core_count()));
    node.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
    let mut http = before.area("http", Area::of(figures::HTTP, |figure| (figure.value)(counters)));
    let times =
        figures::request_times(|endpoint| since(&mut before.times, endpoint.label(), counters, endpoint));
    http.insert("times".to_owned(), times.into());
    let listen = before.area("listen", Area::of(figures::LISTEN, |figure| (figure.value)(counters)));
    let storage = before.area("storage", Area::of(figures::SHARD, |figure| snapshot.sum(figure)));
    let journal_times: HashMap<usize, Reading> = counters.journal_times().collect();
    let mut shards = Vec::with_capacity(snapshot.shards.len());
    for (shard, stats) in &snapshot.shards {
        let area = Area::of(figures::SHARD, |figure| (figure.value)(stats));
        let mut told = before.area(&format!("shard {shard}"), area);
        told.insert("shard".to_owned(), shard.0.into());
        let place = usize::from(shard.0);
        let reading = journal_times.get(&place).copied().unwrap_or_default();
        let then = before.journal_times.insert(place, reading).unwrap_or_default();
        told.insert("journal_write_times".to_owned(), figures::times_json(&reading.since(&then)));
        shards.push(Value::Object(told));
    }
    json!({
        "node": NODE,
        "metrics": {
            "interval_ms": interval_ms,
            "node": node,
            "http": http,
            "listen": listen,
            "storage": storage,
            "shards": shards,
        },
    })
}

/// Times of an endpoint since the last event.
fn since(
    before: &mut HashMap<&'static str, Reading>,
    label: &'static str,
    counters: &SharedCounters,
    endpoint: Endpoint,
) -> Reading {
    let reading = counters.times(endpoint);
    reading.since(&before.insert(label, reading).unwrap_or_default())
}

/// `{"session_check":[{"key":[user,host,ip],"count":n}]}`.
fn activity_event(checks: &[Checks]) -> Value {
    let checks: Vec<Value> =
        checks.iter().map(|checks| json!({ "key": checks.key, "count": checks.count })).collect();
    json!({ "session_check": checks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::usage::Usage;
    use engine::ShardStats;
    use types::ShardId;

    fn snapshot(events_appended: u64) -> Snapshot {
        let stats = ShardStats { events_appended, segments: 2, ..ShardStats::default() };
        Snapshot { shards: vec![(ShardId(0), stats.clone()), (ShardId(1), stats)], usage: Usage::default() }
    }

    #[test]
    fn an_event_tells_what_is_what_was_and_what_came_since_the_last_one() {
        let (counters, mut before) = (SharedCounters::new(2), Before::default());
        counters.of(CoreId(0)).count_reply(200);
        counters.of(CoreId(0)).times[Endpoint::Read as usize].observe_ns(1_000);
        let first = event(&snapshot(5), &counters, 1_000_000_000, &mut before);
        assert_eq!(first["metrics"]["http"]["interval"]["requests"], 1);
        counters.of(CoreId(1)).count_reply(404);
        counters.of(CoreId(1)).times[Endpoint::List as usize].observe_ns(1_000);
        let second = event(&snapshot(7), &counters, 3_500_000_000, &mut before)["metrics"].clone();
        assert_eq!((&first["node"], &second["interval_ms"]), (&json!(0), &json!(2_500)));
        let http = &second["http"];
        assert_eq!((&http["total"]["requests"], &http["interval"]["requests"]), (&json!(2), &json!(1)));
        assert_eq!(
            (&http["interval"]["replies_2xx"], &http["interval"]["replies_4xx"]),
            (&json!(0), &json!(1))
        );
        assert_eq!(http["times"], json!({ "list": { "count": 1, "sum_us": 1, "le_s": { "0.00005": 1 } } }));
        let storage = &second["storage"];
        assert_eq!(
            (&storage["now"]["segments"], &storage["total"]["events_appended"]),
            (&json!(4), &json!(14))
        );
        assert_eq!(storage["interval"]["events_appended"], 4);
        assert_eq!(second["shards"][1]["interval"]["events_appended"], 2);
    }

    #[test]
    fn activity_is_told_in_the_shape_that_is_known() {
        let key = ["ann", "h:1", "127.0.0.1"].map(str::to_owned);
        let expected = json!({ "session_check": [{ "key": ["ann", "h:1", "127.0.0.1"], "count": 2 }] });
        assert_eq!(activity_event(&[Checks { key, count: 2 }]), expected);
    }
}
