//! PATCH of a stream: both kinds, the log of patches, and what happens when writers race.
//!
//! Races are run with real threads; what is asserted holds whatever their order: what was answered with 200
//! is there once, what was answered with 409 is not.

use crate::server::Server;
use crate::wire::Reply;
use serde_json::json;

#[test]
fn a_patch_of_the_newest_event_becomes_the_next_event() {
    let server = Server::shared();
    let mut client = server.connect();
    client.post("/streams/patch/s", "{\"old\":true}");
    client.post("/streams/patch/s", "{\"a\":1,\"b\":[1]}");
    let patch = r#"[{"op":"add","path":"/b/-","value":2},{"op":"remove","path":"/a"}]"#;
    let reply = client.patch("/streams/patch/s", patch);
    let time = reply.json()["meta"]["t"].to_string();
    assert_eq!((reply.status, reply.text()), (200, &*format!("{{\"meta\":{{\"id\":3,\"t\":{time}}}}}")));
    assert_eq!(client.get("/streams/patch/s").json()[0]["data"], json!({ "b": [1, 2] }));
}

#[test]
fn the_patch_itself_is_kept_in_a_stream_beside_it() {
    let server = Server::shared();
    let mut client = server.connect();
    client.post("/streams/patch/kept", "{}");
    let patch = r#"[{"op": "add", "path": "/a", "value": 1}]"#;
    assert_eq!(client.patch("/streams/patch/kept", patch).status, 200);
    let kept = client.get("/streams/patch/kept-$patch?limit=9");
    assert_eq!(kept.ids(), [1]);
    assert!(kept.text().ends_with(&format!("\"data\":{patch}}}]")), "{}", kept.text());
}

#[test]
fn a_merge_patch_merges_into_the_newest_event() {
    let server = Server::shared();
    let mut client = server.connect();
    client.post("/streams/patch/merge", "{\"a\":{\"b\":1,\"c\":2}}");
    let lines = ["Content-Type: application/merge-patch+json"];
    let reply = client.request("PATCH", "/streams/patch/merge", &lines, b"{\"a\":{\"b\":null},\"d\":4}");
    assert_eq!((reply.status, reply.id()), (200, 2));
    assert_eq!(client.get("/streams/patch/merge").json()[0]["data"], json!({ "a": { "c": 2 }, "d": 4 }));
}

#[test]
fn a_stream_without_events_cannot_be_patched() {
    let server = Server::shared();
    let mut client = server.connect();
    let reply = client.patch("/streams/patch/none", "[]");
    assert_eq!((reply.status, reply.text()), (400, r#"{"type":"not-found","reason":"Not Found"}"#));
}

#[test]
fn what_is_no_patch_or_does_not_apply_changes_nothing() {
    let server = Server::shared();
    let mut client = server.connect();
    client.post("/streams/patch/bad", "{\"a\":1}");
    for patch in [
        "",
        "{",
        "{}",
        r#"[{"op":"test","path":"/a","value":2}]"#,
        r#"[{"op":"remove","path":"/x"}]"#,
        r#"[{"op":"add","path":"/b","value":1},{"op":"test","path":"/a","value":2}]"#,
    ] {
        let reply = client.patch("/streams/patch/bad", patch);
        assert_eq!((reply.status, reply.json()["type"].as_str()), (400, Some("invalid-body")), "{patch}");
    }
    client.request("POST", "/streams/patch/bad", &["Content-Type: text/plain"], b"text");
    assert_eq!(client.patch("/streams/patch/bad", "[]").json()["type"], "invalid-body");
    assert_eq!(client.get("/streams/patch/bad?limit=9").ids(), [1, 2]);
    assert_eq!(client.get("/streams/patch/bad-$patch").text(), "[]");
}

#[test]
fn a_patch_of_another_event_than_the_client_saw_is_refused() {
    let server = Server::shared();
    let mut client = server.connect();
    client.post("/streams/patch/match", "{}");
    client.post("/streams/patch/match", "{}");
    let mut patch = |line: &str| {
        let lines = ["Content-Type: application/json-patch+json", line];
        client.request("PATCH", "/streams/patch/match", &lines, b"[]")
    };
    let refused = patch("If-Match: \"1\"");
    assert_eq!((refused.status, refused.json()["seq"].as_u64()), (412, Some(2)));
    assert_eq!(patch("If-Match: \"2\"").id(), 3);
}

/// The body of Iorio's wire, misspelling and all.
fn check_conflict(reply: &Reply) {
    let json = reply.json();
    let (expected, got) = (&json["reason"]["expected"], &json["reason"]["got"]);
    assert!(expected.as_u64() < got.as_u64());
    let reason = format!(r#"{{"reason":"confict","field":"seqnum","expected":{expected},"got":{got}}}"#);
    assert_eq!(reply.text(), format!(r#"{{"type":"error","reason":{reason}}}"#));
}

/// Ten writers patch one counter: the server retries for them, so that every patch that is answered with 200
/// is there, and one that is not answers the body of Iorio's wire.
#[test]
fn patches_that_race_all_land_or_say_conflict_and_none_is_lost() {
    let server = Server::shared();
    server.connect().post("/streams/patch/race", "[]");
    let landed: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..10)
            .map(|writer| {
                let server = server.clone();
                scope.spawn(move || {
                    let mut client = server.connect();
                    let mut landed = 0;
                    for n in 0..10 {
                        let patch = format!(r#"[{{"op":"add","path":"/-","value":"{writer}-{n}"}}]"#);
                        let reply = client.patch("/streams/patch/race", &patch);
                        match reply.status {
                            200 => landed += 1,
                            409 => {
                                check_conflict(&reply);
                            }
                            status => panic!("{status}: {}", reply.text()),
                        }
                    }
                    landed
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    let newest = server.connect().get("/streams/patch/race").json();
    let mut values: Vec<String> =
        newest[0]["data"].as_array().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(values.len(), landed);
    values.sort();
    values.dedup();
    assert_eq!(values.len(), landed, "none twice");
    assert_eq!(newest[0]["meta"]["id"].as_u64(), Some(landed as u64 + 1));
}

#[test]
fn a_patch_that_lost_its_race_is_told_expected_and_got() {
    let server = Server::start(&[("MILLRACE_LIMITS__PATCH_RETRIES", "0")]);
    server.connect().post("/streams/b/s", "[]");
    let conflicts: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.connect();
                    let patch = r#"[{"op":"add","path":"/-","value":1}]"#;
                    let replies = (0..40).map(|_| client.patch("/streams/b/s", patch));
                    let lost = replies.filter(|reply| reply.status == 409);
                    lost.inspect(check_conflict).count()
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert!(conflicts > 0, "eight writers at once lose a race now and then");
    let newest = server.connect().get("/streams/b/s").json();
    assert_eq!(newest[0]["data"].as_array().map(Vec::len), Some(8 * 40 - conflicts));
}

#[test]
fn a_patch_cannot_make_a_document_grow_without_bound() {
    let server = Server::shared();
    let mut client = server.connect();
    client.post("/streams/patch/bomb", "{\"a\":[\"xxxxxxxxxxxxxxxx\"]}");
    let double = r#"{"op":"copy","from":"/a","path":"/a/-"}"#;
    let reply = client.patch("/streams/patch/bomb", &format!("[{}]", [double; 60].join(",")));
    assert_eq!((reply.status, reply.json()["type"].as_str()), (413, Some("too-large")));
    assert_eq!(client.get("/streams/patch/bomb").ids(), [1]);
}
