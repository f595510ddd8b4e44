//! Peers as processes: started and stopped by their scripts, which say where they listen and how durable they
//! are.
//!
//! Used by `compare`. A script is `NAME.sh start PORT [CORES]` and prints one line,
//! `ready ADDRESS pid=N… durability=TEXT`; `NAME.sh stop PORT` ends what it started, and is called when the
//! peer is dropped, too.

use crate::failure::{Exit, Failure};
use crate::wire::peer::Peer;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A running peer.
#[derive(Debug)]
pub(crate) struct RunningPeer {
    script: PathBuf,
    files: PathBuf,
    port: u16,
    /// What its script said.
    pub(crate) ready: Ready,
}

/// What a script says when its server is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    /// Where it listens.
    pub(crate) target: SocketAddr,
    /// Its processes.
    pub(crate) pids: Vec<u32>,
    /// What its acknowledgement means.
    pub(crate) durability: String,
}

impl RunningPeer {
    /// Starts `peer` by its script in `scripts`; its files go into `files`.
    pub(crate) fn start(
        peer: Peer,
        scripts: &Path,
        files: &Path,
        cores: &[usize],
    ) -> Result<RunningPeer, Failure> {
        let script = scripts.join(format!("{peer}.sh"));
        let port = free_port()?;
        let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
        let mut command = Command::new(&script);
        command.arg("start").arg(port.to_string()).env("PEERS_DIR", files);
        if !cores.is_empty() {
            command.arg(cores.join(","));
        }
        let failed = |what: String| {
            Failure::new(Exit::Unreachable, format!("{} start {port}: {what}", script.display())).next(
                format!("name the folder of the scripts with --peers, and run `{peer}.sh install` once"),
            )
        };
        // Its standard output must not stay open in the server that it leaves behind, so it goes to a file.
        std::fs::create_dir_all(files).map_err(|error| Failure::io(files.display(), &error))?;
        let said_path = files.join(format!("{peer}-{port}.ready"));
        let said_file =
            std::fs::File::create(&said_path).map_err(|error| Failure::io(said_path.display(), &error))?;
        let status = command.stdout(said_file).status().map_err(|error| failed(error.to_string()))?;
        let said = std::fs::read_to_string(&said_path).unwrap_or_default();
        // Only a courtesy to the folder.
        let _ = std::fs::remove_file(&said_path);
        if !status.success() {
            return Err(failed(format!("it ended with {status}")));
        }
        let ready =
            parse_ready(&said).ok_or_else(|| failed(format!("it said {said:?} and not that it is ready")))?;
        Ok(RunningPeer { script, files: files.to_owned(), port, ready })
    }
}

impl Drop for RunningPeer {
    fn drop(&mut self) {
        let mut command = Command::new(&self.script);
        let stopped = command.arg("stop").arg(self.port.to_string()).env("PEERS_DIR", &self.files).status();
        if !stopped.is_ok_and(|status| status.success()) {
            eprintln!("loadgen: {} stop {} failed: stop it by hand", self.script.display(), self.port);
        }
    }
}

/// A port that nobody has at this moment.
fn free_port() -> Result<u16, Failure> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    port.map(|address| address.port()).map_err(|error| Failure::io("no free port", &error))
}

fn parse_ready(said: &str) -> Option<Ready> {
    let line = said.lines().find_map(|line| line.strip_prefix("ready "))?;
    let (words, durability) = line.split_once(" durability=")?;
    let mut words = words.split_whitespace();
    let target = words.next()?.parse().ok()?;
    let pids = words.map(|word| word.strip_prefix("pid=")?.parse().ok()).collect::<Option<Vec<u32>>>()?;
    Some(Ready { target, pids, durability: durability.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_line_tells_address_processes_and_durability() {
        let said = "starting\nready 127.0.0.1:7000 pid=12 pid=13 durability=none: in memory\n";
        let ready = parse_ready(said).expect("it is ready");
        assert_eq!(
            (ready.target.port(), ready.pids, &*ready.durability),
            (7000, vec![12, 13], "none: in memory")
        );
        for wrong in ["", "ready", "ready x pid=1 durability=d", "ready 127.0.0.1:1 pid=x durability=d"] {
            assert_eq!(parse_ready(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_script_that_is_not_there_is_named_with_what_to_do() {
        let files = std::env::temp_dir();
        let failure = RunningPeer::start(Peer::Redis, Path::new("/nonexistent"), &files, &[]);
        let text = failure.expect_err("there is no such folder").to_string();
        assert!(text.contains("/nonexistent/redis.sh start") && text.contains("--peers"), "{text}");
    }
}
