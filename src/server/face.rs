//! What the assembly asks of a protocol.
//!
//! One implementation per face; chosen at compile time, so there is no call through a table on any path.

use crate::shard::CoreLink;
use crate::sys::net::Stream;
use std::future::Future;
use std::rc::Rc;

/// A protocol that serves connections.
pub trait Face: Clone + Send + 'static {
    /// What the connections of one core share: the broker's core.
    type Core: 'static;

    /// Makes the core's share, once per core, on it, before its shard serves.
    fn open(&self, link: Rc<CoreLink>) -> Rc<Self::Core>;

    /// Serves one connection to its end. When the link begins to drain, it finishes what was accepted, tells
    /// its client where the protocol can, and ends.
    fn serve(core: Rc<Self::Core>, stream: Stream) -> impl Future<Output = ()> + 'static;
}
