//! Tickets: a session for one use within seconds, so that a browser need not put its token into a URL.
//!
//! Issued and taken on any core; the table is shared because a ticket is taken once, whichever core it comes
//! to.

use super::Identity;
use super::common::lock;
use super::session::Session;
use crate::sys::{clock, random};
use auth::ticket::{TicketId, TicketsFull};
use types::{Failure, Unavailable};

impl Identity {
    /// A new ticket of a session that is alive.
    ///
    /// # Errors
    /// [`Failure::NoPermission`] for a session without a token; [`Failure::RateLimited`] and
    /// [`Failure::Unavailable`] when too many tickets, of the user and of all, wait to be used.
    pub fn issue_ticket(&self, session: &Session) -> Result<String, Failure> {
        self.rights(session)?;
        let proof = session.proof().ok_or(Failure::NoPermission)?;
        let (id, now_ms) = (TicketId::new(random::bytes()), clock::monotonic_ns() / 1_000_000);
        match lock(&self.common.tickets).issue(&id, session.user(), proof.clone(), now_ms) {
            Ok(()) => Ok(id.to_string()),
            Err(TicketsFull::All { .. }) => Err(Failure::Unavailable(Unavailable::Overloaded)),
            // The user's own, the next of which may be used at any moment.
            Err(TicketsFull::Owner) => Err(Failure::RateLimited { retry_after_s: 1 }),
        }
    }
}
