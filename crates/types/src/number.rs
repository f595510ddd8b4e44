//! Newtypes for every number that could be taken for another.
//!
//! A position in a stream is a [`SeqNum`], a position in a partition's log is a [`LogIndex`]; both count
//! records. A byte position in a file is never one of these. Arithmetic is explicit and checked: an
//! overflow is a programmer's error and stops the process.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl $name {
            /// The bare number, for encoding and display.
            pub const fn get(self) -> $inner {
                self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

number!(
    /// Position of an event in its stream. The first event is 1; 0 means "before the first".
    SeqNum(u64)
);
number!(
    /// Position of a record in its partition's log. The first record is 1; 0 means "before the first".
    LogIndex(u64)
);
number!(
    /// One incarnation of a stream: the [`LogIndex`] of the first record of that incarnation, so that a
    /// stream that was deleted and written again has a greater epoch than before.
    Epoch(u64)
);
number!(
    /// One life of the server over a data directory, from 1; raised durably before anything is served.
    ServerEpoch(u64)
);
number!(
    /// Term of a replication leader; 1 while a server is alone.
    Term(u64)
);
number!(
    /// Milliseconds since the Unix epoch, UTC.
    Timestamp(u64)
);
number!(
    /// A length of time in milliseconds.
    DurationMs(u64)
);
number!(
    /// A partition: the unit of ordering and of placement. Index from 0.
    PartitionId(u16)
);
number!(
    /// A shard: one core's share of the partitions, with one journal. Index from 0.
    ShardId(u16)
);
number!(
    /// A core of the running server. Index from 0. Today core `n` runs shard `n`.
    CoreId(u16)
);

impl SeqNum {
    /// Before the first event.
    pub const ZERO: SeqNum = SeqNum(0);
    /// The first event of a stream.
    pub const FIRST: SeqNum = SeqNum(1);

    /// The sequence number `count` places further on.
    pub const fn plus(self, count: u64) -> SeqNum {
        SeqNum(self.0 + count)
    }
    /// The next sequence number.
    pub const fn next(self) -> SeqNum {
        self.plus(1)
    }
    /// The previous sequence number; `ZERO` stays `ZERO`.
    pub const fn previous(self) -> SeqNum {
        SeqNum(self.0.saturating_sub(1))
    }
    /// How many events lie in `from..self`; 0 when `from` is not smaller.
    pub const fn since(self, from: SeqNum) -> u64 {
        self.0.saturating_sub(from.0)
    }
}

impl LogIndex {
    /// Before the first record.
    pub const ZERO: LogIndex = LogIndex(0);

    /// The index `count` places further on.
    pub const fn plus(self, count: u64) -> LogIndex {
        LogIndex(self.0 + count)
    }
    /// The next index.
    pub const fn next(self) -> LogIndex {
        self.plus(1)
    }
}

impl Timestamp {
    /// This time moved on by `duration`, saturating.
    pub const fn plus(self, duration: DurationMs) -> Timestamp {
        Timestamp(self.0.saturating_add(duration.0))
    }
    /// How long ago `earlier` was; 0 when it lies ahead.
    pub const fn since(self, earlier: Timestamp) -> DurationMs {
        DurationMs(self.0.saturating_sub(earlier.0))
    }
}
