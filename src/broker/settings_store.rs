//! Where settings live: the `$meta` bucket, one stream per bucket or stream that has any.
//!
//! A change is appended there, durably, then told to every core over a queue of its own (changes are rare),
//! and acknowledged when all have it. At start each core loads the newest event of every such stream. Two
//! changes of one scope may reach a core in any order: the one with the greater event wins everywhere.

use super::settings::{Settings, Version};
use super::{AppendRequest, Broker, Effective, MemoryAck, ReadRequest, Scope};
use crate::sys::executor::{Queue, spawn};
use crate::sys::post;
use bytes::Bytes;
use engine::{AckLevel, Command, ListPage, ReadFrom, StreamDescription};
use std::rc::{Rc, Weak};
use types::{BucketName, Drafts, EventDraft, Failure, StreamKey, StreamName};

/// The bucket that belongs to the server.
const META_BUCKET: &str = "$meta";
/// Streams of bucket settings: `settings/b/<bucket>`.
const OF_BUCKET: &str = "settings/b/";
/// Streams of stream settings: `settings/s/<bucket>/<stream>`.
const OF_STREAM: &str = "settings/s/";
/// Names that one step of loading asks for.
const LOAD_NAMES: usize = 1000;

/// A change on its way to a core.
struct Change {
    scope: Scope,
    version: Version,
    settings: Settings,
    applied: post::Sender<()>,
}

/// One core's end of the way that changes take; may be sent to it.
pub(super) struct Port {
    inbox: post::Receiver<Change>,
    peers: Peers,
}

/// The way to every core, this one included.
pub(super) struct Peers(Vec<post::Sender<Change>>);

/// Changes that other cores tell.
pub(super) struct Inbox(post::Receiver<Change>);

/// The ports of all cores; core `n` takes the `n`th.
pub(super) fn ports(core_count: u16) -> Vec<Port> {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..core_count).map(|_| post::channel()).unzip();
    receivers.into_iter().map(|inbox| Port { inbox, peers: Peers(senders.clone()) }).collect()
}

impl Port {
    pub(super) fn split(self) -> (Inbox, Peers) {
        (Inbox(self.inbox), self.peers)
    }
}

/// Starts the task that takes changes over.
pub(super) fn start(broker: &Rc<Broker>, inbox: Inbox) {
    spawn(Queue::Net, take_changes(Rc::downgrade(broker), inbox));
}

async fn take_changes(broker: Weak<Broker>, Inbox(mut inbox): Inbox) {
    while let Some(change) = inbox.recv().await {
        let Some(broker) = broker.upgrade() else { return };
        broker.apply_settings(change.scope, change.version, change.settings);
        change.applied.send(());
    }
}

impl Broker {
    /// What was set for a scope, and what holds there.
    pub fn settings(&self, scope: &Scope) -> (Settings, Effective) {
        let table = self.settings.borrow();
        (table.own(scope), table.effective(scope))
    }

