//! Users, groups, grants, sessions and tokens: the verbs that administer who may do what.
//!
//! `cli::run` calls [`run`]. Each verb is one request or a few over one connection; what succeeds and has
//! nothing to tell prints nothing, with `--json` the server's answer. Never printed: a password, or a token
//! that was not asked for.

pub(crate) mod args;
mod grants;
mod inspect;
mod roles;
mod rotate;
mod sessions;

use super::answer::failure_of;
use super::client::{Call, Client};
use super::error::{CliError, Exit};
use super::remote_args::RemoteFlags;
use args::{GrantsVerb, GroupsVerb, IdentityVerb as Verb, SessionVerb, TokenVerb, UsersVerb};
use serde_json::Value;
use std::io::Write;

/// Runs one of these verbs. `before` are the flags that stand before the verb.
///
/// # Errors
/// As the verbs of `cli` do: [`Exit`].
pub(crate) fn run(verb: &Verb, before: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    let flags = remote(verb).map(|flags| flags.over(before)).unwrap_or_default();
    match verb {
        Verb::Users(args) => roles::users(&args.verb, &flags, out),
        Verb::Groups(args) => roles::groups(&args.verb, &flags, out),
        Verb::Grants(args) => grants::grants(&args.verb, &flags, out),
        Verb::Session(args) => sessions::session(&args.verb, &flags, out),
        Verb::Ticket(_) => sessions::ticket(&flags, out),
        Verb::Token(args) => match &args.verb {
            TokenVerb::Issue(_) => sessions::issue(&flags, out),
            _ if *before != RemoteFlags::default() => Err(super::flags_without_server()),
            TokenVerb::Inspect(args) => inspect::inspect(args, out),
            TokenVerb::Rotate(args) => rotate::rotate(args, out),
        },
    }
}

/// Whether the verb was asked for JSON.
pub(crate) fn wants_json(verb: &Verb) -> bool {
    match verb {
        Verb::Token(args) => match &args.verb {
            TokenVerb::Issue(args) => args.remote.json,
            TokenVerb::Inspect(args) => args.json,
            TokenVerb::Rotate(args) => args.json,
        },
        _ => remote(verb).is_some_and(|flags| flags.json),
    }
}

/// The flags behind a verb that talks to a server.
fn remote(verb: &Verb) -> Option<&RemoteFlags> {
    Some(match verb {
        Verb::Users(args) => match &args.verb {
            UsersVerb::List(args) => &args.remote,
            UsersVerb::Add(args) => &args.remote,
            UsersVerb::Passwd(args) => &args.remote,
            UsersVerb::Set(args) => &args.remote,
            UsersVerb::Delete(args) | UsersVerb::Show(args) => &args.remote,
        },
        Verb::Groups(args) => match &args.verb {
            GroupsVerb::List(args) => &args.remote,
            GroupsVerb::Add(args) | GroupsVerb::Set(args) => &args.remote,
            GroupsVerb::Delete(args) | GroupsVerb::Show(args) => &args.remote,
        },
        Verb::Grants(args) => match &args.verb {
            GrantsVerb::List(args) => &args.remote,
            GrantsVerb::Add(args) | GrantsVerb::Remove(args) => &args.remote,
        },
        Verb::Session(args) => match &args.verb {
            SessionVerb::Show(args) | SessionVerb::End(args) => &args.remote,
        },
        Verb::Ticket(args) => &args.remote,
        Verb::Token(args) => match &args.verb {
            TokenVerb::Issue(args) => &args.remote,
            TokenVerb::Inspect(_) | TokenVerb::Rotate(_) => return None,
        },
    })
}

/// Asks with a JSON body.
fn ask_with(client: &mut Client, method: &str, target: &str, body: &Value) -> Result<Vec<u8>, CliError> {
    let body = body.to_string();
    let call = Call::new(method, target).header("Content-Type", "application/json").body(body.as_bytes());
    client.ask(&call).map(|response| response.body.to_vec())
}

/// Asks a route of `/admin`, whose answers 400 and 404 have no words: `hint` says what may be wrong.
fn ask_admin(client: &mut Client, call: &Call<'_>, hint: &str) -> Result<Vec<u8>, CliError> {
    let response = client.exchange(call)?;
    match response.head.status() {
        200..=299 => Ok(response.body.to_vec()),
        400 | 404 => Err(failure_of(&response).next(hint)),
        _ => Err(failure_of(&response)),
    }
}

/// An answer that is JSON.
fn parse(body: &[u8]) -> Result<Value, CliError> {
    serde_json::from_slice(body)
        .map_err(|error| CliError::new(Exit::Refused, format!("the server's answer is no JSON: {error}")))
}

/// With `--json` the answer of a change; otherwise there is nothing to tell.
fn write_done(out: &mut dyn Write, flags: &RemoteFlags, body: &[u8]) -> Result<(), CliError> {
    match std::str::from_utf8(body.trim_ascii()) {
        Ok(text) if flags.json && !text.is_empty() => write_line(out, text),
        _ => Ok(()),
    }
}

fn write_line(out: &mut dyn Write, text: &str) -> Result<(), CliError> {
    writeln!(out, "{text}").map_err(|error| CliError::output(&error))
}

#[cfg(test)]
mod tests;
