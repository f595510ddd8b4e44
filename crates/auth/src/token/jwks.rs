//! A document of public keys as identity providers publish it (RFC 7517, RFC 8037).
//!
//! Read once from configuration. Keys that are for something else (encryption, other curves, other
//! algorithms) are left out, each with a note for the log. A private or symmetric key is no oversight to be
//! left out: the whole document is refused, because it should never have come here.

use super::compact;
use super::header::Algorithm;
use super::issuer::ISSUER_KEYS_MAX;
use super::json::parse_object;
use super::key::PublicKey;
use serde_json::{Map, Value};
use std::fmt;

/// Longest key document, in bytes.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// What only a private key has (RFC 7518 §6.2.2, §6.3.2), and a symmetric one (§6.4).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// Longest key id that is kept.
const KID_BYTES_MAX: usize = 256;

/// The usable keys of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwks {
    /// The keys that verify tokens, in the document's order; at least one.
    pub keys: Vec<PublicKey>,
    /// One sentence for each key that was left out.
    pub notes: Vec<String>,
}

impl Jwks {
    /// Reads a key document.
    ///
    /// # Errors
    /// Not a key document, too large, with a private key, or without any key that is usable here.
    pub fn parse(document: &[u8]) -> Result<Jwks, JwksError> {
        if document.len() > JWKS_BYTES_MAX {
            return Err(JwksError::TooLarge { bytes: document.len() });
        }
        let members = parse_object(document).ok_or(JwksError::NotJson)?;
        let Some(Value::Array(items)) = members.get("keys") else {
            return Err(JwksError::NoKeysMember);
        };
        let mut jwks = Jwks { keys: Vec::new(), notes: Vec::new() };
        for (index, item) in items.iter().enumerate() {
            let Value::Object(key) = item else {
                return Err(JwksError::NotAnObject { index });
            };
            if let Some(member) = PRIVATE_MEMBERS.into_iter().find(|member| key.contains_key(*member)) {
                return Err(JwksError::Private { index, member });
            }
            match public_key(key) {
                Ok(key) => jwks.keys.push(key),
                Err(why) => jwks.notes.push(format!("key {index} of the key document is left out: {why}")),
            }
        }
        match jwks.keys.len() {
            0 => Err(JwksError::NoUsableKey { notes: jwks.notes }),
            1..=ISSUER_KEYS_MAX => Ok(jwks),
            keys => Err(JwksError::TooManyKeys { keys }),
        }
    }
}

/// The key, or why it is of no use here.
fn public_key(members: &Map<String, Value>) -> Result<PublicKey, String> {
    check_purpose(members)?;
    let kid = match members.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= KID_BYTES_MAX => Some(kid.clone()),
        Some(_) => return Err(format!("`kid` is not a text of at most {KID_BYTES_MAX} bytes")),
    };
    let crv = || text(members, "crv").unwrap_or("?");
    let key = match text(members, "kty").ok_or("it has no `kty`")? {
        "RSA" => PublicKey::rsa(kid, &bytes(members, "n")?, &bytes(members, "e")?),
        "EC" if crv() == "P-256" => PublicKey::p256(kid, &point(members)?),
        "OKP" if crv() == "Ed25519" => PublicKey::ed25519(kid, &bytes(members, "x")?),
        "EC" | "OKP" => return Err(format!("its curve {:?} is not P-256 or Ed25519", crv())),
        kty => return Err(format!("its kind {kty:?} is not RSA, EC or OKP")),
    };
    let key = key.map_err(|fault| fault.to_string())?;
    match members.get("alg") {
        None => Ok(key),
        Some(Value::String(alg)) if Algorithm::parse(alg) == Some(key.algorithm()) => Ok(key),
        Some(alg) => Err(format!("its `alg` {alg} is not {}", key.algorithm().name())),
    }
}

fn check_purpose(members: &Map<String, Value>) -> Result<(), String> {
    if let Some(purpose) = members.get("use").filter(|purpose| **purpose != "sig") {
        return Err(format!("its `use` is {purpose}, not \"sig\""));
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => Ok(()),
        Some(_) => Err("its `key_ops` do not have \"verify\"".to_owned()),
    }
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}

fn bytes(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let encoded = text(members, name).ok_or_else(|| format!("it has no `{name}`"))?;
    compact::decode(encoded.as_bytes())
        .ok_or_else(|| format!("its `{name}` is not base64url without padding"))
}

/// Coordinates have their full length, leading zeros included (RFC 7518 §6.2.1.2).
fn point(members: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let (x, y) = (bytes(members, "x")?, bytes(members, "y")?);
    match (x.len(), y.len()) {
        (32, 32) => Ok([&[4], &x[..], &y[..]].concat()),
        _ => Err("its `x` and `y` do not have 32 bytes each".to_owned()),
    }
}

/// Why a key document is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksError {
    /// More bytes than [`JWKS_BYTES_MAX`].
    TooLarge {
        /// How many there are.
        bytes: usize,
    },
    /// Not a JSON object, or one with a member that stands twice.
    NotJson,
    /// No array `keys`.
    NoKeysMember,
    /// Something in `keys` that is no object.
    NotAnObject {
        /// Its index.
        index: usize,
    },
    /// A private or symmetric key.
    Private {
        /// Its index.
        index: usize,
        /// The member that gives it away.
        member: &'static str,
    },
    /// No key that is usable here.
    NoUsableKey {
        /// Why each was left out.
        notes: Vec<String>,
    },
    /// More usable keys than an issuer may have.
    TooManyKeys {
        /// How many there are.
        keys: usize,
    },
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JwksError::TooLarge { bytes } => {
                write!(f, "the key document has {bytes} bytes, at most {JWKS_BYTES_MAX} are allowed")
            }
            JwksError::NotJson => {
                f.write_str("the key document is not a JSON object whose members stand once each")
            }
            JwksError::NoKeysMember => f.write_str("the key document has no array `keys`"),
            JwksError::NotAnObject { index } => write!(f, "key {index} of the key document is no object"),
            JwksError::Private { index, member } => write!(
                f,
                "key {index} of the key document is private or symmetric (it has `{member}`): take it out of \
                 the document, give public keys only, and replace the key if others could read it"
            ),
            JwksError::NoUsableKey { notes } => {
                f.write_str("the key document has no key that verifies RS256, ES256 or EdDSA")?;
                notes.iter().try_for_each(|note| write!(f, "; {note}"))
            }
            JwksError::TooManyKeys { keys } => {
                write!(f, "the key document has {keys} keys, at most {ISSUER_KEYS_MAX} are allowed")
            }
        }
    }
}

