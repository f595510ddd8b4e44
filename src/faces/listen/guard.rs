//! Whether a listener may go on: its session is alive, and everything it listens to is still allowed.
//!
//! Looked at before anything is sent, which costs a comparison while nothing has changed; what came after a
//! grant was taken back is never sent. A listener that has lost any of its streams is ended, so that its
//! client asks again and is told.

use crate::broker::Broker;
use crate::broker::identity::Session;
use engine::WatchTarget;
use std::rc::Rc;
use std::time::Duration;
use types::Failure;

/// What a listener was allowed when it was last looked at.
pub(super) struct Guard {
    session: Rc<Session>,
    targets: Vec<WatchTarget>,
    generation: u64,
}

impl Guard {
    /// The guard of a session's listener, allowed nothing yet.
    pub(super) fn new(session: Rc<Session>) -> Box<Guard> {
        // Boxed, so that a future that hands it on does not hold it twice.
        Box::new(Guard { session, targets: Vec::new(), generation: 0 })
    }

    /// Who listens.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Allows the listener a target, if its session has the right.
    ///
    /// # Errors
    /// [`Failure::NoPermission`], or [`Failure::SessionRefused`].
    pub(super) fn allow(&mut self, broker: &Broker, target: &WatchTarget) -> Result<(), Failure> {
        broker.may_listen(&self.session, target)?;
        self.targets.push(target.clone());
        Ok(())
    }

    /// Forgets a target that the listener has left.
    pub(super) fn forget(&mut self, target: &WatchTarget) {
        self.targets.retain(|known| known != target);
    }

    /// Whether the listener may go on.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&mut self, broker: &Broker) -> Result<(), Failure> {
        broker.rights(&self.session)?;
        let generation = broker.identity().generation();
        if self.generation != generation {
            self.targets.iter().try_for_each(|target| broker.may_listen(&self.session, target))?;
            self.generation = generation;
        }
        Ok(())
    }

    /// The shorter of a wait and what is left of the session.
    pub(super) fn at_most_left(&self, wait: Duration) -> Duration {
        self.session.left_ms().map_or(wait, |left_ms| wait.min(Duration::from_millis(left_ms)))
    }
}

/// How a listener is told that it may not go on.
pub(super) fn reason_of(failure: &Failure) -> &'static str {
    match failure {
        Failure::SessionRefused { reason } => reason,
        other => other.type_name(),
    }
}
