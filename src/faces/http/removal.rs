//! DELETE of a stream: all of it, or with `?before=N` the events before N.
//!
//! 204 either way, and also for a stream that does not exist: what was asked for holds.

use super::access::Asker;
use super::core::Core;
use super::flight::{Answer, Flight};
use super::negotiate::{self, JSON};
use super::parameters::Parameters;
use super::reply::Reply;
use super::route;
use crate::broker::identity::Action;
use auth::policy::Permission;
use std::rc::Rc;
use types::{Failure, SeqNum, StreamKey};

/// What a DELETE asks for.
pub(super) struct RemovalPlan {
    stream: StreamKey,
    before: Option<SeqNum>,
}

impl RemovalPlan {
    /// Checks the head.
    ///
    /// # Errors
    /// In the order of `docs/api.md`: malformed target, permission, `Accept`.
    pub(super) fn of(asker: &Asker<'_>) -> Result<RemovalPlan, Failure> {
        let head = asker.head;
        let stream = route::stream_key(head)?;
        let before = Parameters::of(head)?.count("before")?.map(SeqNum);
        asker.admit(Action::Delete, Permission::Delete, &stream)?;
        negotiate::choose(head, &[JSON])?;
        Ok(RemovalPlan { stream, before })
    }

    /// Puts it under way.
    pub(super) fn start(self, core: &Rc<Core>) -> Flight {
        let broker = core.broker().clone();
        Flight::task(async move {
            let done = match self.before {
                None => broker.delete(self.stream).await.map(|_| Reply::empty(204)),
                Some(before) => broker
                    .trim(self.stream, before)
                    .await
                    .map(|first| Reply::empty(204).header("Millrace-First", first.to_string())),
            };
            Answer::from(done)
        })
    }
}
