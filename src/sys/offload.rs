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

/// Lowers the priority of the thread that calls. One that is refused works as the others do.
fn stand_back(nice: i32) {
    if nice > 0 {
        // SAFETY: only numbers go in; 0 is the thread that calls.
        #[allow(unsafe_code)]
        unsafe {
            libc::setpriority(libc::PRIO_PROCESS, 0, nice);
        }
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
        Offload::start_as("offload", 0, thread_count, queue_max)
    }

    /// As [`Offload::start`], for work that computes long and that nobody's events may wait for: the threads
    /// have this name, and stand back (`nice`, see setpriority(2)) where a core wants the processor.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start_as(name: &str, nice: i32, thread_count: usize, queue_max: usize) -> io::Result<Offload> {
        assert!(thread_count > 0 && queue_max > 0, "a pool has threads and a queue");
        let shared = Shared { state: Mutex::default(), changed: Condvar::new(), queue_max };
        let owner = Owner(Arc::new(shared));
        for index in 0..thread_count {
            let shared = owner.0.clone();
            std::thread::Builder::new().name(format!("{name}-{index}")).spawn(move || {
                stand_back(nice);
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
