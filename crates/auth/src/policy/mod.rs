//! Users, groups and grants as a value: what is, what a change would make of it, and who may do what.
//!
//! Each core holds a [`Policy`] and applies the same records in the same order of versions; one core plans
//! changes ([`Policy::plan`]) and makes them durable before any core applies them. A role's record is all
//! there is to know of it; nothing here looks at a clock or waits.
//!
//! Invariant: `members` and `holders` hold exactly the memberships and the grants that the records name.

mod bootstrap;
mod change;
mod permission;
mod record;
mod resource;
mod rights;
mod role_name;
#[cfg(test)]
mod tests;

pub use bootstrap::{ADMIN_GROUP, ANONYMOUS, AUTHENTICATED_GROUP, Bootstrap, PUBLIC_BUCKET};
pub use change::{Change, ChangeRefused, Granter, PolicyLimits, Update};
pub use permission::{Permission, Permissions};
pub use record::{Account, Kind, Record, RecordError};
pub use resource::{Resource, ResourceError};
pub use rights::{Rights, RoleRights};
pub use role_name::{IllegalName, ROLE_NAME_BYTES_MAX, RoleName};

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::rc::Rc;
use types::{Epoch, SeqNum};

/// Where a record stands in the log: epoch and sequence number of its role's stream. The greater one is the
/// newer.
pub type Version = (Epoch, SeqNum);

/// All roles.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    roles: BTreeMap<RoleName, (Version, Record)>,
    /// Roles that are no more, so that an older record that arrives late does not bring them back.
    gone: BTreeMap<RoleName, Version>,
    /// Who is in a group, directly.
    members: BTreeMap<RoleName, BTreeSet<RoleName>>,
    /// Who was granted something on a resource itself.
    holders: BTreeMap<Resource, BTreeSet<RoleName>>,
}

/// Adds a role to those of `key`.
fn note<K: Ord + Clone>(roles: &mut BTreeMap<K, BTreeSet<RoleName>>, key: &K, role: &RoleName) {
    roles.entry(key.clone()).or_default().insert(role.clone());
}

/// Removes a role from those of `key`, and with the last one the key.
fn forget<K: Ord>(roles: &mut BTreeMap<K, BTreeSet<RoleName>>, key: &K, role: &RoleName) {
    let of_key = roles.get_mut(key).expect("what records name was noted");
    of_key.remove(role);
    if of_key.is_empty() {
        roles.remove(key);
    }
}

