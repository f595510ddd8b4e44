//! From the first login to a user who may do one thing: what `docs/operations.md` tells an administrator.

use crate::person::Person;
use crate::server::{Server, fresh_dir};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn closed(name: &str) -> (Server, Person) {
    let dir = fresh_dir(name);
    let server = Server::try_start_closed(&dir.join("data"), &[]).expect("the server starts");
    let person = Person::at(server.addr, &dir.join("home"));
    (server, person)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn an_administrator_adds_a_user_who_may_then_do_what_was_granted_and_no_more() {
    let (_server, person) = closed("cli-identity");
    let anonymous = person.calls(&["post", "iot", "kitchen", "{}"]);
    assert_eq!(anonymous.code, Some(1));
    assert!(
        anonymous.err.contains("No Permission") && anonymous.err.contains("-u USER"),
        "{}",
        anonymous.err
    );
    // The password once; from then on the session that was kept.
    person.does(&["session", "show", "-u", "admin", "-p", "secret"]);
    let words = ["users", "add", "anna", "-u", "admin", "--new-password-file", "-"];
    let added = person.calls_with(&words, &[], "tea at five\n");
    assert_eq!((added.code, added.out.as_str()), (Some(0), ""), "{}", added.err);
    assert_eq!(person.does(&["users", "list", "-u", "admin"]), "admin\nanna\nanonymous\n");
    person.does(&["grants", "add", "anna", "get,put", "iot", "-u", "admin"]);
    assert_eq!(person.does(&["grants", "list", "iot", "-u", "admin"]), "anna  get,put  user\n");

    let password = [("MILLRACE_PASSWORD", "tea at five")];
    let posted = person.calls_with(&["post", "iot", "kitchen", "{\"c\":1}", "-u", "anna"], &password, "");
    assert_eq!(posted.code, Some(0), "{}", posted.err);
    assert!(person.does(&["get", "iot", "kitchen", "-u", "anna"]).contains("\"data\":{\"c\":1}"));
    let refused = person.calls(&["delete", "iot", "kitchen", "-u", "anna"]);
    assert!(refused.code == Some(1) && refused.err.contains("millrace grants add"), "{}", refused.err);
    let shown = person.does(&["users", "show", "anna", "-u", "admin"]);
    assert!(shown.starts_with("anna\ngroups: g-authenticated\ngrants:\n"), "{shown}");
    assert!(shown.contains("  iot     get,put\n") && shown.contains("through g-authenticated"), "{shown}");
    assert_eq!(person.does(&["users", "show", "anna", "-u", "anna"]), "anna\ngroups: g-authenticated\n");

    person.does(&["grants", "remove", "anna", "put", "iot", "-u", "admin"]);
    assert_eq!(person.calls(&["post", "iot", "kitchen", "2", "-u", "anna"]).code, Some(1));
    person.does(&["users", "delete", "anna", "-u", "admin"]);
    let gone = person.calls_with(&["get", "iot", "kitchen", "-u", "anna"], &password, "");
    assert!(gone.code == Some(1) && gone.err.contains("name or password is wrong"), "{}", gone.err);
}

#[test]
fn a_session_is_kept_for_its_owner_alone_until_it_ends() {
    let (_server, person) = closed("cli-sessions");
    person.does(&["session", "show", "-u", "admin", "-p", "secret", "--no-cache"]);
    assert!(!person.cache().exists());
    let until = person.does(&["session", "show", "-u", "admin", "-p", "secret"]);
    assert!(until.starts_with("admin, until 2"), "{until}");
    let kept: Vec<_> = std::fs::read_dir(person.cache()).expect("it was made").flatten().collect();
    assert_eq!((kept.len(), mode(&person.cache()), mode(&kept[0].path())), (1, 0o700, 0o600));
    assert_eq!(person.does(&["session", "show", "-u", "admin"]), until);

    let token = std::fs::read_to_string(kept[0].path()).expect("it is ours");
    let inspected = person.calls_with(&["token", "inspect"], &[], &token);
    // The flag of the server's port stands before a verb that has no server.
    assert_eq!(inspected.code, Some(2));
    person.does(&["session", "end", "-u", "admin"]);
    assert_eq!(std::fs::read_dir(person.cache()).expect("it is there").count(), 0);
    let over = person.calls(&["session", "show", "-t", token.trim()]);
    assert!(over.code == Some(1) && over.err.contains("log in again with -u"), "{}", over.err);
}

#[test]
fn a_kept_session_that_the_server_refuses_is_replaced_by_a_login() {
    let (_server, person) = closed("cli-refused");
    let issued = person.does(&["token", "issue", "-u", "admin", "-p", "secret"]);
    assert!(!person.cache().exists(), "what is issued is not kept");
    person.does(&["session", "show", "-u", "admin", "-p", "secret"]);
    let file = std::fs::read_dir(person.cache()).expect("there").flatten().next().expect("a file").path();
    std::fs::write(&file, &issued).expect("it is ours");
    person.does(&["session", "end", "-t", issued.trim()]);
    let password = [("MILLRACE_PASSWORD", "secret")];
    let again = person.calls_with(&["users", "list", "-u", "admin"], &password, "");
    assert_eq!((again.code, again.out.as_str()), (Some(0), "admin\nanonymous\n"), "{}", again.err);
    assert_ne!(std::fs::read_to_string(&file).expect("kept anew"), issued);
}

#[test]
fn a_password_is_changed_by_its_owner_and_the_old_one_is_worth_nothing() {
    let (_server, person) = closed("cli-passwd");
    let words = ["users", "passwd", "-u", "admin", "-p", "secret", "--new-password-file", "-"];
    let changed = person.calls_with(&words, &[], "coffee\n");
    assert_eq!(changed.code, Some(0), "{}", changed.err);
    assert_eq!(person.calls(&["session", "show", "-u", "admin", "-p", "secret"]).code, Some(1));
    let from_stdin = ["session", "show", "-u", "admin", "--password-file", "-"];
    assert_eq!(person.calls_with(&from_stdin, &[], "coffee\n").code, Some(0));
}

#[test]
fn groups_hand_on_what_was_granted_to_them() {
    let (_server, person) = closed("cli-groups");
    let admin = ["-u", "admin"];
    let does = |words: &[&str]| person.does(&[words, &admin[..]].concat());
    person.does(&["session", "show", "-u", "admin", "-p", "secret"]);
    does(&["groups", "add", "sensors"]);
    does(&["groups", "add", "roof", "--group", "sensors"]);
    does(&["grants", "add", "sensors", "put", "iot", "house1/*"]);
    let words = ["users", "add", "p7", "--group", "roof", "--new-password-file", "-", "-u", "admin"];
    assert_eq!(person.calls_with(&words, &[], "seven\n").code, Some(0));
    let p7 = |words: &[&str]| person.calls(&[words, &["-u", "p7", "-p", "seven"]].concat()).code;
    assert_eq!(p7(&["post", "iot", "house1/temp", "1"]), Some(0));
    assert_eq!(p7(&["post", "iot", "house2/temp", "1"]), Some(1));
    assert!(does(&["groups", "show", "sensors"]).contains("  iot house1/*  put"));
    does(&["users", "set", "p7", "--group", "g-authenticated"]);
    assert_eq!(p7(&["post", "iot", "house1/temp", "2"]), Some(1));
    does(&["groups", "delete", "roof"]);
    let gone = person.calls(&["groups", "show", "roof", "-u", "admin"]);
    assert!(gone.code == Some(1) && gone.err.contains("millrace groups list"), "{}", gone.err);
}

#[test]
fn a_ticket_opens_one_request() {
    let (server, person) = closed("cli-ticket");
    let ticket = person.does(&["ticket", "-u", "admin", "-p", "secret"]);
    let target = format!("/sessions?ticket={}", ticket.trim());
    let asked = || {
        use std::io::{Read, Write};
        let mut socket = std::net::TcpStream::connect(server.addr).expect("it listens");
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it answers");
        answer
    };
    assert!(asked().contains(r#"{"username":"admin"}"#));
    assert!(asked().starts_with("HTTP/1.1 401 "));
}
