//! What clients ask for in a run: random commands over a handful of streams.
//!
//! Appends of one and of several events, conditional ones that should and should not hold, retries with a
//! key, keys used for another body, reads from anywhere, watches, trims, deletions, listings. Every event's
//! payload is unique but for a retry's, as the history requires. Nothing here looks into an engine: the
//! next command depends on the seed and on what replies have said.

use crate::history::History;
use crate::limits::{APPEND_EVENTS_MAX, BODY_BYTES_MAX};
use crate::rng::Rng;
use bytes::Bytes;
use engine::{AckLevel, Append, Command, Expect, ListPage, OnMismatch, Read, ReadFrom, ReplyTo, WatchTarget};
use types::{BucketName, CoreId, EventDraft, Idempotency, SeqNum, StreamKey, StreamPattern, Timestamp};

/// Keyed appends that may be retried; fewer than a partition remembers.
const RETRIES_MAX: usize = 12;

/// How often each kind of command comes; zero means never.
#[derive(Clone, Debug)]
pub struct Mix {
    /// Plain appends of one event.
    pub append: u64,
    /// Atomic appends of several.
    pub append_many: u64,
    /// Conditional appends.
    pub append_if: u64,
    /// Appends with a key, their retries, and keys used twice.
    pub append_keyed: u64,
    /// Appends that are answered before they are durable.
    pub append_memory: u64,
    /// Reads of all kinds.
    pub read: u64,
    /// Watches and their ends.
    pub watch: u64,
    /// Deletions.
    pub delete: u64,
    /// Trims.
    pub trim: u64,
    /// Descriptions, listings, figures, cache settings.
    pub look: u64,
}

impl Mix {
    /// Everything, appends most.
    pub fn everything() -> Self {
        Mix {
            append: 30,
            append_many: 10,
            append_if: 6,
            append_keyed: 10,
            append_memory: 2,
            read: 16,
            watch: 5,
            delete: 2,
            trim: 3,
            look: 6,
        }
    }

    /// Appends and nothing that removes an event.
    pub fn appends() -> Self {
        Mix { delete: 0, trim: 0, append_memory: 0, ..Mix::everything() }
    }

    fn weights(&self) -> [u64; 10] {
        [
            self.append,
            self.append_many,
            self.append_if,
            self.append_keyed,
            self.append_memory,
            self.read,
            self.watch,
            self.delete,
            self.trim,
            self.look,
        ]
    }
}

/// Makes up commands.
#[derive(Clone, Debug)]
pub struct Workload {
    rng: Rng,
    mix: Mix,
    streams: Vec<StreamKey>,
    requests: u64,
    events: u64,
    keys: u64,
    routes: Vec<(CoreId, u64)>,
    keyed: Vec<Append>,
}

impl Workload {
    /// A workload over `stream_count` streams of two buckets.
    pub fn new(mut rng: Rng, mix: Mix, stream_count: usize) -> Self {
        let name = |at: usize| {
            if at.is_multiple_of(3) { format!("deep/er/{at}") } else { format!("s{at}") }
        };
        let stream = |at: usize| StreamKey::parse(["one", "two"][at % 2], &name(at)).expect("a valid name");
        let rng = rng.fork();
        Workload {
            rng,
            mix,
            streams: (0..stream_count).map(stream).collect(),
            requests: 0,
            events: 0,
            keys: 0,
            routes: Vec::new(),
            keyed: Vec::new(),
        }
    }

    /// The streams that commands name.
    pub fn streams(&self) -> &[StreamKey] {
        &self.streams
    }

    /// From now on other commands are made up, with other content.
    pub fn diverge(&mut self, rng: Rng) {
        self.rng = rng;
        self.events += 1 << 32;
        self.keys += 1 << 32;
    }

    /// The server begins a new life: its watches are gone.
    pub fn begin_life(&mut self) {
        self.routes.clear();
    }

    /// Commands made up so far that have an answer, or end a watch.
    pub fn request_count(&self) -> u64 {
        self.requests
    }

    /// Where the next answer goes.
    pub fn next_to(&mut self, core: CoreId) -> ReplyTo {
        self.requests += 1;
        ReplyTo { core, request: self.requests }
    }

    /// The next command of a client on `core`.
    pub fn next_command(&mut self, core: CoreId, now: Timestamp, history: &History) -> Command {
        let stream = self.rng.pick(&self.streams).clone();
        match self.rng.weighted(&self.mix.weights()) {
            0 => self.append(core, stream, 1),
            1 => {
                let count = 2 + self.rng.index(APPEND_EVENTS_MAX - 1);
                self.append(core, stream, count)
            }
            2 => self.conditional(core, stream, history),
            3 => self.keyed(core, stream),
            4 => match self.append(core, stream, 1) {
                Command::Append(append) => Command::Append(Append { ack: AckLevel::Memory, ..append }),
                other => other,
            },
            5 => self.read(core, stream, now, history),
            6 => self.watch(core, stream),
            7 => Command::Delete { to: self.next_to(core), stream },
            8 => {
                let before = SeqNum(self.rng.below(history.tail_of(&stream).0 + 3));
                Command::Trim { to: self.next_to(core), stream, before }
            }
            _ => self.look(core, stream),
        }
    }

    /// An append of so many new events.
    pub fn append(&mut self, core: CoreId, stream: StreamKey, count: usize) -> Command {
        let large = self.rng.chance(1, 6);
        let share = BODY_BYTES_MAX / count;
        let drafts = (0..count).map(|_| self.draft(share, large)).collect();
        let (to, ack) = (self.next_to(core), AckLevel::Fsync);
        Command::Append(Append { to, stream, drafts, expect: None, idempotency: None, ack })
    }

