//! SIGTERM and SIGINT: the first one is a request to stop, the second one ends the process at once. SIGHUP:
//! read again what may change.
//!
//! `server` blocks them before it starts any thread, then one thread waits for them. No code runs in signal
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

/// The set {SIGTERM, SIGINT}, for a server also SIGHUP, blocked from now on in this thread and all that it
/// starts.
pub struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    /// Blocks the signals. Call it on the main thread before any other thread starts.
    ///
    /// # Errors
    /// The system's error.
    pub fn block() -> io::Result<BlockedSignals> {
        BlockedSignals::block_also(&[])
    }

    /// As [`BlockedSignals::block`], and SIGHUP, which ends a program that does not serve.
    ///
    /// # Errors
    /// The system's error.
    pub fn block_for_server() -> io::Result<BlockedSignals> {
        BlockedSignals::block_also(&[libc::SIGHUP])
    }

    #[allow(unsafe_code)]
    fn block_also(more: &[i32]) -> io::Result<BlockedSignals> {
        // SAFETY: `set` is plain memory that sigemptyset initialises before it is read; all pointers are to
        // live locals, and a null old set is allowed.
        let (code, set) = unsafe {
            let mut set = std::mem::zeroed::<libc::sigset_t>();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGTERM);
            libc::sigaddset(&mut set, libc::SIGINT);
            more.iter().for_each(|signal| _ = libc::sigaddset(&mut set, *signal));
            (libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()), set)
        };
        if code == 0 { Ok(BlockedSignals(set)) } else { Err(io::Error::from_raw_os_error(code)) }
    }

    /// Starts the thread that sends the first request to stop to `stop` and ends the process at the second
    /// one. It calls `on_hangup` for each SIGHUP, so that reading files holds up no core.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn watch(
        self,
        stop: Sender<StopSignal>,
        mut on_hangup: impl FnMut() + Send + 'static,
    ) -> io::Result<()> {
        let wait = move || {
            stop.send(match self.wait_to_stop(&mut on_hangup) {
                libc::SIGINT => StopSignal::Interrupt,
                _ => StopSignal::Terminate,
            });
            let second = self.wait_to_stop(&mut on_hangup);
            // SAFETY: _exit takes any code and does not return; nothing of ours needs to run.
            #[allow(unsafe_code)]
            unsafe {
                libc::_exit(EXIT_BY_SIGNAL + second)
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(|_| ())
    }

    /// Waits for SIGTERM or SIGINT; gives its number.
    fn wait_to_stop(&self, on_hangup: &mut impl FnMut()) -> i32 {
        loop {
            match self.wait() {
                libc::SIGHUP => on_hangup(),
                signal => return signal,
            }
        }
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
