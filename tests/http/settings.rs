//! Settings of streams and buckets: inheritance, all cores at once, survival, refusals.
//!
//! They are read back over HTTP only; that they take effect is tried where they do (`conditional`).

use crate::server::Server;
use serde_json::json;

#[test]
fn settings_inherit_from_system_to_bucket_to_stream() {
    let server = Server::shared();
    let mut client = server.connect();
    let (of_stream, of_bucket) = ("/streams/inherit/s?settings", "/buckets/inherit?settings");
    let system = json!({ "ack": "fsync", "tail_events": 50, "tail_bytes": 2_097_152 });
    assert_eq!(client.get(of_stream).json(), json!({ "settings": {}, "effective": system }));
    let put = client.put(of_bucket, r#"{"ack":"memory","tail_events":7}"#);
    assert_eq!(put.status, 200);
    assert_eq!(put.json()["settings"], json!({ "ack": "memory", "tail_events": 7 }));
    assert_eq!(put.header("Content-Type"), Some("application/json"));
    client.put(of_stream, r#"{"tail_events":9,"ack":null}"#);
    let read = client.get(of_stream).json();
    assert_eq!(read["settings"], json!({ "tail_events": 9 }));
    assert_eq!(read["effective"], json!({ "ack": "memory", "tail_events": 9, "tail_bytes": 2_097_152 }));
    client.put(of_bucket, "{}");
    assert_eq!(client.get(of_stream).json()["effective"]["ack"], "fsync");
}

#[test]
fn a_change_is_known_to_every_core_when_it_is_acknowledged() {
    let server = Server::shared();
    // Connections are spread over the cores by the system: with twelve, no core is likely to be left out.
    let mut clients: Vec<_> = (0..12).map(|_| server.connect()).collect();
    for round in 0..10_u64 {
        let text = format!("{{\"tail_events\":{round}}}");
        assert_eq!(clients[0].put("/streams/cores/s?settings", &text).status, 200);
        for client in &mut clients {
            let settings = client.get("/streams/cores/s?settings").json();
            assert_eq!(settings["effective"]["tail_events"], round);
        }
        clients.rotate_left(1);
    }
}

#[test]
fn settings_survive_a_restart() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.put("/buckets/b?settings", r#"{"ack":"memory"}"#);
    client.put("/streams/b/house1/temp?settings", r#"{"tail_bytes":1}"#);
    client.put("/streams/b/house1/temp?settings", r#"{"tail_bytes":2}"#);
    let server = server.restart(&[]);
    let effective = server.connect().get("/streams/b/house1/temp?settings").json()["effective"].clone();
    assert_eq!((&effective["ack"], &effective["tail_bytes"]), (&json!("memory"), &json!(2)));
}

#[test]
fn what_cannot_be_set_is_refused_by_name_and_nothing_changes() {
    let server = Server::shared();
    let mut client = server.connect();
    for (text, field, value) in [
        (r#"{"max_age":"1d"}"#, "max_age", "1d"),
        (r#"{"max_events":5}"#, "max_events", "5"),
        (r#"{"tail_events":1,"ack":"disk"}"#, "ack", "disk"),
        (r#"{"tail_events":-1}"#, "tail_events", "-1"),
        (r#"{"color":"red"}"#, "color", "red"),
    ] {
        let reply = client.put("/streams/unset/s?settings", text);
        let json = reply.json();
        assert_eq!((reply.status, json["type"].as_str()), (400, Some("invalid-field")), "{text}");
        assert_eq!((json["field"].as_str(), json["value"].as_str()), (Some(field), Some(value)), "{text}");
    }
    assert_eq!(client.put("/streams/unset/s?settings", "[]").json()["type"], "invalid-body");
    assert_eq!(client.get("/streams/unset/s?settings").json()["settings"], json!({}));
}

#[test]
fn settings_and_users_are_kept_in_a_bucket_that_no_client_can_see_or_write() {
    let server = Server::shared();
    let mut client = server.connect();
    client.put("/streams/meta/s?settings", r#"{"tail_events":3}"#);
    for reply in [
        client.get("/streams/$meta/settings/s/meta/s"),
        client.get("/streams/$meta/roles/admin"),
        client.get("/streams/$meta"),
        client.get("/buckets/$meta?settings"),
        client.post("/streams/$meta/settings/s/meta/s", "{}"),
        client.patch("/streams/$meta/settings/s/meta/s", "[]"),
        client.delete("/streams/$meta/settings/s/meta/s"),
        client.put("/buckets/$meta?settings", "{}"),
        client.put("/streams/b/$s?settings", "{}"),
    ] {
        assert_eq!((reply.status, reply.header("WWW-Authenticate")), (401, Some("jwt")));
        assert_eq!(reply.text(), r#"{"type":"no-perm","reason":"No Permission"}"#);
    }
}
