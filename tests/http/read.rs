//! GET of a stream: parameters to the letter, forms, gaps, lengths beyond memory, damage.
//!
//! Most tests fill a stream of the shared server with events whose data is their number. The one about
//! damage spoils a stopped server's files.

use crate::server::Server;
use crate::wire::Client;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// Events 1 to `count` whose data is their number.
fn fill(client: &mut Client, stream: &str, count: u64) {
    let body: Vec<String> = (1..=count).map(|n| n.to_string()).collect();
    let lines = ["Content-Type: application/x-ndjson"];
    let reply = client.request("POST", &format!("/streams/{stream}"), &lines, body.join("\n").as_bytes());
    assert_eq!(reply.status, 201, "{}", reply.text());
}

#[test]
fn parameters_are_read_to_the_letter() {
    let server = Server::shared();
    let mut client = server.connect();
    fill(&mut client, "params/s", 5);
    let none: &[u64] = &[];
    for (query, ids) in [
        ("", &[5][..]),
        ("?limit=3", &[3, 4, 5]),
        ("?limit=9", &[1, 2, 3, 4, 5]),
        ("?limit=x", &[5]),
        ("?limit=", &[5]),
        ("?limit=0", none),
        ("?limit=-1", none),
        ("?limit=0&from=1", none),
        ("?from=2&limit=2", &[2, 3]),
        ("?from=2", &[2]),
        ("?from=x&limit=2", &[4, 5]),
        ("?from=5&limit=9", &[5]),
        ("?from=6", none),
        ("?from=99999999999999999999999", none),
        ("?from=-1", &[4]),
        ("?from=-1&limit=9", &[4, 5]),
        ("?from=-99&limit=2", &[1, 2]),
        ("?from=0&limit=2", &[1, 2]),
        ("?limit=99999999999999999999&from=4", &[4, 5]),
        ("?unknown=1&limit=2", &[4, 5]),
        ("?limit=2&limit=3", &[4, 5]),
    ] {
        assert_eq!(client.get(&format!("/streams/params/s{query}")).ids(), ids, "{query}");
        assert_eq!(client.get(&format!("/streams/params/s/{query}")).ids(), ids, "{query} behind a slash");
    }
}

#[test]
fn an_unknown_stream_reads_as_an_empty_array() {
    let server = Server::shared();
    let reply = server.connect().get("/streams/nothing/here?limit=3");
    assert_eq!((reply.status, reply.text()), (200, "[]"));
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
}

#[test]
fn a_reply_is_an_array_of_meta_and_data_and_nothing_else() {
    let server = Server::shared();
    let mut client = server.connect();
    let time = client.post("/streams/shape/s", "{\"a\":1}").json()["meta"]["t"].clone();
    let reply = client.get("/streams/shape/s");
    assert_eq!(reply.text(), format!("[{{\"meta\":{{\"id\":1,\"t\":{time}}},\"data\":{{\"a\":1}}}}]"));
    assert_eq!(reply.json(), json!([{ "meta": { "id": 1, "t": time }, "data": { "a": 1 } }]));
}

#[test]
fn reads_that_begin_before_the_oldest_event_say_what_is_missing() {
    let server = Server::shared();
    let mut client = server.connect();
    fill(&mut client, "gaps/s", 9);
    assert_eq!(client.delete("/streams/gaps/s?before=5").status, 204);
    let reply = client.get("/streams/gaps/s?from=2&limit=3");
    assert_eq!((reply.ids(), reply.header("Millrace-Gap")), (vec![5, 6, 7], Some("2-4")));
    for query in ["?from=5&limit=3", "?limit=99", "?from=-99&limit=99"] {
        let reply = client.get(&format!("/streams/gaps/s{query}"));
        assert_eq!((reply.ids()[0], reply.header("Millrace-Gap")), (5, None), "{query}");
    }
}

