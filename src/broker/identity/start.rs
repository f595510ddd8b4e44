//! The first start: groups, administrator, `anonymous`; the well-known password that must not stay; and the
//! administrator whose password is lost.
//!
//! Runs on the keeper's core after the roles are loaded and before anything is served. A generated password
//! is shown once, on stderr, right before it is made durable.

use super::KEEPER;
use super::login::hash_here;
use super::ports::Wish;
use super::store;
use crate::broker::Broker;
use crate::sys::random;
use auth::policy::{Bootstrap, PUBLIC_BUCKET};
use std::rc::Rc;
use types::BucketName;

/// The password of the administrator of `serve --dev`.
const DEV_PASSWORD: &str = "secret";

/// Loads the roles; on the keeper's core, creates what is missing.
///
/// # Errors
/// Why users and grants are not known, in a sentence.
pub(in crate::broker) async fn open(broker: &Rc<Broker>) -> Result<(), String> {
    store::load(broker).await?;
    if broker.link().core() == KEEPER { create_missing(broker).await } else { Ok(()) }
}

async fn create_missing(broker: &Rc<Broker>) -> Result<(), String> {
    let identity = broker.identity();
    let config = identity.config();
    // A password that was given is not the well-known one, in development either.
    let is_dev = config.is_dev && config.admin_password.is_none();
    let had_admin = identity.policy().account(config.admin.as_str()).is_some();
    if config.resets_admin && !had_admin && identity.policy().role(config.admin.as_str()).is_some() {
        return Err(format!(
            "{} cannot be reset: it is a group; auth.admin names the administrator",
            config.admin
        ));
    }
    let wants_password = config.resets_admin || identity.policy().wants_admin_password(&config.admin, is_dev);
    let generated = generated_password();
    let password = match (&config.admin_password, config.is_dev) {
        (Some(password), _) => password.clone(),
        (None, true) => DEV_PASSWORD.to_owned(),
        (None, false) => generated.clone(),
    };
    let is_shown = password == generated;
    let hash = if wants_password {
        let (cost, salt) = (config.hash_cost, random::bytes());
        let hashed = identity.common.pool.run(move || hash_here(&password, salt, &cost)).await;
        hashed.map_err(|error| format!("the administrator's password cannot be kept: {error}"))?
    } else {
        String::new()
    };
    let start = Bootstrap {
        admin: config.admin.clone(),
        password: hash,
        is_dev,
        resets_admin: config.resets_admin,
        bucket: identity.own_bucket(config.admin.as_str()),
        // Tokens tell whole seconds: one of before may be of this one.
        sessions_from_s: super::now_s() + u64::from(had_admin),
    };
    let missing = identity.policy().bootstrap(&start);
    if missing.is_empty() {
        return Ok(());
    }
    if wants_password && is_shown {
        let why = match (config.resets_admin, had_admin) {
            (true, true) => "; sessions of before are over",
            (false, true) => "; the well-known one of --dev is replaced",
            (_, false) => "",
        };
        // Before it counts, so that a crash in between leaves nobody with a password that nobody knows.
        eprintln!(
            "millrace: the password of {} is {generated} (shown this once{why}; change it with \
             PUT /users or `millrace users passwd`)",
            config.admin
        );
    }
    let written = identity.wish(Wish::Write(missing)).await;
    written.map_err(|failure| format!("users and groups cannot be created: {}", failure.reason()))
}

/// 120 random bits in letters and digits that are not taken for each other.
fn generated_password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bytes: [u8; 24] = random::bytes();
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

impl super::Identity {
    /// The bucket that a user owns; `None` where no bucket can have the name.
    pub(super) fn own_bucket(&self, user: &str) -> Option<BucketName> {
        let bucket = BucketName::parse(&format!("{}{user}", self.config().user_bucket_prefix)).ok()?;
        // Nobody owns what belongs to all or to the server.
        let is_free = !bucket.is_internal() && !matches!(bucket.as_str(), PUBLIC_BUCKET | "any");
        is_free.then_some(bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_passwords_are_long_and_never_the_same() {
        let (a, b) = (generated_password(), generated_password());
        assert!(a != b && a.len() == 24 && a.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{a}");
    }
}
