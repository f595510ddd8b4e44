//! What the assembly asks of a protocol.
//!
//! One implementation per face; chosen at compile time, so there is no call through a table on any path.

use super::reload::Reload;
use crate::shard::CoreLink;
use crate::sys::net::Stream;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;

/// What became of a connection before a face serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is closed: there are too many.
    OverLimit,
    /// Its TLS handshake is done.
    Shaken,
    /// Its TLS handshake failed, or took too long.
    NotShaken,
}

/// A protocol that serves connections.
pub trait Face: Clone + Send + 'static {
    /// What the connections of one core share: the broker's core.
    type Core: 'static;

    /// Takes from the data directory what the protocol keeps there beside the log. Called once, before any
    /// core opens, while nobody else has the directory. Gives what SIGHUP reads again.
    ///
    /// # Errors
    /// Why it cannot be served, in a sentence.
    fn prepare(&mut self, _data_dir: &Path) -> Result<Vec<Reload>, String> {
        Ok(Vec::new())
    }

    /// Makes the core's share, once per core, on it, before its shard serves.
    fn open(&self, link: Rc<CoreLink>) -> Rc<Self::Core>;

    /// Waits until the core's share can serve; its shard runs by then.
    ///
    /// # Errors
    /// Why nothing can be served, in a sentence.
    fn opened(_core: Rc<Self::Core>) -> impl Future<Output = Result<(), String>> + 'static {
        std::future::ready(Ok(()))
    }

    /// Counts what became of a connection before it was served. Called on the core, once for a connection
    /// over a limit and once for each handshake.
    fn count_arrival(_core: &Self::Core, _arrival: Arrival) {}

    /// Serves one connection to its end. When the link begins to drain, it finishes what was accepted, tells
    /// its client where the protocol can, and ends.
    fn serve(core: Rc<Self::Core>, stream: Stream) -> impl Future<Output = ()> + 'static;
}
