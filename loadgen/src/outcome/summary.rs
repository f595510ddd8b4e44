//! From what a run brought to its document: rates, percentiles, shares.
//!
//! Pure; called by the verbs after each run.

use super::result::{Interval, ListenFound, Percentiles, Run, Side};
use crate::decide::latency::Latency;
use crate::decide::window::{Closed, Lane, Window};
use crate::drive::listeners::Heard;
use crate::drive::load::{Outcome, Sampled};
use crate::drive::processes::Usage;

/// What of the plan a summary needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Offered events a second.
    pub(crate) offered_per_s: Option<f64>,
    /// Listeners; 0 for a run of writers only.
    pub(crate) listeners: usize,
    /// Whether the server's process is known.
    pub(crate) has_server: bool,
    /// Whether slow listeners may miss events.
    pub(crate) may_slow_miss: bool,
    /// The length of an interval of the time line.
    pub(crate) interval_s: f64,
}

/// The document of one run.
pub(crate) fn run_of(outcome: &Outcome, asked: Asked) -> Run {
    let lane = lane_of(&outcome.total, asked);
    let seconds = outcome.measured_s;
    Run {
        offered_per_s: asked.offered_per_s,
        seconds,
        requests: lane.requests,
        events: lane.events,
        bytes: lane.bytes,
        events_per_s: lane.events as f64 / seconds,
        mb_per_s: lane.bytes as f64 / 1e6 / seconds,
        latency: percentiles(&lane.latency),
        curve: lane.latency.curve().into_iter().map(|(percent, ns)| (percent, micros(ns))).collect(),
        errors: outcome.total.errors.clone(),
        unsent: outcome.unsent,
        server: asked.has_server.then(|| side(&outcome.samples, |sample| sample.server)),
        client: side(&outcome.samples, |sample| sample.client),
        others_cpu_share: others_share(&outcome.samples),
        listen: (asked.listeners > 0).then(|| found(outcome, asked)),
        interval_s: asked.interval_s,
        timeline: timeline(outcome, asked),
    }
}

fn lane_of(window: &Window, asked: Asked) -> &Lane {
    if asked.listeners > 0 { &window.delivered } else { &window.appended }
}

fn micros(ns: u64) -> f64 {
    ns as f64 / 1e3
}

/// The percentiles of a distribution.
pub(crate) fn percentiles(latency: &Latency) -> Percentiles {
    let at = |percent: f64| micros(latency.at(percent));
    Percentiles {
        count: latency.count(),
        p50_us: at(50.0),
        p90_us: at(90.0),
        p99_us: at(99.0),
        p99_9_us: at(99.9),
        p99_99_us: at(99.99),
        max_us: micros(latency.max_ns()),
        mean_us: latency.mean_ns() / 1e3,
    }
}

fn side(samples: &[Sampled], usage: impl Fn(&Sampled) -> Usage) -> Side {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Side::default() };
    let passed_s = last.at_s - first.at_s;
    let used_s = usage(last).cpu_s - usage(first).cpu_s;
    Side {
        cpu_share: if passed_s > 0.0 { (used_s / passed_s).max(0.0) } else { 0.0 },
        resident_bytes_begin: usage(first).resident_bytes,
        resident_bytes_max: samples.iter().map(|sample| usage(sample).resident_bytes).max().unwrap_or(0),
    }
}

/// What is left of all programs' time when both sides are taken off.
fn others_share(samples: &[Sampled]) -> f64 {
    let others_s = |sample: &Sampled| Some(sample.programs_s? - sample.server.cpu_s - sample.client.cpu_s);
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return 0.0 };
    let (Some(before_s), Some(after_s)) = (others_s(first), others_s(last)) else { return 0.0 };
    let passed_s = last.at_s - first.at_s;
    if passed_s > 0.0 { ((after_s - before_s) / passed_s).max(0.0) } else { 0.0 }
}

fn found(outcome: &Outcome, asked: Asked) -> ListenFound {
    let Heard { faults, slow_faults, behind, behind_listeners, reconnects } = outcome.heard;
    let begin = outcome.samples.first().map(|sample| sample.server.resident_bytes);
    let grown = begin.map(|bytes| bytes.saturating_sub(outcome.server_before.resident_bytes) as f64);
    ListenFound {
        listeners: asked.listeners,
        published: outcome.total.appended.events,
        publish_latency: percentiles(&outcome.total.appended.latency),
        missing: faults.missing,
        repeated: faults.repeated + slow_faults.repeated,
        foreign: faults.foreign + slow_faults.foreign,
        slow_missing: slow_faults.missing,
        behind,
        behind_listeners,
        reconnects,
        server_bytes_per_listener: grown
            .filter(|_| asked.has_server)
            .map(|bytes| bytes / asked.listeners as f64),
        is_sound: faults.is_none()
            && slow_faults.repeated == 0
            && slow_faults.foreign == 0
            && (slow_faults.missing == 0 || asked.may_slow_miss)
            && behind == 0,
    }
}

