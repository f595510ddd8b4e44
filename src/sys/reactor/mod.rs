//! The event loop of one core: tasks in three queues, timers, and one io_uring.
//!
//! Behind `executor`, `net` and `disk`, which say what the rest of the server may do with it. A turn runs
//! commits, then connections, then the commits that these have caused, then a little background work, and
//! enters the kernel once or twice: to submit, to fetch what has completed and, with nothing left to run, to
//! sleep. Nothing of a core is touched by another thread but its [`Remote`].

pub(super) mod block;
pub(super) mod op;
mod remote;
mod ring;
pub(super) mod source;
mod spin;
mod timers;

use super::clock;
use async_task::Runnable;
pub(super) use remote::Remote;
use ring::Ring;
pub(super) use ring::probe as probe_rings;
use slab::Slab;
pub use spin::Spin;
use spin::SpinWindow;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use timers::{TimerKey, Timers};

/// Where a task's time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Somebody waits for an acknowledgement.
    Commit = 0,
    /// Connections.
    Net = 1,
    /// What may take its time.
    Background = 2,
}

/// What a queue may take of a turn before the next one has its part and the kernel is asked.
const SLICE: Duration = Duration::from_millis(1);
/// A slice of background work on a core that has other work.
const BACKGROUND_SLICE: Duration = Duration::from_micros(250);
/// After background work a busy core does other work for so many times as long. What is appended has to be
/// checkpointed and merged at the rate at which it comes, so this is not a tenth but a third of the time.
const BACKGROUND_PAUSE: u32 = 2;
/// Looks for work, some 0.1 µs each, between two offers of the processor to others.
const LOOKS_PER_YIELD: u32 = 16;
/// An offer that took so long was accepted: somebody else has run meanwhile.
const YIELD_TAKEN: Duration = Duration::from_micros(50);
/// Tasks between two looks at the clock; those of the background take longer, and it is looked at after each.
const CLOCK_EVERY: usize = 16;

/// What the tasks of a core reach through the thread they run on.
struct Local {
    /// `None` on threads that are no core.
    remote: RefCell<Option<Arc<Remote>>>,
    /// The same as an address, to tell a wake-up on the core from one elsewhere.
    address: Cell<*const Remote>,
    queues: [RefCell<VecDeque<Runnable>>; 3],
    ring: RefCell<Option<Ring>>,
    timers: RefCell<Timers>,
    /// All tasks that have not ended, to be dropped with the core.
    tasks: RefCell<Slab<Waker>>,
    /// When the task that runs should let others run.
    slice_end: Cell<Option<Instant>>,
    /// What the loop saw when it last looked at the clock, as `clock::monotonic_ns` counts.
    tick_ns: Cell<u64>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            remote: RefCell::new(None),
            address: Cell::new(std::ptr::null()),
            queues: [const { RefCell::new(VecDeque::new()) }; 3],
            ring: RefCell::new(None),
            timers: RefCell::new(Timers::new()),
            tasks: RefCell::new(Slab::new()),
            slice_end: Cell::new(None),
            tick_ns: Cell::new(0),
        }
    };
}

/// Calls `act` with this core's ring; `None` when the core is ending or the thread is none.
fn with_ring<T>(act: impl FnOnce(&mut Ring) -> T) -> Option<T> {
    LOCAL.try_with(|local| local.ring.borrow_mut().as_mut().map(act)).ok().flatten()
}

/// The loop of one core. Dropping it ends all tasks of the thread and waits for the kernel.
pub(super) struct Core {
    remote: Arc<Remote>,
    spin: SpinWindow,
}

impl Core {
    /// Makes the thread that calls a core. An idle one looks for work for `spin` before it sleeps.
    ///
    /// # Errors
    /// The system refuses a ring or a descriptor.
    pub(super) fn open(spin: Spin) -> io::Result<Core> {
        let remote = Arc::new(Remote::new()?);
        let ring = Ring::new(remote.clone())?;
        LOCAL.with(|local| {
            assert!(local.ring.borrow().is_none(), "a thread is one core");
            *local.ring.borrow_mut() = Some(ring);
            *local.remote.borrow_mut() = Some(remote.clone());
            local.address.set(Arc::as_ptr(&remote));
        });
        Ok(Core { remote, spin: SpinWindow::new(spin) })
    }

    /// The core as other threads see it.
    pub(super) fn remote(&self) -> Arc<Remote> {
        self.remote.clone()
    }

