//! How often a user, and an address, may do what.
//!
//! Off unless configured, and then one look at an empty place for each request. The buckets are shared by the
//! cores, behind a lock that is held for one look-up: a limit means what it says, on whichever core a
//! client's connections are. Who has no session is counted by address in the place of a user.

use super::Identity;
use super::common::lock;
use super::login::network_of;
use super::session::Session;
use crate::sys::{clock, random};
use auth::limiter::{Limiter, Rate, RetryAfter};
use std::net::IpAddr;
use std::sync::Mutex;
use types::Failure;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// An append.
    Put,
    /// A patch.
    Patch,
    /// A read.
    Get,
    /// A delete or a trim, a change of settings.
    Delete,
    /// A listing.
    List,
    /// A listen request, or a subscription of a WebSocket.
    Listen,
}

/// How many kinds of actions there are.
pub const ACTION_COUNT: usize = 6;

/// The limits of each action; `None` is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RateLimits {
    /// For each user.
    pub by_user: [Option<Rate>; ACTION_COUNT],
    /// For each address.
    pub by_address: [Option<Rate>; ACTION_COUNT],
}

/// The buckets.
pub(super) struct Rates {
    by_user: [Option<Mutex<Limiter<String>>>; ACTION_COUNT],
    by_address: [Option<Mutex<Limiter<IpAddr>>>; ACTION_COUNT],
}

impl Rates {
    /// Full buckets.
    ///
    /// # Errors
    /// A rate that no bucket can have, in a sentence.
    pub(super) fn new(limits: &RateLimits, keys_max: usize) -> Result<Rates, String> {
        fn buckets<K: std::hash::Hash + Eq>(
            rates: &[Option<Rate>; ACTION_COUNT],
            keys_max: usize,
        ) -> Result<[Option<Mutex<Limiter<K>>>; ACTION_COUNT], String> {
            let mut all = [const { None }; ACTION_COUNT];
            for (bucket, rate) in all.iter_mut().zip(rates) {
                let Some(rate) = rate else { continue };
                let limiter = Limiter::new(*rate, keys_max, random::bits_128());
                *bucket = Some(Mutex::new(limiter.map_err(|error| error.to_string())?));
            }
            Ok(all)
        }
        let RateLimits { by_user, by_address } = limits;
        Ok(Rates { by_user: buckets(by_user, keys_max)?, by_address: buckets(by_address, keys_max)? })
    }
}

impl Identity {
    /// Counts an action.
    ///
    /// # Errors
    /// [`Failure::RateLimited`]; then nothing was counted for the user.
    pub fn count(&self, action: Action, session: &Session, address: IpAddr) -> Result<(), Failure> {
        let rates = &self.common.rates;
        let (by_user, by_address) = (&rates.by_user[action as usize], &rates.by_address[action as usize]);
        if by_user.is_none() && by_address.is_none() {
            return Ok(());
        }
        let (now_ns, address) = (clock::monotonic_ns(), network_of(address));
        if let Some(buckets) = by_address {
            lock(buckets).take(&address, now_ns, 1).map_err(limited)?;
        }
        if let Some(buckets) = by_user {
            let key = match session.is_anonymous() {
                // No user's name holds a blank.
                true => format!("{} {address}", session.user()),
                false => session.user().to_owned(),
            };
            lock(buckets).take(&key, now_ns, 1).map_err(limited)?;
        }
        Ok(())
    }
}

/// How a client is told; in whole seconds, at least one.
pub(super) fn limited(wait: RetryAfter) -> Failure {
    Failure::RateLimited { retry_after_s: u32::try_from(wait.ms.div_ceil(1000)).unwrap_or(u32::MAX).max(1) }
}
