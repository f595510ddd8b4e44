//! Tokens that somebody tampered with or made up: a table of them, and laws over all of them.

use auth::token::{
    Claims, HmacAlgorithm, NewToken, OwnConfig, OwnTokens, Secret, SecretRing, SessionId, TokenBounds,
    TokenKind, TokenRefused, TokenRefused::*, Verifier,
};
use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use ring::hmac;

const NOW_S: u64 = 1_800_000_000;
const NEW: &[u8] = &[7; 64];
const OLD: &[u8] = &[8; 32];
const HEADER: &str = r#"{"alg":"HS512","typ":"JWT","kid":"new"}"#;
const PAYLOAD: &str = r#"{"u":"ada","iat":1799999990,"exp":1800000100}"#;

fn own(algorithm: HmacAlgorithm, leeway_s: u64) -> OwnTokens {
    let secret = |kid: &str, bytes: &[u8]| Secret::new(kid, bytes.to_vec()).expect("long enough");
    let secrets = SecretRing::new(secret("new", NEW), vec![secret("old", OLD)]).expect("two key ids");
    OwnTokens::new(OwnConfig { algorithm, allow_no_expiry: false, leeway_s }, &secrets)
}

fn verifier(leeway_s: u64) -> Verifier {
    let own = own(HmacAlgorithm::Hs512, leeway_s);
    Verifier::new(own, Vec::new(), TokenBounds::default()).expect("no issuers")
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token of these texts whose signature holds.
fn sealed(header: &str, payload: &str) -> String {
    signed_by(hmac::HMAC_SHA512, NEW, &b64(header), &b64(payload))
}

fn signed_by(algorithm: hmac::Algorithm, secret: &[u8], header: &str, payload: &str) -> String {
    let signed = format!("{header}.{payload}");
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret), signed.as_bytes());
    format!("{signed}.{}", b64(tag))
}

fn verify(token: &str) -> Result<Claims, TokenRefused> {
    verifier(0).verify(token.as_bytes(), NOW_S)
}

fn good() -> Claims {
    Claims {
        user: "ada".into(),
        sid: None,
        issued_s: Some(1_799_999_990),
        expires_s: Some(1_800_000_100),
        groups: Vec::new(),
        kind: TokenKind::Own,
    }
}

