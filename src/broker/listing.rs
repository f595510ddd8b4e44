//! Listings: every shard is asked, the answers are merged, sorted and without duplicates.
//!
//! A shard that cannot answer makes the listing partial instead of failing it. Names that begin with `$` are
//! listed only when the prefix asks for them.

use super::Broker;
use crate::shard::PendingReply;
use engine::{Command, ListPage, Reply, ReplyTo, ShardStats, StreamDescription};
use std::rc::Rc;
use types::{BucketName, ShardId};

/// Internal buckets that may lie between others; so many names more are asked for, to be hidden.
const HIDDEN_NAMES_MAX: usize = 16;

/// Names of all shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// Ascending, each once.
    pub items: Vec<T>,
    /// Whether every shard answered.
    pub is_complete: bool,
}

/// Streams of a bucket.
pub type StreamListing = Listing<StreamDescription>;

impl Broker {
    /// The buckets that have streams.
    pub async fn list_buckets(self: &Rc<Self>, page: ListPage) -> Listing<BucketName> {
        let asked = widened(&page);
        let replies = self.ask_all(|to| Command::ListBuckets { to, page: asked.clone() }).await;
        let names = replies.into_iter().map(|(_, reply)| match reply {
            Reply::Buckets(names) => Some(names),
            _ => None,
        });
        merged(names, &page, |name| name.clone(), BucketName::as_str)
    }

    /// The streams of a bucket.
    pub async fn list_streams(self: &Rc<Self>, bucket: &BucketName, page: ListPage) -> StreamListing {
        let asked = widened(&page);
        let ask = |to| Command::ListStreams { to, bucket: bucket.clone(), page: asked.clone() };
        let replies = self.ask_all(ask).await;
        let streams = replies.into_iter().map(|(_, reply)| match reply {
            Reply::Streams(streams) => Some(streams),
            _ => None,
        });
        merged(streams, &page, |stream| stream.key.clone(), |stream| stream.key.stream.as_str())
    }

    /// The figures of every shard that answers.
    pub async fn stats(self: &Rc<Self>) -> Vec<(ShardId, ShardStats)> {
        let replies = self.ask_all(|to| Command::Stats { to }).await;
        let stats = replies.into_iter().filter_map(|(shard, reply)| match reply {
            Reply::Stats(stats) => Some((shard, *stats)),
            _ => None,
        });
        stats.collect()
    }

    /// Asks every shard at once.
    async fn ask_all(self: &Rc<Self>, command: impl Fn(ReplyTo) -> Command) -> Vec<(ShardId, Reply)> {
        let mut pending: Vec<(ShardId, PendingReply)> = Vec::new();
        for shard in self.link.shards() {
            self.link.room(shard).await;
            let (to, reply) = self.link.request();
            self.link.submit(shard, command(to));
            pending.push((shard, reply));
        }
        let mut replies = Vec::with_capacity(pending.len());
        for (shard, reply) in pending {
            replies.push((shard, reply.await));
        }
        replies
    }
}

/// The page to ask shards for, so that hidden names do not make it short.
fn widened(page: &ListPage) -> ListPage {
    ListPage { limit: page.limit.saturating_add(HIDDEN_NAMES_MAX), ..page.clone() }
}

fn merged<T, K: Ord>(
    parts: impl Iterator<Item = Option<Vec<T>>>,
    page: &ListPage,
    key: impl Fn(&T) -> K,
    name: impl Fn(&T) -> &str,
) -> Listing<T> {
    let hides_internal = !page.prefix.starts_with('$');
    let mut listing = Listing { items: Vec::new(), is_complete: true };
    for part in parts {
        match part {
            Some(items) => listing.items.extend(items),
            None => listing.is_complete = false,
        }
    }
    listing.items.retain(|item| !(hides_internal && name(item).starts_with('$')));
    listing.items.sort_by_cached_key(&key);
    listing.items.dedup_by(|a, b| key(a) == key(b));
    listing.items.truncate(page.limit);
    listing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Option<Vec<BucketName>> {
        Some(texts.iter().map(|text| BucketName::parse(text).expect("a valid name")).collect())
    }

    fn check(parts: Vec<Option<Vec<BucketName>>>, prefix: &str, limit: usize, expected: &[&str]) -> bool {
        let page = ListPage { prefix: prefix.to_owned(), after: String::new(), limit };
        let listing = merged(parts.into_iter(), &page, Clone::clone, BucketName::as_str);
        let found: Vec<&str> = listing.items.iter().map(BucketName::as_str).collect();
        assert_eq!(found, expected);
        listing.is_complete
    }

    #[test]
    fn the_names_of_all_shards_are_sorted_and_each_stands_once() {
        assert!(check(vec![names(&["b", "d"]), names(&["a", "b"])], "", 9, &["a", "b", "d"]));
        assert!(check(vec![names(&["b", "d"]), names(&["a", "b"])], "", 2, &["a", "b"]));
    }

    #[test]
    fn internal_names_are_listed_only_when_asked_for() {
        check(vec![names(&["$meta", "a"])], "", 1, &["a"]);
        check(vec![names(&["$meta"])], "$", 9, &["$meta"]);
    }

    #[test]
    fn a_shard_that_does_not_answer_makes_the_listing_partial() {
        assert!(!check(vec![names(&["a"]), None], "", 9, &["a"]));
    }
}
