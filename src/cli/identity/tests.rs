//! Laws of the verbs about users, groups, grants and sessions, against a scripted server.
//!
//! Words go in as a person types them; what is checked is what the server was sent and what was printed.

use super::super::args::Cli;
use super::super::error::{CliError, Exit};
use super::super::fake_server::{FakeServer, header, run_on};
use super::super::jwt::tests::token;
use clap::Parser;
use http1::Request;
use serde_json::{Value, json};

/// Runs a verb with a token against answers in turn; gives the requests as `METHOD TARGET BODY`, and how the
/// verb ended.
fn asked(
    words: &[&str],
    answers: &'static [(u16, &'static str)],
) -> (Vec<String>, String, Result<(), CliError>) {
    let server = FakeServer::start(move |listener| {
        let mut peer = listener.accept();
        let mut requests = Vec::new();
        for (status, body) in answers {
            requests.push(peer.request());
            peer.reply(*status, body);
        }
        requests
    });
    let words: Vec<&str> = words.iter().copied().chain(["-t", "T"]).collect();
    let (out, result) = server.run(&words);
    let requests = server.join();
    assert!(requests.iter().all(|request| header(request, "x-session") == "T"), "{words:?}");
    (requests.iter().map(shown).collect(), out, result)
}

fn shown(request: &Request) -> String {
    let body = String::from_utf8_lossy(&request.body);
    format!("{} {} {body}", request.head.method_name(), request.head.raw_target()).trim_end().to_owned()
}

fn password_file(text: &str) -> String {
    let path = std::env::temp_dir().join(format!("millrace-new-password-{}", std::process::id()));
    std::fs::write(&path, text).expect("the temporary directory can be written");
    path.display().to_string()
}

