//! Every token that is not to be taken, by every way in: what is said, and that nothing happens.
//!
//! The tokens are made from the server's own secret, so that each is wrong in one way alone; a sound one made
//! the same way is taken, which shows that it is that one way.

use crate::heard::EventStream;
use crate::life::{Home, Life};
use crate::person::{Person, assert_401};
use crate::tokens::{Secret, encode, now_s, seal};
use crate::wire::{Client, Reply};
use ring::hmac;
use serde_json::{Value, json};

const SETTINGS: [(&str, &str); 1] = [("MILLRACE_ADMIN_PASSWORD", "secret")];
const UPGRADE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
];

struct Forge {
    secret: Secret,
    sid: u64,
}

impl Forge {
    fn header(&self) -> Value {
        json!({ "alg": "HS512", "typ": "JWT", "kid": self.secret.kid })
    }

    fn payload(&mut self) -> Value {
        self.sid += 1;
        json!({ "u": "admin", "iat": now_s(), "exp": now_s() + 600, "sid": format!("{:032x}", self.sid) })
    }

    /// A sound token with members of the header changed.
    fn with_header(&mut self, changes: Value) -> String {
        let payload = self.payload();
        self.secret.sign(&changed(self.header(), changes), &payload)
    }

    /// A sound token with members of the payload changed.
    fn with_payload(&mut self, changes: Value) -> String {
        let payload = changed(self.payload(), changes);
        self.secret.sign(&self.header(), &payload)
    }
}

/// Members replaced; null takes one away.
fn changed(mut object: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(object.as_object_mut().expect("an object").remove(name)),
            value => object[name] = value.clone(),
        }
    }
    object
}

/// Every way in: a read, a write, a long-poll, an event stream and an upgrade, and every place of a token.
fn by_every_way(life: &Life, token: &str) -> Vec<(&'static str, Reply)> {
    let session = format!("X-Session: {token}");
    let bearer = format!("Authorization: Bearer {token}");
    let stream = "Accept: text/event-stream";
    let mut client = Client::connect(life.addr);
    let write = ["Content-Type: application/json", bearer.as_str()];
    let mut replies = vec![
        ("GET", client.request("GET", "/streams/b/s", &[&session], b"")),
        ("POST", client.request("POST", "/streams/b/s", &write, b"1")),
        ("DELETE", client.request("DELETE", "/streams/b/s", &[&session], b"")),
        ("who", client.get(&format!("/sessions?jwt={token}"))),
        ("users", client.request("GET", "/users", &[&session], b"")),
        ("admin", client.request("GET", "/admin/users", &[&session], b"")),
        ("end", client.request("DELETE", "/sessions", &[&session], b"")),
        ("ticket", client.request("POST", "/tickets", &[&bearer], b"")),
        ("long-poll", client.get(&format!("/listen?timeout=0&s=b:s&jwt={token}"))),
    ];
    let target = format!("/listen?s=b:s&jwt={token}");
    replies.push(("SSE", client.request("GET", &target, &[stream], b"")));
    replies.push(("SSE by header", client.request("GET", "/listen?s=b:s", &[stream, &session], b"")));
    replies.push(("upgrade", Client::connect(life.addr).request("GET", &target, &UPGRADE, b"")));
    let lines = [UPGRADE[0], UPGRADE[1], UPGRADE[2], UPGRADE[3], &session];
    replies.push(("upgrade by header", Client::connect(life.addr).request("GET", "/listen", &lines, b"")));
    replies
}

