//! Certificates of clients, and the pair that `dev-cert` makes.

use crate::client::{Client, Speaks};
use crate::server::{Dir, Server, run, shown};
use rustls::version::{TLS12, TLS13};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Whether a request is answered.
fn is_served(server: &Server, trusts: &Path, shows: Option<&Path>) -> [bool; 2] {
    [&TLS12, &TLS13].map(|version| {
        let speaks = Speaks { shows, versions: &[version], ..Speaks::all(trusts) };
        // With TLS 1.3 the client hears of the refusal only when it reads.
        let mut client = Client::connect(server.https(), &speaks).ok();
        client.as_mut().is_some_and(|client| client.ask("GET", "/ping", b"").is_ok())
    })
}

#[test]
fn clients_show_certificates_when_they_may_and_when_they_must() {
    let dir = Dir::new();
    let (pair, alice, mallory) = (dir.pair("server"), dir.pair("alice"), dir.pair("mallory"));
    let ca = shown(&alice.join("cert.pem"));
    let table =
        [("off", [true, true, true]), ("optional", [true, true, false]), ("required", [false, true, false])];
    for (word, expected) in table {
        let settings = [("MILLRACE_TLS__CLIENT_CERTS", word), ("MILLRACE_TLS__CLIENT_CA", &ca)];
        let server = Server::start_with(&dir, &pair, &[], &settings);
        for (shows, expected) in
            [None, Some(alice.as_path()), Some(mallory.as_path())].into_iter().zip(expected)
        {
            assert_eq!(is_served(&server, &pair, shows), [expected; 2], "{word}, {shows:?}");
        }
    }
}

#[test]
fn the_pair_of_dev_cert_serves_and_is_not_overwritten() {
    let dir = Dir::new();
    let out = shown(&dir.0.join("pair"));
    let made = run(&["dev-cert", "--out", &out]);
    assert!(made.status.success(), "{made:?}");
    let text = String::from_utf8(made.stdout).expect("text");
    assert!(text.contains("are for localhost, 127.0.0.1, ::1, for a year"), "{text}");
    let key = dir.0.join("pair/key.pem");
    assert_eq!(std::fs::metadata(&key).expect("it is there").permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&key).expect("ours");
    let again = run(&["dev-cert", "--out", &out]);
    assert_eq!(again.status.code(), Some(74));
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("key.pem is there already")
            || String::from_utf8_lossy(&again.stderr).contains("cert.pem is there already")
    );
    assert_eq!(std::fs::read(&key).expect("ours"), before);
    let server = Server::start(&dir, &dir.0.join("pair"));
    let mut client = Client::connect(server.https(), &Speaks::all(&dir.0.join("pair"))).expect("connects");
    assert_eq!(client.ask("GET", "/ping", b"").expect("answers").head.status(), 200);
    assert!(run(&["dev-cert", "--out", &out, "--force"]).status.success());
    assert_ne!(std::fs::read(&key).expect("ours"), before);
}
