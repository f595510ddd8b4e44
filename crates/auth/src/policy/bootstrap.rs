//! What every directory has: the groups, the administrator, `anonymous`, and who reads `public`.
//!
//! Planned at each start and empty when all is there. What an administrator has changed since is left alone:
//! a role that exists is never written again, but for the well-known password of `serve --dev`, which must
//! not be served by anything else.

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
    /// The bucket that they own.
    pub bucket: Option<BucketName>,
}

impl Policy {
    /// Whether [`Policy::bootstrap`] would write the administrator's password.
    pub fn wants_admin_password(&self, admin: &RoleName, is_dev: bool) -> bool {
        match self.account(admin.as_str()) {
            None => self.role(admin.as_str()).is_none() && self.administrators(None).is_empty(),
            Some(account) => account.is_dev && !is_dev,
        }
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
            let account = Account { password: None, sessions_from_s: 0, is_dev: false };
            add(anonymous, Record::new(Kind::User(account)));
        }
        if self.wants_admin_password(&start.admin, start.is_dev) {
            let account = |sessions_from_s| Account {
                password: Some(start.password.clone()),
                sessions_from_s,
                is_dev: start.is_dev,
            };
            let mut record = match self.role(start.admin.as_str()) {
                Some(known) => known.clone(),
                None => {
                    let mut record = Record::new(Kind::User(account(0)));
                    record.join(admins);
                    if let Some(bucket) = &start.bucket {
                        record.grants.insert(Resource::Bucket(bucket.clone()), Permissions::OWNER);
                    }
                    record
                }
            };
            let sessions_from_s = record.account().map_or(0, |account| account.sessions_from_s);
            record.kind = Kind::User(account(sessions_from_s));
            add(start.admin.clone(), record);
        }
        updates
    }
}
