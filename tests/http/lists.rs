//! `/buckets` and `/streams/:bucket`: names, order, pages, details.
//!
//! A test that counts all buckets starts a server of its own; the others keep to one bucket.

use crate::server::Server;
use serde_json::json;

#[test]
fn buckets_are_listed_once_sorted_and_at_once() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    assert_eq!(client.get("/buckets").text(), r#"{"status":"ok","data":[]}"#);
    for (bucket, stream) in [("b", "1"), ("a", "1"), ("b", "2"), ("b", "3"), ("\u{f6}", "1")] {
        let bucket = bucket.replace('\u{f6}', "%C3%B6");
        client.post(&format!("/streams/{bucket}/{stream}"), "1");
        assert!(client.get("/buckets").json()["data"].as_array().is_some_and(|data| !data.is_empty()));
    }
    assert_eq!(client.get("/buckets").json(), json!({ "status": "ok", "data": ["a", "b", "\u{f6}"] }));
    assert_eq!(client.get("/buckets/?prefix=b").json()["data"], json!(["b"]));
    assert_eq!(client.get("/buckets?after=a&limit=1").json()["data"], json!(["b"]));
    assert_eq!(client.get("/buckets?limit=0").json()["data"], json!([]));
}

#[test]
fn the_server_s_own_buckets_are_listed_only_when_asked_for() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.put("/buckets/b?settings", r#"{"ack":"memory"}"#);
    client.post("/streams/b/s", "1");
    assert_eq!(client.get("/buckets?limit=1").json()["data"], json!(["b"]));
    assert_eq!(client.get("/buckets?prefix=$").json()["data"], json!(["$meta"]));
}

#[test]
fn streams_of_a_bucket_are_listed_page_by_page() {
    let server = Server::shared();
    let mut client = server.connect();
    let mut names: Vec<String> = (0..50).map(|n| format!("s{n}")).chain(["x/y".to_owned()]).collect();
    for name in &names {
        assert_eq!(client.post(&format!("/streams/pages/{name}"), "1").status, 201);
    }
    names.sort();
    assert_eq!(client.get("/streams/pages").json(), json!({ "status": "ok", "data": names }));
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/streams/pages/?limit=7&after={after}")).json();
        let page: Vec<String> = serde_json::from_value(page["data"].clone()).unwrap();
        let Some(last) = page.last() else { break };
        after.clone_from(last);
        all.extend(page);
    }
    assert_eq!(all, names);
    assert_eq!(client.get("/streams/pages?prefix=s1&limit=2").json()["data"], json!(["s1", "s10"]));
    assert_eq!(client.get("/streams/pages?prefix=x%2F").json()["data"], json!(["x/y"]));
    assert_eq!(client.get("/streams/nothing-here").json(), json!({ "status": "ok", "data": [] }));
}

#[test]
fn details_tell_what_a_stream_holds() {
    let server = Server::shared();
    let mut client = server.connect();
    for _ in 0..4 {
        client.post("/streams/details/s", "\"12345\"");
    }
    client.delete("/streams/details/s?before=2");
    let time = client.get("/streams/details/s").json()[0]["meta"]["t"].clone();
    let item = client.get("/streams/details?details=true").json()["data"][0].clone();
    let bytes = item["bytes"].as_u64().expect("bytes");
    assert!(bytes >= 4 * 7, "{item}");
    let expected = json!({ "name": "s", "first": 2, "last": 4, "events": 3, "bytes": bytes, "t": time });
    assert_eq!(item, expected);
    assert_eq!(client.get("/streams/details?details=false").json()["data"], json!(["s"]));
}
