//! The loop of one shard: everything that is there → engine → effects.
//!
//! One task per core, in the commit queue. A turn hands the engine all results and commands that have
//! gathered, lets it start the next group commit, and executes what it asks for; replies and deliveries
//! leave in the order in which they were emitted. The task waits only for its notification, the engine's
//! deadline, or room in the mesh; never for the disk. A second task, in the background queue, takes the
//! slices of checkpoints, merges and listings, so that no journal write waits behind one.

use super::files::Files;
use super::link::{CoreLink, Message};
use crate::sys::clock;
use crate::sys::executor::{Queue, race, sleep, spawn, yield_if_needed, yield_now};
use crate::sys::notify::Notify;
use commitlog::ShardMark;
use engine::{Command, Effect, Engine, Fatal};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};
use types::{ShardId, Timestamp};

/// The process's exit code after a failed journal operation (EX_IOERR).
pub const EXIT_DISK_FAILED: i32 = 74;
/// Commands between two looks at whether others should run.
const COMMANDS_AT_ONCE: usize = 16;
/// Background work that is not urgent rests for so many times as long as it has worked.
const REST_AFTER_SLICE: u32 = 8;
const REST_MAX: Duration = Duration::from_millis(10);
/// Shortest wait for a deadline. One that has passed may have to wait for the disk, and a driver that went
/// round at once would never let the core hear of it.
const DEADLINE_WAIT_MIN: Duration = Duration::from_millis(1);
/// Longest wait for a deadline; the system's clock may have been set back meanwhile.
const DEADLINE_WAIT_MAX: Duration = Duration::from_millis(1000);

/// Tells a driver to stop cleanly.
#[derive(Clone)]
pub(crate) struct StopSwitch {
    wanted: Rc<Cell<bool>>,
    changed: Rc<Notify>,
}

impl StopSwitch {
    /// Checkpoint, seal and end. What was submitted before is finished.
    pub(crate) fn stop(&self) {
        self.wanted.set(true);
        self.changed.notify();
    }
}

/// A shard's engine and its surroundings.
pub(crate) struct Driver {
    shard: Shard,
    commands: VecDeque<Command>,
    stop: StopSwitch,
    stopping: bool,
}

/// What the driver shares with the task that does the background work: never borrowed across a wait.
#[derive(Clone)]
struct Shard(Rc<Parts>);

struct Parts {
    shard: ShardId,
    link: Rc<CoreLink>,
    files: Rc<Files>,
    engine: RefCell<Engine>,
    /// Reused from turn to turn.
    effects: Cell<Vec<Effect>>,
    /// Notified when the engine has background work.
    background: Notify,
}

impl Driver {
    /// A driver for an engine that may serve. `files` notifies the link's mailbox.
    pub(crate) fn new(shard: ShardId, link: Rc<CoreLink>, files: Rc<Files>, engine: Engine) -> Driver {
        let changed = link.mailbox.changed.clone();
        files.measure_commits(link.journal_times().clone());
        let (engine, effects, background) = (RefCell::new(engine), Cell::default(), Notify::new());
        let shard = Shard(Rc::new(Parts { shard, link, files, engine, effects, background }));
        spawn(Queue::Background, work_in_background(shard.clone()));
        let stop = StopSwitch { wanted: Rc::new(Cell::new(false)), changed };
        Driver { shard, commands: VecDeque::new(), stop, stopping: false }
    }

    /// What stops this driver.
    pub(crate) fn stop_switch(&self) -> StopSwitch {
        self.stop.clone()
    }

    /// Serves until it is stopped; gives what the EPOCH file must say of the journal.
    pub(crate) async fn run(mut self) -> ShardMark {
        loop {
            self.take_input().await;
            let shard = &self.shard;
            if self.stop.wanted.get() && !self.stopping {
                self.stopping = true;
                shard.act(|engine, now, effects| engine.handle_stop(now, effects));
            }
            shard.act(|engine, now, effects| engine.handle_commits(now, effects));
            if shard.0.engine.borrow().is_stopped() && shard.0.files.is_idle() {
                return shard.0.engine.borrow().mark();
            }
            shard.0.link.mesh().room().await;
            self.wait().await;
        }
    }

