//! A thread that nudges every core from outside, so that none sleeps with work in its queues or hangs
//! unnoticed.
//!
//! Started with the first core. glommio 0.9 has a fault: when its preemption timer fires after it has armed
//! it and before it has run a first task (the thread was off the processor for that long), it takes "ran
//! nothing" for "has nothing to run" and sleeps although tasks are ready; on a crowded machine that happens
//! within minutes. A nudge is a wake-up of one task of the core through its eventfd: it ends such a sleep.
//! The same task proves that the core turns; one that does not for [`HANG_MAX`] ends the process.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Time between nudges while a core works; the longest that the fault above can hold it up.
const BUSY: Duration = Duration::from_millis(5);
/// Time between nudges while all cores are idle.
const IDLE: Duration = Duration::from_millis(100);
/// A core that has not turned for so long hangs.
const HANG_MAX: Duration = Duration::from_secs(30);
/// Tasks that a core runs between two nudges when nothing but the nudge happens.
const OWN_TASKS_MAX: u64 = 2;

/// One core as the thread sees it.
struct CorePulse {
    name: String,
    /// The core's task; `None` before it ran and after the core ended.
    waker: Mutex<Option<Waker>>,
    /// How often the task ran.
    beats: AtomicU64,
    /// Tasks that the core had run before the last beat.
    tasks: AtomicU64,
}

/// What the thread remembers of a core.
#[derive(Default)]
struct Seen {
    beats: u64,
    tasks: u64,
    /// Time slept since the core was last seen to turn. A process that was stopped as a whole has not hung.
    silent: Duration,
}

type Cores = Vec<(Arc<CorePulse>, Seen)>;

static CORES: Mutex<Cores> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the core off the thread's list when its main future has ended.
pub(super) struct Registered(Arc<CorePulse>);

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&CORES).retain(|(core, _)| !Arc::ptr_eq(core, &self.0));
        *lock(&self.0.waker) = None;
    }
}

/// Puts this core on the list. The future that comes with it is the task to be nudged; it never ends.
pub(super) fn register(name: String) -> (Registered, impl Future<Output = ()> + 'static) {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        let thread = std::thread::Builder::new().name("pulse".to_owned());
        thread.spawn(run).expect("the threads of the cores were granted a moment ago");
    });
    let zero = || AtomicU64::new(0);
    let core = Arc::new(CorePulse { name, waker: Mutex::new(None), beats: zero(), tasks: zero() });
    lock(&CORES).push((core.clone(), Seen::default()));
    (Registered(core.clone()), beat(core))
}

/// Each poll is a beat.
async fn beat(core: Arc<CorePulse>) {
    poll_fn(|cx| {
        // What glommio gives is counted from one call to the next.
        let tasks = glommio::executor().executor_stats().tasks_executed();
        core.tasks.fetch_add(tasks, Ordering::Relaxed);
        core.beats.fetch_add(1, Ordering::Relaxed);
        let mut waker = lock(&core.waker);
        match &*waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            _ => *waker = Some(cx.waker().clone()),
        }
        Poll::<()>::Pending
    })
    .await;
}

fn run() {
    let mut pause = BUSY;
    loop {
        std::thread::sleep(pause);
        let mut busy = false;
        for (core, seen) in lock(&CORES).iter_mut() {
            busy |= core.look(seen, pause);
            if let Some(waker) = &*lock(&core.waker) {
                waker.wake_by_ref();
            }
        }
        pause = if busy { BUSY } else { IDLE };
    }
}

impl CorePulse {
    /// Whether the core works, or has not answered the last nudge.
    fn look(&self, seen: &mut Seen, slept: Duration) -> bool {
        let beats = self.beats.load(Ordering::Relaxed);
        if beats == seen.beats {
            seen.silent += slept;
            if seen.silent > HANG_MAX {
                eprintln!(
                    "millrace: {} has not turned for {HANG_MAX:?}: it hangs, the process ends",
                    self.name
                );
                std::process::abort();
            }
            return true;
        }
        let tasks = self.tasks.load(Ordering::Relaxed);
        let busy = tasks.wrapping_sub(seen.tasks) > OWN_TASKS_MAX;
        *seen = Seen { beats, tasks, silent: Duration::ZERO };
        busy
    }
}
