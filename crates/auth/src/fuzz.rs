//! Laws that hold for any bytes: tokens here, and what configuration and storage hand over.
//!
//! The bodies of the fuzz targets `token` and `keys`; the crate's own tests call them too. They panic where
//! a law does not hold. Bytes alone never have a signature that holds, so what is behind one is reached by
//! signing the input, with a secret that stands here.

use crate::password::{self, PasswordBounds, PasswordParams};
use crate::policy::Record;
use crate::token::{
    Claims, Issuer, Jwks, OwnConfig, OwnTokens, PublicKey, Secret, SecretRing, TokenBounds, TokenKind,
    TokenRefused, Verifier, claims_behind_signature, parse_public_pem, seal,
};

const NOW_S: u64 = 1_800_000_000;
const SECRET: [u8; 64] = [7; 64];
const BOUNDS: TokenBounds = TokenBounds { token_bytes_max: 4096, user_bytes_max: 64, groups_max: 4 };

/// Judges the input as a token, and its two halves around the first line end as header and payload.
#[doc(hidden)]
pub fn fuzz_token(input: &[u8]) {
    let issuer = issuer();
    let secrets = SecretRing::new(Secret::from_random(&SECRET), Vec::new()).expect("one secret");
    let own = OwnTokens::new(OwnConfig::default(), &secrets);
    let verifier = Verifier::new(own, vec![issuer.clone()], BOUNDS).expect("a sound issuer");

    let found = verifier.verify(input, NOW_S);
    assert!(input.len() <= BOUNDS.token_bytes_max || found == Err(TokenRefused::TooLong));
    assert_sound(&found, 0);

    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (header, payload) = (&input[..end], input.get(end + 1..).unwrap_or(&[]));
    let token = seal(&SECRET, header, payload);
    let found = verifier.verify(token.as_bytes(), NOW_S);
    let asymmetric = matches!(algorithm(header).as_deref(), Some("EdDSA" | "Ed25519"));
    let signed_by_us = asymmetric || found != Err(TokenRefused::SignatureInvalid);
    assert!(signed_by_us, "it was signed by the right secret");
    assert_sound(&found, 0);
    if let Ok(claims) = found {
        assert_eq!(claims.kind, TokenKind::Own);
        let mut longer = token.clone();
        longer.push('=');
        assert_eq!(verifier.verify(longer.as_bytes(), NOW_S), Err(TokenRefused::Malformed));
        assert!(verifier.verify(&token.as_bytes()[..token.len() - 1], NOW_S).is_err());
    }

    let found = claims_behind_signature(&issuer, payload, NOW_S, &BOUNDS);
    assert_sound(&found, issuer.leeway_s);
    if let Ok(claims) = found {
        assert!(claims.user.starts_with(&issuer.user_prefix));
        assert!(claims.groups.iter().all(|group| group.starts_with(&issuer.group_prefix)));
    }
}

fn algorithm(header: &[u8]) -> Option<String> {
    let header: serde_json::Value = serde_json::from_slice(header).ok()?;
    header.get("alg")?.as_str().map(str::to_owned)
}

fn issuer() -> Issuer {
    let key = PublicKey::ed25519(None, &[9; 32]).expect("32 bytes");
    Issuer {
        groups_claim: Some("groups".to_owned()),
        user_prefix: "i:".to_owned(),
        group_prefix: "g:".to_owned(),
        lifetime_max_s: Some(86_400),
        ..Issuer::new("i", &["a"], vec![key])
    }
}

fn assert_sound(found: &Result<Claims, TokenRefused>, leeway_s: u64) {
    let Ok(claims) = found else { return };
    assert!(claims.expires_s.is_some_and(|expires_s| NOW_S < expires_s + leeway_s), "it is not expired");
    let names = [&claims.user].into_iter().chain(&claims.groups);
    for name in names {
        assert!(!name.is_empty() && name.len() <= BOUNDS.user_bytes_max);
        assert!(!name.chars().any(char::is_control));
    }
    assert!(claims.groups.len() <= BOUNDS.groups_max);
}

