//! One run: starts the workers, lets them begin together, watches, and sums up.
//!
//! Called by the verbs with a plan. The calling thread samples processes and shows progress; it sends nothing
//! itself. Every connection is made before anything is measured; if that does not come about in
//! [`READY_TIMEOUT`], the run fails and says how far it came.

use super::listeners::Heard;
use super::plan::LoadPlan;
use super::processes::{self, Usage};
use super::progress::{Moment, ProgressLine};
use super::shared::Shared;
use super::worker::{Remains, Worker};
use crate::clock::Clock;
use crate::decide::schedule::Pace;
use crate::decide::window::{Closed, Window};
use crate::failure::{Exit, Failure};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long all connections may take to be made.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// So that every worker knows of the beginning before it comes.
const BEGIN_DELAY_NS: u64 = 5_000_000;
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Intervals whose distributions are kept while workers may still tell of them.
const OPEN_WINDOWS_MAX: usize = 8;
const SECOND: Duration = Duration::from_secs(1);

/// What both sides used at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sampled {
    /// Seconds since measuring began.
    pub(crate) at_s: f64,
    /// The server.
    pub(crate) server: Usage,
    /// This program.
    pub(crate) client: Usage,
    /// Processor seconds of all programs; at the first and the last moment only, since it takes a while.
    pub(crate) programs_s: Option<f64>,
}

/// What a run brought.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Everything, merged.
    pub(crate) total: Window,
    /// What each interval brought, by its index.
    pub(crate) windows: BTreeMap<u64, Closed>,
    /// Both sides, about once a second, the first when measuring began and the last when it ended.
    pub(crate) samples: Vec<Sampled>,
    /// The server before anything was connected.
    pub(crate) server_before: Usage,
    /// What listeners found.
    pub(crate) heard: Heard,
    /// Requests that were due and never sent.
    pub(crate) unsent: u64,
    /// Seconds measured.
    pub(crate) measured_s: f64,
    /// Per stream the last acknowledged number, where events are numbered.
    pub(crate) numbers: Vec<u64>,
}

/// Whether something listens at `target`; fails with what to do if not.
pub(crate) fn probe(target: SocketAddr) -> Result<(), Failure> {
    TcpStream::connect_timeout(&target, PROBE_TIMEOUT).map(drop).map_err(|error| {
        Failure::new(Exit::Unreachable, format!("nothing answers at {target} ({error})"))
            .next("start the server there, or name another with --target")
    })
}

/// Runs `plan` against the server whose processes are `pids`.
pub(crate) fn run_load(plan: LoadPlan, clock: Clock, pids: &[u32]) -> Result<Outcome, Failure> {
    probe(plan.target)?;
    processes::allow_open_files(plan.connection_count() as u64)?;
    let plan = Arc::new(plan);
    let shared = Arc::new(Shared::new(clock, plan.threads, &plan.history));
    let server_before = processes::usage(pids);
    let (sender, receiver) = mpsc::channel();
    let threads = start_workers(&plan, &shared, &sender)?;
    drop(sender);
    let mut watch = Watch {
        plan: &plan,
        shared: &shared,
        pids,
        windows: BTreeMap::new(),
        closed: BTreeMap::new(),
        total: Window::new(0),
        samples: Vec::new(),
    };
    let watched = watch.until_done(&receiver, &threads);
    if watched.is_err() {
        shared.stop();
    }
    let remains = join(threads);
    watched?;
    Ok(sum_up(watch, remains?, server_before))
}

fn start_workers(
    plan: &Arc<LoadPlan>,
    shared: &Arc<Shared>,
    windows: &Sender<Window>,
) -> Result<Vec<JoinHandle<Result<Remains, Failure>>>, Failure> {
    let secret = random_secret()?;
    let mut threads = Vec::new();
    for index in 0..plan.threads {
        let (plan, shared, windows) = (plan.clone(), shared.clone(), windows.clone());
        let body = move || {
            if let Some(core) = plan.cores.get(index % plan.cores.len().max(1)) {
                processes::pin_to(&[*core])?;
            }
            let worker = Worker::new(plan, shared, index, secret);
            worker.and_then(|worker| worker.run(&windows)).map_err(Failure::usage)
        };
        let thread = thread::Builder::new().name(format!("load-{index}")).spawn(body);
        threads.push(thread.map_err(|error| Failure::io("cannot start a thread", &error))?);
    }
    Ok(threads)
}

