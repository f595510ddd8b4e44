//! A shard as a value: commands and completions in, effects out.
//!
//! [`Engine`] decides everything about a shard's streams: sequence numbers, what is journalled when, what
//! is acknowledged, what readers see, what is checkpointed and merged. It never touches the world: the shell
//! (`src/shard`) and the simulator (`sim`) execute its [`Effect`]s and hand back the results. The same
//! inputs in the same order give the same effects, byte for byte.
//!
//! Start: [`Boot`] opens the directory, one [`Recovery`] per shard turns the disk into an engine.

#![forbid(unsafe_code)]

mod append;
mod apply;
mod boot;
mod cache;
mod catalog;
mod checkpoint;
mod command;
mod commit;
mod disk;
mod idempotency;
mod journal;
mod list;
mod machine;
mod merge;
mod merge_input;
mod partition;
mod plan;
mod read;
mod recover_journal;
mod recover_partition;
mod recover_segment;
mod recover_settle;
mod recovery;
mod refusal;
mod replay;
mod replicator;
mod sabotage;
mod segment_job;
mod stream;
mod watch;

pub use boot::{Boot, BootConfig};
pub use command::*;
pub use disk::*;
pub use machine::Engine;
pub use plan::{ShardPlan, ShardReport};
pub use recovery::Recovery;
pub use refusal::Refusal;
pub use replicator::{Replicator, Solo};
pub use sabotage::Sabotage;
