//! Ctrl-C and SIGTERM while `listen` runs: the end that the person asked for, exit code 0.
//!
//! A thread waits for the signal, takes stdout so that no line is cut in two, and ends the process.

use super::error::CliError;
use crate::sys::post;
use crate::sys::signal::BlockedSignals;
use std::io::{self, Write};

/// From now on a signal to stop ends the process with exit code 0. Call it before any thread starts.
///
/// # Errors
/// [`super::error::Exit::Io`]: the system gives no thread.
pub(crate) fn exit_on_stop_signal() -> Result<(), CliError> {
    let failed = |error| CliError::io("cannot watch for Ctrl-C", &error);
    let (sender, mut receiver) = post::channel();
    BlockedSignals::block().and_then(|signals| signals.watch(sender, || ())).map_err(failed)?;
    let wait = move || {
        futures_lite::future::block_on(receiver.recv());
        let mut stdout = io::stdout().lock();
        let _ = stdout.flush();
        std::process::exit(0)
    };
    std::thread::Builder::new().name("stop".to_owned()).spawn(wait).map(|_| ()).map_err(failed)
}
