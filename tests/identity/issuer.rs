//! Tokens of others: of a configured issuer with a key document, and of an Iorio server.
//!
//! The issuer of these tests signs with RS256, ES256 and EdDSA; its RSA key is `rsa.pk8`, which is good for
//! nothing else, the other two are drawn for each run.

use crate::person::{Person, assert_401, assert_no_permission};
use crate::server::Server;
use crate::tokens::{Secret, encode, now_s, seal};
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const ISSUER: &str = "https://issuer.example";

struct Keys {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Keys {
    fn new() -> Keys {
        let random = SystemRandom::new();
        let ec = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let ec_key = EcdsaKeyPair::generate_pkcs8(ec, &random).expect("a key");
        let ed_key = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
        Keys {
            rsa: RsaKeyPair::from_pkcs8(include_bytes!("rsa.pk8")).expect("a key"),
            ec: EcdsaKeyPair::from_pkcs8(ec, ec_key.as_ref(), &random).expect("a key"),
            ed: Ed25519KeyPair::from_pkcs8(ed_key.as_ref()).expect("a key"),
        }
    }

    /// The public halves.
    fn document(&self) -> Value {
        let rsa = signature::RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public_key());
        let point = self.ec.public_key().as_ref();
        json!({ "keys": [
            { "kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256",
              "n": encode(&rsa.n), "e": encode(&rsa.e) },
            { "kty": "EC", "kid": "ec", "use": "sig", "alg": "ES256", "crv": "P-256",
              "x": encode(&point[1..33]), "y": encode(&point[33..]) },
            { "kty": "OKP", "kid": "ed", "use": "sig", "alg": "EdDSA", "crv": "Ed25519",
              "x": encode(self.ed.public_key().as_ref()) },
        ] })
    }

    /// A token with the key that fits `alg`, or with that of `key` though the header says `alg`.
    fn sign(&self, alg: &str, key: &str, payload: &Value) -> String {
        let header = json!({ "alg": alg, "typ": "JWT", "kid": key }).to_string();
        let random = SystemRandom::new();
        seal(&header, &payload.to_string(), |signed| match key {
            "rsa" => {
                let mut made = vec![0; self.rsa.public().modulus_len()];
                let sha = &signature::RSA_PKCS1_SHA256;
                self.rsa.sign(sha, &random, signed, &mut made).expect("it signs");
                made
            }
            "ec" => self.ec.sign(&random, signed).expect("it signs").as_ref().to_vec(),
            "ed" => self.ed.sign(signed).as_ref().to_vec(),
            other => panic!("no key {other}"),
        })
    }
}

fn payload() -> Value {
    json!({ "sub": "ada", "iss": ISSUER, "aud": "millrace", "iat": now_s(), "exp": now_s() + 600 })
}

fn with(mut payload: Value, name: &str, value: Value) -> Value {
    payload[name] = value;
    payload
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::write(&path, text).expect("the target folder is writable");
    path
}

fn server(keys: &Keys, name: &str) -> Server {
    let path = file(&format!("jwks-{name}"), &keys.document().to_string());
    let path = path.to_str().expect("text");
    let settings = [
        ("MILLRACE_AUTH__ISSUER", ISSUER),
        ("MILLRACE_AUTH__AUDIENCE", "millrace, other"),
        ("MILLRACE_AUTH__ISSUER_KEYS_FILE", path),
        ("MILLRACE_AUTH__USER_PREFIX", "x-"),
        ("MILLRACE_AUTH__GROUP_PREFIX", "x-"),
        ("MILLRACE_AUTH__GROUPS_CLAIM", "groups"),
    ];
    Server::start_closed(&[]).restart(&settings)
}

const KEYS: [(&str, &str); 3] = [("RS256", "rsa"), ("ES256", "ec"), ("EdDSA", "ed")];

