//! Laws of logins and of what is kept of them, against a scripted server and a folder of the test's own.

use super::super::error::CliError;
use super::super::fake_server::{FakeServer, Listener, header};
use super::super::jwt::tests::token;
use super::*;
use crate::sys::tests::TempDir;
use std::path::Path;

fn nobody(_: &str) -> Result<Option<String>, CliError> {
    Ok(None)
}

fn around(dir: &Path) -> Around {
    Around { token: None, password: None, cache: Some(TokenCache::within(dir)), ask: nobody }
}

fn flags(port: u16) -> RemoteFlags {
    let text = |text: &str| Some(text.to_owned());
    RemoteFlags { port: Some(port), user: text("anna"), timeout: Some(5), ..RemoteFlags::default() }
}

fn with_password(port: u16) -> RemoteFlags {
    RemoteFlags { password: Some("tea".to_owned()), ..flags(port) }
}

fn alive() -> String {
    token(r#"{"u":"anna"}"#)
}

/// Answers a login with a token; gives the password that came.
fn answer_login(listener: &Listener, token: &str) -> String {
    let mut peer = listener.accept();
    let request = peer.request();
    assert_eq!(request.head.raw_target(), "/sessions");
    peer.reply(201, &format!(r#"{{"ok":true,"token":"{token}","username":"anna"}}"#));
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    body["password"].as_str().expect("a login has a password").to_owned()
}

/// Opens with the flags; gives the token of the session.
fn opened(flags: &RemoteFlags, around: Around) -> Result<Option<String>, CliError> {
    Login::within(flags, around).open().map(|(server, _)| server.token)
}

#[test]
fn the_token_of_a_login_is_used_by_the_next_call_without_a_password() {
    let dir = TempDir::new();
    let server = FakeServer::start(|listener| {
        let password = answer_login(listener, &alive());
        listener.accept();
        let mut peer = listener.accept();
        let asked = peer.request();
        peer.reply(200, r#"{"username":"anna"}"#);
        (password, asked.head.method_name().to_owned(), header(&asked, "x-session"))
    });
    assert_eq!(opened(&with_password(server.port), around(&dir.0)), Ok(Some(alive())));
    assert_eq!(opened(&flags(server.port), around(&dir.0)), Ok(Some(alive())));
    assert_eq!(server.join(), ("tea".to_owned(), "GET".to_owned(), alive()));
}

#[test]
fn a_kept_token_that_is_refused_is_replaced_if_there_is_a_password_and_forgotten_if_not() {
    for is_there in [true, false] {
        let dir = TempDir::new();
        let other = token(r#"{"u":"anna","sid":2}"#);
        let answer = other.clone();
        let server = FakeServer::start(move |listener| {
            let mut peer = listener.accept();
            peer.request();
            peer.reply(401, r#"{"type":"no-perm","reason":"Token Revoked"}"#);
            if is_there {
                assert_eq!(answer_login(listener, &answer), "from the environment");
                listener.accept();
            }
        });
        let entry = TokenCache::within(&dir.0).entry(&format!("127.0.0.1:{}", server.port), "anna");
        let entry = entry.expect("a short name");
        entry.store(&alive()).expect("it can be written");
        let password = is_there.then(|| "from the environment".to_owned());
        let result = opened(&flags(server.port), Around { password, ..around(&dir.0) });
        server.join();
        if is_there {
            assert_eq!((result, entry.load(0)), (Ok(Some(other.clone())), Some(other)));
        } else {
            let error = result.expect_err("nobody knows the password");
            assert_eq!((error.exit, entry.load(0)), (Exit::Usage, None));
            assert!(error.message.contains("is over"), "{}", error.message);
        }
    }
}

#[test]
fn a_password_that_is_said_logs_in_whatever_is_kept() {
    let dir = TempDir::new();
    let server = FakeServer::start(|listener| {
        answer_login(listener, &alive());
        listener.accept();
    });
    let entry = TokenCache::within(&dir.0).entry(&format!("127.0.0.1:{}", server.port), "anna");
    entry.expect("a short name").store(&token("{}")).expect("it can be written");
    assert_eq!(opened(&with_password(server.port), around(&dir.0)), Ok(Some(alive())));
    server.join();
}

#[test]
fn nothing_is_kept_if_that_is_not_wished_or_a_token_is_given() {
    let dir = TempDir::new();
    let server = FakeServer::start(|listener| {
        answer_login(listener, &alive());
        listener.accept();
        listener.accept();
    });
    let silent = RemoteFlags { no_cache: true, ..with_password(server.port) };
    assert_eq!(opened(&silent, around(&dir.0)), Ok(Some(alive())));
    let given = RemoteFlags { token: Some("given".to_owned()), ..flags(server.port) };
    assert_eq!(opened(&given, around(&dir.0)), Ok(Some("given".to_owned())));
    server.join();
    assert_eq!(std::fs::read_dir(&dir.0).expect("there").count(), 0);
}

#[test]
fn a_verb_with_several_connections_asks_for_the_password_once() {
    let dir = TempDir::new();
    let server = FakeServer::start(|listener| {
        let password = answer_login(listener, &alive());
        listener.accept();
        let mut peer = listener.accept();
        peer.request();
        peer.reply(401, r#"{"type":"no-perm","reason":"Token Expired"}"#);
        [
            password,
            answer_login(listener, &alive()),
            format!("{:?}", listener.accept().stream.peer_addr().is_ok()),
        ]
    });
    let once = RemoteFlags { no_cache: true, ..flags(server.port) };
    let mut login =
        Login::within(&once, Around { ask: |prompt| Ok(Some(prompt.to_owned())), ..around(&dir.0) });
    login.open().expect("logged in");
    login.around.ask = nobody;
    login.open().expect("logged in again");
    let prompt = format!("Password of anna at 127.0.0.1:{}: ", server.port);
    assert_eq!(server.join(), [prompt.clone(), prompt, "true".to_owned()]);
}

#[test]
fn a_user_without_a_password_is_told_how_to_give_one() {
    let dir = TempDir::new();
    let error = opened(&flags(1), around(&dir.0)).expect_err("no password");
    assert_eq!((error.exit, error.message.as_str()), (Exit::Usage, "-u needs a password"));
    assert!(error.next.is_some_and(|next| next.contains("--password-file")));
}
