//! The order of checks: route, method, target and headers, permission, `Accept`, `Content-Type`, body.
//!
//! A request that is wrong in all ways from some check on is answered by that check.

use crate::person::{Person, assert_no_permission};
use crate::server::Server;

const BAD: [&str; 2] = ["Accept: image/png", "Content-Type: text/plain"];

#[test]
fn the_first_check_that_fails_answers() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut eve = admin.create("eve");
    let body = b"{ no json";
    assert_eq!(eve.request("POST", "/nowhere/%0a", &BAD, body).status, 404);
    for (target, allow) in [
        ("/sessions", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("/users", "GET, HEAD, POST, PUT, OPTIONS"),
        ("/users/%0a", "GET, HEAD, PUT, DELETE, OPTIONS"),
        ("/access/%0a", "GET, HEAD, POST, OPTIONS"),
        ("/tickets", "POST, OPTIONS"),
        ("/admin/users", "GET, HEAD, POST, PUT, OPTIONS"),
        ("/admin/groups/x", "GET, HEAD, PUT, DELETE, OPTIONS"),
        ("/admin/grants", "POST, OPTIONS"),
    ] {
        let reply = eve.request("PATCH", target, &BAD, body);
        assert_eq!((reply.status, reply.header("Allow")), (405, Some(allow)), "{target}");
    }
    for target in ["/access/b/%0a", "/access/%zz", "/streams/b/%0a"] {
        assert_eq!(eve.request("POST", target, &BAD, body).status, 400, "{target}");
    }
    for target in ["/users", "/access/admin", "/access/admin/s", "/admin/users", "/streams/admin/s"] {
        assert_no_permission(&eve.request("POST", target, &BAD, body));
    }
    for target in ["/users", "/access/admin", "/access/admin/s", "/admin/users", "/sessions"] {
        assert_eq!(admin.request("POST", target, &BAD, body).status, 406, "{target}");
        assert_eq!(admin.request("POST", target, &BAD[1..], body).status, 415, "{target}");
        assert_eq!(admin.post(target, "{ no json").status, 400, "{target}");
    }
}

#[test]
fn permission_wins_over_content_type_on_streams_too() {
    let server = Server::start_closed(&[]);
    let mut stranger = Person::anonymous(server.addr);
    assert_no_permission(&stranger.request("PATCH", "/streams/b/s", &BAD, b"{ no json"));
    assert_no_permission(&stranger.request("POST", "/streams/b/s", &BAD[1..], b"x"));
    assert_no_permission(&stranger.request("GET", "/streams/b/s", &BAD[..1], b""));
    let mut admin = Person::admin(&server);
    assert_eq!(admin.request("PATCH", "/streams/b/s", &BAD[1..], b"{ no json").status, 415);
    assert_eq!(admin.request("GET", "/streams/b/s", &BAD[..1], b"").status, 406);
}

#[test]
fn a_refusal_leaves_the_connection_for_the_next_request() {
    let server = Server::start_closed(&[]);
    let mut stranger = Person::anonymous(server.addr);
    for _ in 0..3 {
        assert_no_permission(&stranger.post("/streams/b/s", &format!("\"{}\"", "x".repeat(10_000))));
    }
    assert_eq!(stranger.get("/ping").status, 200);
    let admin = Person::admin(&server);
    stranger.token = admin.token;
    assert_eq!(stranger.get("/streams/b/s").text(), "[]", "nothing of it was stored");
}
