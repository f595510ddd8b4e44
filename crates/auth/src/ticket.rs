//! One-shot tickets: a browser trades its session for one and puts that into a URL instead.
//!
//! `POST /tickets` issues, the request with `ticket=` takes. A ticket is good once, for some seconds, and in
//! this process only. The random bytes are an argument. When the table is full, or its owner has as many as
//! one may have, issuing is refused: a ticket that was given out is never taken back. The table holds
//! digests, so that the time of a look-up says nothing about a ticket that exists. Time is a clock that does
//! not go back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hashbrown::HashTable;
use ring::digest;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// What a client holds: 32 random bytes, in text as base64url.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TicketId([u8; 32]);

impl TicketId {
    /// A ticket of these random bytes.
    pub const fn new(bytes: [u8; 32]) -> TicketId {
        TicketId(bytes)
    }

    /// The ticket with this text: 43 characters of base64url.
    pub fn parse(text: &str) -> Option<TicketId> {
        let mut bytes = [0; 32];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        (length == bytes.len()).then_some(TicketId(bytes))
    }

    fn digest(&self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, &self.0).as_ref());
        bytes
    }
}

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketId(…)")
    }
}

type Digest = [u8; 32];

/// Taken tickets that the order may hold beside as many as are open, so that it is seldom cleared.
const ORDER_SLACK: usize = 64;

/// Tickets that were issued and not yet taken.
#[derive(Debug)]
pub struct Tickets<T> {
    lifetime_ms: u64,
    bounds: TicketBounds,
    /// How many tickets of each owner are open; owners without one are not in it.
    by_owner: BTreeMap<Box<str>, usize>,
    open: HashTable<Ticket<T>>,
    /// Digests in the order of expiry; taken ones too, until their time or until they are half of it.
    order: VecDeque<(u64, Digest)>,
    now_ms: u64,
}

/// How many tickets may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketBounds {
    /// Of all owners.
    pub tickets_max: usize,
    /// Of one owner.
    pub per_owner_max: usize,
}

#[derive(Debug)]
struct Ticket<T> {
    digest: Digest,
    owner: Box<str>,
    expires_ms: u64,
    payload: T,
}

/// As many tickets are open as are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketsFull {
    /// Of all owners together.
    All {
        /// After how many milliseconds the oldest expires.
        retry_after_ms: u64,
    },
    /// Of the one who asks for another.
    Owner,
}

impl fmt::Display for TicketsFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TicketsFull::All { retry_after_ms } => {
                write!(f, "too many tickets are open; try again after {retry_after_ms} ms")
            }
            TicketsFull::Owner => f.write_str("too many tickets of this owner are open"),
        }
    }
}

impl std::error::Error for TicketsFull {}

impl<T> Tickets<T> {
    /// An empty table within these bounds of tickets that live for `lifetime_ms`.
    pub fn new(lifetime_ms: u64, bounds: TicketBounds) -> Tickets<T> {
        let (open, order, by_owner) = (HashTable::new(), VecDeque::new(), BTreeMap::new());
        Tickets { lifetime_ms, bounds, by_owner, open, order, now_ms: 0 }
    }

    /// Opens the ticket `id`, whose random bytes nobody has seen yet, for `payload`.
    ///
    /// # Errors
    /// [`TicketsFull`].
    pub fn issue(&mut self, id: &TicketId, owner: &str, payload: T, now_ms: u64) -> Result<(), TicketsFull> {
        self.sweep(now_ms);
        if self.open.len() >= self.bounds.tickets_max {
            let oldest_ms = self.order.front().map_or(u64::MAX, |(expires_ms, _)| *expires_ms);
            return Err(TicketsFull::All { retry_after_ms: oldest_ms.saturating_sub(self.now_ms) });
        }
        if self.by_owner.get(owner).is_some_and(|count| *count >= self.bounds.per_owner_max) {
            return Err(TicketsFull::Owner);
        }
        *self.by_owner.entry(owner.into()).or_default() += 1;
        let digest = id.digest();
        assert!(self.find(&digest).is_none(), "an id is random, so it is issued once");
        let expires_ms = self.now_ms.saturating_add(self.lifetime_ms);
        self.order.push_back((expires_ms, digest));
        let ticket = Ticket { digest, owner: owner.into(), expires_ms, payload };
        self.open.insert_unique(hash(&digest), ticket, |other| hash(&other.digest));
        self.assert_invariants();
        Ok(())
    }

