//! Writes under a condition: `If-Match`, `Idempotency-Key` and `?ack=`.
//!
//! Races are run with real threads; what is asserted holds whatever their order. A restart stands between a
//! key's first use and its retry where survival is the law.

use crate::server::Server;
use crate::wire::{Client, Reply};
use serde_json::json;

fn post(client: &mut Client, target: &str, line: &str, body: &str) -> Reply {
    client.request("POST", target, &["Content-Type: application/json", line], body.as_bytes())
}

#[test]
fn if_match_appends_only_when_the_number_is_the_last() {
    let server = Server::shared();
    let mut client = server.connect();
    let target = "/streams/ifmatch/s";
    assert_eq!(post(&mut client, target, "If-Match: \"0\"", "1").id(), 1);
    let refused = post(&mut client, target, "If-Match: \"0\"", "2");
    assert_eq!(refused.status, 412);
    assert_eq!(
        refused.json(),
        json!({ "type": "precondition-failed", "reason": "Precondition Failed", "seq": 1 })
    );
    assert_eq!(post(&mut client, target, "If-Match: \"1\"", "2").id(), 2);
    assert_eq!(post(&mut client, target, "If-Match: \"3\"", "2").status, 412);
    assert_eq!(post(&mut client, target, "If-Match: \"1\"", "2").json()["seq"], 2);
}

#[test]
fn the_etag_of_a_read_is_an_if_match() {
    let server = Server::shared();
    let mut client = server.connect();
    client.post("/streams/ifmatch/etag", "1");
    let tag = client.get("/streams/ifmatch/etag").header("ETag").expect("an ETag").to_owned();
    assert_eq!(post(&mut client, "/streams/ifmatch/etag", &format!("If-Match: {tag}"), "2").id(), 2);
    assert_eq!(post(&mut client, "/streams/ifmatch/etag", &format!("If-Match: {tag}"), "3").status, 412);
}

#[test]
fn of_many_writers_with_the_same_condition_exactly_one_wins() {
    let server = Server::shared();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|_| {
                let server = server.clone();
                scope.spawn(move || {
                    post(&mut server.connect(), "/streams/ifmatch/race", "If-Match: \"0\"", "1").status
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 7, "{statuses:?}");
}

#[test]
fn a_retry_with_the_same_key_answers_what_the_first_one_did() {
    let server = Server::shared();
    let mut client = server.connect();
    let target = "/streams/keys/s";
    let first = post(&mut client, target, "Idempotency-Key: k1", "{\"a\":1}");
    assert_eq!((first.status, first.header("Idempotent-Replayed")), (201, None));
    client.post(target, "2");
    let retry = post(&mut client, target, "Idempotency-Key: k1", "{\"a\":1}");
    assert_eq!((retry.status, retry.header("Idempotent-Replayed")), (200, Some("true")));
    assert_eq!(retry.text(), first.text());
    let other = post(&mut client, target, "Idempotency-Key: k1", "{\"a\":2}");
    assert_eq!((other.status, other.json()["type"].as_str()), (422, Some("idempotency-mismatch")));
    assert_eq!(client.get(&format!("{target}?from=1&limit=9")).ids(), [1, 2]);
}

#[test]
fn a_key_survives_a_restart() {
    let server = Server::start(&[]);
    let first = post(&mut server.connect(), "/streams/keys/r", "Idempotency-Key: \"k\"", "1");
    let server = server.restart(&[]);
    let mut client = server.connect();
    let retry = post(&mut client, "/streams/keys/r", "Idempotency-Key: \"k\"", "1");
    assert_eq!((retry.status, retry.text()), (200, first.text()));
    assert_eq!(client.get("/streams/keys/r?from=1&limit=9").ids(), [1]);
}

#[test]
fn an_append_answered_from_memory_needs_leave_and_says_so() {
    let server = Server::shared();
    let mut client = server.connect();
    let target = "/streams/acks/s?ack=memory";
    let refused = client.post(target, "1");
    assert_eq!(refused.status, 400);
    assert_eq!(
        (refused.json()["field"].as_str(), refused.json()["value"].as_str()),
        (Some("ack"), Some("memory"))
    );
    assert_eq!(client.put("/streams/acks/s?settings", "{\"ack\":\"memory\"}").status, 200);
    let taken = client.post(target, "1");
    assert_eq!((taken.status, taken.header("Millrace-Durability")), (201, Some("memory")));
    let durable = client.post("/streams/acks/s?ack=fsync", "1");
    assert_eq!((durable.id(), durable.header("Millrace-Durability")), (2, Some("fsync")));
}
