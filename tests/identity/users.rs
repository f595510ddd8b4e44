//! `/users`: who there is, new ones, passwords, and that nothing is left of who was deleted.

use crate::person::{Person, assert_401, assert_error, assert_no_permission, login, password_of};
use crate::server::Server;
use crate::sessions::TWO_CORES;
use serde_json::{Value, json};
use std::time::Duration;

fn names(admin: &mut Person) -> Vec<String> {
    let reply = admin.get("/users");
    assert_eq!((reply.status, reply.header("Content-Type")), (200, Some("application/json")));
    let users = reply.json();
    let name = |user: &Value| {
        assert_eq!(user.as_object().map(|user| user.len()), Some(1), "{user}");
        user["username"].as_str().expect("a name").to_owned()
    };
    users.as_array().expect("an array").iter().map(name).collect()
}

#[test]
fn users_are_listed_by_name() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    assert_eq!(names(&mut admin), ["admin", "anonymous"]);
    admin.create("zoe");
    admin.create("bob");
    assert_eq!(names(&mut admin), ["admin", "anonymous", "bob", "zoe"]);
    assert_eq!(admin.get("/users/").status, 200);
}

#[test]
fn lists_that_take_many_pieces_are_whole() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    // With admin and anonymous just two pieces of 64 roles and the two groups, then one role more and less.
    let users: Vec<String> = (0..125).map(|n| format!("user{n:03}")).collect();
    let mut expected = vec!["admin".to_owned(), "anonymous".to_owned()];
    let mut holders = Vec::new();
    for (n, user) in users.iter().enumerate() {
        let body = json!({ "username": user, "password": "p" }).to_string();
        assert_eq!(admin.post("/users", &body).status, 201);
        admin.grant("shared", user, "get");
        expected.push(user.clone());
        holders.push(json!({ "name": user, "grants": ["get"] }));
        if n % 64 > 58 || n == 124 {
            assert_eq!(names(&mut admin), expected);
            let access = admin.get("/access/shared").json();
            assert_eq!(access, json!({ "users": holders, "groups": [] }));
            let listed = admin.get("/admin/users").json();
            let listed: Vec<&String> = listed["users"].as_object().expect("an object").keys().collect();
            assert_eq!(listed, expected.iter().collect::<Vec<_>>());
        }
    }
    assert_eq!(admin.get("/access/nobody").json(), json!({ "users": [], "groups": [] }));
    assert_eq!(admin.delete("/users/user070").status, 204);
    admin.revoke("shared", "user071", "get");
    let access = admin.get("/access/shared").json();
    assert_eq!(access["users"].as_array().expect("an array").len(), 123);
}

