//! One io_uring of one core: what is under way in the kernel, and what becomes of its completions.
//!
//! Used by the loop, by [`Op`](super::op::Op) and by [`Source`](super::source::Source). A slot is occupied
//! from the moment an entry is queued until the kernel's last completion for it, whoever has lost interest
//! meanwhile, so a number never means two things and memory that the kernel uses is never freed under it.
//! Only the core's own thread touches the ring (IORING_SETUP_SINGLE_ISSUER).

use super::block::Block;
use super::remote::Remote;
use super::source::Readiness;
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use slab::Slab;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Entries that wait to be submitted; when there are more, they are submitted early.
const SUBMISSIONS: u32 = 256;
/// Completions that wait to be seen; the kernel keeps those beyond.
const COMPLETIONS: u32 = 4096;
/// User data of entries whose completion says nothing.
const IGNORED: u64 = u64::MAX;
/// How long a core that ends waits for what the kernel still has of it.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// What the kernel works with during an operation on a file.
pub(super) struct Held {
    #[allow(dead_code, reason = "it is held open")]
    pub(super) file: Rc<File>,
    pub(super) block: Option<Block>,
}

/// What came of an operation: the system call's result, negative for an error number, and the block.
pub(super) type Outcome = (i32, Option<Block>);

enum Slot {
    /// An operation on a file that is under way.
    Op { held: Held, waker: Option<Waker>, is_wanted: bool },
    /// Its result, until it is fetched.
    Done(Outcome),
    /// A socket is watched for bytes, again and again.
    Readable(Rc<Readiness>),
    /// A socket is watched for room, once.
    Writable(Rc<Readiness>),
    /// The core's eventfd is watched.
    Nudge,
}

/// A ring and its slots.
pub(super) struct Ring {
    uring: IoUring,
    slots: Slab<Slot>,
    remote: Arc<Remote>,
    is_leaving: bool,
    is_deferred: bool,
}

impl Ring {
    /// A ring for the thread that calls.
    ///
    /// # Errors
    /// The system refuses one.
    pub(super) fn new(remote: Arc<Remote>) -> io::Result<Ring> {
        let uring = build(SUBMISSIONS)?;
        let is_deferred = uring.params().is_setup_single_issuer();
        let mut ring = Ring { uring, slots: Slab::new(), remote, is_leaving: false, is_deferred };
        ring.watch_nudge();
        Ok(ring)
    }

    /// Whether a watch reports everything that has happened since its last report. Kernels before 6.1, which
    /// lack DEFER_TASKRUN too, may report the first of several events alone: bytes, and not the end behind
    /// them.
    pub(super) fn reports_everything(&self) -> bool {
        self.is_deferred
    }

    fn watch_nudge(&mut self) {
        let key = self.slots.insert(Slot::Nudge);
        let poll = opcode::PollAdd::new(Fd(self.remote.descriptor()), libc::POLLIN as u32).multi(true);
        self.push(poll.build().user_data(key as u64));
    }

    /// Queues an operation on a file; `entry` refers to nothing but what is in `held`.
    pub(super) fn start(&mut self, entry: squeue::Entry, held: Held) -> usize {
        let key = self.slots.insert(Slot::Op { held, waker: None, is_wanted: true });
        self.push(entry.user_data(key as u64));
        key
    }

