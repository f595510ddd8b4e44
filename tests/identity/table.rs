//! Principal × action × place: everything that can be asked by everybody, compared with the model.
//!
//! Each question is asked over the wire, and its answer must be 401 exactly where the model says no. What is
//! allowed must not be 401 and, where nothing else is in its way, must succeed.

use crate::heard::{Heard, Socket};
use crate::model::{Model, Need};
use crate::person::{Person, assert_401, password_of};
use crate::server::Server;
use serde_json::json;

/// What is done; the needs of each stand in [`Action::need`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Post,
    PostBatch,
    Get,
    Head,
    Patch,
    Delete,
    Trim,
    ReadSettings,
    WriteSettings,
    ListStreams,
    ReadBucketSettings,
    WriteBucketSettings,
    ReadAccess,
    WriteAccess,
    ReadBucketAccess,
    WriteBucketAccess,
    LongPoll,
    Sse,
    Subscribe,
    Publish,
    /// Of no place in particular.
    ListBuckets,
    ListUsers,
    CreateUser,
    ShowPermissions,
    GrantOverAdmin,
    ReadEveryAccess,
}

const OF_PLACES: [Action; 20] = [
    Action::Post,
    Action::PostBatch,
    Action::Get,
    Action::Head,
    Action::Patch,
    Action::ReadSettings,
    Action::WriteSettings,
    Action::ListStreams,
    Action::ReadBucketSettings,
    Action::WriteBucketSettings,
    Action::ReadAccess,
    Action::WriteAccess,
    Action::ReadBucketAccess,
    Action::WriteBucketAccess,
    Action::LongPoll,
    Action::Sse,
    Action::Subscribe,
    Action::Publish,
    Action::Trim,
    Action::Delete,
];

const OF_ALL: [Action; 6] = [
    Action::ListBuckets,
    Action::ListUsers,
    Action::CreateUser,
    Action::ShowPermissions,
    Action::GrantOverAdmin,
    Action::ReadEveryAccess,
];

/// Bucket and stream.
const PLACES: [(&str, &str); 12] = [
    ("owner", "s"),
    ("stranger", "s"),
    ("iot", "s"),
    ("iot", "other"),
    ("iot", "g/1/temp"),
    ("iot", "g/1/2/temp"),
    ("iot", "$inner"),
    ("public", "news"),
    ("open", "s"),
    ("$sys", "metrics"),
    ("$sys", "other"),
    ("$meta", "roles/owner"),
];

const PERMISSIONS: [&str; 5] = ["get", "put", "delete", "list", "grant"];

impl Action {
    fn need(self, bucket: &str, stream: &str) -> Need {
        let of_stream = |permission| Need::Stream(permission, bucket.to_owned(), stream.to_owned());
        let of_bucket = |permission| Need::Bucket(permission, bucket.to_owned());
        match self {
            Action::Post | Action::PostBatch | Action::Patch | Action::Publish => of_stream("put"),
            Action::Get | Action::Head | Action::ReadSettings => of_stream("get"),
            Action::LongPoll | Action::Sse | Action::Subscribe => of_stream("get"),
            Action::Delete | Action::Trim | Action::WriteSettings => of_stream("delete"),
            Action::ListStreams => of_bucket("list"),
            Action::ReadBucketSettings => of_bucket("get"),
            Action::WriteBucketSettings => of_bucket("delete"),
            Action::ReadAccess | Action::WriteAccess => of_stream("grant"),
            Action::ReadBucketAccess | Action::WriteBucketAccess => of_bucket("grant"),
            Action::ListBuckets => Need::Every("list"),
            Action::ReadEveryAccess => Need::Every("grant"),
            Action::ListUsers | Action::CreateUser | Action::ShowPermissions | Action::GrantOverAdmin => {
                Need::Every("adminusers")
            }
        }
    }

