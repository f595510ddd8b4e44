//! The file system is switched off under the server: a power cut for everything that was not synced.
//!
//! An ext4 image on a loop device is shut down with `EXT4_IOC_SHUTDOWN` after each create, checkpoint, roll
//! and trim; mounted again it holds what a crash would have left. Without root the test says so and is
//! skipped.

use crate::client::Client;
use crate::history::{Writer, verify};
use crate::mount::Mount;
use crate::server::{Server, fresh_dir};

const SETTINGS: [(&str, &str); 5] = [
    ("MILLRACE_LIMITS__BODY_BYTES_MAX", "65536"),
    ("MILLRACE_LIMITS__APPEND_EVENTS_MAX", "64"),
    ("MILLRACE_LIMITS__JOURNAL_FILE_BYTES", "131072"),
    ("MILLRACE_LIMITS__JOURNAL_FILES_MAX", "4"),
    ("MILLRACE_LIMITS__SEGMENTS_MAX", "2"),
];

fn stat(client: &mut Client, name: &str) -> u64 {
    let stats = client.get("/stats").expect("stats are served");
    let stats: serde_json::Value = serde_json::from_slice(&stats).expect("stats are JSON");
    stats["storage"][name].as_u64().unwrap_or_else(|| panic!("/stats has storage.{name}: {stats}"))
}

/// Writes until `done` says so.
fn write_until(server: &Server, writers: &mut [Writer], mut done: impl FnMut(&mut Client) -> bool) {
    let mut client = Client::connect(server.addr).expect("the server listens");
    for _ in 0..20_000 {
        for writer in writers.iter_mut() {
            writer.write_one(&mut client).expect("the server takes events");
        }
        if done(&mut client) {
            return;
        }
    }
    panic!("the step never came");
}

#[test]
fn what_was_acknowledged_survives_the_loss_of_everything_that_was_not_synced() {
    let dir = fresh_dir("shutdown");
    let mount = match Mount::create(&dir, 192) {
        Ok(mount) => mount,
        Err(why) => {
            println!("skipped: this test needs root, loop devices and mkfs.ext4 ({why})");
            return;
        }
    };
    let data = mount.at.join("data");
    let mut writers: Vec<Writer> = (0..4).map(|n| Writer::new(n, format!("s{n}"))).collect();
    let mut trimmed = Writer::new(9, "trimmed".to_owned());
    let mut counts = [0_u64; 4];
    for round in 0..16 {
        let server = Server::start(&data, &SETTINGS);
        verify(server.addr, &writers);
        let step = round % 4;
        match step {
            // After the files of a new life were created and one event of each stream was taken.
            0 => write_until(&server, &mut writers, |_| true),
            // After a checkpoint.
            1 => {
                let mut client = Client::connect(server.addr).expect("the server listens");
                let before = stat(&mut client, "checkpoints");
                write_until(&server, &mut writers, |client| stat(client, "checkpoints") > before);
            }
            // After the journal went on in another file.
            2 => {
                let mut client = Client::connect(server.addr).expect("the server listens");
                let before = stat(&mut client, "groups_written");
                write_until(&server, &mut writers, |client| stat(client, "groups_written") > before + 33);
            }
            // After a trim.
            _ => {
                let mut client = Client::connect(server.addr).expect("the server listens");
                for _ in 0..10 {
                    trimmed.write_one(&mut client).expect("the server takes events");
                }
                let last = *trimmed.acknowledged.last().expect("written just now");
                let target = format!("/streams/b/trimmed?before={last}");
                let answer = client.send("DELETE", &target, &[], b"").expect("the trim is answered");
                assert_eq!(answer.head.status(), 204);
            }
        }
        counts[step] += 1;
        mount.cut_power(server);
        if step == 3 {
            let server = Server::start(&data, &SETTINGS);
            let mut client = Client::connect(server.addr).expect("the server listens");
            let left = client.events("trimmed").expect("the stream is there");
            let last = *trimmed.acknowledged.last().expect("written above");
            assert_eq!(left.iter().map(|event| event.0).collect::<Vec<_>>(), [last], "the trim holds");
            server.kill();
        }
    }
    let server = Server::start(&data, &SETTINGS);
    let count = verify(server.addr, &writers);
    server.kill();
    println!("power cut after {counts:?} creates, checkpoints, rolls, trims: {count} events, 0 lost");
}
