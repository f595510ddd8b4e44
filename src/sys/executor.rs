//! One thread and event loop per core, and what tasks on it may do: spawn, yield, sleep, race.
//!
//! `server` starts the cores; everybody else uses the free functions, which work only on a core started
//! here. Three task queues share a core's time: `Commit` (the shard's driver and its journal writes), `Net`
//! (connections) and `Background` (checkpoints, merges, scans). A panic in a task takes the process down.

use super::pulse;
use super::reactor::{self, Core, Sleep};
pub use super::reactor::{Queue, Spin};
use std::future::Future;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How a core is run.
#[derive(Clone, Debug)]
pub struct CoreOptions {
    /// The processor that the thread is pinned to.
    pub cpu: usize,
    /// Name of the thread.
    pub name: String,
    /// How long an idle core looks for work before it sleeps.
    pub spin: Spin,
}

/// A running core.
#[derive(Debug)]
pub struct CoreThread<T: Send + 'static>(JoinHandle<Option<T>>);

impl<T: Send + 'static> CoreThread<T> {
    /// Waits until the core's main future ends.
    ///
    /// # Errors
    /// The thread panicked.
    pub fn join(self) -> io::Result<T> {
        match self.0.join() {
            Ok(output) => Ok(output.expect("a core that could not start was not given out")),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                Err(io::Error::other(text.unwrap_or_else(|| "a core panicked".to_owned())))
            }
        }
    }
}

/// Starts a core that runs the future made by `main` until it ends.
///
/// # Errors
/// The thread, its pinning or its ring was refused. `preflight` finds the usual reasons beforehand.
pub fn start_core<G, F, T>(options: CoreOptions, main: G) -> io::Result<CoreThread<T>>
where
    G: FnOnce() -> F + Send + 'static,
    F: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let (report, reported) = mpsc::channel();
    let CoreOptions { cpu, name, spin } = options;
    let thread = thread::Builder::new().name(name.clone()).spawn(move || {
        // The ring belongs to the thread that opens it. The starter waits for the reports.
        match pin(cpu).and_then(|()| Core::open(spin)) {
            Ok(core) => {
                let _registered = pulse::register(name, core.remote());
                let _ = report.send(Ok(()));
                Some(core.run(main))
            }
            Err(error) => {
                let _ = report.send(Err(error));
                None
            }
        }
    })?;
    reported.recv().expect("a thread reports before anything else")?;
    Ok(CoreThread(thread))
}

/// Keeps the thread that calls on one processor.
fn pin(cpu: usize) -> io::Result<()> {
    assert!(cpu < libc::CPU_SETSIZE as usize, "the processors come from a set of that size");
    // SAFETY: the set is plain memory of the size that is passed, and the index lies inside it.
    #[allow(unsafe_code)]
    let code = unsafe {
        let mut set = std::mem::zeroed::<libc::cpu_set_t>();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs a future on this core until it ends; nobody waits for it.
pub fn spawn(queue: Queue, future: impl Future<Output = ()> + 'static) {
    reactor::spawn(queue, future);
}

/// Lets others run if this task has had its share of time; otherwise costs a look at the clock.
pub async fn yield_if_needed() {
    if reactor::is_slice_over() {
        yield_now().await;
    }
}

/// When this core last looked at the clock, as `clock::monotonic_ns` counts: at the start of its turn, after
/// every sixteenth task, and wherever a task has asked whether it has had its share. For measures that are
/// taken often; it may be some tasks old, never more than a slice.
pub fn tick_ns() -> u64 {
    reactor::tick_ns()
}

/// Lets every other task of the same queue that is ready run once.
pub async fn yield_now() {
    futures_lite::future::yield_now().await;
}

/// Waits.
pub async fn sleep(duration: Duration) {
    Sleep::new(duration).await;
}

/// The future's result, or `None` when it takes longer than `limit`; the future is then dropped, and what it
/// would have said is lost.
pub async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let late = async {
        sleep(limit).await;
        None
    };
    futures_lite::future::or(async { Some(future.await) }, late).await
}

/// Which of two futures ended first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first one; it also wins a tie.
    First(A),
    /// The second one.
    Second(B),
}

/// Waits for the first of two futures to end and drops the other.
pub async fn race<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> Either<A, B> {
    futures_lite::future::or(async { Either::First(a.await) }, async { Either::Second(b.await) }).await
}
