//! What `inspect` tells: files, details and damage, as text or as JSON lines.
//!
//! Damage is what acknowledged data lost, or what keeps a server from starting; notes are harmless. The
//! counts decide the exit code.

use super::super::error::{CliError, Exit};
use super::super::paint::{Paint, Tone};
use engine::FileId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use types::{PartitionId, SeqNum, StreamKey};

/// Streams of one damage that are named in the text form; JSON has all.
const STREAMS_TOLD_MAX: usize = 5;

/// Something that is damaged.
#[derive(Clone, Debug)]
pub(super) struct Damage {
    file: FileId,
    offset: u64,
    /// Bytes, where that is known.
    pub(super) len: Option<u64>,
    /// Whose data it was, where that is known.
    pub(super) partition: Option<PartitionId>,
    /// First and last sequence number by stream, where they are known.
    pub(super) streams: BTreeMap<StreamKey, (SeqNum, SeqNum)>,
    what: String,
}

impl Damage {
    /// Damage at a place of a file.
    pub(super) fn new(file: FileId, offset: u64, what: impl Into<String>) -> Damage {
        let streams = BTreeMap::new();
        Damage { file, offset, len: None, partition: None, streams, what: what.into() }
    }

    /// Adds events that it held.
    pub(super) fn add_events(&mut self, key: &StreamKey, first: SeqNum, last: SeqNum) {
        let range = self.streams.entry(key.clone()).or_insert((first, last));
        *range = (range.0.min(first), range.1.max(last));
    }

    fn to_text(&self) -> String {
        let mut text = format!("{} at offset {}", self.file, self.offset);
        if let Some(len) = self.len {
            text.push_str(&format!(", {len} bytes"));
        }
        if let Some(partition) = self.partition {
            text.push_str(&format!(", partition {partition}"));
        }
        for (key, (first, last)) in self.streams.iter().take(STREAMS_TOLD_MAX) {
            text.push_str(&format!(", {key} events {first} to {last}"));
        }
        match self.streams.len().saturating_sub(STREAMS_TOLD_MAX) {
            0 => {}
            more => text.push_str(&format!(", and {more} more streams")),
        }
        format!("{text}: {}", self.what)
    }

    fn to_json(&self) -> Value {
        let stream = |(key, (first, last)): (&StreamKey, &(SeqNum, SeqNum))| {
            json!({
                "bucket": key.bucket.as_str(), "stream": key.stream.as_str(), "from": first.0, "to": last.0,
            })
        };
        json!({
            "file": self.file.to_string(),
            "offset": self.offset,
            "length": self.len,
            "partition": self.partition.map(|partition| partition.0),
            "streams": self.streams.iter().map(stream).collect::<Vec<_>>(),
            "what": self.what,
        })
    }
}

/// Writes what is found and counts it.
pub(super) struct Report<'a> {
    out: &'a mut dyn Write,
    is_json: bool,
    is_verbose: bool,
    paint: Paint,
    /// Files that were looked at.
    files: u64,
    /// Sound records, in segments and journals.
    pub(super) records: u64,
    damages: u64,
}

impl<'a> Report<'a> {
    /// An empty report.
    pub(super) fn new(out: &'a mut dyn Write, is_json: bool, is_verbose: bool) -> Report<'a> {
        Report { out, is_json, is_verbose, paint: Paint::for_stdout(), files: 0, records: 0, damages: 0 }
    }

    /// Tells of a file.
    pub(super) fn file(&mut self, file: FileId, text: &str, json: Value) -> Result<(), CliError> {
        self.files += 1;
        let name = file.to_string();
        self.write("file", &format!("{name:<32} {text}"), with(json, "file", name.into()))
    }

    /// Tells of a part of a file, where somebody wants to know all.
    pub(super) fn detail(&mut self, kind: &str, text: &str, json: Value) -> Result<(), CliError> {
        if self.is_verbose { self.write(kind, &format!("  {text}"), json) } else { Ok(()) }
    }

    /// Tells of something that is not about one file.
    pub(super) fn tell(&mut self, kind: &str, text: &str, json: Value) -> Result<(), CliError> {
        self.write(kind, text, json)
    }

    /// Tells of something harmless that is worth knowing.
    pub(super) fn note(&mut self, file: FileId, text: &str) -> Result<(), CliError> {
        let word = self.paint.tone(Tone::Notice, "note");
        let json = json!({"file": file.to_string(), "what": text});
        self.write("note", &format!("{word}   {file}: {text}"), json)
    }

    /// Tells of damage.
    pub(super) fn damage(&mut self, damage: &Damage) -> Result<(), CliError> {
        self.damages += 1;
        let word = self.paint.tone(Tone::Bad, "damage");
        let json = json!({"damage": damage.to_json()});
        self.write("damage", &format!("{word} {}", damage.to_text()), json)
    }

    /// The last line, and the verdict.
    ///
    /// # Errors
    /// [`Exit::Refused`] when there was damage.
    pub(super) fn finish(mut self) -> Result<(), CliError> {
        let (files, records, damages) = (self.files, self.records, self.damages);
        let verdict = match damages {
            0 => self.paint.tone(Tone::Good, "sound"),
            count => self.paint.tone(Tone::Bad, &format!("{count} damaged")),
        };
        let json = json!({"files": files, "records": records, "damages": damages});
        self.write("summary", &format!("{files} files, {records} records: {verdict}"), json)?;
        if damages == 0 {
            return Ok(());
        }
        let places = if damages == 1 { "place is" } else { "places are" };
        let message = format!("{damages} {places} damaged");
        Err(CliError::new(Exit::Refused, message).next(
            "a server serves the rest and tells readers the gap; --salvage OUT copies out what is sound",
        ))
    }

    fn write(&mut self, kind: &str, text: &str, json: Value) -> Result<(), CliError> {
        let written = if self.is_json {
            writeln!(self.out, "{}", with(json, "kind", kind.into()))
        } else {
            writeln!(self.out, "{text}")
        };
        written.map_err(|error| CliError::output(&error))
    }
}

fn with(mut json: Value, name: &str, value: Value) -> Value {
    json[name] = value;
    json
}
