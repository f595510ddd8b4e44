//! The file system is switched off under the server: a power cut for everything that was not synced.
//!
//! An ext4 image on a loop device is shut down with `EXT4_IOC_SHUTDOWN` after each create, checkpoint, roll
//! and trim; mounted again it holds what a crash would have left. Needs root, loop devices and mkfs.ext4;
//! without them the test says so and is skipped.

use crate::client::Client;
use crate::history::{Writer, verify};
use crate::server::{Server, fresh_dir};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SETTINGS: [(&str, &str); 5] = [
    ("MILLRACE_LIMITS__BODY_BYTES_MAX", "65536"),
    ("MILLRACE_LIMITS__APPEND_EVENTS_MAX", "64"),
    ("MILLRACE_LIMITS__JOURNAL_FILE_BYTES", "131072"),
    ("MILLRACE_LIMITS__JOURNAL_FILES_MAX", "4"),
    ("MILLRACE_LIMITS__SEGMENTS_MAX", "2"),
];

/// `EXT4_IOC_SHUTDOWN` with the flag that drops the journal without a flush, on a file in the mount.
const SWITCH_OFF: &str = r#"
    open(my $f, '<', $ARGV[0]) or die "open: $!";
    my $how = pack('I', 2);
    ioctl($f, 0x8004587D, $how) or die "ioctl: $!";
"#;

/// A mounted image; unmounted when dropped.
struct Mount {
    image: PathBuf,
    at: PathBuf,
}

impl Mount {
    /// A fresh file system, or why there can be none.
    fn create(dir: &Path) -> Result<Mount, String> {
        let mount = Mount { image: dir.join("disk.img"), at: dir.join("mnt") };
        std::fs::create_dir_all(&mount.at).map_err(|error| error.to_string())?;
        let image = std::fs::File::create(&mount.image).map_err(|error| error.to_string())?;
        image.set_len(192 << 20).map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q", "-F", text(&mount.image)])?;
        mount.mount()?;
        Ok(mount)
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", text(&self.image), text(&self.at)])
    }

    /// Power off and on again: what was not synced is gone.
    fn cut_power(&self, server: Server) {
        run("perl", &["-e", SWITCH_OFF, text(&self.at.join("data/IDENTITY"))]).expect("the switch works");
        server.kill();
        self.unmount().expect("nothing holds the mount");
        self.mount().expect("a crashed ext4 mounts");
    }

    /// The kernel ends a killed process's rings a little later than the process: tries for some seconds.
    fn unmount(&self) -> Result<(), String> {
        let mut tried = run("umount", &[text(&self.at)]);
        for _ in 0..100 {
            if tried.is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            tried = run("umount", &[text(&self.at)]);
        }
        tried
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = self.unmount();
        let _ = std::fs::remove_file(&self.image);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the target folder has a plain name")
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

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
    let mount = match Mount::create(&dir) {
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
