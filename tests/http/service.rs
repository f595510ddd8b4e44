//! What is not a stream: probes, figures, the echo, the page.
//!
//! Figures are compared on a server of their own, so that no other test counts.

use crate::server::Server;
use serde_json::json;

#[test]
fn ping_names_a_partition_and_probes_say_ok() {
    let server = Server::shared();
    let mut client = server.connect();
    let pong = client.get("/ping");
    assert_eq!((pong.status, pong.header("Content-Type")), (200, Some("application/json")));
    let partition: u16 = pong.json()["pong"].as_str().expect("a string").parse().expect("a number");
    assert!(partition < 64);
    assert_eq!(pong.text(), format!("{{\"pong\":\"{partition}\"}}"));
    for probe in ["/livez", "/readyz/"] {
        assert_eq!((client.get(probe).status, client.get(probe).json()), (200, json!({ "status": "ok" })));
    }
}

#[test]
fn figures_count_what_was_done() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    // Users and grants are events too.
    let before = client.get("/stats").json();
    for _ in 0..5 {
        client.post("/streams/b/s", "1");
    }
    client.get("/nowhere");
    let stats = client.get("/stats").json();
    let more = |area: &str, name: &str| {
        stats[area][name].as_u64().expect("a number") - before[area][name].as_u64().expect("a number")
    };
    assert_eq!((more("storage", "events_appended"), more("storage", "streams")), (5, 1));
    assert_eq!(stats["http"]["connections_open"], 1);
    assert_eq!((more("http", "replies_2xx"), more("http", "replies_4xx")), (6, 1));
}

#[test]
fn the_echo_tells_a_request_back() {
    let server = Server::shared();
    let mut client = server.connect();
    let reply = client.request("PUT", "/x/echo/a/b%20c/?x=1&y=%26", &["Content-Type: text/plain"], b"hello");
    let expected =
        json!({ "method": "PUT", "path": ["a", "b c"], "query": { "x": "1", "y": "&" }, "body": "hello" });
    assert_eq!((reply.status, reply.json()), (200, expected));
    for method in ["GET", "POST", "DELETE"] {
        assert_eq!(client.request(method, "/x/echo", &[], b"").json()["method"], method);
    }
    assert_eq!(client.get("/x/other/a").status, 501);
    assert_eq!(client.get("/x/other/a").json()["type"], "not-implemented");
}

#[test]
fn the_page_is_at_ui_with_a_slash_and_nothing_else_is_there() {
    let server = Server::shared();
    let mut client = server.connect();
    let redirect = client.get("/ui");
    assert_eq!((redirect.status, redirect.header("Location")), (307, Some("/ui/")));
    let page = client.get("/ui/");
    assert_eq!((page.status, page.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("Millrace"));
    for target in ["/ui/index.html", "/ui/../etc/passwd", "/ui/%2e%2e/x", "/ui/..%2fx"] {
        assert_eq!(client.get(target).status, 404, "{target}");
    }
}

#[test]
fn options_lists_the_methods_of_a_route() {
    let server = Server::shared();
    let reply = server.connect().request("OPTIONS", "/streams/b/s", &[], b"");
    assert_eq!((reply.status, reply.header("Allow")), (204, Some("GET, HEAD, POST, PATCH, DELETE, OPTIONS")));
    assert_eq!(server.connect().request("OPTIONS", "*", &[], b"").status, 204);
}
