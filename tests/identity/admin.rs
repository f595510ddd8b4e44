//! `/admin`: users, groups and grants in the shapes of Iorio's administration page.

use crate::person::{Person, assert_401, assert_no_permission};
use crate::server::Server;
use crate::wire::Reply;
use serde_json::{Value, json};

fn assert_nothing(reply: &Reply, status: u16) {
    assert_eq!((reply.status, reply.text()), (status, "{}"));
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
}

fn assert_empty(reply: &Reply, status: u16) {
    assert_eq!((reply.status, reply.text()), (status, ""));
}

fn grant(role: &str, bucket: &str, key: &str, permission: &str) -> String {
    json!({ "role": role, "bucket": bucket, "key": key, "permission": permission }).to_string()
}

#[test]
fn only_an_administrator_logs_in() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    admin.create("bob");
    let mut nobody = Person::anonymous(server.addr);
    let reply = nobody.post("/admin/sessions", r#"{"username":"admin","password":"secret"}"#);
    assert_eq!((reply.status, reply.header("Cache-Control")), (200, Some("no-store")));
    let body = reply.json();
    assert_eq!((&body["ok"], &body["username"]), (&json!(true), &json!("admin")));
    assert_eq!(body.as_object().map(|body| body.len()), Some(3));
    let token = body["token"].as_str().expect("a token");
    assert_eq!(Person::with_token(server.addr, token).get("/admin/users").status, 200);
    for body in [r#"{"username":"admin","password":"x"}"#, r#"{"username":"bob","password":"x"}"#, "{}"] {
        assert_401(&nobody.post("/admin/sessions", body), "unauthorized", "Unauthorized");
    }
    assert_empty(&nobody.post("/admin/sessions", r#"{"username":"bob","password":"pass-bob"}"#), 400);
    assert_empty(&nobody.post("/admin/sessions", "{"), 400);
    admin.grant("any", "bob", "adminusers");
    assert_eq!(nobody.post("/admin/sessions", r#"{"username":"bob","password":"pass-bob"}"#).status, 200);
}

#[test]
fn nobody_else_sees_or_changes_anything() {
    let server = Server::start_closed(&[]);
    let mut bob = Person::admin(&server).create("bob");
    let mut nobody = Person::anonymous(server.addr);
    for person in [&mut bob, &mut nobody] {
        for target in ["permissions", "users", "groups", "users/bob", "users/nobody", "groups/g-admin"] {
            assert_no_permission(&person.get(&format!("/admin/{target}")));
        }
        for target in ["users", "groups", "grants", "revokes"] {
            assert_no_permission(&person.post(&format!("/admin/{target}"), "{"));
        }
        for target in ["users", "groups", "users/bob", "groups/g-admin"] {
            assert_no_permission(&person.put(&format!("/admin/{target}"), "{"));
        }
        for target in ["users/bob", "users/nobody", "groups/g-admin"] {
            assert_no_permission(&person.delete(&format!("/admin/{target}")));
        }
    }
    assert_eq!(nobody.get("/admin/nothing").status, 404);
    assert_eq!(nobody.get("/admin").status, 404);
}

#[test]
fn permissions_are_told_with_what_everybody_has() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let body = admin.get("/admin/permissions").json();
    let mut names: Vec<&str> =
        body["permissions"]["iorio"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["adminusers", "delete", "get", "grant", "list", "put"]);
    assert_eq!(body["grants"], json!({ "global": [] }));
    admin.grant("open", "*", "get");
    let global = json!([{
        "grants": ["iorio.get"], "bucket": "open", "key": "*", "bucket_grant": true, "any": false,
        "role_type": "global", "role": "*",
    }]);
    assert_eq!(admin.get("/admin/permissions").json()["grants"], json!({ "global": global }));
}

#[test]
fn a_user_is_made_shown_changed_and_deleted() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let made =
        admin.post("/admin/users", r#"{"username":"bob","password":"p","groups":["g-authenticated"]}"#);
    assert_nothing(&made, 201);
    assert_eq!(made.header("Location"), Some("/admin/users/bob"));
    assert_eq!(admin.get("/admin/users").json()["users"]["bob"], json!({ "groups": ["g-authenticated"] }));
    let mut bob = Person::log_in(server.addr, "bob", "p");
    assert_no_permission(&bob.get("/streams/bob/s"));
    admin.grant("iot", "bob", "get");
    admin.grant("iot/a/*", "bob", "put");
    admin.grant("any", "bob", "list");
    admin.grant("open", "*", "get");
    let item = |grants: Value, (bucket, key): (&str, &str), kind: &str, role: &str| {
        json!({
            "grants": grants, "bucket": bucket, "key": key, "bucket_grant": key == "*", "any": bucket == "*",
            "role_type": kind, "role": role,
        })
    };
    let shown = admin.get("/admin/users/bob");
    assert_eq!(shown.header("Content-Type"), Some("application/json"));
    let user = &shown.json()["user"];
    assert_eq!((&user["username"], &user["groups"]), (&json!("bob"), &json!(["g-authenticated"])));
    let mut direct = user["grants"]["direct"].as_array().expect("a list").clone();
    direct.sort_by_key(|item| (item["bucket"].to_string(), item["key"].to_string()));
    let mut expected = vec![
        item(json!(["iorio.get"]), ("iot", "*"), "user", "bob"),
        item(json!(["iorio.put"]), ("iot", "a/*"), "user", "bob"),
        item(json!(["iorio.list"]), ("*", "*"), "user", "bob"),
    ];
    expected.sort_by_key(|item| (item["bucket"].to_string(), item["key"].to_string()));
    // A right on every bucket is no right on one.
    assert_eq!(direct.len(), 3);
    for (found, expected) in direct.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    let lent = json!([item(json!(["iorio.get"]), ("public", "*"), "group", "g-authenticated")]);
    assert_eq!(user["grants"]["groups"], lent);
    assert_eq!(user["grants"]["global"], json!([item(json!(["iorio.get"]), ("open", "*"), "global", "*")]));
    // PUT of a collection or of one; the password may be left out, and the groups too.
    assert_nothing(&admin.put("/admin/users", r#"{"username":"bob","groups":["g-admin"]}"#), 200);
    assert_eq!(bob.get("/users").status, 200);
    assert_nothing(&admin.put("/admin/users/bob", r#"{"groups":[]}"#), 200);
    assert_no_permission(&bob.get("/users"));
    assert_nothing(&admin.put("/admin/users/bob", r#"{"password":"q"}"#), 200);
    Person::log_in(server.addr, "bob", "q");
    assert_empty(&admin.delete("/admin/users/bob"), 204);
    assert_401(&bob.get("/sessions"), "no-perm", "Unknown User");
    assert_empty(&admin.get("/admin/users/bob"), 404);
    assert_empty(&admin.delete("/admin/users/bob"), 404);
}

#[test]
fn a_group_is_made_shown_changed_and_deleted() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    let made = admin.post("/admin/groups", r#"{"groupname":"crew","groups":["g-authenticated"]}"#);
    assert_nothing(&made, 201);
    assert_eq!(made.header("Location"), Some("/admin/groups/crew"));
    assert_nothing(&admin.post("/admin/groups", r#"{"groupname":"mates"}"#), 201);
    assert_eq!(admin.get("/admin/groups").json()["groups"]["crew"], json!({ "groups": ["g-authenticated"] }));
    assert_eq!(admin.get("/admin/groups").json()["groups"]["mates"], json!({ "groups": [] }));
    assert_nothing(&admin.post("/admin/grants", &grant("crew", "iot", "*", "iorio.get")), 200);
    assert_nothing(&admin.put("/admin/users/bob", r#"{"groups":["mates"]}"#), 200);
    assert_no_permission(&bob.get("/streams/iot/s"));
    assert_nothing(&admin.put("/admin/groups", r#"{"groupname":"mates","groups":["crew"]}"#), 200);
    assert_eq!(bob.get("/streams/iot/s").status, 200, "by a group of a group");
    let group = admin.get("/admin/groups/mates").json()["group"].clone();
    assert_eq!((&group["name"], &group["groups"]), (&json!("mates"), &json!(["crew"])));
    assert_eq!(group["grants"]["direct"], json!([]));
    let buckets: Vec<&Value> =
        group["grants"]["groups"].as_array().expect("a list").iter().map(|item| &item["bucket"]).collect();
    assert_eq!(buckets.len(), 2, "of the crew and of those it is in: {buckets:?}");
    for body in [r#"{"groups":["mates"]}"#, r#"{"groups":["crew"]}"#] {
        assert_empty(&admin.put("/admin/groups/crew", body), 400);
    }
    assert_empty(&admin.delete("/admin/groups/crew"), 204);
    assert_no_permission(&bob.get("/streams/iot/s"));
    assert_eq!(admin.get("/admin/groups/mates").json()["group"]["groups"], json!([]));
    assert_nothing(&admin.post("/admin/groups", r#"{"groupname":"crew"}"#), 201);
    assert_no_permission(&bob.get("/streams/iot/s"));
    for needed in ["g-admin", "g-authenticated"] {
        assert_empty(&admin.delete(&format!("/admin/groups/{needed}")), 400);
    }
    assert_empty(&admin.delete("/admin/groups/bob"), 404);
    assert_empty(&admin.delete("/admin/users/crew"), 404);
}

#[test]
fn what_cannot_be_is_400_without_a_body_and_what_is_not_there_404() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    admin.create("bob");
    for (target, body) in [
        ("users", "{"),
        ("users", "{}"),
        ("users", r#"{"username":"bob","password":"x"}"#),
        ("users", r#"{"username":"a b","password":"x"}"#),
        ("users", r#"{"username":"x"}"#),
        ("users", r#"{"username":"x","password":"x","groups":["nobody"]}"#),
        ("users", r#"{"username":"x","password":"x","groups":["bob"]}"#),
        ("users", r#"{"username":"x","password":"x","groups":"g-admin"}"#),
        ("users", r#"{"username":"x","password":"x","groups":[1]}"#),
        ("groups", "{}"),
        ("groups", r#"{"groupname":"bob"}"#),
        ("groups", r#"{"groupname":"g-admin"}"#),
        ("groups", r#"{"groupname":"all"}"#),
        ("groups", r#"{"groupname":"x","groups":["x"]}"#),
        ("grants", "{}"),
        ("revokes", "[]"),
    ] {
        assert_empty(&admin.post(&format!("/admin/{target}"), body), 400);
    }
    for target in ["users/nobody", "users/g-admin", "groups/nobody", "groups/bob"] {
        assert_empty(&admin.get(&format!("/admin/{target}")), 404);
        assert_empty(&admin.delete(&format!("/admin/{target}")), 404);
        assert_empty(&admin.put(&format!("/admin/{target}"), r#"{"groups":[]}"#), 404);
    }
    assert_empty(&admin.put("/admin/users", r#"{"groups":[]}"#), 400);
    let users = admin.get("/users").json();
    assert_eq!(users.as_array().map(Vec::len), Some(3), "nobody came of it: {users}");
    assert_eq!(admin.get("/admin/groups").json()["groups"].as_object().map(|all| all.len()), Some(2));
}

#[test]
fn grants_are_given_and_taken_in_iorios_words() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    for (role, bucket, key, target) in [
        ("bob", "iot", "*", "/streams/iot/s"),
        ("bob", "iot", "s", "/streams/iot/s"),
        ("bob", "iot", "a/*", "/streams/iot/a/1"),
        ("bob", "*", "*", "/streams/iot/s"),
        ("*", "iot", "*", "/streams/iot/s"),
        ("g-authenticated", "iot", "*", "/streams/iot/s"),
    ] {
        assert_no_permission(&bob.get(target));
        assert_nothing(&admin.post("/admin/grants", &grant(role, bucket, key, "iorio.get")), 200);
        assert_eq!(bob.get(target).status, 200, "{role} {bucket} {key}");
        assert_nothing(&admin.post("/admin/revokes", &grant(role, bucket, key, "iorio.get")), 200);
        assert_nothing(&admin.post("/admin/revokes", &grant(role, bucket, key, "iorio.get")), 200);
    }
    assert_no_permission(&bob.get("/streams/iot/s"));
    for body in [
        grant("nobody", "iot", "*", "iorio.get"),
        grant("bob", "iot", "*", "iorio.fly"),
        grant("bob", "*", "s", "iorio.get"),
        grant("bob", "", "*", "iorio.get"),
        r#"{"role":"bob","bucket":"iot","permission":"iorio.get"}"#.to_owned(),
        r#"{"role":"bob","key":"*","permission":"iorio.get"}"#.to_owned(),
        r#"{"bucket":"iot","key":"*","permission":"iorio.get"}"#.to_owned(),
        r#"{"role":"bob","bucket":"iot","key":"*"}"#.to_owned(),
    ] {
        assert_empty(&admin.post("/admin/grants", &body), 400);
        assert_empty(&admin.post("/admin/revokes", &body), 400);
    }
}
