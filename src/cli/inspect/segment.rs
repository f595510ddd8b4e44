//! One segment: header, trailer, footer, and every chunk with every record.
//!
//! Chunks are walked by their own headers. Where a header is bad, the footer says how long the chunk was and
//! which events it held; without a footer the search goes on at the next block. An unreadable footer alone
//! loses nothing: it is an index.

use super::super::error::CliError;
use super::directory::{Directory, OpenFile};
use super::report::{Damage, Report};
use super::salvage::Salvage;
use commitlog::{
    BLOCK_BYTES, CHUNK_HEADER_BYTES, ChunkRun, Footer, FormatError, ManifestSegment, SegmentMeta, Trailer,
    decode_chunk, decode_chunk_header, decode_footer, decode_segment_header, decode_trailer,
};
use engine::FileId;
use serde_json::json;
use std::io;

const BLOCK: u64 = BLOCK_BYTES as u64;

/// A segment that is open for examination.
struct Examined {
    file: FileId,
    open: OpenFile,
    meta: SegmentMeta,
    footer: Option<Footer>,
    /// Where the chunks end.
    chunks_end: u64,
    chunks: u64,
    records: u64,
}

/// Examines a segment; `named` is what the manifest says of it.
///
/// # Errors
/// [`super::super::error::Exit::Io`].
pub(super) fn examine(
    directory: &Directory,
    directory_id: u128,
    file: FileId,
    named: Option<&ManifestSegment>,
    report: &mut Report<'_>,
    salvage: Option<&mut Salvage>,
) -> Result<(), CliError> {
    let Some(open) = directory.open_file(file)? else {
        return Ok(());
    };
    let Some(mut segment) = open_segment(file, open, directory_id, named, report)? else {
        return Ok(());
    };
    let mut collected = salvage.map(|salvage| (salvage.add_segment(file, &segment.meta), salvage));
    if let (Some((_, salvage)), Some(footer)) = (&mut collected, &segment.footer) {
        footer.streams.iter().for_each(|stream| salvage.note_state(&stream.state));
    }
    walk_chunks(&mut segment, report, &mut |offset, len, runs| {
        if let Some((index, salvage)) = &mut collected {
            runs.iter().for_each(|run| salvage.note_run(*index, offset, len, run));
        }
    })?;
    let Examined { meta, chunks, records, .. } = segment;
    report.records += records;
    let text = format!(
        "log indexes {} to {}, {chunks} chunks, {records} records, {} bytes",
        meta.first_index, meta.last_index, segment.open.len
    );
    let json = json!({
        "partition": meta.partition.0, "ordinal": meta.ordinal,
        "first_index": meta.first_index.0, "last_index": meta.last_index.0,
        "chunks": chunks, "records": records, "bytes": segment.open.len,
    });
    report.file(file, &text, json)
}

/// Reads header, trailer and footer; `None` when neither end of the file says what it is.
fn open_segment(
    file: FileId,
    open: OpenFile,
    directory_id: u128,
    named: Option<&ManifestSegment>,
    report: &mut Report<'_>,
) -> Result<Option<Examined>, CliError> {
    let FileId::Segment { partition, ordinal } = file else {
        return Ok(None);
    };
    let damaged = |offset: u64, what: String| {
        let mut damage = Damage::new(file, offset, what);
        damage.partition = Some(partition);
        damage
    };
    if let Some(named) = named.filter(|named| named.len != open.len) {
        let what = format!("the manifest says {} bytes, the file has {}", named.len, open.len);
        report.damage(&damaged(open.len.min(named.len), what))?;
    }
    let header = read(&open, 0, BLOCK_BYTES).and_then(|bytes| {
        let meta = decode_segment_header(&bytes).map_err(|error| error.to_string())?;
        checked(meta.check_place(directory_id, partition, ordinal))?;
        Ok(meta)
    });
    let trailer_offset = open.len.saturating_sub(BLOCK);
    let trailer = read(&open, trailer_offset, BLOCK_BYTES).and_then(|bytes| {
        let trailer = decode_trailer(&bytes, open.len).map_err(|error| error.to_string())?;
        checked(trailer.meta.check_place(directory_id, partition, ordinal))?;
        Ok(trailer)
    });
    for (offset, error) in [(0, header.as_ref().err()), (trailer_offset, trailer.as_ref().err())] {
        if let Some(error) = error {
            report.damage(&damaged(offset, error.clone()))?;
        }
    }
    let Some(meta) = header.ok().or_else(|| trailer.as_ref().ok().map(|trailer| trailer.meta)) else {
        return Ok(None);
    };
    let footer = match &trailer {
        Ok(trailer) => match read_footer(&open, trailer) {
            Ok(footer) => Some(footer),
            Err(error) => {
                let what = format!("{error}; an index, made anew from the chunks");
                report.damage(&damaged(trailer.footer_offset, what))?;
                None
            }
        },
        Err(_) => None,
    };
    let whole = open.len - open.len % BLOCK;
    let chunks_end = trailer.as_ref().map_or(whole, |trailer| trailer.footer_offset.min(whole));
    Ok(Some(Examined { file, open, meta, footer, chunks_end, chunks: 0, records: 0 }))
}

