//! `--salvage OUT`: every sound event of a directory as one JSON line, by stream and sequence number.
//!
//! `OUT/events.jsonl` has the items of `/listen` (bucket and stream in `meta`), so a plain reader can post
//! them again; no name becomes part of a path. Deleted streams and trimmed events stay away. Each event is
//! written once, however many copies there are. Records of segments are read again when they are written:
//! memory holds an index of runs, and the journal's records.

use super::super::error::{CliError, Exit};
use super::directory::{Directory, OpenFile};
use super::report::Report;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use commitlog::{Batch, BatchBody, ChunkRun, SegmentMeta, StreamState, chunk_records};
use engine::FileId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use types::{Epoch, LogIndex, Record, SeqNum, StreamKey};

/// A run of a stream in a chunk of a segment.
struct RunPlace {
    segment: usize,
    chunk_offset: u64,
    chunk_len: u32,
    first: SeqNum,
    last: SeqNum,
}

/// What was found of one incarnation of a stream.
#[derive(Default)]
struct StreamFound {
    runs: Vec<RunPlace>,
    journal: BTreeMap<SeqNum, Record>,
    /// Oldest event that is alive, whether the stream is deleted, and the index of the change that said so.
    first: SeqNum,
    is_deleted: bool,
    state_index: LogIndex,
}

/// The index of what is sound.
pub(super) struct Salvage {
    out: PathBuf,
    segments: Vec<(FileId, SegmentMeta)>,
    streams: BTreeMap<(StreamKey, Epoch), StreamFound>,
}

impl Salvage {
    /// Creates the directory to copy to.
    ///
    /// # Errors
    /// [`Exit::Usage`] when it is there already: nothing is ever overwritten. [`Exit::Io`].
    pub(super) fn create(out: &Path) -> Result<Salvage, CliError> {
        fs::create_dir(out).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                CliError::new(Exit::Usage, format!("{} is there already", out.display()))
                    .next("name a directory that does not exist yet")
            }
            _ => CliError::io(&format!("cannot create {}", out.display()), &error),
        })?;
        Ok(Salvage { out: out.to_owned(), segments: Vec::new(), streams: BTreeMap::new() })
    }

    /// Enters a segment; gives its place in the index.
    pub(super) fn add_segment(&mut self, file: FileId, meta: &SegmentMeta) -> usize {
        self.segments.push((file, *meta));
        self.segments.len() - 1
    }

    /// Enters a run of a sound chunk.
    pub(super) fn note_run(&mut self, segment: usize, chunk_offset: u64, chunk_len: u32, run: &ChunkRun) {
        let last = run.records.last().map_or(run.first_seq, Record::seq);
        let place = RunPlace { segment, chunk_offset, chunk_len, first: run.first_seq, last };
        self.stream(&run.key, run.epoch).runs.push(place);
    }

    /// Enters what a footer says of a stream.
    pub(super) fn note_state(&mut self, state: &StreamState) {
        let found = self.stream(&state.key, state.epoch);
        if state.last_index >= found.state_index {
            found.state_index = state.last_index;
            found.first = found.first.max(state.first);
            found.is_deleted |= state.deleted;
        }
    }

    /// Enters a batch of a journal.
    pub(super) fn note_batch(&mut self, batch: &Batch) {
        match &batch.body {
            BatchBody::Events(events) => {
                for event in events {
                    let (key, epoch) = &batch.streams[event.stream as usize];
                    self.stream(key, *epoch).journal.insert(event.record.seq(), event.record.clone());
                }
            }
            BatchBody::Trim { key, epoch, before } => {
                let found = self.stream(key, *epoch);
                found.first = found.first.max(*before);
            }
            BatchBody::Delete { key, epoch } => self.stream(key, *epoch).is_deleted = true,
            BatchBody::Noop | BatchBody::Gap { .. } => {}
        }
    }

    fn stream(&mut self, key: &StreamKey, epoch: Epoch) -> &mut StreamFound {
        self.streams.entry((key.clone(), epoch)).or_default()
    }

    /// Writes everything out, makes it durable, and tells how much it was.
    ///
    /// # Errors
    /// [`Exit::Io`].
    pub(super) fn write(self, directory: &Directory, report: &mut Report<'_>) -> Result<(), CliError> {
        let path = self.out.join("events.jsonl");
        let failed = |error| CliError::io(&format!("cannot write {}", path.display()), &error);
        let file = File::options().write(true).create_new(true).open(&path).map_err(failed)?;
        let mut writer = EventWriter { out: BufWriter::new(file), events: 0 };
        let mut streams = 0_u64;
        for ((key, epoch), found) in self.streams {
            if found.is_deleted {
                continue;
            }
            let mut reader = SegmentReader { directory, segments: &self.segments, open: None, chunk: None };
            let before = writer.events;
            write_stream(&mut writer, &mut reader, &key, epoch, found)?;
            streams += u64::from(writer.events > before);
        }
        let events = writer.events;
        let file = writer.out.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        let text = format!("salvaged {events} events of {streams} streams into {}", path.display());
        report.tell(
            "salvage",
            &text,
            json!({"events": events, "streams": streams, "file": path.display().to_string()}),
        )
    }
}