#[test]
fn a_header_that_is_not_ours_is_refused_although_the_signature_holds() {
    for (header, expected) in [
        (HEADER, Ok(good())),
        (r#"{"alg":"HS512"}"#, Ok(good())),
        (
            r#"{"typ":"jwt","alg":"HS512","kid":"new","jku":"https://evil.example","jwk":{"kty":"oct","k":"AA"}}"#,
            Ok(good()),
        ),
        (r#"{"alg":"none"}"#, Err(AlgorithmNotAllowed)),
        (r#"{"alg":"None"}"#, Err(AlgorithmNotAllowed)),
        (r#"{"alg":"NONE"}"#, Err(AlgorithmNotAllowed)),
        (r#"{"alg":"nOnE"}"#, Err(AlgorithmNotAllowed)),
        (r#"{"alg":"HS256"}"#, Err(AlgorithmNotAllowed)),
        (r#"{"alg":"HS384"}"#, Err(AlgorithmNotAllowed)),
        (r#"{"alg":"hs512"}"#, Err(AlgorithmNotAllowed)),
        (r#"{"alg":"RS256"}"#, Err(AlgorithmNotAllowed)),
        (r#"{"alg":"EdDSA"}"#, Err(AlgorithmNotAllowed)),
        (r#"{"typ":"JWT"}"#, Err(Malformed)),
        (r#"{"alg":"HS512","alg":"HS512"}"#, Err(Malformed)),
        (r#"{"alg":"none","alg":"HS512"}"#, Err(Malformed)),
        (r#"{"alg":"HS512","x":{"y":1,"y":1}}"#, Err(Malformed)),
        (r#"{"alg":"HS512","crit":["exp"],"exp":1800000100}"#, Err(Malformed)),
        (r#"{"alg":"HS512","crit":["b64"],"b64":false}"#, Err(Malformed)),
        (r#"{"alg":"HS512","b64":false}"#, Err(Malformed)),
        (r#"{"alg":"HS512","kid":""}"#, Err(KeyUnknown)),
        (r#"{"alg":"HS512","kid":"NEW"}"#, Err(KeyUnknown)),
        (r#"{"alg":"HS512","kid":"old"}"#, Err(SignatureInvalid)),
        (r#"{"alg":"HS512","kid":1}"#, Err(Malformed)),
        (r#"{"alg":"HS512","exp":1800000000}"#, Err(Expired)),
        (r#"{"alg":"HS512","exp":"1800000100"}"#, Err(Malformed)),
        (r#"{"alg":"HS512","exp":-1}"#, Err(Malformed)),
        (r#"{"alg":"HS512","exp":1e400}"#, Err(Malformed)),
        (r#"{"alg":"HS512","exp":null}"#, Err(Malformed)),
        ("", Err(Malformed)),
        ("null", Err(Malformed)),
        ("[]", Err(Malformed)),
        (r#""HS512""#, Err(Malformed)),
        (r#"{"alg":"HS512"} {}"#, Err(Malformed)),
    ] {
        assert_eq!(verify(&sealed(header, PAYLOAD)), expected, "{header}");
    }
}

#[test]
fn a_payload_that_says_too_little_or_too_much_is_refused_although_the_signature_holds() {
    let named = |length: usize| format!(r#"{{"u":"{}","exp":1800000100}}"#, "a".repeat(length));
    for (payload, expected) in [
        (PAYLOAD, Ok("ada")),
        (r#"{"u":"ada","exp":1.8000001e9}"#, Ok("ada")),
        (r#"{"u":"ada","exp":1800000001,"nbf":1800000000}"#, Ok("ada")),
        (r#"{"u":"ada","exp":1800000001,"nbf":1800000000.5}"#, Err(NotYetValid)),
        (r#"{"u":"ada","exp":1800000000}"#, Err(Expired)),
        (r#"{"u":"ada","exp":1800000000.9}"#, Err(Expired)),
        (r#"{"u":"ada","exp":0}"#, Err(Expired)),
        (r#"{"u":"ada"}"#, Err(NeverExpires)),
        (r#"{"u":"ada","exp":"1800000100"}"#, Err(Malformed)),
        (r#"{"u":"ada","exp":null}"#, Err(Malformed)),
        (r#"{"u":"ada","exp":-1800000100}"#, Err(Malformed)),
        (r#"{"u":"ada","exp":1800000100000}"#, Err(Malformed)),
        (r#"{"u":"ada","exp":1e300}"#, Err(Malformed)),
        (r#"{"u":"ada","exp":1800000100,"exp":1900000000}"#, Err(Malformed)),
        (r#"{"u":"ada","u":"eve","exp":1800000100}"#, Err(Malformed)),
        (r#"{"u":"ada","\u0075":"eve","exp":1800000100}"#, Err(Malformed)),
        (r#"{"u":"ada","exp":1800000100,"iat":"x"}"#, Err(Malformed)),
        (r#"{"u":"ada","exp":1800000100,"nbf":true}"#, Err(Malformed)),
        (r#"{"u":"ada","exp":1800000100,"sid":"xyz"}"#, Err(Malformed)),
        (r#"{"u":"ada","exp":1800000100,"sid":7}"#, Err(Malformed)),
        (r#"{"u":"","exp":1800000100}"#, Err(UserInvalid)),
        (r#"{"u":"a\u0000b","exp":1800000100}"#, Err(UserInvalid)),
        (r#"{"u":"a\nb","exp":1800000100}"#, Err(UserInvalid)),
        (r#"{"u":7,"exp":1800000100}"#, Err(UserInvalid)),
        (r#"{"u":["ada"],"exp":1800000100}"#, Err(UserInvalid)),
        (r#"{"sub":"ada","exp":1800000100}"#, Err(UserInvalid)),
        (&named(256), Ok(&"a".repeat(256))),
        (&named(257), Err(UserInvalid)),
        (r#"["ada"]"#, Err(Malformed)),
        ("", Err(Malformed)),
        (r#"{"u":"ada","exp":1800000100}x"#, Err(Malformed)),
    ] {
        let found = verify(&sealed(HEADER, payload)).map(|claims| claims.user);
        assert_eq!(found, expected.map(str::to_owned), "{payload}");
    }
    let not_utf8 =
        signed_by(hmac::HMAC_SHA512, NEW, &b64(HEADER), &b64(b"{\"u\":\"\xff\",\"exp\":1800000100}"));
    assert_eq!(verify(&not_utf8), Err(Malformed));
}

#[test]
fn both_expiries_hold() {
    for (header_s, payload_s, expected) in [
        (NOW_S + 1, NOW_S + 1, Ok(NOW_S + 1)),
        (NOW_S + 1, NOW_S + 9, Ok(NOW_S + 1)),
        (NOW_S + 9, NOW_S + 1, Ok(NOW_S + 1)),
        (NOW_S, NOW_S + 9, Err(Expired)),
        (NOW_S + 9, NOW_S, Err(Expired)),
    ] {
        let header = format!(r#"{{"alg":"HS512","exp":{header_s}}}"#);
        let found = verify(&sealed(&header, &format!(r#"{{"u":"ada","exp":{payload_s}}}"#)));
        let found = found.map(|claims| claims.expires_s.expect("it has two"));
        assert_eq!(found, expected, "header {header_s}, payload {payload_s}");
    }
}

#[test]
fn leeway_moves_the_second_of_expiry() {
    let token = sealed(HEADER, PAYLOAD);
    let at = |leeway_s, now_s| verifier(leeway_s).verify(token.as_bytes(), now_s).map(drop);
    assert_eq!(at(0, 1_800_000_099), Ok(()));
    assert_eq!(at(0, 1_800_000_100), Err(Expired));
    assert_eq!(at(30, 1_800_000_129), Ok(()));
    assert_eq!(at(30, 1_800_000_130), Err(Expired));
    assert_eq!(at(u64::MAX, u64::MAX - 1), Ok(()));
    assert_eq!(at(0, 0), Ok(()), "a clock that is behind ends no session");
}

#[test]
fn a_secret_that_is_old_verifies_and_a_swapped_algorithm_does_not() {
    let (header, payload) = (b64(HEADER.replace("new", "old")), b64(PAYLOAD));
    let without_kid = b64(r#"{"alg":"HS512"}"#);
    assert_eq!(verify(&signed_by(hmac::HMAC_SHA512, OLD, &header, &payload)), Ok(good()));
    assert_eq!(verify(&signed_by(hmac::HMAC_SHA512, OLD, &without_kid, &payload)), Ok(good()));
    assert_eq!(verify(&signed_by(hmac::HMAC_SHA512, NEW, &header, &payload)), Err(SignatureInvalid));
    assert_eq!(
        verify(&signed_by(hmac::HMAC_SHA512, &[9; 64], &without_kid, &payload)),
        Err(SignatureInvalid)
    );
    // The header says HS512, the tag is of another hash; and the other way round.
    assert_eq!(verify(&signed_by(hmac::HMAC_SHA256, NEW, &without_kid, &payload)), Err(SignatureInvalid));
    let hs256 = Verifier::new(own(HmacAlgorithm::Hs256, 0), Vec::new(), TokenBounds::default());
    let hs256 = hs256.expect("no issuers");
    assert_eq!(hs256.verify(sealed(HEADER, PAYLOAD).as_bytes(), NOW_S), Err(AlgorithmNotAllowed));
    let said = b64(r#"{"alg":"HS256"}"#);
    let crossed = signed_by(hmac::HMAC_SHA512, NEW, &said, &payload);
    assert_eq!(hs256.verify(crossed.as_bytes(), NOW_S), Err(SignatureInvalid));
    let held = signed_by(hmac::HMAC_SHA256, NEW, &said, &payload);
    assert_eq!(hs256.verify(held.as_bytes(), NOW_S), Ok(good()));
}

#[test]
fn another_form_of_the_same_token_is_refused() {
    let token = sealed(HEADER, PAYLOAD);
    assert_eq!(verify(&token), Ok(good()));
    let [header, payload, tag] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    // 64 bytes leave four bits behind the end of the last character.
    let trailing = token[..token.len() - 1].to_owned() + next_in_alphabet(&token[token.len() - 1..]);
    for form in [
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{tag}"),
        format!("{header}.{payload}"),
        format!(".{payload}.{tag}"),
        format!("{header}..{payload}.{tag}"),
        format!("{token}="),
        format!("{header}.{payload}.{tag}=="),
        format!("{}.{payload}.{tag}", URL_SAFE.encode(HEADER.replace("new\"", "new\" "))),
        token.replace('_', "/").replace('-', "+"),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{header}.{payload}.\n{tag}"),
        format!("{header}.{payload}.{tag}\0"),
        format!("Bearer {token}"),
        format!("\"{token}\""),
        trailing,
        format!(r#"{{"payload":"{payload}","protected":"{header}","signature":"{tag}"}}"#),
    ] {
        assert_eq!(verify(&form), Err(Malformed), "{form}");
    }
    for form in [format!("{header}.{payload}."), format!("{header}..{tag}")] {
        assert_eq!(verify(&form), Err(SignatureInvalid), "{form}");
    }
}

fn next_in_alphabet(character: &str) -> &'static str {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = ALPHABET.find(character).expect("base64url");
    &ALPHABET[at + 1..at + 2]
}

#[test]
fn a_token_is_bounded() {
    let filled = |bytes: usize| {
        sealed(HEADER, &format!(r#"{{"u":"ada","exp":1800000100,"x":"{}"}}"#, "a".repeat(bytes)))
    };
    let longest = (0..4096).map(filled).take_while(|token| token.len() <= 4096).last().expect("some fit");
    assert!(longest.len() > 4090, "{}", longest.len());
    assert!(verify(&longest).is_ok());
    assert_eq!(verify(&filled(4096)), Err(TooLong));
    assert_eq!(verify(&".".repeat(4097)), Err(TooLong));
    assert_eq!(verify(&".".repeat(4096)), Err(Malformed));
    let deep = format!(r#"{{"u":"ada","exp":1800000100,"x":{}{}}}"#, "[".repeat(1000), "]".repeat(1000));
    assert_eq!(verify(&sealed(HEADER, &deep)), Err(Malformed));
}

#[test]
fn a_token_that_is_cut_or_changed_by_one_bit_is_refused() {
    let token = sealed(HEADER, PAYLOAD).into_bytes();
    let verifier = verifier(0);
    for end in 0..token.len() {
        assert!(verifier.verify(&token[..end], NOW_S).is_err(), "cut to {end}");
        assert!(verifier.verify(&token[end + 1..], NOW_S).is_err(), "from {}", end + 1);
    }
    for at in 0..token.len() {
        for bit in 0..8 {
            let mut token = token.clone();
            token[at] ^= 1 << bit;
            assert!(verifier.verify(&token, NOW_S).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn what_a_client_is_told_says_nothing_of_keys() {
    let told = |token: &str| verify(token).expect_err("bad").reason();
    assert_eq!(told(&sealed(r#"{"alg":"HS512","kid":"x"}"#, PAYLOAD)), "Bad Token Signature");
    assert_eq!(told(&sealed(r#"{"alg":"HS512","kid":"old"}"#, PAYLOAD)), "Bad Token Signature");
    assert_eq!(told(&sealed(r#"{"alg":"HS256"}"#, PAYLOAD)), "Bad Token");
    assert_eq!(told("x"), "Bad Token");
    assert_eq!(told(&sealed(HEADER, r#"{"u":"ada","exp":1}"#)), "Token Expired");
    assert_eq!(
        told(&sealed(HEADER, r#"{"u":"ada","exp":1800000100,"nbf":1800000050}"#)),
        "Token Not Yet Valid"
    );
    assert_eq!(told(&"x".repeat(5000)), "Token Too Long");
}

proptest! {
    #[test]
    fn what_is_issued_is_what_is_verified(
        user in "\\PC{1,40}",
        sid in any::<[u8; 16]>(),
        issued_s in 0u64..4_000_000_000,
        lifetime_s in 1u64..1_000_000,
        algorithm in prop_oneof![
            Just(HmacAlgorithm::Hs256), Just(HmacAlgorithm::Hs384), Just(HmacAlgorithm::Hs512),
        ],
    ) {
        let (sid, expires_s) = (SessionId::new(sid), issued_s + lifetime_s);
        let own = own(algorithm, 0);
        let token = own.issue(&NewToken { user: &user, sid, issued_s, expires_s });
        let verifier = Verifier::new(own, Vec::new(), TokenBounds::default()).expect("no issuers");
        let claims = Claims {
            user,
            sid: Some(sid),
            issued_s: Some(issued_s),
            expires_s: Some(expires_s),
            groups: Vec::new(),
            kind: TokenKind::Own,
        };
        prop_assert_eq!(verifier.verify(token.as_bytes(), expires_s - 1), Ok(claims));
        prop_assert_eq!(verifier.verify(token.as_bytes(), expires_s), Err(Expired));
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap_or("")).expect("base64url");
        let expected = format!(r#"{{"alg":"{}","typ":"JWT","kid":"new"}}"#, algorithm.name());
        prop_assert_eq!(String::from_utf8(header), Ok(expected));
    }

    #[test]
    fn no_bytes_panic(token in proptest::collection::vec(any::<u8>(), 0..200), now_s: u64) {
        prop_assert!(verifier(0).verify(&token, now_s).is_err());
    }

    #[test]
    fn no_text_behind_a_sound_signature_panics(header in "\\PC{0,60}", payload in "\\PC{0,60}", now_s: u64) {
        let _ = verifier(0).verify(sealed(&header, PAYLOAD).as_bytes(), now_s);
        let _ = verifier(0).verify(sealed(HEADER, &payload).as_bytes(), now_s);
    }

    #[test]
    fn every_numeric_expiry_is_judged(expires_s: f64, now_s in 0u64..4_000_000_000) {
        prop_assume!(expires_s.is_finite());
        let token = sealed(HEADER, &format!(r#"{{"u":"ada","exp":{expires_s:e}}}"#));
        let found = verifier(0).verify(token.as_bytes(), now_s).map(drop);
        if found.is_ok() {
            prop_assert!((now_s as f64) < expires_s);
        }
        if expires_s < 0.0 {
            prop_assert_eq!(found, Err(Malformed));
        }
    }
}
