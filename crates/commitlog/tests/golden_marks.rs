//! Golden files of manifests, the identity and the epoch file, sound and broken, named by the fault.
//!
//! Each case is built here, compared byte for byte with `tests/golden/NAME`, read, and what was found
//! compared with the text beside it. `tests/golden/mod.rs` says how to write the files anew.

mod golden;

use bytes::Bytes;
use commitlog::{
    BLOCK_BYTES, EPOCH_SLOT_BYTES, EpochMark, Identity, Manifest, ManifestSegment, PartitionGap, ShardMark,
    SlotChoice, choose_epoch, choose_manifest,
};
use golden::{DIRECTORY_ID, changed, check, reseal};
use types::{LogIndex, PartitionId, ServerEpoch, Timestamp};

fn manifest(generation: u64) -> Manifest {
    let segment = |ordinal, first, last| ManifestSegment {
        ordinal,
        len: 20_480,
        checksum: 0xdead_beef,
        first_index: LogIndex(first),
        last_index: LogIndex(last),
    };
    Manifest {
        directory_id: DIRECTORY_ID,
        partition: PartitionId(17),
        generation,
        checkpoint_index: LogIndex(99),
        next_ordinal: 44,
        segments: vec![segment(42, 1, 70), segment(43, 71, 99)],
        gaps: vec![PartitionGap { from: LogIndex(12), to: LogIndex(14) }],
    }
}

/// Reads a manifest as slot 0 beside a sound generation 1.
fn read_manifest(bytes: &Bytes) -> String {
    let place = |bytes, slot| Manifest::read_slot(bytes, slot, DIRECTORY_ID, PartitionId(17));
    let choice = choose_manifest(place(bytes, 0), place(&manifest(1).encode(), 1));
    choice_text(choice, |found| format!("{} with {} segments", found.generation, found.segments.len()))
}

fn choice_text<T>(choice: SlotChoice<T>, text: impl Fn(&T) -> String) -> String {
    let error = |error: Option<commitlog::FormatError>| error.map_or("missing".to_owned(), |e| e.to_string());
    match choice {
        SlotChoice::Missing => "missing".to_owned(),
        SlotChoice::Newest(value) => format!("newest {}", text(&value)),
        SlotChoice::Survivor { value, lost } => format!("survivor {}; {}", text(&value), error(lost)),
        SlotChoice::TornAtBirth(why) => format!("torn at birth; {why}"),
        SlotChoice::Damaged { slot0, slot1 } => format!("damaged; {}; {}", error(slot0), error(slot1)),
    }
}

#[test]
fn manifest_files_read_as_their_names_say() {
    let sound = manifest(2).encode();
    let check = |name: &str, file: &[u8], found: &str| check(name, file, read_manifest, found);
    check("manifest.sound.bin", &sound, "newest 2 with 2 segments");
    check(
        "manifest.flipped.bin",
        &changed(&sound, |file| file[80] ^= 1),
        "survivor 1 with 2 segments; manifest fails its checksum: its content \
         has 3fb37f27, the file says f6d29e62",
    );
    check(
        "manifest.cut-short.bin",
        &sound[..100],
        "survivor 1 with 2 segments; manifest is cut short: it needs 162 bytes and has 100",
    );
    check(
        "manifest.of-other-partition.bin",
        &Manifest { partition: PartitionId(18), ..manifest(2) }.encode(),
        "survivor 1 with 2 segments; manifest belongs elsewhere: it is of partition 18, expected 17",
    );
    check(
        "manifest.in-wrong-slot.bin",
        &manifest(3).encode(),
        "survivor 1 with 2 segments; manifest belongs elsewhere: it was written for slot 1, found in 0",
    );
    let twice = changed(&sound, |file| {
        file[110] = 42;
        reseal(file);
    });
    check(
        "manifest.segment-named-twice.bin",
        &twice,
        "survivor 1 with 2 segments; manifest: manifest before byte 162 must name every segment once",
    );
}

fn identity() -> Identity {
    Identity {
        format: 1,
        incompatible_features: 0,
        directory_id: DIRECTORY_ID,
        node_id: 7,
        cluster_id: 0,
        partition_count: 64,
        hash_name: types::HASH_NAME.to_owned(),
        created: Timestamp(1_700_000_000_000),
        writer_version: "0.1.0".to_owned(),
    }
}