    /// Replaces what is set for a scope; durable and known to every core when it returns.
    ///
    /// # Errors
    /// [`Failure::InvalidSetting`] when the names are too long to be kept together; the engine's failures.
    pub async fn put_settings(self: &Rc<Self>, scope: Scope, settings: Settings) -> Result<(), Failure> {
        let stream = stream_of(&scope)?;
        let payload = Bytes::from(settings.to_json().to_string());
        let request = AppendRequest {
            stream: stream.clone(),
            drafts: Drafts::from([EventDraft::json(payload)]),
            expect: None,
            idempotency: None,
            ack: AckLevel::Fsync,
        };
        let appended = self.append(request).await?;
        // The epoch orders this event with those of an earlier life of the stream.
        let epoch = self.describe(stream).await?.map(|description| description.epoch).unwrap_or_default();
        let (applied, mut all_applied) = post::channel();
        for peer in &self.peers.0 {
            let (scope, applied) = (scope.clone(), applied.clone());
            peer.send(Change { scope, version: (epoch, appended.first), settings, applied });
        }
        drop(applied);
        for _ in &self.peers.0 {
            // A core that has stopped gives no answer and needs no settings.
            if all_applied.recv().await.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Whether the stream's settings let a request be answered before its events are on disk.
    pub(super) fn allows_memory_ack(&self, stream: &StreamKey) -> bool {
        self.settings.borrow().effective_of(stream).ack == MemoryAck::Allowed
    }

    /// Events and bytes of a stream to keep in memory, where its shard has to be told.
    pub(super) fn tail_of(&self, stream: &StreamKey) -> Option<(u32, u32)> {
        self.settings.borrow().tail_of(stream)
    }

    fn apply_settings(&self, scope: Scope, version: Version, settings: Settings) {
        self.settings.borrow_mut().apply(scope.clone(), version, settings);
        // Streams with settings of their own learn it now, the others with their next append, before which it
        // would change nothing. One core tells them.
        let is_told_here = |stream: &StreamKey| {
            let shard = self.link.shard_of(stream);
            (self.link.table().core_of(shard) == self.link.core()).then_some(shard)
        };
        let table = self.settings.borrow();
        let concerned: Vec<StreamKey> = match &scope {
            Scope::Stream(stream) => vec![stream.clone()],
            Scope::Bucket(bucket) => table.streams().filter(|key| key.bucket == *bucket).cloned().collect(),
        };
        for stream in concerned {
            let effective = table.effective_of(&stream);
            let (events, bytes) = (effective.tail_events, effective.tail_bytes);
            if let Some(shard) = is_told_here(&stream) {
                self.link.submit(shard, Command::SetTail { stream, events, bytes });
            }
        }
    }

    /// Reads the newest settings of everything that has any.
    pub(super) async fn load_settings(self: &Rc<Self>) {
        let bucket = BucketName::parse(META_BUCKET).expect("a valid name");
        let mut after = String::new();
        loop {
            let page = ListPage { prefix: "settings/".to_owned(), after, limit: LOAD_NAMES };
            let listing = self.list_streams(&bucket, page).await;
            let Some(last) = listing.items.last() else { return };
            after = last.key.stream.as_str().to_owned();
            for description in listing.items {
                if let Err(reason) = self.load_one(&description).await {
                    eprintln!("millrace: settings in {} are not applied: {reason}", description.key);
                }
            }
        }
    }

    async fn load_one(self: &Rc<Self>, description: &StreamDescription) -> Result<(), String> {
        let scope = scope_of(&description.key.stream).ok_or("the name says of nothing that has settings")?;
        let request = ReadRequest {
            stream: description.key.clone(),
            from: ReadFrom::Newest,
            limit: 1,
            bytes_max: usize::MAX,
        };
        let reply = self.read(request).await.map_err(|failure| failure.reason().to_owned())?;
        let Some(record) = reply.records.first() else {
            // Trimmed or damaged: what cannot be read is not set.
            return Err("the newest event cannot be read".to_owned());
        };
        let settings = Settings::parse(record.payload()).map_err(|failure| failure.reason().to_owned())?;
        self.apply_settings(scope, (reply.epoch, record.seq()), settings);
        Ok(())
    }
}

/// The stream that keeps a scope's settings.
fn stream_of(scope: &Scope) -> Result<StreamKey, Failure> {
    let name = match scope {
        Scope::Bucket(bucket) => format!("{OF_BUCKET}{bucket}"),
        Scope::Stream(stream) => format!("{OF_STREAM}{stream}"),
    };
    let stream = StreamName::parse(&name).map_err(|error| Failure::InvalidSetting {
        field: "stream".to_owned(),
        value: name.clone(),
        detail: format!("the name that settings are kept under is not possible: {error}").into(),
    })?;
    let bucket = BucketName::parse(META_BUCKET).expect("a valid name");
    Ok(StreamKey { bucket, stream })
}

/// The inverse of [`stream_of`].
fn scope_of(stream: &StreamName) -> Option<Scope> {
    if let Some(bucket) = stream.as_str().strip_prefix(OF_BUCKET) {
        return BucketName::parse(bucket).ok().map(Scope::Bucket);
    }
    let (bucket, stream) = stream.as_str().strip_prefix(OF_STREAM)?.split_once('/')?;
    StreamKey::parse(bucket, stream).ok().map(Scope::Stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_scope_names_the_scope_again() {
        for scope in [
            Scope::Bucket(BucketName::parse("iot").expect("a valid name")),
            Scope::Stream(StreamKey::parse("iot", "house1/temp").expect("a valid name")),
        ] {
            let stream = stream_of(&scope).expect("short names");
            assert!(stream.bucket.is_internal());
            assert_eq!(scope_of(&stream.stream), Some(scope));
        }
        let other = StreamName::parse("settings/x/y").expect("a valid name");
        assert_eq!(scope_of(&other), None);
    }

    #[test]
    fn names_too_long_to_be_kept_together_are_refused() {
        let long = "x".repeat(300);
        let scope = Scope::Stream(StreamKey::parse(&long, &long).expect("a valid name"));
        assert!(matches!(stream_of(&scope), Err(Failure::InvalidSetting { .. })));
    }
}
