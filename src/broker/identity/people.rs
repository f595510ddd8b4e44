//! What is done with users and groups, from the texts that a client sends to a change.
//!
//! Names and passwords are checked here, passwords hashed on the pool; whether a change can be, the policy
//! decides on the keeper's core.

use super::login::hash_here;
use super::{Identity, now_s};
use crate::sys::random;
use auth::password::PASSWORD_BYTES_MAX;
use auth::policy::{AUTHENTICATED_GROUP, Account, Change, RoleName};
use types::{Failure, Unavailable};

impl Identity {
    /// A new user of `/users`: in the group of all who can log in, owner of a bucket.
    ///
    /// # Errors
    /// [`Failure::IllegalUsername`], [`Failure::UserExists`], and others of [`Identity::change`].
    pub async fn create_user(&self, user: &str, password: &str) -> Result<(), Failure> {
        let name = user_name(user)?;
        let groups = vec![group_name(AUTHENTICATED_GROUP)?];
        let bucket = self.own_bucket(user);
        self.check_free(&name)?;
        let account = self.new_account(password).await?;
        self.change(Change::CreateUser { name, account, groups, bucket }).await
    }

    /// A new user of `/admin/users`: in these groups, owner of nothing.
    ///
    /// # Errors
    /// As [`Identity::create_user`].
    pub async fn create_user_in(&self, user: &str, password: &str, groups: &[String]) -> Result<(), Failure> {
        let name = user_name(user)?;
        let groups = group_names(groups)?;
        self.check_free(&name)?;
        let account = self.new_account(password).await?;
        self.change(Change::CreateUser { name, account, groups, bucket: None }).await
    }

    /// Another password for a user. Sessions that have begun go on, unless they are ended with it.
    ///
    /// # Errors
    /// [`Failure::UnknownUser`], and others of [`Identity::change`].
    pub async fn set_password(&self, user: &str, password: &str, ends_sessions: bool) -> Result<(), Failure> {
        let name = RoleName::parse(user).map_err(|_| Failure::UnknownUser)?;
        if self.policy().account(user).is_none() {
            return Err(Failure::UnknownUser);
        }
        let password = self.hash(password).await?;
        let end_before_s = ends_sessions.then(|| now_s() + 1);
        self.change(Change::SetPassword { name, password, end_before_s }).await
    }

    /// The end of a user, or of a group.
    ///
    /// # Errors
    /// [`Failure::UnknownUser`], [`Failure::NotPossible`] for one that the server needs.
    pub async fn delete_role(&self, name: &str, is_group: bool) -> Result<(), Failure> {
        let name = RoleName::parse(name).map_err(|_| Failure::UnknownUser)?;
        self.change(Change::DeleteRole { name, is_group }).await
    }

    /// A new group.
    ///
    /// # Errors
    /// As [`Identity::create_user`].
    pub async fn create_group(&self, group: &str, groups: &[String]) -> Result<(), Failure> {
        let name = user_name(group)?;
        self.change(Change::CreateGroup { name, groups: group_names(groups)? }).await
    }

    /// The groups that a user or a group is in.
    ///
    /// # Errors
    /// [`Failure::UnknownUser`], [`Failure::NotPossible`].
    pub async fn set_groups(&self, name: &str, is_group: bool, groups: &[String]) -> Result<(), Failure> {
        let name = RoleName::parse(name).map_err(|_| Failure::UnknownUser)?;
        self.change(Change::SetGroups { name, is_group, groups: group_names(groups)? }).await
    }

    /// Whether a name is free, before its password is hashed; the policy looks again.
    fn check_free(&self, name: &RoleName) -> Result<(), Failure> {
        if self.policy().role(name.as_str()).is_some() { Err(Failure::UserExists) } else { Ok(()) }
    }

    async fn new_account(&self, password: &str) -> Result<Account, Failure> {
        let password = Some(self.hash(password).await?);
        // From when sessions count is said by the keeper, who knows when an earlier user came to an end.
        Ok(Account { password, ..Account::new(0) })
    }

    async fn hash(&self, password: &str) -> Result<String, Failure> {
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
            return Err(Failure::InvalidField { field: "password".into(), value: String::new() });
        }
        let (cost, salt, password) = (self.config().hash_cost, random::bytes(), password.to_owned());
        let Some(_place) = self.common.hashes.take(self.config().limits.logins_waiting_max) else {
            return Err(Failure::Unavailable(Unavailable::Overloaded));
        };
        let hashed = self.common.pool.run(move || hash_here(&password, salt, &cost)).await;
        hashed.map_err(|error| Failure::Internal { detail: error.to_string().into() })
    }
}

fn user_name(text: &str) -> Result<RoleName, Failure> {
    RoleName::parse(text).map_err(|_| Failure::IllegalUsername)
}

fn group_name(text: &str) -> Result<RoleName, Failure> {
    RoleName::parse(text).map_err(|_| unknown_group(text))
}

fn group_names(texts: &[String]) -> Result<Vec<RoleName>, Failure> {
    texts.iter().map(|text| group_name(text)).collect()
}

fn unknown_group(text: &str) -> Failure {
    Failure::NotPossible { detail: format!("there is no group {text:?}").into() }
}