fn read_footer(open: &OpenFile, trailer: &Trailer) -> Result<Footer, String> {
    let len = usize::try_from(trailer.footer_len).map_err(|_| "the footer is too long".to_owned())?;
    let bytes = read(open, trailer.footer_offset, len)?;
    decode_footer(&bytes, trailer).map_err(|error| error.to_string())
}

/// Walks through the chunks; `visit` gets offset, length and runs of each sound one.
fn walk_chunks(
    segment: &mut Examined,
    report: &mut Report<'_>,
    visit: &mut dyn FnMut(u64, u32, &[ChunkRun]),
) -> Result<(), CliError> {
    let mut at = BLOCK;
    // Neighbouring damage is told as one: its start, and why it began.
    let mut bad: Option<(u64, String)> = None;
    while at < segment.chunks_end {
        match read_chunk(segment, at) {
            Ok((len, runs)) => {
                tell_damage(segment, bad.take(), at, report)?;
                visit(at, len, &runs);
                tell_chunk(segment, at, len, &runs, report)?;
                at += u64::from(len);
            }
            Err((_, reason)) if segment.footer.is_none() && is_end(segment, at, &reason) => break,
            Err((len, reason)) => {
                bad.get_or_insert((at, reason));
                at += len;
            }
        }
    }
    let end = at.min(segment.chunks_end);
    tell_damage(segment, bad, end, report)
}

/// Reads the chunk at `at`; on failure, how far to go on and why.
fn read_chunk(segment: &Examined, at: u64) -> Result<(u32, Vec<ChunkRun>), (u64, String)> {
    let address = segment.meta.chunk_address(at);
    let indexed = segment.footer.as_ref().and_then(|footer| {
        footer.streams.iter().flat_map(|stream| &stream.runs).find(|run| run.chunk_offset == at)
    });
    let skip = indexed.map_or(BLOCK, |run| u64::from(run.chunk_len).max(BLOCK));
    let head = read(&segment.open, at, CHUNK_HEADER_BYTES).map_err(|error| (skip, error))?;
    let header = decode_chunk_header(&head, &address).map_err(|error| (skip, error.to_string()))?;
    let len = u64::from(header.padded_len).max(BLOCK);
    if at + len > segment.chunks_end {
        return Err((skip, "the chunk reaches beyond the chunks' end".to_owned()));
    }
    let bytes = read(&segment.open, at, header.padded_len as usize).map_err(|error| (len, error))?;
    let runs = decode_chunk(&bytes, &address).map_err(|error| (len, error.to_string()))?;
    Ok((header.padded_len, runs))
}

/// Without a trailer nobody says where the chunks end: what is no chunk in the last part of the file is the
/// footer, unless a chunk follows it.
fn is_end(segment: &Examined, at: u64, reason: &str) -> bool {
    let no_chunk = reason.starts_with("no segment chunk here");
    let mut later = at + BLOCK;
    while no_chunk && later < segment.chunks_end {
        let address = segment.meta.chunk_address(later);
        let head = read(&segment.open, later, CHUNK_HEADER_BYTES).unwrap_or_default();
        if decode_chunk_header(&head, &address).is_ok() {
            return false;
        }
        later += BLOCK;
    }
    no_chunk
}

fn tell_damage(
    segment: &Examined,
    bad: Option<(u64, String)>,
    end: u64,
    report: &mut Report<'_>,
) -> Result<(), CliError> {
    let Some((start, reason)) = bad else {
        return Ok(());
    };
    let mut damage = Damage::new(segment.file, start, reason);
    damage.len = Some(end - start);
    damage.partition = Some(segment.meta.partition);
    for stream in segment.footer.iter().flat_map(|footer| &footer.streams) {
        for run in stream.runs.iter().filter(|run| (start..end).contains(&run.chunk_offset)) {
            damage.add_events(&stream.state.key, run.first_seq, run.last_seq);
        }
    }
    report.damage(&damage)
}

fn tell_chunk(
    segment: &mut Examined,
    at: u64,
    len: u32,
    runs: &[ChunkRun],
    report: &mut Report<'_>,
) -> Result<(), CliError> {
    let records: usize = runs.iter().map(|run| run.records.len()).sum();
    segment.chunks += 1;
    segment.records += records as u64;
    let text = format!("chunk at {at}, {len} bytes, {} runs, {records} records", runs.len());
    let json = json!({
        "file": segment.file.to_string(), "offset": at, "length": len,
        "runs": runs.len(), "records": records,
    });
    report.detail("chunk", &text, json)
}

fn read(open: &OpenFile, offset: u64, len: usize) -> Result<bytes::Bytes, String> {
    open.read_at(offset, len).map_err(|error: io::Error| format!("the disk cannot read it: {error}"))
}

fn checked(place: Result<(), FormatError>) -> Result<(), String> {
    place.map_err(|error| error.to_string())
}
