//! Whether a request may be made at all, before any shard hears of it.
//!
//! There are no users yet: everything is allowed but to write what belongs to the server. Faces call it
//! before they look at a body, because a missing permission wins over a wrong body.

use super::Broker;
use types::{Failure, StreamKey};

impl Broker {
    /// Whether a client may write, patch, trim or delete `stream`, or change its settings: names that begin
    /// with `$` are the server's own.
    ///
    /// # Errors
    /// [`Failure::NoPermission`].
    pub fn may_write(&self, stream: &StreamKey) -> Result<(), Failure> {
        match stream.bucket.is_internal() || stream.stream.is_internal() {
            true => Err(Failure::NoPermission),
            false => Ok(()),
        }
    }
}
