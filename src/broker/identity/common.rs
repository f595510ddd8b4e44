//! What the cores share of identities: configuration, keys, the pool that hashes, and three small tables.
//!
//! Touched by logins, tickets, changes and reloads, each behind a lock that is held for a look-up; never by a
//! request whose session its core knows.

use super::rates::{RateLimits, Rates};
use super::session::Proof;
use crate::sys::offload::Offload;
use crate::sys::random;
use auth::VerifiedPasswords;
use auth::limiter::{Limiter, Rate};
use auth::password::PasswordParams;
use auth::policy::{PolicyLimits, RoleName};
use auth::ticket::{TicketBounds, Tickets};
use auth::token::{Issuer, OwnConfig, OwnTokens, SecretRing, TokenBounds, Verifier};
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use types::Limits;

/// What is configured about identities.
#[derive(Clone, Debug)]
pub struct IdentityConfig {
    /// How our own tokens are signed and judged.
    pub own: OwnConfig,
    /// Whose tokens are taken beside our own.
    pub issuers: Vec<Issuer>,
    /// How long a session lives, in seconds.
    pub session_s: u64,
    /// How long a ticket may wait to be used, in seconds.
    pub ticket_s: u64,
    /// Before a user's name in that of their own bucket.
    pub user_bucket_prefix: String,
    /// Name of the administrator that a first start creates.
    pub admin: RoleName,
    /// Their password; generated when there is none.
    pub admin_password: Option<String>,
    /// `serve --dev`: the administrator's password is well known.
    pub is_dev: bool,
    /// Whether this start gives the administrator a new password, their group, and no session.
    pub resets_admin: bool,
    /// What hashing a password costs.
    pub hash_cost: PasswordParams,
    /// How often users and addresses may do what.
    pub rates: RateLimits,
    /// Events that `$sys/audit` keeps; 0 for none.
    pub audit_events_max: u64,
    /// The bounds of all tables and queues here.
    pub limits: Limits,
}

impl IdentityConfig {
    /// What is configured when nothing is: no issuers, `admin`, a password that is made up.
    pub fn new(limits: Limits) -> IdentityConfig {
        IdentityConfig {
            own: OwnConfig::default(),
            issuers: Vec::new(),
            session_s: 24 * 3600,
            ticket_s: 30,
            user_bucket_prefix: String::new(),
            admin: RoleName::parse("admin").expect("a sound name"),
            admin_password: None,
            is_dev: false,
            resets_admin: false,
            hash_cost: PasswordParams::default(),
            rates: RateLimits::default(),
            audit_events_max: 0,
            limits,
        }
    }

    /// The bounds of the policy.
    pub(super) fn policy_limits(&self) -> PolicyLimits {
        let Limits { roles_max, grants_per_role_max, groups_per_role_max, .. } = self.limits;
        PolicyLimits { roles_max, grants_per_role_max, groups_per_role_max }
    }
}

/// Failed logins: by address, and by address and user.
pub(super) struct Failures {
    pub(super) by_user: Limiter<(IpAddr, String)>,
    pub(super) by_address: Limiter<IpAddr>,
}

/// Logins that wait for a hash.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) total: usize,
    pub(super) by_address: HashMap<IpAddr, usize>,
}

/// Places for something of which only so many may wait.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<AtomicUsize>);

/// A place that was taken; given back when it is dropped.
pub(super) struct Place(Arc<AtomicUsize>);

impl Places {
    /// A place, if fewer than `places_max` are taken.
    pub(super) fn take(&self, places_max: usize) -> Option<Place> {
        let place = Place(self.0.clone());
        (self.0.fetch_add(1, Ordering::Relaxed) < places_max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the cores share.
pub struct Common {
    pub(super) config: IdentityConfig,
    pub(super) pool: Offload,
    pub(super) verified: Mutex<VerifiedPasswords>,
    pub(super) tickets: Mutex<Tickets<Proof>>,
    pub(super) failures: Mutex<Failures>,
    pub(super) waiting: Mutex<Waiting>,
    pub(super) rates: Rates,
    /// Changes that wait for the keeper.
    pub(super) changes: Places,
    /// Passwords of users who are created or changed that wait for a hash.
    pub(super) hashes: Places,
    keys: Mutex<Arc<Verifier>>,
    keys_edition: AtomicU64,
}

impl Common {
    /// Nothing is remembered yet; `secrets` sign and verify our own tokens. `pool` hashes passwords.
    ///
    /// # Errors
    /// An issuer that is not configured well, in a sentence.
    pub fn new(config: IdentityConfig, pool: Offload, secrets: &SecretRing) -> Result<Arc<Common>, String> {
        let verifier = verifier(&config, secrets)?;
        let limits = &config.limits;
        let failures = Failures {
            by_user: failures_of(limits.failed_logins_max, limits.rate_keys_max)?,
            by_address: failures_of(limits.failed_logins_per_address_max, limits.rate_keys_max)?,
        };
        let rates = Rates::new(&config.rates, limits.rate_keys_max)?;
        let verified = VerifiedPasswords::new(random::bytes(), limits.passwords_cached_max);
        let Limits { tickets_max, user_tickets_max, .. } = *limits;
        let bounds = TicketBounds { tickets_max, per_owner_max: user_tickets_max };
        let tickets = Tickets::new(config.ticket_s * 1000, bounds);
        Ok(Arc::new(Common {
            pool,
            verified: Mutex::new(verified),
            tickets: Mutex::new(tickets),
            failures: Mutex::new(failures),
            waiting: Mutex::default(),
            rates,
            changes: Places::default(),
            hashes: Places::default(),
            keys: Mutex::new(Arc::new(verifier)),
            keys_edition: AtomicU64::new(1),
            config,
        }))
    }

    /// Takes other secrets from now on; what they do not verify is over.
    ///
    /// # Errors
    /// As [`Common::new`]; the old ones stay then.
    pub fn set_secrets(&self, secrets: &SecretRing) -> Result<(), String> {
        let verifier = Arc::new(verifier(&self.config, secrets)?);
        *lock(&self.keys) = verifier;
        self.keys_edition.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Grows with each change of the keys.
    pub(super) fn keys_edition(&self) -> u64 {
        self.keys_edition.load(Ordering::Acquire)
    }

    /// The keys as they are now.
    pub(super) fn verifier(&self) -> Arc<Verifier> {
        lock(&self.keys).clone()
    }
}

/// So many at once, and again in each minute.
fn failures_of<K: Hash + Eq>(count: usize, keys_max: usize) -> Result<Limiter<K>, String> {
    let burst = u32::try_from(count).unwrap_or(u32::MAX);
    let rate = Rate { per_second: f64::from(burst) / 60.0, burst };
    Limiter::new(rate, keys_max, random::bits_128()).map_err(|error| error.to_string())
}

fn verifier(config: &IdentityConfig, secrets: &SecretRing) -> Result<Verifier, String> {
    let own = OwnTokens::new(config.own, secrets);
    Verifier::new(own, config.issuers.clone(), TokenBounds::default())
        .map_err(|(index, fault)| format!("issuer {}: {fault}", index + 1))
}

/// Every critical section leaves its table whole, so a panic elsewhere does not spoil it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
