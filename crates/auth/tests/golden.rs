//! Tokens and keys made by PyJWT, another implementation (`data/make.py`), are judged as it means them.

use auth::token::{
    Algorithm, Claims, Issuer, Jwks, NewToken, OwnConfig, OwnTokens, PublicKey, SecretRing, SessionId,
    TokenBounds, TokenKind, TokenRefused, Verifier, parse_public_pem,
};
use auth::token::{HmacAlgorithm, TokenRefused::*};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::path::PathBuf;

const NOW_S: u64 = 1_800_000_000;
const SID: SessionId = SessionId::new([
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
]);

fn stored(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn token(name: &str) -> String {
    let tokens = stored("tokens.txt");
    let found = tokens.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no token {name}")).to_owned()
}

fn own(algorithm: HmacAlgorithm, allow_no_expiry: bool) -> OwnTokens {
    let secrets = SecretRing::parse(&stored("own.secrets")).expect("a secret");
    OwnTokens::new(OwnConfig { algorithm, allow_no_expiry, leeway_s: 0 }, &secrets)
}

fn jwks() -> Jwks {
    Jwks::parse(stored("jwks.json").as_bytes()).expect("a key document")
}

fn issuer(keys: Vec<PublicKey>) -> Issuer {
    let issuer = Issuer::new("https://issuer.example", &["unused", "millrace"], keys);
    Issuer { user_prefix: String::new(), group_prefix: String::new(), ..issuer }
}

fn verifier(issuer: Issuer) -> Verifier {
    let own = own(HmacAlgorithm::Hs512, false);
    Verifier::new(own, vec![issuer], TokenBounds::default()).expect("a sound issuer")
}

fn claims(kind: TokenKind, sid: Option<SessionId>) -> Claims {
    Claims {
        user: "ada".to_owned(),
        sid,
        issued_s: Some(NOW_S - 10),
        expires_s: Some(NOW_S + 3600),
        groups: Vec::new(),
        kind,
    }
}

#[test]
fn sound_tokens_say_what_was_put_in() {
    let verifier = verifier(issuer(jwks().keys));
    for name in ["own-hs512", "own-without-kid"] {
        let found = verifier.verify(token(name).as_bytes(), NOW_S);
        assert_eq!(found, Ok(claims(TokenKind::Own, Some(SID))), "{name}");
    }
    for name in ["rs256", "rs256-4096", "rs256-without-kid", "es256", "eddsa", "aud-list", "groups"] {
        let found = verifier.verify(token(name).as_bytes(), NOW_S);
        assert_eq!(found, Ok(claims(TokenKind::Foreign(0), None)), "{name}");
    }
}

#[test]
fn bad_tokens_are_refused_each_for_its_own_reason() {
    let verifier = verifier(issuer(jwks().keys));
    for (name, refused) in [
        ("own-hs256", AlgorithmNotAllowed),
        ("own-hs384", AlgorithmNotAllowed),
        ("own-other-kid", KeyUnknown),
        ("own-other-secret", SignatureInvalid),
        ("iorio-without-expiry", NeverExpires),
        ("none", AlgorithmNotAllowed),
        ("rs256-wrong-kid", SignatureInvalid),
        ("rs256-weak-key", KeyUnknown),
        ("rs256-stranger", SignatureInvalid),
        ("rs512", AlgorithmNotAllowed),
        ("ps256", AlgorithmNotAllowed),
        ("es384", AlgorithmNotAllowed),
        ("aud-other", AudienceWrong),
        ("aud-missing", AudienceWrong),
        ("iss-other", IssuerUnknown),
        ("exp-missing", NeverExpires),
        ("nbf-later", NotYetValid),
        ("sub-missing", UserInvalid),
        ("confused-pem", AlgorithmNotAllowed),
        ("confused-x", AlgorithmNotAllowed),
        ("confused-empty", AlgorithmNotAllowed),
    ] {
        assert_eq!(verifier.verify(token(name).as_bytes(), NOW_S), Err(refused), "{name}");
    }
}

#[test]
fn a_public_key_is_no_secret_even_when_hs256_is_configured() {
    let own = own(HmacAlgorithm::Hs256, false);
    let verifier = Verifier::new(own, vec![issuer(jwks().keys)], TokenBounds::default()).expect("sound");
    assert!(verifier.verify(token("own-hs256").as_bytes(), NOW_S).is_ok());
    assert_eq!(verifier.verify(token("own-hs512").as_bytes(), NOW_S), Err(AlgorithmNotAllowed));
    for (name, refused) in
        [("confused-pem", KeyUnknown), ("confused-x", KeyUnknown), ("confused-empty", SignatureInvalid)]
    {
        assert_eq!(verifier.verify(token(name).as_bytes(), NOW_S), Err(refused), "{name}");
    }
    assert!(verifier.verify(token("rs256").as_bytes(), NOW_S).is_ok());
}

#[test]
fn a_key_verifies_its_own_algorithm_and_no_other_that_a_token_names() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes");
    let own_kid = Some("seed".to_owned());
    let key = PublicKey::ed25519(own_kid, pair.public_key().as_ref()).expect("32 bytes");
    let verifier = verifier(issuer([jwks().keys, vec![key]].concat()));
    let payload = token("eddsa").split('.').nth(1).expect("three parts").to_owned();
    for (algorithm, expected) in [
        ("EdDSA", Ok(claims(TokenKind::Foreign(0), None))),
        ("Ed25519", Ok(claims(TokenKind::Foreign(0), None))),
        ("ES256", Err(KeyUnknown)),
        ("RS256", Err(KeyUnknown)),
        ("HS512", Err(KeyUnknown)),
        ("HS256", Err(AlgorithmNotAllowed)),
    ] {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}","kid":"seed"}}"#));
        let signed = format!("{header}.{payload}");
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
        let found = verifier.verify(format!("{signed}.{signature}").as_bytes(), NOW_S);
        assert_eq!(found, expected, "{algorithm}");
    }
}