    /// Hands the engine what has gathered.
    async fn take_input(&mut self) {
        let Parts { files, link, .. } = &*self.shard.0;
        while let Some((op, result)) = files.take() {
            self.shard.act(|engine, now, effects| engine.handle_disk(now, op, result, effects));
        }
        std::mem::swap(&mut self.commands, &mut *link.mailbox.commands.borrow_mut());
        while !self.commands.is_empty() {
            self.shard.act(|engine, now, effects| {
                for command in self.commands.drain(..self.commands.len().min(COMMANDS_AT_ONCE)) {
                    engine.handle_command(now, command, effects);
                }
            });
            yield_if_needed().await;
        }
    }

    async fn wait(&self) {
        let Parts { engine, link, background, .. } = &*self.shard.0;
        if engine.borrow().wants_turn() {
            background.notify();
        }
        let changed = link.mailbox.changed.notified();
        let deadline = engine.borrow().next_deadline();
        match deadline {
            Some(deadline) => {
                race(changed, sleep(until(deadline))).await;
            }
            None => changed.await,
        }
    }
}

impl Shard {
    /// Lets the engine act, and does what it asks for, in order.
    fn act(&self, act: impl FnOnce(&mut Engine, Timestamp, &mut Vec<Effect>)) {
        let Parts { shard, link, files, engine, effects: kept, .. } = &*self.0;
        let mut effects = kept.take();
        act(&mut engine.borrow_mut(), clock::now(), &mut effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Disk { op, urgency, work } => files.start(op, urgency, work),
                Effect::Reply { to, reply } => {
                    link.send(to.core, Message::Reply { request: to.request, reply });
                }
                Effect::Deliver(delivery) => link.send(delivery.core, Message::Delivery(delivery)),
                Effect::Notice(text) => log_notice(*shard, &text),
                Effect::Fatal(fatal) => stop_process(*shard, &fatal),
            }
        }
        kept.set(effects);
    }
}

/// Takes slices of background work while there is some: one each time that the background queue gets time,
/// so that commits, and the connections that wait for them, go before it. Work that is not urgent gets a
/// small part of the core's time even where nobody else wants it: it must not be felt.
async fn work_in_background(shard: Shard) {
    loop {
        shard.0.background.notified().await;
        while shard.0.engine.borrow().wants_turn() {
            let begin = Instant::now();
            shard.act(|engine, now, effects| engine.handle_background(now, effects));
            // A driver that waits may have something to do now: room in the journal, a stop that goes on.
            shard.0.link.mailbox.changed.notify();
            if shard.0.engine.borrow().background_is_urgent() {
                yield_now().await;
            } else {
                sleep((begin.elapsed() * REST_AFTER_SLICE).min(REST_MAX)).await;
            }
        }
    }
}

fn until(deadline: Timestamp) -> Duration {
    let left = Duration::from_millis(deadline.0.saturating_sub(clock::now().0));
    left.clamp(DEADLINE_WAIT_MIN, DEADLINE_WAIT_MAX)
}

/// A line for the operator.
pub(crate) fn log_notice(shard: ShardId, text: &str) {
    eprintln!("millrace: shard {shard}: {text}");
}

/// Ends the process: what the disk holds is no longer known, and recovery decides.
pub(crate) fn stop_process(shard: ShardId, fatal: &Fatal) -> ! {
    let Fatal { file, offset, errno, doing } = fatal;
    let error = std::io::Error::from_raw_os_error(*errno);
    eprintln!(
        "millrace: shard {shard}: {doing} failed: file {file}, offset {offset}: {error}. The journal can no \
         longer be trusted, so the server stops; nothing acknowledged is lost. Check the disk, then start \
         again."
    );
    std::process::exit(EXIT_DISK_FAILED)
}