#[test]
fn a_token_of_the_issuer_is_taken_with_what_its_groups_were_granted() {
    let keys = Keys::new();
    let server = server(&keys, "groups");
    let mut admin = Person::admin(&server);
    for group in ["x-crew", "x-admin"] {
        let body = json!({ "groupname": group, "groups": [] }).to_string();
        assert_eq!(admin.post("/admin/groups", &body).status, 201);
    }
    admin.grant("iot", "x-crew", "get");
    admin.grant("open", "*", "get");
    for (alg, key) in KEYS {
        let token = keys.sign(alg, key, &with(payload(), "groups", json!(["crew", "g-admin", "nobody"])));
        let mut ada = Person::with_token(server.addr, &token);
        assert_eq!(ada.get("/sessions").text(), r#"{"username":"x-ada"}"#, "{alg}");
        assert_eq!(ada.get("/streams/iot/s").status, 200, "{alg}");
        assert_no_permission(&ada.post("/streams/iot/s", "1"));
        for target in ["/streams/public/s", "/streams/x-ada/s", "/users", "/buckets", "/streams/$sys/metrics"]
        {
            assert_no_permission(&ada.get(target));
        }
        let mut bare = Person::with_token(server.addr, &keys.sign(alg, key, &payload()));
        assert_eq!(bare.get("/streams/open/s").status, 200, "{alg}");
        assert_no_permission(&bare.get("/streams/iot/s"));
        assert_eq!(ada.get("/listen?timeout=0&strict=true&s=iot:s").status, 204);
    }
}

#[test]
fn what_the_issuer_did_not_sign_for_us_is_refused() {
    let (keys, others) = (Keys::new(), Keys::new());
    let server = server(&keys, "refused");
    for (alg, key) in KEYS {
        let sound = keys.sign(alg, key, &payload());
        assert_eq!(Person::with_token(server.addr, &sound).get("/sessions").status, 200, "{alg}");
        let now = now_s();
        for (payload, reason) in [
            (with(payload(), "exp", json!(now - 61)), "Token Expired"),
            (with(payload(), "iss", json!("https://other.example")), "Bad Token"),
            (with(payload(), "aud", json!("somebody")), "Bad Token Audience"),
            (with(payload(), "nbf", json!(now + 300)), "Token Not Yet Valid"),
            (with(payload(), "sub", json!("")), "Bad Token User"),
            (json!({ "u": "admin", "exp": now + 600 }), "Bad Token"),
            (json!({ "sub": "ada", "iss": ISSUER, "aud": "millrace" }), "Token Without Expiry"),
        ] {
            let token = keys.sign(alg, key, &payload);
            assert_401(&Person::with_token(server.addr, &token).get("/sessions"), "no-perm", reason);
        }
        for (_, within) in KEYS.into_iter().filter(|(_, other)| *other != key) {
            let confused = keys.sign(alg, within, &payload());
            let reply = Person::with_token(server.addr, &confused).get("/sessions");
            assert_401(&reply, "no-perm", "Bad Token Signature");
        }
        if key != "rsa" {
            let reply = Person::with_token(server.addr, &others.sign(alg, key, &payload())).get("/sessions");
            assert_401(&reply, "no-perm", "Bad Token Signature");
        }
    }
}

#[test]
fn a_public_key_is_no_secret_of_ours() {
    let keys = Keys::new();
    let server = server(&keys, "confusion");
    let document = keys.document().to_string();
    let pem_like = keys.rsa.public_key().as_ref();
    for (alg, hash) in [("HS256", ring::hmac::HMAC_SHA256), ("HS512", ring::hmac::HMAC_SHA512)] {
        for secret in
            [pem_like, document.as_bytes(), keys.ec.public_key().as_ref(), keys.ed.public_key().as_ref()]
        {
            for kid in ["rsa", "ec", "ed"] {
                let header = json!({ "alg": alg, "kid": kid });
                let payload = with(with(payload(), "sub", json!("admin")), "u", json!("admin"));
                let token = Secret::of(kid, secret).sign_with(hash, &header, &payload);
                let reply = Person::with_token(server.addr, &token).get("/users");
                let reason = if alg == "HS512" { "Bad Token Signature" } else { "Bad Token" };
                assert_401(&reply, "no-perm", reason);
            }
        }
    }
}

#[test]
fn the_issuer_makes_nobody_a_user_of_ours() {
    let keys = Keys::new();
    let path = file("jwks-unprefixed", &keys.document().to_string());
    let settings = [
        ("MILLRACE_AUTH__ISSUER", ISSUER),
        ("MILLRACE_AUTH__AUDIENCE", "millrace"),
        ("MILLRACE_AUTH__ISSUER_KEYS_FILE", path.to_str().expect("text")),
        ("MILLRACE_AUTH__USER_PREFIX", ""),
        ("MILLRACE_AUTH__GROUP_PREFIX", ""),
    ];
    let server = Server::start_closed(&[]).restart(&settings);
    Person::admin(&server).create("bob");
    // Without a prefix the names are the same, the accounts are not.
    for user in ["admin", "bob"] {
        let token = keys.sign("EdDSA", "ed", &with(payload(), "sub", json!(user)));
        assert_401(&Person::with_token(server.addr, &token).get("/sessions"), "no-perm", "Bad Token User");
    }
    for user in ["g-admin", "*", "g-authenticated", "anonymous"] {
        let token = keys.sign("EdDSA", "ed", &with(payload(), "sub", json!(user)));
        let mut person = Person::with_token(server.addr, &token);
        for target in ["/users", "/buckets", "/streams/public/s", "/streams/bob/s"] {
            assert_eq!(person.get(target).status, 401, "{user} {target}");
        }
    }
}

#[test]
fn a_token_of_an_iorio_server_is_taken_where_its_secret_is_configured() {
    let path = file("iorio-secret", "changeme\n");
    let iorio = Secret::of("", b"changeme");
    let header = json!({ "typ": "JWT", "alg": "HS512", "exp": now_s() + 600 });
    let token = iorio.sign(&header, &json!({ "u": "admin" }));
    let server = Server::start_closed(&[]);
    assert_401(&Person::with_token(server.addr, &token).get("/users"), "no-perm", "Bad Token Signature");
    let server = server.restart(&[("MILLRACE_AUTH__IORIO_SECRET_FILE", path.to_str().expect("text"))]);
    let mut admin = Person::with_token(server.addr, &token);
    assert_eq!(admin.get("/sessions").text(), r#"{"username":"admin"}"#);
    assert_eq!(admin.get("/users").status, 200);
    assert_eq!(server.connect().get(&format!("/listen?timeout=0&strict=true&s=a:b&jwt={token}")).status, 204);
    for (header, payload, reason) in [
        (json!({ "alg": "HS512", "exp": now_s() - 1 }), json!({ "u": "admin" }), "Token Expired"),
        (json!({ "alg": "HS512" }), json!({ "u": "admin" }), "Token Without Expiry"),
        (header.clone(), json!({ "u": "nobody" }), "Unknown User"),
        (header.clone(), json!({}), "Bad Token User"),
        (json!({ "alg": "none", "exp": now_s() + 600 }), json!({ "u": "admin" }), "Bad Token"),
    ] {
        let reply = Person::with_token(server.addr, &iorio.sign(&header, &payload)).get("/users");
        assert_401(&reply, "no-perm", reason);
    }
    let own = Person::admin(&server);
    assert_ne!(own.token, token);
    assert_eq!(
        Person::with_token(server.addr, &own.token).get("/users").status,
        200,
        "ours are issued as before"
    );
}
