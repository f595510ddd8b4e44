//! SIGTERM and SIGINT: the first one is a request to stop, the second one ends the process at once.
//!
//! `server` blocks both before it starts any thread, then one thread waits for them. No code runs in signal
//! context, so nothing here has to be async-signal-safe.

use super::post::Sender;
use std::io;

/// A request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM.
    Terminate,
    /// SIGINT, Ctrl-C.
    Interrupt,
}

/// Exit code of a process that a signal ended is 128 plus the signal's number.
const EXIT_BY_SIGNAL: i32 = 128;

/// The set {SIGTERM, SIGINT}, blocked from now on in this thread and all that it starts.
pub struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    /// Blocks both signals. Call it on the main thread before any other thread starts.
    ///
    /// # Errors
    /// The system's error.
    #[allow(unsafe_code)]
    pub fn block() -> io::Result<BlockedSignals> {
        // SAFETY: `set` is plain memory that sigemptyset initialises before it is read; all pointers are to
        // live locals, and a null old set is allowed.
        let (code, set) = unsafe {
            let mut set = std::mem::zeroed::<libc::sigset_t>();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGTERM);
            libc::sigaddset(&mut set, libc::SIGINT);
            (libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()), set)
        };
        if code == 0 { Ok(BlockedSignals(set)) } else { Err(io::Error::from_raw_os_error(code)) }
    }

    /// Starts the thread that sends the first signal to `stop` and ends the process at the second one.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn watch(self, stop: Sender<StopSignal>) -> io::Result<()> {
        let wait = move || {
            stop.send(match self.wait() {
                libc::SIGINT => StopSignal::Interrupt,
                _ => StopSignal::Terminate,
            });
            let second = self.wait();
            // SAFETY: _exit takes any code and does not return; nothing of ours needs to run.
            #[allow(unsafe_code)]
            unsafe {
                libc::_exit(EXIT_BY_SIGNAL + second)
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(|_| ())
    }

    /// Waits for one of the signals; gives its number.
    fn wait(&self) -> i32 {
        let mut signal = 0;
        // SAFETY: both pointers are to live, initialised memory of the right types.
        #[allow(unsafe_code)]
        let code = unsafe { libc::sigwait(&self.0, &mut signal) };
        assert_eq!(code, 0, "sigwait fails only for an invalid set");
        signal
    }
}
