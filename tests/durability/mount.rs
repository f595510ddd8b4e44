//! A small ext4 on a loop device, whose power a test can cut and whose room it can take.
//!
//! Needs root, loop devices and mkfs.ext4; [`Mount::create`] says what is missing, and the test is skipped.

use crate::server::Server;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// `EXT4_IOC_SHUTDOWN` with the flag that drops the journal without a flush, on a file in the mount.
const SWITCH_OFF: &str = r#"
    open(my $f, '<', $ARGV[0]) or die "open: $!";
    my $how = pack('I', 2);
    ioctl($f, 0x8004587D, $how) or die "ioctl: $!";
"#;

/// A mounted image; unmounted when dropped.
pub(crate) struct Mount {
    image: PathBuf,
    pub(crate) at: PathBuf,
}

impl Mount {
    /// A fresh file system, or why there can be none.
    pub(crate) fn create(dir: &Path, mebibytes: u64) -> Result<Mount, String> {
        let mount = Mount { image: dir.join("disk.img"), at: dir.join("mnt") };
        std::fs::create_dir_all(&mount.at).map_err(|error| error.to_string())?;
        let image = std::fs::File::create(&mount.image).map_err(|error| error.to_string())?;
        image.set_len(mebibytes << 20).map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q", "-F", text(&mount.image)])?;
        mount.mount()?;
        Ok(mount)
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", text(&self.image), text(&self.at)])
    }

    /// Power off and on again: what was not synced is gone.
    pub(crate) fn cut_power(&self, server: Server) {
        self.switch_off();
        server.kill();
        self.mount_again();
    }

    /// From now on every write and flush fails with EIO.
    pub(crate) fn switch_off(&self) {
        run("perl", &["-e", SWITCH_OFF, text(&self.at.join("data/IDENTITY"))]).expect("the switch works");
    }

    /// The disk as a machine finds it that was switched on again. No server may run on it.
    pub(crate) fn mount_again(&self) {
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
