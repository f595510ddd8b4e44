//! Starting and stopping the server of an embedding program.
//!
//! The same assembly as `millrace serve`, without signals and without a word on stdout.

use super::core_face::{Answer, Call, Embedded};
use super::error::Error;
use super::gate::Gate;
use super::pending::{Pending, pair};
use super::stream::Stream;
use crate::broker::identity::IdentityConfig;
use crate::server::{self, ServeError, ServerConfig, Web, WebConfig};
use crate::shard::ShardTable;
use crate::sys::executor::Spin;
use crate::sys::post;
use crate::sys::preflight::allowed_cpus;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use types::{Failure, Limits, StreamKey};

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Builder {
    config: ServerConfig,
    identity: IdentityConfig,
    calls_max: usize,
}

impl Builder {
    /// A server of this data directory, which is made when it is not there: on the first processor that this
    /// process may use, with HTTP on a free port of the loopback address.
    pub fn new(data_dir: impl Into<PathBuf>) -> Builder {
        let config = ServerConfig {
            data_dir: data_dir.into(),
            http_addr: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            tls: None,
            cores: allowed_cpus().into_iter().take(1).collect(),
            partition_count: 0,
            limits: Limits::default(),
            strict: false,
            is_dev: false,
            spin: Spin::default(),
        };
        let identity = IdentityConfig::new(Limits::default());
        Builder { config, identity, calls_max: 1024 }
    }

    /// Where HTTP listens.
    #[must_use]
    pub fn http_addr(mut self, addr: SocketAddr) -> Builder {
        self.config.http_addr = Some(addr);
        self
    }

    /// The processors to run on, by their numbers in the operating system; one thread each, pinned.
    #[must_use]
    pub fn cores(mut self, processors: impl IntoIterator<Item = usize>) -> Builder {
        self.config.cores = processors.into_iter().collect();
        self
    }

    /// Partitions of a new directory. An existing one must have as many.
    #[must_use]
    pub fn partitions(mut self, count: u16) -> Builder {
        self.config.partition_count = count;
        self
    }

    /// The bounds of the server.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Builder {
        self.config.limits = limits;
        self
    }

    /// Refuse to start on damage in acknowledged events instead of serving the rest.
    #[must_use]
    pub fn strict(mut self) -> Builder {
        self.config.strict = true;
        self
    }

    /// The password of `admin`, for those who come over HTTP, at the first start of a directory. Without it
    /// one is made up and shown once on stderr.
    #[must_use]
    pub fn admin_password(mut self, password: impl Into<String>) -> Builder {
        self.identity.admin_password = Some(password.into());
        self
    }

    /// How many calls may be under way at once (default 1,024); the next caller's thread waits.
    #[must_use]
    pub fn calls_max(mut self, count: usize) -> Builder {
        self.calls_max = count;
        self
    }

    /// Starts the server; returns when it serves.
    ///
    /// # Errors
    /// Why it does not run.
    pub fn start(self) -> Result<Server, ServeError> {
        let core_count = self.config.cores.len();
        let identity = IdentityConfig { limits: self.config.limits.clone(), ..self.identity };
        let web = WebConfig { identity, secret_file: None, iorio_secret_file: None };
        let web = Web::new(core_count, web).map_err(ServeError::System)?;
        let (face, queues, table) = Embedded::new(web, core_count);
        let limits = self.config.limits.clone();
        let running = server::start(self.config, face)?;
        let shared = Arc::new(Shared { queues, table, gate: Gate::new(self.calls_max), limits });
        Ok(Server { running, shared })
    }
}

/// A server that runs in this process. Dropped, it goes on until the process ends, which loses nothing that
/// was acknowledged; [`Server::shutdown`] stops it cleanly.
///
/// It is the whole server, and ends the process where `millrace serve` would end its own: with exit code 74
/// when the journal fails, by an abort when a core hangs for 30 s. It raises the process's soft limits of
/// open files and lockable memory, and writes notices to stderr. A call beyond [`Builder::calls_max`] and
/// [`Subscription::next`](super::Subscription::next) wait on the thread that calls.
pub struct Server {
    running: server::Server,
    shared: Arc<Shared>,
}

/// What streams and subscriptions hold of their server.
pub(super) struct Shared {
    queues: Vec<post::Sender<Call>>,
    table: Arc<OnceLock<ShardTable>>,
    gate: Arc<Gate>,
    limits: Limits,
}

impl Server {
    /// Where HTTP listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.running.ready().http_addr.expect("the builder always gives one")
    }

    /// A stream by its names. It comes into being with its first event.
    ///
    /// # Errors
    /// A name that cannot be, or one of the server's own (they begin with `$`).
    pub fn stream(&self, bucket: &str, stream: &str) -> Result<Stream, Error> {
        let key = StreamKey::parse(bucket, stream)?;
        if key.bucket.is_internal() || key.stream.is_internal() {
            return Err(Error::Failed(Failure::NoPermission));
        }
        Ok(Stream::new(self.shared.clone(), key))
    }

    /// Stops cleanly: connections are told, what was accepted is finished, the directory is sealed. Calls
    /// that come later fail.
    ///
    /// # Errors
    /// Why it could not stop cleanly; what was acknowledged is on disk all the same.
    pub fn shutdown(self) -> Result<(), ServeError> {
        self.running.stop();
        self.running.wait()
    }
}

impl Shared {
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Hands a call to the core that owns the stream; waits for a place in the gate.
    pub(super) fn call<T>(&self, stream: &StreamKey, call: impl FnOnce(Answer<T>) -> Call) -> Pending<T> {
        let (slot, pending) = pair();
        let permit = self.gate.enter();
        let table = self.table.get().expect("every core has opened its face before a server is ready");
        let core = table.core_of(table.shard_of_stream(stream));
        self.queues[usize::from(core.0)].send(call(Answer { slot, permit }));
        pending
    }
}