/// Reads the input as a key document, as a role's record, as PEM, as a secret file and as a stored password.
#[doc(hidden)]
pub fn fuzz_keys(input: &[u8]) {
    if let Ok(Jwks { keys, .. }) = Jwks::parse(input) {
        assert!(!keys.is_empty());
        keys.iter().for_each(assert_verifies_nothing);
    }
    if let Ok(record) = Record::decode(input) {
        let again = Record::encode(record.as_ref());
        assert_eq!(Record::decode(again.as_bytes()).as_ref(), Ok(&record));
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(keys) = parse_public_pem(text) {
        assert!(!keys.is_empty());
        keys.iter().for_each(assert_verifies_nothing);
    }
    if let Ok(ring) = SecretRing::parse(text) {
        assert_eq!(SecretRing::parse(&ring.print()).as_ref(), Ok(&ring));
    }
    let params = PasswordParams { memory_kib: 8, passes: 1, lanes: 1 };
    let bounds = PasswordBounds { memory_kib_max: 64, work_kib_max: 64, lanes_max: 2 };
    if let Ok(held) = password::verify(b"password", text, &bounds) {
        assert!(!held || text.starts_with("$argon2id$v=19$"));
    }
    password::needs_rehash(text, &params);
}

/// No key holds a signature of nothing.
fn assert_verifies_nothing(key: &PublicKey) {
    for bytes in [0, 32, 64, 256] {
        assert!(!key.verifies(b"message", &vec![1; bytes]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Members that a token may have, sound and not, in any order and number.
    fn object() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            Just("alg"),
            Just("kid"),
            Just("typ"),
            Just("crit"),
            Just("exp"),
            Just("nbf"),
            Just("iat"),
            Just("u"),
            Just("sid"),
            Just("iss"),
            Just("aud"),
            Just("sub"),
            Just("groups"),
        ];
        let value = prop_oneof![
            Just("\"HS512\""),
            Just("\"none\""),
            Just("\"ada\""),
            Just("\"i\""),
            Just("\"a\""),
            Just("\"JWT\""),
            Just("1800000100"),
            Just("1799999990"),
            Just("1.8000001e9"),
            Just("-1"),
            Just("[\"a\",\"b\"]"),
            Just("null"),
            Just("{}"),
        ];
        let member = (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        proptest::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(",")))
    }

    proptest! {
        #[test]
        fn the_laws_hold_for_bytes(input in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz_token(&input);
            fuzz_keys(&input);
        }

        #[test]
        fn the_laws_hold_for_objects(header in object(), payload in object()) {
            fuzz_token(format!("{header}\n{payload}").as_bytes());
            fuzz_token(format!("{{\"alg\":\"HS512\"}}\n{payload}").as_bytes());
        }
    }

    #[test]
    fn the_laws_hold_for_what_is_sound() {
        let own = "{\"alg\":\"HS512\"}\n{\"u\":\"ada\",\"exp\":1800000100}";
        let foreign =
            "{}\n{\"iss\":\"i\",\"aud\":\"a\",\"sub\":\"ada\",\"groups\":[\"x\"],\"exp\":1800000100}";
        fuzz_token(own.as_bytes());
        fuzz_token(foreign.as_bytes());
        fuzz_token(foreign.replacen("{}", "{\"alg\":\"EdDSA\"}", 1).as_bytes());
        let (_, payload) = foreign.split_once('\n').expect("two lines");
        let found = claims_behind_signature(&issuer(), payload.as_bytes(), NOW_S, &BOUNDS);
        assert_eq!(found.map(|claims| claims.groups), Ok(vec!["g:x".to_owned()]));
        for kept in ["jwks.json", "rsa.pem", "ec.pem", "ed.pem", "own.secrets"] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(kept);
            fuzz_keys(&std::fs::read(path).expect("a file of the golden tests"));
        }
    }
}