#[test]
fn a_new_user_has_a_place_and_can_log_in_on_every_core() {
    let server = Server::start_closed(&TWO_CORES);
    let mut admin = Person::admin(&server);
    let reply = admin.post("/users", r#"{"username":"bob","password":"p"}"#);
    assert_eq!((reply.status, reply.text()), (201, r#"{"ok":true}"#));
    assert_eq!(reply.header("Location"), Some("/users/bob"));
    for mut person in Person::anonymous(server.addr).on_every_core(2) {
        let reply = person.post("/sessions", r#"{"username":"bob","password":"p"}"#);
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
    let reply = admin.post("/users", r#"{"username":"a/b@c.é","password":"p"}"#);
    assert_eq!(reply.status, 201, "{}", reply.text());
    let location = reply.header("Location").expect("a place").to_owned();
    assert_eq!(admin.get(&location).json()["username"], "a/b@c.é", "{location}");
}

#[test]
fn a_new_user_is_among_those_who_can_log_in_and_owns_a_bucket() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    let shown = admin.get("/admin/users/bob").json();
    assert_eq!(shown["user"]["groups"], json!(["g-authenticated"]));
    let owner = json!([{ "name": "bob", "grants": ["get", "put", "delete", "list", "grant"] }]);
    assert_eq!(bob.get("/access/bob").json()["users"], owner);
    assert_eq!(bob.post("/streams/bob/s", "1").status, 201);
    assert_eq!(bob.get("/streams/bob/s").ids(), [1]);
    assert_eq!(bob.get("/streams/bob").json()["data"], json!(["s"]));
    assert_eq!(bob.delete("/streams/bob/s").status, 204);
    assert_no_permission(&bob.get("/users"));
    assert_no_permission(&bob.get("/buckets"));
    admin.post("/streams/public/news", "1");
    assert_eq!(bob.get("/streams/public/news").ids(), [1], "whoever has logged in reads what is public");
    assert_no_permission(&bob.post("/streams/public/news", "1"));
}

#[test]
fn the_bucket_of_a_user_has_the_prefix_that_is_configured() {
    let settings = [("MILLRACE_AUTH__USER_BUCKET_PREFIX", "_user_")];
    let server = Server::start_closed(&settings).restart(&settings);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    assert_eq!(bob.post("/streams/_user_bob/s", "1").status, 201);
    assert_no_permission(&bob.post("/streams/bob/s", "1"));
}

#[test]
fn a_user_is_not_made_the_owner_of_what_belongs_to_all() {
    let server = Server::start_closed(&[]);
    let mut public = Person::admin(&server).create("public");
    assert_eq!(public.get("/streams/public/s").status, 200);
    assert_no_permission(&public.post("/streams/public/s", "1"));
}

#[test]
fn whatever_is_wrong_with_a_new_user_has_its_own_words() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    admin.create("bob");
    for (body, kind, reason) in [
        (r#"{"username":"bob","password":"x"}"#, "user-exists", "User already exists"),
        (r#"{"username":"admin","password":"x"}"#, "user-exists", "User already exists"),
        (r#"{"username":"anonymous","password":"x"}"#, "user-exists", "User already exists"),
        (r#"{"username":"g-admin","password":"x"}"#, "user-exists", "User already exists"),
        (r#"{"username":"","password":"x"}"#, "illegal-username", "Illegal Username"),
        (r#"{"password":"x"}"#, "no-user", "No username field"),
        (r#"{"username":"eve"}"#, "no-pass", "No password field"),
        ("{}", "no-user-and-pass", "No username and password fields"),
        (r#"{"user":"eve","pass":"x"}"#, "no-user-and-pass", "No username and password fields"),
        ("", "invalid-body", "Invalid Request Body"),
        ("{", "invalid-body", "Invalid Request Body"),
        ("[]", "invalid-body", "Invalid Request Body"),
    ] {
        assert_error(&admin.post("/users", body), 400, kind, reason);
    }
    assert_eq!(admin.request("POST", "/users", &["Content-Type: text/plain"], b"{}").status, 415);
    for password in [String::new(), "x".repeat(5000)] {
        let body = json!({ "username": "eve", "password": password }).to_string();
        assert_error(&admin.post("/users", &body), 400, "invalid-field", "Invalid Field");
    }
    assert_eq!(names(&mut admin), ["admin", "anonymous", "bob"], "nobody came of it");
}

#[test]
fn names_with_illegal_characters_and_reserved_ones_are_refused() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut create = |name: &str| {
        let reply = admin.post("/users", &json!({ "username": name, "password": "x" }).to_string());
        (reply.status, reply.json()["type"].as_str().unwrap_or_default().to_owned())
    };
    let illegal = (400, "illegal-username".to_owned());
    for point in (0..=44).chain(58..=63).chain(127..=191) {
        let name = format!("a{}b", char::from_u32(point).expect("a character"));
        assert_eq!(create(&name), illegal, "code point {point}");
    }
    for name in ["all", "on", "to", "from", "any", "$x", "$", "$meta", "*", &"x".repeat(256)] {
        assert_eq!(create(name), illegal, "{name}");
    }
    for (index, point) in [45, 46, 47, 57, 64, 91, 96, 123, 126, 192, 0x20ac, 0x1f600].into_iter().enumerate()
    {
        let name = format!("a{index}{}", char::from_u32(point).expect("a character"));
        assert_eq!(create(&name).0, 201, "code point {point}");
    }
    for name in ["All", "ally", "ANY", "0", &"x".repeat(255)] {
        assert_eq!(create(name).0, 201, "{name}");
    }
}

#[test]
fn only_who_may_administer_sees_and_makes_users() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    admin.create("eve");
    for person in [&mut bob, &mut Person::anonymous(server.addr)] {
        assert_no_permission(&person.get("/users"));
        assert_no_permission(&person.get("/users/eve"));
        assert_no_permission(&person.get("/users/nobody"));
        assert_no_permission(&person.post("/users", r#"{"username":"x","password":"x"}"#));
        assert_no_permission(&person.post("/users", "{"));
        assert_no_permission(&person.delete("/users/eve"));
        assert_no_permission(&person.delete("/users/nobody"));
        assert_no_permission(&person.put("/users", r#"{"username":"eve","password":"x"}"#));
        assert_no_permission(&person.put("/users", r#"{"username":"nobody","password":"x"}"#));
        assert_no_permission(&person.put("/users/eve", r#"{"password":"x"}"#));
    }
    admin.grant("any", "bob", "adminusers");
    assert_eq!(bob.get("/users").status, 200);
    assert_eq!(bob.post("/users", r#"{"username":"x","password":"x"}"#).status, 201);
    admin.revoke("any", "bob", "adminusers");
    assert_no_permission(&bob.get("/users"));
    admin.grant("bob", "bob", "adminusers");
    assert_no_permission(&bob.get("/users"));
}

#[test]
fn a_password_is_changed_by_oneself_or_an_administrator() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    let mut client = server.connect();
    let mut works = |password: &str| login(&mut client, "bob", password).status == 201;
    let reply = bob.put("/users", r#"{"username":"bob","password":"second"}"#);
    assert_eq!((reply.status, reply.text()), (200, r#"{"ok":true}"#));
    assert!(works("second") && !works(&password_of("bob")));
    assert_eq!(admin.put("/users", r#"{"username":"bob","password":"third"}"#).status, 200);
    assert!(works("third") && !works("second"));
    assert_eq!(bob.put("/users/bob", r#"{"password":"fourth"}"#).status, 200);
    assert!(works("fourth") && !works("third"));
    for (body, kind) in [
        (r#"{"username":"bob"}"#, "no-pass"),
        (r#"{"password":"x"}"#, "no-user"),
        ("{}", "no-user-and-pass"),
        ("{", "invalid-body"),
    ] {
        let reply = bob.put("/users", body);
        assert_eq!((reply.status, &reply.json()["type"]), (400, &json!(kind)), "{body}");
    }
    let unknown = admin.put("/users", r#"{"username":"nobody","password":"x"}"#);
    assert_error(&unknown, 404, "unknown-user", "Unknown User");
    let of_nobody = admin.put("/users", r#"{"username":"g-admin","password":"x"}"#);
    assert_error(&of_nobody, 404, "unknown-user", "Unknown User");
    assert_eq!(bob.get("/sessions").status, 200, "sessions that have begun go on");
}

#[test]
fn who_is_deleted_is_gone_on_every_core_with_all_that_was_theirs() {
    let server = Server::start_closed(&TWO_CORES);
    let mut admin = Person::admin(&server);
    let bob = admin.create("bob");
    admin.grant("iot", "bob", "get");
    let mut cores = bob.on_every_core(2);
    cores.iter_mut().for_each(|bob| assert_eq!(bob.get("/streams/iot/s").status, 200));
    let reply = admin.delete("/users/bob");
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    for bob in &mut cores {
        assert_401(&bob.get("/streams/iot/s"), "no-perm", "Unknown User");
        assert_401(&bob.get("/sessions"), "no-perm", "Unknown User");
        let again = bob.put("/users", r#"{"username":"bob","password":"x"}"#);
        assert_401(&again, "no-perm", "Unknown User");
    }
    assert_eq!(names(&mut admin), ["admin", "anonymous"]);
    assert_eq!(admin.get("/access/iot").json()["users"], json!([]));
    let reply = login(&mut server.connect(), "bob", &password_of("bob"));
    assert_401(&reply, "unauthorized", "Unauthorized");
    assert_eq!(admin.delete("/users/bob").status, 404, "there is no such user");
    assert_eq!(admin.delete("/users/g-admin").status, 404, "that is no user");
    assert_eq!(admin.delete("/users/anonymous").status, 409, "the server needs it");
    assert_eq!(admin.delete("/users/admin").status, 409, "somebody has to administer");
    assert_eq!(admin.get("/users").status, 200);
}

#[test]
fn a_token_of_who_was_deleted_does_not_come_back_with_a_new_user_of_the_name() {
    let server = Server::start_closed(&TWO_CORES);
    let mut admin = Person::admin(&server);
    for round in 0..4 {
        // Within one second, and over the end of one.
        std::thread::sleep(Duration::from_millis(round * 170));
        let old = admin.create("bob").token;
        assert_eq!(admin.delete("/users/bob").status, 204);
        let new = admin.create("bob");
        for mut bob in Person::with_token(server.addr, &old).on_every_core(2) {
            assert_401(&bob.get("/streams/bob/s"), "no-perm", "Token Revoked");
        }
        for mut bob in new.on_every_core(2) {
            assert_eq!(bob.get("/streams/bob/s").status, 200, "the new one's session is good");
        }
        assert_eq!(admin.delete("/users/bob").status, 204);
    }
    let old = admin.create("bob").token;
    admin.grant("iot", "bob", "get");
    assert_eq!(admin.delete("/users/bob").status, 204);
    let server = server.restart(&TWO_CORES);
    let mut admin = Person::with_token(server.addr, &admin.token);
    assert_401(&Person::with_token(server.addr, &old).get("/sessions"), "no-perm", "Unknown User");
    let mut new = admin.create("bob");
    assert_401(&Person::with_token(server.addr, &old).get("/sessions"), "no-perm", "Token Revoked");
    assert_no_permission(&new.get("/streams/iot/s"));
}
