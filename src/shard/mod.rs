//! One shard per core: its engine, its disk work, and the link by which tasks of a core reach all shards.
//!
//! `broker` and `faces` see [`CoreLink`] only; `server` starts a [`driver`] per core. No decision is made
//! here: what a command means is the engine's affair.

pub(crate) mod driver;
pub mod link;
mod requests;
mod table;

pub use link::{CoreLink, PendingReply};
pub use table::ShardTable;
