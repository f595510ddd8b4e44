//! A thread that nudges every core from outside, so that none sleeps with work in its queues or hangs
//! unnoticed.
//!
//! Started with the first core. glommio 0.9 has a fault: when its preemption timer fires after it has armed
//! it and before it has run a first task (the thread was off the processor for that long), it takes "ran
//! nothing" for "has nothing to run" and sleeps although tasks are ready; on a crowded machine that happens
//! within minutes. A nudge is a wake-up of one task of the core through its eventfd: it ends such a sleep.
//! The same task proves that the core turns. That its ring turns too proves a byte a second through a
//! socket: a core was once seen going round and round while the kernel took none of its operations. A core
//! that does not turn, or whose ring does not, for [`HANG_MAX`] ends the process; what was acknowledged is on
//! disk.

use futures_lite::AsyncReadExt;
use std::future::poll_fn;
use std::io::Write;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;
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
/// Time between two bytes through a core's ring.
const PROBE: Duration = Duration::from_secs(1);
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
    /// The thread's end of the socket; `None` if the system refused one.
    probe: Option<UnixStream>,
    /// Bytes that came out of the core's end.
    answers: AtomicU64,
}

/// What the thread remembers of a core.
#[derive(Default)]
struct Seen {
    beats: u64,
    tasks: u64,
    /// Time slept since the core was last seen to turn. A process that was stopped as a whole has not hung.
    silent: Duration,
    /// Bytes that were put into the socket.
    probes: u64,
    /// Time slept since the last of them.
    since_probe: Duration,
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

/// Puts this core on the list. The first future that comes with it is the task to be nudged, the second the
/// one that answers through the ring; neither ends while the core lives.
pub(super) fn register(
    name: String,
) -> (Registered, impl Future<Output = ()> + 'static, impl Future<Output = ()> + 'static) {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        let thread = std::thread::Builder::new().name("pulse".to_owned());
        thread.spawn(run).expect("the threads of the cores were granted a moment ago");
    });
    let zero = || AtomicU64::new(0);
    // A read by the core that waits for a byte must not keep the thread: its end never blocks.
    let pair =
        UnixStream::pair().and_then(|(ours, theirs)| ours.set_nonblocking(true).map(|()| (ours, theirs)));
    let (probe, answering) = pair.ok().unzip();
    let (beats, tasks, answers) = (zero(), zero(), zero());
    let core = Arc::new(CorePulse { name, waker: Mutex::new(None), beats, tasks, probe, answers });
    lock(&CORES).push((core.clone(), Seen::default()));
    (Registered(core.clone()), beat(core.clone()), answer(core, answering))
}

/// Takes the thread's bytes out of the socket, through the core's ring.
async fn answer(core: Arc<CorePulse>, socket: Option<UnixStream>) {
    let Some(socket) = socket else { return };
    // SAFETY: the descriptor comes out of a stream that gives up its ownership here.
    #[allow(unsafe_code)]
    let mut socket = unsafe { glommio::net::UnixStream::from_raw_fd(socket.into_raw_fd()) };
    let mut bytes = [0; 8];
    while let Ok(count @ 1..) = socket.read(&mut bytes).await {
        core.answers.fetch_add(count as u64, Ordering::Relaxed);
    }
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
            core.probe(seen, pause);
            if let Some(waker) = &*lock(&core.waker) {
                waker.wake_by_ref();
            }
        }
        pause = if busy { BUSY } else { IDLE };
    }
}

impl CorePulse {
    /// Sends the next byte through the core's ring, or waits for the last one.
    fn probe(&self, seen: &mut Seen, slept: Duration) {
        let Some(mut probe) = self.probe.as_ref() else { return };
        seen.since_probe += slept;
        let is_answered = self.answers.load(Ordering::Relaxed) == seen.probes;
        if !is_answered && seen.since_probe > HANG_MAX {
            eprintln!(
                "millrace: the ring of {} has not turned for {HANG_MAX:?}: the process ends",
                self.name
            );
            std::process::abort();
        }
        if is_answered && seen.since_probe >= PROBE && probe.write(&[0]).is_ok_and(|count| count == 1) {
            seen.probes += 1;
            seen.since_probe = Duration::ZERO;
        }
    }

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
        *seen = Seen { beats, tasks, silent: Duration::ZERO, ..*seen };
        busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::tests::on_a_core;

    #[test]
    fn a_core_answers_through_its_ring() {
        on_a_core(|| async {
            // Cores of other tests may be on the list too; they answer as this one does.
            let is_answered =
                || lock(&CORES).iter().any(|(core, _)| core.answers.load(Ordering::Relaxed) > 0);
            let begin = std::time::Instant::now();
            while !is_answered() {
                assert!(begin.elapsed() < HANG_MAX, "a byte a second goes through the ring");
                crate::sys::executor::sleep(Duration::from_millis(20)).await;
            }
        });
    }

    #[test]
    fn the_next_byte_is_sent_when_the_last_was_answered() {
        let (probe, mut other) = UnixStream::pair().expect("a pair of sockets");
        let zero = || AtomicU64::new(0);
        let (beats, tasks, answers) = (zero(), zero(), zero());
        let (name, waker) = ("core".to_owned(), Mutex::new(None));
        let core = CorePulse { name, waker, beats, tasks, probe: Some(probe), answers };
        let mut seen = Seen::default();
        core.probe(&mut seen, PROBE / 2);
        assert_eq!(seen.probes, 0, "not yet");
        core.probe(&mut seen, PROBE / 2);
        assert_eq!(seen.probes, 1);
        core.probe(&mut seen, PROBE);
        assert_eq!((seen.probes, seen.since_probe), (1, PROBE), "it waits for the answer");
        std::io::Read::read_exact(&mut other, &mut [0]).expect("the byte is there");
        core.answers.store(1, Ordering::Relaxed);
        core.probe(&mut seen, PROBE);
        assert_eq!(seen.probes, 2);
    }
}
