//! Rate limits: so many of an action for each user and each address, whichever core serves the connection.
//!
//! Each test has a server of its own; rates are a minute's, so that nothing comes back while it runs.

use crate::server::Server;
use serde_json::json;

#[test]
fn the_action_after_the_last_one_allowed_is_told_when_to_come_again() {
    let server = Server::start(&[("MILLRACE_RATES__ADDRESS_PUT", "5/m")]);
    // Connections are spread over the cores; the limit is the server's.
    for _ in 0..5 {
        assert_eq!(server.connect().post("/streams/b/s", "1").status, 201);
    }
    let refused = server.connect().post("/streams/b/s", "1");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json(), json!({ "type": "rate-limited", "reason": "Too Many Requests" }));
    let seconds: u32 = refused.header("Retry-After").expect("when").parse().expect("seconds");
    assert!((1..=12).contains(&seconds), "{seconds}");
    let mut client = server.connect();
    assert_eq!(client.get("/streams/b/s?limit=9").ids(), [1, 2, 3, 4, 5], "reads are another action");
    assert_eq!(client.patch("/streams/b/s", "[]").status, 200, "and so are patches");
}

#[test]
fn each_user_has_a_bucket_and_who_has_none_may_not_empty_it() {
    let server = Server::start(&[("MILLRACE_RATES__USER_GET", "1/m burst 2")]);
    let mut client = server.connect();
    let login = client.post("/sessions", r#"{"username":"admin","password":"secret"}"#).json();
    let session = format!("X-Session: {}", login["token"].as_str().expect("a token"));
    for status in [200, 200, 429] {
        assert_eq!(client.get("/streams/b/s").status, status);
    }
    for status in [200, 200, 429] {
        assert_eq!(client.request("GET", "/streams/b/s", &[&session], b"").status, status);
    }
}

#[test]
fn what_may_not_be_done_is_not_counted() {
    let server = Server::start(&[("MILLRACE_RATES__ADDRESS_GET", "1/m")]);
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/streams/$meta/roles/admin").status, 401);
    }
    assert_eq!((client.get("/streams/b/s").status, client.get("/streams/b/s").status), (200, 429));
}