    /// Does it; gives the status, 401 also where a WebSocket is told so.
    fn carry_out(self, who: &mut Person, bucket: &str, stream: &str) -> u16 {
        let (at, within) = (format!("/streams/{bucket}/{stream}"), format!("/access/{bucket}"));
        let revoke = r#"{"action":"revoke","role":"nobody-yet","permission":"get"}"#;
        let poll = format!("/listen?strict=true&timeout=0&s={bucket}:{stream}");
        let reply = match self {
            Action::Post => who.post(&at, "[1]"),
            Action::PostBatch => {
                who.request("POST", &at, &["Content-Type: application/x-ndjson"], b"[1]\n[2]")
            }
            Action::Get => who.get(&at),
            Action::Head => {
                // The reason has no body here.
                let reply = who.request("HEAD", &at, &[], b"");
                assert_eq!(reply.header("WWW-Authenticate").is_some(), reply.status == 401);
                return reply.status;
            }
            Action::Patch => {
                let lines = ["Content-Type: application/json-patch+json"];
                who.request("PATCH", &at, &lines, br#"[{"op":"add","path":"/0","value":1}]"#)
            }
            Action::Delete => who.delete(&at),
            Action::Trim => who.delete(&format!("{at}?before=1")),
            Action::ReadSettings => who.get(&format!("{at}?settings")),
            Action::WriteSettings => who.put(&format!("{at}?settings"), "{}"),
            Action::ListStreams => who.get(&format!("/streams/{bucket}")),
            Action::ReadBucketSettings => who.get(&format!("/buckets/{bucket}?settings")),
            Action::WriteBucketSettings => who.put(&format!("/buckets/{bucket}?settings"), "{}"),
            Action::ReadAccess => who.get(&format!("{within}/{stream}")),
            Action::WriteAccess => who.post(&format!("{within}/{stream}"), revoke),
            Action::ReadBucketAccess => who.get(&within),
            Action::WriteBucketAccess => who.post(&within, revoke),
            Action::LongPoll => who.get(&poll),
            Action::Sse => return open_sse(who, &poll),
            Action::Subscribe => return command(who, "subscribe", bucket, stream),
            Action::Publish => return command(who, "publish", bucket, stream),
            Action::ListBuckets => who.get("/buckets"),
            Action::ListUsers => who.get("/users"),
            Action::CreateUser => who.post("/users", "{}"),
            Action::ShowPermissions => who.get("/admin/permissions"),
            Action::GrantOverAdmin => who.post("/admin/grants", "{}"),
            Action::ReadEveryAccess => who.get("/access/any"),
        };
        if reply.status == 401 {
            assert_401(&reply, "no-perm", "No Permission");
        }
        reply.status
    }

    /// What it is answered where it is allowed.
    fn success(self) -> &'static [u16] {
        match self {
            Action::Post | Action::PostBatch => &[201],
            // Of a stream without events, which only the plan's words tell from a refusal.
            Action::Patch => &[200, 400],
            Action::Delete | Action::Trim => &[204],
            Action::LongPoll => &[204],
            // `nobody-yet` is nobody; no field is there.
            Action::WriteAccess | Action::WriteBucketAccess | Action::CreateUser | Action::GrantOverAdmin => {
                &[400]
            }
            _ => &[200],
        }
    }
}

/// Opens an event stream on a connection of its own, which ends with it.
fn open_sse(who: &Person, target: &str) -> u16 {
    use std::io::{Read, Write};
    let mut socket = crate::heard::connect(who.addr);
    let session = if who.token.is_empty() { String::new() } else { format!("X-Session: {}\r\n", who.token) };
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n{session}\r\n");
    socket.write_all(request.as_bytes()).expect("it is sent");
    let mut head = [0; 12];
    socket.read_exact(&mut head).expect("a status line");
    std::str::from_utf8(&head[9..]).ok().and_then(|status| status.parse().ok()).expect("a status")
}

/// A command over a WebSocket that listens to nothing.
fn command(who: &Person, command: &str, bucket: &str, stream: &str) -> u16 {
    let token = if who.token.is_empty() { String::new() } else { format!("?jwt={}", who.token) };
    let mut socket = Socket::open(who.addr, &format!("/listen{token}"));
    let asked = json!({ "cmd": command, "id": 7, "bucket": bucket, "stream": stream, "data": [1] });
    socket.send(&asked.to_string());
    let answer = match socket.next() {
        Heard::Text(text) => serde_json::from_str::<serde_json::Value>(&text).expect("JSON"),
        other => panic!("{other:?}"),
    };
    match (answer["ok"].as_bool(), answer["reason"].as_str()) {
        (Some(true), None) => 200,
        (Some(false), Some("unauthorized")) => 401,
        _ => panic!("{answer}"),
    }
}

