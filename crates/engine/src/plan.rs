//! What passes between the directory's [`crate::Boot`] and each shard's [`crate::Recovery`].
//!
//! Plain values, so that the shell may carry them from core to core: a plan down when the directory is open,
//! a report up when the shard has read everything.

use crate::sabotage::Sabotage;
use commitlog::ShardMark;
use types::{CoreId, PartitionId, ServerEpoch, ShardId};

/// What a shard must open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardPlan {
    /// The shard.
    pub shard: ShardId,
    /// The core that it runs on; replies and deliveries to this core are local.
    pub core: CoreId,
    /// The partitions that it owns, ascending.
    pub partitions: Vec<PartitionId>,
    /// Partitions of the directory.
    pub partition_count: u16,
    /// The data directory.
    pub directory_id: u128,
    /// Shards that journals were written for in the last life; 0 in a fresh directory.
    pub shards_before: u16,
    /// Shards of this life.
    pub shards_now: u16,
    /// The last life; 0 in a fresh directory.
    pub epoch_before: ServerEpoch,
    /// The marks of the last life, by shard.
    pub marks: Vec<ShardMark>,
    /// Refuse to start on damage in acknowledged data instead of serving the rest.
    pub strict: bool,
    /// A planted fault; `None` in every real server.
    pub sabotage: Sabotage,
}

impl ShardPlan {
    /// Whether journals of another layout must be folded into segments before this life can begin.
    pub fn layout_changed(&self) -> bool {
        self.shards_before != 0 && self.shards_before != self.shards_now
    }
}

/// What a shard found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardReport {
    /// The shard.
    pub shard: ShardId,
    /// What the EPOCH file must say of its journal.
    pub mark: ShardMark,
    /// Events replayed from the journal.
    pub events_replayed: u64,
    /// Streams that exist.
    pub streams: u64,
    /// What an operator should know, a line each.
    pub notices: Vec<String>,
}
