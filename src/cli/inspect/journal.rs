//! The journal of one shard: its groups, the judgement that recovery would come to, and what is lost.
//!
//! `commitlog::judge` decides; a tail that was never acknowledged is a note, a lost group is damage and is
//! taken apart by `commitlog::survey_body` to name batch, partition, streams and sequence numbers.

use super::super::error::CliError;
use super::directory::Directory;
use super::report::{Damage, Report};
use super::salvage::Salvage;
use bytes::BytesMut;
use commitlog::{
    BLOCK_BYTES, Batch, BatchBody, Cut, EpochMark, FileScan, FoundGroup, JournalFile, JournalMark,
    LostGroups, Place, Rules, Verdict, judge, survey_body,
};
use engine::FileId;
use serde_json::json;
use std::ops::Range;
use types::{ServerEpoch, ShardId};

/// Bytes read at once; a range that the disk refuses is tried again block by block.
const READ_BYTES: usize = 1 << 20;

/// Examines a journal.
///
/// # Errors
/// [`super::super::error::Exit::Io`].
pub(super) fn examine(
    directory: &Directory,
    directory_id: u128,
    shard: ShardId,
    mark: Option<&EpochMark>,
    report: &mut Report<'_>,
    salvage: Option<&mut Salvage>,
) -> Result<(), CliError> {
    let mut files = Vec::new();
    for slot in directory.journal_slots(shard)? {
        files.push(read_file(directory, shard, slot)?);
    }
    let scans: Vec<(u16, FileScan)> = files.iter().map(|file| (file.slot, file.scan(directory_id))).collect();
    for ((slot, scan), file) in scans.iter().zip(&files) {
        tell_file(FileId::Journal { shard, slot: *slot }, scan, file, report)?;
    }
    let place = |slot: u16, offset: u64| {
        files.iter().find(|file| file.slot == slot).map_or(Place::Blank, |file| file.place(offset))
    };
    let batches = match judge(&scans, journal_mark(shard, mark), Rules::default(), &place) {
        Ok(verdict) => {
            tell_verdict(shard, &scans, &verdict, report)?;
            verdict.accepted.into_iter().flat_map(|group| group.batches).collect()
        }
        Err(refusal) => {
            let file = FileId::Journal { shard, slot: 0 };
            let what = format!("{refusal}; a server refuses to start over this journal");
            report.damage(&Damage::new(file, 0, what))?;
            every_sound_batch(&scans)
        }
    };
    if let Some(salvage) = salvage {
        batches.iter().for_each(|batch| salvage.note_batch(batch));
    }
    Ok(())
}

/// What the EPOCH file knows of this journal. Without it nothing is known, and no epoch is too new.
fn journal_mark(shard: ShardId, mark: Option<&EpochMark>) -> JournalMark {
    let Some(mark) = mark else {
        return JournalMark { epoch: ServerEpoch(u64::MAX), ..JournalMark::default() };
    };
    match mark.shards.get(usize::from(shard.0)) {
        Some(known) => JournalMark {
            durable: known.durable,
            replay_from: known.replay_from,
            slots: known.slots,
            epoch: mark.epoch,
        },
        None => JournalMark { epoch: mark.epoch, ..JournalMark::default() },
    }
}

fn read_file(directory: &Directory, shard: ShardId, slot: u16) -> Result<JournalFile, CliError> {
    let mut bytes = BytesMut::new();
    let mut unreadable: Vec<Range<u64>> = Vec::new();
    if let Some(file) = directory.open_file(FileId::Journal { shard, slot })? {
        while (bytes.len() as u64) < file.len {
            let offset = bytes.len() as u64;
            let step = file.read_at(offset, READ_BYTES).or_else(|_| file.read_at(offset, BLOCK_BYTES));
            match step {
                Ok(step) => bytes.extend_from_slice(&step),
                Err(_) => {
                    let len = (file.len - offset).min(BLOCK_BYTES as u64);
                    unreadable.push(offset..offset + len);
                    bytes.resize(bytes.len() + usize::try_from(len).expect("at most a block"), 0);
                }
            }
        }
    }
    Ok(JournalFile { shard, slot, bytes: bytes.freeze(), unreadable })
}

fn tell_file(
    file: FileId,
    scan: &FileScan,
    journal: &JournalFile,
    report: &mut Report<'_>,
) -> Result<(), CliError> {
    let numbers = || scan.groups.iter().map(|group| group.header.number);
    let groups = match (numbers().min(), numbers().max()) {
        (Some(first), Some(last)) => format!("{} groups, numbers {first} to {last}", scan.groups.len()),
        _ => "no groups".to_owned(),
    };
    let json = json!({
        "groups": scan.groups.len(), "first": numbers().min(), "last": numbers().max(),
        "bytes": journal.bytes.len(),
    });
    report.file(file, &format!("{groups}, {} bytes", journal.bytes.len()), json)?;
    for range in &journal.unreadable {
        let mut damage = Damage::new(file, range.start, "the disk cannot read it");
        damage.len = Some(range.end - range.start);
        report.damage(&damage)?;
    }
    scan.groups.iter().try_for_each(|group| tell_group(file, group, report))
}

