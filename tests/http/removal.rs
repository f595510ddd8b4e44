//! DELETE of a stream and of its oldest events.
//!
//! What is deleted begins again at 1; what is trimmed never does.

use crate::server::Server;

#[test]
fn a_deleted_stream_is_empty_and_its_ids_begin_again_at_one() {
    let server = Server::shared();
    let mut client = server.connect();
    client.post("/streams/delete/s", "1");
    client.post("/streams/delete/s", "2");
    let reply = client.delete("/streams/delete/s");
    assert_eq!(
        (reply.status, reply.header("Content-Length"), reply.header("Content-Type")),
        (204, None, None)
    );
    assert_eq!(client.get("/streams/delete/s?limit=9").text(), "[]");
    assert_eq!(client.get("/streams/delete").text(), r#"{"status":"ok","data":[]}"#);
    assert_eq!(client.post("/streams/delete/s", "3").id(), 1);
    assert_eq!(client.get("/streams/delete/s?limit=9").json()[0]["data"], 3);
}

#[test]
fn deleting_what_is_not_there_succeeds() {
    let server = Server::shared();
    let mut client = server.connect();
    assert_eq!(client.delete("/streams/delete/none").status, 204);
    assert_eq!(client.delete("/streams/delete/none?before=7").status, 204);
}

#[test]
fn a_trim_forgets_events_and_never_their_ids() {
    let server = Server::shared();
    let mut client = server.connect();
    for _ in 0..6 {
        client.post("/streams/trim/s", "1");
    }
    let reply = client.delete("/streams/trim/s?before=4");
    assert_eq!((reply.status, reply.header("Millrace-First")), (204, Some("4")));
    assert_eq!(client.get("/streams/trim/s?from=4&limit=9").ids(), [4, 5, 6]);
    assert_eq!(client.delete("/streams/trim/s?before=0").status, 204);
    assert_eq!(client.get("/streams/trim/s?limit=9").ids(), [4, 5, 6]);
    assert_eq!(client.delete("/streams/trim/s?before=99").header("Millrace-First"), Some("7"));
    assert_eq!(client.get("/streams/trim/s?limit=9").text(), "[]");
    assert_eq!(client.post("/streams/trim/s", "1").id(), 7);
    for value in ["x", "-1", "", "1.5"] {
        let reply = client.delete(&format!("/streams/trim/s?before={value}"));
        assert_eq!((reply.status, reply.json()["field"].as_str()), (400, Some("before")), "{value}");
    }
    assert_eq!(client.get("/streams/trim/s?limit=9").ids(), [7]);
}