    fn draft(&mut self, bytes_max: usize, large: bool) -> EventDraft {
        self.events += 1;
        let room = bytes_max.saturating_sub(40).max(1);
        let fill = if large { room / 2 + self.rng.index(room / 2 + 1) } else { self.rng.index(60.min(room)) };
        let text = format!("{{\"n\":{},\"x\":\"{:x<fill$}\"}}", self.events, "");
        let payload = Bytes::from(text);
        let mut draft = match self.rng.below(4) {
            0 => EventDraft::binary(payload, Bytes::from_static(b"application/x-sim")),
            _ => EventDraft::json(payload),
        };
        if self.rng.chance(1, 5) {
            draft.parent = Some(Bytes::from_static(b"one/s1/1"));
        }
        if self.rng.chance(1, 5) {
            draft.traceparent =
                Some(Bytes::from_static(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        }
        draft
    }

    fn conditional(&mut self, core: CoreId, stream: StreamKey, history: &History) -> Command {
        let known = history.tail_of(&stream);
        let last = if self.rng.chance(3, 4) { known } else { SeqNum(self.rng.below(known.0 + 3)) };
        let on_mismatch = if self.rng.coin() { OnMismatch::PreconditionFailed } else { OnMismatch::Conflict };
        match self.append(core, stream, 1) {
            Command::Append(append) => {
                Command::Append(Append { expect: Some(Expect { last, on_mismatch }), ..append })
            }
            other => other,
        }
    }

    fn keyed(&mut self, core: CoreId, stream: StreamKey) -> Command {
        let to = self.next_to(core);
        if !self.keyed.is_empty() && self.rng.chance(1, 2) {
            let append = self.rng.pick(&self.keyed).clone();
            if self.rng.chance(1, 6) {
                return self.another_body(append, to);
            }
            return Command::Append(Append { to, ..append });
        }
        let count = 1 + self.rng.index(3);
        let Command::Append(append) = self.append(core, stream, count) else { unreachable!("an append") };
        self.keys += 1;
        let key = Bytes::from(format!("key-{}", self.keys));
        let append = Append { idempotency: Some(Idempotency { key, digest: self.rng.next_u64() }), ..append };
        if self.keyed.len() == RETRIES_MAX {
            self.keyed.remove(0);
        }
        self.keyed.push(append.clone());
        Command::Append(append)
    }

    /// The same key with another body.
    fn another_body(&mut self, mut append: Append, to: ReplyTo) -> Command {
        let idempotency = append.idempotency.as_mut().expect("it was kept because it has a key");
        idempotency.digest = self.rng.next_u64();
        append.drafts = [self.draft(BODY_BYTES_MAX, false)].into();
        Command::Append(Append { to, ..append })
    }

    fn read(&mut self, core: CoreId, stream: StreamKey, now: Timestamp, history: &History) -> Command {
        let tail = history.tail_of(&stream).0;
        let from = match self.rng.below(6) {
            0 => ReadFrom::Newest,
            1 => ReadFrom::BeforeLast(self.rng.below(tail + 3)),
            2 => ReadFrom::Time(Timestamp(now.0.saturating_sub(self.rng.below(2000)))),
            _ => ReadFrom::Seq(SeqNum(self.rng.below(tail + 3))),
        };
        let limit = 1 + self.rng.index(12);
        let bytes_max = *self.rng.pick(&[1, 300, 4096]);
        Command::Read(Read { to: self.next_to(core), stream, from, limit, bytes_max })
    }

    fn watch(&mut self, core: CoreId, stream: StreamKey) -> Command {
        if !self.routes.is_empty() && self.rng.chance(1, 3) {
            let at = self.rng.index(self.routes.len());
            let (core, route) = self.routes.swap_remove(at);
            self.requests += 1;
            return Command::Unwatch { core, route };
        }
        let to = self.next_to(core);
        let route = to.request;
        self.routes.push((core, route));
        let target = match self.rng.below(4) {
            0 => {
                let text = self.rng.pick(&["**", "s*", "deep/**"]);
                let pattern = StreamPattern::parse(stream.bucket, text).expect("a valid pattern");
                WatchTarget::Pattern(pattern)
            }
            _ => WatchTarget::Stream(stream),
        };
        Command::Watch { to, route, target }
    }

    fn look(&mut self, core: CoreId, stream: StreamKey) -> Command {
        let to = self.next_to(core);
        match self.rng.below(6) {
            0 => Command::ListBuckets { to, page: self.page() },
            1 | 2 => {
                let bucket =
                    BucketName::parse(["one", "two", "none"][self.rng.index(3)]).expect("a valid name");
                Command::ListStreams { to, bucket, page: self.page() }
            }
            3 => {
                let (events, bytes) = (self.rng.below(6) as u32, self.rng.below(4096) as u32);
                Command::SetTail { stream, events, bytes }
            }
            4 => Command::Stats { to },
            _ => Command::Describe { to, stream },
        }
    }

    fn page(&mut self) -> ListPage {
        let whole = self.rng.coin();
        let mut pick = |texts: &[&str]| {
            if whole { String::new() } else { (*self.rng.pick(texts)).to_owned() }
        };
        let (prefix, after) = (pick(&["", "s", "deep/", "o"]), pick(&["", "s1", "one", "zzz"]));
        ListPage { prefix, after, limit: if whole { 16 } else { 1 + self.rng.index(4) } }
    }
}
