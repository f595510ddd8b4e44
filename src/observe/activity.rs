//! Who has used the server since the last report: checks of sessions, by user, host and address.
//!
//! Faces count where they check a token; the metrics task takes all counts once an interval and appends them
//! to `$sys/activity`. Each core counts into a table of its own behind a lock that is shared only while the
//! table is swapped. Tables are bounded: what finds no room is counted as one, without a name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use types::CoreId;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Longest text of a key; both come from clients.
const TEXT_BYTES_MAX: usize = 255;
/// Stands for users that found no room.
pub const REST: &str = "…";

/// Counts of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checks {
    /// User, host and address; the user [`REST`] without the others for all that found no room.
    pub key: [String; 3],
    /// How often.
    pub count: u64,
}

#[derive(Debug)]
struct Entry {
    user: Box<str>,
    host: Box<str>,
    address: IpAddr,
    count: u64,
}

/// One core's counts.
#[derive(Debug, Default)]
struct Table {
    /// By hash; entries of one hash are compared.
    entries: HashMap<u64, Vec<Entry>>,
    keys: usize,
    rest: u64,
}

/// The counts of all cores; clones share them.
#[derive(Clone, Debug)]
pub struct Activity {
    tables: Arc<[Mutex<Table>]>,
    keys_max: usize,
}

/// The counts of one core, to count into.
#[derive(Clone, Copy, Debug)]
pub struct ActivityOfCore<'a> {
    table: &'a Mutex<Table>,
    keys_max: usize,
}

impl Activity {
    /// Nothing counted yet. A report has at most `keys_max` keys.
    pub fn new(core_count: usize, keys_max: usize) -> Activity {
        Activity { tables: (0..core_count).map(|_| Mutex::default()).collect(), keys_max }
    }

    /// The part of this core.
    pub fn of(&self, core: CoreId) -> ActivityOfCore<'_> {
        ActivityOfCore { table: &self.tables[usize::from(core.0)], keys_max: self.keys_max }
    }

    /// What was counted since the last time, the most first; then all begin at nothing.
    pub fn take(&self) -> Vec<Checks> {
        let (mut rest, mut found) = (0_u64, HashMap::<[String; 3], u64>::new());
        for table in &*self.tables {
            let table = std::mem::take(&mut *table.lock().unwrap_or_else(PoisonError::into_inner));
            rest += table.rest;
            for entry in table.entries.into_values().flatten() {
                let key = [entry.user.into(), entry.host.into(), entry.address.to_string()];
                *found.entry(key).or_default() += entry.count;
            }
        }
        let mut checks: Vec<Checks> = found.into_iter().map(|(key, count)| Checks { key, count }).collect();
        checks.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        let kept = checks.len().min(self.keys_max);
        rest += checks.drain(kept..).map(|checks| checks.count).sum::<u64>();
        if rest > 0 {
            checks.push(Checks { key: [REST.to_owned(), String::new(), String::new()], count: rest });
        }
        checks
    }
}

impl ActivityOfCore<'_> {
    /// Counts a check of `user`'s session, sent to `host` from `ip`.
    pub fn count(&self, user: &str, host: &str, ip: IpAddr) {
        let (user, host) = (cut(user), cut(host));
        let hash = hash_of(user, host, ip);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |entry: &&mut Entry| (&*entry.user, &*entry.host, entry.address) == (user, host, ip);
        if let Some(known) = table.entries.get_mut(&hash).and_then(|same| same.iter_mut().find(is_it)) {
            known.count += 1;
        } else if table.keys < self.keys_max {
            table.keys += 1;
            let entry = Entry { user: user.into(), host: host.into(), address: ip, count: 1 };
            table.entries.entry(hash).or_default().push(entry);
        } else {
            table.rest += 1;
        }
    }
}

/// Each part is the seed of the next: three short hashes cost less than the state of a long one.
fn hash_of(user: &str, host: &str, ip: IpAddr) -> u64 {
    let of_names = xxh3_64_with_seed(host.as_bytes(), xxh3_64(user.as_bytes()));
    match ip {
        IpAddr::V4(ip) => xxh3_64_with_seed(&ip.octets(), of_names),
        IpAddr::V6(ip) => xxh3_64_with_seed(&ip.octets(), of_names),
    }
}

/// The beginning of a text, whole characters only.
fn cut(text: &str) -> &str {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= TEXT_BYTES_MAX);
    &text[..end.last().unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn shown(activity: &Activity) -> Vec<(String, u64)> {
        activity.take().into_iter().map(|checks| (checks.key.join(" "), checks.count)).collect()
    }

    #[test]
    fn checks_are_counted_by_user_host_and_address_over_all_cores() {
        let activity = Activity::new(2, 10);
        let other = IpAddr::from([10, 0, 0, 1]);
        for (core, user, ip) in [(0, "ann", LOCAL), (1, "ann", LOCAL), (0, "ann", other), (1, "bob", LOCAL)] {
            activity.of(CoreId(core)).count(user, "h:1", ip);
        }
        let expected = [("ann h:1 127.0.0.1", 2), ("ann h:1 10.0.0.1", 1), ("bob h:1 127.0.0.1", 1)];
        assert_eq!(shown(&activity), expected.map(|(key, count)| (key.to_owned(), count)));
        assert_eq!(shown(&activity), [], "counts begin anew");
    }

    #[test]
    fn what_finds_no_room_is_counted_without_a_name() {
        let activity = Activity::new(2, 2);
        for (core, user, times) in [(0, "a", 1), (0, "b", 3), (0, "c", 4), (1, "d", 2), (1, "a", 3)] {
            (0..times).for_each(|_| activity.of(CoreId(core)).count(user, "", LOCAL));
        }
        // `c` found no room on its core, `d` has the least of what was left.
        let expected = [("a  127.0.0.1", 4), ("b  127.0.0.1", 3), ("…  ", 6)];
        assert_eq!(shown(&activity), expected.map(|(key, count)| (key.to_owned(), count)));
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let activity = Activity::new(1, 2);
        activity.of(CoreId(0)).count(&"é".repeat(200), "h", LOCAL);
        assert_eq!(activity.take()[0].key[0], "é".repeat(127));
        assert_eq!((cut("abc"), cut("")), ("abc", ""));
    }
}
