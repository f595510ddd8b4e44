//! What other threads see of a core: a queue for tasks that they wake, and a way to end its sleep.
//!
//! A core that goes to sleep says so first and looks into the queue afterwards; who wakes a task puts it
//! into the queue first and looks for a sleeper afterwards. One of the two therefore sees the other, and a
//! core that is awake costs its wakers no system call.

use super::Queue;
use async_task::Runnable;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A core as other threads see it.
pub(in crate::sys) struct Remote {
    woken: Mutex<Vec<(Queue, Runnable)>>,
    /// Something lies in `woken`; spares the core the lock.
    has_woken: AtomicBool,
    is_asleep: AtomicBool,
    /// The core's eventfd: its ring has an eye on it.
    nudge: File,
    /// How often a nudge has come through the ring and round the loop.
    beats: AtomicU64,
}

impl Remote {
    /// # Errors
    /// The system is out of descriptors.
    pub(in crate::sys) fn new() -> io::Result<Remote> {
        // SAFETY: the call has no pointers; a descriptor that it gives belongs to nobody else yet.
        #[allow(unsafe_code)]
        let nudge = unsafe {
            let descriptor = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            File::from_raw_fd(descriptor)
        };
        let (has_woken, is_asleep) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Remote { woken: Mutex::default(), has_woken, is_asleep, nudge, beats: AtomicU64::new(0) })
    }

    /// Hands the core a task that was woken on another thread.
    pub(super) fn wake(&self, queue: Queue, task: Runnable) {
        {
            let mut woken = self.lock();
            woken.push((queue, task));
            self.has_woken.store(true, Ordering::SeqCst);
        }
        if self.is_asleep.swap(false, Ordering::SeqCst) {
            self.nudge();
        }
    }

    /// Makes the core's ring complete an operation.
    pub(in crate::sys) fn nudge(&self) {
        // The counter would have to be near its end for this to fail, and then a nudge is under way.
        let _ = (&self.nudge).write(&1_u64.to_ne_bytes());
    }

    /// Moves what others have woken into `into`.
    pub(super) fn take_woken(&self, into: &mut Vec<(Queue, Runnable)>) {
        if self.has_woken() {
            let mut woken = self.lock();
            self.has_woken.store(false, Ordering::SeqCst);
            into.append(&mut woken);
        }
    }

    /// Whether others have woken tasks.
    pub(super) fn has_woken(&self) -> bool {
        self.has_woken.load(Ordering::SeqCst)
    }

    /// Says that the core is about to sleep. Gives `false`, and takes it back, when it must not.
    pub(super) fn fall_asleep(&self) -> bool {
        self.is_asleep.store(true, Ordering::SeqCst);
        if self.has_woken() {
            self.wake_up();
            return false;
        }
        true
    }

    /// The core is awake.
    pub(super) fn wake_up(&self) {
        self.is_asleep.store(false, Ordering::SeqCst);
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.nudge.as_raw_fd()
    }

    /// Counts a nudge that has come through.
    pub(in crate::sys) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a nudge has come through.
    pub(in crate::sys) fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Queue, Runnable)>> {
        // A push or a take leaves the list whole, so a panic elsewhere does not spoil it.
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
