//! Sessions: from a token to who asks and what they may do, remembered by each core.
//!
//! A token is verified once; then its bytes are looked up. What a session may do is concluded again after
//! each change of the policy, when it is asked for. A session that is over stays over: its expiry is looked
//! at with every request.

use super::common::{Common, lock};
use super::{Identity, now_s};
use crate::broker::Broker;
use crate::sys::{clock, random};
use auth::policy::{ADMIN_GROUP, ANONYMOUS, AUTHENTICATED_GROUP, Policy, Rights, RoleName, RoleRights};
use auth::ticket::TicketId;
use auth::token::{Claims, SessionId, TokenKind, Verifier};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use types::Failure;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a request says of who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    /// A token.
    Token(&'a [u8]),
    /// A ticket, which is gone afterwards.
    Ticket(&'a str),
}

/// Somebody who asks.
#[derive(Debug)]
pub struct Session {
    /// `None` for who did not say.
    proof: Option<Proof>,
    groups: Vec<RoleName>,
    known: RefCell<Known>,
}

/// What a token said when it was verified, and the token, to verify it again when the keys have changed.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    claims: Claims,
    token: Arc<[u8]>,
    /// What the session is ended by: its own number or, of a token without one, a digest of its bytes.
    id: SessionId,
}

impl Proof {
    fn new(claims: Claims, token: &[u8]) -> Proof {
        let id = claims.sid.unwrap_or_else(|| SessionId::of_token(token));
        Proof { claims, token: token.into(), id }
    }
}

/// What was concluded last.
#[derive(Debug)]
struct Known {
    generation: u64,
    edition: u64,
    verdict: Result<Rc<Rights>, &'static str>,
}

impl Session {
    fn new(proof: Option<Proof>, edition: u64) -> Rc<Session> {
        // The groups of another issuer are never those that this server gives a meaning itself.
        let is_taken = |name: &RoleName| !matches!(name.as_str(), ADMIN_GROUP | AUTHENTICATED_GROUP);
        let groups = proof.iter().flat_map(|proof| &proof.claims.groups);
        let groups = groups.filter_map(|group| RoleName::parse(group).ok()).filter(is_taken).collect();
        // Generations begin at 1: this one is always concluded anew.
        let known = RefCell::new(Known { generation: 0, edition, verdict: Err("Bad Token") });
        Rc::new(Session { proof, groups, known })
    }

    /// The user's name; `anonymous` for who did not say.
    pub fn user(&self) -> &str {
        self.claims().map_or(ANONYMOUS, |claims| &claims.user)
    }

    /// Whether nobody has logged in.
    pub fn is_anonymous(&self) -> bool {
        self.proof.is_none()
    }

    /// Whether it is of somebody who has logged in here, and so speaks for an account of this server.
    pub fn is_own(&self) -> bool {
        self.claims().is_some_and(|claims| claims.kind == TokenKind::Own)
    }

    /// What the token says.
    pub fn claims(&self) -> Option<&Claims> {
        self.proof.as_ref().map(|proof| &proof.claims)
    }

    /// What a ticket is issued for.
    pub(super) fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    /// What the session is ended by.
    pub(super) fn id(&self) -> Option<SessionId> {
        self.proof.as_ref().map(|proof| proof.id)
    }

    /// Milliseconds until it is over by itself; `None` if it never is.
    pub fn left_ms(&self) -> Option<u64> {
        let expires_s = self.claims()?.expires_s?;
        Some(expires_s.saturating_mul(1000).saturating_sub(clock::now().0))
    }
}

/// The sessions that a core knows by their tokens: two generations of a cache, of which the older is
/// forgotten when the younger is full.
pub(super) struct Sessions {
    anonymous: Rc<Session>,
    half_max: usize,
    young: RefCell<Tokens>,
    old: RefCell<Tokens>,
    keys: RefCell<Option<(u64, Arc<Verifier>)>>,
    /// The edition of the keys that verified what is remembered.
    edition: Cell<u64>,
}

type Tokens = HashMap<Box<[u8]>, Rc<Session>, TokenHash>;

/// The end of a token that is hashed: a part of its signature, which is as good as random.
const HASHED_BYTES: usize = 64;

/// How tokens are hashed: every request brings one of some 250 bytes. Only tokens that were verified are put
/// into a table, so nobody chooses their signatures, and the seed is known to nobody.
#[derive(Clone, Copy)]
struct TokenHash(u64);

impl BuildHasher for TokenHash {
    type Hasher = TokenHasher;

    fn build_hasher(&self) -> TokenHasher {
        TokenHasher(self.0)
    }
}

/// The hash so far, which is the seed of the next part.
struct TokenHasher(u64);

impl Hasher for TokenHasher {
    fn write(&mut self, bytes: &[u8]) {
        let end = &bytes[bytes.len().saturating_sub(HASHED_BYTES)..];
        self.0 = xxh3_64_with_seed(end, self.0);
    }

