//! A person at a shell: calls of the binary with a home of its own.
//!
//! Nothing of who runs the tests is looked at: the environment has what the person has and nothing else.
//! Nobody is there to type, so each call has its password or a session that was kept.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Somebody who talks to one server.
pub(crate) struct Person {
    home: PathBuf,
    port: u16,
}

impl Person {
    pub(crate) fn at(addr: SocketAddr, home: &Path) -> Person {
        std::fs::create_dir_all(home).expect("the target folder is writable");
        Person { home: home.to_owned(), port: addr.port() }
    }

    /// Where sessions are kept.
    pub(crate) fn cache(&self) -> PathBuf {
        self.home.join("cache/millrace")
    }

    /// Calls the binary with these words and nothing on standard input.
    pub(crate) fn calls(&self, words: &[&str]) -> Done {
        self.calls_with(words, &[], "")
    }

    /// Calls it with variables and something on standard input.
    pub(crate) fn calls_with(&self, words: &[&str], variables: &[(&str, &str)], input: &str) -> Done {
        let binary = std::env::var_os("MILLRACE_TEST_BINARY");
        let mut command = Command::new(binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_millrace").into()));
        command.env_clear().env("HOME", &self.home).env("XDG_CACHE_HOME", self.home.join("cache"));
        command.envs(variables.iter().copied()).args(["-P", &self.port.to_string()]).args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary was built");
        let mut stdin = child.stdin.take().expect("it is piped");
        // Who does not read may be gone.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// As [`Person::calls`]; what does not succeed is a fault of the test.
    pub(crate) fn does(&self, words: &[&str]) -> String {
        let done = self.calls(words);
        assert_eq!(done.code, Some(0), "{words:?}: {}", done.err);
        done.out
    }
}
