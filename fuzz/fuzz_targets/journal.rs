//! A journal of up to three files that hold anything: scanned, judged, and judged again.
//!
//! The first bytes say what EPOCH knows, the rest is the files' content. Groups that are accepted ascend and
//! lie above what was lost before them; the same files give the same verdict.

#![no_main]

use bytes::Bytes;
use commitlog::{BLOCK_BYTES, FileScan, JournalFile, JournalMark, Place, Rules, Verdict, judge};
use libfuzzer_sys::fuzz_target;
use millrace_fuzz::mend;
use types::{ServerEpoch, ShardId};

const MARK_BYTES: usize = 4;

fuzz_target!(|input: &[u8]| {
    // Seeds are whole files: what EPOCH knows stands at the end.
    let (content, mark) = input.split_at(input.len().saturating_sub(MARK_BYTES));
    let at = |index: usize| mark.get(index).copied().unwrap_or(0);
    let mark = JournalMark {
        durable: u64::from(at(0)),
        replay_from: u64::from(at(1)),
        slots: u16::from(at(2) % 4),
        epoch: ServerEpoch(u64::from(at(3))),
    };
    let mut mended = content.to_vec();
    mend::journal(&mut mended);
    for content in [content, mended.as_slice()] {
        let files = files(content);
        let first = look(&files, mark);
        let again = look(&files, mark);
        assert_eq!(format!("{first:?}"), format!("{again:?}"), "the same files give the same verdict");
        let Some(verdict) = first else { continue };
        for pair in verdict.accepted.windows(2) {
            assert!(pair[0].number < pair[1].number, "accepted groups ascend");
        }
        let lost = |number: u64| verdict.lost.iter().any(|l| l.first <= number && number <= l.last);
        assert!(verdict.accepted.iter().all(|group| !lost(group.number)), "accepted or lost, not both");
        assert!(verdict.accepted.last().is_none_or(|last| last.number < verdict.tail.next_number));
    }
});

fn files(content: &[u8]) -> Vec<JournalFile> {
    let len = (content.len() / 3).next_multiple_of(BLOCK_BYTES).max(BLOCK_BYTES);
    let file = |(slot, bytes): (usize, &[u8])| JournalFile {
        shard: ShardId(0),
        slot: slot as u16,
        bytes: Bytes::copy_from_slice(bytes),
        unreadable: Vec::new(),
    };
    content.chunks(len).enumerate().map(file).collect()
}

fn look(files: &[JournalFile], mark: JournalMark) -> Option<Verdict> {
    // The directory is whatever the first group says: a foreign one is refused at once.
    let directory_id = files.iter().find_map(|file| {
        let bytes = file.bytes.get(16..32)?;
        Some(u128::from_le_bytes(bytes.try_into().ok()?))
    });
    let scan = |file: &JournalFile| (file.slot, file.scan(directory_id.unwrap_or(0)));
    let scans: Vec<(u16, FileScan)> = files.iter().map(scan).collect();
    let place =
        |slot: u16, offset: u64| files.get(usize::from(slot)).map_or(Place::Blank, |file| file.place(offset));
    let epochs = scans.iter().flat_map(|(_, scan)| &scan.groups).map(|group| group.header.epoch);
    let mark = JournalMark { epoch: mark.epoch.max(epochs.max().unwrap_or(mark.epoch)), ..mark };
    judge(&scans, mark, Rules::default(), &place).ok()
}