    /// The outcome of an operation; frees its slot.
    pub(super) fn poll_op(&mut self, key: usize, cx: &mut Context<'_>) -> Poll<Outcome> {
        match self.slots.get_mut(key) {
            Some(Slot::Op { waker, .. }) => {
                match waker {
                    Some(known) => known.clone_from(cx.waker()),
                    None => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            Some(Slot::Done(_)) => match self.slots.remove(key) {
                Slot::Done(outcome) => Poll::Ready(outcome),
                _ => unreachable!("looked at a moment ago"),
            },
            _ => unreachable!("an operation keeps its slot until its outcome is fetched"),
        }
    }

    /// Nobody will fetch the outcome; the kernel goes on.
    pub(super) fn forget_op(&mut self, key: usize) {
        match self.slots.get_mut(key) {
            Some(Slot::Op { is_wanted, waker, .. }) => {
                *is_wanted = false;
                *waker = None;
            }
            Some(Slot::Done(_)) => drop(self.slots.remove(key)),
            _ => unreachable!("an operation keeps its slot until its outcome is fetched"),
        }
    }

    /// Watches a socket for bytes until it is cancelled; gives the slot.
    pub(super) fn watch_readable(&mut self, descriptor: RawFd, readiness: Rc<Readiness>) -> usize {
        let key = self.slots.insert(Slot::Readable(readiness));
        let events = (libc::POLLIN | libc::POLLRDHUP) as u32;
        self.push(opcode::PollAdd::new(Fd(descriptor), events).multi(true).build().user_data(key as u64));
        key
    }

    /// Watches a socket for room, once; gives the slot.
    pub(super) fn watch_writable(&mut self, descriptor: RawFd, readiness: Rc<Readiness>) -> usize {
        let key = self.slots.insert(Slot::Writable(readiness));
        self.push(opcode::PollAdd::new(Fd(descriptor), libc::POLLOUT as u32).build().user_data(key as u64));
        key
    }

    /// Ends a watch; its slot is freed by the completion that follows.
    pub(super) fn cancel(&mut self, key: usize) {
        self.push(opcode::AsyncCancel::new(key as u64).build().user_data(IGNORED));
    }

    fn push(&mut self, entry: squeue::Entry) {
        loop {
            // SAFETY: what an entry points to lives in its slot until its last completion. A descriptor that
            // is closed, and its number used again, before the entry is submitted has its cancellation
            // queued behind the entry.
            #[allow(unsafe_code)]
            let pushed = unsafe { self.uring.submission().push(&entry) };
            if pushed.is_ok() {
                return;
            }
            self.submit();
        }
    }

    /// Whether entries wait to be submitted.
    pub(super) fn has_entries(&mut self) -> bool {
        !self.uring.submission().is_empty()
    }

    /// Whether the kernel has completions to give, without a system call.
    pub(super) fn has_completions(&mut self) -> bool {
        let submission = self.uring.submission();
        let has_work = submission.taskrun() || submission.cq_overflow();
        drop(submission);
        has_work || !self.uring.completion().is_empty()
    }

    /// Submits what is queued and lets the kernel complete what it can; does not wait.
    pub(super) fn submit(&mut self) {
        check(self.uring.submit());
    }

    /// Submits, and waits for a completion until `deadline`.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return check(self.uring.submit_and_wait(1)) };
        let left = Timespec::from(deadline.saturating_duration_since(Instant::now()));
        check(self.uring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&left)));
    }

    /// Hands out all completions that are there. Tasks to be woken are put into `woken`.
    pub(super) fn complete(&mut self, woken: &mut Vec<Waker>) {
        let mut is_nudge_gone = false;
        let Ring { uring, slots, remote, .. } = self;
        for completion in uring.completion() {
            let (result, is_last) = (completion.result(), !cqueue::more(completion.flags()));
            if completion.user_data() == IGNORED {
                continue;
            }
            let key = usize::try_from(completion.user_data()).expect("a key of our own");
            let slot = slots.get_mut(key).expect("a slot lives until its last completion");
            match slot {
                Slot::Op { held, waker, is_wanted: true } => {
                    woken.extend(waker.take());
                    *slot = Slot::Done((result, held.block.take()));
                    continue;
                }
                Slot::Op { .. } => {}
                Slot::Readable(readiness) => woken.extend(readiness.set_readable(result, is_last)),
                Slot::Writable(readiness) => woken.extend(readiness.set_writable()),
                Slot::Nudge => {
                    remote.beat();
                    is_nudge_gone = is_last;
                }
                Slot::Done(_) => unreachable!("an operation completes once"),
            }
            if is_last {
                drop(slots.remove(key));
            }
        }
        if is_nudge_gone && !self.is_leaving {
            self.watch_nudge();
        }
    }

    /// Ends everything that is under way and waits until the kernel has let go of it: of memory, and of
    /// sockets, whose ports would otherwise be taken for a while longer. Memory that it does not let go of is
    /// given up instead of freed.
    pub(super) fn leave(self) {
        // Whatever goes wrong in here, what the kernel uses is not freed.
        let mut ring = ManuallyDrop::new(self);
        ring.is_leaving = true;
        let begin = Instant::now();
        let keys: Vec<usize> = ring.slots.iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| ring.cancel(key));
        let mut woken = Vec::new();
        while !ring.slots.is_empty() {
            ring.wait(Some(Instant::now() + Duration::from_millis(10)));
            ring.complete(&mut woken);
            if begin.elapsed() > LEAVE_MAX {
                return;
            }
        }
        drop(ManuallyDrop::into_inner(ring));
    }

    /// Submits what is queued, if anything is, and lets the kernel complete what it can; does not wait.
    pub(super) fn submit_if_needed(&mut self) {
        if self.has_entries() || self.has_completions() {
            self.submit();
        }
    }
}

/// Sets up as many rings as there are cores, uses each, and gives them up.
///
/// # Errors
/// What the system has against it.
pub(in crate::sys) fn probe(core_count: usize) -> io::Result<()> {
    let mut rings = (0..core_count).map(|_| build(SUBMISSIONS)).collect::<io::Result<Vec<IoUring>>>()?;
    for ring in &mut rings {
        let nop = opcode::Nop::new().build();
        // SAFETY: the entry points to nothing.
        #[allow(unsafe_code)]
        unsafe { ring.submission().push(&nop) }.expect("a new ring has room");
        ring.submit_and_wait(1)?;
    }
    Ok(())
}

/// The best ring that the kernel offers: completions are delivered when the thread asks for them, not by an
/// interrupt of what it does (6.1); or at least without one (5.19); or as it was before.
fn build(entries: u32) -> io::Result<IoUring> {
    let builder = || {
        let mut builder = IoUring::builder();
        builder.dontfork().setup_clamp().setup_cqsize(COMPLETIONS);
        builder
    };
    let deferred = builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .build(entries);
    let is_unknown = |error: &io::Error| error.raw_os_error() == Some(libc::EINVAL);
    match deferred {
        Err(error) if is_unknown(&error) => {}
        outcome => return outcome,
    }
    match builder().setup_coop_taskrun().setup_taskrun_flag().setup_submit_all().build(entries) {
        Err(error) if is_unknown(&error) => builder().build(entries),
        outcome => outcome,
    }
}

/// What `io_uring_enter` may say when nothing is wrong: a signal, the time is over, or the kernel wants its
/// completions fetched first.
fn check(entered: io::Result<usize>) {
    let Err(error) = entered else { return };
    let known = [libc::EINTR, libc::ETIME, libc::EBUSY, libc::EAGAIN];
    assert!(
        error.raw_os_error().is_some_and(|errno| known.contains(&errno)),
        "io_uring_enter failed: {error}"
    );
}
