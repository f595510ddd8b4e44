//! One shard per core: its engine, its disk work, and the link by which tasks of a core reach all shards.
//!
//! `broker` and `faces` see [`CoreLink`] only; `server` recovers each shard and starts its driver. No
//! decision is made here: what a command means is the engine's affair.

pub(crate) mod driver;
pub(crate) mod files;
mod link;
pub(crate) mod recover;
mod requests;
mod table;

pub use driver::EXIT_DISK_FAILED;
pub use link::{CoreLink, Message, PendingReply};
pub use table::ShardTable;