fn bad_tokens(forge: &mut Forge) -> Vec<(&'static str, String, &'static str)> {
    let (header, payload) = (forge.header(), forge.payload());
    let unsigned = |alg: &str| {
        seal(&changed(forge.header(), json!({ "alg": alg })).to_string(), &payload.to_string(), |_| {
            Vec::new()
        })
    };
    let mut bad: Vec<(&'static str, String, &'static str)> = ["none", "None", "NONE", "nOnE", ""]
        .map(|alg| ("without a signature", unsigned(alg), "Bad Token"))
        .into();
    for alg in ["none", "None", "NONE", "hs512", "HS256", "HS384", "RS256", "ES256", "EdDSA", ""] {
        bad.push(("another algorithm is said", forge.with_header(json!({ "alg": alg })), "Bad Token"));
    }
    for (alg, hash) in [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384)] {
        let swapped = changed(forge.header(), json!({ "alg": alg }));
        bad.push((
            "another algorithm of ours",
            forge.secret.sign_with(hash, &swapped, &payload),
            "Bad Token",
        ));
        bad.push(("another hash", forge.secret.sign_with(hash, &header, &payload), "Bad Token Signature"));
    }
    let (now, sign) = (now_s(), hmac::HMAC_SHA512);
    bad.extend([
        ("no algorithm", forge.with_header(json!({ "alg": null })), "Bad Token"),
        ("a critical extension", forge.with_header(json!({ "crit": ["x"], "x": 1 })), "Bad Token"),
        ("an unknown key id", forge.with_header(json!({ "kid": "other" })), "Bad Token Signature"),
        ("expired", forge.with_payload(json!({ "exp": now - 1 })), "Token Expired"),
        ("expires now", forge.with_payload(json!({ "exp": now })), "Token Expired"),
        ("long expired", forge.with_payload(json!({ "exp": 1 })), "Token Expired"),
        ("expired by its header", forge.with_header(json!({ "exp": now - 1 })), "Token Expired"),
        ("without an expiry", forge.with_payload(json!({ "exp": null })), "Token Without Expiry"),
        ("an expiry as text", forge.with_payload(json!({ "exp": "9999999999" })), "Bad Token"),
        ("not valid yet", forge.with_payload(json!({ "nbf": now + 300 })), "Token Not Yet Valid"),
        ("without a user", forge.with_payload(json!({ "u": null })), "Bad Token User"),
        ("a user that is a number", forge.with_payload(json!({ "u": 1 })), "Bad Token User"),
        ("an empty user", forge.with_payload(json!({ "u": "" })), "Bad Token User"),
        ("a user nobody knows", forge.with_payload(json!({ "u": "nobody" })), "Unknown User"),
        ("a group", forge.with_payload(json!({ "u": "g-admin" })), "Unknown User"),
        ("everybody", forge.with_payload(json!({ "u": "*" })), "Unknown User"),
        ("a session that is none", forge.with_payload(json!({ "sid": "x" })), "Bad Token"),
        (
            "another secret",
            Secret::of(&forge.secret.kid, &[7; 64]).sign(&header, &payload),
            "Bad Token Signature",
        ),
        (
            "an empty secret",
            Secret::of(&forge.secret.kid, b"").sign(&header, &payload),
            "Bad Token Signature",
        ),
        ("a header that is no JSON", forge.secret.sign_text(sign, "x", &payload.to_string()), "Bad Token"),
        ("a payload that is no JSON", forge.secret.sign_text(sign, &header.to_string(), "x"), "Bad Token"),
        ("a payload that is a list", forge.secret.sign_text(sign, &header.to_string(), "[]"), "Bad Token"),
    ]);
    let sound = forge.secret.sign(&header, &payload);
    let parts: Vec<&str> = sound.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let other = encode(changed(payload.clone(), json!({ "u": "root" })).to_string().as_bytes());
    bad.extend([
        ("cut by one", sound[..sound.len() - 1].to_owned(), "Bad Token"),
        ("cut by two", sound[..sound.len() - 2].to_owned(), "Bad Token Signature"),
        ("cut in half", sound[..sound.len() / 2].to_owned(), "Bad Token"),
        ("one part", head.to_owned(), "Bad Token"),
        ("two parts", format!("{head}.{body}"), "Bad Token"),
        ("four parts", format!("{sound}.{signature}"), "Bad Token"),
        ("an empty signature", format!("{head}.{body}."), "Bad Token Signature"),
        ("an empty payload", format!("{head}..{signature}"), "Bad Token Signature"),
        ("an empty header", format!(".{body}.{signature}"), "Bad Token"),
        ("another payload", format!("{head}.{other}.{signature}"), "Bad Token Signature"),
        ("padding", format!("{sound}=="), "Bad Token"),
        ("garbage", "garbage".to_owned(), "Bad Token"),
        ("garbage in three parts", "a.b.c".to_owned(), "Bad Token"),
        ("dots", "..".to_owned(), "Bad Token"),
        ("a long one", forge.with_payload(json!({ "x": "y".repeat(4000) })), "Token Too Long"),
    ]);
    bad
}

fn forge(home: &Home) -> Forge {
    Forge { secret: Secret::read(&home.file("secret")), sid: 0 }
}

#[test]
fn a_token_that_is_made_as_it_should_be_is_taken_by_every_way() {
    let home = Home::new();
    let life = home.start(&["--http", "127.0.0.1:0"], &SETTINGS);
    let mut forge = forge(&home);
    let token = forge.with_payload(json!({}));
    let mut person = Person::with_token(life.addr, &token);
    assert_eq!(person.get("/users").status, 200);
    assert_eq!(person.post("/streams/b/s", "1").status, 201);
    assert_eq!(person.get("/listen?timeout=0&s=b:s").status, 204);
    let stream = EventStream::open_with(life.addr, "s=b:s", &format!("X-Session: {token}\r\n"));
    assert_eq!(stream.head.status(), 200);
    let target = format!("/listen?s=b:s&jwt={token}");
    assert_eq!(Client::connect(life.addr).request("GET", &target, &UPGRADE, b"").status, 101);
    // The order of members and what it does not know do not matter.
    let token = forge.with_payload(json!({ "zzz": [1, { "u": "x" }], "aaa": "admin" }));
    assert_eq!(Person::with_token(life.addr, &token).get("/users").status, 200);
    let without_key_id = forge.with_header(json!({ "kid": null }));
    assert_eq!(Person::with_token(life.addr, &without_key_id).get("/users").status, 200);
}

