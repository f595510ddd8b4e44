//! The engine's step: commands in, a group commit on a disk in memory, answers out; and the reads,
//! checkpoints and merges beside it.
//!
//! Commands are made in the refill, since faces make them; everything from `handle_command` to the answer
//! in the shell's hands is measured, the disk's own work is not. One group is in flight at a time, and
//! `append/N` puts N appends into each, as N connections would.

use crate::server::{Server, wide_limits};
use crate::specimens::{draft, key};
use crate::{Case, Work};
use engine::{AckLevel, Append, Command, Read, ReadFrom, WatchTarget};
use std::collections::VecDeque;
use types::{Drafts, Limits, SeqNum, StreamKey};

/// Appends of a round, in as many groups as it takes.
const APPENDS: usize = 256;
/// Events of a checkpoint, and of each segment that is merged.
const BATCH_EVENTS: usize = 4096;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "engine/append/1",
        event: "append of 128 B, alone in its group",
        rounds: 16,
        prepare: || appends(1, 1, 1),
    },
    Case {
        name: "engine/append/16",
        event: "append of 128 B, 16 in a group, one stream",
        rounds: 16,
        prepare: || appends(16, 1, 1),
    },
    Case {
        name: "engine/append/64",
        event: "append of 128 B, 64 in a group, one stream",
        rounds: 16,
        prepare: || appends(64, 1, 1),
    },
    Case {
        name: "engine/append/64-streams",
        event: "append of 128 B, 64 in a group, each of another stream",
        rounds: 16,
        prepare: || appends(64, 64, 1),
    },
    Case {
        name: "engine/append/batch-64",
        event: "event of 128 B, 64 in an append, alone in its group",
        rounds: 16,
        prepare: || appends(1, 1, 64),
    },
    Case {
        name: "engine/append/watched",
        event: "append of 128 B, 16 in a group, one core watches",
        rounds: 16,
        prepare: watched,
    },
    Case {
        name: "engine/read/memory",
        event: "event of 128 B, the newest 50",
        rounds: 16,
        prepare: read_memory,
    },
    Case {
        name: "engine/read/segment",
        event: "event of 128 B, 1,000 from a segment",
        rounds: 16,
        prepare: read_segment,
    },
    Case {
        name: "engine/checkpoint/1-stream",
        event: "event of 128 B, 4,096 of one stream",
        rounds: 4,
        prepare: || checkpoints(1),
    },
    Case {
        name: "engine/checkpoint/64-streams",
        event: "event of 128 B, 64 of each of 64 streams",
        rounds: 4,
        prepare: || checkpoints(64),
    },
    Case {
        name: "engine/merge",
        event: "event of 128 B, 4 segments of 4,096 into one",
        rounds: 2,
        prepare: || Box::new(Merges { server: None }),
    },
];

/// Limits with which a checkpoint is due as soon as a batch is in memory, and not before.
fn checkpoint_limits() -> Limits {
    Limits { memory_bytes_max: 1 << 20, ..wide_limits() }
}

fn append(server: &mut Server, stream: &StreamKey, drafts: Drafts) -> Command {
    Command::Append(Append {
        to: server.reply_to(),
        stream: stream.clone(),
        drafts,
        expect: None,
        idempotency: None,
        ack: AckLevel::Fsync,
    })
}

struct Appends {
    server: Server,
    keys: Vec<StreamKey>,
    /// Appends that are committed together.
    group: usize,
    /// Events of one append.
    batch: usize,
    ready: VecDeque<Command>,
}

fn appends(group: usize, streams: usize, batch: usize) -> Box<dyn Work> {
    Box::new(Appends::new(group, streams, batch))
}

impl Appends {
    fn new(group: usize, streams: usize, batch: usize) -> Appends {
        let server = Server::new(wide_limits());
        Appends { server, keys: (0..streams).map(key).collect(), group, batch, ready: VecDeque::new() }
    }
}

impl Work for Appends {
    fn refill(&mut self) {
        let draft = draft();
        for at in 0..APPENDS / self.batch {
            let stream = &self.keys[at % self.keys.len()];
            let command = append(&mut self.server, stream, Drafts::from_elem(draft.clone(), self.batch));
            self.ready.push_back(command);
        }
    }

