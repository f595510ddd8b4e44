//! `/sessions`: log in, ask who one is, log out; where a token may stand; how long it lasts.

use crate::person::{Person, assert_401, assert_error, login};
use crate::server::Server;
use crate::wire::Client;
use serde_json::json;
use std::time::Duration;

/// Two cores, whatever the machine has.
pub(crate) const TWO_CORES: [(&str, &str); 1] = [("MILLRACE_SERVER__CORES", "2")];

#[test]
fn a_login_answers_201_with_a_token_and_whose_it_is() {
    let server = Server::start_closed(&[]);
    let mut client = server.connect();
    let reply = login(&mut client, "admin", "secret");
    assert_eq!(reply.status, 201);
    assert_eq!(reply.header("Location"), Some("/session"));
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
    assert_eq!(reply.header("Cache-Control"), Some("no-store"), "a token is kept by no cache");
    let body = reply.json();
    let members: Vec<&str> = body.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, ["ok", "token", "username"]);
    assert_eq!((&body["ok"], &body["username"]), (&json!(true), &json!("admin")));
    let token = body["token"].as_str().expect("a token");
    assert_eq!(token.split('.').count(), 3, "{token}");
    assert!(!token.contains('='), "base64url without padding: {token}");
    // The slash at the end never matters, nor does a parameter of the type.
    let lines = ["Content-Type: application/json; charset=utf-8"];
    let body = br#"{"username":"admin","password":"secret"}"#;
    assert_eq!(client.request("POST", "/sessions/", &lines, body).status, 201);
}

#[test]
fn a_login_that_is_wrong_in_any_way_is_unauthorized() {
    let server = Server::start_closed(&[("MILLRACE_LIMITS__FAILED_LOGINS_MAX", "1000")]);
    let mut client = server.connect();
    for body in [
        r#"{"username":"admin","password":"wrong"}"#,
        r#"{"username":"admin","password":""}"#,
        r#"{"username":"admin","password":"secret "}"#,
        r#"{"username":"Admin","password":"secret"}"#,
        r#"{"username":"nobody","password":"secret"}"#,
        r#"{"username":"anonymous","password":"secret"}"#,
        r#"{"username":"anonymous","password":""}"#,
        r#"{"username":"g-admin","password":"secret"}"#,
        r#"{"username":"*","password":"secret"}"#,
        r#"{"username":"","password":""}"#,
        r#"{"username":"admin"}"#,
        r#"{"password":"secret"}"#,
        r#"{"username":1,"password":"secret"}"#,
        r#"{"username":"admin","password":null}"#,
        "{}",
    ] {
        let reply = client.post("/sessions", body);
        assert_401(&reply, "unauthorized", "Unauthorized");
    }
    let long = json!({ "username": "admin", "password": "x".repeat(5000) }).to_string();
    assert_401(&client.post("/sessions", &long), "unauthorized", "Unauthorized");
}

