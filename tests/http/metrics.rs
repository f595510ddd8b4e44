//! `/metrics` and `/stats`: the whole output is in form, and the figures are those of what was done.
//!
//! Each test has a server of its own, so that nobody else counts.

use crate::exposition::Exposition;
use crate::server::Server;
use crate::wire::Client;
use serde_json::json;

const DURATION: &str = "millrace_http_request_duration_seconds";

fn scrape(client: &mut Client) -> Exposition {
    let reply = client.get("/metrics");
    assert_eq!(reply.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    Exposition::parse(reply.text())
}

#[test]
fn metrics_are_in_form_before_and_after_work() {
    let server = Server::start(&[("MILLRACE_SERVER__CORES", "1")]);
    let mut client = server.connect();
    let fresh = scrape(&mut client);
    for _ in 0..5 {
        client.post("/streams/b/s", "1");
    }
    client.get("/streams/b/s?limit=5");
    client.get("/streams/b/s?limit=1&wait=1");
    client.get("/nowhere");
    client.delete("/streams/b/s");
    let worked = scrape(&mut client);
    let names = |text: &Exposition| text.0.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&fresh), names(&worked), "a family is there from the start");
    let replies = |class| worked.value("millrace_http_replies_total", &[("class", class)]);
    assert_eq!((replies("2xx"), replies("4xx"), replies("5xx")), (9.0, 1.0, 0.0));
    assert_eq!(worked.value("millrace_storage_events_appended_total", &[("shard", "0")]), 5.0);
    assert_eq!(worked.value("millrace_storage_appended_bytes_total", &[("shard", "0")]), 5.0);
    let count = |endpoint| worked.value(&format!("{DURATION}_count"), &[("endpoint", endpoint)]);
    assert_eq!((count("append"), count("read"), count("wait"), count("delete")), (5.0, 1.0, 1.0, 1.0));
    assert_eq!(count("patch"), 0.0);
    // Its own request is under way, and no other.
    assert_eq!(worked.value("millrace_http_requests_open", &[]), 1.0);
    assert!(worked.value(&format!("{DURATION}_sum"), &[("endpoint", "append")]) > 0.0);
    assert!(worked.sum("millrace_storage_journal_write_duration_seconds_count") >= 5.0);
}

#[test]
fn the_process_tells_what_it_takes() {
    let server = Server::start(&[("MILLRACE_SERVER__CORES", "1")]);
    let found = scrape(&mut server.connect());
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(found.value("millrace_build_info", &[("version", version)]), 1.0);
    assert_eq!(found.value("millrace_cores", &[]), 1.0);
    assert!(found.value("process_resident_memory_bytes", &[]) > 1e6);
    assert!(found.value("process_cpu_seconds_total", &[]) > 0.0);
    let (open, max) = (found.value("process_open_fds", &[]), found.value("process_max_fds", &[]));
    assert!(open > 3.0 && open < max, "{open} of {max}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let age_s = now.as_secs_f64() - found.value("process_start_time_seconds", &[]);
    assert!((-2.0..600.0).contains(&age_s), "{age_s}");
}

#[test]
fn listeners_are_counted_by_form_while_they_are_open_and_after() {
    let server = Server::start(&[("MILLRACE_SERVER__CORES", "1")]);
    let mut client = server.connect();
    let mut listener = server.connect();
    listener.send("GET /listen?s=b:s HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    let mut poller = server.connect();
    poller.send("GET /listen?s=b:s HTTP/1.1\r\nHost: a\r\n\r\n");
    let open = |text: &Exposition, form| text.value("millrace_listeners_open", &[("form", form)]);
    let both_open = |text: &Exposition| open(text, "sse") == 1.0 && open(text, "long_poll") == 1.0;
    while !both_open(&scrape(&mut client)) {}
    client.post("/streams/b/s", "7");
    assert_eq!(poller.reply().json()[0]["data"], 7);
    drop(listener);
    while open(&scrape(&mut client), "sse") != 0.0 {}
    let after = scrape(&mut client);
    assert_eq!(open(&after, "long_poll"), 0.0);
    assert_eq!(after.value("millrace_listeners_total", &[("form", "sse")]), 1.0);
    assert_eq!(after.value("millrace_listeners_total", &[("form", "long_poll")]), 1.0);
    assert!(after.value("millrace_listen_deliveries_total", &[]) >= 1.0);
    assert!(after.value("millrace_listen_sent_bytes_total", &[]) > 50.0);
}

#[test]
fn stats_tell_the_same_in_json() {
    let server = Server::start(&[("MILLRACE_SERVER__CORES", "1")]);
    let mut client = server.connect();
    for _ in 0..3 {
        client.post("/streams/b/s", "1");
    }
    let stats = client.get("/stats").json();
    assert_eq!(stats["http"]["times"]["append"]["count"], 3);
    assert_eq!(stats["http"]["requests_open"], 1);
    assert_eq!(stats["node"]["cores"], 1);
    assert!(stats["node"]["resident_bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000));
    assert_eq!(stats["listen"]["websocket_open"], 0);
    assert_eq!(stats["shards"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&stats["shards"][0]["shard"], &stats["shards"][0]["events_appended"]),
        (&json!(0), &json!(3))
    );
}
