//! `$sys/audit`: logins, changes and refusals are events, without a secret in any.
//!
//! Each test has a server of its own; what has to come is waited for.

use crate::server::Server;
use serde_json::Value;
use std::time::{Duration, Instant};

const SECRETS: [&str; 3] = ["\"secret\"", "guess-1", "bobs-password"];

/// The events, once there is one that `is_last`.
fn events(server: &Server, session: &str, is_last: impl Fn(&Value) -> bool) -> Vec<Value> {
    let begin = Instant::now();
    loop {
        let mut client = server.connect();
        let reply = client.request("GET", "/streams/$sys/audit?from=1&limit=5000", &[session], b"");
        assert_eq!(reply.status, 200, "{}", reply.text());
        let found: Vec<Value> =
            reply.json().as_array().expect("an array").iter().map(|item| item["data"].clone()).collect();
        if found.iter().any(&is_last) {
            let text = reply.text();
            assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "{text}");
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{found:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn logins_changes_and_refusals_are_told_with_who_and_from_where() {
    let server = Server::start_closed(&[]);
    let mut client = server.connect();
    client.post("/sessions", r#"{"username":"admin","password":"guess-1"}"#);
    let login = client.post("/sessions", r#"{"username":"admin","password":"secret"}"#).json();
    let session = format!("X-Session: {}", login["token"].as_str().expect("a token"));
    let json = "Content-Type: application/json";
    let bob = br#"{"username":"bob","password":"bobs-password"}"#;
    assert_eq!(client.request("POST", "/users", &[&session, json], bob).status, 201);
    let grant = br#"{"action":"grant","role":"bob","permission":"get"}"#;
    assert_eq!(client.request("POST", "/access/iot/a/*", &[&session, json], grant).status, 200);
    assert_eq!(client.get("/streams/iot/x?jwt=&limit=3").status, 401);
    let told = events(&server, &session, |event| event["what"] == "refused");
    let find = |what: &str| -> Vec<&Value> { told.iter().filter(|event| event["what"] == what).collect() };
    let logins = find("login");
    assert_eq!(
        (logins[0]["ok"].as_bool(), logins[0]["reason"].as_str()),
        (Some(false), Some("unauthorized"))
    );
    assert_eq!((logins[1]["ok"].as_bool(), logins[1]["username"].as_str()), (Some(true), Some("admin")));
    assert_eq!(logins[0]["address"], "127.0.0.1");
    let created = find("create-user")[0];
    assert_eq!((&created["by"], &created["username"]), (&"admin".into(), &"bob".into()));
    let granted = find("change-grants")[0];
    let told_of_grant = ["by", "role", "permission", "bucket", "stream"].map(|name| granted[name].as_str());
    assert_eq!(told_of_grant, ["admin", "bob", "get", "iot", "a/*"].map(Some));
    let refused = find("refused")[0];
    let told_of_refusal = ["user", "method", "path"].map(|name| refused[name].as_str());
    assert_eq!(told_of_refusal, ["anonymous", "GET", "/streams/iot/x"].map(Some));
}

#[test]
fn a_flood_of_refusals_is_told_as_a_number() {
    let server = Server::start_closed(&[("MILLRACE_SERVER__CORES", "1")]);
    let mut client = server.connect();
    for _ in 0..2000 {
        client.send(b"GET /streams/b/s HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for _ in 0..2000 {
        assert_eq!(client.reply().status, 401);
    }
    let login = client.post("/sessions", r#"{"username":"admin","password":"secret"}"#).json();
    let session = format!("X-Session: {}", login["token"].as_str().expect("a token"));
    let told = events(&server, &session, |event| event["what"] == "not-kept");
    let count: u64 = told.iter().filter_map(|event| event["count"].as_u64()).sum();
    assert!(count > 500, "{count} were not kept");
}

#[test]
fn who_is_no_administrator_does_not_read_the_audit() {
    let server = Server::start_closed(&[]);
    assert_eq!(server.connect().get("/streams/$sys/audit").status, 401);
}
