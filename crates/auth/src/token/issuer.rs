//! A foreign issuer: whose tokens are taken, with which keys, and what they may say.
//!
//! Configuration makes one per identity provider; the verifier asks it. A claim is looked at only when a key
//! of this issuer holds the signature. Users and groups get a prefix, so that no name that a provider gives
//! is that of a local user or of the admins' group: a local name holds no colon.

use super::claims::{self, Claims, Times, TokenKind};
use super::header::Header;
use super::json::parse_object;
use super::key::PublicKey;
use super::{ISSUERS_MAX, TokenBounds, TokenRefused};
use serde_json::{Map, Value};
use std::fmt;

/// Most keys of one issuer: a token without a key id is tried against all that fit its algorithm.
pub const ISSUER_KEYS_MAX: usize = 32;

/// Whose tokens are taken beside our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// What `iss` must be, byte for byte.
    pub iss: String,
    /// `aud` must name one of these.
    pub aud: Vec<String>,
    /// What verifies its tokens.
    pub keys: Vec<PublicKey>,
    /// The claim that names the user; `sub` unless the provider has a better one that users cannot choose.
    pub user_claim: String,
    /// The claim that lists the user's groups, if groups are taken from tokens at all.
    pub groups_claim: Option<String>,
    /// How far its clock may differ from ours, in seconds.
    pub leeway_s: u64,
    /// Most seconds that a token may live, from `iat` on, or from now when it has none.
    pub lifetime_max_s: Option<u64>,
    /// Put before the name of a user. Empty: whom the provider calls `admin` is the local `admin`.
    pub user_prefix: String,
    /// Put before the name of a group. Empty: the provider decides who is in the local `g-admin`.
    pub group_prefix: String,
}

impl Issuer {
    /// An issuer with the usual claims: `sub` names the user, groups are not taken, clocks differ by a
    /// minute at most, and `iss` with a colon is put before names.
    pub fn new(iss: &str, aud: &[&str], keys: Vec<PublicKey>) -> Issuer {
        Issuer {
            iss: iss.to_owned(),
            aud: aud.iter().map(|aud| (*aud).to_owned()).collect(),
            keys,
            user_claim: "sub".to_owned(),
            groups_claim: None,
            leeway_s: 60,
            lifetime_max_s: None,
            user_prefix: format!("{iss}:"),
            group_prefix: format!("{iss}:"),
        }
    }

    /// Checks what the verifier relies on.
    ///
    /// # Errors
    /// What is missing or too much.
    pub fn check(&self) -> Result<(), IssuerFault> {
        match () {
            () if self.iss.is_empty() => Err(IssuerFault::NoIss),
            () if self.aud.is_empty() || self.aud.iter().any(String::is_empty) => Err(IssuerFault::NoAud),
            () if self.keys.is_empty() => Err(IssuerFault::NoKeys),
            () if self.keys.len() > ISSUER_KEYS_MAX => {
                Err(IssuerFault::TooManyKeys { keys: self.keys.len() })
            }
            () if self.user_claim.is_empty() => Err(IssuerFault::NoUserClaim),
            () => Ok(()),
        }
    }

    /// What a token says whose signature holds.
    pub(crate) fn claims(
        &self,
        members: &Map<String, Value>,
        header_expires_s: Option<u64>,
        now_s: u64,
        bounds: &TokenBounds,
        kind: TokenKind,
    ) -> Result<Claims, TokenRefused> {
        let times = Times::read(members, header_expires_s)?;
        // What the header says is no substitute here: RFC 7519 has `exp` in the payload.
        let expires_s = times.expires_s.filter(|_| members.contains_key("exp"));
        let expires_s = expires_s.ok_or(TokenRefused::NeverExpires)?;
        times.check(now_s, self.leeway_s)?;
        self.check_lifetime(times.issued_s, expires_s, now_s)?;
        if !self.is_audience(members.get("aud"))? {
            return Err(TokenRefused::AudienceWrong);
        }
        let user = members.get(&self.user_claim);
        let user = user.and_then(|user| claims::name(&self.user_prefix, user, bounds.user_bytes_max));
        Ok(Claims {
            user: user.ok_or(TokenRefused::UserInvalid)?,
            sid: None,
            issued_s: times.issued_s,
            expires_s: Some(expires_s),
            groups: self.groups(members, bounds)?,
            kind,
        })
    }

