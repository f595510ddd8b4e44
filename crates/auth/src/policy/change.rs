//! Changes of the policy: from what somebody wants to the records that have to be written for it.
//!
//! Pure: a refused change changes nothing, and a planned one nothing before its records are applied. The
//! records are in the order in which they have to be made durable, so that a crash between two of them leaves
//! nobody with more than they had or were to have.

use super::Policy;
use super::bootstrap::{ADMIN_GROUP, ANONYMOUS, AUTHENTICATED_GROUP};
use super::permission::{Permission, Permissions};
use super::record::{Account, Kind, Record};
use super::resource::Resource;
use super::role_name::RoleName;
use std::collections::BTreeSet;
use std::fmt;
use types::BucketName;

/// What somebody wants to be different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new user.
    CreateUser {
        /// Their name.
        name: RoleName,
        /// Their account.
        account: Account,
        /// The groups that they are in.
        groups: Vec<RoleName>,
        /// A bucket that they own.
        bucket: Option<BucketName>,
    },
    /// Another password.
    SetPassword {
        /// Whose.
        name: RoleName,
        /// Its hash as a PHC string.
        password: String,
        /// Sessions that began before this second are over with it.
        end_before_s: Option<u64>,
    },
    /// A new group.
    CreateGroup {
        /// Its name.
        name: RoleName,
        /// The groups that it is in.
        groups: Vec<RoleName>,
    },
    /// The groups that a user or a group is in.
    SetGroups {
        /// Whose.
        name: RoleName,
        /// Whether it is a group's.
        is_group: bool,
        /// All of them.
        groups: Vec<RoleName>,
    },
    /// The end of a user or a group, with all their grants and memberships.
    DeleteRole {
        /// Whose.
        name: RoleName,
        /// Whether it is a group's.
        is_group: bool,
    },
    /// One permission more for a role, as an administrator or as somebody who may grant there.
    Grant(RoleName, Resource, Permission, Granter),
    /// One permission less for a role. What was never granted may be revoked.
    Revoke(RoleName, Resource, Permission),
    /// The sessions of a user that began before this second are over.
    EndSessions {
        /// Whose.
        name: RoleName,
        /// Seconds since 1970.
        before_s: u64,
    },
}

/// Who grants. Only an administrator can fill a role up: everybody may grant on their own bucket, and must
/// not keep others from granting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granter {
    /// In the group of administrators.
    Administrator,
    /// Somebody with the permission `grant`.
    Owner,
}

/// One role's new record, to be made durable and then applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Whose.
    pub role: RoleName,
    /// The record; `None` when the role is no more.
    pub record: Option<Record>,
}

/// Bounds of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyLimits {
    /// Users and groups.
    pub roles_max: usize,
    /// Grants of one role, counted by resource.
    pub grants_per_role_max: usize,
    /// Groups that one role is directly in.
    pub groups_per_role_max: usize,
}

/// Why a change is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeRefused {
    /// The name is taken, by a user or by a group.
    Exists(RoleName),
    /// There is no such user, or no such group.
    Unknown(RoleName),
    /// A group would be in itself.
    Circle(RoleName),
    /// The server needs this one: the groups that it creates, `anonymous`, the last administrator.
    Needed(RoleName),
    /// There would be more than the limit.
    TooMany {
        /// What is counted.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl fmt::Display for ChangeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeRefused::Exists(name) => write!(f, "{name} exists already"),
            ChangeRefused::Unknown(name) => write!(f, "there is no {name}"),
            ChangeRefused::Circle(name) => write!(f, "{name} would be in itself"),
            ChangeRefused::Needed(name) => write!(f, "the server cannot do without {name}"),
            ChangeRefused::TooMany { what, limit } => write!(f, "more than {limit} {what}"),
        }
    }
}

impl std::error::Error for ChangeRefused {}

impl Policy {
    /// What has to be written for a change. Nothing when all is as it is wanted.
    ///
    /// # Errors
    /// [`ChangeRefused`].
    pub fn plan(&self, change: Change, limits: &PolicyLimits) -> Result<Vec<Update>, ChangeRefused> {
        match change {
            Change::CreateUser { name, account, groups, bucket } => {
                let mut record = Record::new(Kind::User(account));
                if let Some(bucket) = bucket {
                    record.grants.insert(Resource::Bucket(bucket), Permissions::OWNER);
                }
                self.create(name, record, groups, limits)
            }
            Change::CreateGroup { name, groups } => {
                self.create(name, Record::new(Kind::Group), groups, limits)
            }
            Change::SetPassword { name, password, end_before_s } => self.change_account(name, |account| {
                account.password = Some(password);
                account.is_dev = false;
                end_before_s.into_iter().for_each(|before_s| end_sessions(account, before_s));
            }),
            Change::EndSessions { name, before_s } => {
                self.change_account(name, |account| end_sessions(account, before_s))
            }
            Change::SetGroups { name, is_group, groups } => self.set_groups(name, is_group, groups, limits),
            Change::DeleteRole { name, is_group } => self.delete(name, is_group),
            Change::Grant(role, resource, permission, granter) => {
                let mut record = self.holder(&role)?;
                let is_new = record.grant(resource, permission);
                let grants_max = match granter {
                    Granter::Administrator => limits.grants_per_role_max,
                    Granter::Owner => limits.grants_per_role_max / 2,
                };
                check_max(record.grants.len(), grants_max, "grants of one role")?;
                Ok(if is_new { vec![Update { role, record: Some(record) }] } else { Vec::new() })
            }
            Change::Revoke(role, resource, permission) => {
                let mut record = self.holder(&role)?;
                let was_there = record.revoke(&resource, permission);
                Ok(if was_there { vec![Update { role, record: Some(record) }] } else { Vec::new() })
            }
        }
    }

