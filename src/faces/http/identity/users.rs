//! `/users`: who there is, new ones, other passwords, the end of one.
//!
//! The texts are Iorio's to the letter. Who may ask was checked before, but for one's own password: whose it
//! is stands in the body.

use super::super::core::Core;
use super::super::reply::Reply;
use super::fields::Fields;
use super::walk::{Members, each_role};
use crate::broker::Broker;
use crate::broker::identity::{Identity, Session};
use auth::policy::RoleName;
use http1::target::percent_encode;
use serde_json::json;
use types::Failure;

/// GET: all users, ascending.
pub(super) async fn list(identity: &Identity) -> Reply {
    let mut users = Members::default();
    each_role(identity, None, |name, record| {
        if record.account().is_some() {
            users.push(&json!({ "username": name.as_str() }));
        }
    })
    .await;
    Reply::json(200, format!("[{}]", users.as_str()))
}

/// GET of one user: the groups that they are in.
///
/// # Errors
/// [`Failure::UnknownUser`].
pub(super) fn show(identity: &Identity, user: &str) -> Result<Reply, Failure> {
    let policy = identity.policy();
    let record = policy.role(user).filter(|record| record.account().is_some());
    let record = record.ok_or(Failure::UnknownUser)?;
    let groups: Vec<&str> = record.groups.iter().map(RoleName::as_str).collect();
    Ok(Reply::json(200, json!({ "username": user, "groups": groups }).to_string()))
}

/// POST: a new user.
///
/// # Errors
/// Of the body as `docs/api.md` lists them, and those of [`Identity::create_user`].
pub(super) async fn create(identity: &Identity, body: &[u8]) -> Result<Reply, Failure> {
    let fields = Fields::read(body)?;
    let (user, password) = name_and_password(&fields)?;
    identity.create_user(user, password).await?;
    let location = format!("/users/{}", percent_encode(user));
    Ok(Reply::json(201, r#"{"ok":true}"#).header("Location", location))
}

/// PUT: another password, for oneself or, with permission, for anybody.
///
/// # Errors
/// As [`create`], [`Failure::UnknownUser`], and [`Failure::NoPermission`].
pub(super) async fn set_password(
    core: &Core,
    session: &Session,
    of: Option<String>,
    body: &[u8],
) -> Result<Reply, Failure> {
    let fields = Fields::read(body)?;
    let (user, password) = match &of {
        None => name_and_password(&fields)?,
        Some(user) => (user.as_str(), fields.text("password").ok_or(Failure::NoPassword)?),
    };
    let identity = core.broker().identity();
    if user != session.user() || !session.is_own() {
        core.broker().may_admin_users(session)?;
        check_admins_matter(core.broker(), session, identity.is_administrator(user))?;
    }
    identity.set_password(user, password, fields.flag("end_sessions")?).await?;
    Ok(Reply::json(200, r#"{"ok":true}"#))
}

/// DELETE: the user is no more.
///
/// # Errors
/// See [`Identity::delete_role`].
pub(super) async fn delete(identity: &Identity, user: &str) -> Result<Reply, Failure> {
    identity.delete_role(user, false).await.map(|()| Reply::empty(204))
}

/// Who administers users may not make themselves an administrator of everything.
///
/// # Errors
/// [`Failure::NoPermission`] where `is_theirs` says that administrators are concerned, for all others.
pub(super) fn check_admins_matter(
    broker: &Broker,
    session: &Session,
    is_theirs: bool,
) -> Result<(), Failure> {
    if is_theirs && !broker.rights(session)?.is_admin() { Err(Failure::NoPermission) } else { Ok(()) }
}

pub(super) fn name_and_password(fields: &Fields) -> Result<(&str, &str), Failure> {
    match (fields.text("username"), fields.text("password")) {
        (Some(user), Some(password)) => Ok((user, password)),
        (None, Some(_)) => Err(Failure::NoUser),
        (Some(_), None) => Err(Failure::NoPassword),
        (None, None) => Err(Failure::NoUserAndPassword),
    }
}
