//! What has been heard: prints items, counts events, and knows where each stream goes on.
//!
//! The forms call [`Feed::take_array`] for every array and [`Feed::target`] for every connection. A position
//! moves only after its item was written and flushed.

use super::super::address::Target;
use super::super::error::{CliError, Exit};
use super::super::verbs::{items, write_line};
use super::Ended;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// One stream, or a glob of streams, that is listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Subscription {
    bucket: String,
    stream: String,
    /// The id to go on with; `None` is "from now on".
    from: Option<u64>,
}

/// The state of a listener over all its connections.
pub(crate) struct Feed {
    subscriptions: Vec<Subscription>,
    /// The server's own mark of all positions, where the form has one (SSE).
    pub(crate) last_event_id: Option<String>,
    /// Connections that were accepted.
    pub(crate) connections: u64,
    events_left: Option<u64>,
    hole_told: bool,
    out: Box<dyn Write>,
}

impl Feed {
    /// A feed to stdout of the streams given as `bucket:stream[:from]`.
    ///
    /// # Errors
    /// [`Exit::Usage`]: one of them has no bucket or no stream.
    pub(crate) fn new(streams: &[String], from: Option<u64>, limit: Option<u64>) -> Result<Feed, CliError> {
        Feed::to(Box::new(io::stdout()), streams, from, limit)
    }

    /// As [`Feed::new`], to another writer.
    ///
    /// # Errors
    /// As [`Feed::new`].
    pub(crate) fn to(
        out: Box<dyn Write>,
        streams: &[String],
        from: Option<u64>,
        limit: Option<u64>,
    ) -> Result<Feed, CliError> {
        let subscriptions =
            streams.iter().map(|text| subscription(text, from)).collect::<Result<Vec<_>, _>>()?;
        let (last_event_id, connections) = (None, 0);
        Ok(Feed { subscriptions, last_event_id, connections, events_left: limit, hole_told: false, out })
    }

    /// The request target of the next connection: every stream from where it stands. A stream that is
    /// malformed or forbidden is an error rather than silently left out, and gaps are told.
    pub(crate) fn target(&self) -> Target {
        let target = Target::path("/listen").query("strict", "true").query("gaps", "true");
        self.subscriptions.iter().fold(target, |target, subscription| {
            let Subscription { bucket, stream, from } = subscription;
            match from {
                Some(from) => target.query("s", format!("{bucket}:{stream}:{from}")),
                None => target.query("s", format!("{bucket}:{stream}")),
            }
        })
    }

    /// Prints the items of an array; tells when the limit is reached.
    ///
    /// # Errors
    /// [`Exit::Refused`] for what is no array of items, [`Exit::Io`] when they cannot be written.
    pub(crate) fn take_array(&mut self, array: &[u8]) -> Result<Option<Ended>, CliError> {
        let mut text = Vec::new();
        let mut heard = Vec::new();
        for item in items(array)? {
            if self.events_left == Some(0) {
                break;
            }
            let meta = meta_of(&item)?;
            write_line(&mut text, item.get())?;
            if meta["id"].is_u64() {
                self.events_left = self.events_left.map(|left| left - 1);
            }
            heard.push(meta);
        }
        let written = self.out.write_all(&text).and_then(|()| self.out.flush());
        written.map_err(|error| CliError::output(&error))?;
        heard.iter().for_each(|meta| self.advance(meta));
        Ok((self.events_left == Some(0)).then_some(Ended::LimitReached))
    }

    /// Moves the position of the stream that an item belongs to.
    fn advance(&mut self, meta: &Value) {
        let next = if let Some(id) = meta["id"].as_u64() {
            id.saturating_add(1)
        } else if let Some(to) = meta["gap"]["to"].as_u64() {
            to.saturating_add(1)
        } else if meta["reset"].is_object() {
            1
        } else {
            return;
        };
        for subscription in &mut self.subscriptions {
            if meta["bucket"] == *subscription.bucket && meta["stream"] == *subscription.stream {
                subscription.from = Some(next);
            }
        }
    }

    /// A sentence, once, if the next connection cannot resume everything: no mark of the server, and a stream
    /// (or a glob) of which nothing was heard.
    pub(crate) fn take_hole_warning(&mut self) -> Option<String> {
        let is_open = |subscription: &&Subscription| subscription.from.is_none();
        let open = self.subscriptions.iter().find(is_open).filter(|_| self.last_event_id.is_none())?;
        let warning = format!(
            "events of {}:{} that come before the next connection may be missed; name a first id to be sure",
            open.bucket, open.stream
        );
        let is_first = !std::mem::replace(&mut self.hole_told, true);
        is_first.then_some(warning)
    }
}

/// The `meta` of an item; its payload is not taken apart.
fn meta_of(item: &RawValue) -> Result<Value, CliError> {
    let foreign =
        |error| CliError::new(Exit::Refused, format!("the server sent an item without meta: {error}"));
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(item.get()).map_err(foreign)?;
    let meta = members.get("meta").map_or("null", |meta| meta.get());
    serde_json::from_str(meta).map_err(foreign)
}

/// Parses `bucket:stream[:from]`. A stream's name may hold colons; digits behind the last one are a position.
fn subscription(text: &str, from: Option<u64>) -> Result<Subscription, CliError> {
    let usage = |reason: &str| {
        CliError::new(Exit::Usage, format!("{text:?}: {reason}"))
            .next("name streams as bucket:stream or bucket:stream:from")
    };
    let (bucket, rest) = text.split_once(':').ok_or_else(|| usage("a bucket alone is no stream"))?;
    let (stream, from) = match rest.rsplit_once(':').map(|(stream, last)| (stream, last.parse::<u64>())) {
        Some((stream, Ok(from))) => (stream, Some(from)),
        _ => (rest, from),
    };
    if bucket.is_empty() || stream.is_empty() {
        return Err(usage("bucket and stream must not be empty"));
    }
    Ok(Subscription { bucket: bucket.to_owned(), stream: stream.to_owned(), from })
}
