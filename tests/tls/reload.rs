//! SIGHUP: the certificate changes under open connections, and what is wrong changes nothing.

use crate::client::{Client, Speaks, certificate};
use crate::server::{Dir, Server};
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_new_certificate_is_for_new_connections_and_a_posting_one_goes_on() {
    let dir = Dir::new();
    let (pair, other) = (dir.pair("server"), dir.pair("other"));
    let server = Server::start(&dir, &pair);
    let mut client = Client::connect(server.https(), &Speaks::all(&pair)).expect("connects");
    let old = certificate(&pair);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let posting = scope.spawn(|| {
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                count += 1;
                assert_eq!(client.post("b/s", "1").expect("the connection goes on"), count);
            }
            count
        });
        for name in ["cert.pem", "key.pem"] {
            std::fs::copy(other.join(name), pair.join(name)).expect("ours");
        }
        server.signal("HUP");
        server.wait_for("new connections get the certificate in ");
        let mut fresh = Client::connect(server.https(), &Speaks::all(&other)).expect("the new one is shown");
        assert!(fresh.shown() != &old && fresh.shown() == &certificate(&other));
        assert_eq!(fresh.ask("GET", "/ping", b"").expect("answers").head.status(), 200);
        is_over.store(true, Ordering::Relaxed);
        assert!(posting.join().expect("no panic") > 0);
    });
    assert_eq!(client.shown(), &old);
    assert!(client.post("b/s", "1").is_ok(), "and it still goes on");
}

#[test]
fn a_reload_that_fails_says_why_and_keeps_the_old_certificate() {
    let dir = Dir::new();
    let (pair, other) = (dir.pair("server"), dir.pair("other"));
    let trusted = dir.pair("trusted");
    std::fs::copy(pair.join("cert.pem"), trusted.join("cert.pem")).expect("ours");
    let server = Server::start(&dir, &pair);
    std::fs::copy(other.join("cert.pem"), pair.join("cert.pem")).expect("ours");
    server.signal("HUP");
    let line = server.wait_for("the old certificate stays in use: the key in ");
    assert!(line.contains("key.pem does not belong to the certificate in "), "{line}");
    std::fs::remove_file(pair.join("cert.pem")).expect("ours");
    server.signal("HUP");
    server.wait_for("cert.pem cannot be read: No such file or directory");
    let mut client = Client::connect(server.https(), &Speaks::all(&trusted)).expect("the old one is shown");
    assert_eq!(client.ask("GET", "/ping", b"").expect("answers").head.status(), 200);
}

#[test]
fn without_tls_the_secrets_of_sessions_are_read_again() {
    let dir = Dir::new();
    let mut server = Server::start_bare(&dir, &[], &[]);
    assert!(server.addr("https://").is_none() && server.ready_line.starts_with("millrace ready: http://"));
    server.signal("HUP");
    server.wait_for("the secrets of sessions are read again");
    server.signal("TERM");
    assert!(server.wait().0.success());
}
