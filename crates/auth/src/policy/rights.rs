//! What somebody may do, compiled from all their roles: asked for every request.
//!
//! Made anew when the policy changes, shared by the sessions of a user. A question costs at most two look-ups
//! and the globs of one bucket. The server's own names (`$…`) are covered by no grant on every bucket.

use super::permission::{Permission, Permissions};
use super::record::Record;
use super::resource::Resource;
use hashbrown::HashMap;
use types::{BucketName, StreamKey, StreamName, StreamPattern};
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

/// The hash of names that a client chose is fixed, and the number of names is bounded by the grants that an
/// administrator gave: a flood of collisions cannot be made from outside.
type Map<K, V> = HashMap<K, V, Xxh3DefaultBuilder>;

/// What somebody may do.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    is_admin: bool,
    any: Permissions,
    buckets: Map<BucketName, InBucket>,
}

#[derive(Clone, Debug, Default)]
struct InBucket {
    whole: Permissions,
    streams: Map<StreamName, Permissions>,
    globs: Vec<(StreamPattern, Permissions)>,
}

impl Rights {
    /// Rights of somebody in the group of administrators.
    pub(super) fn set_admin(&mut self) {
        self.is_admin = true;
    }

    /// Adds what was granted to a role.
    pub(super) fn add(&mut self, record: &Record) {
        for (resource, permissions) in &record.grants {
            let Some(bucket) = resource.bucket() else {
                self.any = self.any.union(*permissions);
                continue;
            };
            let here = self.buckets.entry(bucket.clone()).or_default();
            let held = match resource {
                Resource::Any | Resource::Bucket(_) => &mut here.whole,
                Resource::Stream(stream) => here.streams.entry(stream.stream.clone()).or_default(),
                Resource::Glob(bucket, glob) => {
                    let Ok(pattern) = StreamPattern::parse(bucket.clone(), glob.as_str()) else { continue };
                    let at = here.globs.iter().position(|(known, _)| *known == pattern);
                    let at = at.unwrap_or_else(|| {
                        here.globs.push((pattern, Permissions::NONE));
                        here.globs.len() - 1
                    });
                    &mut here.globs[at].1
                }
            };
            *held = held.union(*permissions);
        }
    }

    /// Whether they are an administrator.
    pub fn is_admin(&self) -> bool {
        self.is_admin
    }

    /// Whether they may do this with every bucket.
    pub fn allow_any(&self, permission: Permission) -> bool {
        self.is_admin || self.any.has(permission)
    }

    /// Whether they may do this with a whole bucket.
    pub fn allow_bucket(&self, permission: Permission, bucket: &BucketName) -> bool {
        self.is_admin
            || (self.any.has(permission) && !bucket.is_internal())
            || self.buckets.get(bucket).is_some_and(|here| here.whole.has(permission))
    }

    /// Whether they may do this with a stream.
    pub fn allow_stream(&self, permission: Permission, stream: &StreamKey) -> bool {
        if self.allow_bucket(permission, &stream.bucket) {
            return true;
        }
        let Some(here) = self.buckets.get(&stream.bucket) else { return false };
        let of_stream = here.streams.get(&stream.stream);
        of_stream.is_some_and(|held| held.has(permission))
            || here
                .globs
                .iter()
                .any(|(glob, held)| held.has(permission) && glob.matches_name(stream.stream.as_str()))
    }

    /// Whether they may do this with every stream that a glob can match.
    pub fn allow_pattern(&self, permission: Permission, pattern: &StreamPattern) -> bool {
        let by_glob = |here: &InBucket| {
            here.globs.iter().any(|(glob, held)| held.has(permission) && glob.covers(pattern))
        };
        self.allow_bucket(permission, &pattern.bucket)
            || self.buckets.get(&pattern.bucket).is_some_and(by_glob)
    }

    /// Whether they may do this with a resource, whatever it covers.
    pub fn allow(&self, permission: Permission, resource: &Resource) -> bool {
        match resource {
            Resource::Any => self.allow_any(permission),
            Resource::Bucket(bucket) => self.allow_bucket(permission, bucket),
            Resource::Stream(stream) => self.allow_stream(permission, stream),
            Resource::Glob(bucket, glob) => StreamPattern::parse(bucket.clone(), glob.as_str())
                .is_ok_and(|pattern| self.allow_pattern(permission, &pattern)),
        }
    }

    /// Whether they may read and change users.
    pub fn allow_users(&self) -> bool {
        self.allow_any(Permission::AdminUsers)
    }
}
