//! The client verbs that are one request and one answer: post, patch, get, lists, delete, trim.
//!
//! Each writes the server's own JSON, one value a line, so that output can be piped. `cli::run` calls them.

use super::address::Target;
use super::answer::refusal;
use super::client::{Call, Client};
use super::error::{CliError, Exit};
use super::payload;
use super::remote_args::{
    DeleteArgs, GetArgs, ListBucketsArgs, ListStreamsArgs, NamesArgs, PatchArgs, PostArgs, RemoteFlags,
    TrimArgs,
};
use super::session;
use serde_json::Value;
use serde_json::value::RawValue;
use std::io::Write;
use std::time::Duration;

/// Media types that `get` understands, the one that streams first.
const ACCEPT_EVENTS: &str = "application/x-ndjson, application/json;q=0.5";
const ACCEPT_RAW: &str = "application/octet-stream";

/// `post` of one event.
///
/// # Errors
/// As the verbs of `cli` do: [`Exit`].
pub(crate) fn post(args: &PostArgs, flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    let body = payload::read(args.payload.as_deref().unwrap_or("-"))?;
    let target =
        Target::stream(&args.stream.bucket, &args.stream.stream)?.query_some("ack", args.ack.as_deref());
    let content_type = args.content_type.as_deref().unwrap_or("application/json");
    let call = Call::new("POST", target.as_str())
        .header("Content-Type", content_type)
        .header_some("If-Match", args.if_match.map(|id| format!("\"{id}\"")))
        .header_some("Idempotency-Key", args.idempotency_key.clone())
        .header_some("Millrace-Parent", args.parent.clone())
        .body(&body);
    let response = session::open(flags)?.1.ask(&call)?;
    write_json(out, &response.body)
}

/// `patch`.
///
/// # Errors
/// As [`post`].
pub(crate) fn patch(args: &PatchArgs, flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    let body = payload::read(&args.payload)?;
    let target = Target::stream(&args.stream.bucket, &args.stream.stream)?;
    let content_type = args.content_type.as_deref().unwrap_or("application/json-patch+json");
    let call = Call::new("PATCH", target.as_str())
        .header("Content-Type", content_type)
        .header_some("If-Match", args.if_match.map(|id| format!("\"{id}\"")))
        .body(&body);
    let response = session::open(flags)?.1.ask(&call)?;
    write_json(out, &response.body)
}

/// `get`: one event a line, or the bytes of one event.
///
/// # Errors
/// As [`post`].
pub(crate) fn get(args: &GetArgs, flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    let limit = if args.raw { 1 } else { args.limit };
    let target = Target::stream(&args.stream.bucket, &args.stream.stream)?
        .query("limit", limit)
        .query_some("from", args.from)
        .query_some("at", args.at.as_deref())
        .query_some("wait", args.wait);
    let accept = if args.raw { ACCEPT_RAW } else { ACCEPT_EVENTS };
    let call = Call::new("GET", target.as_str()).header("Accept", accept);
    let (server, mut client) = session::open(flags)?;
    client.set_patience(server.timeout + Duration::from_secs(args.wait.unwrap_or(0)))?;
    client.send(&call)?;
    let head = client.receive_head()?;
    if !(200..=299).contains(&head.status()) {
        let body = collect(&mut client)?;
        return Err(refusal(head.status(), &body, head.header_str("retry-after").map(str::to_owned)));
    }
    if let Some(range) = head.header_str("millrace-gap") {
        eprintln!("millrace: events {range} are gone");
    }
    let is_array = head.header_str("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if is_array && !args.raw {
        return write_items(out, &collect(&mut client)?);
    }
    while let Some(piece) = client.receive_piece()? {
        out.write_all(&piece).map_err(|error| CliError::output(&error))?;
    }
    Ok(())
}

/// `list-buckets`.
///
/// # Errors
/// As [`post`].
pub(crate) fn list_buckets(
    args: &ListBucketsArgs,
    flags: &RemoteFlags,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    list(Target::path("/buckets"), &args.names, false, flags, out)
}