    fn round(&mut self) -> u64 {
        let before = self.server.appended;
        while !self.ready.is_empty() {
            let group = self.group.min(self.ready.len());
            self.ready.drain(..group).for_each(|command| self.server.hand_in(command));
            self.server.turn();
        }
        self.server.appended - before
    }
}

fn watched() -> Box<dyn Work> {
    let mut work = Appends::new(16, 1, 1);
    let to = work.server.reply_to();
    work.server.hand_in(Command::Watch { to, route: 7, target: WatchTarget::Stream(key(0)) });
    work.server.settle();
    Box::new(Watched(work))
}

/// Appends of which every one is delivered.
struct Watched(Appends);

impl Work for Watched {
    fn refill(&mut self) {
        self.0.refill();
    }

    fn round(&mut self) -> u64 {
        let before = self.0.server.delivered;
        let appended = self.0.round();
        assert_eq!(self.0.server.delivered - before, appended);
        appended
    }
}

struct Reads {
    server: Server,
    read: fn(&mut Server) -> Command,
    ready: VecDeque<Command>,
}

impl Work for Reads {
    fn refill(&mut self) {
        for _ in 0..16 {
            let read = (self.read)(&mut self.server);
            self.ready.push_back(read);
        }
    }

    fn round(&mut self) -> u64 {
        let before = self.server.read;
        while let Some(read) = self.ready.pop_front() {
            self.server.hand_in(read);
            self.server.turn();
        }
        self.server.read - before
    }
}

fn read(server: &mut Server, from: ReadFrom, limit: usize) -> Command {
    Command::Read(Read { to: server.reply_to(), stream: key(0), from, limit, bytes_max: 16 << 20 })
}

fn read_memory() -> Box<dyn Work> {
    let mut server = Server::new(wide_limits());
    fill(&mut server, 1);
    server.settle();
    Box::new(Reads { server, read: |server| read(server, ReadFrom::Newest, 50), ready: VecDeque::new() })
}

fn read_segment() -> Box<dyn Work> {
    let mut server = Server::new(Limits { chunk_cache_bytes_max: 0, ..checkpoint_limits() });
    server.keep_segments(true);
    fill(&mut server, 1);
    server.settle();
    assert_eq!(server.engine.stats().segments, 1);
    let from = |server: &mut Server| read(server, ReadFrom::Seq(SeqNum(500)), 1000);
    Box::new(Reads { server, read: from, ready: VecDeque::new() })
}

/// Commits [`BATCH_EVENTS`] events in one group.
fn fill(server: &mut Server, streams: usize) {
    let draft = draft();
    for number in 0..streams {
        let command = append(server, &key(number), Drafts::from_elem(draft.clone(), BATCH_EVENTS / streams));
        server.hand_in(command);
    }
    server.turn();
}

struct Checkpoints {
    server: Server,
    streams: usize,
}

fn checkpoints(streams: usize) -> Box<dyn Work> {
    Box::new(Checkpoints { server: Server::new(checkpoint_limits()), streams })
}

impl Work for Checkpoints {
    fn refill(&mut self) {
        fill(&mut self.server, self.streams);
        assert!(self.server.engine.wants_turn(), "a checkpoint is due");
    }

    fn round(&mut self) -> u64 {
        let before = self.server.engine.stats().checkpoints;
        self.server.settle();
        assert_eq!(self.server.engine.stats().checkpoints, before + 1);
        BATCH_EVENTS as u64
    }
}

struct Merges {
    server: Option<Server>,
}

impl Work for Merges {
    /// A server of its own for each round, with one segment too many: what is merged is always the same.
    fn refill(&mut self) {
        let segments_max = Limits::default().segments_max;
        let mut server = Server::new(Limits { segments_max, ..checkpoint_limits() });
        server.keep_segments(true);
        while server.engine.stats().segments <= segments_max as u64 {
            fill(&mut server, 1);
            while server.engine.stats().segments <= segments_max as u64
                && (server.turn() || server.engine.wants_turn())
            {}
        }
        server.keep_segments(false);
        self.server = Some(server);
    }

    fn round(&mut self) -> u64 {
        let server = self.server.as_mut().expect("refilled");
        let before = server.engine.stats().segments;
        server.settle();
        let stats = server.engine.stats();
        assert_eq!(stats.merges, 1);
        (before + 1 - stats.segments) * BATCH_EVENTS as u64
    }
}
