//! `listen`: events as they arrive, one JSON item a line, across broken connections.
//!
//! The forms (`sse`, `websocket`) run one connection each and hand arrays of items to [`Feed`], which
//! prints, counts and remembers positions. This file owns the loop: connect, listen, wait, connect again.
//! Never lost in silence: every reconnection resumes behind the last item printed, or says that it cannot.

mod feed;
mod sse;
mod websocket;

pub(crate) use feed::Feed;

use super::client::Server;
use super::error::{CliError, Exit};
use super::interrupt;
use super::remote_args::{ListenArgs, RemoteFlags};
use super::session::Login;
use std::time::Duration;

/// Waits between two tries to connect: the first, and the longest that doubling leads to.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// How one connection ended, when not by a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The number of events that was asked for has been printed.
    LimitReached,
}

/// Listens until the limit is reached or a signal ends the process.
///
/// # Errors
/// [`Exit::Unreachable`] when the first connection fails, or any one with `--no-reconnect`; [`Exit::Refused`]
/// when the server refuses the subscription; [`Exit::Usage`] for a stream that does not parse.
pub(crate) fn listen(args: &ListenArgs, flags: &RemoteFlags) -> Result<(), CliError> {
    let feed = Feed::new(&args.streams, args.from, args.limit)?;
    interrupt::exit_on_stop_signal()?;
    follow(args, flags, feed)
}

/// The loop, without the signals.
fn follow(args: &ListenArgs, flags: &RemoteFlags, mut feed: Feed) -> Result<(), CliError> {
    if args.limit == Some(0) {
        return Ok(());
    }
    // One for all connections: a password is asked for once.
    let (mut login, mut wait) = (Login::new(flags), RETRY_FIRST);
    loop {
        let connections_before = feed.connections;
        let error = match connect_and_listen(args, &mut login, &mut feed) {
            Ok(Ended::LimitReached) => return Ok(()),
            Err(error) => error,
        };
        let can_retry = feed.connections > 0 && !args.no_reconnect && is_passing(&error);
        if !can_retry {
            return Err(error);
        }
        if feed.connections > connections_before {
            wait = RETRY_FIRST;
        }
        eprintln!("millrace: {}; trying again", error.message);
        if let Some(warning) = feed.take_hole_warning() {
            eprintln!("millrace: {warning}");
        }
        std::thread::sleep(wait);
        wait = (wait * 2).min(RETRY_LONGEST);
    }
}

fn connect_and_listen(args: &ListenArgs, login: &mut Login, feed: &mut Feed) -> Result<Ended, CliError> {
    let (server, client): (Server, _) = login.open()?;
    if args.websocket { websocket::run(&server, client, feed) } else { sse::run(&server, client, feed) }
}

/// Whether another try may succeed: the connection broke, or the server is starting, draining or overloaded.
fn is_passing(error: &CliError) -> bool {
    let status = error.members.get("status").and_then(serde_json::Value::as_u64);
    !error.silent && (error.exit == Exit::Unreachable || matches!(status, Some(429 | 503)))
}

#[cfg(test)]
mod tests;