    /// Runs the future that `main` makes until it ends; what it has spawned ends with it.
    pub(super) fn run<F: Future + 'static>(mut self, main: impl FnOnce() -> F) -> F::Output {
        let output = Rc::new(RefCell::new(None));
        spawn(Queue::Commit, {
            let (main, output) = (main(), output.clone());
            async move {
                let ended = main.await;
                *output.borrow_mut() = Some(ended);
            }
        });
        self.turn_until(|| output.borrow().is_some());
        drop(self);
        output.take().expect("the loop ends when it is there")
    }

    fn turn_until(&mut self, is_over: impl Fn() -> bool) {
        let (mut wakers, mut woken) = (Vec::new(), Vec::new());
        let mut background_from = Instant::now();
        loop {
            with_ring(|ring| ring.complete(&mut wakers));
            self.remote.take_woken(&mut woken);
            let now = look_at_the_clock();
            LOCAL.with(|local| {
                local.timers.borrow_mut().take_due(now, &mut wakers);
                for (queue, task) in woken.drain(..) {
                    local.queues[queue as usize].borrow_mut().push_back(task);
                }
            });
            wakers.drain(..).for_each(Waker::wake);
            run_turn(&mut background_from, &mut wakers);
            if is_over() {
                return;
            }
            if has_tasks() {
                with_ring(Ring::submit_if_needed);
            } else {
                self.sleep();
            }
        }
    }

    /// Waits for a completion, a timer or a wake-up from elsewhere.
    fn sleep(&mut self) {
        let (window, begin) = (self.spin.get(), Instant::now());
        let deadline = LOCAL.with(|local| local.timers.borrow().next());
        if !window.is_zero() && self.spin_until_work(window, deadline) {
            self.spin.found(waited(begin, deadline));
            return;
        }
        if self.remote.fall_asleep() {
            with_ring(|ring| ring.wait(deadline));
            self.remote.wake_up();
            self.spin.slept(waited(begin, deadline));
        } else {
            with_ring(Ring::submit_if_needed);
        }
    }

    /// Looks for work for `window` without sleeping; whether there is some. Others who want the processor get
    /// it.
    fn spin_until_work(&mut self, window: Duration, deadline: Option<Instant>) -> bool {
        with_ring(Ring::submit_if_needed);
        let begin = Instant::now();
        for look in 1_u32.. {
            let now = Instant::now();
            if with_ring(|ring| ring.has_completions()) == Some(true) {
                with_ring(Ring::submit);
                return true;
            }
            if self.remote.has_woken() || deadline.is_some_and(|deadline| deadline <= now) {
                return true;
            }
            if now - begin >= window {
                return false;
            }
            if look.is_multiple_of(LOOKS_PER_YIELD) {
                std::thread::yield_now();
                if now.elapsed() >= YIELD_TAKEN {
                    self.spin.offer_taken();
                    return false;
                }
            } else {
                std::hint::spin_loop();
            }
        }
        false
    }
}

/// How long a core had nothing to do since `begin`; for ever, when only a timer of its own has ended that.
fn waited(begin: Instant, deadline: Option<Instant>) -> Duration {
    let now = Instant::now();
    if deadline.is_some_and(|deadline| deadline <= now) { Duration::MAX } else { now - begin }
}

/// Runs what is ready, each queue for a slice at most. `wakers` is empty before and after.
fn run_turn(background_from: &mut Instant, wakers: &mut Vec<Waker>) {
    let mut count = run_queue(Queue::Commit, SLICE, usize::MAX);
    // The disk works while connections are served.
    with_ring(Ring::submit_if_needed);
    // The kernel may have completed a journal write meanwhile: what it makes possible does not wait behind a
    // slice of the connections' work.
    with_ring(|ring| ring.complete(wakers));
    wakers.drain(..).for_each(Waker::wake);
    if ready(Queue::Commit) > 0 {
        count += run_queue(Queue::Commit, SLICE, usize::MAX);
        with_ring(Ring::submit_if_needed);
    }
    // Tasks that wake each other wait for the next turn, so that the kernel is asked now and then.
    count += run_queue(Queue::Net, SLICE, ready(Queue::Net));
    count += run_queue(Queue::Commit, SLICE, usize::MAX);
    let background = ready(Queue::Background);
    if background > 0 {
        let begin = Instant::now();
        if count == 0 || begin >= *background_from {
            // On a core that has nothing else to do, every completion is looked for at once.
            let count_max = if count == 0 { background } else { usize::MAX };
            run_queue(Queue::Background, BACKGROUND_SLICE, count_max);
            let end = Instant::now();
            *background_from = end + (end - begin) * BACKGROUND_PAUSE;
        }
    }
}

/// Runs tasks of one queue until none is ready, `count_max` have run or the slice is over; how many have run.
fn run_queue(queue: Queue, slice: Duration, count_max: usize) -> usize {
    if ready(queue) == 0 {
        return 0;
    }
    let slice_end = look_at_the_clock() + slice;
    LOCAL.with(|local| local.slice_end.set(Some(slice_end)));
    for count in 0..count_max {
        let task = LOCAL.with(|local| local.queues[queue as usize].borrow_mut().pop_front());
        let Some(task) = task else { return count };
        task.run();
        let looks = queue == Queue::Background || (count + 1).is_multiple_of(CLOCK_EVERY);
        if looks && look_at_the_clock() >= slice_end {
            return count + 1;
        }
    }
    count_max
}

