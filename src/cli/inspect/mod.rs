//! `inspect`: what a data directory holds and what of it is damaged, without a server; changes nothing.
//!
//! Decoders and judgement are those of `commitlog`, so that what is told here is what recovery would do.
//! Files are opened for reading only. With `--salvage`, everything sound is copied out into a new directory.

mod directory;
mod journal;
mod partition;
mod report;
mod salvage;
mod segment;
#[cfg(test)]
mod tests;

use super::args::InspectArgs;
use super::error::{CliError, Exit};
use commitlog::{BLOCK_BYTES, EPOCH_SLOT_BYTES, EpochMark, Identity, SlotChoice, choose_epoch};
use directory::Directory;
use engine::FileId;
use report::{Damage, Report};
use salvage::Salvage;
use serde_json::json;
use std::io::Write;

/// Examines a directory; fails when something in it is damaged.
///
/// # Errors
/// [`Exit::Refused`] for damage, [`Exit::Usage`] for what is no data directory, [`Exit::Io`].
pub(crate) fn inspect(args: &InspectArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let directory = Directory::open(&args.directory)?;
    let mut salvage = args.salvage.as_deref().map(Salvage::create).transpose()?;
    let mut report = Report::new(out, args.json, args.verbose);
    if let Some(process) = directory.holder() {
        eprintln!("millrace: process {process} serves this directory; what it is writing may look damaged");
    }
    let directory_id = examine_identity(&directory, &mut report)?;
    let mark = examine_epoch(&directory, directory_id, &mut report)?;
    for partition in directory.partitions()? {
        partition::examine(&directory, directory_id, partition, &mut report, salvage.as_mut())?;
    }
    for shard in directory.shards()? {
        journal::examine(&directory, directory_id, shard, mark.as_ref(), &mut report, salvage.as_mut())?;
    }
    if let Some(salvage) = salvage {
        salvage.write(&directory, &mut report)?;
    }
    report.finish()
}

/// The identity file; gives the directory's id, from another file if the identity cannot be read.
fn examine_identity(directory: &Directory, report: &mut Report<'_>) -> Result<u128, CliError> {
    let bytes = directory.read(FileId::Identity)?;
    let error = match Identity::decode(&bytes) {
        Ok(found) => {
            if let Some((copy, error)) = found.damaged_copy {
                let offset = u64::from(copy) * BLOCK_BYTES as u64;
                report.damage(&Damage::new(
                    FileId::Identity,
                    offset,
                    format!("one of two copies: {error}"),
                ))?;
            }
            let identity = found.identity;
            let text = format!(
                "format {}, directory {:032x}, {} partitions, written by {}",
                identity.format, identity.directory_id, identity.partition_count, identity.writer_version
            );
            let json = json!({
                "format": identity.format,
                "directory_id": format!("{:032x}", identity.directory_id),
                "partition_count": identity.partition_count,
                "hash": identity.hash_name,
                "created": identity.created.0,
                "writer_version": identity.writer_version,
            });
            report.file(FileId::Identity, &text, json)?;
            return Ok(identity.directory_id);
        }
        Err(error) => error,
    };
    report.damage(&Damage::new(FileId::Identity, 0, error.to_string()))?;
    directory.guess_id()?.ok_or_else(|| {
        CliError::new(Exit::Refused, "no file of this directory says which directory it belongs to")
            .next("is this a data directory of Millrace?")
    })
}

/// The epoch file; gives the newest mark that can be read.
fn examine_epoch(
    directory: &Directory,
    directory_id: u128,
    report: &mut Report<'_>,
) -> Result<Option<EpochMark>, CliError> {
    let bytes = directory.read(FileId::Epoch)?;
    let second = bytes.get(EPOCH_SLOT_BYTES..).unwrap_or_default();
    let slots = [&bytes[..], second];
    let [slot0, slot1] =
        [0, 1].map(|slot| EpochMark::read_slot(slots[usize::from(slot)], slot, directory_id));
    let (mark, complaint) = match choose_epoch(slot0, slot1) {
        SlotChoice::Newest(mark) => (Some(mark), None),
        SlotChoice::Survivor { value, lost } => {
            let why = lost.map_or_else(|| "is missing".to_owned(), |error| error.to_string());
            (Some(value), Some(format!("the newer mark may be lost: the other slot {why}")))
        }
        SlotChoice::Missing => (None, Some("there is no mark".to_owned())),
        SlotChoice::TornAtBirth(error) => (None, Some(error.to_string())),
        SlotChoice::Damaged { slot0, slot1 } => {
            let errors: Vec<String> =
                [slot0, slot1].into_iter().flatten().map(|error| error.to_string()).collect();
            (None, Some(errors.join("; ")))
        }
    };
    if let Some(complaint) = complaint {
        report.damage(&Damage::new(FileId::Epoch, 0, complaint))?;
    }
    if let Some(mark) = &mark {
        let ended = if mark.clean { "ended cleanly" } else { "did not end cleanly, or runs" };
        let text = format!("life {} of the server, {ended}, {} journals", mark.epoch, mark.shards.len());
        let json = json!({"epoch": mark.epoch.0, "clean": mark.clean, "shards": mark.shards.len()});
        report.file(FileId::Epoch, &text, json)?;
    }
    Ok(mark)
}
