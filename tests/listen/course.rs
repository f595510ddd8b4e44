//! Many events read quickly: each is checked to be the next one, or to be told as missing.
//!
//! The writers of these tests are alone on their stream and put every event's number into it, `{"n":ID}`, so
//! that number and content must agree.

use serde::Deserialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// One item of an array: an event or a gap.
#[derive(Deserialize)]
struct Item {
    meta: Meta,
    data: Option<Body>,
}

#[derive(Deserialize)]
struct Meta {
    id: Option<u64>,
    t: Option<u64>,
    gap: Option<Gap>,
}

#[derive(Deserialize)]
struct Gap {
    from: u64,
    to: u64,
}

#[derive(Deserialize)]
struct Body {
    n: u64,
}

/// What one listener of one stream heard, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course {
    /// The last event that came or was told as missing.
    pub(crate) last: u64,
    /// Events that came.
    pub(crate) events: u64,
    /// Events that were told as missing.
    pub(crate) missed: u64,
    /// When the last event was stored, in milliseconds since 1970.
    stored_ms: u64,
}

impl Course {
    /// A course that goes on behind `last`.
    pub(crate) fn after(last: u64) -> Course {
        Course { last, ..Course::default() }
    }

    /// Notes an array; whatever is in it must follow what came before.
    pub(crate) fn note(&mut self, array: &[u8]) {
        let items: Vec<Item> = serde_json::from_slice(array).expect("an array of items");
        assert!(!items.is_empty(), "no array is empty");
        for item in items {
            if let Some(gap) = item.meta.gap {
                assert!(gap.from == self.last + 1 && gap.to >= gap.from, "a gap behind {}", self.last);
                self.missed += gap.to - self.last;
                self.last = gap.to;
                continue;
            }
            let id = item.meta.id.expect("an event has a number");
            assert_eq!(id, self.last + 1, "each event comes once and in order");
            assert_eq!(item.data.map(|body| body.n), Some(id), "it is the event that was posted");
            self.stored_ms = item.meta.t.expect("an event has a time");
            self.last = id;
            self.events += 1;
        }
    }

    /// How old the last event is, in milliseconds.
    pub(crate) fn lag_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        u64::try_from(now.as_millis()).expect("not that late").saturating_sub(self.stored_ms)
    }
}

/// The lines of the events `first..first + count`, each with `pad` more bytes.
pub(crate) fn lines(first: u64, count: u64, pad: usize) -> Vec<String> {
    let pad = "x".repeat(pad);
    (first..first + count).map(|n| format!("{{\"n\":{n},\"pad\":\"{pad}\"}}")).collect()
}

/// A number from the environment.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}
