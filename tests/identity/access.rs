//! `/access`: what was granted where, to whom, and how it is changed.

use crate::person::{Person, assert_error, assert_no_permission};
use crate::server::Server;
use crate::sessions::TWO_CORES;
use serde_json::{Value, json};

fn show(person: &mut Person, path: &str) -> Value {
    let reply = person.get(&format!("/access/{path}"));
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.json()
}

#[test]
fn grants_are_shown_as_iorio_shows_them() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    admin.create("bob");
    admin.post("/admin/groups", r#"{"groupname":"crew","groups":[]}"#);
    let reply = admin.get("/access/iot");
    assert_eq!((reply.status, reply.text()), (200, r#"{"groups":[],"users":[]}"#));
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
    for permission in ["list", "get", "put"] {
        admin.grant("iot", "bob", permission);
    }
    admin.grant("iot", "crew", "get");
    admin.grant("iot", "*", "get");
    assert_eq!(
        show(&mut admin, "iot"),
        json!({
            "users": [{ "name": "bob", "grants": ["get", "put", "list"] }],
            "groups": [{ "name": "*", "grants": ["get"] }, { "name": "crew", "grants": ["get"] }],
        })
    );
    assert_eq!(show(&mut admin, "iot/"), show(&mut admin, "iot"), "the slash at the end never matters");
    let nobody = json!({ "users": [], "groups": [] });
    assert_eq!(show(&mut admin, "iot/s"), nobody, "a stream shows what was granted on it");
    admin.grant("iot/a/b", "bob", "get");
    assert_eq!(show(&mut admin, "iot/a/b")["users"], json!([{ "name": "bob", "grants": ["get"] }]));
    assert_eq!(show(&mut admin, "iot/a"), nobody);
}

#[test]
fn a_field_that_is_missing_or_wrong_is_named_in_the_order_action_role_permission() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    for (body, field, value) in [
        ("{}", "action", "nil"),
        (r#"{"role":"admin","permission":"get"}"#, "action", "nil"),
        (r#"{"permission":"get"}"#, "action", "nil"),
        (r#"{"action":null,"role":"admin","permission":"get"}"#, "action", "nil"),
        (r#"{"action":"grant"}"#, "role", "nil"),
        (r#"{"action":"grant","permission":"get"}"#, "role", "nil"),
        (r#"{"action":"grant","role":null,"permission":"get"}"#, "role", "nil"),
        (r#"{"action":"grant","role":"admin"}"#, "permission", "nil"),
        (r#"{"action":"revoke","username":"admin"}"#, "permission", "nil"),
        (r#"{"action":"give","role":"admin","permission":"get"}"#, "action", "give"),
        (r#"{"action":"","role":"admin","permission":"get"}"#, "action", ""),
        (r#"{"action":"grant","role":"admin","permission":"fly"}"#, "permission", "fly"),
        (r#"{"action":"revoke","role":"admin","permission":"GET"}"#, "permission", "GET"),
    ] {
        let reply = admin.post("/access/iot", body);
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
        let said = reply.json();
        let expected = (&json!("invalid-field"), &json!(field), &json!(value));
        assert_eq!((&said["type"], &said["field"], &said["value"]), expected, "{body}");
        assert!(said["reason"].is_string(), "every error has a reason: {said}");
    }
    for body in ["", "{", "[]", "null", "action=grant"] {
        assert_error(&admin.post("/access/iot", body), 400, "invalid-body", "Invalid Request Body");
    }
}

#[test]
fn a_role_that_does_not_exist_is_told_in_iorios_words() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    for role in ["nobody", "all", "any", "", "a b", "$x"] {
        for action in ["grant", "revoke"] {
            let body = json!({ "action": action, "role": role, "permission": "get" }).to_string();
            let reply = admin.post("/access/iot", &body);
            assert_eq!(reply.status, 400, "{body}");
            assert_error(&reply, 400, "error", "error_processing_operation");
        }
    }
}

#[test]
fn the_role_may_be_called_username_and_the_permission_have_its_long_name() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    let grant =
        |admin: &mut Person, body: &str| assert_eq!(admin.post("/access/iot", body).text(), r#"{"ok":true}"#);
    grant(&mut admin, r#"{"action":"grant","username":"bob","permission":"get"}"#);
    assert_eq!(bob.get("/streams/iot/s").status, 200);
    grant(&mut admin, r#"{"action":"revoke","username":"bob","permission":"iorio.get"}"#);
    assert_no_permission(&bob.get("/streams/iot/s"));
    grant(&mut admin, r#"{"action":"grant","role":"bob","username":"nobody","permission":"get"}"#);
    assert_eq!(bob.get("/streams/iot/s").status, 200, "the role counts before the alias");
}

#[test]
fn what_was_never_granted_may_be_revoked_and_a_grant_made_twice_is_taken_back_once() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    for path in ["iot", "iot/s", "iot/a/*", "any"] {
        admin.revoke(path, "bob", "get");
        admin.revoke(path, "*", "get");
        admin.grant(path, "bob", "get");
        admin.grant(path, "bob", "get");
        admin.revoke(path, "bob", "get");
        assert_eq!(show(&mut admin, path), json!({ "users": [], "groups": [] }), "{path}");
    }
    assert_no_permission(&bob.get("/streams/iot/s"));
}

#[test]
fn a_change_holds_on_every_core_when_it_is_answered() {
    let server = Server::start_closed(&TWO_CORES);
    let mut admin = Person::admin(&server);
    let bob = admin.create("bob");
    let (mut admins, mut bobs) = (admin.on_every_core(2), bob.on_every_core(2));
    for round in 0..50 {
        admins[round % 2].grant("iot", "bob", "get");
        bobs.iter_mut().for_each(|bob| assert_eq!(bob.get("/streams/iot/s").status, 200));
        admins[(round + 1) % 2].revoke("iot", "bob", "get");
        bobs.iter_mut().for_each(|bob| assert_no_permission(&bob.get("/streams/iot/s")));
    }
}

#[test]
fn a_grant_on_a_bucket_covers_its_streams_and_no_other_bucket() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    admin.grant("iot", "bob", "get");
    for target in ["/streams/iot/s", "/streams/iot/a/b/c", "/streams/iot/s-$patch"] {
        assert_eq!(bob.get(target).status, 200, "{target}");
    }
    for target in ["/streams/io/s", "/streams/iott/s", "/streams/IOT/s", "/streams/iot", "/buckets"] {
        assert_no_permission(&bob.get(target));
    }
    assert_no_permission(&bob.post("/streams/iot/s", "1"));
    assert_no_permission(&bob.delete("/streams/iot/s"));
}

#[test]
fn a_grant_on_a_stream_covers_that_stream_alone() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    admin.grant("iot/a/b", "bob", "get");
    assert_eq!(bob.get("/streams/iot/a/b").status, 200);
    assert_eq!(bob.get("/streams/iot/a%2Fb").status, 200, "the same name");
    for target in [
        "/streams/iot/a",
        "/streams/iot/a/b/c",
        "/streams/iot/a/B",
        "/streams/iot/a/b-$patch",
        "/streams/iot",
    ] {
        assert_no_permission(&bob.get(target));
    }
}

#[test]
fn a_glob_covers_what_it_matches() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    for (glob, matched, others) in [
        (
            "sensors/*/temp",
            &["sensors/1/temp", "sensors/x y/temp"][..],
            &["sensors/temp", "sensors/1/2/temp", "sensors/1/tem"][..],
        ),
        ("deep/**", &["deep/a", "deep/a/b/c"], &["deepa", "other"]),
        ("log-*", &["log-1", "log-"], &["log", "log-1/x", "xlog-1"]),
        ("n[0-9]", &["n1"], &["na", "n10"]),
    ] {
        let path = format!("iot/{}", glob.replace('?', "%3F"));
        admin.grant(&path, "bob", "get");
        let target = |name: &str| format!("/streams/iot/{}", name.replace(' ', "%20"));
        for name in matched {
            assert_eq!(bob.get(&target(name)).status, 200, "{glob} {name}");
        }
        for name in others {
            assert_no_permission(&bob.get(&target(name)));
        }
        assert_eq!(show(&mut admin, &path)["users"], json!([{ "name": "bob", "grants": ["get"] }]));
        admin.revoke(&path, "bob", "get");
        assert_no_permission(&bob.get(&target(matched[0])));
    }
    assert_eq!(admin.get("/access/iot/a**b").status, 400, "that is no glob");
}

#[test]
fn any_and_the_star_are_every_bucket_but_the_servers_own() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    assert_no_permission(&bob.get("/buckets"));
    admin.grant("any", "bob", "list");
    admin.grant("*", "bob", "get");
    assert_eq!(show(&mut admin, "any"), show(&mut admin, "*"));
    assert_eq!(show(&mut admin, "any")["users"], json!([{ "name": "bob", "grants": ["get", "list"] }]));
    for target in ["/buckets", "/streams/iot", "/streams/iot/s", "/streams/admin/s"] {
        assert_eq!(bob.get(target).status, 200, "{target}");
    }
    for target in ["/streams/$sys", "/streams/$sys/metrics", "/streams/$meta", "/streams/$meta/roles/bob"] {
        assert_no_permission(&bob.get(target));
    }
    assert_no_permission(&bob.post("/streams/iot/s", "1"));
    admin.revoke("*", "bob", "list");
    assert_no_permission(&bob.get("/buckets"));
    assert_eq!(admin.get("/access/any/s").status, 400, "a stream of every bucket is nothing");
}

#[test]
fn who_holds_grant_somewhere_may_see_and_change_there_and_nowhere_else() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    let mut eve = admin.create("eve");
    let change = r#"{"action":"grant","role":"eve","permission":"put"}"#;
    for path in ["iot", "iot/s", "iot/a/*", "any", "eve", "eve/s"] {
        assert_no_permission(&bob.get(&format!("/access/{path}")));
        assert_no_permission(&bob.post(&format!("/access/{path}"), change));
    }
    assert_no_permission(&Person::anonymous(server.addr).get("/access/iot"));
    // One's own bucket, whole and in parts.
    for path in ["bob", "bob/s", "bob/a/*"] {
        assert_eq!(bob.get(&format!("/access/{path}")).status, 200, "{path}");
        assert_eq!(bob.post(&format!("/access/{path}"), change).status, 200, "{path}");
    }
    assert_eq!(eve.post("/streams/bob/s", "1").status, 201);
    // A stream alone: neither another one, nor the bucket, nor a glob that covers more.
    admin.grant("iot/s", "bob", "grant");
    assert_eq!(bob.post("/access/iot/s", change).status, 200);
    for path in ["iot", "iot/t", "iot/*", "iot/s/*"] {
        assert_no_permission(&bob.post(&format!("/access/{path}"), change));
    }
    // A glob: what it covers.
    admin.grant("iot/g/*", "bob", "grant");
    for path in ["iot/g/1", "iot/g/*", "iot/g/a*"] {
        assert_eq!(bob.get(&format!("/access/{path}")).status, 200, "{path}");
    }
    for path in ["iot/g/**", "iot/*/1", "iot/g/1/2"] {
        assert_no_permission(&bob.get(&format!("/access/{path}")));
    }
}

#[test]
fn who_has_no_permission_learns_nothing_of_roles() {
    let server = Server::start_closed(&[]);
    let mut eve = Person::admin(&server).create("eve");
    for role in ["admin", "nobody", "*"] {
        let body = json!({ "action": "grant", "role": role, "permission": "get" }).to_string();
        assert_no_permission(&eve.post("/access/iot", &body));
    }
}

#[test]
fn grants_outlive_the_server() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let bob = admin.create("bob");
    for path in ["iot", "iot/s", "iot/a/*", "any"] {
        admin.grant(path, "bob", "get");
        admin.grant(path, "bob", "put");
        admin.revoke(path, "bob", "put");
    }
    admin.grant("open", "*", "get");
    let before: Vec<Value> =
        ["iot", "iot/s", "iot/a/*", "any", "open"].map(|path| show(&mut admin, path)).into();
    let server = server.restart(&[]);
    let mut admin = Person::with_token(server.addr, &admin.token);
    let after: Vec<Value> =
        ["iot", "iot/s", "iot/a/*", "any", "open"].map(|path| show(&mut admin, path)).into();
    assert_eq!(before, after);
    assert_eq!(Person::with_token(server.addr, &bob.token).get("/streams/x/y").status, 200);
    assert_eq!(Person::anonymous(server.addr).get("/streams/open/s").status, 200);
    assert_no_permission(&Person::anonymous(server.addr).get("/streams/iot/s"));
}
