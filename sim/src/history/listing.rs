//! Descriptions and listings: ordered, within their page, up to date, and nothing that was never written.
//!
//! A listing is not a snapshot: it is judged by what existed throughout, and by what can have existed at some
//! moment between question and answer.

use super::model::Floor;
use super::{Checked, History, Law};
use engine::{ListPage, StreamDescription};
use std::collections::BTreeMap;
use types::{BucketName, SeqNum, ShardId, StreamKey};

impl History {
    pub(super) fn floors_of(&self, shard: ShardId, bucket: &BucketName) -> BTreeMap<StreamKey, Floor> {
        let here = |key: &StreamKey| key.bucket == *bucket && self.owners.get(key) == Some(&shard);
        self.streams
            .iter()
            .filter(|(key, _)| here(key))
            .map(|(key, stream)| (key.clone(), stream.floor()))
            .collect()
    }

    pub(super) fn described(
        &mut self,
        key: &StreamKey,
        floor: Floor,
        described: Option<&StreamDescription>,
    ) -> Checked {
        let Some(found) = described else {
            if self.streams[key].holds(&floor) && floor.tail > SeqNum::ZERO {
                return self.broken(Law::Stale, format!("{key} has {} and is not found", floor.tail));
            }
            return Ok(());
        };
        if found.key != *key {
            return self.broken(Law::WrongReply, format!("{key} is described as {found:?}"));
        }
        self.check_description(floor, found)
    }

    pub(super) fn buckets_listed(&self, page: &ListPage, names: &[BucketName]) -> Checked {
        let texts: Vec<&str> = names.iter().map(BucketName::as_str).collect();
        self.check_page(page, &texts)
    }

    pub(super) fn streams_listed(
        &mut self,
        shard: ShardId,
        bucket: &str,
        page: &ListPage,
        floors: &BTreeMap<StreamKey, Floor>,
        found: &[StreamDescription],
    ) -> Checked {
        let texts: Vec<&str> = found.iter().map(|found| found.key.stream.as_str()).collect();
        self.check_page(page, &texts)?;
        for description in found {
            let key = &description.key;
            let wrong_place = key.bucket.as_str() != bucket || self.owners.get(key) != Some(&shard);
            if wrong_place || !self.streams.contains_key(key) {
                return self.broken(Law::Invented, format!("{key} is listed in {bucket} by {shard}"));
            }
            let floor = floors.get(key).copied().unwrap_or_default();
            self.check_description(floor, description)?;
        }
        let whole = page.prefix.is_empty() && page.after.is_empty() && found.len() < page.limit;
        for (key, floor) in floors.iter().filter(|_| whole) {
            let must_be = self.streams[key].holds(floor) && floor.tail > SeqNum::ZERO;
            if must_be && !found.iter().any(|found| found.key == *key) {
                return self.broken(Law::Stale, format!("{key} has {} and is not listed", floor.tail));
            }
        }
        Ok(())
    }

    fn check_page(&self, page: &ListPage, names: &[&str]) -> Checked {
        let ascending = names.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = |name: &&str| name.starts_with(&page.prefix) && **name > *page.after;
        if ascending && names.iter().all(inside) && names.len() <= page.limit {
            return Ok(());
        }
        self.broken(Law::WrongReply, format!("{page:?} gives {names:?}"))
    }

    fn check_description(&self, floor: Floor, found: &StreamDescription) -> Checked {
        if found.first > found.last.next() {
            return self.broken(Law::WrongReply, format!("{found:?}"));
        }
        let holds = self.streams.get(&found.key).is_some_and(|stream| stream.holds(&floor));
        if holds && found.last < floor.tail {
            return self.broken(Law::Stale, format!("{found:?}, known was {}", floor.tail));
        }
        if holds && found.first < floor.first {
            return self.broken(Law::Untrimmed, format!("{found:?}, trimmed to {}", floor.first));
        }
        Ok(())
    }
}
