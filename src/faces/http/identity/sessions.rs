//! `/sessions` and `/tickets`: log in, ask who one is, log out, get a ticket.
//!
//! A reply with a token or a ticket is never kept by a cache (the caller says so for all of these routes).

use super::super::parameters::Parameters;
use super::super::reply::Reply;
use super::fields::Fields;
use crate::broker::identity::{Identity, Session};
use http1::RequestHead;
use serde_json::json;
use std::net::IpAddr;
use types::Failure;

/// POST: 201 and a token.
///
/// # Errors
/// [`Failure::InvalidBody`] for a body that is no JSON; [`Failure::Unauthorized`] for all else that is wrong.
pub(super) async fn login(identity: &Identity, body: &[u8], peer: IpAddr) -> Result<Reply, Failure> {
    let fields = Fields::read(body)?;
    let (Some(user), Some(password)) = (fields.text("username"), fields.text("password")) else {
        return Err(Failure::Unauthorized);
    };
    let login = identity.login(user, password, peer).await?;
    let body = json!({ "ok": true, "token": login.token, "username": login.user });
    Ok(Reply::json(201, body.to_string()).header("Location", "/session"))
}

/// GET: whose session it is.
pub(super) fn show(session: &Session) -> Reply {
    Reply::json(200, json!({ "username": session.user() }).to_string())
}

/// DELETE: the session is over, on every core.
///
/// # Errors
/// See [`Identity::end_session`].
pub(super) async fn end(identity: &Identity, session: &Session) -> Result<Reply, Failure> {
    identity.end_session(session).await.map(|()| Reply::empty(204))
}

/// Whose sessions a DELETE with `?user=` ends, all of them.
///
/// # Errors
/// [`Failure::BadRequest`].
pub(super) fn user_to_end(head: &RequestHead) -> Result<Option<String>, Failure> {
    Ok(Parameters::of(head)?.get("user").map(str::to_owned))
}

/// DELETE with `?user=`: all sessions of a user that have begun so far are over.
///
/// # Errors
/// See [`Identity::end_sessions_of`].
pub(super) async fn end_all(identity: &Identity, user: &str) -> Result<Reply, Failure> {
    identity.end_sessions_of(user).await.map(|()| Reply::empty(204))
}

/// POST of `/tickets`.
///
/// # Errors
/// See [`Identity::issue_ticket`].
pub(super) fn ticket(identity: &Identity, session: &Session) -> Result<Reply, Failure> {
    let ticket = identity.issue_ticket(session)?;
    let body = json!({ "ticket": ticket, "expires_in": identity.config().ticket_s });
    Ok(Reply::json(201, body.to_string()))
}