/// Writes one stream in the order of its sequence numbers, each event once.
fn write_stream(
    writer: &mut EventWriter,
    reader: &mut SegmentReader<'_>,
    key: &StreamKey,
    epoch: Epoch,
    mut found: StreamFound,
) -> Result<(), CliError> {
    found.runs.sort_by_key(|run| run.first);
    let mut next = found.first.max(SeqNum::FIRST);
    for run in found.runs.iter().filter(|run| run.last >= found.first) {
        let from = next.max(run.first);
        // Journal records that lie before this run go first.
        write_journal(writer, key, &found.journal, next, from)?;
        for record in reader.records(run, key, epoch, from)? {
            if record.seq() <= run.last && record.seq() >= next {
                next = record.seq().next();
                writer.write(key, &record)?;
            }
        }
    }
    write_journal(writer, key, &found.journal, next, SeqNum(u64::MAX))
}

fn write_journal(
    writer: &mut EventWriter,
    key: &StreamKey,
    journal: &BTreeMap<SeqNum, Record>,
    from: SeqNum,
    to: SeqNum,
) -> Result<(), CliError> {
    if from >= to {
        return Ok(());
    }
    journal.range(from..to).try_for_each(|(_, record)| writer.write(key, record))
}

/// Reads runs again, with the last chunk at hand.
struct SegmentReader<'a> {
    directory: &'a Directory,
    segments: &'a [(FileId, SegmentMeta)],
    open: Option<(usize, OpenFile)>,
    chunk: Option<(usize, u64, Bytes)>,
}

impl SegmentReader<'_> {
    fn records(
        &mut self,
        run: &RunPlace,
        key: &StreamKey,
        epoch: Epoch,
        from: SeqNum,
    ) -> Result<Vec<Record>, CliError> {
        let (file, meta) = &self.segments[run.segment];
        let changed = || CliError::new(Exit::Io, format!("{file} changed while it was read"));
        let is_at_hand = self
            .chunk
            .as_ref()
            .is_some_and(|(s, offset, _)| (*s, *offset) == (run.segment, run.chunk_offset));
        if !is_at_hand {
            if self.open.as_ref().is_none_or(|(segment, _)| *segment != run.segment) {
                let open = self.directory.open_file(*file)?.ok_or_else(changed)?;
                self.open = Some((run.segment, open));
            }
            let (_, open) = self.open.as_ref().ok_or_else(changed)?;
            let bytes = open
                .read_at(run.chunk_offset, run.chunk_len as usize)
                .map_err(|error| CliError::io(&format!("cannot read {file}"), &error))?;
            self.chunk = Some((run.segment, run.chunk_offset, bytes));
        }
        let (_, _, bytes) = self.chunk.as_ref().ok_or_else(changed)?;
        let address = meta.chunk_address(run.chunk_offset);
        chunk_records(bytes, &address, key, epoch, from, usize::MAX).map_err(|_| changed())
    }
}

/// Writes events as lines.
struct EventWriter {
    out: BufWriter<File>,
    events: u64,
}

impl EventWriter {
    fn write(&mut self, key: &StreamKey, record: &Record) -> Result<(), CliError> {
        self.events += 1;
        let mut meta = json!({
            "id": record.seq().0, "t": record.time().0,
            "bucket": key.bucket.as_str(), "stream": key.stream.as_str(),
        });
        let mut line = Vec::new();
        if record.is_json() {
            // Validated when it was stored; line ends between tokens mean the same as spaces.
            line.extend(
                record.payload().iter().map(|&byte| if byte == b'\n' || byte == b'\r' { b' ' } else { byte }),
            );
        } else {
            let content_type = record.content_type().map(String::from_utf8_lossy);
            meta["content_type"] = content_type.map_or(Value::Null, |kind| kind.into_owned().into());
            meta["encoding"] = "base64".into();
            line.extend_from_slice(Value::String(STANDARD.encode(record.payload())).to_string().as_bytes());
        }
        let written = write!(self.out, "{{\"meta\":{meta},\"data\":")
            .and_then(|()| self.out.write_all(&line))
            .and_then(|()| self.out.write_all(b"}\n"));
        written.map_err(|error| CliError::io("cannot write the salvaged events", &error))
    }
}