impl std::error::Error for JwksError {}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8037 appendix A.2 and RFC 7515 appendix A.3.1, without their private members.
    const ED: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
    const EC: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

    fn parse(keys: &str) -> Result<Jwks, JwksError> {
        Jwks::parse(format!(r#"{{"keys":[{keys}]}}"#).as_bytes())
    }

    fn left_out(key: &str) -> String {
        match parse(&format!("{{{key}}}")) {
            Err(JwksError::NoUsableKey { notes }) => notes.concat(),
            other => panic!("{key}: {other:?}"),
        }
    }

    #[test]
    fn usable_keys_are_taken_in_their_order_and_pinned() {
        let jwks =
            parse(&format!(r#"{{{ED},"kid":"a","use":"sig"}},{{{EC},"alg":"ES256","key_ops":["verify"]}}"#));
        let jwks = jwks.expect("two keys");
        let found: Vec<_> = jwks.keys.iter().map(|key| (key.algorithm(), key.kid())).collect();
        assert_eq!(found, [(Algorithm::EdDsa, Some("a")), (Algorithm::Es256, None)]);
        assert!(jwks.notes.is_empty());
    }

    #[test]
    fn a_key_for_something_else_is_left_out_with_a_note() {
        for (key, why) in [
            (format!(r#"{ED},"use":"enc""#), r#"its `use` is "enc", not "sig""#),
            (format!(r#"{ED},"key_ops":["sign"]"#), "its `key_ops` do not have \"verify\""),
            (format!(r#"{ED},"alg":"ES256""#), r#"its `alg` "ES256" is not EdDSA"#),
            (format!(r#"{EC},"alg":"HS256""#), r#"its `alg` "HS256" is not ES256"#),
            (format!(r#"{ED},"kid":7"#), "`kid` is not a text"),
            (r#""kty":"EC","crv":"P-384","x":"","y":"""#.into(), r#"its curve "P-384" is not"#),
            (r#""kty":"OKP","crv":"X25519","x":"""#.into(), r#"its curve "X25519" is not"#),
            (r#""kty":"AKP""#.into(), r#"its kind "AKP" is not"#),
            (r#""kid":"a""#.into(), "it has no `kty`"),
            (r#""kty":"EC","crv":"P-256","x":"AA","y":"AA""#.into(), "its `x` and `y` do not have 32"),
            (r#""kty":"OKP","crv":"Ed25519","x":"AA==""#.into(), "its `x` is not base64url"),
            (r#""kty":"OKP","crv":"Ed25519","x":"AA""#.into(), "an Ed25519 key has 32 bytes"),
            (r#""kty":"RSA","e":"AQAB""#.into(), "it has no `n`"),
            (r#""kty":"RSA","n":"_w","e":"AQAB""#.into(), "the RSA key has 8 bits"),
        ] {
            let note = left_out(&key);
            assert!(
                note.starts_with("key 0 of the key document is left out: ") && note.contains(why),
                "{note}"
            );
        }
        let jwks = parse(&format!(r#"{{"kty":"EC","crv":"P-521"}},{{{ED}}}"#)).expect("one key");
        assert_eq!((jwks.keys.len(), jwks.notes.len()), (1, 1));
    }

    #[test]
    fn a_private_or_symmetric_key_refuses_the_document() {
        for (key, member) in [(format!(r#"{ED},"d":"AA""#), "d"), (r#""kty":"oct","k":"AA""#.to_owned(), "k")]
        {
            let error = parse(&format!("{{{EC}}},{{{key}}}")).expect_err("a private key");
            assert_eq!(error, JwksError::Private { index: 1, member });
            assert!(error.to_string().contains("take it out"), "{error}");
        }
    }

    #[test]
    fn what_is_no_key_document_is_refused() {
        assert_eq!(Jwks::parse(b""), Err(JwksError::NotJson));
        assert_eq!(Jwks::parse(b"[]"), Err(JwksError::NotJson));
        assert_eq!(Jwks::parse(b"{}"), Err(JwksError::NoKeysMember));
        assert_eq!(Jwks::parse(br#"{"keys":{}}"#), Err(JwksError::NoKeysMember));
        assert_eq!(Jwks::parse(br#"{"keys":[],"keys":[]}"#), Err(JwksError::NotJson));
        assert_eq!(parse("1"), Err(JwksError::NotAnObject { index: 0 }));
        assert_eq!(parse(""), Err(JwksError::NoUsableKey { notes: Vec::new() }));
        let bytes = JWKS_BYTES_MAX + 1;
        assert_eq!(Jwks::parse(&vec![b' '; bytes]), Err(JwksError::TooLarge { bytes }));
        let many = vec![format!("{{{ED}}}"); ISSUER_KEYS_MAX + 1].join(",");
        assert_eq!(parse(&many), Err(JwksError::TooManyKeys { keys: ISSUER_KEYS_MAX + 1 }));
    }
}
