//! The vocabulary of Millrace: names, numbers, records, limits and errors.
//!
//! Floor 0: every other crate imports this one and it imports none of them. Nothing here touches the
//! world: no clock, no randomness, no I/O. A value of a name type is valid by construction: it is parsed
//! once at the edge and never checked again.

#![forbid(unsafe_code)]

mod draft;
mod failure;
mod limits;
mod name;
mod number;
mod pattern;
mod place;
mod record;

pub use draft::{Drafts, EventDraft, Idempotency};
pub use failure::{Failure, FailureMember, Unavailable};
pub use limits::{LimitError, Limits};
pub use name::{BUCKET_NAME_MAX, BucketName, NameError, STREAM_NAME_MAX, StreamKey, StreamName};
pub use number::{
    CoreId, DurationMs, Epoch, LogIndex, PartitionId, SeqNum, ServerEpoch, ShardId, Term, Timestamp,
};
pub use pattern::{PatternError, StreamPattern};
pub use place::{HASH_NAME, PARTITION_COUNT_DEFAULT, partition_of, stream_hash};
pub use record::{RECORD_HEADER_BYTES, Record, RecordError};