/// `list-streams`.
///
/// # Errors
/// As [`post`].
pub(crate) fn list_streams(
    args: &ListStreamsArgs,
    flags: &RemoteFlags,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    list(Target::bucket(&args.bucket)?, &args.names, args.details, flags, out)
}

/// A name a line: as it is, or as JSON text with `--json`, or as an object with `--details`.
fn list(
    target: Target,
    names: &NamesArgs,
    details: bool,
    flags: &RemoteFlags,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let target = target
        .query_some("prefix", names.prefix.as_deref())
        .query_some("after", names.after.as_deref())
        .query_some("limit", names.limit)
        .query_some("details", details.then_some("true"));
    let response = session::open(flags)?.1.ask(&Call::new("GET", target.as_str()))?;
    let answer: Value = serde_json::from_slice(&response.body).map_err(|error| foreign_answer(&error))?;
    for entry in answer["data"].as_array().into_iter().flatten() {
        match entry.as_str().filter(|_| !flags.json) {
            Some(name) => writeln!(out, "{name}"),
            None => writeln!(out, "{entry}"),
        }
        .map_err(|error| CliError::output(&error))?;
    }
    if answer["status"] == "partial" {
        return Err(CliError::new(Exit::Refused, "the list is incomplete: some partitions did not answer"));
    }
    Ok(())
}

/// `delete`.
///
/// # Errors
/// As [`post`].
pub(crate) fn delete(args: &DeleteArgs, flags: &RemoteFlags) -> Result<(), CliError> {
    let target = Target::stream(&args.stream.bucket, &args.stream.stream)?;
    session::open(flags)?.1.ask(&Call::new("DELETE", target.as_str())).map(|_| ())
}

/// `trim`.
///
/// # Errors
/// As [`post`].
pub(crate) fn trim(args: &TrimArgs, flags: &RemoteFlags) -> Result<(), CliError> {
    let target = Target::stream(&args.stream.bucket, &args.stream.stream)?.query("before", args.before);
    session::open(flags)?.1.ask(&Call::new("DELETE", target.as_str())).map(|_| ())
}

fn collect(client: &mut Client) -> Result<Vec<u8>, CliError> {
    let mut body = Vec::new();
    while let Some(piece) = client.receive_piece()? {
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Writes a JSON body with one line end.
fn write_json(out: &mut dyn Write, body: &[u8]) -> Result<(), CliError> {
    let written = out.write_all(body.trim_ascii_end()).and_then(|()| out.write_all(b"\n"));
    written.map_err(|error| CliError::output(&error))
}

/// Writes the items of a JSON array, one a line, each byte for byte as the server sent it.
fn write_items(out: &mut dyn Write, array: &[u8]) -> Result<(), CliError> {
    for item in items(array)? {
        write_line(out, item.get())?;
    }
    Ok(())
}

/// The items of a JSON array as text.
///
/// # Errors
/// [`Exit::Refused`]: it is no JSON array.
pub(crate) fn items(array: &[u8]) -> Result<Vec<Box<RawValue>>, CliError> {
    serde_json::from_slice(array).map_err(|error| foreign_answer(&error))
}

/// Writes an item on one line: line ends between its tokens (payloads are kept as they were sent) become
/// spaces, which means the same in JSON.
///
/// # Errors
/// [`Exit::Io`].
pub(crate) fn write_line(out: &mut dyn Write, item: &str) -> Result<(), CliError> {
    let mut written = Ok(());
    for (index, part) in item.split(['\n', '\r']).enumerate() {
        let space: &[u8] = if index == 0 { b"" } else { b" " };
        written = written.and_then(|()| out.write_all(space)).and_then(|()| out.write_all(part.as_bytes()));
    }
    written.and_then(|()| out.write_all(b"\n")).map_err(|error| CliError::output(&error))
}

fn foreign_answer(error: &serde_json::Error) -> CliError {
    CliError::new(Exit::Refused, format!("the server's answer is not what this version understands: {error}"))
}
