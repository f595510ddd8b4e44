//! `loadgen report`: results in, one page and a table out.
//!
//! A file holds one result or an array of them, as `compare --out` writes.

use super::common;
use crate::cli::ReportArgs;
use crate::failure::Failure;
use crate::outcome::page::page;
use crate::outcome::result::ResultFile;
use crate::outcome::table;
use std::path::Path;

/// Runs it.
pub(crate) fn run(args: &ReportArgs) -> Result<(), Failure> {
    let mut files = Vec::new();
    for path in &args.results {
        files.extend(read(path)?);
    }
    if let Some(path) = &args.output {
        common::write_file(path, &page(&files))?;
    }
    let notes: String = files.iter().map(table::notes).collect();
    common::print(&(table::table(&files) + &notes))
}

fn read(path: &Path) -> Result<Vec<ResultFile>, Failure> {
    let text = common::read_file(path)?;
    let parsed = match text.trim_start().starts_with('[') {
        true => parse_all(&text),
        false => ResultFile::parse(&text).map(|file| vec![file]),
    };
    parsed.map_err(|what| {
        Failure::usage(format!("{}: {what}", path.display())).next("name files that --json or --out wrote")
    })
}

fn parse_all(text: &str) -> Result<Vec<ResultFile>, String> {
    let parts: Vec<serde_json::Value> =
        serde_json::from_str(text).map_err(|error| format!("no results: {error}"))?;
    parts.iter().map(|part| ResultFile::parse(&part.to_string())).collect()
}
