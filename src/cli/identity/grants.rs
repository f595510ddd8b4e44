//! `grants`: who may do what with a bucket or a stream, over `/access`; and grants as `users show` has them.
//!
//! A stream may be a glob; the server says whether it is one. Several permissions are several requests, in
//! the order given; the first that fails ends it.

use super::super::address::Target;
use super::super::client::Call;
use super::super::error::CliError;
use super::super::remote_args::RemoteFlags;
use super::super::session;
use super::args::{ChangeGrantArgs, GrantsVerb, ListGrantsArgs};
use super::{ask_with, parse, write_done, write_line};
use serde_json::{Value, json};
use std::io::Write;

/// `millrace grants`.
///
/// # Errors
/// As the verbs of `cli` do: [`super::Exit`].
pub(super) fn grants(verb: &GrantsVerb, flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    match verb {
        GrantsVerb::List(args) => list(args, flags, out),
        GrantsVerb::Add(args) => change("grant", args, flags, out),
        GrantsVerb::Remove(args) => change("revoke", args, flags, out),
    }
}

fn list(args: &ListGrantsArgs, flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    let target = Target::access(&args.resource.bucket, args.resource.stream.as_deref())?;
    let body = session::open(flags)?.1.ask(&Call::new("GET", target.as_str()))?.body;
    let answer = parse(&body)?;
    let mut rows = Vec::new();
    for (kind, of_kind) in [("user", &answer["users"]), ("group", &answer["groups"])] {
        for role in of_kind.as_array().into_iter().flatten() {
            let name = role["name"].as_str().unwrap_or_default();
            let kind = if name == "*" { "everybody" } else { kind };
            if flags.json {
                let item = json!({"role": name, "kind": kind, "grants": role["grants"]});
                write_line(out, &item.to_string())?;
            } else {
                rows.push([name.to_owned(), words(&role["grants"]), kind.to_owned()]);
            }
        }
    }
    write_rows(&rows, out)
}

fn change(
    action: &str,
    args: &ChangeGrantArgs,
    flags: &RemoteFlags,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let target = Target::access(&args.resource.bucket, args.resource.stream.as_deref())?;
    let (_, mut client) = session::open(flags)?;
    for permission in &args.permissions.0 {
        let body = json!({"action": action, "role": args.role, "permission": permission.name()});
        let answer = ask_with(&mut client, "POST", target.as_str(), &body);
        let answer = answer.map_err(|error| match error.members.get("reason") {
            Some(reason) if reason == "error_processing_operation" => error
                .next("there is no such user or group: see `millrace users list` and `millrace groups list`"),
            _ => error,
        })?;
        write_done(out, flags, &answer)?;
    }
    Ok(())
}

/// The grants of a user or group, with where each comes from.
///
/// # Errors
/// [`super::Exit::Io`].
pub(super) fn write_grants_of(grants: &Value, out: &mut dyn Write) -> Result<(), CliError> {
    let mut rows = Vec::new();
    for source in ["direct", "groups", "global"] {
        for item in grants[source].as_array().into_iter().flatten() {
            let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
            let place = match (item["any"] == true, item["bucket_grant"] == true) {
                (true, _) => "  any".to_owned(),
                (false, true) => format!("  {}", text("bucket")),
                (false, false) => format!("  {} {}", text("bucket"), text("key")),
            };
            let role = match source {
                "direct" => String::new(),
                "groups" => format!("through {}", text("role")),
                _ => "as everybody".to_owned(),
            };
            rows.push([place, words(&item["grants"]), role]);
        }
    }
    write_line(out, if rows.is_empty() { "grants: none" } else { "grants:" })?;
    write_rows(&rows, out)
}

/// Permissions with commas between, as `grants add` takes them.
fn words(grants: &Value) -> String {
    let names = grants.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| name.strip_prefix("iorio.").unwrap_or(name)).collect::<Vec<_>>().join(",")
}

type Row = [String; 3];

fn write_rows(rows: &[Row], out: &mut dyn Write) -> Result<(), CliError> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    rows.iter().try_for_each(|[a, b, c]| {
        let line = format!("{a:first$}  {b:second$}  {c}");
        write_line(out, line.trim_end())
    })
}
