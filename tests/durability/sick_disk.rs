//! A disk that fails or runs full under a living server.
//!
//! The kernel's own errors, not planted ones: a file system that was switched off answers EIO, one without
//! room ENOSPC. Without root the tests say so and are skipped.

use crate::client::Client;
use crate::history::{Writer, verify};
use crate::mount::Mount;
use crate::server::{Server, fresh_dir};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// EX_IOERR, as docs/operations.md promises.
const EXIT_DISK_FAILED: i32 = 74;

const SETTINGS: [(&str, &str); 4] = [
    ("MILLRACE_LIMITS__BODY_BYTES_MAX", "65536"),
    ("MILLRACE_LIMITS__APPEND_EVENTS_MAX", "64"),
    ("MILLRACE_LIMITS__JOURNAL_FILE_BYTES", "262144"),
    ("MILLRACE_LIMITS__JOURNAL_FILES_MAX", "4"),
];

fn mount(name: &str) -> Option<Mount> {
    Mount::create(&fresh_dir(name), 64)
        .inspect_err(|why| println!("skipped: this test needs root, loop devices and mkfs.ext4 ({why})"))
        .ok()
}

#[test]
fn a_server_whose_journal_fails_acknowledges_nothing_more_and_ends_with_74() {
    let Some(mount) = mount("sick") else { return };
    let data = mount.at.join("data");
    let server = Server::start(&data, &SETTINGS);
    let mut writers = [Writer::new(0, "s".to_owned())];
    let mut client = Client::connect(server.addr).expect("the server listens");
    for _ in 0..50 {
        writers[0].write_one(&mut client).expect("the server takes events");
    }
    mount.switch_off();
    assert!(writers[0].write_one(&mut client).is_err(), "nothing can be on this disk any more");
    assert_eq!(server.wait().code(), Some(EXIT_DISK_FAILED));
    mount.mount_again();
    let server = Server::start(&data, &SETTINGS);
    let mut client = Client::connect(server.addr).expect("the server listens");
    writers[0].write_one(&mut client).expect("the retry succeeds");
    assert_eq!(verify(server.addr, &writers), 51);
    server.kill();
}

/// Takes all room that is left.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("the file system takes one more file");
    for piece in [1 << 20, 4096] {
        let zeros = vec![0_u8; piece];
        let full = std::iter::repeat_with(|| file.write_all(&zeros)).find_map(Result::err);
        assert_eq!(full.map(|error| error.kind()), Some(ErrorKind::StorageFull));
    }
}

/// Posts 60 KB; gives the status.
fn post_large(client: &mut Client, n: usize) -> u16 {
    let body = format!("\"{n}{}\"", "x".repeat(60_000));
    let headers = [("content-type", "application/json")];
    let reply = client.send("POST", "/streams/b/large", &headers, body.as_bytes());
    reply.expect("every request is answered").head.status()
}

#[test]
fn a_full_disk_refuses_appends_serves_reads_and_takes_appends_again_when_there_is_room() {
    let Some(mount) = mount("full") else { return };
    let data = mount.at.join("data");
    let server = Server::start(&data, &SETTINGS);
    let mut client = Client::connect(server.addr).expect("the server listens");
    let mut acknowledged = 0;
    let taken = mount.at.join("taken");
    fill(&taken);
    let refused_at = (0..5_000).find(|n| match post_large(&mut client, *n) {
        201 => {
            acknowledged += 1;
            false
        }
        507 => true,
        other => panic!("append {n} is answered {other}"),
    });
    assert!(refused_at.is_some(), "a full disk is noticed");
    assert_eq!(client.events("large").expect("reads go on").len(), acknowledged);
    assert_eq!(post_large(&mut client, 0), 507, "it stays refused while there is no room");
    std::fs::remove_file(&taken).expect("the file is there");
    let deadline = Instant::now() + Duration::from_secs(20);
    while post_large(&mut client, 0) != 201 {
        assert!(Instant::now() < deadline, "appends are taken again by themselves");
        std::thread::sleep(Duration::from_millis(50));
    }
    acknowledged += 1;
    server.kill();
    let server = Server::start(&data, &SETTINGS);
    let mut client = Client::connect(server.addr).expect("the server listens");
    assert_eq!(client.events("large").expect("everything is there").len(), acknowledged);
    assert!(server.stop().success());
}
