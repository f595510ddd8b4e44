//! Our own tokens: issued here, and signed with a secret that never leaves the server.
//!
//! `{"alg":"HS512","typ":"JWT","kid":K}` and `{"u":user,"iat":s,"exp":s,"sid":hex}`. An Iorio token with the
//! same secret is taken too: it has only `u`, no key id, and its expiry in the header. The algorithm is
//! configuration; a token that names another one is refused before any key is looked at.

use super::claims::{self, Claims, SessionId, Times, TokenKind};
use super::compact::{self, Compact};
use super::header::{Algorithm, Header};
use super::json::parse_object;
use super::{SecretRing, TokenBounds, TokenRefused};
use ring::hmac;
use serde_json::{Value, json};

/// The HMAC that our own tokens are signed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HmacAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    #[default]
    Hs512,
}

impl HmacAlgorithm {
    /// The algorithm with this name: `HS256`, `HS384` or `HS512`.
    pub fn parse(name: &str) -> Option<HmacAlgorithm> {
        [HmacAlgorithm::Hs256, HmacAlgorithm::Hs384, HmacAlgorithm::Hs512]
            .into_iter()
            .find(|a| a.name() == name)
    }

    /// The name in a token's header.
    pub fn name(self) -> &'static str {
        self.algorithm().name()
    }

    fn algorithm(self) -> Algorithm {
        match self {
            HmacAlgorithm::Hs256 => Algorithm::Hs256,
            HmacAlgorithm::Hs384 => Algorithm::Hs384,
            HmacAlgorithm::Hs512 => Algorithm::Hs512,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            HmacAlgorithm::Hs256 => hmac::HMAC_SHA256,
            HmacAlgorithm::Hs384 => hmac::HMAC_SHA384,
            HmacAlgorithm::Hs512 => hmac::HMAC_SHA512,
        }
    }
}

/// How our own tokens are signed and judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnConfig {
    /// What signs and what is demanded of every own token.
    pub algorithm: HmacAlgorithm,
    /// Whether a token without any expiry is taken, for ever. Iorio can be configured to issue such tokens;
    /// nothing but a change of the secret ends them, so the default is to refuse them.
    pub allow_no_expiry: bool,
    /// How far the clocks of servers that share a secret may differ, in seconds.
    pub leeway_s: u64,
}

/// What a new token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewToken<'a> {
    /// Who it speaks for: a name that is taken back, so neither empty nor with control characters, and of
    /// at most [`TokenBounds::user_bytes_max`] bytes.
    pub user: &'a str,
    /// Its session: 16 random bytes.
    pub sid: SessionId,
    /// Now, in seconds since the epoch.
    pub issued_s: u64,
    /// The first second in which it is worth nothing; before the year 10000, or it is malformed.
    pub expires_s: u64,
}

/// Issues and verifies our own tokens.
#[derive(Clone, Debug)]
pub struct OwnTokens {
    config: OwnConfig,
    /// Prepared: the key blocks of an HMAC are digested once, not once a token. The first signs.
    keys: Vec<(String, hmac::Key)>,
}

impl OwnTokens {
    /// Prepares the secrets.
    pub fn new(config: OwnConfig, secrets: &SecretRing) -> OwnTokens {
        let key = |bytes| hmac::Key::new(config.algorithm.hmac(), bytes);
        let keys = secrets.secrets().map(|secret| (secret.kid().to_owned(), key(secret.bytes())));
        OwnTokens { config, keys: keys.collect() }
    }

    /// A token that says `new`, signed with the first secret.
    pub fn issue(&self, new: &NewToken<'_>) -> String {
        let (kid, key) = &self.keys[0];
        // A key id has no character that JSON escapes.
        let header = format!(r#"{{"alg":"{}","typ":"JWT","kid":"{kid}"}}"#, self.config.algorithm.name());
        let payload = format!(
            r#"{{"u":{},"iat":{},"exp":{},"sid":"{}"}}"#,
            json!(new.user),
            new.issued_s,
            new.expires_s,
            new.sid
        );
        let signed = compact::signing_input(header.as_bytes(), payload.as_bytes());
        let tag = hmac::sign(key, signed.as_bytes());
        compact::seal(signed, tag.as_ref())
    }

    /// What the token says, when it is one of ours.
    pub(crate) fn verify(
        &self,
        compact: &Compact<'_>,
        header: &Header,
        now_s: u64,
        bounds: &TokenBounds,
    ) -> Result<Claims, TokenRefused> {
        if header.algorithm != self.config.algorithm.algorithm() {
            return Err(TokenRefused::AlgorithmNotAllowed);
        }
        self.check_signature(compact, header.kid.as_deref())?;
        let members = parse_object(&compact.payload).ok_or(TokenRefused::Malformed)?;
        let times = Times::read(&members, header.expires_s)?;
        if times.expires_s.is_none() && !self.config.allow_no_expiry {
            return Err(TokenRefused::NeverExpires);
        }
        times.check(now_s, self.config.leeway_s)?;
        let user = members.get("u").and_then(|user| claims::name("", user, bounds.user_bytes_max));
        let sid = match members.get("sid") {
            None => None,
            Some(Value::String(sid)) => Some(SessionId::parse(sid).ok_or(TokenRefused::Malformed)?),
            Some(_) => return Err(TokenRefused::Malformed),
        };
        Ok(Claims {
            user: user.ok_or(TokenRefused::UserInvalid)?,
            sid,
            issued_s: times.issued_s,
            expires_s: times.expires_s,
            groups: Vec::new(),
            kind: TokenKind::Own,
        })
    }

    /// A token that names a key is held to it; one that names none is tried against all.
    fn check_signature(&self, compact: &Compact<'_>, kid: Option<&str>) -> Result<(), TokenRefused> {
        let mut fitting = self.keys.iter().filter(|(own, _)| kid.is_none_or(|kid| kid == own)).peekable();
        if fitting.peek().is_none() {
            return Err(TokenRefused::KeyUnknown);
        }
        let holds = |key| hmac::verify(key, compact.signed, &compact.signature).is_ok();
        fitting.any(|(_, key)| holds(key)).then_some(()).ok_or(TokenRefused::SignatureInvalid)
    }
}

/// A token of any header and payload, signed by HS512 with this secret: for fuzzing what is behind it.
pub(crate) fn seal(secret: &[u8], header: &[u8], payload: &[u8]) -> String {
    let signed = compact::signing_input(header, payload);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, secret), signed.as_bytes());
    compact::seal(signed, tag.as_ref())
}
