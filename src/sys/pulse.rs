//! A thread that proves that every core turns, and ends the process when one does not.
//!
//! Started with the first core. Once a second it writes to each core's eventfd; the completion has to come
//! through the core's ring and round its loop. A core that has not answered for [`HANG_MAX`] hangs: a task
//! that never ends, or a kernel that takes no more operations. Its clients would wait for ever, so the
//! process ends; what was acknowledged is on disk.

use super::reactor::Remote;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Time between two nudges; an idle core is awake for some microseconds of it.
const PERIOD: Duration = Duration::from_secs(1);
/// A core that has not turned for so long hangs.
const HANG_MAX: Duration = Duration::from_secs(30);

/// A core and what the thread remembers of it.
struct Watched {
    name: String,
    core: Arc<Remote>,
    beats: u64,
    /// Time slept since the core was last seen to turn. A process that was stopped as a whole has not hung.
    silent: Duration,
}

static CORES: Mutex<Vec<Watched>> = Mutex::new(Vec::new());

fn cores() -> MutexGuard<'static, Vec<Watched>> {
    CORES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the core off the thread's list when it is dropped.
pub(super) struct Registered(Arc<Remote>);

impl Drop for Registered {
    fn drop(&mut self) {
        cores().retain(|watched| !Arc::ptr_eq(&watched.core, &self.0));
    }
}

/// Puts a core on the list.
pub(super) fn register(name: String, core: Arc<Remote>) -> Registered {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        let thread = std::thread::Builder::new().name("pulse".to_owned());
        thread.spawn(run).expect("the threads of the cores were granted a moment ago");
    });
    cores().push(Watched { name, core: core.clone(), beats: 0, silent: Duration::ZERO });
    Registered(core)
}

fn run() {
    loop {
        std::thread::sleep(PERIOD);
        for watched in cores().iter_mut() {
            if watched.is_hanging(PERIOD) {
                let name = &watched.name;
                eprintln!("millrace: {name} has not turned for {HANG_MAX:?}: it hangs, the process ends");
                std::process::abort();
            }
            watched.core.nudge();
        }
    }
}

impl Watched {
    /// Whether the core has been silent for too long, now that so much time has been slept.
    fn is_hanging(&mut self, slept: Duration) -> bool {
        let beats = self.core.beats();
        self.silent = if beats == self.beats { self.silent + slept } else { Duration::ZERO };
        self.beats = beats;
        self.silent > HANG_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::executor::{sleep, timeout};
    use crate::sys::tests::on_a_core;

    #[test]
    fn a_nudge_goes_through_the_ring_and_round_the_loop() {
        on_a_core(|| async {
            // Cores of other tests may be on the list too; they answer as this one does.
            let beats = || cores().iter().map(|watched| watched.core.beats()).max();
            let answered = async {
                while beats() == Some(0) {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            assert_eq!(timeout(HANG_MAX, answered).await, Some(()));
        });
    }

    #[test]
    fn a_core_hangs_when_it_has_been_silent_for_long_and_not_before() {
        let core = Arc::new(Remote::new().expect("a descriptor"));
        let (name, beats, silent) = ("core".to_owned(), 0, Duration::ZERO);
        let mut watched = Watched { name, core, beats, silent };
        assert!(!watched.is_hanging(HANG_MAX), "just as long as it may");
        watched.core.beat();
        assert!(!watched.is_hanging(PERIOD), "it has turned");
        assert!(!watched.is_hanging(HANG_MAX));
        assert!(watched.is_hanging(PERIOD));
    }
}