/// Everybody: name, and whether they have a token.
fn people(server: &Server) -> (Model, Vec<(String, Person)>) {
    let mut admin = Person::admin(server);
    let mut model = Model::default();
    model.join("g-admin", "g-authenticated");
    model.join("admin", "g-admin");
    model.grant("public", "g-authenticated", "get");
    let mut everybody = Vec::new();
    let mut create = |admin: &mut Person, model: &mut Model, name: &str| {
        let person = admin.create(name);
        model.join(name, "g-authenticated");
        PERMISSIONS.into_iter().for_each(|permission| model.grant(name, name, permission));
        everybody.push((name.to_owned(), person));
    };
    let names = [
        "owner",
        "stranger",
        "by-bucket",
        "by-stream",
        "by-glob",
        "by-group",
        "by-nested-group",
        "by-any",
        "reader",
        "of-sys",
        "users-admin",
    ];
    names.into_iter().for_each(|name| create(&mut admin, &mut model, name));
    for (group, groups) in [("inner", json!([])), ("outer", json!(["inner"]))] {
        let body = json!({ "groupname": group, "groups": groups }).to_string();
        assert_eq!(admin.post("/admin/groups", &body).status, 201);
    }
    model.join("outer", "inner");
    for (user, group) in [("by-group", "inner"), ("by-nested-group", "outer")] {
        let body = json!({ "groups": ["g-authenticated", group] }).to_string();
        assert_eq!(admin.put(&format!("/admin/users/{user}"), &body).status, 200);
        model.join(user, group);
    }
    let mut grant = |path: &str, role: &str, permission: &'static str| {
        admin.grant(path, role, permission);
        model.grant(path, role, permission);
    };
    for permission in PERMISSIONS {
        for (path, role) in [
            ("iot", "by-bucket"),
            ("iot/s", "by-stream"),
            ("iot/g/*/temp", "by-glob"),
            ("iot", "inner"),
            ("any", "by-any"),
        ] {
            grant(path, role, permission);
        }
    }
    grant("iot/s", "reader", "get");
    grant("iot/g/**", "reader", "put");
    grant("$sys", "of-sys", "get");
    grant("$sys", "of-sys", "put");
    grant("$meta", "of-sys", "get");
    grant("$meta", "of-sys", "put");
    grant("any", "users-admin", "adminusers");
    grant("open", "*", "get");
    grant("open", "*", "put");
    everybody.push(("admin".to_owned(), admin));
    everybody.push(("anonymous".to_owned(), Person::anonymous(server.addr)));
    (model, everybody)
}

#[test]
fn everybody_may_do_what_the_model_says_and_nothing_else() {
    let server = Server::start_closed(&[("MILLRACE_SERVER__CORES", "2")]);
    let (model, mut everybody) = people(&server);
    let (mut allowed, mut refused, mut wrong) = (0, 0, Vec::new());
    let mut ask = |name: &str, person: &mut Person, action: Action, (bucket, stream): (&str, &str)| {
        let may = model.allows(name, &action.need(bucket, stream));
        let status = action.carry_out(person, bucket, stream);
        if if may { !action.success().contains(&status) } else { status != 401 } {
            wrong.push(format!("{name} {action:?} {bucket}/{stream}: {status}, allowed: {may}"));
        }
        *(if may { &mut allowed } else { &mut refused }) += 1;
    };
    for (name, person) in &mut everybody {
        for place in PLACES {
            OF_PLACES.into_iter().for_each(|action| ask(name, person, action, place));
        }
        OF_ALL.into_iter().for_each(|action| ask(name, person, action, ("", "")));
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), allowed + refused, wrong.join("\n"));
    println!("{allowed} allowed, {refused} refused");
    assert!(allowed > 500 && refused > 1500, "the table is not lopsided: {allowed}, {refused}");
}

#[test]
fn nobodys_rights_change_by_logging_in_again() {
    let server = Server::start_closed(&[]);
    let (model, mut everybody) = people(&server);
    for (name, person) in &mut everybody {
        if !matches!(name.as_str(), "admin" | "anonymous") {
            *person = Person::log_in(server.addr, name, &password_of(name));
        }
        for (bucket, stream) in PLACES {
            let may = model.allows(name, &Action::Get.need(bucket, stream));
            assert_eq!(Action::Get.carry_out(person, bucket, stream) == 200, may, "{name} {bucket}/{stream}");
        }
    }
}