    /// What the ticket was issued for, once; nothing when it is unknown, taken or expired.
    pub fn take(&mut self, id: &TicketId, now_ms: u64) -> Option<T> {
        self.sweep(now_ms);
        self.remove(&id.digest())
    }

    /// Forgets what is expired. `issue` and `take` do so too; an idle table keeps payloads until then.
    pub fn sweep(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        while let Some((expires_ms, digest)) = self.order.front().copied()
            && expires_ms <= self.now_ms
        {
            self.order.pop_front();
            if self.is_open(&digest, expires_ms) {
                self.remove(&digest);
            }
        }
        if self.order.len() > 2 * self.open.len() + ORDER_SLACK {
            let mut order = std::mem::take(&mut self.order);
            order.retain(|(expires_ms, digest)| self.is_open(digest, *expires_ms));
            self.order = order;
        }
        self.assert_invariants();
    }

    /// How many tickets can be taken.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether no ticket can be taken.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether this very ticket can be taken, not a later one with the same bytes.
    fn is_open(&self, digest: &Digest, expires_ms: u64) -> bool {
        self.find(digest).is_some_and(|ticket| ticket.expires_ms == expires_ms)
    }

    fn find(&self, digest: &Digest) -> Option<&Ticket<T>> {
        self.open.find(hash(digest), |other| other.digest == *digest)
    }

    fn remove(&mut self, digest: &Digest) -> Option<T> {
        let entry = self.open.find_entry(hash(digest), |other| other.digest == *digest).ok()?;
        let ticket = entry.remove().0;
        let count = self.by_owner.get_mut(&ticket.owner).expect("the owner of a ticket is counted");
        *count -= 1;
        if *count == 0 {
            self.by_owner.remove(&ticket.owner);
        }
        Some(ticket.payload)
    }

    fn assert_invariants(&self) {
        assert!(self.open.len() <= self.bounds.tickets_max, "the table is within its bound");
        assert!(self.by_owner.len() <= self.open.len(), "only owners of open tickets are counted");
        assert!(self.open.len() <= self.order.len(), "every open ticket has its place in the order");
        let order_max = 2 * self.bounds.tickets_max + ORDER_SLACK + 1;
        assert!(self.order.len() <= order_max, "the order is within its bound");
    }
}

