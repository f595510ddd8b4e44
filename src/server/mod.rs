//! Assembly: from a configuration to a serving process and back to a sealed directory.
//!
//! [`run`] is the verb `serve`: preflight, lock, signals, cores, ready line, drain. [`start`] is the same
//! without signals and without a word on stdout, for programs that embed the server and for tests. What
//! happens in which order stands in `coordinator`; what one core does, in `seat`.

mod connections;
mod coordinator;
mod doors;
mod error;
mod face;
mod reload;
mod seat;
mod secret;
#[cfg(test)]
mod tests;
mod web;

pub use error::ServeError;
pub use face::{Arrival, Face};
pub use reload::Reload;
pub use web::{Web, WebConfig};

use crate::sys::executor::{CoreOptions, CoreThread, Spin, start_core};
use crate::sys::lock::{DirLock, LockError};
use crate::sys::mesh;
use crate::sys::offload::Offload;
use crate::sys::post;
use crate::sys::preflight::{self, Finding, Needs, Severity};
use crate::sys::signal::{BlockedSignals, StopSignal};
use crate::sys::tls::TlsFiles;
use coordinator::Coordinator;
use doors::{Door, Doors};
use reload::Reloads;
use seat::Seat;
use std::fs::DirBuilder;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use types::{CoreId, Limits};

/// Threads for blocking work: directory syncs and listings, later password hashes.
const OFFLOAD_THREADS: usize = 2;
/// Blocking jobs that wait before their askers do.
const OFFLOAD_QUEUE_MAX: usize = 256;

/// A start warns when the host allows fewer connections than this.
const CONNECTIONS_WITHOUT_WARNING: usize = 10_000;

/// What a server needs to know.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The data directory; it is created when it is not there.
    pub data_dir: PathBuf,
    /// Where the HTTP face listens without TLS, if it does. Port 0 lets the system choose.
    pub http_addr: Option<SocketAddr>,
    /// Where it listens with TLS, if it does.
    pub tls: Option<TlsConfig>,
    /// The processors to run on, one core each, at least one.
    pub cores: Vec<usize>,
    /// Partitions of the directory; 0 takes what an existing one has, and the default for a new one.
    pub partition_count: u16,
    /// The bounds.
    pub limits: Limits,
    /// Refuse to start on damage in acknowledged events instead of serving the rest.
    pub strict: bool,
    /// Development: only loopback addresses are taken.
    pub is_dev: bool,
    /// How long an idle core looks for work before it sleeps.
    pub spin: Spin,
}

/// HTTP over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Where. Port 0 lets the system choose.
    pub addr: SocketAddr,
    /// With which certificate.
    pub files: TlsFiles,
}

/// A server that is ready.
pub struct Server {
    ready: Ready,
    stop: post::Sender<StopSignal>,
    core_threads: Vec<CoreThread<Result<(), ServeError>>>,
    reloads: Reloads,
    _lock: DirLock,
}

/// What is known once everything is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Where the HTTP face listens without TLS, with its real port.
    pub http_addr: Option<SocketAddr>,
    /// Where it listens with TLS, with its real port.
    pub https_addr: Option<SocketAddr>,
    /// Cores that run.
    pub core_count: usize,
    /// Partitions of the directory.
    pub partition_count: u16,
    /// Time from start to ready, in milliseconds.
    pub recovered_ms: u64,
}

impl Server {
    /// What is known once everything is open.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Asks the server to stop: finish what was accepted, checkpoint, seal.
    pub fn stop(&self) {
        self.stop.send(StopSignal::Terminate);
    }

    /// Reads the certificate and what else may change again, as SIGHUP does.
    pub fn reload(&self) {
        self.reloads.run();
    }

    /// Waits until the server has stopped.
    ///
    /// # Errors
    /// Why it could not stop cleanly; what was acknowledged is on disk all the same.
    pub fn wait(self) -> Result<(), ServeError> {
        join(self.core_threads)
    }
}

/// Runs a server until SIGTERM or SIGINT: the ready line goes to stdout, everything else to stderr.
///
/// # Errors
/// Why it does not run; [`ServeError::exit_code`] is the process's code.
pub fn run<F: Face>(config: ServerConfig, face: F) -> Result<(), ServeError> {
    let signals = BlockedSignals::block_for_server().map_err(ServeError::System)?;
    let data_dir = config.data_dir.clone();
    let (stop, stopped) = post::channel();
    let reloads = Reloads::default();
    let on_hangup = {
        let reloads = reloads.clone();
        move || reloads.run()
    };
    signals.watch(stop.clone(), on_hangup).map_err(ServeError::System)?;
    let server = start_with(config, face, (stop, stopped), reloads)?;
    let Ready { http_addr, https_addr, core_count, partition_count, recovered_ms } = server.ready;
    let http = http_addr.map(|addr| format!("http://{addr} ")).unwrap_or_default();
    let https = https_addr.map(|addr| format!("https://{addr} ")).unwrap_or_default();
    let line = format!(
        "millrace ready: {http}{https}({core_count} cores, {partition_count} partitions, data {}, \
         recovered in {recovered_ms} ms)",
        data_dir.display()
    );
    // Nobody may be reading; that is no reason not to serve.
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    server.wait()
}

/// Starts a server; returns when it is ready.
///
/// # Errors
/// Why it does not run.
pub fn start<F: Face>(config: ServerConfig, face: F) -> Result<Server, ServeError> {
    start_with(config, face, post::channel(), Reloads::default())
}

