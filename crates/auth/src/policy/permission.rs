//! What a role may do, one bit each.
//!
//! The names on the wire are Iorio's: `get put delete list grant adminusers`, and with the prefix `iorio.` on
//! the routes of `/admin`.

use std::fmt;

/// One kind of right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Permission {
    /// Read events and listen.
    Get = 1,
    /// Append events and patch.
    Put = 2,
    /// Delete and trim streams, change their settings.
    Delete = 4,
    /// List the streams of a bucket; on every bucket: list the buckets.
    List = 8,
    /// Read and change grants.
    Grant = 16,
    /// Read and change users and groups. It means something only on every bucket.
    AdminUsers = 32,
}

impl Permission {
    /// All, in the order in which they are shown.
    pub const ALL: [Permission; 6] = [
        Permission::Get,
        Permission::Put,
        Permission::Delete,
        Permission::List,
        Permission::Grant,
        Permission::AdminUsers,
    ];

    /// The permission of a name, with or without `iorio.` before it.
    pub fn parse(text: &str) -> Option<Permission> {
        let name = text.strip_prefix("iorio.").unwrap_or(text);
        Permission::ALL.into_iter().find(|permission| permission.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Permission::Get => "get",
            Permission::Put => "put",
            Permission::Delete => "delete",
            Permission::List => "list",
            Permission::Grant => "grant",
            Permission::AdminUsers => "adminusers",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u8);

impl Permissions {
    /// None.
    pub const NONE: Permissions = Permissions(0);
    /// What the owner of a bucket has there.
    pub const OWNER: Permissions = Permissions(31);

    /// Whether it holds `permission`.
    pub fn has(self, permission: Permission) -> bool {
        self.0 & permission as u8 != 0
    }

    /// Whether it holds nothing.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// With one more.
    #[must_use]
    pub fn with(self, permission: Permission) -> Permissions {
        Permissions(self.0 | permission as u8)
    }

    /// Without one.
    #[must_use]
    pub fn without(self, permission: Permission) -> Permissions {
        Permissions(self.0 & !(permission as u8))
    }

    /// Those of either.
    #[must_use]
    pub fn union(self, other: Permissions) -> Permissions {
        Permissions(self.0 | other.0)
    }

    /// Each, in the order in which they are shown.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.has(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Permissions {
        permissions.into_iter().fold(Permissions::NONE, Permissions::with)
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_again_with_and_without_its_prefix() {
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.name()), Some(permission));
            assert_eq!(Permission::parse(&format!("iorio.{permission}")), Some(permission));
        }
        for bad in ["", "Get", "iorio.", "iorio.iorio.get", "read", "*"] {
            assert_eq!(Permission::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_owner_has_everything_but_the_users() {
        let owner: Vec<Permission> = Permissions::OWNER.iter().collect();
        assert_eq!(owner, Permission::ALL[..5]);
    }

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        let set: Permissions = [Permission::Get, Permission::Grant].into_iter().collect();
        assert!(set.has(Permission::Get) && set.has(Permission::Grant) && !set.has(Permission::Put));
        assert!(set.without(Permission::Get).without(Permission::Grant).is_empty());
        assert_eq!(format!("{set:?}"), r#"{"get", "grant"}"#);
    }
}
