//! POST of a stream: what is stored, what is answered, and what is not stored.
//!
//! Bodies are compared byte for byte. Each test writes to a bucket of its own on the shared server, but the
//! one that needs another limit.

use crate::server::Server;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

#[test]
fn ids_start_at_one_and_rise_by_one_and_times_never_fall() {
    let server = Server::shared();
    let mut client = server.connect();
    let now_ms = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let (before, mut last_time) = (now_ms(), 0);
    for id in 1..=20 {
        let reply = client.post("/streams/ids/s", "{}");
        assert_eq!((reply.status, reply.id()), (201, id));
        let time = reply.json()["meta"]["t"].as_u64().unwrap();
        assert!(time >= last_time && time >= before && time <= now_ms() + 1000, "{time}");
        last_time = time;
    }
}

#[test]
fn the_reply_to_a_post_has_location_etag_durability_and_exactly_this_body() {
    let server = Server::shared();
    let reply = server.connect().post("/streams/reply/house1/a%20b", "{\"a\":1}");
    assert_eq!(reply.status, 201);
    assert_eq!(reply.header("Location"), Some("/streams/reply/house1/a%20b/?limit=1&from=1"));
    assert_eq!(reply.header("ETag"), Some("\"1\""));
    assert_eq!(reply.header("Millrace-Durability"), Some("fsync"));
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
    assert!(reply.header("Date").is_some_and(|date| date.ends_with(" GMT")));
    assert_eq!(reply.header("Connection"), None);
    let time = reply.json()["meta"]["t"].to_string();
    assert_eq!(reply.text(), format!("{{\"meta\":{{\"id\":1,\"t\":{time}}}}}"));
}

#[test]
fn json_is_given_back_byte_for_byte() {
    let server = Server::shared();
    let mut client = server.connect();
    for text in [
        "{ \"b\" : 1.50, \"a\":\"\\u00e4\u{f6}\" }",
        "1e999",
        "\n[1,\t2]\r\n",
        "123456789012345678901234567890",
        "null",
        "\"\\ud800\"",
        "{\"a\":1,\"a\":2}",
    ] {
        let id = client.post("/streams/bytes/s", text).id();
        let reply = client.get(&format!("/streams/bytes/s?from={id}"));
        assert!(reply.text().ends_with(&format!(",\"data\":{text}}}]")), "{}", reply.text());
    }
}

#[test]
fn a_charset_on_the_content_type_does_not_matter() {
    let server = Server::shared();
    let lines = ["content-type: Application/JSON; charset=utf-8"];
    let reply = server.connect().request("POST", "/streams/charset/s", &lines, b"1");
    assert_eq!(reply.status, 201);
    let read = server.connect().get("/streams/charset/s");
    assert!(read.text().ends_with(",\"data\":1}]"), "{}", read.text());
}

#[test]
fn any_other_content_type_is_stored_with_its_type_and_read_as_base64() {
    let server = Server::shared();
    let mut client = server.connect();
    let lines = ["Content-Type: image/x; a=b"];
    assert_eq!(client.request("POST", "/streams/other/s", &lines, b"\x00\xff!").status, 201);
    let item = &client.get("/streams/other/s").json()[0];
    assert_eq!(item["data"], "AP8h");
    assert_eq!(item["meta"]["content_type"], "image/x; a=b");
    assert_eq!(item["meta"]["encoding"], "base64");
    assert_eq!(client.request("POST", "/streams/other/s", &[], b"").status, 201);
    let item = &client.get("/streams/other/s").json()[0];
    assert_eq!(
        (&item["data"], &item["meta"]["content_type"]),
        (&json!(""), &json!("application/octet-stream"))
    );
}

#[test]
fn lines_are_appended_in_order_and_all_or_none() {
    let server = Server::shared();
    let mut client = server.connect();
    let lines = ["Content-Type: application/x-ndjson"];
    let mut post = |body: &str| client.request("POST", "/streams/lines/s", &lines, body.as_bytes());
    let reply = post("{\"n\":1}\n{\"n\":2}\r\n\n3");
    assert_eq!(reply.status, 201);
    let time = reply.json()["meta"]["t"].to_string();
    assert_eq!(reply.text(), format!("{{\"meta\":{{\"id\":1,\"t\":{time},\"count\":3}}}}"));
    assert_eq!(reply.header("ETag"), Some("\"3\""));
    assert_eq!(reply.header("Location"), Some("/streams/lines/s/?limit=3&from=1"));
    let refused = post("4\n{\n5");
    assert_eq!((refused.status, refused.json()["type"].as_str()), (400, Some("invalid-body")));
    assert!(refused.json()["detail"].as_str().is_some_and(|detail| detail.starts_with("line 2")));
    assert_eq!(post("6").id(), 4);
    let read = server.connect().get("/streams/lines/s?from=1&limit=9").json();
    let values: Vec<_> = read.as_array().unwrap().iter().map(|item| item["data"].clone()).collect();
    assert_eq!(values, [json!({"n": 1}), json!({"n": 2}), json!(3), json!(6)]);
}

#[test]
fn parent_and_trace_context_are_stored_and_given_back() {
    let server = Server::shared();
    let mut client = server.connect();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traceparent = format!("traceparent: {trace}");
    let lines = ["Content-Type: application/json", "Millrace-Parent: a/b/c/7", &traceparent];
    assert_eq!(client.request("POST", "/streams/parents/s", &lines, b"1").status, 201);
    let meta = &client.get("/streams/parents/s").json()[0]["meta"];
    assert_eq!((&meta["parent"], &meta["traceparent"]), (&json!("a/b/c/7"), &json!(trace)));
}

#[test]
fn a_body_just_below_the_limit_is_taken_and_one_byte_more_is_too_large() {
    let server = Server::start(&[("MILLRACE_LIMITS__BODY_BYTES_MAX", "300000")]);
    let mut client = server.connect();
    let fits = format!("\"{}\"", "x".repeat(299_998));
    assert_eq!(client.post("/streams/b/s", &fits).status, 201);
    let refused = client.post("/streams/b/s", &format!("{fits} "));
    assert_eq!((refused.status, refused.json()["limit"].as_u64()), (413, Some(300_000)));
    let mut chunked = server.connect();
    chunked.send("POST /streams/b/s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    chunked.send(format!("{:x}\r\n", 300_001));
    assert_eq!(chunked.reply().status, 413);
    assert_eq!(server.connect().get("/streams/b/s?limit=9").ids(), [1]);
}

#[test]
fn a_large_body_is_validated_like_a_small_one() {
    let server = Server::shared();
    let mut client = server.connect();
    let large = format!("[{}1]", "1,".repeat(500_000));
    assert_eq!(client.post("/streams/large/s", &large).id(), 1);
    let bad = client.post("/streams/large/s", &large[1..]);
    assert_eq!((bad.status, bad.json()["type"].as_str()), (400, Some("invalid-body")));
    let read = client.get("/streams/large/s?limit=9");
    assert_eq!(read.json()[0]["data"].as_array().map(Vec::len), Some(500_001));
}
