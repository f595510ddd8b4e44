//! Logins: a name and a password become a token.
//!
//! Hashing takes some 20 ms and 19 MiB, so it happens on threads of its own, of which few logins may wait,
//! and fewer of one address. A password that was right is remembered by a keyed digest for the life of the
//! process. Only failed logins count against a limit, per address and user and per address: who guesses
//! passwords is slowed down, and locks out nobody who is elsewhere or whose password is remembered.
//! A user who does not exist costs the same time as a wrong password.

use super::common::{Common, lock};
use super::ports::Wish;
use super::rates::limited;
use super::session::Session;
use super::{Identity, now_s};
use crate::sys::executor::sleep;
use crate::sys::{clock, random};
use auth::password::{self, HashMemory, PASSWORD_BYTES_MAX, PasswordBounds, PasswordError, PasswordParams};
use auth::policy::{Change, ROLE_NAME_BYTES_MAX, RoleName};
use auth::token::{NewToken, SessionId};
use std::cell::RefCell;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use types::{Failure, Unavailable};

thread_local! {
    /// Of a thread that hashes; it keeps it.
    static MEMORY: RefCell<HashMemory> = RefCell::default();
}

/// A session that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The token.
    pub token: String,
    /// Whose it is.
    pub user: String,
}

/// A place among the logins that wait for a hash.
struct LoginPlace {
    common: Arc<Common>,
    address: IpAddr,
}

impl LoginPlace {
    fn take(common: &Arc<Common>, address: IpAddr) -> Option<LoginPlace> {
        let mut waiting = lock(&common.waiting);
        let here = waiting.by_address.get(&address).copied().unwrap_or(0);
        let limits = &common.config.limits;
        if waiting.total >= limits.logins_waiting_max || here >= limits.logins_waiting_per_address_max {
            return None;
        }
        waiting.total += 1;
        waiting.by_address.insert(address, here + 1);
        drop(waiting);
        Some(LoginPlace { common: common.clone(), address })
    }
}

impl Drop for LoginPlace {
    fn drop(&mut self) {
        let mut waiting = lock(&self.common.waiting);
        waiting.total -= 1;
        let here = waiting.by_address.get_mut(&self.address).expect("it was counted in");
        *here -= 1;
        if *here == 0 {
            waiting.by_address.remove(&self.address);
        }
    }
}

impl Identity {
    /// Logs a user in who asks from `address`.
    ///
    /// # Errors
    /// [`Failure::Unauthorized`], [`Failure::RateLimited`] after too many failures,
    /// [`Failure::Unavailable`] when too many wait.
    pub async fn login(&self, user: &str, password: &str, address: IpAddr) -> Result<Login, Failure> {
        let hash = self.policy().account(user).and_then(|account| account.password.clone());
        let is_right = self.check_password(user, password, hash.clone(), address).await?;
        // The password may have been changed while it was looked at, or the user be gone.
        let from_s = match self.policy().account(user) {
            Some(account) if is_right && account.password == hash => account.sessions_from_s,
            _ => return Err(Failure::Unauthorized),
        };
        Ok(self.begin_session(user, from_s).await)
    }

    /// Whether this is the user's password.
    async fn check_password(
        &self,
        user: &str,
        password: &str,
        hash: Option<String>,
        address: IpAddr,
    ) -> Result<bool, Failure> {
        if password.len() > PASSWORD_BYTES_MAX || user.len() > ROLE_NAME_BYTES_MAX {
            return Ok(false);
        }
        let address = network_of(address);
        if let Some(hash) = &hash
            && lock(&self.common.verified).is_verified(user, hash, password.as_bytes())
        {
            return Ok(true);
        }
        // Counted before it is known, and given back if the password is right: however many come at once, no
        // more are tried than may fail.
        self.take_failure(user, address)?;
        let Some(place) = LoginPlace::take(&self.common, address) else {
            give_back(&self.common, user.to_owned(), address);
            return Err(Failure::Unavailable(Unavailable::Overloaded));
        };
        let (common, user, text) = (self.common.clone(), user.to_owned(), password.to_owned());
        let is_right = self.common.pool.run(move || {
            let is_right = verify(&common, &user, hash.as_deref(), &text);
            if is_right {
                give_back(&common, user, address);
            }
            drop(place);
            is_right
        });
        Ok(is_right.await)
    }

