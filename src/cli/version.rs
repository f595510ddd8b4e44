//! `version`: which program this is.
//!
//! The same number as `--version`, the `User-Agent` of the client verbs and the identity file of a data
//! directory that this build created.

use super::args::VersionArgs;
use super::error::CliError;
use serde_json::json;
use std::io::Write;

/// Prints name and version.
///
/// # Errors
/// [`super::error::Exit::Io`].
pub(crate) fn version(args: &VersionArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let version = env!("CARGO_PKG_VERSION");
    let text = if args.json {
        json!({"name": "millrace", "version": version}).to_string()
    } else {
        format!("millrace {version}")
    };
    writeln!(out, "{text}").map_err(|error| CliError::output(&error))
}