#[test]
fn a_bad_token_is_refused_by_every_way_and_says_why() {
    let home = Home::new();
    let life = home.start(&["--http", "127.0.0.1:0"], &SETTINGS);
    let mut forge = forge(&home);
    let mut admin = Person::log_in(life.addr, "admin", "secret");
    admin.grant("b", "*", "get");
    admin.grant("b", "*", "put");
    admin.grant("b", "*", "delete");
    let mut bad = bad_tokens(&mut forge);
    let ended = Person::log_in(life.addr, "admin", "secret").token;
    assert_eq!(Person::with_token(life.addr, &ended).delete("/sessions").status, 204);
    bad.push(("revoked", ended, "Token Revoked"));
    let deleted = admin.create("gone").token;
    assert_eq!(admin.delete("/users/gone").status, 204);
    bad.push(("of who was deleted", deleted, "Unknown User"));
    assert!(bad.len() > 55, "{}", bad.len());
    for (what, token, reason) in &bad {
        // Twice: what was looked at once is not remembered as good.
        for _ in 0..2 {
            for (way, reply) in by_every_way(&life, token) {
                assert_eq!(reply.status, 401, "{what} by {way}: {}", reply.text());
                assert_eq!(reply.json()["reason"], *reason, "{what} by {way}");
                assert_401(&reply, "no-perm", reason);
            }
        }
    }
    assert_eq!(
        admin.get("/streams/b/s").text(),
        "[]",
        "everybody may write there, but nobody lied their way in"
    );
}

#[test]
fn a_token_with_any_character_changed_is_refused() {
    let home = Home::new();
    let life = home.start(&["--http", "127.0.0.1:0"], &SETTINGS);
    let token = forge(&home).with_payload(json!({}));
    let mut person = Person::with_token(life.addr, &token);
    assert_eq!(person.get("/users").status, 200, "it is remembered");
    for index in 0..token.len() {
        let mut flipped = token.clone().into_bytes();
        // Another character of the alphabet; the last one has bits that say nothing and must be zero.
        flipped[index] = if flipped[index] == b'A' { b'B' } else { b'A' };
        person.token = String::from_utf8(flipped).expect("letters");
        let reply = person.get("/users");
        assert_eq!(reply.status, 401, "{index}");
        let reason = reply.json()["reason"].as_str().expect("a reason").to_owned();
        assert!(["Bad Token", "Bad Token Signature"].contains(&reason.as_str()), "{index}: {reason}");
    }
    let last = token.len() - 1;
    for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
        person.token = format!("{}{other}", &token[..last]);
        assert_eq!(person.get("/users").status == 200, person.token == token, "{other}");
    }
}

#[test]
fn a_token_over_the_limit_of_headers_is_not_even_looked_at() {
    let home = Home::new();
    let life = home.start(&["--http", "127.0.0.1:0"], &SETTINGS);
    let huge = "a".repeat(20_000);
    for line in [format!("X-Session: {huge}"), format!("Authorization: Bearer {huge}")] {
        let reply = Client::connect(life.addr).request("GET", "/streams/b/s", &[&line], b"");
        assert_eq!(reply.status, 431, "{}", reply.text());
        let lines = [UPGRADE[0], UPGRADE[1], UPGRADE[2], UPGRADE[3], &line];
        assert_eq!(Client::connect(life.addr).request("GET", "/listen", &lines, b"").status, 431);
    }
    let reply = Client::connect(life.addr).get(&format!("/listen?jwt={}", "a".repeat(10_000)));
    assert_eq!(reply.status, 414, "{}", reply.text());
    let long = format!("{}.b.c", "a".repeat(10_000));
    let reply = Person::with_token(life.addr, &long).get("/streams/b/s");
    assert_401(&reply, "no-perm", "Token Too Long");
}

#[test]
fn a_secret_that_is_exchanged_ends_all_sessions() {
    let home = Home::new();
    let arguments = ["--http", "127.0.0.1:0"];
    let life = home.start(&arguments, &SETTINGS);
    let token = Person::log_in(life.addr, "admin", "secret").token;
    life.stop();
    let life = home.start(&arguments, &SETTINGS);
    assert_eq!(Person::with_token(life.addr, &token).get("/users").status, 200);
    life.stop();
    std::fs::remove_file(home.file("secret")).expect("it is there");
    let life = home.start(&arguments, &SETTINGS);
    let reply = Person::with_token(life.addr, &token).get("/users");
    assert_401(&reply, "no-perm", "Bad Token Signature");
    assert_eq!(Person::log_in(life.addr, "admin", "secret").get("/users").status, 200);
}
