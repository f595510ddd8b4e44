//! What one worker counted in one interval, and the rules of what is counted at all.
//!
//! A worker's meter fills windows; the coordinator merges them across workers and intervals. Rules:
//! throughput counts what was answered or delivered between the end of the warm-up and the end of the run;
//! latency counts what was *intended* in that time, whenever the answer came, since leaving out late answers
//! would hide the slowest ones. Law: merging is commutative, so the order in which workers report does not
//! matter.

use super::latency::Latency;
use std::collections::BTreeMap;

/// Counts of one direction.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    /// Requests answered, or messages received.
    pub(crate) requests: u64,
    /// Events acknowledged, or delivered.
    pub(crate) events: u64,
    /// Payload bytes of these events.
    pub(crate) bytes: u64,
    /// From the intended time to the answer or the delivery.
    pub(crate) latency: Latency,
}

impl Lane {
    fn new() -> Lane {
        Lane { requests: 0, events: 0, bytes: 0, latency: Latency::new() }
    }

    fn merge(&mut self, other: &Lane) {
        self.requests += other.requests;
        self.events += other.events;
        self.bytes += other.bytes;
        self.latency.merge(&other.latency);
    }
}

/// One interval of a run, or a sum of them.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Which one, from 0 at the end of the warm-up.
    pub(crate) index: u64,
    /// What writers had acknowledged.
    pub(crate) appended: Lane,
    /// What listeners received.
    pub(crate) delivered: Lane,
    /// Failures by kind.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Window {
    /// An empty one.
    pub(crate) fn new(index: u64) -> Window {
        Window { index, appended: Lane::new(), delivered: Lane::new(), errors: BTreeMap::new() }
    }

    /// Adds what `other` counted; the index stays.
    pub(crate) fn merge(&mut self, other: &Window) {
        self.appended.merge(&other.appended);
        self.delivered.merge(&other.delivered);
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
    }

    /// All failures.
    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// What a time line shows of it: of deliveries, or of appends.
    pub(crate) fn close(&self, is_delivered: bool) -> Closed {
        let lane = if is_delivered { &self.delivered } else { &self.appended };
        Closed {
            events: lane.events,
            bytes: lane.bytes,
            p50_ns: lane.latency.at(50.0),
            p99_ns: lane.latency.at(99.0),
            max_ns: lane.latency.max_ns(),
            errors: self.error_count(),
        }
    }

    fn is_empty(&self) -> bool {
        let lanes = [&self.appended, &self.delivered];
        lanes.iter().all(|lane| lane.events == 0 && lane.latency.count() == 0) && self.errors.is_empty()
    }
}

/// What stays of a window when its distribution is given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Events.
    pub(crate) events: u64,
    /// Payload bytes.
    pub(crate) bytes: u64,
    /// The median latency.
    pub(crate) p50_ns: u64,
    /// 99 of a hundred latencies are at most this.
    pub(crate) p99_ns: u64,
    /// The longest.
    pub(crate) max_ns: u64,
    /// Failures.
    pub(crate) errors: u64,
}

/// One answer or delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// When it should have been sent.
    pub(crate) intended_ns: u64,
    /// Events in it.
    pub(crate) events: u64,
    /// Payload bytes in it.
    pub(crate) bytes: u64,
}

/// Counts what happens to one worker, interval by interval.
#[derive(Debug)]
pub(crate) struct Meter {
    begin_ns: u64,
    end_ns: u64,
    interval_ns: u64,
    current: Window,
}

impl Meter {
    /// Measures from `begin_ns` (the end of the warm-up) until `end_ns`.
    pub(crate) fn new(begin_ns: u64, end_ns: u64, interval_ns: u64) -> Meter {
        assert!(begin_ns <= end_ns, "a run ends after its warm-up");
        assert!(interval_ns > 0, "an interval is some time");
        Meter { begin_ns, end_ns, interval_ns, current: Window::new(0) }
    }

    /// Counts an acknowledged request.
    pub(crate) fn handle_appended(&mut self, now_ns: u64, sample: Sample) {
        let is_timely = self.is_measured(now_ns);
        let is_intended = self.is_measured(sample.intended_ns);
        count(&mut self.current.appended, now_ns, sample, is_timely, is_intended);
    }

    /// Counts a delivered message.
    pub(crate) fn handle_delivered(&mut self, now_ns: u64, sample: Sample) {
        let is_timely = self.is_measured(now_ns);
        let is_intended = self.is_measured(sample.intended_ns);
        count(&mut self.current.delivered, now_ns, sample, is_timely, is_intended);
    }