#[test]
fn hs384_verifies_when_it_is_configured() {
    let verifier = Verifier::new(own(HmacAlgorithm::Hs384, false), Vec::new(), TokenBounds::default());
    let found = verifier.expect("no issuers").verify(token("own-hs384").as_bytes(), NOW_S);
    assert_eq!(found, Ok(claims(TokenKind::Own, Some(SID))));
}

#[test]
fn an_iorio_token_expires_by_its_header() {
    let verifier = verifier(issuer(jwks().keys));
    let iorio = token("iorio");
    let found = Claims { issued_s: None, ..claims(TokenKind::Own, None) };
    assert_eq!(verifier.verify(iorio.as_bytes(), NOW_S + 3599), Ok(found));
    assert_eq!(verifier.verify(iorio.as_bytes(), NOW_S + 3600), Err(Expired));
    let lenient = Verifier::new(own(HmacAlgorithm::Hs512, true), Vec::new(), TokenBounds::default());
    let lenient = lenient.expect("no issuers");
    let found = Claims { issued_s: None, expires_s: None, ..claims(TokenKind::Own, None) };
    assert_eq!(lenient.verify(token("iorio-without-expiry").as_bytes(), u64::MAX), Ok(found));
    assert_eq!(lenient.verify(iorio.as_bytes(), NOW_S + 3600), Err(Expired));
}

#[test]
fn keys_in_pem_are_the_same_keys_and_are_tried_for_every_key_id() {
    let document = jwks();
    for (file, algorithm, name) in [
        ("rsa.pem", Algorithm::Rs256, "rs256"),
        ("rsa4096.pem", Algorithm::Rs256, "rs256-4096"),
        ("ec.pem", Algorithm::Es256, "es256"),
        ("ed.pem", Algorithm::EdDsa, "eddsa"),
    ] {
        let keys = parse_public_pem(&stored(file)).expect("a public key");
        assert_eq!(keys.iter().map(PublicKey::algorithm).collect::<Vec<_>>(), [algorithm]);
        let found = verifier(issuer(keys)).verify(token(name).as_bytes(), NOW_S);
        assert_eq!(found, Ok(claims(TokenKind::Foreign(0), None)), "{file}");
    }
    let all = ["rsa4096.pem", "ec.pem", "rsa.pem", "ed.pem"].map(stored).join("and between them\n");
    let keys = parse_public_pem(&all).expect("four keys");
    assert_eq!(keys.len(), document.keys.len());
    let verifier = verifier(issuer(keys));
    for name in ["rs256", "rs256-4096", "rs256-wrong-kid", "es256", "eddsa"] {
        assert!(verifier.verify(token(name).as_bytes(), NOW_S).is_ok(), "{name}");
    }
    assert_eq!(verifier.verify(token("rs256-stranger").as_bytes(), NOW_S), Err(SignatureInvalid));
}

