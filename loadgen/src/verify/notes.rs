//! What the verifier knows: every request with its outcome, and what was seen on the way.
//!
//! Each actor keeps its own and gives them away at the end. Times are readings of one clock: `begun_ns`
//! before the first byte was sent, `ended_ns` after the answer was read.

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Acknowledged: its first event has this number.
    Stored {
        /// The first number.
        first: u64,
    },
    /// Refused: nothing of it is stored.
    Refused,
    /// Cut off, or an error that says nothing.
    Unknown,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Who sent it.
    pub(crate) writer: u32,
    /// Its number for that writer.
    pub(crate) index: u64,
    /// Where to.
    pub(crate) stream: u32,
    /// Events in it.
    pub(crate) events: u32,
    /// It was to be stored only behind this number.
    pub(crate) after: Option<u64>,
    /// Before it was sent.
    pub(crate) begun_ns: u64,
    /// After it was answered; the end of time if it never was.
    pub(crate) ended_ns: u64,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// It was answered from the memory of its idempotency key.
    pub(crate) was_replayed: bool,
}

/// An event that somebody read on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Where.
    pub(crate) stream: u32,
    /// Its number.
    pub(crate) number: u64,
    /// A hash of its bytes.
    pub(crate) digest: u64,
}

/// Notes of one actor, or of all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// All requests.
    pub(crate) requests: Vec<Request>,
    /// What was seen.
    pub(crate) seen: Vec<Seen>,
}

impl Notes {
    /// Adds another actor's.
    pub(crate) fn add(&mut self, other: Notes) {
        self.requests.extend(other.requests);
        self.seen.extend(other.seen);
    }

    /// The notes of each of `streams` streams.
    pub(crate) fn by_stream(self, streams: u32) -> Vec<Notes> {
        let mut all = vec![Notes::default(); streams as usize];
        for request in self.requests {
            all[request.stream as usize].requests.push(request);
        }
        for seen in self.seen {
            all[seen.stream as usize].seen.push(seen);
        }
        all
    }
}

/// A hash that tells different bytes apart (FNV-1a, 64 bits).
pub(crate) fn digest(content: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
    content.iter().fold(0xCBF2_9CE4_8422_2325, step)
}
