//! Who makes a request, and whether they may: the step between a sound target and the body.
//!
//! A token stands in `X-Session`, in `Authorization: Bearer`, or in the query as `jwt`; a browser may send a
//! one-shot `ticket` in the query instead. The first of them that is there counts. Plans ask an [`Asker`] at
//! their place in the order of checks; who is not asked is not looked at.

use super::core::Core;
use super::parameters::Parameters;
use crate::broker::identity::{Action, Credential, Session};
use auth::policy::Permission;
use http1::RequestHead;
use serde_json::json;
use std::net::IpAddr;
use std::rc::Rc;
use types::{BucketName, Failure, StreamKey};

/// A request's head, and what is asked of the server for it.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub core: &'a Core,
    pub head: &'a RequestHead,
    /// The address at the other end.
    pub peer: IpAddr,
}

impl Asker<'_> {
    /// The session of the request, alive or not; that of `anonymous` where nothing is said. A ticket is gone
    /// afterwards: ask once.
    ///
    /// # Errors
    /// [`Failure::SessionRefused`].
    pub(super) fn session(&self) -> Result<Rc<Session>, Failure> {
        let session = self.find_session().inspect_err(|_| self.tell_refusal(""))?;
        if self.core.counts_activity() {
            let host = self.head.header_str("host").unwrap_or_default();
            self.core.activity_here().count(session.user(), host, self.peer);
        }
        Ok(session)
    }

    fn find_session(&self) -> Result<Rc<Session>, Failure> {
        let broker = self.core.broker();
        if let Some(token) = header_token(self.head) {
            return broker.session(Some(Credential::Token(token)));
        }
        if !self.head.query().is_some_and(may_hold_credential) {
            return broker.session(None);
        }
        let parameters = Parameters::of(self.head)?;
        let given = |name| parameters.get(name).filter(|value| !value.is_empty());
        if let Some(token) = given("jwt") {
            return broker.session(Some(Credential::Token(token.as_bytes())));
        }
        broker.session(given("ticket").map(Credential::Ticket))
    }

    /// Admits an action on a stream; gives the session, for what takes long.
    ///
    /// # Errors
    /// [`Failure::SessionRefused`], [`Failure::NoPermission`], [`Failure::RateLimited`].
    pub(super) fn admit(
        &self,
        action: Action,
        needs: Permission,
        stream: &StreamKey,
    ) -> Result<Rc<Session>, Failure> {
        let session = self.session()?;
        let permitted = self.core.broker().may(&session, needs, stream);
        permitted.inspect_err(|_| self.tell_refusal(session.user()))?;
        self.count(action, &session)?;
        Ok(session)
    }

    /// Admits an action on a bucket.
    ///
    /// # Errors
    /// As [`Asker::admit`].
    pub(super) fn admit_in(
        &self,
        action: Action,
        needs: Permission,
        bucket: &BucketName,
    ) -> Result<(), Failure> {
        let session = self.session()?;
        let permitted = self.core.broker().may_bucket(&session, needs, bucket);
        permitted.inspect_err(|_| self.tell_refusal(session.user()))?;
        self.count(action, &session)
    }

    /// Admits an action on every bucket.
    ///
    /// # Errors
    /// As [`Asker::admit`].
    pub(super) fn admit_everywhere(&self, action: Action, needs: Permission) -> Result<(), Failure> {
        let session = self.session()?;
        let permitted = self.core.broker().may_any(&session, needs);
        permitted.inspect_err(|_| self.tell_refusal(session.user()))?;
        self.count(action, &session)
    }

    /// An event for the audit: who was refused what. Without a query, which may hold secrets.
    pub(super) fn tell_refusal(&self, user: &str) {
        let (method, path) = (self.head.method_name(), self.head.path());
        let address = self.peer.to_string();
        self.core.broker().identity().audit(&json!({
            "what": "refused", "user": user, "address": address, "method": method, "path": path,
        }));
    }

    /// Counts an action of a session.
    ///
    /// # Errors
    /// [`Failure::RateLimited`].
    pub(super) fn count(&self, action: Action, session: &Session) -> Result<(), Failure> {
        self.core.broker().identity().count(action, session, self.peer)
    }
}

/// Whose token a request brings, without taking a ticket; for the access log.
pub(super) fn known_session(core: &Core, head: &RequestHead) -> Option<Rc<Session>> {
    let session = |token: &[u8]| core.broker().session(Some(Credential::Token(token))).ok();
    match header_token(head) {
        Some(token) => session(token),
        None if head.query().is_some_and(may_hold_credential) => {
            let parameters = Parameters::of(head).ok()?;
            session(parameters.get("jwt").filter(|token| !token.is_empty())?.as_bytes())
        }
        None => None,
    }
}

/// The token of a header; an empty one is none.
fn header_token(head: &RequestHead) -> Option<&[u8]> {
    let session = head.header("x-session").map(<[u8]>::trim_ascii).filter(|token| !token.is_empty());
    session.or_else(|| bearer(head.header("authorization")?))
}

/// RFC 6750 §2.1. Another scheme is for somebody else, a proxy before us perhaps.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

/// Whether a query may name a token or a ticket, without decoding it. An escaped name is decoded too.
fn may_hold_credential(query: &str) -> bool {
    query.contains("jwt") || query.contains("ticket") || query.contains('%')
}

#[cfg(test)]
mod tests {
    use super::super::testing::head;
    use super::*;

    #[test]
    fn a_token_stands_in_its_own_header_or_behind_bearer() {
        for (name, value, expected) in [
            ("X-Session", "a.b.c", Some("a.b.c")),
            ("x-session", " a.b.c ", Some("a.b.c")),
            ("X-Session", "", None),
            ("Authorization", "Bearer a.b.c", Some("a.b.c")),
            ("Authorization", "bearer  a.b.c", Some("a.b.c")),
            ("Authorization", "Bearer ", None),
            ("Authorization", "Basic YTpi", None),
            ("Authorization", "a.b.c", None),
        ] {
            let head = head("GET", "/", &[(name, value)]);
            assert_eq!(header_token(&head), expected.map(str::as_bytes), "{name}: {value}");
        }
        let both = head("GET", "/", &[("Authorization", "Bearer b"), ("X-Session", "a")]);
        assert_eq!(header_token(&both), Some(&b"a"[..]));
    }
}
