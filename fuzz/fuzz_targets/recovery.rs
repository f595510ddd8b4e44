//! Recovery of a data directory that was damaged at will, between two lives of a server.
//!
//! The input is a list of injuries to the files of a sound directory: bytes overwritten, blocks zeroed or
//! swapped, files cut, removed or mixed up, checksums made right afterwards. Whatever was done, the server
//! serves or refuses; it never panics. What it gives from a directory whose checksums were not forged is
//! what was appended, and an append goes on above everything that is there.

#![no_main]

use bytes::Bytes;
use commitlog::BLOCK_BYTES;
use engine::{AckLevel, Append, Command, FileId, Read, ReadFrom, Reply, ReplyTo};
use libfuzzer_sys::fuzz_target;
use millrace_fuzz::disk::{Disk, Server};
use millrace_fuzz::mend;
use std::sync::LazyLock;
use types::{CoreId, Drafts, EventDraft, SeqNum, StreamKey};

const STREAMS: [&str; 5] = ["a", "b", "c", "trimmed", "deleted"];
const EVENTS: u64 = 24;
const TO: ReplyTo = ReplyTo { core: CoreId(0), request: 1 };

/// A directory as a killed server leaves it, and one that was stopped cleanly.
static DISKS: LazyLock<[Disk; 2]> = LazyLock::new(|| {
    let killed = |extra: bool| {
        let mut server = Server::open(Disk::default(), true).expect("an empty disk is a new directory");
        let count = if extra { EVENTS } else { EVENTS / 2 };
        for round in 1..=count {
            for name in STREAMS {
                append(&mut server, name, round);
            }
        }
        server.ask(Command::Trim { to: TO, stream: key("trimmed"), before: SeqNum(count / 2) });
        server.ask(Command::Delete { to: TO, stream: key("deleted") });
        append(&mut server, "deleted", 1);
        server
    };
    [killed(true).disk, killed(false).stop()]
});

fuzz_target!(|input: &[u8]| {
    let [choice, injuries @ ..] = input else { return };
    let mut disk = DISKS[usize::from(choice & 1)].clone();
    let forged = injuries.chunks_exact(8).fold(false, |forged, injury| injure(&mut disk, injury) || forged);
    let Ok(mut server) = Server::open(disk, choice & 2 != 0) else { return };
    for name in STREAMS {
        let last = read_all(&mut server, name, forged);
        let replies = server.ask(append_of(name, 0));
        match replies.as_slice() {
            [Reply::Appended(appended)] => assert!(appended.first > last, "a number is never used twice"),
            [Reply::Failed(_)] => {}
            other => panic!("an append is answered once: {other:?}"),
        }
    }
});

fn key(stream: &str) -> StreamKey {
    StreamKey::parse("fuzz", stream).expect("a valid name")
}

/// An event says which one it is.
fn payload(stream: &str, seq: u64) -> String {
    format!("\"{stream} {seq} {}\"", "x".repeat(usize::try_from(seq % 7).unwrap_or(0) * 90))
}

fn append_of(stream: &str, seq: u64) -> Command {
    let drafts = Drafts::from([EventDraft::json(Bytes::from(payload(stream, seq)))]);
    let (expect, idempotency) = (None, None);
    Command::Append(Append { to: TO, stream: key(stream), drafts, expect, idempotency, ack: AckLevel::Fsync })
}

fn append(server: &mut Server, stream: &str, seq: u64) {
    let replies = server.ask(append_of(stream, seq));
    assert!(
        matches!(replies.as_slice(), [Reply::Appended(done)] if done.first == SeqNum(seq)),
        "event {seq} of {stream}: {replies:?}"
    );
}

/// Reads a stream from its beginning; gives the last sequence number that was seen.
fn read_all(server: &mut Server, stream: &str, forged: bool) -> SeqNum {
    let mut from = SeqNum(1);
    let mut last = SeqNum(0);
    for _ in 0..2 * EVENTS {
        let read = Read { to: TO, stream: key(stream), from: ReadFrom::Seq(from), limit: 7, bytes_max: 4096 };
        let replies = server.ask(Command::Read(read));
        let [Reply::Read(reply)] = replies.as_slice() else { return last };
        for record in &reply.records {
            assert!(record.seq() > last, "events ascend");
            last = record.seq();
            let wanted = payload(stream, last.0);
            assert!(forged || record.payload() == wanted.as_bytes(), "{stream} {last} is what was appended");
        }
        if reply.at_tail {
            return last;
        }
        assert!(reply.next > from, "a read goes on");
        from = reply.next;
    }
    last
}

/// One injury; true when checksums were made right after it.
fn injure(disk: &mut Disk, injury: &[u8]) -> bool {
    let names: Vec<FileId> = disk.files.keys().copied().collect();
    if names.is_empty() {
        return false;
    }
    let file = names[usize::from(injury[0]) % names.len()];
    let other = names[usize::from(injury[5]) % names.len()];
    let value = [injury[4], injury[5], injury[6], injury[7]];
    let content = disk.files.get_mut(&file).expect("just listed");
    let at = usize::from(u16::from_le_bytes([injury[2], injury[3]]));
    let block = at / 8 * BLOCK_BYTES;
    match injury[1] % 8 {
        0..=2 => overwrite(content, block + usize::from(injury[2]) % 128, &value[..1 + at % 4]),
        3 => overwrite(content, block, &[0; BLOCK_BYTES]),
        4 => content.truncate(at * 64),
        5 => drop(disk.files.remove(&file)),
        6 => {
            let taken = disk.files[&other].clone();
            disk.files.insert(file, taken);
        }
        _ => {
            let (from, len) = (usize::from(injury[4]) * BLOCK_BYTES, BLOCK_BYTES);
            let moved = content.get(from..from + len).map(<[u8]>::to_vec).unwrap_or_default();
            overwrite(content, block, &moved);
        }
    }
    let forge = injury[1] & 0x80 != 0;
    if let (true, Some(content)) = (forge, disk.files.get_mut(&file)) {
        mend::journal(content);
        mend::segment(content);
        mend::frames(content);
    }
    forge
}

fn overwrite(content: &mut [u8], at: usize, value: &[u8]) {
    let at = at.min(content.len());
    let end = (at + value.len()).min(content.len());
    content[at..end].copy_from_slice(&value[..end - at]);
}