fn start_with<F: Face>(
    config: ServerConfig,
    mut face: F,
    (stop, stopped): (post::Sender<StopSignal>, post::Receiver<StopSignal>),
    reloads: Reloads,
) -> Result<Server, ServeError> {
    let begin_ns = crate::sys::clock::monotonic_ns();
    check(&config)?;
    let lock = open_directory(&config.data_dir)?;
    reloads.extend(face.prepare(&config.data_dir).map_err(ServeError::Config)?);
    let Doors { http_addr, https_addr, by_core } = Doors::open(&config, &reloads)?;
    let (announce, announced) = mpsc::channel();
    let coordinator = Coordinator::new(config.clone(), stopped, announce);
    let core_threads = start_cores(&config, face, coordinator, by_core)?;
    match announced.recv() {
        Ok(partition_count) => {
            let recovered_ms = (crate::sys::clock::monotonic_ns() - begin_ns) / 1_000_000;
            let core_count = config.cores.len();
            let ready = Ready { http_addr, https_addr, core_count, partition_count, recovered_ms };
            Ok(Server { ready, stop, core_threads, reloads, _lock: lock })
        }
        // The coordinator went without a word: its core's result says why.
        Err(mpsc::RecvError) => Err(join(core_threads).err().unwrap_or(ServeError::StoppedEarly)),
    }
}

/// Everything that can be found wrong before anything is touched.
fn check(config: &ServerConfig) -> Result<(), ServeError> {
    config.limits.check().map_err(|error| ServeError::Config(error.reason))?;
    if config.cores.is_empty() {
        return Err(ServeError::Config("a server needs at least one core".to_owned()));
    }
    let addrs = [config.http_addr, config.tls.as_ref().map(|tls| tls.addr)];
    let open = addrs.into_iter().flatten().find(|addr| !addr.ip().is_loopback());
    if let Some(addr) = open.filter(|_| config.is_dev) {
        return Err(ServeError::NotLoopback(addr));
    }
    preflight::raise_limits();
    let needs = Needs {
        data_dir: config.data_dir.clone(),
        cores: config.cores.clone(),
        // `doctor` tells about every connection; a start is no place to warn about the last thousands.
        connections_max: config.limits.connections_max.min(CONNECTIONS_WITHOUT_WARNING),
    };
    let findings = preflight::check(&needs);
    if findings.iter().any(|finding| finding.severity == Severity::Refuse) {
        return Err(ServeError::Host(findings));
    }
    for Finding { what, mend, .. } in findings {
        eprintln!("millrace: {what}; {mend}");
    }
    Ok(())
}

/// Creates the data directory if it is not there, and takes its lock.
fn open_directory(dir: &Path) -> Result<DirLock, ServeError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| ServeError::Directory { dir: dir.to_path_buf(), error })?;
    DirLock::acquire(dir).map_err(|error| match error {
        LockError::Held(holder) => ServeError::Locked { dir: dir.to_path_buf(), holder },
        LockError::Io(error) => ServeError::Directory { dir: dir.to_path_buf(), error },
    })
}

/// One thread per core; core 0 runs the coordinator too.
fn start_cores<F: Face>(
    config: &ServerConfig,
    face: F,
    mut coordinator: Coordinator,
    doors: Vec<Vec<Door>>,
) -> Result<Vec<CoreThread<Result<(), ServeError>>>, ServeError> {
    let core_count = u16::try_from(config.cores.len()).expect("preflight found these processors");
    let offload = Offload::start(OFFLOAD_THREADS, OFFLOAD_QUEUE_MAX).map_err(ServeError::System)?;
    let ports = mesh::ports(core_count, config.limits.mesh_messages_max);
    let admission = Arc::new(connections::Admission::new(&config.limits));
    let mut seats = Vec::with_capacity(config.cores.len());
    for ((index, port), doors) in (0_u16..).zip(ports).zip(doors) {
        let (orders, reports) = coordinator.seat();
        seats.push(Seat {
            core: CoreId(index),
            data_dir: config.data_dir.clone(),
            limits: config.limits.clone(),
            offload: offload.clone(),
            admission: admission.clone(),
            port,
            doors,
            face: face.clone(),
            orders,
            reports,
        });
    }
    let mut coordinator = Some(coordinator);
    let mut threads = Vec::with_capacity(seats.len());
    for (seat, cpu) in seats.into_iter().zip(&config.cores) {
        let options = CoreOptions { cpu: *cpu, name: format!("core-{}", seat.core), spin: config.spin };
        let coordinator = coordinator.take();
        let offload = offload.clone();
        let main = move || async move {
            match coordinator {
                Some(coordinator) => {
                    let (outcome, ()) = futures_lite::future::zip(coordinator.run(offload), seat.run()).await;
                    outcome
                }
                None => {
                    seat.run().await;
                    Ok(())
                }
            }
        };
        threads.push(start_core(options, main).map_err(ServeError::System)?);
    }
    Ok(threads)
}

/// Waits for all cores; the first failure is the result.
fn join(threads: Vec<CoreThread<Result<(), ServeError>>>) -> Result<(), ServeError> {
    let outcomes: Vec<_> = threads.into_iter().map(CoreThread::join).collect();
    outcomes.into_iter().try_for_each(|outcome| outcome.map_err(ServeError::System)?)
}
