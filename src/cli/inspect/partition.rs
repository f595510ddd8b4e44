//! A partition: its manifests, and the segments that they name.
//!
//! A segment that no sound manifest names does not exist for the server; it is noted, not examined. When no
//! manifest can be read, all segments that are there are taken, as recovery does.

use super::super::error::CliError;
use super::directory::Directory;
use super::report::{Damage, Report};
use super::salvage::Salvage;
use super::segment;
use commitlog::{Manifest, ManifestSegment, SlotChoice, choose_manifest};
use engine::FileId;
use serde_json::json;
use types::PartitionId;

/// Examines a partition.
///
/// # Errors
/// [`super::super::error::Exit::Io`].
pub(super) fn examine(
    directory: &Directory,
    directory_id: u128,
    partition: PartitionId,
    report: &mut Report<'_>,
    mut salvage: Option<&mut Salvage>,
) -> Result<(), CliError> {
    let manifest = examine_manifests(directory, directory_id, partition, report)?;
    let ordinals = directory.segment_ordinals(partition)?;
    let named = |ordinal: u64| -> Option<&ManifestSegment> {
        manifest.as_ref()?.segments.iter().find(|segment| segment.ordinal == ordinal)
    };
    for &ordinal in &ordinals {
        let file = FileId::Segment { partition, ordinal };
        if manifest.is_some() && named(ordinal).is_none() {
            report.note(file, "no manifest names it; the next start removes it")?;
            continue;
        }
        segment::examine(directory, directory_id, file, named(ordinal), report, salvage.as_deref_mut())?;
    }
    for segment in manifest.iter().flat_map(|manifest| &manifest.segments) {
        if !ordinals.contains(&segment.ordinal) {
            let file = FileId::Segment { partition, ordinal: segment.ordinal };
            let (first, last) = (segment.first_index, segment.last_index);
            let mut damage =
                Damage::new(file, 0, format!("the file is missing; it held log indexes {first} to {last}"));
            damage.partition = Some(partition);
            report.damage(&damage)?;
        }
    }
    Ok(())
}

fn examine_manifests(
    directory: &Directory,
    directory_id: u128,
    partition: PartitionId,
    report: &mut Report<'_>,
) -> Result<Option<Manifest>, CliError> {
    let file = |slot| FileId::Manifest { partition, slot };
    let bytes = [directory.read(file(0))?, directory.read(file(1))?];
    let [slot0, slot1] =
        [0, 1].map(|slot| Manifest::read_slot(&bytes[usize::from(slot)], slot, directory_id, partition));
    let damaged = |slot, what: String| {
        let mut damage = Damage::new(file(slot), 0, what);
        damage.partition = Some(partition);
        damage
    };
    let manifest = match choose_manifest(slot0, slot1) {
        SlotChoice::Missing => return Ok(None),
        SlotChoice::Newest(manifest) => manifest,
        SlotChoice::Survivor { value, lost } => {
            let other = 1 - commitlog::slot_of(value.generation);
            let what = lost.map_or_else(|| "the file is missing".to_owned(), |error| error.to_string());
            report.damage(&damaged(other, format!("{what}; generation {} is used", value.generation)))?;
            value
        }
        SlotChoice::TornAtBirth(error) => {
            report.note(file(1), &format!("{error}; nothing depended on it yet"))?;
            return Ok(None);
        }
        SlotChoice::Damaged { slot0, slot1 } => {
            for (slot, error) in [(0, slot0), (1, slot1)] {
                if let Some(error) = error {
                    report
                        .damage(&damaged(slot, format!("{error}; a start rebuilds it from the segments")))?;
                }
            }
            return Ok(None);
        }
    };
    tell(&manifest, file(commitlog::slot_of(manifest.generation)), report)?;
    Ok(Some(manifest))
}

fn tell(manifest: &Manifest, file: FileId, report: &mut Report<'_>) -> Result<(), CliError> {
    let Manifest { generation, checkpoint_index, segments, gaps, .. } = manifest;
    let text =
        format!("generation {generation}, up to index {checkpoint_index}, {} segments", segments.len());
    let json = json!({
        "generation": generation, "checkpoint_index": checkpoint_index.0, "segments": segments.len(),
    });
    report.file(file, &text, json)?;
    for gap in gaps {
        let text = format!("log indexes {} to {} were lost to damage earlier", gap.from, gap.to);
        report.note(file, &text)?;
    }
    Ok(())
}
