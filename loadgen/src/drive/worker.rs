//! One thread of the client: its sockets, its loop, its counts.
//!
//! Started by `load`. A turn of the loop sends what is due, waits, and takes what came; windows go to the
//! coordinator one by one. A worker ends by itself when its part is done or the drain is over, and tells
//! what its listeners found. It never prints.

use super::appender::Appender;
use super::listeners::{Heard, Listeners};
use super::plan::LoadPlan;
use super::reactor::{Reactor, Ready};
use super::shared::Shared;
use super::socket::SCRATCH_BYTES;
use crate::decide::schedule::Schedule;
use crate::decide::window::{Meter, Window};
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// What a worker leaves behind.
#[derive(Debug)]
pub(crate) struct Remains {
    /// Counts that no window has.
    pub(crate) rest: Window,
    /// What its listeners found.
    pub(crate) heard: Heard,
    /// Requests that were due and never sent.
    pub(crate) unsent: u64,
}

/// A worker.
#[derive(Debug)]
pub(crate) struct Worker {
    plan: Arc<LoadPlan>,
    shared: Arc<Shared>,
    index: usize,
    reactor: Reactor,
    appender: Appender,
    listeners: Option<Listeners>,
    meter: Meter,
    is_begun: bool,
    was_ready: bool,
}

impl Worker {
    /// Worker `index`; connects when it runs.
    ///
    /// # Errors
    /// What the system or the plan does not allow.
    pub(crate) fn new(
        plan: Arc<LoadPlan>,
        shared: Arc<Shared>,
        index: usize,
        secret: u64,
    ) -> Result<Worker, String> {
        let reactor = Reactor::new().map_err(|error| format!("cannot make an event loop: {error}"))?;
        let appender = Appender::new(plan.clone(), shared.clone(), index)?;
        let token_base = appender.writer_count();
        let listeners = Listeners::new(plan.clone(), shared.clone(), index, token_base, secret);
        // Until the run begins nothing is measured: the period is empty.
        let meter = Meter::new(u64::MAX, u64::MAX, plan.interval.as_nanos() as u64);
        let worker = Worker {
            plan,
            shared,
            index,
            reactor,
            appender,
            listeners,
            meter,
            is_begun: false,
            was_ready: false,
        };
        Ok(worker)
    }

    /// Runs until its part is done; windows go to `windows`.
    ///
    /// # Errors
    /// What makes the run senseless.
    pub(crate) fn run(mut self, windows: &Sender<Window>) -> Result<Remains, String> {
        let mut scratch = vec![0; SCRATCH_BYTES];
        let mut ready = Vec::new();
        loop {
            let now_ns = self.shared.clock.now_ns();
            self.turn(now_ns, &mut scratch)?;
            if self.is_finished(now_ns) {
                break;
            }
            let deadline_ns = self.deadline_ns(now_ns);
            let waited = self.reactor.wait(now_ns, deadline_ns, &mut ready);
            waited.map_err(|error| format!("cannot wait for sockets: {error}"))?;
            for one in &ready {
                self.handle_ready(*one, &mut scratch);
            }
            if let Some(window) = self.meter.take_finished(self.shared.clock.now_ns()) {
                // The coordinator may have given up; the rest is told at the end.
                let _ = windows.send(window);
            }
        }
        let now_ns = self.shared.clock.now_ns();
        let unsent = self.appender.count_rest(now_ns, &mut self.meter);
        let heard = self.listeners.as_ref().map(Listeners::heard).unwrap_or_default();
        Ok(Remains { rest: self.meter.take_rest(), heard, unsent })
    }

    /// Everything that time alone asks for.
    fn turn(&mut self, now_ns: u64, scratch: &mut [u8]) -> Result<(), String> {
        if !self.is_begun || !self.appender.is_open() {
            self.appender.connect_due(now_ns, self.reactor.registry(), &mut self.meter);
        }
        if !self.was_ready && self.appender.is_open() {
            self.was_ready = true;
            self.shared.add_ready(self.appender.writer_count());
        }
        if let Some(begin_ns) = self.shared.begin_ns().filter(|_| !self.is_begun) {
            self.begin(begin_ns);
        }
        self.appender.pump(now_ns, &mut self.meter, self.reactor.registry());
        if let Some(listeners) = &mut self.listeners {
            listeners.tick(now_ns, self.reactor.registry(), scratch, &mut self.meter)?;
        }
        Ok(())
    }

    fn begin(&mut self, begin_ns: u64) {
        self.is_begun = true;
        let measured_ns = begin_ns + self.plan.warmup.as_nanos() as u64;
        let end_ns = measured_ns + self.plan.duration.as_nanos() as u64;
        let errors = self.meter.take_rest().errors;
        self.meter = Meter::new(measured_ns, end_ns, self.plan.interval.as_nanos() as u64);
        for (kind, count) in errors {
            self.meter.handle_error(&kind, count);
        }
        // With numbers one worker writes; without, all do.
        let (index, count) = if self.plan.is_numbered() { (0, 1) } else { (self.index, self.plan.threads) };
        let requests_max = if self.appender.writer_count() == 0 { 0 } else { self.plan.requests_max };
        self.appender.begin(Schedule::new(self.plan.pace, (begin_ns, end_ns), (index, count), requests_max));
    }

    fn handle_ready(&mut self, ready: Ready, scratch: &mut [u8]) {
        let registry = self.reactor.registry();
        if ready.token < self.appender.writer_count() {
            self.appender.handle_ready(ready, scratch, &mut self.meter, registry);
        } else if let Some(listeners) = &mut self.listeners {
            listeners.handle_ready(ready, scratch, &mut self.meter, registry);
        }
    }

    fn deadline_ns(&self, now_ns: u64) -> Option<u64> {
        if !self.is_begun {
            // The beginning is not announced by any socket.
            return Some(now_ns + BEGIN_POLL_NS);
        }
        if let Some(begin_ns) = self.shared.begin_ns().filter(|begin_ns| *begin_ns > now_ns) {
            return Some(begin_ns);
        }
        let listening = self.listeners.as_ref().and_then(Listeners::deadline_ns);
        [self.appender.deadline_ns(now_ns), listening].into_iter().flatten().min()
    }

    /// Whether nothing is left to do or to wait for.
    fn is_finished(&mut self, now_ns: u64) -> bool {
        if self.shared.is_stopped() {
            self.shared.set_writer_done();
            return true;
        }
        let Some(begin_ns) = self.shared.begin_ns().filter(|_| self.is_begun) else { return false };
        let end_ns = begin_ns + (self.plan.warmup + self.plan.duration).as_nanos() as u64;
        if self.plan.is_replay() {
            let is_complete = self.listeners.as_ref().is_none_or(Listeners::is_complete);
            return is_complete || now_ns >= end_ns;
        }
        let given_up_ns = end_ns + self.plan.drain.as_nanos() as u64;
        let is_written = if self.plan.connections == 0 {
            now_ns >= end_ns
        } else {
            self.appender.is_done(now_ns) || now_ns >= given_up_ns
        };
        let Some(listeners) = &self.listeners else { return is_written };
        // The one that writes tells the others; without a writer everybody goes by the clock.
        if is_written && self.index == 0 {
            self.shared.set_writer_done();
        }
        self.shared.is_writer_done() && (listeners.is_complete() || now_ns >= given_up_ns)
    }
}

const BEGIN_POLL_NS: u64 = 1_000_000;
