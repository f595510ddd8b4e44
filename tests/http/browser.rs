//! What browsers are told: pages of other origins, WebSockets of theirs, stored payloads on our own origin.
//!
//! The rules are the Fetch Standard's; each test plays the browser in bytes.

use crate::server::Server;
use crate::wire::{Client, Reply, request};

const APP: &str = "https://app.example";
const ORIGIN: &str = "Origin: https://app.example";
const EVIL: &str = "Origin: https://evil.example";
const KEY: &str = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const ALLOW: &str = "Access-Control-Allow-Origin";

fn with_list(more: &[(&str, &str)]) -> Server {
    let mut settings = vec![
        ("MILLRACE_SERVER__CORES", "1"),
        ("MILLRACE_CORS__ORIGINS", "https://app.example,http://localhost:3000"),
    ];
    settings.extend(more);
    Server::start(&settings)
}

/// All names that browsers act on.
fn cors_names(reply: &Reply) -> Vec<&str> {
    let names = reply.headers.iter().map(|(name, _)| name.as_str());
    names.filter(|name| name.starts_with("Access-Control-") || *name == "Vary").collect()
}

fn preflight(client: &mut Client, target: &str, origin: &str, method: &str) -> Reply {
    let asks = format!("Access-Control-Request-Method: {method}");
    let lines = [origin, &asks, "Access-Control-Request-Headers: x-session,content-type"];
    client.request("OPTIONS", target, &lines, b"")
}

/// The head of the reply to a WebSocket's upgrade.
fn upgrade(server: &Server, target: &str, origin: &str) -> Reply {
    let mut client = server.connect();
    let lines = [origin, "Connection: Upgrade", "Upgrade: websocket", KEY];
    client.send(request("GET", target, &lines, b""));
    client.reply_to("HEAD")
}

#[test]
fn without_configuration_nothing_is_said_and_any_page_may_open_a_websocket() {
    let server = Server::shared();
    let mut client = server.connect();
    for (method, target) in
        [("GET", "/ping"), ("GET", "/streams/b/s"), ("GET", "/nowhere"), ("POST", "/streams/b/s")]
    {
        let reply = client.request(method, target, &[ORIGIN], b"1");
        assert!(cors_names(&reply).iter().all(|name| *name == "Vary"), "{target}: {:?}", reply.headers);
        assert_ne!(reply.header("Vary"), Some("Origin"));
    }
    assert_eq!(cors_names(&preflight(&mut client, "/streams/b/s", ORIGIN, "POST")), Vec::<&str>::new());
    assert_eq!(upgrade(&server, "/listen?s=b:s", EVIL).status, 101);
}

#[test]
fn a_preflight_names_the_methods_of_its_route_and_what_may_be_sent() {
    let server = with_list(&[("MILLRACE_CORS__HEADERS", "X-Mine"), ("MILLRACE_CORS__MAX_AGE_S", "10m")]);
    let mut client = server.connect();
    let reply = preflight(&mut client, "/streams/b/s", ORIGIN, "DELETE");
    assert_eq!((reply.status, reply.header(ALLOW)), (204, Some(APP)));
    let methods = reply.header("Access-Control-Allow-Methods").expect("methods");
    assert!(["GET", "POST", "PATCH", "DELETE"].iter().all(|method| methods.contains(method)), "{methods}");
    let headers = reply.header("Access-Control-Allow-Headers").expect("headers");
    for name in "X-Session Authorization Content-Type If-Match If-None-Match Idempotency-Key Millrace-Parent \
                 traceparent Last-Event-ID Accept X-Mine"
        .split(' ')
    {
        assert!(headers.split(", ").any(|found| found == name), "{name} is not in {headers}");
    }
    assert_eq!(reply.header("Access-Control-Max-Age"), Some("600"));
    let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    assert_eq!(reply.header("Vary"), Some(vary));
    assert_eq!(reply.header("Access-Control-Allow-Credentials"), None);
    assert!(
        preflight(&mut client, "/streams/b/s?settings", ORIGIN, "PUT")
            .header("Access-Control-Allow-Methods")
            .is_some_and(|methods| methods.contains("PUT"))
    );
    let refused = preflight(&mut client, "/streams/b/s", EVIL, "DELETE");
    assert_eq!((refused.status, cors_names(&refused)), (204, vec!["Vary"]));
    let plain = client.request("OPTIONS", "/streams/b/s", &[ORIGIN], b"");
    assert_eq!((plain.status, plain.header("Access-Control-Allow-Methods")), (204, None));
}

