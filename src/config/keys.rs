//! The table of all keys: name, kind, meaning, and the field that each one fills.
//!
//! File, environment, flags, the reference and `config print` all walk this table, so a setting exists
//! everywhere or nowhere. Sections are the part before the dot; a key's variable in the environment is
//! `MILLRACE_SECTION__KEY`.

use super::Config;
use super::auth_keys::AUTH_KEYS;
use super::client_certs::ClientCerts;
use super::limit_keys::LIMIT_KEYS;
use super::observe::OBSERVE_KEYS;
use super::rate_keys::{RATE_KEYS, RateSetting};
use super::value::{Kind, Value};
use super::web::CORS_KEYS;

/// One setting.
pub struct Key {
    /// Full name: `section.key`.
    pub dotted: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// What it means, in a sentence.
    pub summary: &'static str,
    /// Puts a value of its kind into a configuration.
    pub(super) write: fn(&mut Config, Value),
    /// The value that a configuration holds.
    pub(super) read: fn(&Config) -> Value,
}

impl Key {
    /// The section: what stands before the dot.
    pub fn section(&self) -> &'static str {
        self.dotted.split('.').next().unwrap_or(self.dotted)
    }
    /// The key inside its section.
    pub fn name(&self) -> &'static str {
        self.dotted.split('.').next_back().unwrap_or(self.dotted)
    }
    /// The variable of the environment that sets it.
    pub fn variable(&self) -> String {
        format!("{}{}__{}", VARIABLE_PREFIX, self.section(), self.name()).to_uppercase()
    }
}

/// What every variable begins with.
pub(super) const VARIABLE_PREFIX: &str = "MILLRACE_";

/// The keys that are not limits.
static SHELL_KEYS: &[Key] = &[
    Key {
        dotted: "server.data",
        kind: Kind::Path,
        summary: "The data directory; created when absent.",
        write: |config, value| config.server.data = value.into_text().into(),
        read: |config| Value::Text(config.server.data.display().to_string()),
    },
    Key {
        dotted: "server.cores",
        kind: Kind::Cores,
        summary: "Cores to run on; each runs one shard.",
        write: |config, value| config.server.cores = value.into_cores(),
        read: |config| Value::Cores(config.server.cores.clone()),
    },
    Key {
        dotted: "server.partitions",
        kind: Kind::Partitions,
        summary: "Partitions of a new data directory; fixed when it is created.",
        write: |config, value| config.server.partitions.set_number(&value),
        read: |config| Value::Number(config.server.partitions.number()),
    },
    Key {
        dotted: "server.dev",
        kind: Kind::Flag,
        summary: "Development mode: the administrator is admin with the password secret, on loopback only.",
        write: |config, value| config.server.dev = value.into_flag(),
        read: |config| Value::Flag(config.server.dev),
    },
    Key {
        dotted: "server.strict",
        kind: Kind::Flag,
        summary: "Refuse to start when acknowledged events are damaged, instead of serving the rest.",
        write: |config, value| config.server.strict = value.into_flag(),
        read: |config| Value::Flag(config.server.strict),
    },
    Key {
        dotted: "server.spin_us",
        kind: Kind::DurationUs,
        summary: "How long an idle core spins before it sleeps; 0 for none. For dedicated cores only.",
        write: |config, value| config.server.spin_us.set_number(&value),
        read: |config| Value::Number(config.server.spin_us),
    },
    Key {
        dotted: "server.spin_adaptive_us",
        kind: Kind::DurationUs,
        summary: "Longest spin before a sleep of a core that keeps being woken within that time; 0 for none.",
        write: |config, value| config.server.spin_adaptive_us.set_number(&value),
        read: |config| Value::Number(config.server.spin_adaptive_us),
    },
    Key {
        dotted: "http.addr",
        kind: Kind::Address,
        summary: "Address and port of the HTTP face; port 0 takes a free one.",
        write: |config, value| config.http.addr = value.into_address(),
        read: |config| Value::Address(config.http.addr),
    },
    Key {
        dotted: "tls.addr",
        kind: Kind::Address,
        summary: "Address and port of the HTTP face over TLS (`https`, `wss`).",
        write: |config, value| config.tls.addr = value.into_address(),
        read: |config| Value::Address(config.tls.addr),
    },
    Key {
        dotted: "tls.cert",
        kind: Kind::OptionalPath,
        summary: "Certificate of the server and those up to an authority, PEM; read again on SIGHUP.",
        write: |config, value| config.tls.cert = value.into_text().into(),
        read: |config| Value::Text(config.tls.cert.display().to_string()),
    },
    Key {
        dotted: "tls.key",
        kind: Kind::OptionalPath,
        summary: "Key of the certificate, PEM; read again on SIGHUP.",
        write: |config, value| config.tls.key = value.into_text().into(),
        read: |config| Value::Text(config.tls.key.display().to_string()),
    },
    Key {
        dotted: "tls.client_certs",
        kind: Kind::Word(ClientCerts::WORDS),
        summary: "Whether clients show certificates; one that is shown must be of an authority.",
        write: |config, value| config.tls.client_certs = value.into_client_certs(),
        read: |config| Value::Text(config.tls.client_certs.word().to_owned()),
    },
    Key {
        dotted: "tls.client_ca",
        kind: Kind::OptionalPath,
        summary: "Authorities whose client certificates are taken, PEM; read again on SIGHUP.",
        write: |config, value| config.tls.client_ca = value.into_text().into(),
        read: |config| Value::Text(config.tls.client_ca.display().to_string()),
    },
];

