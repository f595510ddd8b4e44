//! The one door for tokens: bytes and a time go in, claims or a refusal come out.
//!
//! Every face calls [`Verifier::verify`]. The header's algorithm only chooses the family: symmetric tokens
//! are ours and are held to the configured HMAC, all others go to the issuer that their `iss` names and are
//! held to the algorithm of its keys. Nothing of a payload is believed before a signature holds.

use super::compact::Compact;
use super::header::Header;
use super::issuer::{Issuer, IssuerFault};
use super::json::parse_object;
use super::{Claims, OwnTokens, TokenKind, TokenRefused};
use serde_json::Value;

/// Most issuers of a verifier.
pub const ISSUERS_MAX: usize = 16;

/// What a token may have at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBounds {
    /// Bytes of a token.
    pub token_bytes_max: usize,
    /// Bytes of a user's or group's name, prefix included.
    pub user_bytes_max: usize,
    /// Groups that a token may list.
    pub groups_max: usize,
}

impl Default for TokenBounds {
    fn default() -> Self {
        TokenBounds { token_bytes_max: 4096, user_bytes_max: 256, groups_max: 64 }
    }
}

/// Verifies tokens, our own and those of configured issuers.
#[derive(Clone, Debug)]
pub struct Verifier {
    own: OwnTokens,
    issuers: Vec<Issuer>,
    bounds: TokenBounds,
}

impl Verifier {
    /// A verifier of our own tokens and of those of `issuers`.
    ///
    /// # Errors
    /// The first issuer that is not configured well, by its index, and what it lacks. More issuers than
    /// [`ISSUERS_MAX`] are a fault of the first one too many.
    pub fn new(
        own: OwnTokens,
        issuers: Vec<Issuer>,
        bounds: TokenBounds,
    ) -> Result<Verifier, (usize, IssuerFault)> {
        for (index, issuer) in issuers.iter().enumerate() {
            let room = if index < ISSUERS_MAX { Ok(()) } else { Err(IssuerFault::TooManyIssuers) };
            room.and_then(|()| issuer.check()).map_err(|fault| (index, fault))?;
        }
        Ok(Verifier { own, issuers, bounds })
    }

    /// What `token` says at `now_s` (seconds since the epoch).
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(&self, token: &[u8], now_s: u64) -> Result<Claims, TokenRefused> {
        let compact = Compact::parse(token, self.bounds.token_bytes_max)?;
        let header = Header::parse(&compact.header)?;
        if header.algorithm.is_symmetric() {
            return self.own.verify(&compact, &header, now_s, &self.bounds);
        }
        self.verify_foreign(&compact, &header, now_s)
    }

    /// The tokens that this server issues.
    pub fn own(&self) -> &OwnTokens {
        &self.own
    }

    /// The issuers, in the order of [`TokenKind::Foreign`].
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    fn verify_foreign(
        &self,
        compact: &Compact<'_>,
        header: &Header,
        now_s: u64,
    ) -> Result<Claims, TokenRefused> {
        let keys = || self.issuers.iter().flat_map(|issuer| &issuer.keys);
        if !keys().any(|key| key.algorithm() == header.algorithm) {
            return Err(TokenRefused::AlgorithmNotAllowed);
        }
        let members = parse_object(&compact.payload).ok_or(TokenRefused::Malformed)?;
        let Some(Value::String(iss)) = members.get("iss") else {
            return Err(TokenRefused::IssuerUnknown);
        };
        // One provider may be configured more than once, with another audience each time.
        let mut refused = TokenRefused::IssuerUnknown;
        for (index, issuer) in self.issuers.iter().enumerate().filter(|(_, issuer)| issuer.iss == *iss) {
            let held = issuer.check_signature(header, compact.signed, &compact.signature);
            let kind = TokenKind::Foreign(index);
            match held.and_then(|()| issuer.claims(&members, header.expires_s, now_s, &self.bounds, kind)) {
                Ok(claims) => return Ok(claims),
                Err(why) => refused = why,
            }
        }
        Err(refused)
    }
}