#[test]
fn every_reply_to_a_page_of_the_list_may_be_read_by_it() {
    let server = with_list(&[("MILLRACE_CORS__EXPOSE", "X-Yours")]);
    let mut client = server.connect();
    let json = "Content-Type: application/json";
    for (method, target, body, status) in [
        ("POST", "/streams/b/s", &b"{\"a\":1}"[..], 201),
        ("POST", "/streams/b/s", b"no json", 400),
        ("GET", "/streams/b/s", b"", 200),
        ("GET", "/streams/b/s?limit=0", b"", 200),
        ("HEAD", "/streams/b/s", b"", 200),
        ("GET", "/nowhere", b"", 404),
        ("PUT", "/streams/b/s", b"1", 405),
        ("POST", "/streams/$sys/x", b"1", 401),
        ("GET", "/listen?s=b:s&strict=x", b"", 400),
        ("GET", "/listen?s=b:s&timeout=0", b"", 204),
        ("GET", "/listen?s=b:s:1", b"", 200),
        ("DELETE", "/streams/b/s", b"", 204),
    ] {
        let reply = client.request(method, target, &[ORIGIN, json], body);
        assert_eq!((reply.status, reply.header(ALLOW)), (status, Some(APP)), "{method} {target}");
        let exposed = reply.header("Access-Control-Expose-Headers").expect("exposed");
        assert!(exposed.starts_with("ETag, Location, ") && exposed.ends_with(", X-Yours"), "{exposed}");
        assert!(reply.headers.contains(&("Vary".to_owned(), "Origin".to_owned())), "{:?}", reply.headers);
        let other = client.request(method, target, &[EVIL, json], body);
        assert_eq!(other.header(ALLOW), None, "{method} {target}");
        assert!(other.headers.contains(&("Vary".to_owned(), "Origin".to_owned())), "{:?}", other.headers);
    }
    client.send("GET /\x01 HTTP/1.1\r\n\r\n");
    let unreadable = client.reply();
    assert_eq!(
        (unreadable.status, unreadable.header(ALLOW), unreadable.header("Vary")),
        (400, None, Some("Origin"))
    );
}

#[test]
fn a_reply_of_many_pages_and_an_event_stream_have_the_lines_in_their_heads() {
    let server = with_list(&[]);
    let mut client = server.connect();
    let line = format!("\"{}\"\n", "x".repeat(9_998));
    let lines = line.repeat(300);
    let posted =
        client.request("POST", "/streams/b/s", &["Content-Type: application/x-ndjson"], lines.as_bytes());
    assert_eq!(posted.status, 201);
    let long =
        client.request("GET", "/streams/b/s?limit=300", &[ORIGIN, "Accept: application/x-ndjson"], b"");
    assert_eq!(
        (long.status, long.header(ALLOW), long.header("Transfer-Encoding")),
        (200, Some(APP), Some("chunked"))
    );
    assert_eq!(long.text().lines().count(), 300);
    client.send(request("GET", "/listen?s=b:s", &[ORIGIN, "Accept: text/event-stream"], b""));
    let events = client.reply_to("HEAD");
    assert_eq!((events.status, events.header(ALLOW)), (200, Some(APP)));
    assert_eq!(events.header("Vary"), Some("Origin"));
}

