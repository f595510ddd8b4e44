//! A server's life with all that belongs to its starts and ends: arguments, environment, stderr, SIGKILL.
//!
//! For tests of the first start and of kills, and for those that look into the data directory. Unlike
//! [`crate::server::Server`], nothing is configured that the test does not say, but for a loopback port and
//! hashes that cost next to nothing.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// A data directory, removed with it.
pub(crate) struct Home(PathBuf);

impl Home {
    /// A new one that does not exist yet.
    pub(crate) fn new() -> Home {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("identity-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Home(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    /// A file of the server's.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Starts a server and waits for its ready line.
    pub(crate) fn start(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Life {
        self.try_start(arguments, settings).unwrap_or_else(|said| panic!("it does not start: {said}"))
    }

    /// Starts a server; gives what it said on stderr when it does not serve.
    pub(crate) fn try_start(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Result<Life, String> {
        let mut child = Command::new(binary())
            .args(["serve", "--data"])
            .arg(&self.0)
            .args(arguments)
            .env_remove("MILLRACE_ADMIN_PASSWORD")
            .env("MILLRACE_AUTH__ARGON2_MEMORY_BYTES", "64KiB")
            .env("MILLRACE_AUTH__ARGON2_PASSES", "1")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built");
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("stdout is readable");
        let addr = line.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next());
        match addr.and_then(|addr| addr.parse().ok()) {
            Some(addr) => Ok(Life { child, addr, stderr: Some(stderr) }),
            None => {
                let mut said = String::new();
                stderr.read_to_string(&mut said).expect("stderr is text");
                let status = child.wait().expect("the child can be waited for");
                assert!(!status.success(), "it ended without a word: {said}");
                Err(said)
            }
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // What cannot be removed is in the target folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running server; killed when it is dropped.
pub(crate) struct Life {
    child: Child,
    pub(crate) addr: SocketAddr,
    stderr: Option<ChildStderr>,
}

impl Life {
    /// SIGTERM; gives all that it said on stderr.
    pub(crate) fn stop(mut self) -> String {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there");
        assert!(sent.success());
        let mut said = String::new();
        self.stderr.take().expect("it is read once").read_to_string(&mut said).expect("stderr is text");
        assert!(self.child.wait().expect("the child can be waited for").success(), "{said}");
        said
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("the child can be waited for");
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As in `tests/http/server.rs`.
fn binary() -> OsString {
    std::env::var_os("MILLRACE_TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_millrace").into())
}
