//! The built binary as a child process: started on a free port, killed or stopped by its id.
//!
//! Shared by the tests that run the whole program. The ready line tells the address. A server that is dropped
//! is killed.

use crate::open::open_to_everybody;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
}

impl Server {
    /// Starts on `data`, with settings `MILLRACE_SECTION__KEY=value`, and waits for the ready line.
    pub(crate) fn start(data: &Path, settings: &[(&str, &str)]) -> Server {
        Server::try_start(data, settings).unwrap_or_else(|text| panic!("the server starts: {text}"))
    }

    pub(crate) fn try_start(data: &Path, settings: &[(&str, &str)]) -> Result<Server, String> {
        let server = Server::try_start_closed(data, settings)?;
        open_to_everybody(server.addr).map_err(|error| format!("everybody is not let in: {error}"))?;
        Ok(server)
    }

    /// As [`Server::try_start`], but nobody may do what nobody was granted.
    pub(crate) fn try_start_closed(data: &Path, settings: &[(&str, &str)]) -> Result<Server, String> {
        let mut child = Command::new(binary())
            .args(["serve", "--http", "127.0.0.1:0", "--data"])
            .arg(data)
            .envs(crate::open::SETTINGS)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary was built");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("stdout is readable");
        let addr = line.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next());
        match addr.and_then(|addr| addr.parse().ok()) {
            Some(addr) => Ok(Server { child, addr }),
            None => {
                let status = child.wait().expect("the child can be waited for");
                Err(format!("ready line {line:?}, {status}"))
            }
        }
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory that the process holds now.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.status("VmRSS:")
    }

    /// The most that the process held since [`Server::forget_peak`].
    pub(crate) fn resident_bytes_peak(&self) -> usize {
        self.status("VmHWM:")
    }

    /// Begins a new measurement of the peak.
    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("it is our own child");
    }

    fn status(&self, field: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(field)).expect("a process has memory");
        let kib: usize = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
        kib * 1024
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("the child can be waited for");
    }

    /// SIGTERM; gives how it ended.
    pub(crate) fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Sends a signal by its short name.
    pub(crate) fn signal(&self, name: &str) {
        let (signal, pid) = (format!("-{name}"), self.child.id().to_string());
        let sent = Command::new("kill").args([&signal, &pid]).status().expect("kill is there");
        assert!(sent.success());
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("the child can be waited for")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A fresh folder for a test's data.
pub(crate) fn fresh_dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir).expect("an old folder can be removed");
    }
    std::fs::create_dir_all(&dir).expect("the target folder is writable");
    dir
}

/// The binary under test: the one just built, or that of `MILLRACE_TEST_BINARY`, so that a release is tried
/// by the same tests.
fn binary() -> OsString {
    std::env::var_os("MILLRACE_TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_millrace").into())
}