#[test]
fn pipelined_replies_are_each_for_their_own_page() {
    let server = with_list(&[]);
    let mut client = server.connect();
    let origins = [Some(ORIGIN), None, Some("Origin: http://localhost:3000"), Some(EVIL)];
    let requests = origins.iter().flat_map(|origin| {
        let lines: Vec<&str> = origin.iter().copied().chain(["Content-Type: application/json"]).collect();
        request("POST", "/streams/b/p", &lines, b"1")
    });
    client.send(requests.collect::<Vec<u8>>());
    for (id, expected) in (1..).zip([Some(APP), None, Some("http://localhost:3000"), None]) {
        let reply = client.reply();
        assert_eq!((reply.id(), reply.header(ALLOW)), (id, expected));
    }
}

#[test]
fn with_a_star_every_reply_may_be_read_by_everyone() {
    let server = Server::start(&[("MILLRACE_SERVER__CORES", "1"), ("MILLRACE_CORS__ORIGINS", "*")]);
    let mut client = server.connect();
    for lines in [&[][..], &[EVIL], &["Origin: null"]] {
        let reply = client.request("GET", "/ping", lines, b"");
        assert_eq!((reply.header(ALLOW), reply.header("Vary")), (Some("*"), None));
    }
    let answer = preflight(&mut client, "/streams/b/s", EVIL, "PATCH");
    assert_eq!((answer.status, answer.header(ALLOW)), (204, Some("*")));
    assert!(answer.header("Access-Control-Allow-Methods").is_some_and(|methods| methods.contains("PATCH")));
    assert_eq!(upgrade(&server, "/listen?s=b:s", EVIL).status, 101);
}

#[test]
fn a_websocket_of_a_page_that_may_not_call_is_refused() {
    let server = with_list(&[("MILLRACE_CORS__CREDENTIALS", "true")]);
    for target in ["/listen?s=b:s", "/x/echo"] {
        let refused = upgrade(&server, target, EVIL);
        assert_eq!((refused.status, refused.header(ALLOW)), (403, None), "{target}");
        for origin in [ORIGIN, "Origin: http://localhost", "X-No-Browser: yes"] {
            assert_eq!(upgrade(&server, target, origin).status, 101, "{target} {origin}");
        }
    }
    let mut client = server.connect();
    let lines = [EVIL, "Connection: Upgrade", "Upgrade: websocket", KEY];
    let refused = client.request("GET", "/listen?s=b:s", &lines, b"");
    assert_eq!(refused.json()["type"], "origin-not-allowed");
    let reply = client.request("GET", "/ping", &[ORIGIN], b"");
    assert_eq!(reply.header("Access-Control-Allow-Credentials"), Some("true"), "the connection goes on");
}

#[test]
fn a_stored_page_is_no_page_of_ours() {
    let server = Server::shared();
    let mut client = server.connect();
    let page = b"<script>alert(1)</script>";
    client.request("POST", "/streams/browser/page", &["Content-Type: text/html"], page);
    let octets = "Accept: application/octet-stream";
    for target in ["/streams/browser/page?limit=1", "/streams/browser/page?limit=1&download=a.html"] {
        let reply = client.request("GET", target, &[octets], b"");
        assert_eq!((reply.status, reply.header("Content-Type")), (200, Some("text/html")));
        assert_eq!(reply.header("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(reply.header("Content-Security-Policy"), Some("sandbox"));
        assert_eq!(reply.body, page);
    }
    let download = client.get("/streams/browser/page?download=a.json");
    assert_eq!(download.header("X-Content-Type-Options"), Some("nosniff"));
}

#[test]
fn our_own_page_takes_nothing_from_elsewhere_and_nobody_frames_it() {
    let server = Server::shared();
    let mut client = server.connect();
    let page = client.get("/ui/");
    let policy = page.header("Content-Security-Policy").expect("a policy");
    for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("script-src") && !page.text().contains("<script"));
    assert_eq!(page.header("X-Frame-Options"), Some("DENY"));
    assert_eq!(page.header("Referrer-Policy"), Some("no-referrer"));
    for target in ["/ui/", "/ping", "/nowhere", "/metrics"] {
        assert_eq!(client.get(target).header("Server"), None);
    }
}
