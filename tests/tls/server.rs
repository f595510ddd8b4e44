//! The built binary as a child process that serves TLS; killed when nobody holds it any more.
//!
//! Each has a directory of its own for data and certificates. What it says on stderr is kept and can be
//! waited for.

use crate::open::{SETTINGS, open_to_everybody};
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);

/// A directory of a test, removed with it.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("tls-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&dir).expect("the target folder is writable");
        Dir(dir)
    }

    /// Makes a pair in a folder of this name, for localhost; gives the folder.
    pub(crate) fn pair(&self, name: &str) -> PathBuf {
        let out = self.0.join(name);
        let made = run(&["dev-cert", "--name", name, "--name", "localhost", "--out", &shown(&out)]);
        assert!(made.status.success(), "{made:?}");
        out
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn shown(path: &Path) -> String {
    path.to_str().expect("the target folder has a name in Unicode").to_owned()
}

/// Runs a verb of the binary to its end.
pub(crate) fn run(words: &[&str]) -> Output {
    Command::new(binary()).args(words).stdin(Stdio::null()).output().expect("the binary was built")
}

/// A server with TLS.
pub(crate) struct Server {
    child: Child,
    pub(crate) ready_line: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts one with the pair in a folder.
    pub(crate) fn start(dir: &Dir, pair: &Path) -> Server {
        Server::start_with(dir, pair, &[], &[])
    }

    /// As [`Server::start`], with more arguments and settings `MILLRACE_SECTION__KEY=value`.
    pub(crate) fn start_with(dir: &Dir, pair: &Path, words: &[&str], settings: &[(&str, &str)]) -> Server {
        Server::let_everybody_in(dir);
        let (cert, key) = (pair.join("cert.pem"), pair.join("key.pem"));
        let mut all = vec!["--https", "127.0.0.1:0"];
        let (cert, key) = (shown(&cert), shown(&key));
        all.extend(["--tls-cert", &cert, "--tls-key", &key]);
        all.extend(words);
        Server::start_bare(dir, &all, settings)
    }

    /// Once for a directory, over plain HTTP: the tests are not about users.
    fn let_everybody_in(dir: &Dir) {
        if dir.0.join("data").exists() {
            return;
        }
        let mut server = Server::start_bare(dir, &[], &SETTINGS);
        open_to_everybody(server.addr("http://").expect("plain HTTP")).expect("the administrator may grant");
        server.signal("TERM");
        assert!(server.wait().0.success());
    }

    /// With these arguments alone.
    pub(crate) fn start_bare(dir: &Dir, words: &[&str], settings: &[(&str, &str)]) -> Server {
        let http = if words.contains(&"--http") { &[][..] } else { &["--http", "127.0.0.1:0"] };
        let mut child = Command::new(binary())
            .arg("serve")
            .args(http)
            .args(words)
            .arg("--data")
            .arg(dir.0.join("data"))
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built");
        let (stdout, stderr) =
            (child.stdout.take().expect("it is piped"), child.stderr.take().expect("it is piped"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        std::thread::spawn({
            let lines = lines.clone();
            move || {
                BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| {
                    lines.lock().expect("nobody panics with it").push(line);
                });
            }
        });
        let mut ready_line = String::new();
        BufReader::new(stdout).read_line(&mut ready_line).expect("stdout is readable");
        Server { child, ready_line, lines }
    }

    /// Where TLS is served.
    pub(crate) fn https(&self) -> SocketAddr {
        self.addr("https://")
            .unwrap_or_else(|| panic!("no https in {:?}: {:?}", self.ready_line, self.said()))
    }

    /// The address behind a scheme in the ready line.
    pub(crate) fn addr(&self, scheme: &str) -> Option<SocketAddr> {
        let rest = self.ready_line.split(scheme).nth(1)?;
        rest.split_whitespace().next()?.parse().ok()
    }

    /// Everything that it has said on stderr.
    pub(crate) fn said(&self) -> String {
        self.lines.lock().expect("nobody panics with it").join("\n")
    }

    /// Waits for a line with these words; gives it.
    pub(crate) fn wait_for(&self, words: &str) -> String {
        let begin = Instant::now();
        loop {
            let found = self.said().lines().find(|line| line.contains(words)).map(str::to_owned);
            if let Some(line) = found {
                return line;
            }
            assert!(begin.elapsed() < LONG, "never said {words:?}: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal by its short name.
    pub(crate) fn signal(&self, name: &str) {
        let (signal, pid) = (format!("-{name}"), self.child.id().to_string());
        let sent = Command::new("kill").args([&signal, &pid]).status().expect("kill is there");
        assert!(sent.success());
    }

    /// Waits until it has ended; gives how, and what it said.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("the child can be waited for");
        // The thread that listens has the rest in a moment.
        std::thread::sleep(Duration::from_millis(50));
        (status, self.said())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test: the one just built, or that of `MILLRACE_TEST_BINARY`, so that a release is tried
/// by the same tests.
fn binary() -> OsString {
    std::env::var_os("MILLRACE_TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_millrace").into())
}
