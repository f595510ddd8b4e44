//! What a core may ask of an engine, and what an engine says.
//!
//! A command carries the address its answer goes to; the engine answers each exactly once with
//! [`Effect::Reply`]. Deliveries and replies of one partition to one core stay in the order in which the
//! engine emitted them: that is what lets a listener pass from the past to the present without a hole.

use crate::disk::{DiskOp, FileId, OpId, Urgency};
use types::{
    BucketName, CoreId, Drafts, Epoch, Failure, Idempotency, Record, SeqNum, StreamKey, StreamPattern,
    Timestamp,
};

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplyTo {
    /// The core that asked.
    pub core: CoreId,
    /// That core's number for the request.
    pub request: u64,
}

/// When an append is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AckLevel {
    /// After the events are on disk.
    #[default]
    Fsync,
    /// As soon as they have sequence numbers; a crash may lose them.
    Memory,
}

/// A request to an engine.
#[derive(Clone, Debug)]
pub enum Command {
    /// Appends events to one stream, all or none, contiguous.
    Append(Append),
    /// Reads events of one stream.
    Read(Read),
    /// Deletes a stream; its next event starts a new epoch at 1.
    Delete {
        /// Who asked.
        to: ReplyTo,
        /// Which stream.
        stream: StreamKey,
    },
    /// Forgets the events before `before`; never the sequence numbers.
    Trim {
        /// Who asked.
        to: ReplyTo,
        /// Which stream.
        stream: StreamKey,
        /// The first event that stays; past the end means all go.
        before: SeqNum,
    },
    /// Describes a stream.
    Describe {
        /// Who asked.
        to: ReplyTo,
        /// Which stream.
        stream: StreamKey,
    },
    /// Lists the buckets that this shard has streams of.
    ListBuckets {
        /// Who asked.
        to: ReplyTo,
        /// Which names.
        page: ListPage,
    },
    /// Lists the streams of a bucket that this shard has.
    ListStreams {
        /// Who asked.
        to: ReplyTo,
        /// Of which bucket.
        bucket: BucketName,
        /// Which names.
        page: ListPage,
    },
    /// From now on the core gets deliveries for what `target` names, marked with `route`.
    Watch {
        /// Who asked, and the core that the deliveries go to.
        to: ReplyTo,
        /// The core's own number for this watch; unique per core.
        route: u64,
        /// One stream or a pattern.
        target: WatchTarget,
    },
    /// Ends the watch. Deliveries that are under way may still arrive. Not answered.
    Unwatch {
        /// Whose watch.
        core: CoreId,
        /// Which.
        route: u64,
    },
    /// How much of a stream's newest events stays in memory. Not answered, not durable: it is derived
    /// from settings that are.
    SetTail {
        /// Which stream.
        stream: StreamKey,
        /// Events.
        events: u32,
        /// Bytes.
        bytes: u32,
    },
    /// Figures of the shard.
    Stats {
        /// Who asked.
        to: ReplyTo,
    },
}

/// [`Command::Append`].
#[derive(Clone, Debug)]
pub struct Append {
    /// Who asked.
    pub to: ReplyTo,
    /// Which stream; it comes into being with its first event.
    pub stream: StreamKey,
    /// The events, at least one.
    pub drafts: Drafts,
    /// Append only if this is the last sequence number; `ZERO` = only if the stream is empty.
    pub expect: Option<Expect>,
    /// Makes a retry safe.
    pub idempotency: Option<Idempotency>,
    /// When to answer.
    pub ack: AckLevel,
}

/// A condition on the last sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// What the last sequence number must be.
    pub last: SeqNum,
    /// Which failure a lost race is: `If-Match` (412) or PATCH (409).
    pub on_mismatch: OnMismatch,
}

/// How a condition that does not hold is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMismatch {
    /// `Failure::PreconditionFailed`.
    PreconditionFailed,
    /// `Failure::Conflict`.
    Conflict,
}

/// [`Command::Read`].
#[derive(Clone, Debug)]
pub struct Read {
    /// Who asked.
    pub to: ReplyTo,
    /// Which stream.
    pub stream: StreamKey,
    /// Where to start.
    pub from: ReadFrom,
    /// Most events of the reply.
    pub limit: usize,
    /// Payload bytes after which the reply ends; at least one event is given.
    pub bytes_max: usize,
}

/// Where a read starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The newest `limit` events.
    Newest,
    /// This sequence number, or the oldest that is left.
    Seq(SeqNum),
    /// So many places before the last, floored at the oldest: 1 gives the last two.
    BeforeLast(u64),
    /// The first event that is not older.
    Time(Timestamp),
}

/// Which names a listing gives: ascending, those with the prefix, after the cursor, at most `limit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Only names that begin with this.
    pub prefix: String,
    /// Only names greater than this.
    pub after: String,
    /// Most names.
    pub limit: usize,
}

