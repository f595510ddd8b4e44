//! What somebody may do, compiled from all their roles: asked for every request.
//!
//! Each role's grants are compiled once for each change of the role and shared by all who have it. A question
//! costs two look-ups a role and the globs of one bucket. The server's own names (`$…`) are covered by no
//! grant on every bucket.

use super::permission::{Permission, Permissions};
use super::record::Record;
use super::resource::Resource;
use hashbrown::HashMap;
use std::rc::Rc;
use types::{BucketName, StreamKey, StreamName, StreamPattern};
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

/// The hash of names that a client chose is fixed, and the number of names is bounded by the grants that an
/// administrator gave: a flood of collisions cannot be made from outside.
type Map<K, V> = HashMap<K, V, Xxh3DefaultBuilder>;

/// What somebody may do: what any of their roles may.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    is_admin: bool,
    roles: Vec<Rc<RoleRights>>,
}

/// What was granted to one role.
#[derive(Clone, Debug, Default)]
pub struct RoleRights {
    any: Permissions,
    buckets: Map<BucketName, InBucket>,
}

#[derive(Clone, Debug, Default)]
struct InBucket {
    whole: Permissions,
    streams: Map<StreamName, Permissions>,
    globs: Vec<(StreamPattern, Permissions)>,
}

impl RoleRights {
    /// Compiles a role's grants. A glob that does not parse covers nothing; none was ever taken.
    pub fn of(record: &Record) -> RoleRights {
        let mut rights = RoleRights::default();
        for (resource, permissions) in &record.grants {
            let Some(bucket) = resource.bucket() else {
                rights.any = rights.any.union(*permissions);
                continue;
            };
            let here = rights.buckets.entry(bucket.clone()).or_default();
            match resource {
                Resource::Any | Resource::Bucket(_) => here.whole = here.whole.union(*permissions),
                Resource::Stream(stream) => {
                    here.streams.insert(stream.stream.clone(), *permissions);
                }
                Resource::Glob(bucket, glob) => {
                    let pattern = StreamPattern::parse(bucket.clone(), glob.as_str());
                    here.globs.extend(pattern.ok().map(|pattern| (pattern, *permissions)));
                }
            }
        }
        rights
    }

    fn allow_bucket(&self, permission: Permission, bucket: &BucketName) -> bool {
        (self.any.has(permission) && !bucket.is_internal())
            || self.buckets.get(bucket).is_some_and(|here| here.whole.has(permission))
    }

    fn allow_stream(&self, permission: Permission, stream: &StreamKey) -> bool {
        if self.any.has(permission) && !stream.bucket.is_internal() {
            return true;
        }
        let Some(here) = self.buckets.get(&stream.bucket) else { return false };
        here.whole.has(permission)
            || here.streams.get(&stream.stream).is_some_and(|held| held.has(permission))
            || here
                .globs
                .iter()
                .any(|(glob, held)| held.has(permission) && glob.matches_name(stream.stream.as_str()))
    }

    fn allow_pattern(&self, permission: Permission, pattern: &StreamPattern) -> bool {
        let by_glob = |here: &InBucket| {
            here.globs.iter().any(|(glob, held)| held.has(permission) && glob.covers(pattern))
        };
        self.allow_bucket(permission, &pattern.bucket)
            || self.buckets.get(&pattern.bucket).is_some_and(by_glob)
    }
}

impl Rights {
    /// The rights of these roles together.
    pub(super) fn new(is_admin: bool, roles: Vec<Rc<RoleRights>>) -> Rights {
        Rights { is_admin, roles }
    }

    /// Whether they are an administrator.
    pub fn is_admin(&self) -> bool {
        self.is_admin
    }

    /// Whether they may do this with every bucket.
    pub fn allow_any(&self, permission: Permission) -> bool {
        self.is_admin || self.roles.iter().any(|role| role.any.has(permission))
    }

    /// Whether they may do this with a whole bucket.
    pub fn allow_bucket(&self, permission: Permission, bucket: &BucketName) -> bool {
        self.is_admin || self.roles.iter().any(|role| role.allow_bucket(permission, bucket))
    }

    /// Whether they may do this with a stream.
    pub fn allow_stream(&self, permission: Permission, stream: &StreamKey) -> bool {
        self.is_admin || self.roles.iter().any(|role| role.allow_stream(permission, stream))
    }

    /// Whether they may do this with every stream that a glob can match.
    pub fn allow_pattern(&self, permission: Permission, pattern: &StreamPattern) -> bool {
        self.is_admin || self.roles.iter().any(|role| role.allow_pattern(permission, pattern))
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
