//! Token buckets: so many a second for each key, and a burst on top.
//!
//! The shell keeps one limiter for each limit (logins by address, puts by user) and asks it with the time.
//! A bucket is one number, the time at which it will be full again (GCRA, ITU-T I.371): full buckets need no
//! memory and are forgotten. When the table is full of others, the fullest of some neighbours goes: a flood
//! of new keys throws out keys of the flood, and frees an exhausted key only by exhausting as many keys as
//! stand beside it, which costs more than a new key does. Who can make keys at will is not held by a limit
//! for each key; newcomers are never refused for the flood's sake. A clock that goes back refills nothing.

use crate::slots::Slots;
use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;

/// Neighbours that are looked at when a key is new.
const NEIGHBOURS: usize = 16;
/// Bits of a nanosecond's fraction: at a million a second the rate is off by less than 1 in 10^7.
const FRACTION_BITS: u32 = 16;
/// What [`RetryAfter`] says when waiting does not help.
const NEVER_MS: u64 = u64::MAX;

/// Buckets of tokens, one for each key.
#[derive(Clone, Debug)]
pub struct Limiter<K> {
    /// Time that one token takes to come back, and that a whole bucket takes; in fractions of a nanosecond.
    token: u128,
    bucket: u128,
    keys_max: usize,
    /// When each bucket is full again.
    full_at: Slots<K, u128>,
    hand: usize,
}

/// A bucket has too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// After how many milliseconds it will have enough, if nobody else takes; `u64::MAX` when the cost is
    /// above the burst and waiting does not help.
    pub ms: u64,
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ms {
            NEVER_MS => f.write_str("more at once than the limit ever allows"),
            ms => write!(f, "over the limit; try again after {ms} ms"),
        }
    }
}

impl std::error::Error for RetryAfter {}

/// What a limiter allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens that come back in a second; may be a fraction.
    pub per_second: f64,
    /// Tokens of a full bucket.
    pub burst: u32,
}

/// Slowest rate: a token in about 31 years.
const PER_SECOND_MIN: f64 = 1e-9;
/// Fastest rate: above it a token takes less than a nanosecond.
const PER_SECOND_MAX: f64 = 1e9;

/// A rate that no bucket can have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateInvalid {
    /// The rate.
    pub rate: Rate,
}

impl fmt::Display for RateInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rate { per_second, burst } = self.rate;
        write!(
            f,
            "a rate is {PER_SECOND_MIN:e} to {PER_SECOND_MAX:e} a second with a burst of at least 1, not \
             {per_second} a second with a burst of {burst}"
        )
    }
}

impl std::error::Error for RateInvalid {}

impl<K: Hash + Eq> Limiter<K> {
    /// Full buckets for everybody, of whom at most `keys_max` (at least one) are remembered. `seed` is
    /// random and secret, so that nobody can choose keys that collide.
    ///
    /// # Errors
    /// A rate that is no number, too slow or too fast, or a burst of nothing.
    pub fn new(rate: Rate, keys_max: usize, seed: u128) -> Result<Limiter<K>, RateInvalid> {
        if !(PER_SECOND_MIN..=PER_SECOND_MAX).contains(&rate.per_second) || rate.burst == 0 {
            return Err(RateInvalid { rate });
        }
        // Rounded up, so that no more comes back than was said.
        let token = (1e9 * f64::from(1 << FRACTION_BITS) / rate.per_second).ceil() as u128;
        let bucket = token * u128::from(rate.burst);
        Ok(Limiter { token, bucket, keys_max: keys_max.max(1), full_at: Slots::new(seed), hand: 0 })
    }

    /// Takes `cost` tokens out of the bucket of `key`, or nothing.
    ///
    /// # Errors
    /// The bucket has too little.
    pub fn take<Q>(&mut self, key: &Q, now_ns: u64, cost: u32) -> Result<(), RetryAfter>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let place = self.full_at.find(key);
        if let Some(place) = place {
            // Kept even when nothing is taken: after a clock went back, an empty bucket fills from now on.
            *self.full_at.value_mut(place) = self.full_at(place, now_ns);
        }
        let full_at = self.after(place, now_ns, cost)?;
        match place {
            Some(place) => *self.full_at.value_mut(place) = full_at,
            None if cost == 0 => {}
            None => {
                self.make_room(fine(now_ns));
                self.full_at.push(key.to_owned(), full_at);
            }
        }
        assert!(self.full_at.len() <= self.keys_max, "the table is within its bound");
        Ok(())
    }

    /// Puts `cost` tokens back that were taken for something that then did not happen. A bucket never has
    /// more than its burst.
    pub fn refund<Q>(&mut self, key: &Q, now_ns: u64, cost: u32)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Some(place) = self.full_at.find(key) {
            let full_at = self.full_at(place, now_ns).saturating_sub(self.token * u128::from(cost));
            *self.full_at.value_mut(place) = full_at;
        }
    }

    /// Whether `take` would take.
    ///
    /// # Errors
    /// The bucket has too little.
    pub fn would_take<Q>(&self, key: &Q, now_ns: u64, cost: u32) -> Result<(), RetryAfter>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.after(self.full_at.find(key), now_ns, cost).map(drop)
    }

    /// How many buckets are remembered.
    pub fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Whether no bucket is remembered: all are full.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the bucket at `place` is full again: not before now, and not later than an empty one would be,
    /// which is what it is taken for when the clock has gone back.
    fn full_at(&self, place: usize, now_ns: u64) -> u128 {
        let now = fine(now_ns);
        (*self.full_at.value(place)).clamp(now, now + self.bucket)
    }

    /// When the bucket would be full again if `cost` were taken now.
    fn after(&self, place: Option<usize>, now_ns: u64, cost: u32) -> Result<u128, RetryAfter> {
        let now = fine(now_ns);
        let cost = self.token * u128::from(cost);
        if cost > self.bucket {
            return Err(RetryAfter { ms: NEVER_MS });
        }
        let full_at = place.map_or(now, |place| self.full_at(place, now_ns)) + cost;
        match full_at.checked_sub(now + self.bucket) {
            None | Some(0) => Ok(full_at),
            Some(missing) => {
                let ms = u64::try_from(missing.div_ceil(fine(1_000_000))).unwrap_or(NEVER_MS);
                Err(RetryAfter { ms })
            }
        }
    }

    /// Forgets neighbours of the hand that are full again, and when there is still no room, the fullest.
    fn make_room(&mut self, now: u128) {
        let mut fullest: Option<usize> = None;
        let mut looked = 0;
        while looked < NEIGHBOURS && looked < self.full_at.len() {
            self.hand %= self.full_at.len();
            let full_at = *self.full_at.value(self.hand);
            looked += 1;
            if full_at <= now {
                self.full_at.swap_remove(self.hand);
                // Places have moved; there is room now, so none is needed.
                fullest = None;
                continue;
            }
            if fullest.is_none_or(|place| full_at < *self.full_at.value(place)) {
                fullest = Some(self.hand);
            }
            self.hand += 1;
        }
        if self.full_at.len() >= self.keys_max {
            self.full_at.swap_remove(fullest.expect("a table without room has a neighbour"));
        }
    }
}

/// A time in fractions of a nanosecond.
fn fine(ns: u64) -> u128 {
    u128::from(ns) << FRACTION_BITS
}
