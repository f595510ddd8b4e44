//! What every directory has: the groups, the administrator, `anonymous`, and who reads `public`.
//!
//! Planned at each start and empty when all is there. What an administrator has changed since is left alone:
//! a role that exists is never written again, but for the well-known password of `serve --dev`, which must
//! not be served by anything else, and for an administrator whose reset was asked for.

use super::Policy;
use super::change::Update;
use super::permission::{Permission, Permissions};
use super::record::{Account, Kind, Record};
use super::resource::Resource;
use super::role_name::RoleName;
use types::BucketName;

/// Who is in it may do everything.
pub const ADMIN_GROUP: &str = "g-admin";
/// Every user that is created over `/users` is in it.
pub const AUTHENTICATED_GROUP: &str = "g-authenticated";
/// The user of a request without a session.
pub const ANONYMOUS: &str = "anonymous";
/// The bucket that whoever has logged in may read.
pub const PUBLIC_BUCKET: &str = "public";

/// What a start brings along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Name of the administrator that is created when there is none.
    pub admin: RoleName,
    /// The hash of their password.
    pub password: String,
    /// Whether it is the well-known one of `serve --dev`.
    pub is_dev: bool,
    /// Whether the administrator gets this password and their place in [`ADMIN_GROUP`], whatever they have.
    pub resets_admin: bool,
    /// The bucket that they own.
    pub bucket: Option<BucketName>,
    /// The second since 1970 from which on sessions count of who gets a password, or loses a well-known one.
    pub sessions_from_s: u64,
}

impl Policy {
    /// Whether [`Policy::bootstrap`] would write the administrator's password without being told to.
    pub fn wants_admin_password(&self, admin: &RoleName, is_dev: bool) -> bool {
        match self.account(admin.as_str()) {
            None => self.role(admin.as_str()).is_none() && !self.has_administrator(is_dev),
            Some(account) => account.is_dev && !is_dev,
        }
    }

    /// Everybody else whose password is the well-known one loses it, and their sessions.
    fn well_known(&self, start: &Bootstrap) -> Vec<Update> {
        let known = self.roles().filter(|(name, record)| {
            **name != start.admin && record.account().is_some_and(|account| account.is_dev)
        });
        let without = |(name, record): (&RoleName, &Record)| {
            let record = Record { kind: Kind::User(Account::new(start.sessions_from_s)), ..record.clone() };
            Update { role: name.clone(), record: Some(record) }
        };
        known.map(without).collect()
    }

    /// Whether somebody who is not the well-known administrator can put things right.
    fn has_administrator(&self, is_dev: bool) -> bool {
        let administrators = self.administrators(None);
        let is_sound =
            |name: &RoleName| is_dev || self.account(name.as_str()).is_some_and(|account| !account.is_dev);
        administrators.iter().any(is_sound)
    }

    /// The roles that are missing.
    pub fn bootstrap(&self, start: &Bootstrap) -> Vec<Update> {
        let mut updates = Vec::new();
        let mut add = |role: RoleName, record: Record| updates.push(Update { role, record: Some(record) });
        let known = |name: &str| RoleName::parse(name).expect("the server's own names are sound");
        let (authenticated, admins, anonymous) =
            (known(AUTHENTICATED_GROUP), known(ADMIN_GROUP), known(ANONYMOUS));
        if self.role(AUTHENTICATED_GROUP).is_none() {
            let mut record = Record::new(Kind::Group);
            let public = BucketName::parse(PUBLIC_BUCKET).expect("the server's own names are sound");
            record.grant(Resource::Bucket(public), Permission::Get);
            add(authenticated.clone(), record);
        }
        if self.role(ADMIN_GROUP).is_none() {
            let mut record = Record::new(Kind::Group);
            record.join(authenticated);
            add(admins.clone(), record);
        }
        if self.role(ANONYMOUS).is_none() {
            add(anonymous, Record::new(Kind::User(Account::new(0))));
        }
        let is_group = self.role(start.admin.as_str()).is_some_and(Record::is_group);
        let is_reset = start.resets_admin && !is_group;
        if is_reset || self.wants_admin_password(&start.admin, start.is_dev) {
            assert!(!start.password.is_empty(), "an administrator has a password");
            let account = Account {
                password: Some(start.password.clone()),
                is_dev: start.is_dev,
                ..Account::new(start.sessions_from_s)
            };
            let known_record = self.role(start.admin.as_str());
            let joins = is_reset || known_record.is_none();
            let mut record = match known_record {
                Some(known) => known.clone(),
                None => {
                    let mut record = Record::new(Kind::User(account.clone()));
                    if let Some(bucket) = &start.bucket {
                        record.grants.insert(Resource::Bucket(bucket.clone()), Permissions::OWNER);
                    }
                    record
                }
            };
            if joins {
                record.join(admins);
            }
            record.kind = Kind::User(account);
            add(start.admin.clone(), record);
        }
        if !start.is_dev {
            updates.extend(self.well_known(start));
        }
        updates
    }
}
