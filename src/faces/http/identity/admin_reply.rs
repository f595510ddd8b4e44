//! Replies of `/admin`, in the shapes of Iorio's administration page.
//!
//! Pure but for the policy that they show; nothing here decides who may see it.

use super::super::flight::Answer;
use super::super::reply::Reply;
use super::grants::admin_items;
use super::walk::{Members, each_role};
use crate::broker::identity::Identity;
use auth::policy::{Permission, RoleName};
use http1::target::percent_encode;
use serde_json::{Value, json};
use types::Failure;

/// `{}` with a status.
pub(super) fn nothing(status: u16) -> Reply {
    Reply::json(status, "{}")
}

/// 201 for a new user or group.
pub(super) fn created(kind: &str, name: &str) -> Reply {
    nothing(201).header("Location", format!("/admin/{kind}/{}", percent_encode(name)))
}

/// 400 and 404 have no body here, and whatever a client did wrong is one of them.
pub(super) fn failed(failure: Failure) -> Answer {
    match failure.status() {
        404 => Answer::Reply(Reply::empty(404)),
        400 | 409 => Answer::Reply(Reply::empty(400)),
        _ => Answer::Failed(failure),
    }
}

/// All permissions, and what everybody has.
pub(super) fn permissions(identity: &Identity) -> Reply {
    let names = Permission::ALL.map(Permission::name);
    let body =
        json!({ "permissions": { "iorio": names }, "grants": { "global": admin_items(identity, "*") } });
    Reply::json(200, body.to_string())
}

/// All users or groups, with the groups that each is in.
pub(super) async fn roles(identity: &Identity, is_group: bool) -> Reply {
    let mut found = Members::default();
    each_role(identity, None, |name, record| {
        if record.is_group() == is_group && (is_group || record.account().is_some()) {
            let groups: Vec<&str> = record.groups.iter().map(RoleName::as_str).collect();
            found.insert(name.as_str(), &json!({ "groups": groups }));
        }
    })
    .await;
    let member = if is_group { "groups" } else { "users" };
    Reply::json(200, format!(r#"{{"{member}":{{{}}}}}"#, found.as_str()))
}

/// One user or group with all grants: its own, those of its groups, and those of everybody.
///
/// # Errors
/// [`Failure::UnknownUser`].
pub(super) fn role(identity: &Identity, is_group: bool, name: &str) -> Result<Reply, Failure> {
    let policy = identity.policy();
    let is_it = |record: &&auth::policy::Record| match is_group {
        true => record.is_group(),
        false => record.account().is_some(),
    };
    let record = policy.role(name).filter(is_it).ok_or(Failure::UnknownUser)?;
    let groups: Vec<&str> = record.groups.iter().map(RoleName::as_str).collect();
    let of_groups = policy.groups_of(name);
    let lent: Vec<Value> = of_groups.iter().flat_map(|group| admin_items(identity, group.as_str())).collect();
    let (direct, global) = (admin_items(identity, name), admin_items(identity, "*"));
    let (member, field) = if is_group { ("group", "name") } else { ("user", "username") };
    let body = json!({ member: {
        field: name,
        "groups": groups,
        "grants": { "direct": direct, "groups": lent, "global": global },
    } });
    Ok(Reply::json(200, body.to_string()))
}
