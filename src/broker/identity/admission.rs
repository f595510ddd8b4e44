//! Whether a request may be made at all, before any shard hears of it.
//!
//! Faces call it before they look at a body, because a missing permission wins over a wrong body. The names
//! of the server (`$…`) are written by nobody, and the bucket that holds users and grants is read by nobody.

use super::session::Session;
use super::store::META_BUCKET;
use crate::broker::Broker;
use auth::policy::{Permission, Resource};
use engine::WatchTarget;
use types::{BucketName, Failure, StreamKey};

impl Broker {
    /// Whether a session may do this with a stream.
    ///
    /// # Errors
    /// [`Failure::NoPermission`], or [`Failure::SessionRefused`] when the session is over.
    pub fn may(&self, session: &Session, permission: Permission, stream: &StreamKey) -> Result<(), Failure> {
        let rights = self.rights(session)?;
        let is_internal = stream.bucket.is_internal() || stream.stream.is_internal();
        let is_possible = !is_internal || is_read(permission, &stream.bucket);
        allowed(is_possible && rights.allow_stream(permission, stream))
    }

    /// Whether a session may do this with a whole bucket.
    ///
    /// # Errors
    /// As [`Broker::may`].
    pub fn may_bucket(
        &self,
        session: &Session,
        permission: Permission,
        bucket: &BucketName,
    ) -> Result<(), Failure> {
        let rights = self.rights(session)?;
        let is_possible = !bucket.is_internal() || is_read(permission, bucket);
        allowed(is_possible && rights.allow_bucket(permission, bucket))
    }

    /// Whether a session may do this with every bucket.
    ///
    /// # Errors
    /// As [`Broker::may`].
    pub fn may_any(&self, session: &Session, permission: Permission) -> Result<(), Failure> {
        allowed(self.rights(session)?.allow_any(permission))
    }

    /// Whether a session may listen to a target.
    ///
    /// # Errors
    /// As [`Broker::may`].
    pub fn may_listen(&self, session: &Session, target: &WatchTarget) -> Result<(), Failure> {
        match target {
            WatchTarget::Stream(stream) => self.may(session, Permission::Get, stream),
            WatchTarget::Pattern(pattern) => {
                let rights = self.rights(session)?;
                let is_possible = is_read(Permission::Get, &pattern.bucket);
                allowed(is_possible && rights.allow_pattern(Permission::Get, pattern))
            }
        }
    }

    /// Whether a session may see and change the grants of a resource.
    ///
    /// # Errors
    /// As [`Broker::may`].
    pub fn may_grant(&self, session: &Session, resource: &Resource) -> Result<(), Failure> {
        allowed(self.rights(session)?.allow(Permission::Grant, resource))
    }

    /// Whether a session may see and change users and groups.
    ///
    /// # Errors
    /// As [`Broker::may`].
    pub fn may_admin_users(&self, session: &Session) -> Result<(), Failure> {
        allowed(self.rights(session)?.allow_users())
    }
}

/// Whether a permission only looks, at a bucket that may be looked at.
fn is_read(permission: Permission, bucket: &BucketName) -> bool {
    matches!(permission, Permission::Get | Permission::List | Permission::Grant)
        && bucket.as_str() != META_BUCKET
}

fn allowed(is_allowed: bool) -> Result<(), Failure> {
    if is_allowed { Ok(()) } else { Err(Failure::NoPermission) }
}
