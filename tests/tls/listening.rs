//! Listening over TLS: server-sent events and WebSockets, by the binary's own verbs.

use crate::client::{Client, Speaks};
use crate::server::{Dir, Server, run, shown};

#[test]
fn both_forms_pass_from_the_past_into_the_present() {
    let dir = Dir::new();
    let pair = dir.pair("server");
    let server = Server::start(&dir, &pair);
    let url = format!("https://localhost:{}", server.https().port());
    let cacert = shown(&pair.join("cert.pem"));
    let mut client = Client::connect(server.https(), &Speaks::all(&pair)).expect("connects");
    for n in 1..=50 {
        assert_eq!(client.post("b/s", &n.to_string()).expect("stored"), n);
    }
    std::thread::scope(|scope| {
        let listen = |form: &'static [&'static str]| {
            let (url, cacert) = (&url, &cacert);
            scope.spawn(move || {
                let words = ["-H", url, "--cacert", cacert, "listen", "b:s:1", "-l", "100", "--no-reconnect"];
                run(&[&words[..], form].concat())
            })
        };
        let listeners = [listen(&[]), listen(&["--websocket"])];
        std::thread::sleep(std::time::Duration::from_millis(300));
        for n in 51..=100 {
            assert_eq!(client.post("b/s", &n.to_string()).expect("stored"), n);
        }
        for listener in listeners {
            let heard = listener.join().expect("no panic");
            assert!(heard.status.success(), "{heard:?}");
            let text = String::from_utf8(heard.stdout).expect("text");
            let ids: Vec<u64> = text
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
                .map(|item| item["meta"]["id"].as_u64().expect("an id"))
                .collect();
            assert_eq!(ids, (1..=100).collect::<Vec<u64>>());
        }
    });
}

#[test]
fn lines_are_posted_in_a_pipeline_by_two_threads() {
    let dir = Dir::new();
    let pair = dir.pair("server");
    let server = Server::start(&dir, &pair);
    let port = server.https().port().to_string();
    let lines = dir.0.join("lines");
    // Large enough that both directions fill up.
    let text: String = (0..3_000).map(|n| format!("\"{n}{}\"\n", "x".repeat(n % 4_000))).collect();
    std::fs::write(&lines, text).expect("ours");
    let (cacert, file) = (shown(&pair.join("cert.pem")), format!("@{}", shown(&lines)));
    let before = ["-s", "-H", "localhost", "-P", &port, "--cacert", &cacert];
    let posted = run(&[&before[..], &["post", "b", "lines", &file, "--lines", "--quiet"]].concat());
    let told = String::from_utf8_lossy(&posted.stdout).into_owned();
    assert_eq!(told, "stored 3000 of 3000 events, ids 1 to 3000\n", "{posted:?}");
}

#[test]
fn a_client_does_not_talk_to_a_server_that_it_does_not_know_unless_told_so() {
    let dir = Dir::new();
    let (pair, other) = (dir.pair("server"), dir.pair("other"));
    let server = Server::start(&dir, &pair);
    let url = format!("https://localhost:{}", server.https().port());
    let wrong = shown(&other.join("cert.pem"));
    let refused = run(&["-H", &url, "--cacert", &wrong, "list-buckets"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(69), "{text}");
    assert!(text.contains("TLS: invalid peer certificate") && text.contains("--cacert FILE"), "{text}");
    // The right certificate for a name that is not in it.
    let numbers = format!("https://127.0.0.1:{}", server.https().port());
    let right = shown(&pair.join("cert.pem"));
    assert_eq!(run(&["-H", &numbers, "--cacert", &right, "list-buckets"]).status.code(), Some(69));
    let blind = run(&["-H", &numbers, "--insecure", "list-buckets"]);
    assert!(blind.status.success(), "{blind:?}");
    assert!(
        String::from_utf8_lossy(&blind.stderr)
            .contains("--insecure: the server's certificate is not checked")
    );
    for words in [
        &["--cacert", &right, "list-buckets"][..],
        &["-s", "-H", "http://localhost:1", "list-buckets"],
        &["-H", "https://localhost:1", "-P", "2", "list-buckets"],
        &["-H", "https://localhost:1/path", "list-buckets"],
    ] {
        assert_eq!(run(words).status.code(), Some(2), "{words:?}");
    }
}
