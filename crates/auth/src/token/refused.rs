//! Why a token is refused.
//!
//! [`super::Verifier::verify`] returns one of these. [`TokenRefused::reason`] is what a client is told: it
//! names what the holder of a sound token can act on and nothing about keys, issuers or configuration. The
//! text of `Display` is for the log, and never holds a byte of the token.

use std::fmt;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenRefused {
    /// More bytes than a token may have.
    TooLong,
    /// Not three parts of strict base64url, not the JSON that it must be, or a member of a wrong kind.
    Malformed,
    /// An algorithm that is not the configured one, or none at all.
    AlgorithmNotAllowed,
    /// A key id that no key has, or no key for the algorithm.
    KeyUnknown,
    /// The signature does not hold.
    SignatureInvalid,
    /// An `iss` that is not configured, or none in a token that is not ours.
    IssuerUnknown,
    /// An `aud` that does not name this server.
    AudienceWrong,
    /// Expired, by its payload or by its header.
    Expired,
    /// Not valid yet, by `nbf`, or issued in the future.
    NotYetValid,
    /// Has no expiry where one is demanded.
    NeverExpires,
    /// Lives longer than its issuer is allowed to say.
    LivesTooLong,
    /// Names no user, or one that cannot be a name.
    UserInvalid,
}

impl TokenRefused {
    /// What a client is told.
    pub fn reason(self) -> &'static str {
        match self {
            TokenRefused::TooLong => "Token Too Long",
            TokenRefused::Malformed | TokenRefused::AlgorithmNotAllowed | TokenRefused::IssuerUnknown => {
                "Bad Token"
            }
            TokenRefused::KeyUnknown | TokenRefused::SignatureInvalid => "Bad Token Signature",
            TokenRefused::AudienceWrong => "Bad Token Audience",
            TokenRefused::Expired => "Token Expired",
            TokenRefused::NotYetValid => "Token Not Yet Valid",
            TokenRefused::NeverExpires => "Token Without Expiry",
            TokenRefused::LivesTooLong => "Token Lives Too Long",
            TokenRefused::UserInvalid => "Bad Token User",
        }
    }
}

impl fmt::Display for TokenRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenRefused::TooLong => "the token is longer than allowed",
            TokenRefused::Malformed => "the token is not a well-formed JSON Web Token",
            TokenRefused::AlgorithmNotAllowed => "the token's algorithm is not the configured one",
            TokenRefused::KeyUnknown => "no configured key fits the token's key id and algorithm",
            TokenRefused::SignatureInvalid => "the token's signature does not hold",
            TokenRefused::IssuerUnknown => "the token's issuer is not configured",
            TokenRefused::AudienceWrong => "the token was made for another audience",
            TokenRefused::Expired => "the token is expired",
            TokenRefused::NotYetValid => "the token is not valid yet",
            TokenRefused::NeverExpires => "the token has no expiry, which is not allowed",
            TokenRefused::LivesTooLong => "the token lives longer than its issuer may let it",
            TokenRefused::UserInvalid => "the token names no usable user",
        })
    }
}

impl std::error::Error for TokenRefused {}