    fn create(
        &self,
        name: RoleName,
        mut record: Record,
        groups: Vec<RoleName>,
        limits: &PolicyLimits,
    ) -> Result<Vec<Update>, ChangeRefused> {
        if self.role(name.as_str()).is_some() {
            return Err(ChangeRefused::Exists(name));
        }
        check_max(self.role_count() + 1, limits.roles_max, "users and groups")?;
        self.put_into(&name, &mut record, groups, limits)?;
        Ok(vec![Update { role: name, record: Some(record) }])
    }

    fn set_groups(
        &self,
        name: RoleName,
        is_group: bool,
        groups: Vec<RoleName>,
        limits: &PolicyLimits,
    ) -> Result<Vec<Update>, ChangeRefused> {
        let before = self.of_kind(&name, is_group)?;
        let mut record = before.clone();
        record.groups.clear();
        self.put_into(&name, &mut record, groups, limits)?;
        if record == *before {
            return Ok(Vec::new());
        }
        let update = Update { role: name, record: Some(record) };
        self.check_admin_left(&update)?;
        Ok(vec![update])
    }

    /// Fills in a record's groups.
    fn put_into(
        &self,
        name: &RoleName,
        record: &mut Record,
        groups: Vec<RoleName>,
        limits: &PolicyLimits,
    ) -> Result<(), ChangeRefused> {
        for group in groups {
            if group == *name || self.groups_of(group.as_str()).contains(name) {
                return Err(ChangeRefused::Circle(name.clone()));
            }
            self.of_kind(&group, true)?;
            record.join(group);
        }
        check_max(record.groups.len(), limits.groups_per_role_max, "groups of one role")
    }

    /// The members of a group leave it first: a group of the same name that comes later has none of them.
    fn delete(&self, name: RoleName, is_group: bool) -> Result<Vec<Update>, ChangeRefused> {
        self.of_kind(&name, is_group)?;
        if [ADMIN_GROUP, AUTHENTICATED_GROUP, ANONYMOUS].contains(&name.as_str()) {
            return Err(ChangeRefused::Needed(name));
        }
        let mut updates = Vec::new();
        for member in self.members.get(&name).into_iter().flatten() {
            let mut record = self.role(member.as_str()).expect("members have records").clone();
            record.groups.retain(|group| *group != name);
            updates.push(Update { role: member.clone(), record: Some(record) });
        }
        let end = Update { role: name, record: None };
        self.check_admin_left(&end)?;
        updates.push(end);
        Ok(updates)
    }

    /// There is always somebody who can log in and put things right.
    fn check_admin_left(&self, update: &Update) -> Result<(), ChangeRefused> {
        let is_concerned = self.groups_of(update.role.as_str()).contains(ADMIN_GROUP);
        if is_concerned
            && !self.administrators(None).is_empty()
            && self.administrators(Some(update)).is_empty()
        {
            return Err(ChangeRefused::Needed(update.role.clone()));
        }
        Ok(())
    }

    /// Users who can log in and are in the group of administrators, directly or not; with an update, those
    /// that there would be after it.
    pub fn administrators(&self, update: Option<&Update>) -> BTreeSet<RoleName> {
        let record_of = |name: &RoleName| match update {
            Some(update) if update.role == *name => update.record.as_ref(),
            _ => self.role(name.as_str()),
        };
        let mut seen = BTreeSet::new();
        let mut next = vec![ADMIN_GROUP.to_owned()];
        while let Some(group) = next.pop() {
            let members = self.members.get(group.as_str()).into_iter().flatten();
            let joins = |member: &&RoleName| {
                record_of(member)
                    .is_some_and(|record| record.groups.iter().any(|name| name.as_str() == group))
            };
            for member in members.chain(update.map(|update| &update.role)).filter(joins) {
                if seen.insert(member.clone()) {
                    next.push(member.to_string());
                }
            }
        }
        let can_log_in = |name: &RoleName| {
            let account = record_of(name).and_then(Record::account);
            account.is_some_and(|account| account.password.is_some())
        };
        seen.retain(can_log_in);
        seen
    }

    fn change_account(
        &self,
        name: RoleName,
        change: impl FnOnce(&mut Account),
    ) -> Result<Vec<Update>, ChangeRefused> {
        let mut record = self.of_kind(&name, false)?.clone();
        let Kind::User(account) = &mut record.kind else { return Err(ChangeRefused::Unknown(name)) };
        let before = account.clone();
        change(account);
        let is_same = *account == before;
        Ok(if is_same { Vec::new() } else { vec![Update { role: name, record: Some(record) }] })
    }

    fn of_kind(&self, name: &RoleName, is_group: bool) -> Result<&Record, ChangeRefused> {
        let record = self.role(name.as_str()).filter(|record| match is_group {
            true => record.is_group(),
            false => record.account().is_some(),
        });
        record.ok_or_else(|| ChangeRefused::Unknown(name.clone()))
    }

    /// The record that a grant goes into. Everybody has one from the first grant on.
    fn holder(&self, role: &RoleName) -> Result<Record, ChangeRefused> {
        match self.role(role.as_str()) {
            Some(record) => Ok(record.clone()),
            None if role.is_everybody() => Ok(Record::new(Kind::Everybody)),
            None => Err(ChangeRefused::Unknown(role.clone())),
        }
    }
}

fn end_sessions(account: &mut Account, before_s: u64) {
    account.sessions_from_s = account.sessions_from_s.max(before_s);
    account.undated_are_over = true;
}

fn check_max(count: usize, limit: usize, what: &'static str) -> Result<(), ChangeRefused> {
    if count > limit { Err(ChangeRefused::TooMany { what, limit }) } else { Ok(()) }
}
