//! `/admin`: users, groups and grants as Iorio's administration page asks for them.
//!
//! The same broker behind other words: permissions have the prefix `iorio.`, `*` is every bucket, the whole
//! of one, or everybody. Users that are made here own no bucket.

use super::super::core::Core;
use super::super::reply::Reply;
use super::super::route::AdminRoute;
use super::admin_reply as reply;
use super::fields::{self, Fields};
use super::users::{check_admins_matter, name_and_password};
use crate::broker::identity::{Identity, Session};
use auth::policy::{ADMIN_GROUP, Change, Granter, Permission, Resource, RoleName};
use http1::{Method, RequestHead};
use serde_json::json;
use std::net::IpAddr;
use types::Failure;

/// What is asked for.
pub(super) enum AdminPlan {
    Login,
    ShowPermissions,
    /// Users, or groups.
    List {
        is_group: bool,
    },
    Show {
        is_group: bool,
        name: String,
    },
    Create {
        is_group: bool,
    },
    /// Of the one in the body, or of this one.
    Change {
        is_group: bool,
        name: Option<String>,
    },
    Delete {
        is_group: bool,
        name: String,
    },
    Grant,
    Revoke,
}

impl AdminPlan {
    /// Reads the path.
    ///
    /// # Errors
    /// [`Failure::BadRequest`].
    pub(super) fn of(head: &RequestHead, route: AdminRoute) -> Result<AdminPlan, Failure> {
        let name = || fields::rest(head, 2);
        Ok(match (route, head.method()) {
            (AdminRoute::Sessions, _) => AdminPlan::Login,
            (AdminRoute::Permissions, _) => AdminPlan::ShowPermissions,
            (AdminRoute::Grants, _) => AdminPlan::Grant,
            (AdminRoute::Revokes, _) => AdminPlan::Revoke,
            (AdminRoute::Roles { is_group }, Method::Post) => AdminPlan::Create { is_group },
            (AdminRoute::Roles { is_group }, Method::Put) => AdminPlan::Change { is_group, name: None },
            (AdminRoute::Roles { is_group }, _) => AdminPlan::List { is_group },
            (AdminRoute::Role { is_group }, Method::Put) => {
                AdminPlan::Change { is_group, name: Some(name()?) }
            }
            (AdminRoute::Role { is_group }, Method::Delete) => AdminPlan::Delete { is_group, name: name()? },
            (AdminRoute::Role { is_group }, _) => AdminPlan::Show { is_group, name: name()? },
        })
    }

    /// Whether it needs no session.
    pub(super) fn is_login(&self) -> bool {
        matches!(self, AdminPlan::Login)
    }

    /// Does it.
    ///
    /// # Errors
    /// Those of the broker; the caller gives them their form.
    pub(super) async fn carry_out(
        self,
        core: &Core,
        session: Option<&Session>,
        body: &[u8],
        peer: IpAddr,
    ) -> Result<Reply, Failure> {
        let identity = core.broker().identity();
        // Whose grants and groups make an administrator, only an administrator changes.
        let check = |is_theirs: bool| match session {
            Some(session) => check_admins_matter(core.broker(), session, is_theirs),
            None => Ok(()),
        };
        let leads_to_admins =
            |name: &str| name == ADMIN_GROUP || identity.policy().groups_of(name).contains(ADMIN_GROUP);
        match self {
            AdminPlan::Login => login(identity, body, peer).await,
            AdminPlan::ShowPermissions => Ok(reply::permissions(identity)),
            AdminPlan::List { is_group } => Ok(reply::roles(identity, is_group).await),
            AdminPlan::Show { is_group, name } => reply::role(identity, is_group, &name),
            AdminPlan::Create { is_group: false } => {
                create_user(identity, body, |group| check(leads_to_admins(group))).await
            }
            AdminPlan::Create { is_group: true } => {
                create_group(identity, body, |group| check(leads_to_admins(group))).await
            }
            AdminPlan::Change { is_group, name } => {
                change(identity, is_group, name, body, |name| check(leads_to_admins(name))).await
            }
            AdminPlan::Delete { is_group, name } => {
                check(leads_to_admins(&name))?;
                identity.delete_role(&name, is_group).await.map(|()| Reply::empty(204))
            }
            AdminPlan::Grant => {
                grant(identity, body, |role, resource, permission| {
                    Change::Grant(role, resource, permission, Granter::Administrator)
                })
                .await
            }
            AdminPlan::Revoke => grant(identity, body, Change::Revoke).await,
        }
    }
}

