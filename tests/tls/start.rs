//! Starting with TLS: the ready line, and every refusal with its words and its exit code.

use crate::client::{Client, Speaks};
use crate::server::{Dir, Server, shown};

/// Starts a server that does not start; gives its exit code and what it said.
fn refusal(dir: &Dir, words: &[&str]) -> (Option<i32>, String) {
    let mut server = Server::start_bare(dir, words, &[]);
    assert_eq!(server.ready_line, "");
    let (status, said) = server.wait();
    (status.code(), said)
}

#[test]
fn the_ready_line_names_both_addresses_or_the_secure_one_alone() {
    let dir = Dir::new();
    let pair = dir.pair("server");
    let server = Server::start(&dir, &pair);
    let (http, https) = (server.addr("http://").expect("plain"), server.https());
    let expected = format!("millrace ready: http://{http} https://{https} (");
    assert!(server.ready_line.starts_with(&expected), "{}", server.ready_line);
    drop(server);
    let server = Server::start_with(&dir, &pair, &["--http", "off"], &[]);
    let expected = format!("millrace ready: https://{} (", server.https());
    assert!(server.ready_line.starts_with(&expected), "{}", server.ready_line);
    let mut client = Client::connect(server.https(), &Speaks::all(&pair)).expect("connects");
    assert_eq!(client.post("b/s", "1").expect("stored"), 1);
}

#[test]
fn files_that_cannot_be_served_are_refused_by_name() {
    let dir = Dir::new();
    let (pair, other) = (dir.pair("server"), dir.pair("other"));
    let (cert, key) = (shown(&pair.join("cert.pem")), shown(&pair.join("key.pem")));
    let other_key = shown(&other.join("key.pem"));
    let start = |cert: &str, key: &str| {
        refusal(&dir, &["--https", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key])
    };
    let (code, said) = start(&cert, &other_key);
    assert_eq!(code, Some(78));
    let expected = format!("millrace: the key in {other_key} does not belong to the certificate in {cert}");
    assert!(said.starts_with(&expected), "{said}");
    let (code, said) = start("/nowhere/cert.pem", &key);
    assert_eq!(code, Some(78));
    assert!(said.contains("the certificate file /nowhere/cert.pem cannot be read: No such file"), "{said}");
    let (code, said) = start(&key, &key);
    assert_eq!(code, Some(78));
    assert!(said.contains(&format!("the certificate file {key} holds no certificate")), "{said}");
    let (code, said) = start(&cert, &cert);
    assert_eq!(code, Some(78));
    assert!(said.contains(&format!("the key file {cert} holds no key")), "{said}");
}

#[test]
fn settings_that_lack_each_other_are_refused() {
    let dir = Dir::new();
    let (code, said) = refusal(&dir, &["--https"]);
    assert_eq!(code, Some(78));
    assert!(said.contains("tls.addr needs tls.cert") && said.contains("tls.addr needs tls.key"), "{said}");
    assert!(said.contains("tls.addr = \"127.0.0.1:8443\", flag --https"), "{said}");
    let (code, said) = refusal(&dir, &["--http", "off"]);
    assert_eq!(code, Some(78));
    assert!(said.contains("http.addr and tls.addr are both off"), "{said}");
    let pair = dir.pair("server");
    let (cert, key) = (shown(&pair.join("cert.pem")), shown(&pair.join("key.pem")));
    let words = ["--dev", "--https", "0.0.0.0:0", "--tls-cert", &cert, "--tls-key", &key];
    let (code, said) = refusal(&dir, &words);
    assert_eq!(code, Some(78));
    assert!(said.contains("refusing to listen on 0.0.0.0:0"), "{said}");
}