/// All that come after one, or all.
fn behind(after: Option<&RoleName>) -> (Bound<&RoleName>, Bound<&RoleName>) {
    (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

impl Policy {
    /// Takes a role's record over, unless a newer one is known; `None` ends the role. Tells whether anything
    /// was taken over.
    pub fn apply(&mut self, role: &RoleName, version: Version, record: Option<Record>) -> bool {
        let known = self.roles.get(role).map(|(known, _)| *known).max(self.gone.get(role).copied());
        if known.is_some_and(|known| known >= version) {
            return false;
        }
        if let Some((_, old)) = self.roles.remove(role) {
            old.groups.iter().for_each(|group| forget(&mut self.members, group, role));
            old.grants.keys().for_each(|resource| forget(&mut self.holders, resource, role));
        }
        match record {
            Some(record) => {
                record.groups.iter().for_each(|group| note(&mut self.members, group, role));
                record.grants.keys().for_each(|resource| note(&mut self.holders, resource, role));
                self.gone.remove(role);
                self.roles.insert(role.clone(), (version, record));
            }
            None => {
                self.gone.insert(role.clone(), version);
            }
        }
        true
    }

    /// Forgets which roles are no more, once no older record of theirs can arrive.
    pub fn forget_gone(&mut self) {
        self.gone.clear();
    }

    /// A role's record.
    pub fn role(&self, name: &str) -> Option<&Record> {
        self.roles.get(name).map(|(_, record)| record)
    }

    /// Where a role's record stands in the log.
    pub fn version(&self, name: &str) -> Option<Version> {
        self.roles.get(name).map(|(version, _)| *version)
    }

    /// A user's account.
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.role(name).and_then(Record::account)
    }

    /// All roles, ascending by name.
    pub fn roles(&self) -> impl Iterator<Item = (&RoleName, &Record)> {
        self.roles_after(None)
    }

    /// The roles after one, or all, ascending by name: for who walks them in pieces.
    pub fn roles_after(&self, after: Option<&RoleName>) -> impl Iterator<Item = (&RoleName, &Record)> {
        self.roles.range::<RoleName, _>(behind(after)).map(|(name, (_, record))| (name, record))
    }

    /// Of these the ones that were granted something on a resource itself.
    pub fn holders_after(
        &self,
        resource: &Resource,
        after: Option<&RoleName>,
    ) -> impl Iterator<Item = (&RoleName, &Record)> {
        let names = self.holders.get(resource).into_iter();
        let names = names.flat_map(move |names| names.range::<RoleName, _>(behind(after)));
        names.map(|name| (name, self.role(name.as_str()).expect("who holds a grant has a record")))
    }

    /// How many roles there are.
    pub fn role_count(&self) -> usize {
        self.roles.len()
    }

    /// The groups that a role is in, directly or through other groups, ascending.
    pub fn groups_of(&self, name: &str) -> BTreeSet<RoleName> {
        self.groups_from(self.role(name).map(|record| record.groups.as_slice()).unwrap_or_default())
    }

    fn groups_from(&self, first: &[RoleName]) -> BTreeSet<RoleName> {
        let mut found = BTreeSet::new();
        let mut next: Vec<&RoleName> = first.iter().collect();
        while let Some(group) = next.pop() {
            let Some(record) = self.role(group.as_str()).filter(|record| record.is_group()) else { continue };
            if found.insert(group.clone()) {
                next.extend(&record.groups);
            }
        }
        found
    }

    /// What a user may do: by their own grants, those of their groups, and those of everybody. Somebody who
    /// has no record (a user of another issuer) has `extra_groups` and what everybody has. `compiled` gives a
    /// role's rights; it may remember them by the role's name and version.
    pub fn rights_of(
        &self,
        user: &str,
        extra_groups: &[RoleName],
        mut compiled: impl FnMut(&RoleName, Version, &Record) -> Rc<RoleRights>,
    ) -> Rights {
        let own = self.role(user).filter(|record| record.account().is_some());
        let mut groups: Vec<RoleName> = own.map(|record| record.groups.clone()).unwrap_or_default();
        groups.extend(extra_groups.iter().cloned());
        let groups = self.groups_from(&groups);
        let names = groups.iter().map(RoleName::as_str).chain(["*"]).chain(own.map(|_| user));
        let with_grants = names.filter_map(|name| {
            let (name, (version, record)) = self.roles.get_key_value(name)?;
            (!record.grants.is_empty()).then(|| compiled(name, *version, record))
        });
        let roles = with_grants.collect();
        Rights::new(groups.contains(ADMIN_GROUP), roles)
    }

    /// Panics if members or holders do not follow the records.
    pub fn assert_invariants(&self) {
        let named: usize = self.roles.values().map(|(_, record)| record.groups.len()).sum();
        assert_eq!(named, self.members.values().map(BTreeSet::len).sum::<usize>(), "members = memberships");
        let granted: usize = self.roles.values().map(|(_, record)| record.grants.len()).sum();
        assert_eq!(granted, self.holders.values().map(BTreeSet::len).sum::<usize>(), "holders = grants");
        for (name, (_, record)) in &self.roles {
            let is_holder =
                |resource: &Resource| self.holders.get(resource).is_some_and(|all| all.contains(name));
            assert!(record.grants.keys().all(is_holder), "{name} holds its grants");
            let is_member = |group: &RoleName| self.members.get(group).is_some_and(|all| all.contains(name));
            assert!(record.groups.iter().all(is_member), "{name} is a member of its groups");
            assert!(record.groups.is_sorted(), "groups are ascending");
            assert!(!self.gone.contains_key(name), "{name} is there or gone");
        }
    }
}