    fn take_failure(&self, user: &str, address: IpAddr) -> Result<(), Failure> {
        let (now_ns, mut failures) = (clock::monotonic_ns(), lock(&self.common.failures));
        let key = (address, user.to_owned());
        failures.by_user.would_take(&key, now_ns, 1).map_err(limited)?;
        failures.by_address.take(&address, now_ns, 1).map_err(limited)?;
        failures.by_user.take(&key, now_ns, 1).map_err(limited)
    }

    async fn begin_session(&self, user: &str, from_s: u64) -> Login {
        // Sessions of somebody who was created anew, or whose sessions were ended, a moment ago count from
        // the next second on.
        while from_s == now_s() + 1 {
            sleep(Duration::from_millis(1000 - clock::now().0 % 1000)).await;
        }
        let issued_s = now_s();
        let sid = SessionId::new(random::bytes());
        let expires_s = issued_s + self.config().session_s;
        let token = self.common.verifier().own().issue(&NewToken { user, sid, issued_s, expires_s });
        Login { token, user: user.to_owned() }
    }

    /// Ends a session at once, on every core; durable when it returns. When no more sessions can be ended
    /// singly, all of its user end: who wants to be out is out.
    ///
    /// # Errors
    /// [`Failure::NoPermission`] for who has not logged in, and the engine's failures.
    pub async fn end_session(&self, session: &Session) -> Result<(), Failure> {
        let (Some(claims), Some(sid)) = (session.claims(), session.id()) else {
            return Err(Failure::NoPermission);
        };
        // A token that never expires is never forgotten.
        let expires_s = claims.expires_s.unwrap_or(u64::MAX);
        if session.is_own() && self.revoked.borrow_mut().check_room(now_s()).is_err() {
            return self.end_sessions_of(&claims.user).await;
        }
        self.wish(Wish::Revoke { sid, expires_s }).await
    }

    /// Ends all sessions of a user that have begun so far.
    ///
    /// # Errors
    /// [`Failure::UnknownUser`], and the engine's failures.
    pub async fn end_sessions_of(&self, user: &str) -> Result<(), Failure> {
        let name = RoleName::parse(user).map_err(|_| Failure::UnknownUser)?;
        self.change(Change::EndSessions { name, before_s: now_s() + 1 }).await
    }
}

/// A login that did not fail.
fn give_back(common: &Common, user: String, address: IpAddr) {
    let (now_ns, mut failures) = (clock::monotonic_ns(), lock(&common.failures));
    failures.by_user.refund(&(address, user), now_ns, 1);
    failures.by_address.refund(&address, now_ns, 1);
}

/// What is counted as one address: of IPv6 the network that one customer has.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// Hashes a password in the memory that this thread, one of the pool, keeps.
///
/// # Errors
/// Those of [`password::hash_in`].
pub(super) fn hash_here(
    password: &str,
    salt: [u8; 16],
    cost: &PasswordParams,
) -> Result<String, PasswordError> {
    MEMORY.with_borrow_mut(|memory| password::hash_in(memory, password.as_bytes(), salt, cost))
}

/// On a thread of the pool.
fn verify(common: &Common, user: &str, hash: Option<&str>, password: &str) -> bool {
    let Some(hash) = hash else {
        // As long as it takes with a user who exists; what comes out is of no use.
        let _ = hash_here(password, [0; 16], &common.config.hash_cost);
        return false;
    };
    // Who waited beside an equal login need not hash again.
    if lock(&common.verified).is_verified(user, hash, password.as_bytes()) {
        return true;
    }
    let verified = MEMORY.with_borrow_mut(|memory| {
        password::verify_in(memory, password.as_bytes(), hash, &PasswordBounds::default())
    });
    let is_right = verified.unwrap_or(false);
    if is_right {
        lock(&common.verified).remember(user, hash, password.as_bytes());
    }
    is_right
}
