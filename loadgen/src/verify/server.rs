//! The server under test as a child process: started on a free loopback port, killed, started again.
//!
//! Used by `verify` and `compare`. The ready line on its standard output tells the address. Only the child
//! that was started here is signalled, and it never outlives its owner.

use crate::cli::VerifyArgs;
use crate::drive::processes;
use crate::failure::{Exit, Failure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long an orderly stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// How it is started.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// The binary.
    pub(crate) program: PathBuf,
    /// Arguments after those of loadgen.
    pub(crate) arguments: Vec<String>,
    /// The data directory.
    pub(crate) data: PathBuf,
    /// Its processors; empty for any.
    pub(crate) cores: Vec<usize>,
    /// The administrator's password of a new data directory, if it is to be known.
    pub(crate) admin_password: Option<String>,
    /// How long it may take to say that it is ready.
    pub(crate) start_timeout: Duration,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    recipe: Recipe,
    child: Child,
    target: SocketAddr,
}

impl Server {
    /// Starts it as `verify` was told to.
    pub(crate) fn start(
        program: &Path,
        args: &VerifyArgs,
        admin_password: Option<String>,
    ) -> Result<Server, Failure> {
        let data = args.data.clone().unwrap_or_default();
        require_empty(&data)?;
        Server::start_by(Recipe {
            program: program.to_owned(),
            arguments: words(&args.server_args),
            data,
            cores: Vec::new(),
            admin_password,
            start_timeout: args.start_timeout,
        })
    }

    /// Starts it by a recipe.
    pub(crate) fn start_by(recipe: Recipe) -> Result<Server, Failure> {
        let (child, target) = launch(&recipe)?;
        Ok(Server { recipe, child, target })
    }

    /// Where it listens.
    pub(crate) fn target(&self) -> SocketAddr {
        self.target
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails if it ended by itself.
    pub(crate) fn check_running(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                Err(Failure::new(Exit::CheckFailed, format!("the server ended by itself ({status})"))
                    .next("its last words are on stderr above"))
            }
            Err(error) => Err(Failure::io("cannot ask for the server's process", &error)),
        }
    }

    /// SIGKILL, then a new start on the same data; gives the new address.
    pub(crate) fn kill_and_restart(&mut self) -> Result<SocketAddr, Failure> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map_err(|error| Failure::io("cannot kill the server", &error))?;
        (self.child, self.target) = launch(&self.recipe)?;
        Ok(self.target)
    }

    /// SIGTERM, and a while for it.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        let failed = |what: String| Failure::new(Exit::Io, format!("cannot stop the server: {what}"));
        let pid = Pid::from_raw(self.child.id() as i32);
        kill(pid, Signal::SIGTERM).map_err(|errno| failed(errno.to_string()))?;
        let begun = Instant::now();
        while begun.elapsed() < STOP_TIMEOUT {
            if self.child.try_wait().map_err(|error| failed(error.to_string()))?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(failed(format!("it still runs after {} s", STOP_TIMEOUT.as_secs())))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Arguments that are separated by blanks.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Old events would be breaches.
fn require_empty(data: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(data).map_err(|error| Failure::io(data.display(), &error))?;
    let mut entries = std::fs::read_dir(data).map_err(|error| Failure::io(data.display(), &error))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format!("--data {}: it is not empty", data.display()))
            .next("name a new directory; nothing is ever deleted there")),
    }
}

fn launch(recipe: &Recipe) -> Result<(Child, SocketAddr), Failure> {
    let name = recipe.program.display();
    let mut command = Command::new(&recipe.program);
    command.args(["serve", "--http", "127.0.0.1:0", "--data"]).arg(&recipe.data).args(&recipe.arguments);
    if let Some(password) = &recipe.admin_password {
        command.env("MILLRACE_ADMIN_PASSWORD", password);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = spawn_on(&recipe.cores, command).map_err(|error| {
        Failure::new(Exit::Unreachable, format!("cannot start {name}: {error}"))
            .next("build it with `cargo build --release`, or name it with --server")
    })?;
    let Some(stdout) = child.stdout.take() else { unreachable!("stdout is piped above") };
    let (sender, receiver) = mpsc::channel();
    // Lives as long as the server talks, so that its pipe never fills.
    thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        let _ = reader.read_line(&mut line);
        let _ = sender.send(line);
        let _ = reader.read_to_end(&mut Vec::new());
    });
    let line = receiver.recv_timeout(recipe.start_timeout).unwrap_or_default();
    if let Some(target) = ready_address(&line) {
        return Ok((child, target));
    }
    // Ended by itself, or silent: either way it is of no use.
    let _ = child.kill();
    let _ = child.wait();
    let seconds = recipe.start_timeout.as_secs();
    let message = format!("{name} did not say within {seconds} s that it is ready (it said {line:?})");
    Err(Failure::new(Exit::CheckFailed, message).next("see what it wrote to stderr, above"))
}

/// The address in `millrace ready: http://ADDRESS (…)`.
fn ready_address(line: &str) -> Option<SocketAddr> {
    line.split("http://").nth(1)?.split_whitespace().next()?.parse().ok()
}

/// Starts a command on some processors. A child inherits them from the thread that starts it.
pub(crate) fn spawn_on(cores: &[usize], mut command: Command) -> std::io::Result<Child> {
    if cores.is_empty() {
        return command.spawn();
    }
    thread::scope(|scope| {
        let spawning = scope.spawn(|| {
            processes::pin_to(cores).map_err(|failure| std::io::Error::other(failure.to_string()))?;
            command.spawn()
        });
        match spawning.join() {
            Ok(child) => child,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_tells_the_address() {
        let line =
            "millrace ready: http://127.0.0.1:18080 (1 cores, 64 partitions, data d, recovered in 1 ms)\n";
        assert_eq!(ready_address(line), "127.0.0.1:18080".parse().ok());
        assert_eq!(ready_address("millrace: no such directory"), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_named_with_what_to_do() {
        let recipe = Recipe {
            program: "/nonexistent/millrace".into(),
            arguments: Vec::new(),
            data: "d".into(),
            cores: Vec::new(),
            admin_password: None,
            start_timeout: Duration::from_secs(1),
        };
        let failure = Server::start_by(recipe).expect_err("there is no such program");
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(failure.to_string().contains("/nonexistent/millrace") && failure.next.is_some(), "{failure}");
    }
}