fn ready(queue: Queue) -> usize {
    LOCAL.with(|local| local.queues[queue as usize].borrow().len())
}

fn has_tasks() -> bool {
    LOCAL.with(|local| local.queues.iter().any(|queue| !queue.borrow().is_empty()))
}

impl Drop for Core {
    fn drop(&mut self) {
        LOCAL.with(|local| {
            let mut woken = Vec::new();
            // A task that is dropped may wake or start others.
            while !local.tasks.borrow().is_empty() {
                let tasks: Vec<Waker> = local.tasks.borrow().iter().map(|(_, task)| task.clone()).collect();
                tasks.into_iter().for_each(Waker::wake);
                self.remote.take_woken(&mut woken);
                woken.clear();
                for queue in &local.queues {
                    while let Some(task) = { queue.borrow_mut().pop_front() } {
                        drop(task);
                    }
                }
            }
            let ring = local.ring.borrow_mut().take();
            ring.into_iter().for_each(Ring::leave);
            *local.timers.borrow_mut() = Timers::new();
            local.address.set(std::ptr::null());
            *local.remote.borrow_mut() = None;
        });
    }
}

/// A future of the list of tasks. Written out, since an `async` block that awaits what it has captured keeps
/// room for it twice.
struct Listed<F> {
    key: usize,
    future: F,
}

impl<F: Future> Future for Listed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future is never moved out of here, and it is pinned as long as `self` is.
        #[allow(unsafe_code)]
        let future = unsafe { self.map_unchecked_mut(|listed| &mut listed.future) };
        future.poll(cx)
    }
}

impl<F> Drop for Listed<F> {
    /// Takes the task off the list, whether it has ended or not.
    fn drop(&mut self) {
        let waker = LOCAL.try_with(|local| local.tasks.borrow_mut().try_remove(self.key));
        drop(waker); // after the list is let go
    }
}

/// Runs a future on this core until it ends.
///
/// # Panics
/// On a thread that is no core.
pub(super) fn spawn(queue: Queue, future: impl Future<Output = ()> + 'static) {
    LOCAL.with(|local| {
        let remote = local.remote.borrow().clone().expect("spawn is called on a core");
        let key = local.tasks.borrow().vacant_key();
        let listed = Listed { key, future };
        let (task, handle) = async_task::spawn_local(listed, move |task| schedule(&remote, queue, task));
        let place = local.tasks.borrow_mut().insert(task.waker());
        assert_eq!(place, key, "nothing was listed in between");
        handle.detach();
        task.schedule();
    });
}

/// Puts a task that can go on into its queue, on whatever thread it was woken.
fn schedule(home: &Arc<Remote>, queue: Queue, task: Runnable) {
    let mut task = Some(task);
    // During the thread's own end there is no queue any more, and no task that could be woken.
    let _ = LOCAL.try_with(|local| {
        if local.address.get() == Arc::as_ptr(home) {
            local.queues[queue as usize].borrow_mut().extend(task.take());
        }
    });
    if let Some(task) = task {
        home.wake(queue, task);
    }
}

/// Whether the task that runs has had its share of time.
pub(super) fn is_slice_over() -> bool {
    LOCAL.with(|local| local.slice_end.get()).is_some_and(|end| look_at_the_clock() >= end)
}

/// The time now, remembered for those who do not need it to the microsecond.
fn look_at_the_clock() -> Instant {
    let now = Instant::now();
    LOCAL.with(|local| local.tick_ns.set(clock::ns_at(now)));
    now
}

/// When the loop of this core last looked at the clock. Costs a load.
pub(super) fn tick_ns() -> u64 {
    LOCAL.with(|local| local.tick_ns.get())
}

/// Waits until a point in time.
pub(super) struct Sleep {
    deadline: Instant,
    key: Option<TimerKey>,
}

impl Sleep {
    /// From now on.
    pub(super) fn new(duration: Duration) -> Sleep {
        // Longer than anybody waits, and far from what the clock can tell.
        const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        Sleep { deadline: Instant::now() + duration.min(LONGEST), key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        LOCAL.with(|local| {
            let mut timers = local.timers.borrow_mut();
            if let Some(key) = self.key {
                let Some(waker) = timers.waker(&key) else { return Poll::Ready(()) };
                waker.clone_from(cx.waker());
                return Poll::Pending;
            }
            if Instant::now() >= self.deadline {
                return Poll::Ready(());
            }
            self.key = Some(timers.insert(self.deadline, cx.waker().clone()));
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = LOCAL.try_with(|local| local.timers.borrow_mut().remove(&key));
            drop(waker); // after the timers are let go
        }
    }
}
