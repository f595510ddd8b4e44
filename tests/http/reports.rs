//! The server's own streams: figures in `$sys/metrics`, each interval, kept for so long.
//!
//! With an interval of a second; what has to come is waited for.

use crate::server::Server;
use serde_json::json;

fn server(more: &[(&str, &str)]) -> Server {
    let mut settings = vec![("MILLRACE_SERVER__CORES", "1"), ("MILLRACE_METRICS__INTERVAL_S", "1s")];
    settings.extend(more);
    Server::start(&settings)
}

#[test]
fn an_event_of_figures_comes_each_interval_and_tells_what_came_since() {
    let server = server(&[]);
    let mut client = server.connect();
    client.post("/streams/b/s", "1");
    client.get("/nowhere");
    let first = client.get("/streams/$sys/metrics?from=1&wait=20").json()[0].clone();
    assert_eq!((&first["meta"]["id"], &first["data"]["node"]), (&json!(1), &json!(0)));
    let metrics = &first["data"]["metrics"];
    assert_eq!(metrics["http"]["interval"]["replies_4xx"], 1);
    assert_eq!(metrics["http"]["times"]["append"]["count"], 1);
    assert_eq!(metrics["storage"]["total"]["events_appended"], 1);
    assert_eq!(metrics["storage"]["now"]["streams"], 1 + 5, "and four roles, and everybody");
    assert_eq!(metrics["shards"][0]["shard"], 0);
    assert!(metrics["shards"][0]["journal_write_times"]["count"].as_u64().is_some_and(|count| count > 0));
    assert!(metrics["node"]["now"]["resident_bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000));
    let interval_ms = metrics["interval_ms"].as_u64().expect("told");
    assert!((900..20_000).contains(&interval_ms), "{interval_ms}");
    let second = client.get("/streams/$sys/metrics?from=2&wait=20").json()[0]["data"]["metrics"].clone();
    assert_eq!(second["http"]["interval"]["replies_4xx"], 0, "it was told already");
    assert_eq!(second["http"]["total"]["replies_4xx"], 1);
    // The events of the interval before: figures and activity.
    assert_eq!(second["storage"]["interval"]["events_appended"], 2);
    let activity = client.get("/streams/$sys/activity?from=1&limit=1").json()[0]["data"].clone();
    assert_eq!(activity["session_check"][0]["key"], json!(["anonymous", "localhost", "127.0.0.1"]));
    assert_eq!(client.get("/buckets").json()["data"], json!(["b"]), "the server's own are not listed");
    assert_eq!(client.get("/streams/$sys?prefix=").json()["data"], json!(["activity", "metrics"]));
}

#[test]
fn no_more_events_are_kept_than_were_asked_for() {
    let server = server(&[("MILLRACE_METRICS__EVENTS_MAX", "2")]);
    let mut client = server.connect();
    assert_eq!(client.get("/streams/$sys/metrics?from=4&wait=20").ids(), [4]);
    // The trim comes right behind the append.
    let mut left = client.get("/streams/$sys/metrics?from=1&limit=10").ids();
    while left.len() > 2 {
        left = client.get("/streams/$sys/metrics?from=1&limit=10").ids();
    }
    assert_eq!(left.len(), 2);
    assert!(left[0] >= 3 && left[1] == left[0] + 1, "{left:?}");
}

#[test]
fn figures_follow_a_listener_like_any_stream_and_survive_a_restart() {
    let server = server(&[]);
    let mut client = server.connect();
    let heard = client.get("/listen?s=$sys:metrics:1&timeout=20").json();
    assert_eq!(heard[0]["meta"]["stream"], "metrics");
    let again = server.restart(&[("MILLRACE_SERVER__CORES", "1"), ("MILLRACE_METRICS__INTERVAL_S", "0")]);
    let mut client = again.connect();
    let kept = client.get("/streams/$sys/metrics?from=1&limit=1");
    assert_eq!(kept.ids(), [1]);
    let last = client.get("/streams/$sys/metrics").ids();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(client.get("/streams/$sys/metrics").ids(), last, "0 is none");
}