#[test]
fn users_and_groups_are_a_name_a_line_or_objects() {
    const USERS: (u16, &str) = (200, r#"[{"username":"admin"},{"username":"anna"}]"#);
    let (requests, out, result) = asked(&["users", "list"], &[USERS]);
    assert_eq!(
        (&requests[..], out.as_str(), result),
        (&["GET /users".to_owned()][..], "admin\nanna\n", Ok(()))
    );
    let (_, out, _) = asked(&["users", "list", "--json"], &[USERS]);
    assert_eq!(out, "{\"username\":\"admin\"}\n{\"username\":\"anna\"}\n");
    const GROUPS: (u16, &str) = (200, r#"{"groups":{"g-admin":{"groups":["g-authenticated"]}}}"#);
    let (requests, out, _) = asked(&["groups", "list"], &[GROUPS]);
    assert_eq!((&requests[..], out.as_str()), (&["GET /admin/groups".to_owned()][..], "g-admin\n"));
    let (_, out, _) = asked(&["groups", "list", "--json"], &[GROUPS]);
    assert_eq!(out, "{\"groupname\":\"g-admin\",\"groups\":[\"g-authenticated\"]}\n");
}

#[test]
fn a_user_is_added_with_the_password_of_a_file_and_no_word_of_it_is_printed() {
    let file = password_file("tea at five\n");
    let words = ["users", "add", "anna", "--new-password-file", &file];
    let (requests, out, result) = asked(&words, &[(201, r#"{"ok":true}"#)]);
    assert_eq!(requests, [r#"POST /users {"password":"tea at five","username":"anna"}"#]);
    assert_eq!((out.as_str(), result), ("", Ok(())));
    let words = [&words[..], &["--group", "a", "--group", "b", "--json"]].concat();
    let (requests, out, result) = asked(&words, &[(201, "{}")]);
    let expected = r#"POST /admin/users {"groups":["a","b"],"password":"tea at five","username":"anna"}"#;
    assert_eq!((requests[0].as_str(), out.as_str(), result), (expected, "{}\n", Ok(())));
}

#[test]
fn a_password_is_set_for_who_is_named_or_for_who_one_is() {
    let file = password_file("tea\n");
    let words = ["users", "passwd", "bob", "--new-password-file", &file];
    let (requests, _, result) = asked(&words, &[(200, r#"{"ok":true}"#)]);
    assert_eq!((requests[0].as_str(), result), (r#"PUT /users {"password":"tea","username":"bob"}"#, Ok(())));
    let words = ["users", "passwd", "--new-password-file", &file];
    let (requests, _, _) = asked(&words, &[(200, r#"{"username":"anna"}"#), (200, r#"{"ok":true}"#)]);
    assert_eq!(requests, ["GET /sessions", r#"PUT /users {"password":"tea","username":"anna"}"#]);
}

#[test]
fn a_user_is_shown_with_grants_to_an_administrator_and_without_to_others() {
    const FULL: (u16, &str) = (
        200,
        r#"{"user":{"username":"anna","groups":["g-a"],"grants":{
            "direct":[{"grants":["iorio.get","iorio.put"],"bucket":"iot","key":"*","bucket_grant":true,
                "any":false}],
            "groups":[{"grants":["iorio.get"],"bucket":"log","key":"a/*","bucket_grant":false,"any":false,
                "role":"g-a"}],
            "global":[{"grants":["iorio.list"],"bucket":"*","key":"*","bucket_grant":true,"any":true,
                "role":"*"}]}}}"#,
    );
    let (requests, out, _) = asked(&["users", "show", "anna"], &[FULL]);
    assert_eq!(requests, ["GET /admin/users/anna"]);
    let expected = "anna\ngroups: g-a\ngrants:\n  iot      get,put\n  log a/*  get      through g-a\n\
                    \x20 any      list     as everybody\n";
    assert_eq!(out, expected);
    let own = &[(401, "{}"), (200, r#"{"username":"anna","groups":[]}"#)];
    let (requests, out, _) = asked(&["users", "show", "anna"], own);
    assert_eq!((requests[1].as_str(), out.as_str()), ("GET /users/anna", "anna\ngroups: none\n"));
}

#[test]
fn groups_are_set_and_deleted_over_admin_and_what_has_no_words_gets_some() {
    let words = ["groups", "add", "g", "--group", "h"];
    let (requests, _, _) = asked(&words, &[(201, "{}")]);
    assert_eq!(requests, [r#"POST /admin/groups {"groupname":"g","groups":["h"]}"#]);
    let (requests, _, _) = asked(&["users", "set", "a/b", "--group", "h"], &[(200, "{}")]);
    assert_eq!(requests, [r#"PUT /admin/users/a%2Fb {"groups":["h"]}"#]);
    let (requests, _, result) = asked(&["groups", "delete", "g"], &[(404, "")]);
    assert_eq!(requests, ["DELETE /admin/groups/g"]);
    let error = result.expect_err("no such group");
    assert_eq!(error.exit, Exit::Refused);
    assert!(error.next.is_some_and(|next| next.contains("millrace groups list")));
    let (requests, _, result) = asked(&["users", "delete", "anna"], &[(204, "")]);
    assert_eq!((requests[0].as_str(), result), ("DELETE /users/anna", Ok(())));
}

#[test]
fn each_permission_is_a_request_and_the_first_that_fails_ends_it() {
    let words = ["grants", "add", "*", "get,put", "iot", "house1/*"];
    let (requests, _, result) = asked(&words, &[(200, r#"{"ok":true}"#), (200, r#"{"ok":true}"#)]);
    let expected = ["get", "put"].map(|permission| {
        let body = json!({"action": "grant", "permission": permission, "role": "*"});
        format!("POST /access/iot/house1/%2A {body}")
    });
    assert_eq!((&requests[..], result), (&expected[..], Ok(())));
    let unknown = &[(400, r#"{"type":"error","reason":"error_processing_operation"}"#)];
    let (requests, _, result) = asked(&["grants", "remove", "nobody", "get,put", "any"], unknown);
    assert_eq!(requests, [r#"POST /access/any {"action":"revoke","permission":"get","role":"nobody"}"#]);
    assert!(result.expect_err("unknown").next.is_some_and(|next| next.contains("users list")));
    let unknown = Cli::try_parse_from(["millrace", "grants", "add", "a", "get,fly", "b"]);
    assert!(unknown.expect_err("no permission").to_string().contains("there are get, put"));
}

#[test]
fn grants_are_a_role_a_line() {
    const GRANTS: (u16, &str) = (
        200,
        r#"{"users":[{"name":"anna","grants":["get","put"]}],"groups":[{"name":"*","grants":["get"]}]}"#,
    );
    let (requests, out, _) = asked(&["grants", "list", "iot"], &[GRANTS]);
    assert_eq!(requests, ["GET /access/iot"]);
    assert_eq!(out, "anna  get,put  user\n*     get      everybody\n");
    let (_, out, _) = asked(&["grants", "list", "iot", "--json"], &[GRANTS]);
    let first: Value = serde_json::from_str(out.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first, json!({"role": "anna", "kind": "user", "grants": ["get", "put"]}));
}

#[test]
fn a_session_is_shown_and_ended_and_gives_tickets() {
    let (requests, out, _) = asked(&["session", "show"], &[(200, r#"{"username":"anna"}"#)]);
    assert_eq!((requests[0].as_str(), out.as_str()), ("GET /sessions", "anna\n"));
    let (requests, out, result) = asked(&["session", "end"], &[(204, "")]);
    assert_eq!((requests[0].as_str(), out.as_str(), result), ("DELETE /sessions", "", Ok(())));
    const TICKET: (u16, &str) = (201, r#"{"ticket":"abc","expires_in":30}"#);
    let (requests, out, _) = asked(&["ticket"], &[TICKET]);
    assert_eq!((requests[0].as_str(), out.as_str()), ("POST /tickets", "abc\n"));
    assert_eq!(asked(&["ticket", "--json"], &[TICKET]).1, "{\"expires_in\":30,\"ticket\":\"abc\"}\n");
}

#[test]
fn a_token_is_issued_by_a_login_alone() {
    let issued = token(r#"{"u":"anna","exp":0}"#);
    for (flag, expected) in [
        (None, format!("{issued}\n")),
        (
            Some("--json"),
            format!("{}\n", json!({"token": issued, "username": "anna", "expires": "1970-01-01T00:00:00Z"})),
        ),
    ] {
        let body = format!(r#"{{"ok":true,"token":"{issued}","username":"anna"}}"#);
        let server = FakeServer::start(move |listener| {
            let mut peer = listener.accept();
            let login = peer.request();
            peer.reply(201, &body);
            shown(&login)
        });
        let words = ["token", "issue", "-u", "anna", "-p", "tea"];
        let words: Vec<&str> = words.into_iter().chain(flag).collect();
        assert_eq!(server.run(&words), (expected, Ok(())));
        assert_eq!(server.join(), r#"POST /sessions {"password":"tea","username":"anna"}"#);
    }
    assert_eq!(run_on(1, &["token", "issue"]).1.expect_err("nobody").exit, Exit::Usage);
}
