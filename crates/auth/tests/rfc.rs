//! The examples of RFC 7515 (appendix A), 7520 (section 4) and 8037, verified as they are printed.

use auth::token::{
    HmacAlgorithm, Jwks, OwnConfig, OwnTokens, PublicKey, Secret, SecretRing, TokenBounds, TokenRefused,
    Verifier,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const PRINTED: &str = include_str!("data/rfc.txt");

/// What the RFC prints under this name, in `data/rfc.txt`.
fn printed(name: &str) -> &'static str {
    let found = PRINTED.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {name}"))
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

fn rsa(name: &str) -> PublicKey {
    key(&format!(r#""kty":"RSA","e":"AQAB","n":"{}""#, printed(name)))
}

fn key(members: &str) -> PublicKey {
    let document = format!(r#"{{"keys":[{{{members}}}]}}"#);
    Jwks::parse(document.as_bytes()).expect("a key").keys.remove(0)
}

#[track_caller]
fn check(key: &PublicKey, signed: &str, signature: &str) {
    let signature = decode(signature);
    assert!(key.verifies(signed.as_bytes(), &signature), "the signature holds");
    assert!(!key.verifies(&signed.as_bytes()[1..], &signature), "over another message it does not");
    let mut other = signature.clone();
    other[7] ^= 1;
    assert!(!key.verifies(signed.as_bytes(), &other), "another signature does not");
    assert!(!key.verifies(signed.as_bytes(), &signature[..signature.len() - 1]));
    assert!(!key.verifies(signed.as_bytes(), &[]));
}

#[test]
fn rfc_7515_a_2_rs256() {
    let key = rsa("7515.a.2.n");
    let signature = printed("7515.a.2.signature");
    check(&key, &format!("eyJhbGciOiJSUzI1NiJ9.{}", printed("7515.payload")), signature);
}

#[test]
fn rfc_7515_a_3_es256() {
    let key = key(r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#);
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    check(&key, &format!("eyJhbGciOiJFUzI1NiJ9.{}", printed("7515.payload")), signature);
}

#[test]
fn rfc_7520_4_1_rs256() {
    let key = rsa("7520.4.1.n");
    let header = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9";
    let signature = printed("7520.4.1.signature");
    check(&key, &format!("{header}.{}", printed("7520.payload")), signature);
}

#[test]
fn rfc_8037_a_4_eddsa() {
    let key = key(r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#);
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    check(&key, "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc", signature);
}

fn hs256(secret: &str) -> Verifier {
    let secrets = SecretRing::new(
        Secret::new("018c0ae5-4d9b-471b-bfd6-eef314bc7037", decode(secret)).expect("long"),
        Vec::new(),
    );
    let config = OwnConfig { algorithm: HmacAlgorithm::Hs256, ..OwnConfig::default() };
    let own = OwnTokens::new(config, &secrets.expect("one secret"));
    Verifier::new(own, Vec::new(), TokenBounds::default()).expect("no issuers")
}

/// What is behind the signature is refused, which is looked at only when the signature holds.
#[test]
fn rfc_7515_a_1_hs256() {
    let verifier =
        hs256("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    let (header, payload) = ("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", printed("7515.payload"));
    let token = format!("{header}.{payload}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert_eq!(verifier.verify(token.as_bytes(), 1_300_819_379), Err(TokenRefused::UserInvalid));
    assert_eq!(verifier.verify(token.as_bytes(), 1_300_819_380), Err(TokenRefused::Expired));
    let other = token.replace(".dBj", ".dBk");
    assert_eq!(verifier.verify(other.as_bytes(), 1_300_819_379), Err(TokenRefused::SignatureInvalid));
}

#[test]
fn rfc_7520_4_4_hs256() {
    let verifier = hs256("hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg");
    let header = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9";
    let payload = printed("7520.payload");
    let token = format!("{header}.{payload}.s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0");
    assert_eq!(verifier.verify(token.as_bytes(), 0), Err(TokenRefused::Malformed), "a sentence is no JSON");
    let other = token.replace(".s0h", ".s1h");
    assert_eq!(verifier.verify(other.as_bytes(), 0), Err(TokenRefused::SignatureInvalid));
}