/// All keys: the shell's first, the limits last.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    SHELL_KEYS.iter().chain(AUTH_KEYS).chain(CORS_KEYS).chain(OBSERVE_KEYS).chain(RATE_KEYS).chain(LIMIT_KEYS)
}

/// The key with this full name.
pub fn find(dotted: &str) -> Option<&'static Key> {
    keys().find(|key| key.dotted == dotted)
}

/// The key that is the fewest edits away from `dotted`. The right name in a wrong section counts as one edit;
/// an edit of the name counts twice there, so that a section that was meant is not left without need.
pub fn nearest(dotted: &str) -> &'static Key {
    let name = dotted.rsplit('.').next().unwrap_or(dotted);
    let distance = |key: &&'static Key| {
        let whole = strsim::osa_distance(dotted, key.dotted);
        whole.min(1 + 2 * strsim::osa_distance(name, key.name()))
    };
    keys().min_by_key(distance).expect("the table of keys is not empty")
}

/// A number of the configuration, whatever its width.
pub(super) trait NumberField {
    /// Takes a number that its kind has checked.
    fn set_number(&mut self, value: &Value);
    /// The number.
    fn number(&self) -> u64;
}

macro_rules! number_field {
    ($($number:ty),*) => {$(
        impl NumberField for $number {
            fn set_number(&mut self, value: &Value) {
                *self = <$number>::try_from(value.as_number()).expect("the key's kind bounds the number");
            }
            fn number(&self) -> u64 {
                u64::try_from(*self).expect("no setting is wider than 64 bits")
            }
        }
    )*};
}
number_field!(u16, u64, usize);
// A size is a `usize`: on a narrower machine a configured number might not fit.
const _: () = assert!(usize::BITS == 64, "the server needs a 64-bit machine");

impl Value {
    /// The number; the key's kind has made sure that it is one.
    fn as_number(&self) -> u64 {
        match self {
            Value::Number(number) => *number,
            other => panic!("{other:?} is not a number: kind and field of a key disagree"),
        }
    }
    pub(super) fn into_rate(self) -> Option<RateSetting> {
        match self {
            Value::Rate(rate) => rate,
            other => panic!("{other:?} is no rate: kind and field of a key disagree"),
        }
    }
    pub(super) fn into_flag(self) -> bool {
        match self {
            Value::Flag(flag) => flag,
            other => panic!("{other:?} is not a switch: kind and field of a key disagree"),
        }
    }
    pub(super) fn into_text(self) -> String {
        match self {
            Value::Text(text) => text,
            other => panic!("{other:?} is not a text: kind and field of a key disagree"),
        }
    }
    fn into_client_certs(self) -> ClientCerts {
        ClientCerts::from_word(&self.into_text()).expect("the key's kind has these words")
    }
    fn into_address(self) -> Option<std::net::SocketAddr> {
        match self {
            Value::Address(address) => address,
            other => panic!("{other:?} is not an address: kind and field of a key disagree"),
        }
    }
    fn into_cores(self) -> super::Cores {
        match self {
            Value::Cores(cores) => cores,
            other => panic!("{other:?} is no choice of cores: kind and field of a key disagree"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Limits;

    #[test]
    fn every_limit_has_a_key_with_a_sentence() {
        let shown = format!("{:#?}", Limits::default());
        let fields: Vec<&str> =
            shown.lines().filter_map(|line| line.trim().split_once(": ")).map(|(field, _)| field).collect();
        assert!(fields.len() > 40, "the fields of Limits were not found: {shown}");
        for field in fields {
            let key = find(&format!("limits.{field}")).unwrap_or_else(|| panic!("{field} has no key"));
            assert!(key.summary.len() > 10 && key.summary.ends_with('.'), "{field}: {:?}", key.summary);
        }
    }

    #[test]
    fn the_unit_in_a_name_is_the_kind_of_the_key() {
        for key in keys() {
            let kind_of_name = match key.name() {
                name if name.contains("_bytes") => Some(Kind::Bytes),
                name if name.contains("_ms") => Some(Kind::DurationMs),
                name if name.contains("_us") => Some(Kind::DurationUs),
                name if name.ends_with("_s") => Some(Kind::DurationS),
                _ => None,
            };
            let has_unit =
                matches!(key.kind, Kind::Bytes | Kind::DurationS | Kind::DurationMs | Kind::DurationUs);
            let kind = has_unit.then_some(key.kind);
            assert_eq!(kind, kind_of_name, "{}", key.dotted);
        }
    }

    #[test]
    fn every_key_takes_back_the_value_that_it_gives() {
        let mut config = Config::default();
        for key in keys() {
            let value = (key.read)(&config);
            (key.write)(&mut config, value.clone());
            assert_eq!((key.read)(&config), value, "{}", key.dotted);
        }
    }

    #[test]
    fn no_two_keys_share_a_name_or_a_variable() {
        let mut variables: Vec<String> = keys().map(Key::variable).collect();
        let count = variables.len();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), count);
    }

    #[test]
    fn the_nearest_key_is_found_across_typing_errors_and_wrong_sections() {
        assert_eq!(nearest("limits.body_byte_max").dotted, "limits.body_bytes_max");
        assert_eq!(nearest("limit.patch_retries").dotted, "limits.patch_retries");
        assert_eq!(nearest("server.addr").dotted, "http.addr");
        assert_eq!(nearest("http.adress").dotted, "http.addr");
        assert_eq!(nearest("server.core").dotted, "server.cores");
    }
}
