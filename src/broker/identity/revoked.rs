//! Sessions that were ended before their time.
//!
//! A session is remembered until its token would have expired by itself. The table is bounded; when it is
//! full of sessions that still count, no further one is ended singly: all of its user are.

use auth::token::SessionId;
use std::collections::{HashMap, VecDeque};
use types::{Failure, SeqNum, Unavailable};

/// Sessions that are over by themselves before the log is asked to forget them.
const TRIM_COUNT: usize = 256;

pub(super) struct Revoked {
    sessions_max: usize,
    /// When each would be over by itself.
    sessions: HashMap<SessionId, u64>,
    /// What the log holds, oldest first, as the keeper's core knows it.
    in_log: VecDeque<(SeqNum, u64)>,
}

impl Revoked {
    /// No session; at most so many.
    pub(super) fn new(sessions_max: usize) -> Revoked {
        Revoked { sessions_max, sessions: HashMap::new(), in_log: VecDeque::new() }
    }

    /// Whether a session was ended.
    pub(super) fn has(&self, sid: SessionId) -> bool {
        self.sessions.contains_key(&sid)
    }

    /// Ends a session; `false` if it is over anyway, or ended already.
    pub(super) fn add(&mut self, sid: SessionId, expires_s: u64, now_s: u64) -> bool {
        if expires_s <= now_s {
            return false;
        }
        if self.sessions.len() >= self.sessions_max {
            self.sweep(now_s);
        }
        self.sessions.insert(sid, expires_s).is_none()
    }

    /// Whether one more can be ended.
    ///
    /// # Errors
    /// [`Failure::Unavailable`].
    pub(super) fn check_room(&mut self, now_s: u64) -> Result<(), Failure> {
        if self.sessions.len() >= self.sessions_max {
            self.sweep(now_s);
        }
        match self.sessions.len() < self.sessions_max {
            true => Ok(()),
            false => Err(Failure::Unavailable(Unavailable::Overloaded)),
        }
    }

    /// Notes an event of the log; gives the sequence number before which the log may forget, now and then.
    pub(super) fn note(&mut self, seq: SeqNum, expires_s: u64, now_s: u64) -> Option<SeqNum> {
        self.in_log.push_back((seq, expires_s));
        let over = self.in_log.iter().take_while(|(_, expires_s)| *expires_s <= now_s).count();
        if over < TRIM_COUNT {
            return None;
        }
        self.in_log.drain(..over);
        self.in_log.front().map(|(first, _)| *first)
    }

    fn sweep(&mut self, now_s: u64) {
        self.sessions.retain(|_, expires_s| *expires_s > now_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sid(number: u64) -> SessionId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        SessionId::new(bytes)
    }

    #[test]
    fn a_session_is_remembered_until_it_would_be_over_by_itself() {
        let mut revoked = Revoked::new(1000);
        assert!(revoked.add(sid(1), 100, 50));
        assert!(!revoked.add(sid(1), 100, 50), "twice");
        assert!(!revoked.add(sid(2), 50, 50), "it is over anyway");
        assert!(revoked.has(sid(1)) && !revoked.has(sid(2)));
    }

    #[test]
    fn a_full_table_makes_room_by_forgetting_what_is_over() {
        let mut revoked = Revoked::new(1000);
        for number in 0..1000 {
            revoked.add(sid(number), 100 + number, 0);
        }
        assert!(revoked.check_room(99).is_err());
        assert!(revoked.check_room(100).is_ok(), "the first is over");
        assert!(!revoked.has(sid(0)) && revoked.has(sid(1)));
    }

    #[test]
    fn the_log_may_forget_what_is_over_but_never_what_counts() {
        let mut revoked = Revoked::new(1000);
        for seq in 1..TRIM_COUNT as u64 {
            assert_eq!(revoked.note(SeqNum(seq), 10, 20), None);
        }
        let last = TRIM_COUNT as u64;
        assert_eq!(revoked.note(SeqNum(last), 30, 20), None, "one fewer is over");
        assert_eq!(revoked.note(SeqNum(last + 1), 5, 20), None, "it lies behind one that counts");
        assert_eq!(revoked.note(SeqNum(last + 2), 99, 30), Some(SeqNum(last + 2)));
    }
}