/// What a watch names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchTarget {
    /// One stream, which need not exist yet.
    Stream(StreamKey),
    /// Every stream of this shard that the pattern matches, now or later.
    Pattern(StreamPattern),
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To [`Command::Append`].
    Appended(Appended),
    /// To [`Command::Read`].
    Read(ReadReply),
    /// To [`Command::Delete`]; durable.
    Deleted {
        /// Whether there was a stream.
        existed: bool,
    },
    /// To [`Command::Trim`]; durable.
    Trimmed {
        /// The oldest sequence number that is left, or the next one when none is.
        first: SeqNum,
    },
    /// To [`Command::Describe`]; `None` when there is no such stream.
    Described(Option<StreamDescription>),
    /// To [`Command::ListBuckets`].
    Buckets(Vec<BucketName>),
    /// To [`Command::ListStreams`], ascending by name.
    Streams(Vec<StreamDescription>),
    /// To [`Command::Watch`]. For one stream, deliveries begin with `next`; for a pattern both are zero.
    Watching {
        /// The next sequence number that will be delivered.
        next: SeqNum,
        /// The stream's epoch now; zero when it does not exist.
        epoch: Epoch,
    },
    /// To [`Command::Stats`].
    Stats(Box<ShardStats>),
    /// The command was not carried out. After [`Command::Append`] with [`Failure::Unavailable`] the outcome
    /// is unknown only if the shard stopped; every other failure means "not stored".
    Failed(Failure),
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Sequence number of the first event.
    pub first: SeqNum,
    /// Time of the events.
    pub time: Timestamp,
    /// How many.
    pub count: u32,
    /// Whether an idempotency key showed that this had been done before.
    pub replayed: bool,
    /// What the acknowledgement means.
    pub ack: AckLevel,
}

/// What a read gives.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadReply {
    /// The events, ascending, without holes but for `gap`.
    pub records: Vec<Record>,
    /// The stream's epoch; zero when it does not exist.
    pub epoch: Epoch,
    /// The oldest sequence number that is left.
    pub first: SeqNum,
    /// The last sequence number, zero for a stream without events.
    pub last: SeqNum,
    /// Sequence numbers that were asked for and are gone or damaged; they lie before `next`.
    pub gaps: Vec<Gap>,
    /// Where the next read goes on.
    pub next: SeqNum,
    /// Whether `next` is the sequence number of the next delivery: the reader is in the present.
    pub at_tail: bool,
}

/// Sequence numbers that a reader will not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// First, inclusive.
    pub from: SeqNum,
    /// Last, inclusive.
    pub to: SeqNum,
    /// Why.
    pub cause: GapCause,
}

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapCause {
    /// Trimmed or evicted.
    Trimmed,
    /// Damaged on disk.
    Damaged,
}

/// A stream as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDescription {
    /// Its name.
    pub key: StreamKey,
    /// Its epoch.
    pub epoch: Epoch,
    /// The oldest sequence number that is left, or `last + 1` when none is.
    pub first: SeqNum,
    /// The last sequence number.
    pub last: SeqNum,
    /// Bytes of its events as they stand in the log.
    pub bytes: u64,
    /// Time of the last event.
    pub last_time: Timestamp,
}

/// Figures of one shard; counters since start, gauges now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardStats {
    /// Streams that exist.
    pub streams: u64,
    /// Events appended.
    pub events_appended: u64,
    /// Payload bytes appended.
    pub bytes_appended: u64,
    /// Block groups written.
    pub groups_written: u64,
    /// Events read by clients.
    pub events_read: u64,
    /// Events not yet in segments, in bytes.
    pub memory_bytes: u64,
    /// Journal bytes in use.
    pub journal_bytes: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of segment files.
    pub segment_bytes: u64,
    /// Checkpoints finished.
    pub checkpoints: u64,
    /// Merges finished.
    pub merges: u64,
    /// Ranges that were found damaged.
    pub damaged_ranges: u64,
    /// Whether appends are refused because the disk is full.
    pub storage_full: bool,
}

/// Events for the watchers of one core.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Where to.
    pub core: CoreId,
    /// The core's number of the watch.
    pub route: u64,
    /// Which stream.
    pub stream: StreamKey,
    /// Which incarnation of it.
    pub epoch: Epoch,
    /// What happened.
    pub change: Change,
}

/// What watchers are told.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// New events, ascending, contiguous with the delivery before.
    Records(Vec<Record>),
    /// The stream was deleted; what comes next starts at 1 in a greater epoch.
    Deleted,
    /// The sequence numbers `from..next` were skipped after damage; `next` comes next.
    Skipped {
        /// First sequence number that will never come.
        from: SeqNum,
        /// The next one that will.
        next: SeqNum,
    },
}

/// What the shell must do for the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Execute this and call `handle_disk` with the result.
    Disk {
        /// The operation's number.
        op: OpId,
        /// How urgent.
        urgency: Urgency,
        /// What to do.
        work: DiskOp,
    },
    /// Send an answer.
    Reply {
        /// Where to.
        to: ReplyTo,
        /// The answer.
        reply: Reply,
    },
    /// Hand events to a core's fan-out.
    Deliver(Delivery),
    /// Stop the process: the journal can no longer be trusted. Recovery decides what the disk holds.
    Fatal(Fatal),
    /// Something an operator should read in the log.
    Notice(String),
}

/// Why an engine stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatal {
    /// The file that failed.
    pub file: FileId,
    /// Byte offset of the operation.
    pub offset: u64,
    /// The system's error number.
    pub errno: i32,
    /// What was being done.
    pub doing: &'static str,
}