/// A digest is as good as random, and nobody chooses what is stored.
fn hash(digest: &Digest) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bounds(tickets_max: usize, per_owner_max: usize) -> TicketBounds {
        TicketBounds { tickets_max, per_owner_max }
    }

    fn id(n: u16) -> TicketId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&n.to_le_bytes());
        TicketId::new(bytes)
    }

    #[test]
    fn a_ticket_is_good_once() {
        let mut tickets = Tickets::new(30_000, bounds(8, 8));
        tickets.issue(&id(1), "ada", "ada", 1_000).expect("room");
        assert_eq!(tickets.take(&id(2), 1_001), None);
        assert_eq!(tickets.take(&id(1), 1_001), Some("ada"));
        assert_eq!(tickets.take(&id(1), 1_001), None);
    }

    #[test]
    fn a_ticket_is_worth_nothing_in_the_very_moment_of_its_expiry() {
        let mut tickets = Tickets::new(30_000, bounds(8, 8));
        tickets.issue(&id(1), "ada", "ada", 1_000).expect("room");
        tickets.issue(&id(2), "eve", "eve", 1_001).expect("room");
        assert_eq!(tickets.take(&id(1), 31_000), None);
        assert_eq!(tickets.take(&id(2), 31_000), Some("eve"));
    }

    #[test]
    fn a_full_table_refuses_and_takes_nothing_back() {
        let mut tickets = Tickets::new(100, bounds(2, 2));
        assert_eq!(tickets.issue(&id(1), "ada", 1, 0), Ok(()));
        assert_eq!(tickets.issue(&id(2), "ada", 2, 40), Ok(()));
        assert_eq!(tickets.issue(&id(3), "ada", 3, 70), Err(TicketsFull::All { retry_after_ms: 30 }));
        assert_eq!(tickets.take(&id(1), 80), Some(1));
        assert_eq!(tickets.issue(&id(3), "ada", 3, 80), Ok(()));
        assert_eq!(tickets.issue(&id(4), "ada", 4, 140), Ok(()), "the second is expired");
        assert_eq!(tickets.len(), 2);
        tickets.sweep(1_000);
        assert!(tickets.is_empty());
    }

    #[test]
    fn nobody_can_have_more_than_a_share_of_the_table() {
        let mut tickets = Tickets::new(100, bounds(3, 2));
        assert_eq!(tickets.issue(&id(1), "eve", 1, 0), Ok(()));
        assert_eq!(tickets.issue(&id(2), "eve", 2, 50), Ok(()));
        assert_eq!(tickets.issue(&id(3), "eve", 3, 60), Err(TicketsFull::Owner));
        assert_eq!(tickets.issue(&id(4), "ada", 4, 60), Ok(()));
        assert_eq!(tickets.take(&id(2), 70), Some(2));
        assert_eq!(tickets.issue(&id(5), "eve", 5, 70), Ok(()), "one was used");
        assert_eq!(tickets.issue(&id(6), "eve", 6, 99), Err(TicketsFull::All { retry_after_ms: 1 }));
        assert_eq!(tickets.issue(&id(6), "eve", 6, 100), Ok(()), "one is expired");
        tickets.sweep(1_000);
        assert!(tickets.is_empty() && tickets.by_owner.is_empty());
    }

    #[test]
    fn the_text_is_read_back_and_has_one_spelling() {
        let text = TicketId::new([0xff; 32]).to_string();
        assert_eq!(text, format!("{}8", "_".repeat(42)));
        assert_eq!(TicketId::parse(&text), Some(TicketId::new([0xff; 32])));
        let other_end = format!("{}9", "_".repeat(42));
        for bad in
            ["", "_", &text[1..], &format!("{text}="), &format!("{text}_"), &other_end, &"_".repeat(44)]
        {
            assert_eq!(TicketId::parse(bad), None, "{bad}");
        }
        assert_eq!(format!("{:?}", id(1)), "TicketId(…)");
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(
            steps in proptest::collection::vec((0u16..60, 0u64..20, 0u8..3), 0..600),
        ) {
            let (mut tickets, mut map, mut now_ms) = (Tickets::new(100, bounds(20, 8)), BTreeMap::new(), 0);
            for (count, (n, pause_ms, action)) in steps.into_iter().enumerate() {
                now_ms += pause_ms;
                map.retain(|_, (expires_ms, _)| *expires_ms > now_ms);
                let owner = |n: u16| ["ada", "bob", "eve"][usize::from(n % 3)];
                if action > 0 && !map.contains_key(&n) {
                    let issued = tickets.issue(&id(n), owner(n), count, now_ms);
                    let own = map.keys().filter(|other| owner(**other) == owner(n)).count();
                    prop_assert_eq!(issued.is_ok(), map.len() < 20 && own < 8);
                    if issued.is_ok() {
                        map.insert(n, (now_ms + 100, count));
                    }
                } else {
                    prop_assert_eq!(tickets.take(&id(n), now_ms), map.remove(&n).map(|(_, count)| count));
                }
                prop_assert_eq!(tickets.len(), map.len());
            }
        }
    }
}
