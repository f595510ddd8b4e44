//! The lock of a data directory: one process at a time.
//!
//! `flock` on the file LOCK, held until the process ends however it ends. The file's text, the holder's
//! process id, is for people and is no evidence.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Proof that the directory is ours while it lives.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

/// Why the lock was not taken.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it; its id if the file tells.
    Held(Option<u32>),
    /// The system's error.
    Io(io::Error),
}

impl DirLock {
    /// Takes the lock of `dir`, which exists, without waiting.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn acquire(dir: &Path) -> Result<DirLock, LockError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(dir.join("LOCK")).map_err(LockError::Io)?;
        // SAFETY: the descriptor is open for the whole call.
        #[allow(unsafe_code)]
        let code = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        if code != 0 {
            let error = io::Error::last_os_error();
            return Err(match error.kind() {
                io::ErrorKind::WouldBlock => LockError::Held(holder(&mut file)),
                _ => LockError::Io(error),
            });
        }
        write_holder(&mut file).map_err(LockError::Io)?;
        Ok(DirLock { _file: file })
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
