//! The configuration: file, environment and flags become one checked [`Config`].
//!
//! Called once, before anything else runs; `server` takes the result, `cli` prints it. Flags win over the
//! environment, the environment over the file, the file over the defaults. An unknown key is an error that
//! names the nearest known one; no setting is ever read later or from anywhere else.

mod auth_keys;
mod client_certs;
pub mod keys;
mod limit_keys;
mod observe;
mod origin;
mod print;
mod problem;
mod rate_keys;
mod source;
pub mod value;
mod web;

pub use auth_keys::AuthSettings;
pub use client_certs::ClientCerts;
pub use observe::{LogSettings, MetricsSettings};
pub use origin::Origin;
pub use print::{configured_json, configured_toml, effective_json, effective_toml, reference_markdown};
pub use problem::{BadSyntax, ConfigError, Contradiction, Problem, UnknownKey, UnreadableFile, WrongValue};
pub use rate_keys::{RateSetting, RateSettings};
pub use source::FlagValue;
pub use value::Cores;
pub use web::{CorsSettings, Origins};

use source::Assignment;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use types::Limits;
use types::PARTITION_COUNT_DEFAULT;

/// Everything that can be configured, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[server]`.
    pub server: ServerSettings,
    /// `[http]`.
    pub http: HttpSettings,
    /// `[auth]`.
    pub auth: AuthSettings,
    /// `[cors]`.
    pub cors: CorsSettings,
    /// `[log]`.
    pub log: LogSettings,
    /// `[metrics]`.
    pub metrics: MetricsSettings,
    /// `[rates]`.
    pub rates: RateSettings,
    /// `[tls]`.
    pub tls: TlsSettings,
    /// `[limits]`.
    pub limits: Limits,
    /// Where each value that is not a default came from, by full key.
    origins: BTreeMap<&'static str, Origin>,
}

/// The section `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// The data directory.
    pub data: PathBuf,
    /// The cores to run on.
    pub cores: Cores,
    /// Partitions of a new data directory. An existing one keeps its own count; whether this was asked for
    /// or is the default says [`Config::origin`].
    pub partitions: u16,
    /// Development mode.
    pub dev: bool,
    /// Refuse to start over damaged acknowledged events.
    pub strict: bool,
    /// Microseconds that an idle core spins before it sleeps.
    pub spin_us: u64,
    /// Microseconds that it spins at most while waits are shorter than that.
    pub spin_adaptive_us: u64,
}

/// The section `[http]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Where the HTTP face listens; `None`: nowhere without TLS.
    pub addr: Option<SocketAddr>,
}