    fn write_usize(&mut self, length: usize) {
        self.0 = self.0.wrapping_add(length as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Sessions {
    pub(super) fn new(tokens_max: usize) -> Sessions {
        let hash = TokenHash(u64::from_le_bytes(random::bytes()));
        Sessions {
            anonymous: Session::new(None, 0),
            half_max: (tokens_max / 2).max(1),
            young: RefCell::new(Tokens::with_hasher(hash)),
            old: RefCell::new(Tokens::with_hasher(hash)),
            keys: RefCell::default(),
            edition: Cell::new(0),
        }
    }

    fn find(&self, token: &[u8]) -> Option<Rc<Session>> {
        if let Some(session) = self.young.borrow().get(token) {
            return Some(session.clone());
        }
        let (token, session) = self.old.borrow_mut().remove_entry(token)?;
        self.remember(token, session.clone());
        Some(session)
    }

    fn remember(&self, token: Box<[u8]>, session: Rc<Session>) {
        let mut young = self.young.borrow_mut();
        if young.len() >= self.half_max {
            let empty = Tokens::with_hasher(*young.hasher());
            *self.old.borrow_mut() = std::mem::replace(&mut young, empty);
        }
        young.insert(token, session);
    }

    /// The keys as they are now; other keys than before make everything be verified again.
    fn verifier(&self, common: &Common) -> Arc<Verifier> {
        let edition = common.keys_edition();
        let mut keys = self.keys.borrow_mut();
        match &*keys {
            Some((known, verifier)) if *known == edition => verifier.clone(),
            _ => {
                let verifier = common.verifier();
                *keys = Some((edition, verifier.clone()));
                verifier
            }
        }
    }

    fn forget_if_keys_changed(&self, common: &Common) {
        let edition = common.keys_edition();
        if self.edition.replace(edition) != edition {
            self.young.borrow_mut().clear();
            self.old.borrow_mut().clear();
        }
    }
}

impl Identity {
    /// The session of a request; without a credential that of `anonymous`. Whether it is still alive, its
    /// rights tell.
    ///
    /// # Errors
    /// [`Failure::SessionRefused`].
    pub fn session(&self, credential: Option<Credential<'_>>) -> Result<Rc<Session>, Failure> {
        match credential {
            None => Ok(self.sessions.anonymous.clone()),
            Some(Credential::Ticket(ticket)) => self.session_of_ticket(ticket),
            Some(Credential::Token(token)) => {
                self.sessions.forget_if_keys_changed(&self.common);
                if let Some(session) = self.sessions.find(token) {
                    return Ok(session);
                }
                let claims = self.sessions.verifier(&self.common).verify(token, now_s());
                let claims =
                    claims.map_err(|refused| Failure::SessionRefused { reason: refused.reason() })?;
                let edition = self.sessions.edition.get();
                let session = Session::new(Some(Proof::new(claims, token)), edition);
                self.sessions.remember(token.into(), session.clone());
                Ok(session)
            }
        }
    }

    fn session_of_ticket(&self, ticket: &str) -> Result<Rc<Session>, Failure> {
        let now_ms = clock::monotonic_ns() / 1_000_000;
        let taken = TicketId::parse(ticket).and_then(|id| lock(&self.common.tickets).take(&id, now_ms));
        let proof = taken.ok_or(Failure::SessionRefused { reason: "Bad Ticket" })?;
        // Verified again at its first use, which is now.
        Ok(Session::new(Some(proof), 0))
    }

    /// What a session may do now.
    ///
    /// # Errors
    /// [`Failure::SessionRefused`] when it is over.
    pub fn rights(&self, session: &Session) -> Result<Rc<Rights>, Failure> {
        let mut known = session.known.borrow_mut();
        if let Some(proof) = &session.proof {
            if proof.claims.expires_s.is_some_and(|expires_s| expires_s <= now_s()) {
                return Err(Failure::SessionRefused { reason: "Token Expired" });
            }
            if self.revoked.borrow().has(proof.id) {
                return Err(Failure::SessionRefused { reason: "Token Revoked" });
            }
            let edition = self.common.keys_edition();
            if known.edition != edition {
                let verified = self.sessions.verifier(&self.common).verify(&proof.token, now_s());
                verified.map_err(|refused| Failure::SessionRefused { reason: refused.reason() })?;
                known.edition = edition;
            }
        }
        if known.generation != self.generation() {
            *known = Known { generation: self.generation(), verdict: self.conclude(session), ..*known };
        }
        known.verdict.clone().map_err(|reason| Failure::SessionRefused { reason })
    }

    fn conclude(&self, session: &Session) -> Result<Rc<Rights>, &'static str> {
        let policy = self.policy();
        if let Some(claims) = session.claims() {
            match (claims.kind, policy.account(&claims.user)) {
                (TokenKind::Own, None) => return Err("Unknown User"),
                // An issuer's users may have roles here, but nobody's who logs in here, and not nobody's.
                (TokenKind::Foreign(_), Some(account))
                    if account.password.is_some() || claims.user == ANONYMOUS =>
                {
                    return Err("Bad Token User");
                }
                (_, Some(account)) if account.is_over(claims.issued_s) => return Err("Token Revoked"),
                _ => {}
            }
        }
        Ok(Rc::new(self.rights_of(&policy, session.user(), &session.groups)))
    }

    /// What a user may do. Rights of roles are compiled once for each change of a role.
    pub(super) fn rights_of(&self, policy: &Policy, user: &str, groups: &[RoleName]) -> Rights {
        policy.rights_of(user, groups, |name, version, record| {
            let mut compiled = self.compiled.borrow_mut();
            if let Some((known, rights)) = compiled.get(name)
                && *known == version
            {
                return rights.clone();
            }
            let rights = Rc::new(RoleRights::of(record));
            compiled.insert(name.clone(), (version, rights.clone()));
            rights
        })
    }

    /// Whether a user is an administrator.
    pub fn is_administrator(&self, user: &str) -> bool {
        self.rights_of(&self.policy(), user, &[]).is_admin()
    }

    /// Whether a user who has just logged in may see and change users.
    pub fn may_admin_users(&self, user: &str) -> bool {
        self.rights_of(&self.policy(), user, &[]).allow_users()
    }
}

impl Broker {
    /// See [`Identity::session`].
    ///
    /// # Errors
    /// [`Failure::SessionRefused`].
    pub fn session(&self, credential: Option<Credential<'_>>) -> Result<Rc<Session>, Failure> {
        self.identity().session(credential)
    }
}
