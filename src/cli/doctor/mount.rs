//! The mount under a path, from the text of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
//!
//! Pure. Lines that are not understood are passed over. The mount is found by its place and not by the
//! device's number, which on btrfs is another one than the files have.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// What is mounted where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Major and minor number, as in `254:0`; the major one is 0 for what has no device of its own.
    pub(super) device: String,
    /// Where.
    pub(super) point: PathBuf,
    /// The type of the file system.
    pub(super) kind: String,
    /// What was mounted: a device file, or any name.
    pub(super) source: String,
    /// Options of the mount and of the file system, each once.
    pub(super) options: Vec<String>,
}

impl Mount {
    /// The mount that `path`, absolute and without links, lies in: the deepest, and of several at one place
    /// the last, which hides the others.
    pub(super) fn under(mounts: &str, path: &Path) -> Option<Mount> {
        let around = mounts.lines().filter_map(parse).filter(|mount| path.starts_with(&mount.point));
        around.max_by_key(|mount| mount.point.components().count())
    }

    /// Whether it has a device of its own.
    pub(super) fn has_device_number(&self) -> bool {
        !self.device.starts_with("0:")
    }
}

fn parse(line: &str) -> Option<Mount> {
    // Optional fields, of any number, end with a dash.
    let (first, last) = line.split_once(" - ")?;
    let mut first = first.split(' ').skip(2);
    let (device, point, own) = (first.next()?, first.nth(1)?, first.next()?);
    let mut last = last.split(' ');
    let (kind, source, shared) = (last.next()?, last.next()?, last.next().unwrap_or(""));
    let mut options: Vec<String> = Vec::new();
    for option in own.split(',').chain(shared.split(',')).filter(|option| !option.is_empty()) {
        if !options.iter().any(|known| known == option) {
            options.push(option.to_owned());
        }
    }
    Some(Mount {
        device: device.to_owned(),
        point: PathBuf::from(OsString::from_vec(unescape(point))),
        kind: kind.to_owned(),
        source: String::from_utf8_lossy(&unescape(source)).into_owned(),
        options,
    })
}

/// Blanks and backslashes stand as three octal digits.
fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(|_| bytes[at] == b'\\') {
            Some(code) => {
                plain.push(code);
                at += 4;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
40 27 0:35 /@data /srv/my\\040data rw,noatime - btrfs /dev/mapper/a\\134b rw,ssd,subvol=/@data
41 27 8:1 / /srv/twice rw - ext4 /dev/sda1 rw
42 27 8:17 / /srv/twice rw - xfs /dev/sdb1 rw
not a mount at all
";

    fn under(path: &str) -> Mount {
        Mount::under(MOUNTS, Path::new(path)).expect("a mount")
    }

    #[test]
    fn a_path_lies_in_the_deepest_mount_around_it() {
        let root = under("/var/lib/millrace");
        assert_eq!((root.kind.as_str(), root.device.as_str()), ("ext4", "254:0"));
        assert_eq!(root.options, ["rw", "relatime", "discard"]);
        assert!(root.has_device_number());
        let deep = under("/srv/my data/millrace");
        assert_eq!((deep.kind.as_str(), deep.source.as_str()), ("btrfs", "/dev/mapper/a\\b"));
        assert!(!deep.has_device_number());
        assert_eq!(under("/srv/my database").kind, "ext4", "a name that begins alike is another one");
    }

    #[test]
    fn of_two_mounts_at_one_place_the_last_counts() {
        assert_eq!(under("/srv/twice/x").kind, "xfs");
    }

    #[test]
    fn no_text_gives_no_mount_and_no_panic() {
        for text in ["", " - ", "1 2 3 - 4", "1 2 0:1 / / rw - ext4", "a b c d e\\04 f - g h"] {
            let _ = Mount::under(text, Path::new("/"));
        }
        assert_eq!(Mount::under("", Path::new("/")), None);
    }
}