/// The section `[tls]`. An empty path is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Where the HTTP face listens with TLS; `None`: nowhere.
    pub addr: Option<SocketAddr>,
    /// The server's certificate and its chain.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Whether clients show certificates.
    pub client_certs: ClientCerts,
    /// The authorities of these.
    pub client_ca: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            server: ServerSettings {
                data: PathBuf::from("./millrace-data"),
                cores: Cores::All,
                partitions: PARTITION_COUNT_DEFAULT,
                dev: false,
                strict: false,
                spin_us: 0,
                spin_adaptive_us: 200,
            },
            http: HttpSettings { addr: Some(SocketAddr::from(([127, 0, 0, 1], 8080))) },
            tls: TlsSettings::default(),
            auth: AuthSettings::default(),
            cors: CorsSettings::default(),
            log: LogSettings::default(),
            metrics: MetricsSettings::default(),
            rates: RateSettings::default(),
            limits: Limits::default(),
            origins: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Builds the configuration from a file, the variables of the environment and flags.
    ///
    /// # Errors
    /// Every problem that was found, each with its place.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[FlagValue],
    ) -> Result<Config, ConfigError> {
        let text = match file {
            None => None,
            Some(path) => Some((path, read_file(path)?)),
        };
        let file = text.as_ref().map(|(path, text)| (*path, text.as_str()));
        Config::from_sources(file, environment, flags)
    }

    /// As [`Config::load`], from the text of a file that was read already.
    ///
    /// # Errors
    /// Every problem that was found, each with its place.
    pub fn from_sources(
        file: Option<(&Path, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[FlagValue],
    ) -> Result<Config, ConfigError> {
        let mut problems = Vec::new();
        let mut assignments = Vec::new();
        if let Some((path, text)) = file {
            source::from_file(path, text, &mut assignments, &mut problems);
        }
        source::from_environment(environment, &mut assignments, &mut problems);
        source::from_flags(flags, &mut assignments);
        let mut config = Config::default();
        for assignment in assignments {
            config.assign(assignment, &mut problems);
        }
        if problems.is_empty() {
            config.check(&mut problems);
        }
        if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems }) }
    }

    fn assign(&mut self, assignment: Assignment, problems: &mut Vec<Problem>) {
        let Assignment { key, given, origin } = assignment;
        match key.kind.read(&given) {
            Some(value) => {
                (key.write)(self, value);
                self.origins.insert(key.dotted, origin);
            }
            None => problems.push(Problem::WrongValue(WrongValue {
                origin,
                key: key.dotted,
                given: given.to_string(),
                expected: key.kind.expected(),
            })),
        }
    }

    /// The relations between the values. The limits check themselves; the message adds where the values of
    /// the fields that it names came from.
    fn check(&self, problems: &mut Vec<Problem>) {
        if let Err(error) = self.limits.check() {
            problems.push(self.contradiction("limits", error.reason));
        }
        if let Err(reason) = self.cors.check() {
            problems.push(self.contradiction("cors", reason));
        }
        if let Err(reason) = self.metrics.check() {
            problems.push(self.contradiction("metrics", reason));
        }
        self.check_addresses(problems);
    }

    /// A relation of a section that does not hold, with the settings that its words name.
    fn contradiction(&self, section: &str, reason: String) -> Problem {
        let settings = keys::keys()
            .filter(|key| key.section() == section && names(&reason, key.name()))
            .map(|key| format!("{} = {}, {}", key.name(), self.show(key), self.origin(key.dotted)))
            .collect();
        Problem::Contradiction(Contradiction { reason, settings })
    }

    /// Somebody can reach the server, and TLS has what it needs.
    fn check_addresses(&self, problems: &mut Vec<Problem>) {
        let tls = &self.tls;
        let needed = |is_needed: bool, path: &Path| is_needed && path.as_os_str().is_empty();
        let asks_clients = tls.addr.is_some() && tls.client_certs != ClientCerts::Off;
        let rules = [
            (needed(tls.addr.is_some(), &tls.cert), "tls.addr needs tls.cert", ["tls.addr", "tls.cert"]),
            (needed(tls.addr.is_some(), &tls.key), "tls.addr needs tls.key", ["tls.addr", "tls.key"]),
            (
                needed(asks_clients, &tls.client_ca),
                "tls.client_certs needs tls.client_ca",
                ["tls.client_certs", "tls.client_ca"],
            ),
            (
                self.http.addr.is_none() && tls.addr.is_none(),
                "http.addr and tls.addr are both off: nobody could reach the server",
                ["http.addr", "tls.addr"],
            ),
        ];
        for (_, reason, dotted) in rules.into_iter().filter(|(is_broken, ..)| *is_broken) {
            let settings = dotted.into_iter().filter_map(keys::find);
            let settings = settings
                .map(|key| format!("{} = {}, {}", key.dotted, self.show(key), self.origin(key.dotted)))
                .collect();
            problems.push(Problem::Contradiction(Contradiction { reason: reason.to_owned(), settings }));
        }
    }

    /// Where the value of a key came from.
    pub fn origin(&self, dotted: &str) -> &Origin {
        self.origins.get(dotted).unwrap_or(&Origin::Default)
    }

    /// The value of a key as TOML.
    fn show(&self, key: &keys::Key) -> String {
        key.kind.show(&(key.read)(self))
    }
}

/// Whether `text` holds `word` as a whole word.
fn names(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|part| part == word)
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError {
        problems: vec![Problem::Unreadable(UnreadableFile {
            path: path.to_owned(),
            reason: error.to_string(),
        })],
    })
}

#[cfg(test)]
mod tests;
