//! The secret of tokens is rotated: old tokens stay good while their secret is kept, and not longer.

use crate::person::Person;
use crate::server::{Server, fresh_dir};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

fn issue(person: &Person) -> String {
    person.does(&["token", "issue", "-u", "admin", "-p", "secret"]).trim().to_owned()
}

/// Calls the binary without a server.
fn offline(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_millrace")).args(words).output().expect("it was built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn rotate(data: &Path) {
    let said = offline(&["token", "rotate", "--data", data.to_str().expect("a plain path")]);
    assert!(said.contains("signs now") && said.contains("SIGHUP"), "{said}");
}

fn is_taken(person: &Person, token: &str) -> bool {
    person.calls(&["session", "show", "-t", token]).code == Some(0)
}

#[test]
fn tokens_of_the_last_secret_stay_good_and_those_before_it_do_not() {
    let dir = fresh_dir("cli-rotation");
    let data = dir.join("data");
    let start = || {
        let server = Server::try_start_closed(&data, &[]).expect("the server starts");
        let person = Person::at(server.addr, &dir.join("home"));
        (server, person)
    };
    let (server, person) = start();
    let first = issue(&person);
    let inspected = offline(&["token", "inspect", &first]);
    assert!(inspected.contains("\"u\":\"admin\"") && inspected.contains("not yet"), "{inspected}");
    rotate(&data);
    assert!(is_taken(&person, &first), "a running server was not told");
    assert!(server.stop().success());

    let (server, person) = start();
    let second = issue(&person);
    assert_ne!(kid(&first), kid(&second));
    assert!(is_taken(&person, &first) && is_taken(&person, &second));
    assert!(server.stop().success());
    rotate(&data);

    let (_server, person) = start();
    assert!(!is_taken(&person, &first) && is_taken(&person, &second));
    let mode = std::fs::metadata(data.join("secret")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_server_that_is_told_takes_the_new_secret_and_drops_the_old_one() {
    let dir = fresh_dir("cli-rotation-told");
    let data = dir.join("data");
    let server = Server::try_start_closed(&data, &[]).expect("the server starts");
    let person = Person::at(server.addr, &dir.join("home"));
    let first = issue(&person);
    assert!(is_taken(&person, &first));
    offline(&["token", "rotate", "--keep", "0", "--data", data.to_str().expect("a plain path")]);
    let told =
        Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().expect("kill is there");
    assert!(told.success());
    let begin = std::time::Instant::now();
    // Known to the cores by then, and refused all the same.
    while is_taken(&person, &first) {
        assert!(begin.elapsed() < std::time::Duration::from_secs(20), "the old secret is still good");
    }
    let second = issue(&person);
    assert!(is_taken(&person, &second) && kid(&first) != kid(&second));
}

/// Which secret signed a token.
fn kid(token: &str) -> String {
    let shown = offline(&["token", "inspect", token, "--json"]);
    let kid = shown.split("\"kid\":\"").nth(1).and_then(|rest| rest.split('"').next());
    kid.expect("the header names the secret").to_owned()
}