/// Interval by interval; one in which nothing happened is there with zeros.
fn timeline(outcome: &Outcome, asked: Asked) -> Vec<Interval> {
    let last = outcome.windows.keys().next_back().copied();
    let closed = |index: u64| outcome.windows.get(&index).copied().unwrap_or_default();
    let indexes = last.into_iter().flat_map(|last| 0..=last);
    indexes.map(|index| interval(index, closed(index), outcome, asked)).collect()
}

fn interval(index: u64, closed: Closed, outcome: &Outcome, asked: Asked) -> Interval {
    let at_s = index as f64 * asked.interval_s;
    let until_s = (at_s + asked.interval_s).min(outcome.measured_s);
    let length_s = (until_s - at_s).max(1e-9);
    // The samples nearest to its two ends.
    let nearest = |at_s: f64| {
        let away = |sample: &&Sampled| (sample.at_s - at_s).abs();
        outcome.samples.iter().min_by(|a, b| away(a).total_cmp(&away(b)))
    };
    let ends = nearest(at_s).zip(nearest(until_s)).filter(|(before, after)| after.at_s - before.at_s > 0.05);
    let share = |usage: fn(&Sampled) -> Usage| {
        let (before, after) = ends?;
        Some(((usage(after).cpu_s - usage(before).cpu_s) / (after.at_s - before.at_s)).max(0.0))
    };
    Interval {
        at_s,
        events_per_s: closed.events as f64 / length_s,
        mb_per_s: closed.bytes as f64 / 1e6 / length_s,
        p50_us: micros(closed.p50_ns),
        p99_us: micros(closed.p99_ns),
        max_us: micros(closed.max_ns),
        errors: closed.errors,
        server_cpu: share(|sample| sample.server).filter(|_| asked.has_server),
        client_cpu: share(|sample| sample.client),
        server_resident_bytes: ends
            .map(|(_, after)| after.server.resident_bytes)
            .filter(|_| asked.has_server),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::window::{Meter, Sample};
    use std::collections::BTreeMap;

    fn sampled(at_s: f64, cpu_s: f64) -> Sampled {
        let usage = Usage { cpu_s, resident_bytes: (at_s * 100.0) as u64 };
        Sampled { at_s, server: usage, client: usage, programs_s: Some(cpu_s * 3.0) }
    }

    #[test]
    fn rates_and_shares_are_over_the_measured_seconds() {
        let mut meter = Meter::new(0, 2_000_000_000, 1_000_000_000);
        (0..10).for_each(|_| {
            meter.handle_appended(1_500_000_000, Sample { intended_ns: 1, events: 2, bytes: 500_000 })
        });
        let window = meter.take_rest();
        let outcome = Outcome {
            total: window.clone(),
            windows: BTreeMap::from([(1, window.close(false))]),
            samples: vec![sampled(0.0, 1.0), sampled(1.0, 1.5), sampled(2.0, 2.5)],
            server_before: Usage::default(),
            heard: Heard::default(),
            unsent: 3,
            measured_s: 2.0,
            numbers: Vec::new(),
        };
        let run = run_of(
            &outcome,
            Asked {
                offered_per_s: Some(10.0),
                listeners: 0,
                has_server: true,
                may_slow_miss: false,
                interval_s: 1.0,
            },
        );
        assert_eq!((run.events_per_s, run.mb_per_s, run.requests, run.unsent), (10.0, 2.5, 10, 3));
        assert_eq!(run.others_cpu_share, 0.75);
        let server = run.server.expect("the process is known");
        assert_eq!((server.cpu_share, server.resident_bytes_max), (0.75, 200));
        let shares = [run.timeline[0].server_cpu, run.timeline[1].server_cpu];
        assert_eq!(shares, [Some(0.5), Some(1.0)]);
        let rates = [run.timeline[0].events_per_s, run.timeline[1].events_per_s];
        assert_eq!(rates, [0.0, 20.0], "the first second is there, though nothing happened in it");
        assert!((run.latency.p50_us - 1_500_000.0).abs() < 2_000.0);
        let alone = run_of(
            &outcome,
            Asked {
                offered_per_s: None,
                listeners: 0,
                has_server: false,
                may_slow_miss: false,
                interval_s: 1.0,
            },
        );
        assert_eq!((alone.server, alone.timeline[0].server_cpu), (None, None));
    }
}