#[test]
fn a_pem_text_that_is_no_public_key_is_refused_with_what_to_do() {
    let rsa = stored("rsa.pem");
    let relabelled = |label: &str| rsa.replace("PUBLIC KEY", label);
    let cut = rsa.replace("-----END PUBLIC KEY-----", "");
    let second = format!("{}{}", stored("ed.pem"), stored("ec384.pem"));
    for (text, said) in [
        ("", "the text has no line"),
        ("ssh-ed25519 AAAA", "the text has no line"),
        (relabelled("PRIVATE KEY").as_str(), "PEM block 1: this is a private key, which must stay"),
        (&relabelled("RSA PRIVATE KEY"), "PEM block 1: this is a private key"),
        (&relabelled("ENCRYPTED PRIVATE KEY"), "PEM block 1: this is a private key"),
        (&stored("rsa.pkcs1.pem"), "PEM block 1: this is a public key of PKCS #1"),
        (&relabelled("CERTIFICATE"), "PEM block 1: this is a certificate"),
        (&relabelled("DH PARAMETERS"), "PEM block 1: this is not a `PUBLIC KEY`"),
        (&relabelled("RSA PUBLIC KEY").replacen("RSA ", "", 1), "PEM block 1: this is not PEM"),
        (&cut, "PEM block 1: this is not PEM"),
        (&rsa.replace('A', "*"), "PEM block 1: this is not PEM"),
        (&rsa.replacen("MII", "NII", 1), "PEM block 1: what is inside is not"),
        (&stored("ed448.pem"), "PEM block 1: the key is not RSA, EC on P-256, or Ed25519"),
        (&second, "PEM block 2: the key is not RSA, EC on P-256, or Ed25519"),
        (&stored("rsa1024.pem"), "PEM block 1: the RSA key has 1024 bits"),
        (&rsa.repeat(33), "the text has 33 blocks, at most 32"),
        (&" ".repeat(65_537), "the text has 65537 bytes, at most 65536"),
    ] {
        let error = parse_public_pem(text).expect_err("no public key").to_string();
        assert!(error.starts_with(said), "{error}\n{text}");
    }
}

#[test]
fn the_key_document_keeps_what_is_usable_and_says_what_is_not() {
    let Jwks { keys, notes } = jwks();
    let kids: Vec<_> = keys.iter().filter_map(PublicKey::kid).collect();
    assert_eq!(kids, ["rsa", "rsa4096", "ec", "ed"]);
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(notes[0].ends_with("the RSA key has 1024 bits, 2048 to 8192 are allowed"), "{notes:?}");
    assert!(notes[1].ends_with("its curve \"P-384\" is not P-256 or Ed25519"), "{notes:?}");
    assert!(notes[2].ends_with("its `use` is \"enc\", not \"sig\""), "{notes:?}");
}

#[test]
fn claims_of_an_issuer_follow_its_configuration() {
    let check = |change: fn(&mut Issuer), name: &str, now_s: u64| {
        let mut issuer = issuer(jwks().keys);
        change(&mut issuer);
        verifier(issuer).verify(token(name).as_bytes(), now_s)
    };
    let user = |found: Result<Claims, TokenRefused>| found.map(|claims| claims.user);
    let named: fn(&mut Issuer) = |issuer| {
        issuer.user_claim = "name".into();
        issuer.user_prefix = "example:".into();
        issuer.groups_claim = Some("groups".into());
        issuer.group_prefix = "g:".into();
    };
    let found = check(named, "groups", NOW_S).expect("a user with groups");
    assert_eq!(
        (found.user.as_str(), found.groups),
        ("example:Ada", vec!["g:makers".into(), "g:readers".into()])
    );
    assert_eq!(user(check(named, "eddsa", NOW_S)), Err(UserInvalid), "no `name`");
    assert_eq!(
        check(|i| i.groups_claim = Some("sub".into()), "eddsa", NOW_S).map(|c| c.groups),
        Ok(vec!["ada".into()])
    );
    assert_eq!(user(check(|i| i.groups_claim = Some("iat".into()), "eddsa", NOW_S)), Err(Malformed));

    // Clocks differ by a minute at most, unless said otherwise.
    assert_eq!(user(check(|_| {}, "eddsa", NOW_S + 3659)), Ok("ada".into()));
    assert_eq!(user(check(|_| {}, "eddsa", NOW_S + 3660)), Err(Expired));
    assert_eq!(user(check(|i| i.leeway_s = 0, "eddsa", NOW_S + 3600)), Err(Expired));
    assert_eq!(user(check(|i| i.leeway_s = 0, "exp-fraction", NOW_S)), Err(Expired), "cut to the safe side");
    assert_eq!(user(check(|_| {}, "nbf-later", NOW_S + 39)), Err(NotYetValid));
    assert_eq!(user(check(|_| {}, "nbf-later", NOW_S + 40)), Ok("ada".into()));
    assert_eq!(user(check(|_| {}, "eddsa", NOW_S - 71)), Err(NotYetValid), "issued in the future");
    assert_eq!(user(check(|i| i.lifetime_max_s = Some(3610), "eddsa", NOW_S)), Ok("ada".into()));
    assert_eq!(user(check(|i| i.lifetime_max_s = Some(3609), "eddsa", NOW_S)), Err(LivesTooLong));
}

