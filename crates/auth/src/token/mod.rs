//! JSON Web Tokens (RFC 7515, 7517, 7519): our own, Iorio's, and those of foreign issuers.
//!
//! The shell reads secrets and key documents, makes one [`Verifier`] of them, and hands it tokens and the
//! time. Nothing here reads a clock or draws a random byte; signatures are `ring`'s. What a token asks for
//! is never done: algorithm and key come from the configuration, and the token must fit.

mod claims;
mod compact;
mod header;
mod issuer;
mod json;
mod jwks;
mod key;
mod own;
mod pem;
mod refused;
mod secret;
mod verify;

pub(crate) use issuer::claims_behind_signature;
pub(crate) use own::seal;

pub use claims::{Claims, SessionId, TokenKind};
pub use header::Algorithm;
pub use issuer::{ISSUER_KEYS_MAX, Issuer, IssuerFault};
pub use jwks::{JWKS_BYTES_MAX, Jwks, JwksError};
pub use key::{KeyFault, PublicKey, RSA_BITS_MAX, RSA_BITS_MIN};
pub use own::{HmacAlgorithm, NewToken, OwnConfig, OwnTokens};
pub use pem::{PemError, parse_public_pem};
pub use refused::TokenRefused;
pub use secret::{
    KID_BYTES_MAX, SECRET_BYTES_MAX, SECRET_BYTES_MIN, SECRETS_MAX, Secret, SecretFault, SecretRing,
    SecretTextError,
};
pub use verify::{ISSUERS_MAX, TokenBounds, Verifier};
