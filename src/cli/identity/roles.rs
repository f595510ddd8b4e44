//! `users` and `groups`: who there is, and in which groups.
//!
//! What concerns oneself goes to `/users`, which asks for no right; groups and the grants of others are on
//! the routes of `/admin`.

use super::super::address::Target;
use super::super::client::{Call, Client};
use super::super::error::CliError;
use super::super::password;
use super::super::remote_args::RemoteFlags;
use super::super::session;
use super::args::{AddUserArgs, GroupsVerb, PasswdArgs, SetGroupsArgs, UsersVerb};
use super::{ask_admin, ask_with, grants, parse, write_done, write_line};
use serde_json::{Value, json};
use std::io::Write;

const HINT_USER: &str =
    "there is no such user or group: see `millrace users list` and `millrace groups list`";
const HINT_GROUP: &str = "the name is taken or no name, or a group of --group is none or would be in itself";

/// `millrace users`.
///
/// # Errors
/// As the verbs of `cli` do: [`super::Exit`].
pub(super) fn users(verb: &UsersVerb, flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    match verb {
        UsersVerb::List(_) => list_users(flags, out),
        UsersVerb::Add(args) => add_user(args, flags, out),
        UsersVerb::Passwd(args) => set_password(args, flags, out),
        UsersVerb::Set(args) => set_groups("users", args, flags, out),
        UsersVerb::Delete(args) => {
            let target = Target::below("/users", &args.name)?;
            session::open(flags)?.1.ask(&Call::new("DELETE", target.as_str())).map(|_| ())
        }
        UsersVerb::Show(args) => show_user(&args.name, flags, out),
    }
}

/// `millrace groups`.
///
/// # Errors
/// As [`users`].
pub(super) fn groups(verb: &GroupsVerb, flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    match verb {
        GroupsVerb::List(_) => list_groups(flags, out),
        GroupsVerb::Add(args) => {
            let body = json!({"groupname": args.name, "groups": args.groups}).to_string();
            change_admin("POST", "/admin/groups", &body, flags, out)
        }
        GroupsVerb::Set(args) => set_groups("groups", args, flags, out),
        GroupsVerb::Delete(args) => {
            let target = Target::below("/admin/groups", &args.name)?;
            let call = Call::new("DELETE", target.as_str());
            let hint = "there is no such group, or the server needs it: see `millrace groups list`";
            ask_admin(&mut session::open(flags)?.1, &call, hint).map(|_| ())
        }
        GroupsVerb::Show(args) => {
            let target = Target::below("/admin/groups", &args.name)?;
            let call = Call::new("GET", target.as_str());
            let body = ask_admin(&mut session::open(flags)?.1, &call, HINT_USER)?;
            write_role(&parse(&body)?["group"], &args.name, flags, out)
        }
    }
}

fn list_users(flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    let body = session::open(flags)?.1.ask(&Call::new("GET", "/users"))?.body;
    for user in parse(&body)?.as_array().into_iter().flatten() {
        match user["username"].as_str().filter(|_| !flags.json) {
            Some(name) => write_line(out, name)?,
            None => write_line(out, &user.to_string())?,
        }
    }
    Ok(())
}

fn list_groups(flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    let body = session::open(flags)?.1.ask(&Call::new("GET", "/admin/groups"))?.body;
    for (name, group) in parse(&body)?["groups"].as_object().into_iter().flatten() {
        if flags.json {
            write_line(out, &json!({"groupname": name, "groups": group["groups"]}).to_string())?;
        } else {
            write_line(out, name)?;
        }
    }
    Ok(())
}

fn add_user(args: &AddUserArgs, flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    // Connected first, so that nobody types a password twice for a server that is not there.
    let (_, mut client) = session::open(flags)?;
    let file = args.password.new_password_file.as_deref();
    let password = password::new_password(file, &args.name, password::ask_at_terminal)?;
    if args.groups.is_empty() {
        let body = json!({"username": args.name, "password": password});
        return write_done(out, flags, &ask_with(&mut client, "POST", "/users", &body)?);
    }
    let body = json!({"username": args.name, "password": password, "groups": args.groups}).to_string();
    let call = json_call("POST", "/admin/users", &body);
    write_done(out, flags, &ask_admin(&mut client, &call, HINT_GROUP)?)
}

fn set_password(args: &PasswdArgs, flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    let (_, mut client) = session::open(flags)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => session_user(&mut client)?,
    };
    let file = args.password.new_password_file.as_deref();
    let password = password::new_password(file, &name, password::ask_at_terminal)?;
    let body = json!({"username": name, "password": password});
    write_done(out, flags, &ask_with(&mut client, "PUT", "/users", &body)?)
}

/// Who the server takes this connection for.
fn session_user(client: &mut Client) -> Result<String, CliError> {
    let body = client.ask(&Call::new("GET", "/sessions"))?.body;
    Ok(parse(&body)?["username"].as_str().unwrap_or_default().to_owned())
}

fn set_groups(
    kind: &str,
    args: &SetGroupsArgs,
    flags: &RemoteFlags,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let target = Target::below(&format!("/admin/{kind}"), &args.name)?;
    change_admin("PUT", target.as_str(), &json!({"groups": args.groups}).to_string(), flags, out)
}

fn change_admin(
    method: &str,
    target: &str,
    body: &str,
    flags: &RemoteFlags,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let call = json_call(method, target, body);
    let hint = if method == "PUT" { HINT_USER } else { HINT_GROUP };
    write_done(out, flags, &ask_admin(&mut session::open(flags)?.1, &call, hint)?)
}

fn json_call<'a>(method: &'a str, target: &'a str, body: &'a str) -> Call<'a> {
    Call::new(method, target).header("Content-Type", "application/json").body(body.as_bytes())
}

/// With the grants for an administrator, without for others.
fn show_user(name: &str, flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    let (_, mut client) = session::open(flags)?;
    let target = Target::below("/admin/users", name)?;
    let response = client.exchange(&Call::new("GET", target.as_str()))?;
    if response.head.status() == 200 {
        return write_role(&parse(&response.body)?["user"], name, flags, out);
    }
    let target = Target::below("/users", name)?;
    let body = client.ask(&Call::new("GET", target.as_str()))?.body;
    write_role(&parse(&body)?, name, flags, out)
}

/// A user or a group: name, groups, and the grants as far as they are told.
fn write_role(role: &Value, name: &str, flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    if flags.json {
        return write_line(out, &role.to_string());
    }
    let groups: Vec<&str> =
        role["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let groups = if groups.is_empty() { "none".to_owned() } else { groups.join(", ") };
    write_line(out, &format!("{name}\ngroups: {groups}"))?;
    if role["grants"].is_object() {
        grants::write_grants_of(&role["grants"], out)?;
    }
    Ok(())
}
