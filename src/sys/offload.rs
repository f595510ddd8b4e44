//! A small pool of threads for work that blocks or computes long: directory syncs, listings, password
//! hashes.
//!
//! One per process, shared by all cores. Jobs run in the order in which they came; at most `queue_max` wait,
//! beyond that the asker waits. A job whose asker went away runs to its end all the same.

use super::post;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Askers that found the queue full.
    waiters: Vec<Waker>,
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    queue_max: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each thread of the pool does.
    fn work(&self) {
        loop {
            let (job, waiters) = {
                let mut state = self.lock();
                loop {
                    if let Some(job) = state.jobs.pop_front() {
                        break (job, std::mem::take(&mut state.waiters));
                    }
                    if state.closed {
                        return;
                    }
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            };
            waiters.into_iter().for_each(Waker::wake);
            job();
        }
    }
}

/// How the threads of a pool stand to the cores when both want a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precedence {
    /// As the cores do: for work that mostly waits.
    Equal,
    /// Behind them: for work that computes long and that nobody's events may wait for.
    Behind,
}

/// The lowest priority there is among threads that still get their turn: see sched(7), "The nice value".
const NICE_MAX: i32 = 19;
/// How long such a thread may keep a core waiting that has something to do, in nanoseconds. One that asks for
/// no turn of its own keeps it for some milliseconds. Kernels before 6.12 take no notice.
const BEHIND_TURN_NS: u64 = 100_000;

/// Puts the thread that calls behind others. One that is refused works as the others do.
fn stand_back() {
    // SAFETY: all fields are numbers, for which zero is a value.
    #[allow(unsafe_code)]
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    attributes.size = size_of::<libc::sched_attr>() as u32;
    attributes.sched_policy = libc::SCHED_OTHER as u32;
    attributes.sched_nice = NICE_MAX;
    attributes.sched_runtime = BEHIND_TURN_NS;
    // SAFETY: 0 is the thread that calls; the structure lives during the call and says its size.
    #[allow(unsafe_code)]
    unsafe {
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
    }
}

/// Ends the pool's threads when the last handle is dropped.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

/// A handle to the pool; clones share it.
#[derive(Clone)]
pub struct Offload(Arc<Owner>);

impl Offload {
    /// Starts the threads. Call it before the cores start, so that the threads are not pinned to one.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(thread_count: usize, queue_max: usize) -> io::Result<Offload> {
        Offload::start_as("offload", Precedence::Equal, thread_count, queue_max)
    }

    /// As [`Offload::start`], with threads of this name that stand so to the cores.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start_as(
        name: &str,
        precedence: Precedence,
        thread_count: usize,
        queue_max: usize,
    ) -> io::Result<Offload> {
        assert!(thread_count > 0 && queue_max > 0, "a pool has threads and a queue");
        let shared = Shared { state: Mutex::default(), changed: Condvar::new(), queue_max };
        let owner = Owner(Arc::new(shared));
        for index in 0..thread_count {
            let shared = owner.0.clone();
            std::thread::Builder::new().name(format!("{name}-{index}")).spawn(move || {
                if precedence == Precedence::Behind {
                    stand_back();
                }
                shared.work();
            })?;
        }
        Ok(Offload(Arc::new(owner)))
    }

    /// Runs `job` on a thread of the pool and gives its result.
    ///
    /// # Panics
    /// If the job panicked.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, mut receiver) = post::channel();
        let mut job: Option<Job> = Some(Box::new(move || sender.send(job())));
        let shared = &self.0.0;
        poll_fn(|cx| {
            let mut state = shared.lock();
            if state.jobs.len() >= shared.queue_max {
                state.waiters.push(cx.waker().clone());
                return Poll::Pending;
            }
            state.jobs.extend(job.take());
            drop(state);
            shared.changed.notify_one();
            Poll::Ready(())
        })
        .await;
        receiver.recv().await.expect("a job sends its result unless it panicked")
    }
}
