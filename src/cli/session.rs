//! From flags to a connection: host, token, login.
//!
//! Every client verb starts here. Secrets come from flags, or from the environment so that they do not stand
//! in the list of processes.

use super::client::{Call, Client, Server};
use super::error::{CliError, Exit};
use super::remote_args::RemoteFlags;
use serde_json::{Value, json};

/// The variables in place of `-t` and `-p`.
const TOKEN_VARIABLE: &str = "MILLRACE_TOKEN";
const PASSWORD_VARIABLE: &str = "MILLRACE_PASSWORD";

/// Connects to the server that the flags name, logged in if they name a user.
///
/// # Errors
/// [`Exit::Unreachable`]; [`Exit::Refused`] when the login fails; [`Exit::Usage`] for a user without
/// password.
pub(crate) fn open(flags: &RemoteFlags) -> Result<(Server, Client), CliError> {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let mut flags = flags.clone();
    if flags.user.is_none() && flags.token.is_none() {
        flags.token = variable(TOKEN_VARIABLE);
    }
    flags.password = flags.password.or_else(|| variable(PASSWORD_VARIABLE));
    open_as(&flags)
}

/// As [`open`], without looking at the environment.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_as(flags: &RemoteFlags) -> Result<(Server, Client), CliError> {
    let mut server = Server::from_flags(flags)?;
    let user = match (&flags.user, &flags.token) {
        (Some(user), None) => user,
        _ => return Ok((server.clone(), Client::connect(&server)?)),
    };
    let Some(password) = &flags.password else {
        return Err(CliError::new(Exit::Usage, "-u needs a password")
            .next("give it with -p or, better, in MILLRACE_PASSWORD"));
    };
    let body = json!({"username": user, "password": password}).to_string();
    let call =
        Call::new("POST", "/sessions").header("Content-Type", "application/json").body(body.as_bytes());
    let response = Client::connect(&server)?.ask(&call)?;
    let answer: Option<Value> = serde_json::from_slice(&response.body).ok();
    let token = answer.as_ref().and_then(|answer| answer["token"].as_str());
    let Some(token) = token else {
        return Err(CliError::new(Exit::Refused, "the server's answer to the login holds no token"));
    };
    server.token = Some(token.to_owned());
    Ok((server.clone(), Client::connect(&server)?))
}