fn read_identity(bytes: &Bytes) -> String {
    match Identity::decode(bytes) {
        Ok(found) => {
            let damaged = found.damaged_copy.map(|(copy, error)| format!("; copy {copy}: {error}"));
            format!("{:032x}{}", found.identity.directory_id, damaged.unwrap_or_default())
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn identity_files_read_as_their_names_say() {
    let sound = identity().encode();
    let check = |name: &str, file: &[u8], found: &str| check(name, file, read_identity, found);
    check("identity.sound.bin", &sound, "00112233445566778899aabbccddeeff");
    check(
        "identity.first-copy-flipped.bin",
        &changed(&sound, |file| file[30] ^= 1),
        "00112233445566778899aabbccddeeff; copy 0: identity copy fails its checksum: its content \
         has d9c506c4, the file says 06c38b06",
    );
    check(
        "identity.second-copy-missing.bin",
        &sound[..BLOCK_BYTES],
        "00112233445566778899aabbccddeeff; copy 1: identity copy is cut short: it needs 24 bytes and has 0",
    );
    check(
        "identity.both-copies-flipped.bin",
        &changed(&sound, |file| [30, 4096 + 31].into_iter().for_each(|at| file[at] ^= 1)),
        "identity copy fails its checksum: its content has d9c506c4, the file says 06c38b06",
    );
    check(
        "identity.copies-differ.bin",
        &changed(&sound, |file| {
            file[..4096].copy_from_slice(&Identity { node_id: 8, ..identity() }.encode()[..4096])
        }),
        "the two copies of the identity are sound and differ",
    );
    check(
        "identity.of-unknown-feature.bin",
        &Identity { incompatible_features: 1 << 3, writer_version: "3.0.0".to_owned(), ..identity() }
            .encode(),
        "the data directory was written by version 3.0.0 and needs features that this build \
         does not have: bit 3",
    );
    check(
        "identity.of-newer-format.bin",
        &Identity { format: 2, ..identity() }.encode(),
        "identity copy has format version 2, this build knows version 1",
    );
}

fn mark(generation: u64) -> EpochMark {
    EpochMark {
        directory_id: DIRECTORY_ID,
        generation,
        epoch: ServerEpoch(4),
        shard_count: 2,
        clean: generation == 6,
        shards: vec![
            ShardMark { durable: 1000, replay_from: 900, slots: 4 },
            ShardMark { durable: 7, replay_from: 1, slots: 2 },
        ],
    }
}

/// The whole file: slot 0, then slot 1; zeros where a slot was never written.
fn epoch_file(slot0: Option<EpochMark>, slot1: Option<EpochMark>) -> Vec<u8> {
    let slot =
        |mark: Option<EpochMark>| mark.map_or(vec![0; EPOCH_SLOT_BYTES], |mark| mark.encode().to_vec());
    [slot(slot0), slot(slot1)].concat()
}

fn read_epoch(bytes: &Bytes) -> String {
    let slot = |slot: u8| {
        let start = usize::from(slot) * EPOCH_SLOT_BYTES;
        EpochMark::read_slot(bytes.get(start..).unwrap_or(&[]), slot, DIRECTORY_ID)
    };
    choice_text(choose_epoch(slot(0), slot(1)), |mark| {
        format!("{} of epoch {}{}", mark.generation, mark.epoch, if mark.clean { ", clean" } else { "" })
    })
}

#[test]
fn epoch_files_read_as_their_names_say() {
    let sound = epoch_file(Some(mark(6)), Some(mark(5)));
    let check = |name: &str, file: &[u8], found: &str| check(name, file, read_epoch, found);
    check("epoch.sound.bin", &sound, "newest 6 of epoch 4, clean");
    check("epoch.first-write.bin", &epoch_file(None, Some(mark(1))), "newest 1 of epoch 4");
    check("epoch.never-written.bin", &epoch_file(None, None), "missing");
    check(
        "epoch.newer-slot-torn.bin",
        &changed(&sound, |file| file[64..512].fill(0)),
        "survivor 5 of epoch 4; epoch slot fails its checksum: its content \
         has 1647d89b, the file says 0bcd672d",
    );
    check("epoch.newer-slot-zeroed.bin", &epoch_file(None, Some(mark(5))), "survivor 5 of epoch 4; missing");
    check(
        "epoch.first-write-torn.bin",
        &changed(&epoch_file(None, Some(mark(1))), |file| file[4096 + 64..].fill(0)),
        "torn at birth; epoch slot fails its checksum: its content has b5047706, the file says a88ec8b0",
    );
    check(
        "epoch.slots-swapped.bin",
        &epoch_file(Some(mark(5)), Some(mark(6))),
        "damaged; epoch slot belongs elsewhere: it was written for slot 1, found in 0; epoch slot belongs \
         elsewhere: it was written for slot 0, found in 1",
    );
}
