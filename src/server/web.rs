//! The faces that share the HTTP port: HTTP itself, and `/listen`, which it hands connections over to.
//!
//! The one place that knows both; `serve` and programs that embed the server start with it.

use super::secret::SecretFiles;
use super::{Arrival, Face, Reload};
use crate::broker::identity::{Common, IdentityConfig};
use crate::faces::http::{self, HttpFace, Options};
use crate::faces::listen;
use crate::shard::CoreLink;
use crate::sys::net::Stream;
use crate::sys::offload::{Offload, Precedence};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// Threads for what would hold a core up in the HTTP face, and how many such tasks wait.
const OFFLOAD_THREADS: usize = 2;
const OFFLOAD_QUEUE_MAX: usize = 256;
/// Threads that hash passwords: one takes a processor and 19 MiB for some 20 ms a hash.
/// They stand behind the cores: a login may take longer, an event not.
const HASH_THREADS: usize = 1;

/// What the faces are told about users and sessions.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// Who may do what, and how that is found out.
    pub identity: IdentityConfig,
    /// The file of the secrets of sessions; `None` for the one in the data directory.
    pub secret_file: Option<PathBuf>,
    /// The file of the secret of an Iorio server whose tokens are still taken.
    pub iorio_secret_file: Option<PathBuf>,
}

/// HTTP and everything that begins with it. Clones share their counters.
#[derive(Clone)]
pub struct Web {
    core_count: u16,
    config: WebConfig,
    offload: Offload,
    hashing: Offload,
    options: Arc<Options>,
    face: Option<HttpFace>,
}

impl Web {
    /// The face for so many cores, with threads of its own. A program that waits for signals blocks them
    /// before, since threads inherit what is blocked.
    ///
    /// # Errors
    /// When the system refuses a thread, or for more than 65,535 cores.
    pub fn new(core_count: usize, config: WebConfig) -> io::Result<Web> {
        let core_count = u16::try_from(core_count)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "more than 65,535 cores"))?;
        let offload = Offload::start(OFFLOAD_THREADS, OFFLOAD_QUEUE_MAX)?;
        let waiting_max = 2 * config.identity.limits.logins_waiting_max.max(1);
        let hashing = Offload::start_as("hash", Precedence::Behind, HASH_THREADS, waiting_max)?;
        Ok(Web { core_count, config, offload, hashing, options: Arc::default(), face: None })
    }

    /// The same with what the configuration says.
    #[must_use]
    pub fn with(self, options: Options) -> Web {
        Web { options: Arc::new(options), ..self }
    }
}

/// Other secrets are taken over by SIGHUP.
fn reload_of(secrets: SecretFiles, common: Arc<Common>) -> Reload {
    Box::new(move || {
        let taken = secrets.load().and_then(|ring| common.set_secrets(&ring));
        match taken {
            Ok(()) => Ok("the secrets of sessions are read again".to_owned()),
            Err(reason) => Err(format!("the secrets of sessions stay as they were: {reason}")),
        }
    })
}

/// So that a log that was moved away is begun anew.
fn reload_of_log(options: Arc<Options>) -> Reload {
    Box::new(move || match &options.access_log {
        None => Ok("there is no access log to open again".to_owned()),
        Some(access_log) => {
            access_log.reopen();
            Ok("the access log is opened again".to_owned())
        }
    })
}

impl Face for Web {
    type Core = http::Core;

    fn prepare(&mut self, data_dir: &Path) -> Result<Vec<Reload>, String> {
        let WebConfig { identity, secret_file, iorio_secret_file } = self.config.clone();
        let secrets = SecretFiles::new(data_dir, secret_file, iorio_secret_file);
        let common = Common::new(identity, self.hashing.clone(), &secrets.load()?)?;
        let face = HttpFace::new(self.core_count, self.offload.clone(), listen::serve, &common);
        self.face = Some(face.with(self.options.clone()));
        Ok(vec![reload_of(secrets, common), reload_of_log(self.options.clone())])
    }

    fn open(&self, link: Rc<CoreLink>) -> Rc<http::Core> {
        self.face.as_ref().expect("prepared before any core opens").open(link)
    }

    async fn opened(core: Rc<http::Core>) -> Result<(), String> {
        core.broker().opened().await
    }

    fn count_arrival(core: &http::Core, arrival: Arrival) {
        let counters = core.counters();
        let counter = match arrival {
            Arrival::OverLimit => &counters.connections_refused,
            Arrival::Shaken => &counters.tls_handshakes,
            Arrival::NotShaken => &counters.tls_handshakes_failed,
        };
        counter.add(1);
    }

    fn serve(core: Rc<http::Core>, stream: Stream) -> impl Future<Output = ()> + 'static {
        http::serve(core, stream)
    }
}
