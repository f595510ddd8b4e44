//! Listeners that are open when their rights or their session end: told so, and given nothing any more.

use crate::client::Client as Connection;
use crate::heard::{EventStream, Heard, Socket};
use crate::person::{Person, assert_401, assert_no_permission};
use crate::server::Server;
use crate::sessions::TWO_CORES;
use crate::tokens::now_s;
use crate::wire::{Client, request};
use base64::Engine as _;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A listener of one of the three forms; each answers an end in its own way.
enum Listener {
    Sse(Box<EventStream>),
    WebSocket(Box<Socket>),
    LongPoll(Box<Client>),
}

impl Listener {
    /// One of each form, on each of two cores.
    fn of_all_forms(addr: SocketAddr, token: &str, streams: &str) -> Vec<Listener> {
        let query = format!("{streams}&jwt={token}");
        let mut cores = Vec::new();
        let mut listeners = Vec::new();
        while cores.len() < 2 {
            for form in 0..2 {
                let (connection, core) =
                    Connection::connect_to_a_core_but(addr, &cores).expect("every core accepts");
                let socket = connection.into_socket();
                listeners.push(match form {
                    0 => Listener::Sse(Box::new(EventStream::over(socket, &query, ""))),
                    _ => Listener::WebSocket(Box::new(Socket::over(socket, &format!("/listen?{query}")))),
                });
                if form == 1 {
                    cores.push(core);
                }
            }
        }
        let cores = &mut Vec::new();
        for _ in 0..2 {
            let mut client = on_another_core(addr, cores);
            client.send(request("GET", &format!("/listen?timeout=60&{query}"), &[], b""));
            listeners.push(Listener::LongPoll(Box::new(client)));
        }
        // Nothing tells that a long-poll has begun to wait.
        std::thread::sleep(Duration::from_millis(100));
        listeners
    }

    /// The ids that come until it is ended, and the reason that is given.
    fn hear_to_the_end(self) -> (Vec<u64>, String) {
        let begin = Instant::now();
        // Heartbeats go on for ever.
        let has_time = || assert!(begin.elapsed() < Duration::from_secs(20), "it is not ended");
        let (mut ids, id) = (Vec::new(), |item: &Value| item["meta"]["id"].as_u64().expect("an id"));
        match self {
            Listener::Sse(mut stream) => loop {
                has_time();
                let message = stream.next().expect("an end that is told");
                if message.event == "close" {
                    assert_eq!(stream.next(), None, "that was the last word");
                    let said: Value = serde_json::from_str(&message.data[0]).expect("JSON");
                    return (ids, said["reason"].as_str().expect("a reason").to_owned());
                }
                ids.extend(message.items().iter().map(id));
            },
            Listener::WebSocket(mut socket) => loop {
                match socket.next() {
                    Heard::Text(text) => {
                        let items: Vec<Value> = serde_json::from_str(&text).expect("items");
                        ids.extend(items.iter().map(id));
                    }
                    Heard::Closed(code, reason) => {
                        assert_eq!(code, Some(1008), "{reason}");
                        return (ids, reason);
                    }
                    other => panic!("{other:?}"),
                }
            },
            Listener::LongPoll(mut client) => {
                let reply = client.reply();
                if reply.status == 200 {
                    return (reply.ids(), "answered".to_owned());
                }
                let body = reply.json();
                let reason = body["reason"].as_str().expect("a reason");
                assert_401(&reply, "no-perm", reason);
                let reason = if reason == "No Permission" { "no-perm" } else { reason };
                (ids, reason.to_owned())
            }
        }
    }
}

/// A connection whose core is not in `cores`; notes it.
fn on_another_core(addr: SocketAddr, cores: &mut Vec<String>) -> Client {
    for _ in 0..200 {
        let mut client = Client::connect(addr);
        let core = client.get("/ping").json()["pong"].as_str().expect("a text").to_owned();
        if !cores.contains(&core) {
            cores.push(core);
            return client;
        }
    }
    panic!("every core accepts connections");
}

