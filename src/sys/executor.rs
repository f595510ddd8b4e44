//! One thread and event loop per core, and what tasks on it may do: spawn, yield, sleep, race.
//!
//! `server` starts the cores; everybody else uses the free functions, which work only on a core started
//! here. Three task queues share a core's time: `Commit` (the shard's driver and its journal writes), `Net`
//! (connections) and `Background` (checkpoints, merges, scans). A panic in a task takes the process down.

use super::pulse;
use glommio::{Latency, LocalExecutorBuilder, Placement, PoolPlacement, Shares, TaskQueueHandle};
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::time::Duration;

/// Where a task's time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Somebody waits for an acknowledgement.
    Commit,
    /// Connections.
    Net,
    /// What may take its time.
    Background,
}

/// Shares of a busy core: commits before connections, background work a tenth of either's time.
const COMMIT_SHARES: usize = 1000;
const NET_SHARES: usize = 1000;
const BACKGROUND_SHARES: usize = 100;
/// A task that yields when it should lets the commit queue run after at most this long.
const COMMIT_LATENCY: Duration = Duration::from_millis(1);

#[derive(Clone, Copy)]
struct Queues {
    commit: TaskQueueHandle,
    net: TaskQueueHandle,
    background: TaskQueueHandle,
}

thread_local! {
    static QUEUES: Cell<Option<Queues>> = const { Cell::new(None) };
}

/// How a core is run.
#[derive(Clone, Debug)]
pub struct CoreOptions {
    /// The processor that the thread is pinned to.
    pub cpu: usize,
    /// Name of the thread.
    pub name: String,
    /// How long an idle core looks for work before it sleeps; zero costs nothing when idle.
    pub spin: Duration,
}

/// A running core.
#[derive(Debug)]
pub struct CoreThread<T: Send + 'static>(glommio::ExecutorJoinHandle<T>);

impl<T: Send + 'static> CoreThread<T> {
    /// Waits until the core's main future ends.
    ///
    /// # Errors
    /// The event loop could not be set up, or the thread panicked.
    pub fn join(self) -> io::Result<T> {
        self.0.join().map_err(|error| io::Error::other(error.to_string()))
    }
}

/// Starts a core that runs the future made by `main` until it ends.
///
/// # Errors
/// The thread or its pinning was refused. `preflight` finds the usual reasons beforehand.
pub fn start_core<G, F, T>(options: CoreOptions, main: G) -> io::Result<CoreThread<T>>
where
    G: FnOnce() -> F + Send + 'static,
    F: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let mut builder = LocalExecutorBuilder::new(Placement::Fixed(options.cpu))
        .name(&options.name)
        // glommio would pin its thread for blocking calls to the very core that waits for it.
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1));
    if !options.spin.is_zero() {
        builder = builder.spin_before_park(options.spin);
    }
    builder
        .spawn(move || async move {
            QUEUES.set(Some(create_queues()));
            let (_registered, beat, answer) = pulse::register(options.name);
            spawn(Queue::Commit, beat);
            spawn(Queue::Commit, answer);
            main().await
        })
        .map(CoreThread)
        .map_err(|error| io::Error::other(error.to_string()))
}

fn create_queues() -> Queues {
    let executor = glommio::executor();
    let create = |shares, latency, name| executor.create_task_queue(Shares::Static(shares), latency, name);
    Queues {
        commit: create(COMMIT_SHARES, Latency::Matters(COMMIT_LATENCY), "commit"),
        net: create(NET_SHARES, Latency::NotImportant, "net"),
        background: create(BACKGROUND_SHARES, Latency::NotImportant, "background"),
    }
}

/// Runs a future on this core until it ends; nobody waits for it.
pub fn spawn(queue: Queue, future: impl Future<Output = ()> + 'static) {
    let queues = QUEUES.get().expect("spawn is called on a core started by start_core");
    let handle = match queue {
        Queue::Commit => queues.commit,
        Queue::Net => queues.net,
        Queue::Background => queues.background,
    };
    glommio::spawn_local_into(future, handle).expect("the queue lives as long as the core").detach();
}

/// Lets others run if this task has had its share of time; otherwise costs a comparison.
pub async fn yield_if_needed() {
    glommio::yield_if_needed().await;
}

/// Lets every other task that is ready run once.
pub async fn yield_now() {
    futures_lite::future::yield_now().await;
}

/// Waits.
pub async fn sleep(duration: Duration) {
    glommio::timer::sleep(duration).await;
}

/// The future's result, or `None` when it takes longer than `limit`; the future is then dropped, so it must
/// be one that may be dropped (never a disk operation).
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

/// Waits for the first of two futures to end and drops the other, which must be one that may be dropped.
pub async fn race<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> Either<A, B> {
    futures_lite::future::or(async { Either::First(a.await) }, async { Either::Second(b.await) }).await
}
