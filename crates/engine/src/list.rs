//! Listings, in slices, so that a shard with a million streams is never held up.
//!
//! A listing walks the slab and keeps the smallest names that fit the page; it sees every stream that
//! existed all the while, and may or may not see one that came or went meanwhile.

use crate::command::{Effect, ListPage, Reply, ReplyTo, StreamDescription};
use crate::machine::Engine;
use crate::stream::Stream;
use std::collections::{BTreeMap, BTreeSet};
use types::{BucketName, StreamKey};

/// Slots that one turn looks at.
const SLOTS_PER_TURN: u32 = 4096;

#[derive(Debug)]
pub(crate) struct ListJob {
    to: ReplyTo,
    page: ListPage,
    at: u32,
    found: Found,
}

#[derive(Debug)]
enum Found {
    Buckets(BTreeSet<BucketName>),
    Streams(BucketName, BTreeMap<StreamKey, StreamDescription>),
}

impl ListJob {
    pub(crate) fn buckets(to: ReplyTo, page: ListPage) -> ListJob {
        ListJob { to, page, at: 0, found: Found::Buckets(BTreeSet::new()) }
    }

    pub(crate) fn streams(to: ReplyTo, bucket: BucketName, page: ListPage) -> ListJob {
        ListJob { to, page, at: 0, found: Found::Streams(bucket, BTreeMap::new()) }
    }

    fn look(&mut self, stream: &Stream) {
        let (page, limit) = (&self.page, self.page.limit);
        let wanted = |name: &str| name.starts_with(&page.prefix) && *name > *page.after;
        match &mut self.found {
            Found::Buckets(names) => {
                let bucket = &stream.key.bucket;
                if wanted(bucket.as_str()) && !names.contains(bucket) {
                    names.insert(bucket.clone());
                    if names.len() > limit {
                        names.pop_last();
                    }
                }
            }
            Found::Streams(bucket, streams) => {
                if stream.key.bucket == *bucket && wanted(stream.key.stream.as_str()) {
                    let beyond = streams.len() >= limit
                        && streams.last_key_value().is_some_and(|(k, _)| *k < stream.key);
                    if !beyond && limit > 0 {
                        streams.insert(stream.key.clone(), describe(stream));
                        if streams.len() > limit {
                            streams.pop_last();
                        }
                    }
                }
            }
        }
    }

    fn into_reply(self) -> Effect {
        let reply = match self.found {
            Found::Buckets(names) => Reply::Buckets(names.into_iter().collect()),
            Found::Streams(_, streams) => Reply::Streams(streams.into_values().collect()),
        };
        Effect::Reply { to: self.to, reply }
    }
}

pub(crate) fn describe(stream: &Stream) -> StreamDescription {
    StreamDescription {
        key: stream.key.clone(),
        epoch: stream.epoch,
        first: stream.first,
        last: stream.last(),
        bytes: stream.bytes,
        last_time: stream.last_time,
    }
}

impl Engine {
    pub(crate) fn start_list(&mut self, mut job: ListJob) {
        job.page.limit = job.page.limit.min(self.limits.list_names_max);
        self.lists.push_back(job);
    }

    /// Walks one slice of the oldest listing.
    pub(crate) fn step_lists(&mut self, out: &mut Vec<Effect>) {
        let Some(mut job) = self.lists.pop_front() else { return };
        let end = self.catalog.slots_end();
        let upto = job.at.saturating_add(SLOTS_PER_TURN).min(end);
        for slot in job.at..upto {
            if let Some(stream) = self.catalog.slot(slot).filter(|stream| stream.exists()) {
                job.look(stream);
            }
        }
        job.at = upto;
        if job.at < end {
            self.lists.push_back(job);
        } else {
            out.push(job.into_reply());
        }
    }

    pub(crate) fn describe(&self, key: &StreamKey) -> Option<StreamDescription> {
        let slot = self.catalog.find(key)?;
        let stream = &self.catalog[slot];
        stream.exists().then(|| describe(stream))
    }
}
