//! The loop of one shard: everything that is there → engine → effects.
//!
//! One task per core, in the commit queue. A turn hands the engine all results and commands that have
//! gathered, lets it start the next group commit, and executes what it asks for; replies and deliveries
//! leave in the order in which they were emitted. The task waits only for its notification, the engine's
//! deadline, or room in the mesh; never for the disk.

use super::files::Files;
use super::link::{CoreLink, Message};
use crate::sys::clock;
use crate::sys::executor::{Queue, race, sleep, spawn, yield_if_needed, yield_now};
use crate::sys::notify::Notify;
use commitlog::ShardMark;
use engine::{Command, Effect, Engine, Fatal};
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use types::{ShardId, Timestamp};

/// The process's exit code after a failed journal operation (EX_IOERR).
pub const EXIT_DISK_FAILED: i32 = 74;
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
    shard: ShardId,
    link: Rc<CoreLink>,
    files: Rc<Files>,
    engine: Engine,
    /// Reused from turn to turn.
    effects: Vec<Effect>,
    commands: VecDeque<Command>,
    stop: StopSwitch,
    stopping: bool,
    /// Notified when the engine has background work: a task of the background queue then asks for a turn.
    background: Rc<Notify>,
}

impl Driver {
    /// A driver for an engine that may serve. `files` notifies the link's mailbox.
    pub(crate) fn new(shard: ShardId, link: Rc<CoreLink>, files: Rc<Files>, engine: Engine) -> Driver {
        let changed = link.mailbox.changed.clone();
        let background = Rc::new(Notify::new());
        spawn(Queue::Background, ask_for_turns(background.clone(), changed.clone()));
        Driver {
            shard,
            link,
            files,
            engine,
            effects: Vec::new(),
            commands: VecDeque::new(),
            stop: StopSwitch { wanted: Rc::new(Cell::new(false)), changed },
            stopping: false,
            background,
        }
    }

    /// What stops this driver.
    pub(crate) fn stop_switch(&self) -> StopSwitch {
        self.stop.clone()
    }

    /// Serves until it is stopped; gives what the EPOCH file must say of the journal.
    pub(crate) async fn run(mut self) -> ShardMark {
        loop {
            self.take_input().await;
            let now = clock::now();
            if self.stop.wanted.get() && !self.stopping {
                self.stopping = true;
                self.engine.handle_stop(now, &mut self.effects);
            }
            self.engine.handle_turn(now, &mut self.effects);
            self.execute();
            if self.engine.is_stopped() && self.files.is_idle() {
                return self.engine.mark();
            }
            self.link.mesh().room().await;
            self.wait().await;
        }
    }

    /// Hands the engine what has gathered.
    async fn take_input(&mut self) {
        let now = clock::now();
        while let Some((op, result)) = self.files.take() {
            self.engine.handle_disk(now, op, result, &mut self.effects);
        }
        std::mem::swap(&mut self.commands, &mut *self.link.mailbox.commands.borrow_mut());
        while let Some(command) = self.commands.pop_front() {
            self.engine.handle_command(now, command, &mut self.effects);
            yield_if_needed().await;
        }
    }

    /// Does what the engine asked for, in order.
    fn execute(&mut self) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Disk { op, urgency, work } => self.files.start(op, urgency, work),
                Effect::Reply { to, reply } => {
                    self.link.send(to.core, Message::Reply { request: to.request, reply });
                }
                Effect::Deliver(delivery) => self.link.send(delivery.core, Message::Delivery(delivery)),
                Effect::Notice(text) => log_notice(self.shard, &text),
                Effect::Fatal(fatal) => stop_process(self.shard, &fatal),
            }
        }
    }

    async fn wait(&self) {
        if self.engine.wants_turn() {
            self.background.notify();
        }
        let changed = self.link.mailbox.changed.notified();
        match self.engine.next_deadline() {
            Some(deadline) => {
                race(changed, sleep(until(deadline))).await;
            }
            None => changed.await,
        }
    }
}

fn until(deadline: Timestamp) -> Duration {
    let left = Duration::from_millis(deadline.0.saturating_sub(clock::now().0));
    left.clamp(DEADLINE_WAIT_MIN, DEADLINE_WAIT_MAX)
}

/// Runs in the background queue: a slice of background work is asked for only when that queue gets time.
async fn ask_for_turns(wanted: Rc<Notify>, changed: Rc<Notify>) {
    loop {
        wanted.notified().await;
        yield_now().await;
        changed.notify();
    }
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
