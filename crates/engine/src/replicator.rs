//! Who decides when durable becomes committed.
//!
//! Nothing above this seam may take a local flush for a commit. Alone, the two are the same; a replicated
//! partition will commit when a majority has the batch.

use types::{LogIndex, PartitionId};

/// Moves a partition's high watermark.
pub trait Replicator {
    /// The local log is durable up to `durable`; gives the index up to which the partition is committed.
    fn handle_durable(&mut self, partition: PartitionId, durable: LogIndex) -> LogIndex;
}

/// A server without replicas: what is durable is committed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Solo;

impl Replicator for Solo {
    fn handle_durable(&mut self, _partition: PartitionId, durable: LogIndex) -> LogIndex {
        durable
    }
}
