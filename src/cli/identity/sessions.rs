//! `session`, `ticket` and `token issue`: the session itself.
//!
//! `token issue` alone prints a token. What `session end` ends is forgotten here too, whether the server knew
//! of it or not.

use super::super::client::Call;
use super::super::error::{CliError, Exit};
use super::super::jwt::{Jwt, rfc3339};
use super::super::remote_args::RemoteFlags;
use super::super::session::{self, Login};
use super::args::SessionVerb;
use super::{parse, write_line};
use serde_json::json;
use std::io::Write;

/// `millrace session`.
///
/// # Errors
/// As the verbs of `cli` do: [`Exit`].
pub(super) fn session(verb: &SessionVerb, flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    match verb {
        SessionVerb::Show(_) => show(flags, out),
        SessionVerb::End(_) => end(flags),
    }
}

fn show(flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    let (server, mut client) = session::open(flags)?;
    let answer = parse(&client.ask(&Call::new("GET", "/sessions"))?.body)?;
    let user = answer["username"].as_str().unwrap_or_default();
    let jwt = server.token.as_deref().and_then(Jwt::read);
    let expires = jwt.and_then(|jwt| jwt.time_s("exp")).map(rfc3339);
    if flags.json {
        return write_line(out, &json!({"username": user, "expires": expires}).to_string());
    }
    match expires {
        Some(expires) => write_line(out, &format!("{user}, until {expires}")),
        None => write_line(out, user),
    }
}

fn end(flags: &RemoteFlags) -> Result<(), CliError> {
    let mut login = Login::new(flags);
    let (server, mut client) = login.open()?;
    if server.token.is_none() {
        return Err(CliError::new(Exit::Usage, "nobody is logged in, so no session can end")
            .next("say whose with -u USER, or give its token with -t"));
    }
    let ended = client.ask(&Call::new("DELETE", "/sessions"));
    login.forget();
    ended.map(|_| ())
}

/// `millrace ticket`.
///
/// # Errors
/// As [`session`].
pub(super) fn ticket(flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    let body = session::open(flags)?.1.ask(&Call::new("POST", "/tickets").body(b""))?.body;
    let answer = parse(&body)?;
    match answer["ticket"].as_str().filter(|_| !flags.json) {
        Some(ticket) => write_line(out, ticket),
        None => write_line(out, &answer.to_string()),
    }
}

/// `millrace token issue`.
///
/// # Errors
/// As [`session`].
pub(super) fn issue(flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    let token = Login::new(flags).issue()?;
    if !flags.json {
        return write_line(out, &token);
    }
    let expires = Jwt::read(&token).and_then(|jwt| jwt.time_s("exp")).map(rfc3339);
    write_line(out, &json!({"token": token, "username": flags.user, "expires": expires}).to_string())
}
