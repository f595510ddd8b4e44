//! What the audit is told of requests of these routes: who did what to whom, from where, and how it ended.
//!
//! Names and permissions are taken from the body; passwords and tokens never.

use super::super::reply::Reply;
use super::Wanted;
use super::admin::AdminPlan;
use super::fields::Fields;
use crate::broker::identity::Session;
use auth::policy::Resource;
use serde_json::{Value, json};
use std::net::IpAddr;
use types::Failure;

/// Members of a body that may be told.
const TOLD: [&str; 7] = ["username", "groupname", "action", "role", "permission", "bucket", "key"];

/// The event of a request, but for its outcome; `None` for one that only looks.
pub(super) fn event_of(wanted: &Wanted, by: Option<&Session>, peer: IpAddr, body: &[u8]) -> Option<Value> {
    let mut event = json!({ "what": what_of(wanted)?, "address": peer.to_string() });
    if let Some(by) = by {
        event["by"] = by.user().into();
    }
    if let Ok(fields) = Fields::read(body) {
        for name in TOLD {
            if let Some(text) = fields.text(name) {
                event[name] = text.into();
            }
        }
    }
    match wanted {
        Wanted::SetPassword(Some(user)) | Wanted::DeleteUser(user) | Wanted::EndSession(Some(user)) => {
            event["username"] = user.as_str().into();
        }
        Wanted::ChangeGrants(resource) => put_resource(&mut event, resource),
        Wanted::Admin(AdminPlan::Delete { name, .. } | AdminPlan::Change { name: Some(name), .. }) => {
            event["name"] = name.as_str().into();
        }
        _ => {}
    }
    Some(event)
}

/// With how it ended.
pub(super) fn with_outcome(mut event: Value, outcome: &Result<Reply, Failure>) -> Value {
    event["ok"] = outcome.is_ok().into();
    if let Err(failure) = outcome {
        event["reason"] = failure.type_name().into();
    }
    event
}

fn put_resource(event: &mut Value, resource: &Resource) {
    event["bucket"] = resource.bucket().map_or("*", |bucket| bucket.as_str()).into();
    if let Some(stream) = resource.stream() {
        event["stream"] = stream.as_str().into();
    }
}

fn what_of(wanted: &Wanted) -> Option<&'static str> {
    Some(match wanted {
        Wanted::Login | Wanted::Admin(AdminPlan::Login) => "login",
        Wanted::EndSession(None) => "logout",
        Wanted::EndSession(Some(_)) => "end-sessions",
        Wanted::CreateUser | Wanted::Admin(AdminPlan::Create { is_group: false }) => "create-user",
        Wanted::SetPassword(_) => "set-password",
        Wanted::DeleteUser(_) | Wanted::Admin(AdminPlan::Delete { is_group: false, .. }) => "delete-user",
        Wanted::Admin(AdminPlan::Create { is_group: true }) => "create-group",
        Wanted::Admin(AdminPlan::Delete { is_group: true, .. }) => "delete-group",
        Wanted::Admin(AdminPlan::Change { is_group: false, .. }) => "change-user",
        Wanted::Admin(AdminPlan::Change { is_group: true, .. }) => "change-group",
        Wanted::ChangeGrants(_) => "change-grants",
        Wanted::Admin(AdminPlan::Grant) => "grant",
        Wanted::Admin(AdminPlan::Revoke) => "revoke",
        _ => return None,
    })
}