fn tell_group(file: FileId, group: &FoundGroup, report: &mut Report<'_>) -> Result<(), CliError> {
    let header = &group.header;
    let text = format!(
        "group {} at {}, {:?}, life {}, {} batches, {} records, {} bytes",
        header.number,
        header.offset,
        header.kind,
        header.epoch,
        header.batch_count,
        header.record_count,
        header.body_len
    );
    let json = json!({
        "file": file.to_string(), "number": header.number, "offset": header.offset,
        "group": format!("{:?}", header.kind), "epoch": header.epoch.0,
        "batches": header.batch_count, "records": header.record_count, "bytes": header.body_len,
    });
    report.detail("group", &text, json)?;
    for batch in group.batches().unwrap_or_default() {
        let Batch { header, streams, body } = &batch;
        let what = match body {
            BatchBody::Events(events) => format!("{} events of {} streams", events.len(), streams.len()),
            change => change_text(change),
        };
        let (first, last) = (header.first_index, header.last_index());
        let text =
            format!("  batch of partition {}, log indexes {first} to {last}, {what}", header.partition);
        let json = json!({
            "file": file.to_string(), "number": group.header.number, "partition": header.partition.0,
            "first_index": first.0, "last_index": last.0, "what": what,
        });
        report.detail("batch", &text, json)?;
    }
    Ok(())
}

fn change_text(change: &BatchBody) -> String {
    match change {
        BatchBody::Events(events) => format!("{} events", events.len()),
        BatchBody::Noop => "nothing".to_owned(),
        BatchBody::Trim { key, before, .. } => format!("trim of {key} before {before}"),
        BatchBody::Delete { key, .. } => format!("deletion of {key}"),
        BatchBody::Gap { from, to } => format!("gap of log indexes {from} to {to}"),
    }
}

fn tell_verdict(
    shard: ShardId,
    scans: &[(u16, FileScan)],
    verdict: &Verdict,
    report: &mut Report<'_>,
) -> Result<(), CliError> {
    let events = |batch: &Batch| match &batch.body {
        BatchBody::Events(events) => events.len() as u64,
        _ => 0,
    };
    report.records += verdict.accepted.iter().flat_map(|group| &group.batches).map(events).sum::<u64>();
    for lost in &verdict.lost {
        tell_lost(shard, scans, lost, report)?;
    }
    if let Some(cut) = verdict.cut {
        let file = FileId::Journal { shard, slot: cut.slot };
        let Cut { number, offset, .. } = cut;
        let text = if cut.has_header {
            format!("group {number} at offset {offset} is cut off: it was never acknowledged")
        } else {
            format!(
                "the journal ends at offset {offset}, before group {number}: what follows is older content, \
                 or a write that was never finished"
            )
        };
        report.note(file, &text)?;
    }
    Ok(())
}

/// Tells of lost groups: batch by batch where the header is left, as one where nothing is.
fn tell_lost(
    shard: ShardId,
    scans: &[(u16, FileScan)],
    lost: &LostGroups,
    report: &mut Report<'_>,
) -> Result<(), CliError> {
    let (slot, offset) = lost.at.unwrap_or((0, 0));
    let file = FileId::Journal { shard, slot };
    let group = scans
        .iter()
        .filter(|(scanned, _)| *scanned == slot)
        .flat_map(|(_, scan)| &scan.groups)
        .find(|group| group.header.offset == offset && group.header.number == lost.first);
    let Some(group) = group.filter(|_| lost.first == lost.last) else {
        let what = format!(
            "groups {} to {} were acknowledged and are lost, {} records at most",
            lost.first, lost.last, lost.records_max
        );
        return report.damage(&Damage::new(file, offset, what));
    };
    let mut told = false;
    for batch in survey_body(&group.header, &group.bytes) {
        let Err(damaged) = batch.found else {
            continue;
        };
        let what = format!("batch of group {}: {}", lost.first, damaged.error);
        let mut damage = Damage::new(file, offset + batch.position as u64, what);
        damage.partition = damaged.claims.map(|claims| claims.partition);
        damaged.events.iter().for_each(|(key, seq)| damage.add_events(key, *seq, *seq));
        report.damage(&damage)?;
        told = true;
    }
    if told {
        return Ok(());
    }
    let what = format!("group {}: its body fails its checksum, every batch in it is sound", lost.first);
    report.damage(&Damage::new(file, offset, what))
}

/// All batches that can be read, by group number; where two groups share one, the later life wins.
fn every_sound_batch(scans: &[(u16, FileScan)]) -> Vec<Batch> {
    let mut groups: Vec<&FoundGroup> = scans.iter().flat_map(|(_, scan)| &scan.groups).collect();
    groups.sort_by_key(|group| (group.header.number, std::cmp::Reverse(group.header.epoch)));
    groups.dedup_by_key(|group| group.header.number);
    groups.iter().flat_map(|group| group.batches().unwrap_or_default()).collect()
}