    /// Counts a delivery that says nothing about latency: history, or a reader that is slow on purpose.
    pub(crate) fn handle_delivered_late(&mut self, now_ns: u64, sample: Sample) {
        let is_timely = self.is_measured(now_ns);
        count(&mut self.current.delivered, now_ns, sample, is_timely, false);
    }

    /// Counts a failure. Failures count at any time, in the warm-up too.
    pub(crate) fn handle_error(&mut self, kind: &str, count: u64) {
        match self.current.errors.get_mut(kind) {
            Some(sum) => *sum += count,
            None if count > 0 => drop(self.current.errors.insert(kind.to_owned(), count)),
            None => {}
        }
    }

    /// The current window, once its interval is over and if something was counted in it.
    pub(crate) fn take_finished(&mut self, now_ns: u64) -> Option<Window> {
        let index = self.index_of(now_ns);
        if index == self.current.index || now_ns < self.begin_ns {
            return None;
        }
        let finished = std::mem::replace(&mut self.current, Window::new(index));
        (!finished.is_empty()).then_some(finished)
    }

    /// What is left at the end.
    pub(crate) fn take_rest(&mut self) -> Window {
        let index = self.current.index;
        std::mem::replace(&mut self.current, Window::new(index))
    }

    fn is_measured(&self, at_ns: u64) -> bool {
        (self.begin_ns..self.end_ns).contains(&at_ns)
    }

    /// The interval of a time; what comes after the end belongs to the last one.
    fn index_of(&self, now_ns: u64) -> u64 {
        let last_ns = (self.end_ns - self.begin_ns).saturating_sub(1);
        now_ns.saturating_sub(self.begin_ns).min(last_ns) / self.interval_ns
    }
}

fn count(lane: &mut Lane, now_ns: u64, sample: Sample, is_timely: bool, is_intended: bool) {
    if is_timely {
        lane.requests += 1;
        lane.events += sample.events;
        lane.bytes += sample.bytes;
    }
    if is_intended {
        lane.latency.record(now_ns.saturating_sub(sample.intended_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn sample(intended_ns: u64) -> Sample {
        Sample { intended_ns, events: 2, bytes: 10 }
    }

    #[test]
    fn throughput_counts_by_the_answer_and_latency_by_the_intended_time() {
        let mut meter = Meter::new(100, 200, SECOND_NS);
        meter.handle_appended(99, sample(90)); // all in the warm-up
        meter.handle_appended(150, sample(90)); // intended in the warm-up
        meter.handle_appended(150, sample(140));
        meter.handle_appended(900, sample(150)); // answered after the end
        let window = meter.take_rest();
        assert_eq!((window.appended.requests, window.appended.events, window.appended.bytes), (2, 4, 20));
        assert_eq!((window.appended.latency.count(), window.appended.latency.max_ns()), (2, 750));
    }

    #[test]
    fn a_window_is_given_out_once_its_interval_is_over() {
        let mut meter = Meter::new(0, 3 * SECOND_NS, SECOND_NS);
        meter.handle_appended(5, sample(1));
        assert!(meter.take_finished(SECOND_NS - 1).is_none());
        let first = meter.take_finished(SECOND_NS).expect("the second is over");
        assert_eq!((first.index, first.appended.events), (0, 2));
        meter.handle_error("status 503", 2);
        let second = meter.take_finished(9 * SECOND_NS).expect("there is an error in it");
        assert_eq!((second.index, second.error_count()), (1, 2));
        assert!(meter.take_finished(10 * SECOND_NS).is_none(), "after the end all is the last second");
    }

    #[test]
    fn merging_windows_does_not_depend_on_their_order() {
        let window = |events: u64, kind: &str| {
            let mut meter = Meter::new(0, SECOND_NS, SECOND_NS);
            meter.handle_delivered(10 * events, Sample { intended_ns: 3, events, bytes: 1 });
            meter.handle_error(kind, events);
            meter.take_rest()
        };
        let parts = [window(1, "a"), window(2, "b"), window(3, "a")];
        let sum = |order: [usize; 3]| {
            let mut sum = Window::new(0);
            order.iter().for_each(|index| sum.merge(&parts[*index]));
            (sum.delivered.events, sum.delivered.latency.curve(), sum.errors)
        };
        assert_eq!(sum([0, 1, 2]), sum([2, 0, 1]));
        assert_eq!(sum([0, 1, 2]).2, BTreeMap::from([("a".to_owned(), 4), ("b".to_owned(), 2)]));
    }
}