/// As `/sessions`, with 200, and only for who may administer: 400 for everybody else.
async fn login(identity: &Identity, body: &[u8], peer: IpAddr) -> Result<Reply, Failure> {
    let fields = Fields::read(body)?;
    let (Some(user), Some(password)) = (fields.text("username"), fields.text("password")) else {
        return Err(Failure::Unauthorized);
    };
    let login = identity.login(user, password, peer).await?;
    if !identity.may_admin_users(user) {
        return Err(Failure::BadRequest { detail: "not an administrator".into() });
    }
    let body = json!({ "ok": true, "token": login.token, "username": login.user });
    Ok(Reply::json(200, body.to_string()))
}

async fn create_user(
    identity: &Identity,
    body: &[u8],
    check: impl Fn(&str) -> Result<(), Failure>,
) -> Result<Reply, Failure> {
    let fields = Fields::read(body)?;
    let (user, password) = name_and_password(&fields)?;
    let groups = fields.texts("groups")?.unwrap_or_default();
    groups.iter().try_for_each(|group| check(group))?;
    identity.create_user_in(user, password, &groups).await?;
    Ok(reply::created("users", user))
}

async fn create_group(
    identity: &Identity,
    body: &[u8],
    check: impl Fn(&str) -> Result<(), Failure>,
) -> Result<Reply, Failure> {
    let fields = Fields::read(body)?;
    let group = fields.text("groupname").ok_or(Failure::NoUser)?;
    let groups = fields.texts("groups")?.unwrap_or_default();
    groups.iter().try_for_each(|group| check(group))?;
    identity.create_group(group, &groups).await?;
    Ok(reply::created("groups", group))
}

async fn change(
    identity: &Identity,
    is_group: bool,
    name: Option<String>,
    body: &[u8],
    check: impl Fn(&str) -> Result<(), Failure>,
) -> Result<Reply, Failure> {
    let fields = Fields::read(body)?;
    let field = if is_group { "groupname" } else { "username" };
    let name = name.as_deref().or_else(|| fields.text(field)).ok_or(Failure::NoUser)?;
    let groups = fields.texts("groups")?;
    check(name)?;
    groups.iter().flatten().try_for_each(|group| check(group))?;
    if let Some(password) = fields.text("password").filter(|_| !is_group) {
        identity.set_password(name, password, fields.flag("end_sessions")?).await?;
    }
    if let Some(groups) = groups {
        identity.set_groups(name, is_group, &groups).await?;
    }
    Ok(reply::nothing(200))
}

async fn grant(
    identity: &Identity,
    body: &[u8],
    change: impl FnOnce(RoleName, Resource, Permission) -> Change,
) -> Result<Reply, Failure> {
    let fields = Fields::read(body)?;
    let field = |name: &'static str| {
        let invalid = || Failure::InvalidField { field: name.into(), value: fields.shown(name) };
        fields.text(name).ok_or_else(invalid)
    };
    let (role, bucket, key) = (field("role")?, field("bucket")?, field("key")?);
    let key = Some(key).filter(|key| *key != "*");
    let resource = Resource::parse(bucket, key);
    let resource = resource.map_err(|error| Failure::BadRequest { detail: error.to_string().into() })?;
    let permission = Permission::parse(field("permission")?);
    let permission = permission.ok_or_else(|| Failure::InvalidField {
        field: "permission".into(),
        value: fields.shown("permission"),
    })?;
    let role = RoleName::parse_with_everybody(role).map_err(|_| Failure::UnknownRole)?;
    identity.change(change(role, resource, permission)).await?;
    Ok(reply::nothing(200))
}