#[test]
fn names_of_an_issuer_are_kept_apart_unless_it_is_said_otherwise() {
    let mut issuer = Issuer::new("https://issuer.example", &["millrace"], jwks().keys);
    issuer.groups_claim = Some("groups".into());
    let found = verifier(issuer).verify(token("groups").as_bytes(), NOW_S).expect("a user with groups");
    assert_eq!(found.user, "https://issuer.example:ada");
    assert_eq!(found.groups, ["https://issuer.example:makers", "https://issuer.example:readers"]);
}

#[test]
fn one_provider_may_stand_for_two_audiences() {
    let mut other = issuer(jwks().keys);
    other.aud = vec!["other".into()];
    let own = own(HmacAlgorithm::Hs512, false);
    let both = Verifier::new(own, vec![issuer(jwks().keys), other], TokenBounds::default()).expect("sound");
    let kind = |name: &str| both.verify(token(name).as_bytes(), NOW_S).map(|claims| claims.kind);
    assert_eq!(kind("eddsa"), Ok(TokenKind::Foreign(0)));
    assert_eq!(kind("aud-other"), Ok(TokenKind::Foreign(1)));
    assert_eq!(kind("aud-missing"), Err(AudienceWrong));
}

#[test]
fn a_foreign_token_that_is_cut_or_changed_by_one_bit_is_refused() {
    let verifier = verifier(issuer(jwks().keys));
    for name in ["rs256", "es256", "eddsa"] {
        let token = token(name).into_bytes();
        for at in 0..token.len() {
            assert!(verifier.verify(&token[..at], NOW_S).is_err(), "{name} cut to {at}");
            let mut changed = token.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(verifier.verify(&changed, NOW_S).is_err(), "{name} changed at {at}");
        }
    }
}

#[test]
fn an_issuer_that_lacks_something_is_refused_by_its_index() {
    let check = |change: fn(&mut Issuer)| {
        let mut issuers = vec![issuer(jwks().keys); 2];
        change(&mut issuers[1]);
        let own = own(HmacAlgorithm::Hs512, false);
        let (index, fault) = Verifier::new(own, issuers, TokenBounds::default()).expect_err("a fault");
        assert_eq!(index, 1);
        fault.to_string()
    };
    assert!(check(|issuer| issuer.iss.clear()).starts_with("the issuer has no `iss`"));
    assert!(check(|issuer| issuer.aud.clear()).starts_with("the issuer has no audience"));
    assert!(check(|issuer| issuer.aud.push(String::new())).starts_with("the issuer has no audience"));
    assert!(check(|issuer| issuer.keys.clear()).starts_with("the issuer has no key"));
    assert!(
        check(|issuer| issuer.keys = vec![issuer.keys[0].clone(); 36])
            .starts_with("the issuer has 36 keys, at most 32")
    );
    assert!(check(|issuer| issuer.user_claim.clear()).starts_with("the claim that names the user is empty"));
    let many = vec![issuer(jwks().keys); 17];
    let (index, fault) = Verifier::new(own(HmacAlgorithm::Hs512, false), many, TokenBounds::default())
        .expect_err("one too many");
    assert_eq!((index, fault.to_string().as_str()), (16, "at most 16 issuers are allowed"));
}

/// `data/make.py check` says whether PyJWT takes the stored token.
#[test]
fn our_token_is_the_one_that_the_other_implementation_took() {
    let new = NewToken { user: "ada \u{20ac} \"\\", sid: SID, issued_s: NOW_S, expires_s: NOW_S + 3600 };
    assert_eq!(own(HmacAlgorithm::Hs512, false).issue(&new), stored("issued.txt").trim_end());
}