fn random_secret() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| Failure::io("/dev/urandom", &error))?;
    Ok(u64::from_le_bytes(bytes))
}

fn join(threads: Vec<JoinHandle<Result<Remains, Failure>>>) -> Result<Vec<Remains>, Failure> {
    let join_one = |thread: JoinHandle<Result<Remains, Failure>>| match thread.join() {
        Ok(remains) => remains,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    threads.into_iter().map(join_one).collect::<Vec<_>>().into_iter().collect()
}

/// The coordinator's view.
struct Watch<'a> {
    plan: &'a LoadPlan,
    shared: &'a Shared,
    pids: &'a [u32],
    /// The newest intervals with their distributions.
    windows: BTreeMap<u64, Window>,
    /// What stays of the others.
    closed: BTreeMap<u64, Closed>,
    /// All that are closed.
    total: Window,
    samples: Vec<Sampled>,
}

impl Watch<'_> {
    fn until_done(
        &mut self,
        receiver: &Receiver<Window>,
        threads: &[JoinHandle<Result<Remains, Failure>>],
    ) -> Result<(), Failure> {
        let is_any_gone = || threads.iter().any(JoinHandle::is_finished);
        let begin_ns = self.wait_ready(&is_any_gone)?;
        let measured_ns = begin_ns + self.plan.warmup.as_nanos() as u64;
        let end_ns = measured_ns + self.plan.duration.as_nanos() as u64;
        let mut line = ProgressLine::new();
        let mut next_sample_ns = measured_ns;
        loop {
            let now_ns = self.shared.clock.now_ns();
            if now_ns >= next_sample_ns && next_sample_ns <= end_ns {
                let second_ns = SECOND.as_nanos() as u64;
                // The last sample falls on the end, whatever the length.
                let is_last = next_sample_ns == end_ns;
                self.sample(now_ns, measured_ns, is_last || self.samples.is_empty());
                next_sample_ns = if is_last { u64::MAX } else { (next_sample_ns + second_ns).min(end_ns) };
            }
            let wait = next_sample_ns.saturating_sub(now_ns).clamp(1, 200_000_000);
            match receiver.recv_timeout(Duration::from_nanos(wait)) {
                Ok(window) => {
                    self.add_window(window);
                    self.show(&mut line, begin_ns, measured_ns);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.show(&mut line, begin_ns, measured_ns),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        line.clear();
        let now_ns = self.shared.clock.now_ns();
        if next_sample_ns <= end_ns {
            self.sample(now_ns, measured_ns, true);
        }
        Ok(())
    }

    /// Waits until every connection is made; gives the time at which all begin.
    fn wait_ready(&self, is_any_gone: &dyn Fn() -> bool) -> Result<u64, Failure> {
        // A replay is under way as soon as somebody is connected.
        let wanted = if self.plan.is_replay() { 0 } else { self.plan.connection_count() };
        let since_ns = self.shared.clock.now_ns();
        while self.shared.ready_count() < wanted {
            if is_any_gone() {
                // Its error says more.
                self.shared.stop();
                return Ok(self.shared.clock.now_ns());
            }
            if self.shared.clock.now_ns() - since_ns > READY_TIMEOUT.as_nanos() as u64 {
                let count = self.shared.ready_count();
                let seconds = READY_TIMEOUT.as_secs();
                let message = format!("only {count} of {wanted} connections stood after {seconds} s");
                return Err(Failure::new(Exit::Unreachable, message).next(
                    "see the server's limits of connections and its log, or use fewer; log in with --user",
                ));
            }
            thread::sleep(Duration::from_millis(1));
        }
        let begin_ns = self.shared.clock.now_ns() + if wanted > 0 { BEGIN_DELAY_NS } else { 0 };
        self.shared.begin(begin_ns);
        Ok(begin_ns)
    }

    fn sample(&mut self, now_ns: u64, measured_ns: u64, is_edge: bool) {
        self.samples.push(Sampled {
            at_s: now_ns.saturating_sub(measured_ns) as f64 / 1e9,
            server: processes::usage(self.pids),
            client: processes::usage(&[std::process::id()]),
            programs_s: is_edge.then(processes::programs_busy_s).flatten(),
        });
    }

    fn add_window(&mut self, window: Window) {
        let index = window.index;
        match self.windows.get_mut(&index) {
            Some(sum) => sum.merge(&window),
            None => drop(self.windows.insert(index, window)),
        }
        // Distributions are large; a run of hours would hold thousands of them.
        while self.windows.len() > OPEN_WINDOWS_MAX {
            self.close_first();
        }
    }

    fn close_first(&mut self) {
        let Some((index, window)) = self.windows.pop_first() else { return };
        self.total.merge(&window);
        let closed = window.close(self.plan.listen.is_some());
        let sum = self.closed.entry(index).or_default();
        // A worker that tells of an interval long closed adds its counts; percentiles stay those of others.
        let had_any = *sum != Closed::default();
        *sum = if had_any {
            Closed {
                events: sum.events + closed.events,
                bytes: sum.bytes + closed.bytes,
                max_ns: sum.max_ns.max(closed.max_ns),
                errors: sum.errors + closed.errors,
                ..*sum
            }
        } else {
            closed
        };
    }

    fn show(&self, line: &mut ProgressLine, begin_ns: u64, measured_ns: u64) {
        let now_ns = self.shared.clock.now_ns();
        let (phase, since_ns, length) = if now_ns < measured_ns {
            ("warm-up", begin_ns, self.plan.warmup)
        } else {
            ("measuring", measured_ns, self.plan.duration)
        };
        let last = self.windows.values().next_back();
        let lane = last.map(|window| match self.plan.listen {
            Some(_) => &window.delivered,
            None => &window.appended,
        });
        let passed_s = now_ns.saturating_sub(since_ns) as f64 / 1e9;
        line.show(&Moment {
            phase,
            seconds: (passed_s.min(length.as_secs_f64()), length.as_secs_f64()),
            events: lane.map_or(0.0, |lane| lane.events as f64) / self.plan.interval.as_secs_f64(),
            bytes: lane.map_or(0.0, |lane| lane.bytes as f64) / self.plan.interval.as_secs_f64(),
            offered: offered_per_s(self.plan),
            p99_ns: lane.map_or(0, |lane| lane.latency.at(99.0)),
            errors: self.windows.values().map(Window::error_count).sum::<u64>() + self.total.error_count(),
        });
    }
}

/// Events offered in a second: appended ones, or with listeners the deliveries that they make.
pub(crate) fn offered_per_s(plan: &LoadPlan) -> Option<f64> {
    let Pace::Open { per_s } = plan.pace else { return None };
    Some(per_s * plan.append.batch as f64).filter(|_| plan.connections > 0 && plan.listen.is_none())
}

fn sum_up(mut watch: Watch<'_>, remains: Vec<Remains>, server_before: Usage) -> Outcome {
    let (mut heard, mut unsent) = (Heard::default(), 0);
    for part in remains {
        heard.add(part.heard);
        unsent += part.unsent;
        watch.add_window(part.rest);
    }
    while !watch.windows.is_empty() {
        watch.close_first();
    }
    let Watch { plan, shared, closed, total, samples, .. } = watch;
    // A run that ended by its number of events was shorter than planned.
    let last_s = samples.last().map_or(0.0, |sample| sample.at_s);
    let measured_s = plan.duration.as_secs_f64().min(last_s.max(1e-9));
    let numbers = (0..plan.history.len() as u32).map(|stream| shared.last_number(stream)).collect();
    Outcome { total, windows: closed, samples, server_before, heard, unsent, measured_s, numbers }
}
