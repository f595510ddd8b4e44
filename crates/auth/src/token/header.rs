//! The JOSE header of a token (RFC 7515 §4).
//!
//! The verifier reads it to choose a key, and trusts nothing in it: the algorithm must be the one that the
//! key or the configuration is pinned to. A key inside a token (`jwk`, `jku`, `x5c`, `x5u`) is never looked
//! at; an extension that must be understood (`crit`) is refused, because none is.

use super::TokenRefused;
use super::claims::numeric_date;
use super::json::parse_object;
use serde_json::{Map, Value};

/// The signatures that are known here. There is no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA PKCS #1 v1.5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The algorithm with this name, spelled exactly so.
    pub fn parse(name: &str) -> Option<Algorithm> {
        Some(match name {
            "HS256" => Algorithm::Hs256,
            "HS384" => Algorithm::Hs384,
            "HS512" => Algorithm::Hs512,
            "RS256" => Algorithm::Rs256,
            "ES256" => Algorithm::Es256,
            // RFC 9864 gives the one curve that is meant here a name of its own.
            "EdDSA" | "Ed25519" => Algorithm::EdDsa,
            _ => return None,
        })
    }

    /// The name in headers and key documents.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// Whether signer and verifier share one secret.
    pub fn is_symmetric(self) -> bool {
        matches!(self, Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512)
    }
}

/// What of a header is used.
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    /// Iorio writes the expiry into the header.
    pub(crate) expires_s: Option<u64>,
}

impl Header {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Header, TokenRefused> {
        let members = parse_object(bytes).ok_or(TokenRefused::Malformed)?;
        // `b64: false` would change what is signed (RFC 7797), and belongs into `crit` anyway.
        let plain =
            !members.contains_key("crit") && matches!(members.get("b64"), None | Some(Value::Bool(true)));
        if !plain || !is_token_type(&members) {
            return Err(TokenRefused::Malformed);
        }
        let kid = match members.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(TokenRefused::Malformed),
        };
        let expires_s = members.get("exp").map(numeric_date).transpose()?;
        let Some(Value::String(name)) = members.get("alg") else {
            return Err(TokenRefused::Malformed);
        };
        let algorithm = Algorithm::parse(name).ok_or(TokenRefused::AlgorithmNotAllowed)?;
        Ok(Header { algorithm, kid, expires_s: expires_s.map(|date| date.floor_s) })
    }
}

/// A logout token or a proof of possession is signed by the same key and is no token (RFC 8725 §3.11).
fn is_token_type(members: &Map<String, Value>) -> bool {
    match members.get("typ") {
        None => true,
        Some(Value::String(kind)) => {
            let kind = kind.to_ascii_lowercase();
            matches!(kind.strip_prefix("application/").unwrap_or(&kind), "jwt" | "at+jwt")
        }
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(header: &str) -> TokenRefused {
        Header::parse(header.as_bytes()).err().unwrap_or_else(|| panic!("{header} is taken"))
    }

    #[test]
    fn none_is_no_algorithm_however_it_is_spelled() {
        for name in ["none", "None", "NONE", "nOnE", "", "hs512", "HS512 ", "RS512", "ES384", "PS256", "dir"]
        {
            let header = format!(r#"{{"alg":"{name}"}}"#);
            assert_eq!(refused(&header), TokenRefused::AlgorithmNotAllowed, "{header}");
        }
    }

    #[test]
    fn a_header_that_asks_for_more_than_is_known_is_refused() {
        for header in [
            r#"{}"#,
            r#"{"alg":null}"#,
            r#"{"alg":["HS512"]}"#,
            r#"{"alg":"HS512","crit":["exp"],"exp":1}"#,
            r#"{"alg":"HS512","crit":[]}"#,
            r#"{"alg":"HS512","b64":false}"#,
            r#"{"alg":"HS512","b64":"true"}"#,
            r#"{"alg":"HS512","kid":7}"#,
            r#"{"alg":"HS512","kid":null}"#,
            r#"{"alg":"HS512","typ":"logout+jwt"}"#,
            r#"{"alg":"HS512","typ":"dpop+jwt"}"#,
            r#"{"alg":"HS512","typ":1}"#,
            r#"{"alg":"HS512","alg":"HS512"}"#,
        ] {
            assert_eq!(refused(header), TokenRefused::Malformed, "{header}");
        }
    }

    #[test]
    fn keys_inside_the_token_are_not_looked_at() {
        let text = r#"{"alg":"RS256","jwk":{"kty":"oct"},"jku":"https://example.com","x5u":1,"kid":"a"}"#;
        let header = Header::parse(text.as_bytes()).expect("unknown members are ignored");
        assert_eq!((header.algorithm, header.kid.as_deref()), (Algorithm::Rs256, Some("a")));
    }

    #[test]
    fn every_name_is_read_back() {
        for name in ["HS256", "HS384", "HS512", "RS256", "ES256", "EdDSA"] {
            assert_eq!(Algorithm::parse(name).map(Algorithm::name), Some(name));
        }
        assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::EdDsa));
    }
}
