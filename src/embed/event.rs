//! What an embedding program appends.
//!
//! The same rules as over HTTP: JSON is validated and kept byte for byte, anything else is kept with its
//! media type.

use super::error::Error;
use crate::faces::http::{check_json, digest};
use bytes::Bytes;
use types::{EventDraft, Failure, Idempotency, Limits, SeqNum};

/// An event to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event(pub(super) EventDraft);

impl Event {
    /// A JSON event: one JSON value of any kind, kept as it is written.
    ///
    /// # Errors
    /// [`Failure::InvalidBody`] when it is not UTF-8 or no JSON.
    pub fn json(text: impl Into<Bytes>) -> Result<Event, Error> {
        let text = text.into();
        check_json(&text).map_err(|detail| Failure::InvalidBody { detail: detail.into() })?;
        Ok(Event(EventDraft::json(text)))
    }

    /// An event of any other media type, such as `image/png`.
    pub fn binary(payload: impl Into<Bytes>, content_type: impl Into<Bytes>) -> Event {
        Event(EventDraft::binary(payload.into(), content_type.into()))
    }

    /// With the event that it follows from, as `bucket/stream/number`; it need not exist.
    #[must_use]
    pub fn with_parent(mut self, parent: impl Into<Bytes>) -> Event {
        self.0.parent = Some(parent.into());
        self
    }
}

/// How events are appended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendOptions {
    /// Append only if this is the stream's last sequence number; `SeqNum::ZERO`: only if it has none.
    pub expect_last: Option<SeqNum>,
    /// Makes a retry safe: under the same key the same events are appended once, also across restarts, and
    /// other events are refused. At most `Limits::idempotency_key_bytes_max` bytes.
    pub idempotency_key: Option<Bytes>,
}

/// The bounds that a face checks before a shard hears of an append.
pub(super) fn check(events: &[EventDraft], options: &AppendOptions, limits: &Limits) -> Result<(), Failure> {
    if events.is_empty() {
        return Err(Failure::InvalidBody { detail: "no event to append".into() });
    }
    if events.len() > limits.append_events_max {
        return Err(Failure::TooLarge { limit: limits.append_events_max as u64 });
    }
    let is_long =
        |text: &Option<Bytes>| text.as_ref().is_some_and(|text| text.len() > limits.event_header_bytes_max);
    if events.iter().any(|event| is_long(&event.content_type) || is_long(&event.parent)) {
        return Err(Failure::TooLarge { limit: limits.event_header_bytes_max as u64 });
    }
    let bytes: usize = events.iter().map(|event| event.payload.len()).sum();
    if bytes > limits.body_bytes_max {
        return Err(Failure::TooLarge { limit: limits.body_bytes_max as u64 });
    }
    let is_fit = |key: &Bytes| (1..=limits.idempotency_key_bytes_max).contains(&key.len());
    match &options.idempotency_key {
        Some(key) if !is_fit(key) => {
            let value = String::from_utf8_lossy(key).into_owned();
            Err(Failure::InvalidField { field: "idempotency_key".into(), value })
        }
        _ => Ok(()),
    }
}

/// The key with a digest of everything that would be stored. Of a single JSON event it is the digest that an
/// HTTP request with the same body has.
pub(super) fn idempotency(key: Bytes, events: &[EventDraft]) -> Idempotency {
    let parts = events.iter().map(|event| {
        let content_type = event.content_type.as_deref().unwrap_or(b"application/json");
        (content_type, &event.payload[..])
    });
    Idempotency { key, digest: digest(parts) }
}