    fn check_lifetime(&self, issued_s: Option<u64>, expires_s: u64, now_s: u64) -> Result<(), TokenRefused> {
        if issued_s.is_some_and(|issued_s| issued_s > now_s.saturating_add(self.leeway_s)) {
            return Err(TokenRefused::NotYetValid);
        }
        let lifetime_s = expires_s.saturating_sub(issued_s.unwrap_or(now_s));
        let too_long = self.lifetime_max_s.is_some_and(|max_s| lifetime_s > max_s);
        if too_long { Err(TokenRefused::LivesTooLong) } else { Ok(()) }
    }

    fn is_audience(&self, aud: Option<&Value>) -> Result<bool, TokenRefused> {
        let ours = |text: &str| self.aud.iter().any(|own| own == text);
        match aud {
            None => Ok(false),
            Some(Value::String(text)) => Ok(ours(text)),
            Some(Value::Array(items)) => items.iter().try_fold(false, |found, item| match item {
                Value::String(text) => Ok(found || ours(text)),
                _ => Err(TokenRefused::Malformed),
            }),
            Some(_) => Err(TokenRefused::Malformed),
        }
    }

    /// A user without the claim is in no group; one in too many is refused, because leaving some out would
    /// change what is allowed.
    fn groups(
        &self,
        members: &Map<String, Value>,
        bounds: &TokenBounds,
    ) -> Result<Vec<String>, TokenRefused> {
        let value = self.groups_claim.as_ref().and_then(|claim| members.get(claim));
        let items = match value {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(items)) => items.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        if items.len() > bounds.groups_max {
            return Err(TokenRefused::Malformed);
        }
        let name = |item| claims::name(&self.group_prefix, item, bounds.user_bytes_max);
        items.iter().map(|item| name(item).ok_or(TokenRefused::Malformed)).collect()
    }

    /// Whether a key that fits the header holds the signature; `KeyUnknown` when none fits.
    pub(crate) fn check_signature(
        &self,
        header: &Header,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenRefused> {
        let fits = |key: &PublicKey| {
            let named = header.kid.as_deref().is_none_or(|kid| key.kid().is_none_or(|own| own == kid));
            named && key.algorithm() == header.algorithm
        };
        let mut fitting = self.keys.iter().filter(|key| fits(key)).peekable();
        if fitting.peek().is_none() {
            return Err(TokenRefused::KeyUnknown);
        }
        let held = fitting.any(|key| key.verifies(signed, signature));
        held.then_some(()).ok_or(TokenRefused::SignatureInvalid)
    }
}

/// What a payload says whose signature is taken to hold: for fuzzing what is behind it.
pub(crate) fn claims_behind_signature(
    issuer: &Issuer,
    payload: &[u8],
    now_s: u64,
    bounds: &TokenBounds,
) -> Result<Claims, TokenRefused> {
    let members = parse_object(payload).ok_or(TokenRefused::Malformed)?;
    issuer.claims(&members, None, now_s, bounds, TokenKind::Foreign(0))
}

/// What an issuer's configuration lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerFault {
    /// No `iss`.
    NoIss,
    /// No audience, or an empty one.
    NoAud,
    /// No key.
    NoKeys,
    /// More keys than [`ISSUER_KEYS_MAX`].
    TooManyKeys {
        /// How many there are.
        keys: usize,
    },
    /// No claim that names the user.
    NoUserClaim,
    /// More issuers than a verifier takes.
    TooManyIssuers,
}

impl fmt::Display for IssuerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IssuerFault::NoIss => f.write_str("the issuer has no `iss`: write what its tokens have there"),
            IssuerFault::NoAud => f.write_str(
                "the issuer has no audience: without one its tokens for other services would be taken here",
            ),
            IssuerFault::NoKeys => {
                f.write_str("the issuer has no key: give its JWKS document or PEM public keys")
            }
            IssuerFault::TooManyKeys { keys } => {
                write!(f, "the issuer has {keys} keys, at most {ISSUER_KEYS_MAX} are allowed")
            }
            IssuerFault::NoUserClaim => f.write_str("the claim that names the user is empty: write `sub`"),
            IssuerFault::TooManyIssuers => write!(f, "at most {ISSUERS_MAX} issuers are allowed"),
        }
    }
}

impl std::error::Error for IssuerFault {}
