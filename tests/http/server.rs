//! The built binary as a child process on a free port; ended by its id when nobody holds it any more.
//!
//! The ready line tells the address. Each server has a data directory of its own, removed with it.
//! Tests that change nothing but their own bucket share one.

use crate::open::open_to_everybody;
use crate::wire::Client;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A running server and its data directory.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
    dir: PathBuf,
    is_told: AtomicBool,
}

impl Server {
    /// Starts one with settings `MILLRACE_SECTION__KEY=value`, where everybody may do everything.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Server {
        // What has to hold from the first start on. The other settings come with the second one: by then
        // everybody is let in, and nothing was done yet that is counted, logged or limited.
        let lasting = |setting: &&(&str, &str)| setting.0.starts_with("MILLRACE_SERVER__");
        let lasting: Vec<_> = settings.iter().filter(lasting).copied().collect();
        let server = Server::start_closed(&lasting);
        open_to_everybody(server.addr).expect("the administrator may grant");
        if settings.is_empty() { server } else { server.restart(settings) }
    }

    /// Starts one where only the administrator may do anything.
    pub(crate) fn start_closed(settings: &[(&str, &str)]) -> Server {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("http-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        Server::start_in(dir, settings)
    }

    fn start_in(dir: PathBuf, settings: &[(&str, &str)]) -> Server {
        let mut child = Command::new(binary())
            .args(["serve", "--http", "127.0.0.1:0", "--data"])
            .arg(&dir)
            .envs(crate::open::SETTINGS)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary was built");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("stdout is readable");
        let addr = line.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next());
        let addr = addr.and_then(|addr| addr.parse().ok());
        Server {
            addr: addr.unwrap_or_else(|| panic!("no address in {line:?}")),
            child,
            dir,
            is_told: AtomicBool::new(false),
        }
    }

    /// A server that tests share; it lives while one of them runs.
    pub(crate) fn shared() -> Arc<Server> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Server::start(&[]));
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    /// SIGTERM, once, without waiting.
    pub(crate) fn terminate(&self) {
        if self.is_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there");
        assert!(sent.success());
    }

    /// SIGTERM, and a new server on the same directory.
    pub(crate) fn restart(self, settings: &[(&str, &str)]) -> Server {
        self.restart_after(settings, |_| ())
    }

    /// SIGTERM, a change of the directory, and a new server on it.
    pub(crate) fn restart_after(mut self, settings: &[(&str, &str)], change: impl FnOnce(&Path)) -> Server {
        self.terminate();
        let status = self.child.wait().expect("the child can be waited for");
        assert!(status.success(), "{status}");
        let dir = std::mem::take(&mut self.dir);
        drop(self);
        change(&dir);
        Server::start_in(dir, settings)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.dir.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// The binary under test: the one just built, or that of `MILLRACE_TEST_BINARY`, so that a release is tried
/// by the same tests.
fn binary() -> OsString {
    std::env::var_os("MILLRACE_TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_millrace").into())
}
