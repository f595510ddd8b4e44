//! `/access/:bucket` and `/access/:bucket/:stream`: who has what there, and changes of it.
//!
//! The stream may be a glob; the buckets `any` and `*` are every bucket. Fields are looked at in the order
//! action, role, permission, as Iorio does.

use super::super::core::Core;
use super::super::reply::Reply;
use super::super::route::bad_target;
use super::fields::{self, Fields};
use super::walk::{Members, each_role};
use crate::broker::identity::{Identity, Session};
use auth::policy::{Change, Granter, Permission, Permissions, Resource, RoleName};
use http1::{RequestHead, target};
use serde_json::{Value, json};
use types::Failure;

/// What the path names.
///
/// # Errors
/// [`Failure::BadRequest`].
pub(super) fn resource(head: &RequestHead) -> Result<Resource, Failure> {
    let path = head.path().trim_end_matches('/');
    let bucket = target::path_segments(path).nth(1).transpose().map_err(bad_target)?.unwrap_or_default();
    let stream = fields::rest(head, 2)?;
    let stream = Some(stream.as_str()).filter(|stream| !stream.is_empty());
    Resource::parse(&bucket, stream).map_err(|error| Failure::BadRequest { detail: error.to_string().into() })
}

/// GET: the roles that were granted something here itself.
pub(super) async fn show(identity: &Identity, resource: &Resource) -> Reply {
    let (mut users, mut groups) = (Members::default(), Members::default());
    each_role(identity, Some(resource), |name, record| {
        let held = record.grants[resource];
        let item = json!({ "name": name.as_str(), "grants": names(held) });
        if record.account().is_some() { users.push(&item) } else { groups.push(&item) }
    })
    .await;
    let (users, groups) = (users.as_str(), groups.as_str());
    Reply::json(200, format!(r#"{{"groups":[{groups}],"users":[{users}]}}"#))
}

fn names(permissions: Permissions) -> Vec<&'static str> {
    permissions.iter().map(Permission::name).collect()
}

/// POST: one permission more or less for a role.
///
/// # Errors
/// [`Failure::InvalidBody`], [`Failure::InvalidField`], [`Failure::UnknownRole`].
pub(super) async fn change(
    core: &Core,
    session: &Session,
    resource: Resource,
    body: &[u8],
) -> Result<Reply, Failure> {
    let (broker, fields) = (core.broker(), Fields::read(body)?);
    let granter = match broker.rights(session)?.is_admin() {
        true => Granter::Administrator,
        false => Granter::Owner,
    };
    let change = read_change(&fields, resource, granter)?;
    if let Change::Grant(_, _, Permission::AdminUsers, _) = change {
        // Who may only grant must not make an administrator of users.
        broker.may_admin_users(session)?;
    }
    broker.identity().change(change).await?;
    Ok(Reply::json(200, r#"{"ok":true}"#))
}

fn read_change(fields: &Fields, resource: Resource, granter: Granter) -> Result<Change, Failure> {
    let invalid = |field: &'static str, value: String| Failure::InvalidField { field: field.into(), value };
    let role_field = if fields.text("role").is_some() { "role" } else { "username" };
    let (action, role, permission) =
        (fields.text("action"), fields.text(role_field), fields.text("permission"));
    let action = action.ok_or_else(|| invalid("action", fields.shown("action")))?;
    let role = role.ok_or_else(|| invalid("role", fields.shown("role")))?;
    let permission = permission.ok_or_else(|| invalid("permission", fields.shown("permission")))?;
    if !matches!(action, "grant" | "revoke") {
        return Err(invalid("action", action.to_owned()));
    }
    let known = Permission::parse(permission).ok_or_else(|| invalid("permission", permission.to_owned()))?;
    let role = RoleName::parse_with_everybody(role).map_err(|_| Failure::UnknownRole)?;
    Ok(match action {
        "grant" => Change::Grant(role, resource, known, granter),
        _ => Change::Revoke(role, resource, known),
    })
}

/// Grants of a role as the routes of `/admin` show them.
pub(super) fn admin_items(identity: &Identity, role: &str) -> Vec<Value> {
    let policy = identity.policy();
    let Some(record) = policy.role(role) else { return Vec::new() };
    let kind = match (record.account().is_some(), record.is_group()) {
        (true, _) => "user",
        (false, true) => "group",
        (false, false) => "global",
    };
    let item = |(resource, held): (&Resource, &Permissions)| {
        let names: Vec<String> = held.iter().map(|permission| format!("iorio.{permission}")).collect();
        json!({
            "grants": names,
            "bucket": resource.bucket().map_or("*", |bucket| bucket.as_str()),
            "key": resource.stream().map_or("*", |stream| stream.as_str()),
            "bucket_grant": resource.stream().is_none(),
            "any": *resource == Resource::Any,
            "role_type": kind,
            "role": role,
        })
    };
    record.grants.iter().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::head;
    use super::*;

    fn refused(body: &str) -> (String, String) {
        let fields = Fields::read(body.as_bytes()).expect("an object");
        match read_change(&fields, Resource::Any, Granter::Owner) {
            Err(Failure::InvalidField { field, value }) => (field.into_owned(), value),
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn a_missing_field_is_nil_and_the_first_one_is_told() {
        for (body, field, value) in [
            ("{}", "action", "nil"),
            (r#"{"action":1}"#, "action", "1"),
            (r#"{"action":"grant"}"#, "role", "nil"),
            (r#"{"role":"bob","permission":"get"}"#, "action", "nil"),
            (r#"{"action":"grant","role":"bob"}"#, "permission", "nil"),
            (r#"{"action":"give","role":"bob","permission":"get"}"#, "action", "give"),
            (r#"{"action":"grant","role":"bob","permission":"fly"}"#, "permission", "fly"),
        ] {
            assert_eq!(refused(body), (field.to_owned(), value.to_owned()), "{body}");
        }
    }

    #[test]
    fn a_role_may_be_called_username_and_may_be_everybody() {
        let read = |body: &str| {
            let fields = Fields::read(body.as_bytes()).expect("an object");
            read_change(&fields, Resource::Any, Granter::Owner).expect("sound")
        };
        let bob = RoleName::parse("bob").expect("a name");
        let expected = Change::Grant(bob, Resource::Any, Permission::Get, Granter::Owner);
        assert_eq!(read(r#"{"action":"grant","username":"bob","permission":"get"}"#), expected);
        let revoked = read(r#"{"action":"revoke","role":"*","permission":"put"}"#);
        assert_eq!(revoked, Change::Revoke(RoleName::everybody(), Resource::Any, Permission::Put));
    }

    #[test]
    fn a_path_names_a_bucket_a_stream_a_glob_or_every_bucket() {
        let found = |target: &str| resource(&head("GET", target, &[]));
        let parsed = |bucket, stream| Ok(Resource::parse(bucket, stream).expect("a resource"));
        assert_eq!(found("/access/iot/"), parsed("iot", None));
        assert_eq!(found("/access/iot/a/b"), parsed("iot", Some("a/b")));
        assert_eq!(found("/access/iot/a/*"), parsed("iot", Some("a/*")));
        assert_eq!(found("/access/any"), parsed("any", None));
        assert!(matches!(found("/access/iot/%0a"), Err(Failure::BadRequest { .. })));
    }
}