#[test]
fn what_is_posted_after_a_revoke_reaches_nobody_who_lost_the_right() {
    let server = Server::start_closed(&TWO_CORES);
    let mut admin = Person::admin(&server);
    let bob = admin.create("bob");
    for (round, path) in ["iot", "iot/s", "iot/*", "any"].into_iter().cycle().take(12).enumerate() {
        admin.grant(path, "bob", "get");
        let listeners = Listener::of_all_forms(server.addr, &bob.token, "s=iot:s");
        admin.revoke(path, "bob", "get");
        let id = admin.post("/streams/iot/s", r#""not for bob""#).id();
        for listener in listeners {
            let heard = listener.hear_to_the_end();
            assert_eq!(heard, (Vec::new(), "no-perm".to_owned()), "round {round}, event {id}");
        }
    }
}

#[test]
fn under_load_a_revoke_cuts_at_its_moment_and_what_came_before_has_no_hole() {
    let server = Server::start_closed(&TWO_CORES);
    let mut admin = Person::admin(&server);
    let mut writer = Person::with_token(server.addr, &admin.token);
    let bob = admin.create("bob");
    for round in 0..5 {
        admin.grant("iot", "bob", "get");
        let begin = admin.get("/streams/iot/s").ids().last().map_or(1, |id| id + 1);
        let listeners = Listener::of_all_forms(server.addr, &bob.token, "s=iot:s");
        let is_revoked = AtomicBool::new(false);
        let first_after = std::thread::scope(|scope| {
            let write = || {
                let mut first_after = None;
                while first_after.is_none_or(|first| writer.post("/streams/iot/s", "1").id() < first + 20) {
                    let was_revoked = is_revoked.load(Ordering::SeqCst);
                    let id = writer.post("/streams/iot/s", "1").id();
                    first_after = first_after.or(was_revoked.then_some(id));
                }
                first_after.expect("it was revoked")
            };
            let writing = scope.spawn(write);
            std::thread::sleep(Duration::from_millis(100));
            admin.revoke("iot", "bob", "get");
            is_revoked.store(true, Ordering::SeqCst);
            writing.join().expect("no panic")
        });
        for listener in listeners {
            let (ids, reason) = listener.hear_to_the_end();
            assert!(["no-perm", "answered"].contains(&reason.as_str()), "{reason}");
            let expected: Vec<u64> = (begin..).take(ids.len()).collect();
            assert_eq!(ids, expected, "round {round}: everything from the first one on");
            let is_before = ids.iter().all(|id| *id < first_after);
            assert!(is_before, "round {round}: {ids:?} has something of after the revoke at {first_after}");
        }
    }
}

#[test]
fn who_loses_one_of_several_streams_is_ended_and_who_loses_another_is_not() {
    let server = Server::start_closed(&TWO_CORES);
    let mut admin = Person::admin(&server);
    let bob = admin.create("bob");
    for path in ["iot/a", "iot/b", "iot/c", "other"] {
        admin.grant(path, "bob", "get");
    }
    admin.grant("iot", "*", "put");
    let listeners = Listener::of_all_forms(server.addr, &bob.token, "s=iot:a&s=iot:b");
    for (path, role, permission) in [("iot/c", "bob", "get"), ("other", "bob", "get"), ("iot", "*", "put")] {
        admin.revoke(path, role, permission);
    }
    let first = admin.post("/streams/iot/a", "1").id();
    let mut goes_on = Vec::new();
    for listener in listeners {
        match listener {
            Listener::Sse(mut stream) => {
                assert_eq!(stream.next_with_data().items()[0]["meta"]["id"], first);
                goes_on.push(Listener::Sse(stream));
            }
            Listener::WebSocket(mut socket) => {
                assert_eq!(socket.next_items()[0]["meta"]["id"], first);
                goes_on.push(Listener::WebSocket(socket));
            }
            Listener::LongPoll(mut client) => assert_eq!(client.reply().ids(), [first]),
        }
    }
    admin.revoke("iot/b", "bob", "get");
    admin.post("/streams/iot/a", "2");
    for listener in goes_on {
        assert_eq!(listener.hear_to_the_end(), (Vec::new(), "no-perm".to_owned()));
    }
}

#[test]
fn a_right_by_group_or_by_everybody_ends_with_the_group_the_membership_and_the_user() {
    let server = Server::start_closed(&TWO_CORES);
    let mut admin = Person::admin(&server);
    let put_into = |admin: &mut Person, groups: Value| {
        let body = json!({ "groups": groups }).to_string();
        assert_eq!(admin.put("/admin/users/bob", &body).status, 200);
    };
    for round in 0..4 {
        let bob = admin.create("bob");
        assert_eq!(admin.post("/admin/groups", r#"{"groupname":"crew","groups":[]}"#).status, 201);
        put_into(&mut admin, json!(["crew"]));
        admin.grant("iot", if round == 3 { "*" } else { "crew" }, "get");
        let listeners = Listener::of_all_forms(server.addr, &bob.token, "s=iot:s");
        let expected = match round {
            0 => {
                put_into(&mut admin, json!(["g-authenticated"]));
                "no-perm"
            }
            1 => {
                assert_eq!(admin.delete("/admin/groups/crew").status, 204);
                "no-perm"
            }
            2 => {
                assert_eq!(admin.delete("/users/bob").status, 204);
                "Unknown User"
            }
            _ => {
                admin.revoke("iot", "*", "get");
                "no-perm"
            }
        };
        admin.post("/streams/iot/s", "1");
        for listener in listeners {
            assert_eq!(listener.hear_to_the_end(), (Vec::new(), expected.to_owned()), "round {round}");
        }
        admin.delete("/users/bob");
        admin.delete("/admin/groups/crew");
    }
}

#[test]
fn a_session_that_is_ended_ends_its_listeners_and_no_others() {
    let server = Server::start_closed(&TWO_CORES);
    let mut admin = Person::admin(&server);
    admin.create("bob");
    admin.grant("iot", "bob", "get");
    let mut bob = Person::log_in(server.addr, "bob", "pass-bob");
    let other = Person::log_in(server.addr, "bob", "pass-bob");
    let listeners = Listener::of_all_forms(server.addr, &bob.token, "s=iot:s");
    let mut others = Socket::open(server.addr, &format!("/listen?s=iot:s&jwt={}", other.token));
    assert_eq!(bob.delete("/sessions").status, 204);
    let id = admin.post("/streams/iot/s", "1").id();
    for listener in listeners {
        assert_eq!(listener.hear_to_the_end(), (Vec::new(), "Token Revoked".to_owned()));
    }
    assert_eq!(others.next_items()[0]["meta"]["id"], id);
}

#[test]
fn where_nothing_is_posted_an_end_is_noticed_with_the_next_sign_of_life() {
    let settings = [("MILLRACE_LIMITS__SSE_HEARTBEAT_MS", "200")];
    let server = Server::start_closed(&[]).restart(&settings);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    let target = format!("s=bob:s&jwt={}", bob.token);
    let stream = EventStream::open(server.addr, &target);
    let mut socket = Socket::open(server.addr, &format!("/listen?{target}"));
    assert_eq!(bob.delete("/sessions").status, 204);
    let (begin, ended) = (Instant::now(), "Token Revoked".to_owned());
    assert_eq!(Listener::Sse(Box::new(stream)).hear_to_the_end(), (Vec::new(), ended.clone()));
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    socket.send(r#"{"cmd":"ping","id":1}"#);
    assert_eq!(socket.next(), Heard::Closed(Some(1008), ended));
}

#[test]
fn a_session_that_expires_ends_its_silent_listeners_within_a_second() {
    let settings = [("MILLRACE_AUTH__SESSION_MS", "2s"), ("MILLRACE_SERVER__CORES", "2")];
    let server = Server::start_closed(&[]).restart(&settings);
    let admin = Person::admin(&server);
    let payload = admin.token.split('.').nth(1).expect("a payload");
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    let payload: Value = serde_json::from_slice(&payload).expect("JSON");
    let expires_s = payload["exp"].as_u64().expect("an expiry");
    let since_expiry = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        now.as_secs_f64() - expires_s as f64
    };
    let listeners = Listener::of_all_forms(server.addr, &admin.token, "s=iot:s");
    assert!(since_expiry() < 0.0, "they opened in time");
    std::thread::scope(|scope| {
        for listener in listeners {
            scope.spawn(|| {
                assert_eq!(listener.hear_to_the_end(), (Vec::new(), "Token Expired".to_owned()));
                let late_s = since_expiry();
                assert!((0.0..1.0).contains(&late_s), "ended {late_s} s after its time");
            });
        }
    });
    assert!(now_s() >= expires_s);
}

#[test]
fn commands_are_judged_one_by_one() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let bob = admin.create("bob");
    let mut socket = Socket::open(server.addr, &format!("/listen?jwt={}", bob.token));
    let ask = |socket: &mut Socket, cmd: &str| {
        socket.ask(&json!({ "cmd": cmd, "id": 1, "bucket": "iot", "stream": "s", "data": 1 }).to_string())
    };
    let refused = json!({ "ok": false, "id": 1, "reason": "unauthorized" });
    assert_eq!(ask(&mut socket, "publish"), refused);
    assert_eq!(ask(&mut socket, "subscribe"), refused);
    admin.grant("iot", "bob", "put");
    assert_eq!(ask(&mut socket, "publish")["meta"]["id"], 1);
    assert_eq!(ask(&mut socket, "subscribe"), refused, "writing is not reading");
    admin.revoke("iot", "bob", "put");
    assert_eq!(ask(&mut socket, "publish"), refused, "the connection goes on without the right");
    admin.grant("iot", "bob", "get");
    assert_eq!(ask(&mut socket, "subscribe"), json!({ "ok": true, "id": 1, "type": "subscribe" }));
    assert_eq!(ask(&mut socket, "unsubscribe")["ok"], true);
    admin.revoke("iot", "bob", "get");
    assert_eq!(ask(&mut socket, "subscribe"), refused, "what it has left does not end it");
    assert_eq!(admin.get("/streams/iot/s?from=1&limit=9").ids(), [1]);
}

#[test]
fn a_forbidden_stream_is_skipped_or_refused_where_strictness_is_asked_for() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    let both = format!("s=eve:s&s=bob:s&jwt={}", bob.token);
    let mut stream = EventStream::open(server.addr, &both);
    let mut socket = Socket::open(server.addr, &format!("/listen?{both}"));
    admin.post("/streams/eve/s", r#""not for bob""#);
    bob.post("/streams/bob/s", r#""for bob""#);
    for items in [stream.next_with_data().items(), socket.next_items()] {
        assert_eq!(items.len(), 1);
        assert_eq!((&items[0]["meta"]["bucket"], &items[0]["data"]), (&json!("bob"), &json!("for bob")));
    }
    assert_eq!(bob.get("/listen?timeout=0&s=eve:s:1").status, 204, "it is there, but not for bob");
    assert_eq!(bob.get("/listen?timeout=0&s=eve:*:1&s=**:s:1").status, 204);
    for streams in
        ["s=eve:s", "s=bob:s&s=eve:s", "s=eve:*", "s=$sys:metrics", "s=$meta:revoked", "s=$meta:**"]
    {
        let target = format!("/listen?strict=true&timeout=0&{streams}");
        assert_no_permission(&bob.get(&target));
        assert_no_permission(&bob.request("GET", &target, &["Accept: text/event-stream"], b""));
        let upgrade = [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ];
        let mut once = Person::with_token(server.addr, &bob.token);
        assert_no_permission(&once.request("GET", &target, &upgrade, b""));
    }
    assert_eq!(bob.get("/listen?strict=true&timeout=0&s=bob:s").status, 204);
}

#[test]
fn a_pattern_needs_a_right_that_covers_all_that_it_can_match() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    admin.grant("iot/g/*", "bob", "get");
    admin.grant("iot/s", "bob", "get");
    let mut status =
        |pattern: &str| bob.get(&format!("/listen?strict=true&timeout=0&s=iot:{pattern}")).status;
    for pattern in ["g/*", "g/a*", "g/1", "s"] {
        assert_eq!(status(pattern), 204, "{pattern}");
    }
    for pattern in ["*", "**", "g/**", "*/1", "g/*/x", "s*", "h/*"] {
        assert_eq!(status(pattern), 401, "{pattern}");
    }
}

#[test]
fn a_browser_listens_with_a_ticket() {
    let server = Server::start_closed(&[]);
    let mut bob = Person::admin(&server).create("bob");
    let mut ticket = || {
        let reply = bob.request("POST", "/tickets", &[], b"");
        reply.json()["ticket"].as_str().expect("a ticket").to_owned()
    };
    let (first, second) = (ticket(), ticket());
    let mut stream = EventStream::open(server.addr, &format!("strict=true&s=bob:s&ticket={first}"));
    let mut socket = Socket::open(server.addr, &format!("/listen?strict=true&s=bob:s&ticket={second}"));
    bob.post("/streams/bob/s", "1");
    assert_eq!(stream.next_with_data().items()[0]["meta"]["id"], 1);
    assert_eq!(socket.next_items()[0]["meta"]["id"], 1);
    let again = server.connect().get(&format!("/listen?s=bob:s&ticket={first}"));
    assert_401(&again, "no-perm", "Bad Ticket");
    assert_eq!(bob.delete("/sessions").status, 204);
    Person::admin(&server).post("/streams/bob/s", "2");
    assert_eq!(Listener::Sse(Box::new(stream)).hear_to_the_end(), (Vec::new(), "Token Revoked".to_owned()));
}