#[test]
fn a_login_that_is_no_json_object_is_an_invalid_body() {
    let server = Server::start_closed(&[]);
    let mut client = server.connect();
    for body in
        ["", "{", "[]", "1", "null", "username=admin", r#"{"username":"admin","password":"secret"} x"#]
    {
        let reply = client.post("/sessions", body);
        assert_error(&reply, 400, "invalid-body", "Invalid Request Body");
    }
    let large = json!({ "username": "admin", "password": "x".repeat(70_000) }).to_string();
    assert_error(&client.post("/sessions", &large), 413, "too-large", "Request Body Too Large");
}

#[test]
fn a_login_of_another_content_type_is_not_taken() {
    let server = Server::start_closed(&[]);
    let mut client = server.connect();
    let body = br#"{"username":"admin","password":"secret"}"#;
    for lines in
        [&["Content-Type: text/plain"][..], &["Content-Type: application/x-www-form-urlencoded"], &[]]
    {
        assert_eq!(client.request("POST", "/sessions", lines, body).status, 415, "{lines:?}");
    }
}

#[test]
fn a_login_pays_no_heed_to_a_token_that_is_over() {
    let server = Server::start_closed(&[]);
    let mut person = Person::with_token(server.addr, "not.a.token");
    let reply = person.post("/sessions", r#"{"username":"admin","password":"secret"}"#);
    assert_eq!(reply.status, 201, "{}", reply.text());
}

#[test]
fn who_one_is_is_told_with_and_without_a_token() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let reply = admin.get("/sessions");
    assert_eq!((reply.status, reply.text()), (200, r#"{"username":"admin"}"#));
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
    let mut bob = admin.create("bob");
    assert_eq!(bob.get("/sessions/").text(), r#"{"username":"bob"}"#);
    let reply = Person::anonymous(server.addr).get("/sessions");
    assert_eq!((reply.status, reply.text()), (200, r#"{"username":"anonymous"}"#));
    assert_eq!(admin.request("HEAD", "/sessions", &[], b"").status, 200);
}

#[test]
fn a_token_may_stand_in_three_places_and_the_first_one_counts() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let bob = admin.create("bob");
    let mut client = server.connect();
    let (token, other) = (&admin.token, &bob.token);
    let mut who = |target: &str, lines: &[&str]| {
        let reply = client.request("GET", target, lines, b"");
        if reply.status == 200 {
            reply.json()["username"].as_str().expect("a name").to_owned()
        } else {
            reply.status.to_string()
        }
    };
    assert_eq!(who("/sessions", &[&format!("X-Session: {token}")]), "admin");
    assert_eq!(who("/sessions", &[&format!("x-session: {token}")]), "admin");
    assert_eq!(who("/sessions", &[&format!("Authorization: Bearer {token}")]), "admin");
    assert_eq!(who("/sessions", &[&format!("authorization: bearer {token}")]), "admin");
    assert_eq!(who(&format!("/sessions?jwt={token}"), &[]), "admin");
    assert_eq!(who(&format!("/sessions?a=1&%6Awt={token}"), &[]), "admin", "an escaped name");
    assert_eq!(who("/sessions", &[]), "anonymous");
    assert_eq!(who("/sessions?jwt=", &["X-Session: "]), "anonymous", "nothing is no token");
    assert_eq!(who("/sessions", &["Authorization: Basic YTpi"]), "anonymous", "that is for somebody else");
    let both = [&format!("Authorization: Bearer {other}")[..], &format!("X-Session: {token}")];
    assert_eq!(who(&format!("/sessions?jwt={other}"), &both), "admin");
    assert_eq!(who(&format!("/sessions?jwt={token}"), &both[..1]), "bob");
    assert_eq!(
        who(&format!("/sessions?jwt={token}"), &["X-Session: bad"]),
        "401",
        "a bad one is not passed over"
    );
}

#[test]
fn a_session_that_is_ended_is_over_at_once_on_every_core() {
    let server = Server::start_closed(&TWO_CORES);
    let mut admin = Person::admin(&server);
    admin.create("bob");
    for round in 0..20 {
        let bob = Person::log_in(server.addr, "bob", "pass-bob");
        let other = Person::log_in(server.addr, "bob", "pass-bob");
        assert_ne!(bob.token, other.token, "each login begins a session");
        let mut cores = bob.on_every_core(2);
        cores.iter_mut().for_each(|bob| assert_eq!(bob.get("/sessions").status, 200));
        let ended = cores[round % 2].delete("/sessions");
        assert_eq!((ended.status, ended.body.len()), (204, 0));
        for bob in &mut cores {
            assert_401(&bob.get("/sessions"), "no-perm", "Token Revoked");
            assert_401(&bob.get("/streams/bob/s"), "no-perm", "Token Revoked");
            assert_401(&bob.delete("/sessions"), "no-perm", "Token Revoked");
        }
        assert_401(&Person::with_token(server.addr, &bob.token).get("/sessions"), "no-perm", "Token Revoked");
        assert_eq!(
            Person::with_token(server.addr, &other.token).get("/sessions").status,
            200,
            "only that one"
        );
    }
}

#[test]
fn a_session_that_was_ended_stays_so_and_the_others_go_on_after_a_restart() {
    let server = Server::start_closed(&TWO_CORES);
    let mut admin = Person::admin(&server);
    let bob = admin.create("bob");
    let ended = Person::log_in(server.addr, "bob", "pass-bob").token;
    assert_eq!(Person::with_token(server.addr, &ended).delete("/sessions").status, 204);
    let server = server.restart(&TWO_CORES);
    for mut person in Person::with_token(server.addr, &ended).on_every_core(2) {
        // The token itself is not asked for a ping.
        assert_401(&person.get("/sessions"), "no-perm", "Token Revoked");
    }
    for mut person in Person::with_token(server.addr, &bob.token).on_every_core(2) {
        assert_eq!(person.get("/sessions").text(), r#"{"username":"bob"}"#);
    }
}

#[test]
fn who_ends_a_session_when_no_more_can_be_ended_singly_ends_them_all() {
    let server = Server::start_closed(&[("MILLRACE_LIMITS__REVOKED_SESSIONS_MAX", "1")]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    let mut sessions = [0; 3].map(|_| Person::log_in(server.addr, "bob", "pass-bob"));
    assert_eq!(bob.delete("/sessions").status, 204);
    sessions.iter_mut().for_each(|bob| assert_eq!(bob.get("/sessions").status, 200));
    assert_eq!(sessions[0].delete("/sessions").status, 204);
    for bob in &mut sessions {
        assert_401(&bob.get("/sessions"), "no-perm", "Token Revoked");
    }
    assert_eq!(admin.get("/sessions").status, 200, "nobody else's");
    assert_eq!(Person::log_in(server.addr, "bob", "pass-bob").get("/sessions").status, 200);
}

#[test]
fn nobody_can_end_a_session_that_they_do_not_have() {
    let server = Server::start_closed(&[]);
    assert_401(&Person::anonymous(server.addr).delete("/sessions"), "no-perm", "No Permission");
}

#[test]
fn a_session_is_over_when_its_time_is() {
    let server = Server::start_closed(&[("MILLRACE_AUTH__SESSION_MS", "2s")]);
    let mut admin = Person::admin(&server);
    assert_eq!(admin.get("/users").status, 200);
    std::thread::sleep(Duration::from_millis(2100));
    assert_401(&admin.get("/users"), "no-perm", "Token Expired");
    assert_401(&admin.get("/sessions"), "no-perm", "Token Expired");
    let mut client = Client::connect(server.addr);
    let target = format!("/buckets?jwt={}", admin.token);
    assert_401(&client.get(&target), "no-perm", "Token Expired");
}
