//! Passwords that were verified in this process, so that clients that come back cost no argon2 each.
//!
//! The shell asks before it hashes and remembers after a hash that held. An entry is an HMAC, under a key of
//! this process, over the user, the stored string and the password: it is worth nothing elsewhere, and a
//! changed password has another stored string, so no entry outlives it. One entry for a user; when the
//! table is full, one that was not asked for lately goes.

use crate::slots::Slots;
use ring::hmac;

/// How many entries are looked at for one to throw out; each that was asked for has one more turn.
const TURNS_MAX: usize = 8;

/// Users whose password was verified lately.
pub struct VerifiedPasswords {
    key: hmac::Key,
    entries_max: usize,
    entries: Slots<Box<str>, Entry>,
    hand: usize,
}

struct Entry {
    tag: hmac::Tag,
    /// Whether it was asked for since the hand last passed.
    used: bool,
}

impl VerifiedPasswords {
    /// An empty table of at most `entries_max` users, under a key of 32 random bytes.
    pub fn new(key: [u8; 32], entries_max: usize) -> VerifiedPasswords {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let mut seed = [0; 16];
        seed.copy_from_slice(&hmac::sign(&key, b"seed of the table").as_ref()[..16]);
        let entries = Slots::new(u128::from_le_bytes(seed));
        VerifiedPasswords { key, entries_max, entries, hand: 0 }
    }

    /// Remembers that `password` is the one that `phc` was made of.
    pub fn remember(&mut self, user: &str, phc: &str, password: &[u8]) {
        if self.entries_max == 0 {
            return;
        }
        let entry = Entry { tag: hmac::sign(&self.key, &message(user, phc, password)), used: false };
        if let Some(place) = self.entries.find(user) {
            *self.entries.value_mut(place) = entry;
            return;
        }
        while self.entries.len() >= self.entries_max {
            self.throw_one_out();
        }
        self.entries.push(user.into(), entry);
    }

    /// Forgets a user, when one is deleted or its sessions are ended.
    pub fn forget(&mut self, user: &str) {
        if let Some(place) = self.entries.find(user) {
            self.entries.swap_remove(place);
        }
    }

    /// Whether `password` was verified against `phc` and is still remembered. `false` says nothing: hash.
    pub fn is_verified(&mut self, user: &str, phc: &str, password: &[u8]) -> bool {
        let Some(place) = self.entries.find(user) else { return false };
        let entry = self.entries.value_mut(place);
        let holds = hmac::verify(&self.key, &message(user, phc, password), entry.tag.as_ref()).is_ok();
        entry.used |= holds;
        holds
    }

    /// How many users are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn throw_one_out(&mut self) {
        for _ in 0..TURNS_MAX {
            self.hand %= self.entries.len();
            let entry = self.entries.value_mut(self.hand);
            if !std::mem::take(&mut entry.used) {
                break;
            }
            self.hand += 1;
        }
        self.entries.swap_remove(self.hand % self.entries.len());
    }
}

/// Lengths before the parts: no two triples have the same message.
fn message(user: &str, phc: &str, password: &[u8]) -> Vec<u8> {
    let lengths = [user.len() as u64, phc.len() as u64].map(u64::to_le_bytes);
    [&lengths[0], &lengths[1], user.as_bytes(), phc.as_bytes(), password].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries_max: usize) -> VerifiedPasswords {
        VerifiedPasswords::new([7; 32], entries_max)
    }

    #[test]
    fn only_the_same_user_string_and_password_are_verified() {
        let mut table = table(4);
        assert!(!table.is_verified("ada", "$phc", b"secret"));
        table.remember("ada", "$phc", b"secret");
        assert!(table.is_verified("ada", "$phc", b"secret"));
        for (user, phc, password) in [
            ("eve", "$phc", "secret"),
            ("ada", "$phc2", "secret"),
            ("ada", "$phc", "secret2"),
            ("ada", "$phc", ""),
            ("ada", "", "$phcsecret"),
            ("ada", "$phcs", "ecret"),
        ] {
            assert!(!table.is_verified(user, phc, password.as_bytes()), "{user} {phc} {password}");
        }
    }

    #[test]
    fn a_changed_password_takes_the_place_of_the_old_one() {
        let mut table = table(4);
        table.remember("ada", "$old", b"old");
        table.remember("ada", "$new", b"new");
        assert_eq!(table.len(), 1);
        assert!(!table.is_verified("ada", "$old", b"old"));
        assert!(table.is_verified("ada", "$new", b"new"));
        table.forget("ada");
        table.forget("eve");
        assert!(!table.is_verified("ada", "$new", b"new") && table.is_empty());
    }

    #[test]
    fn a_full_table_keeps_who_comes_back() {
        let mut table = table(16);
        table.remember("ada", "$phc", b"secret");
        for n in 0..1000 {
            table.remember(&format!("user {n}"), "$phc", b"secret");
            assert!(table.len() <= 16);
            assert!(table.is_verified("ada", "$phc", b"secret"), "after {n} others");
        }
        assert!(table.is_verified("user 999", "$phc", b"secret"));
        assert!(!table.is_verified("user 0", "$phc", b"secret"));
    }

    #[test]
    fn a_full_table_of_users_that_all_come_back_makes_room() {
        let mut table = table(64);
        for n in 0..200 {
            for m in 0..n {
                table.is_verified(&format!("user {m}"), "$phc", b"secret");
            }
            table.remember(&format!("user {n}"), "$phc", b"secret");
            assert!(table.is_verified(&format!("user {n}"), "$phc", b"secret"));
        }
        assert_eq!(table.len(), 64);
    }

    #[test]
    fn a_table_of_no_entries_remembers_nobody() {
        let mut table = table(0);
        table.remember("ada", "$phc", b"secret");
        assert!(!table.is_verified("ada", "$phc", b"secret"));
    }

    #[test]
    fn another_key_makes_other_entries() {
        let tag = |key| hmac::sign(&VerifiedPasswords::new(key, 1).key, &message("ada", "$phc", b"x"));
        assert_ne!(tag([1; 32]).as_ref(), tag([2; 32]).as_ref());
    }
}
