//! As whom a load is made: one login before it, and the token for every request of it.
//!
//! Called by the verbs after their options are checked. Only Millrace knows sessions, so for peers the flags
//! are refused. Nothing that is secret gets into a result or onto a screen: see [`shown_command`].

use crate::cli::LoginArgs;
use crate::failure::{Exit, Failure};
use crate::verify::client::{Client, NoAnswer};
use crate::wire::peer::Peer;
use crate::wire::token::Token;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

/// The variable in place of `--password-file`.
const PASSWORD_VARIABLE: &str = "MILLRACE_PASSWORD";
/// Who administers a server that was started here.
const ADMIN: &str = "admin";
const TOKEN_FLAG: &str = "--token";

/// Checks the flags against the peer.
pub(crate) fn check(args: &LoginArgs, peer: Peer) -> Result<(), Failure> {
    if peer != Peer::Millrace && !args.is_anonymous() {
        let message = format!("--user, --password-file and --token: {peer} has no sessions of Millrace");
        return Err(Failure::usage(message).next("leave them out"));
    }
    match &args.token {
        Some(token) if token.is_empty() => Err(Failure::usage("--token is empty").next("leave it out")),
        _ => Ok(()),
    }
}

/// The token of the flags; logs in if they name a user.
pub(crate) fn token_of(args: &LoginArgs, target: SocketAddr) -> Result<Token, Failure> {
    let from_environment = std::env::var(PASSWORD_VARIABLE).ok().filter(|password| !password.is_empty());
    match (&args.user, &args.token) {
        (Some(user), _) => {
            let password = password(user, args.password_file.as_deref(), from_environment)?;
            log_in(target, user, &password)
        }
        (None, Some(token)) => Ok(token.clone()),
        (None, None) => Ok(Token::default()),
    }
}

/// The token of the administrator of a server that was started here with this password.
pub(crate) fn own_token(target: SocketAddr, password: &str) -> Result<Token, Failure> {
    log_in(target, ADMIN, password)
}

/// A password that nobody else knows.
pub(crate) fn new_password() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| Failure::io("/dev/urandom", &error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Fails if a token that was good is not taken any more, as after a restart that lost its secret.
pub(crate) fn check_session(target: SocketAddr, token: &Token) -> Result<(), Failure> {
    if token.is_none() {
        return Ok(());
    }
    let failed =
        |what: String| Failure::new(Exit::CheckFailed, format!("the session before the kill: {what}"));
    let mut client = Client::connect(target, token).map_err(|error| failed(error.to_string()))?;
    match client.send("GET", "/sessions", &[], b"").map(|reply| reply.head.status()) {
        Ok(200) => Ok(()),
        Ok(status) => Err(failed(format!("its token is refused with status {status}"))),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// The command line as results show it: a token is left out.
pub(crate) fn shown_command(arguments: &[String]) -> String {
    let mut shown = vec!["loadgen"];
    let mut is_token = false;
    for argument in arguments {
        let is_with_value = argument.strip_prefix(TOKEN_FLAG).is_some_and(|rest| rest.starts_with('='));
        shown.push(match (std::mem::replace(&mut is_token, argument == TOKEN_FLAG), is_with_value) {
            (true, _) => "...",
            (false, true) => "--token=...",
            (false, false) => argument,
        });
    }
    shown.join(" ")
}

fn password(user: &str, file: Option<&Path>, from_environment: Option<String>) -> Result<String, Failure> {
    if let Some(path) = file {
        let text = super::common::read_file(path)?;
        return match text.lines().next() {
            Some(password) if !password.is_empty() => Ok(password.to_owned()),
            _ => {
                let message = format!("--password-file {}: its first line is empty", path.display());
                Err(Failure::usage(message).next("write the password there"))
            }
        };
    }
    from_environment.ok_or_else(|| {
        Failure::usage(format!("--user {user} needs a password"))
            .next(format!("give --password-file FILE, or set {PASSWORD_VARIABLE}"))
    })
}

fn log_in(target: SocketAddr, user: &str, password: &str) -> Result<Token, Failure> {
    let failed = |what: String| Failure::new(Exit::Unreachable, format!("the login of {user}: {what}"));
    let body = serde_json::json!({ "username": user, "password": password }).to_string();
    let json = [("Content-Type", "application/json")];
    let mut client = Client::connect(target, &Token::default()).map_err(|error| failed(error.to_string()))?;
    let reply = client.send("POST", "/sessions", &json, body.as_bytes());
    let reply = reply.map_err(|error: NoAnswer| failed(error.to_string()))?;
    match reply.head.status() {
        200..=299 => {
            let answer: Option<serde_json::Value> = serde_json::from_slice(&reply.body).ok();
            let token = answer.as_ref().and_then(|answer| answer["token"].as_str());
            token.map(Token::of).ok_or_else(|| failed("the answer holds no token".to_owned()))
        }
        401 => Err(Failure::usage(format!("the login of {user}: the server does not take this password"))
            .next(format!("see --user, --password-file and {PASSWORD_VARIABLE}"))),
        status => Err(failed(format!("status {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_left_out_of_a_command_in_either_form() {
        for (words, shown) in [
            (&["append", "--token", "a.b", "--json"][..], "loadgen append --token ... --json"),
            (&["append", "--token=a.b", "--user", "x"], "loadgen append --token=... --user x"),
            (&["append", "--tokens"], "loadgen append --tokens"),
        ] {
            let arguments: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(shown_command(&arguments), shown);
        }
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file_or_in_the_environment() {
        let path = std::env::temp_dir().join(format!("loadgen-password-{}", std::process::id()));
        std::fs::write(&path, "tea at five\nand more\n").expect("the temporary directory can be written");
        assert_eq!(password("u", Some(&path), Some("other".to_owned())), Ok("tea at five".to_owned()));
        assert_eq!(password("u", None, Some("other".to_owned())), Ok("other".to_owned()));
        std::fs::write(&path, "\n").expect("the temporary directory can be written");
        for (file, said) in [(Some(path.as_path()), "its first line is empty"), (None, "--user u needs a")] {
            let failure = password("u", file, None).expect_err(said);
            assert!(failure.exit == Exit::Usage && failure.to_string().contains(said), "{failure}");
        }
    }

    #[test]
    fn passwords_of_servers_that_are_started_here_differ() {
        let (a, b) = (new_password().expect("random"), new_password().expect("random"));
        assert!(a != b && a.len() == 32);
    }
}