#[test]
fn a_time_finds_the_first_event_that_is_not_older() {
    let server = Server::shared();
    let mut client = server.connect();
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push(client.post("/streams/times/s", "1").json()["meta"]["t"].as_u64().unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut at = |text: &str| client.get(&format!("/streams/times/s?limit=9&at={text}")).ids();
    assert_eq!(at(&times[1].to_string()), [2, 3]);
    assert_eq!(at(&(times[1] + 1).to_string()), [3]);
    assert_eq!(at("0"), [1, 2, 3]);
    assert_eq!(at("1999-12-31T23:59:59.5%2B01:00"), [1, 2, 3]);
    assert_eq!(at("2999-12-31T23:59:59Z"), [0; 0]);
}

#[test]
fn a_wait_returns_with_the_event_that_comes_or_empty_when_the_time_is_over() {
    let server = Server::shared();
    let mut client = server.connect();
    fill(&mut client, "waits/s", 1);
    let begun = Instant::now();
    assert_eq!(client.get("/streams/waits/s?from=2&wait=1").text(), "[]");
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    assert_eq!(client.get("/streams/waits/s?from=1&wait=20").ids(), [1], "what is there does not wait");
    client.send("GET /streams/waits/s?from=3&limit=5&wait=20 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut writer = server.connect();
    std::thread::sleep(Duration::from_millis(100));
    writer.post("/streams/waits/s", "2");
    assert!(client.is_silent_for(Duration::from_millis(200)), "event 2 is not what was asked for");
    writer.post("/streams/waits/s", "3");
    assert_eq!(client.reply().ids(), [3]);
}

#[test]
fn a_wait_begins_on_a_stream_that_does_not_exist_yet() {
    let server = Server::shared();
    let mut client = server.connect();
    client.send("GET /streams/waits/new?wait=20 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.is_silent_for(Duration::from_millis(200)));
    server.connect().post("/streams/waits/new", "1");
    assert_eq!(client.reply().ids(), [1]);
}

#[test]
fn a_client_that_has_what_it_asks_for_gets_304() {
    let server = Server::shared();
    let mut client = server.connect();
    fill(&mut client, "tags/s", 3);
    let tag = client.get("/streams/tags/s?limit=2").header("ETag").expect("an ETag").to_owned();
    let line = format!("If-None-Match: {tag}");
    let reply = client.request("GET", "/streams/tags/s?limit=2", &[&line], b"");
    assert_eq!(
        (reply.status, reply.header("ETag"), reply.header("Content-Length")),
        (304, Some(&*tag), None)
    );
    client.post("/streams/tags/s", "4");
    assert_eq!(client.request("GET", "/streams/tags/s?limit=2", &[&line], b"").ids(), [3, 4]);
    let plain = client.request("GET", "/streams/tags/s", &["If-None-Match: \"4\""], b"");
    assert_eq!(plain.status, 304);
}

#[test]
fn a_stream_that_was_written_anew_is_not_what_a_client_had() {
    let server = Server::shared();
    let mut client = server.connect();
    fill(&mut client, "tags/anew", 1);
    let line =
        format!("If-None-Match: {}", client.get("/streams/tags/anew").header("ETag").expect("an ETag"));
    client.delete("/streams/tags/anew");
    client.post("/streams/tags/anew", "\"other\"");
    let reply = client.request("GET", "/streams/tags/anew", &[&line], b"");
    assert_eq!(reply.json()[0]["data"], "other");
}

#[test]
fn one_event_can_be_had_as_the_bytes_that_it_is() {
    let server = Server::shared();
    let mut client = server.connect();
    client.request("POST", "/streams/raw/s", &["Content-Type: image/x"], b"\x00\xff");
    let lines = ["Accept: application/octet-stream"];
    let reply = client.request("GET", "/streams/raw/s?limit=1", &lines, b"");
    assert_eq!(
        (reply.status, reply.header("Content-Type"), &*reply.body),
        (200, Some("image/x"), &b"\x00\xff"[..])
    );
    client.post("/streams/raw/s", " {} ");
    let reply = client.request("GET", "/streams/raw/s", &lines, b"");
    assert_eq!((reply.header("Content-Type"), reply.text()), (Some("application/json"), " {} "));
    assert_eq!(reply.header("Millrace-Id"), Some("2"));
    assert_eq!(client.request("GET", "/streams/raw/s?limit=2", &lines, b"").status, 406);
    assert_eq!(client.request("GET", "/streams/raw/none", &lines, b"").status, 204);
}

#[test]
fn lines_come_one_event_each_also_when_the_json_has_line_breaks() {
    let server = Server::shared();
    let mut client = server.connect();
    client.post("/streams/ndjson/s", "{\n \"a\": 1\r\n}");
    client.post("/streams/ndjson/s", "2");
    let lines = ["Accept: application/x-ndjson"];
    let reply = client.request("GET", "/streams/ndjson/s?from=1&limit=9", &lines, b"");
    assert_eq!(reply.header("Content-Type"), Some("application/x-ndjson"));
    let items: Vec<serde_json::Value> =
        reply.text().lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert_eq!(items.len(), 2);
    assert_eq!((&items[0]["data"], &items[1]["meta"]["id"]), (&json!({"a": 1}), &json!(2)));
    assert!(reply.text().ends_with('\n'));
    assert_eq!(client.request("GET", "/streams/ndjson/none?limit=9", &lines, b"").text(), "");
}

#[test]
fn a_read_of_any_length_comes_whole_and_in_order() {
    let server = Server::shared();
    let mut client = server.connect();
    // 40 MiB in events of 1 MiB: many pages, and more than the limit of one array of events in memory.
    let event = format!("\"{}\"", "x".repeat(1 << 20));
    for _ in 0..40 {
        assert_eq!(client.post("/streams/long/s", &event).status, 201);
    }
    let reply = client.get("/streams/long/s?from=1&limit=100");
    assert_eq!(reply.header("Transfer-Encoding"), Some("chunked"));
    assert_eq!(reply.ids(), (1..=40).collect::<Vec<u64>>());
    let lines = ["Accept: application/x-ndjson"];
    let reply = client.request("GET", "/streams/long/s?limit=1000000", &lines, b"");
    assert_eq!(reply.text().lines().count(), 40);
    assert!(reply.text().lines().all(|line| line.len() > 1 << 20));
    let newest = client.get("/streams/long/s?limit=3");
    assert_eq!(newest.ids(), [38, 39, 40]);
    let old = client.request("HEAD", "/streams/long/s?from=1&limit=100", &[], b"");
    assert_eq!(old.status, 200);
    assert_eq!(client.get("/streams/long/s").ids(), [40]);
}

#[test]
fn http_1_0_gets_a_long_reply_without_chunks() {
    let server = Server::shared();
    let mut client = server.connect();
    let event = format!("\"{}\"", "x".repeat(1 << 20));
    for _ in 0..3 {
        client.post("/streams/long/ten", &event);
    }
    let mut old = server.connect();
    old.send("GET /streams/long/ten?from=1&limit=9 HTTP/1.0\r\n\r\n");
    let reply = old.reply();
    assert_eq!((reply.header("Transfer-Encoding"), reply.header("Connection")), (None, Some("close")));
    assert_eq!(reply.ids(), [1, 2, 3]);
}

#[test]
fn more_events_than_one_array_may_have_are_cut_and_lines_are_not() {
    let server = Server::start(&[("MILLRACE_LIMITS__READ_EVENTS_MAX", "10")]);
    let mut client = server.connect();
    fill(&mut client, "cut/s", 35);
    assert_eq!(client.get("/streams/cut/s?from=1&limit=30").ids(), (1..=10).collect::<Vec<u64>>());
    assert_eq!(client.get("/streams/cut/s?limit=30").ids(), (26..=35).collect::<Vec<u64>>());
    let lines = ["Accept: application/x-ndjson"];
    let reply = client.request("GET", "/streams/cut/s?limit=30", &lines, b"");
    assert_eq!(reply.text().lines().count(), 30);
    assert!(reply.text().starts_with("{\"meta\":{\"id\":6,"), "{}", &reply.text()[..40]);
}

#[test]
fn a_download_has_a_name_that_cannot_do_harm() {
    let server = Server::shared();
    let mut client = server.connect();
    fill(&mut client, "files/s", 1);
    let mut name = |name: &str| {
        let reply = client.get(&format!("/streams/files/s?download={name}"));
        reply.header("Content-Disposition").map(str::to_owned)
    };
    assert_eq!(name("a.json").as_deref(), Some("attachment; filename=\"a.json\""));
    assert_eq!(name("..%2F%22%0d%0aX:%20y").as_deref(), Some("attachment; filename=\"____X_ y\""));
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let server = Server::shared();
    let mut client = server.connect();
    fill(&mut client, "heads/s", 2);
    for target in
        ["/streams/heads/s?limit=2", "/streams/heads", "/buckets", "/ping", "/stats", "/metrics", "/ui/"]
    {
        let head = client.request("HEAD", target, &[], b"");
        let get = client.get(target);
        assert_eq!(head.status, 200, "{target}");
        assert_eq!(head.header("Content-Type"), get.header("Content-Type"), "{target}");
        assert!(head.header("Content-Length").is_some(), "{target}");
    }
}

/// Turns one byte of `marker` over in every file that holds it; gives how many did.
fn spoil(dir: &Path, marker: &[u8]) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(dir).expect("a readable folder").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        if path.is_dir() {
            count += spoil(&path, marker);
            continue;
        }
        let mut bytes = std::fs::read(&path).expect("a readable file");
        let Some(at) = bytes.windows(marker.len()).position(|part| part == marker) else { continue };
        bytes[at] ^= 0x20;
        std::fs::write(&path, bytes).expect("a writable file");
        count += 1;
    }
    count
}

#[test]
fn damage_on_disk_is_told_and_everything_else_is_served() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    fill(&mut client, "damage/other", 3);
    client.post("/streams/damage/s", "\"a marker that stands nowhere else\"");
    let server = server.restart_after(&[], |dir| {
        assert!(spoil(dir, b"a marker that stands nowhere else") > 0, "the event is on disk");
    });
    let mut client = server.connect();
    let reply = client.get("/streams/damage/s?from=1");
    assert_eq!((reply.status, reply.json()["type"].as_str()), (500, Some("corrupt")), "{}", reply.text());
    assert_eq!((&reply.json()["from"], &reply.json()["to"]), (&json!(1), &json!(1)));
    assert_eq!(client.get("/streams/damage/other?from=1&limit=9").ids(), [1, 2, 3]);
    assert_eq!(client.post("/streams/damage/s", "2").id(), 2);
    let reply = client.get("/streams/damage/s?from=1&limit=9");
    assert_eq!((reply.header("Millrace-Gap"), reply.ids()), (Some("1-1"), vec![2]));
}
