//! The configuration written out: the effective values with their origins, and the reference of all keys.
//!
//! What [`effective_toml`] prints is a valid configuration file that loads to the same values.

use super::keys::{Key, keys};
use super::value::{Kind, Value, show_address};
use super::{Config, Cores, Origin, RateSetting};
use std::fmt::Write as _;

/// The whole effective configuration as TOML, each value's origin as a comment.
pub fn effective_toml(config: &Config) -> String {
    toml_of(config, keys())
}

/// Only what differs in origin from the defaults, as TOML.
pub fn configured_toml(config: &Config) -> String {
    toml_of(config, configured(config))
}

/// One JSON object a line: `key`, `value` (numbers in the key's unit), `origin` (`default`, `file`, `env`,
/// `flag`) and `place`.
pub fn effective_json(config: &Config) -> String {
    json_of(config, keys())
}

/// As [`effective_json`], only what differs in origin from the defaults.
pub fn configured_json(config: &Config) -> String {
    json_of(config, configured(config))
}

fn configured(config: &Config) -> impl Iterator<Item = &'static Key> {
    keys().filter(|key| config.origin(key.dotted) != &Origin::Default)
}

fn toml_of(config: &Config, keys: impl Iterator<Item = &'static Key>) -> String {
    let lines: Vec<(&Key, String)> =
        keys.map(|key| (key, format!("{} = {}", key.name(), config.show(key)))).collect();
    let width = lines.iter().map(|(_, line)| line.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    let mut section = "";
    for (key, line) in lines {
        if key.section() != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            section = key.section();
            let _ = writeln!(out, "{gap}[{section}]");
        }
        let _ = writeln!(out, "{line:width$}  # {}", config.origin(key.dotted));
    }
    out
}

fn json_of(config: &Config, keys: impl Iterator<Item = &'static Key>) -> String {
    let mut out = String::new();
    for key in keys {
        let origin = config.origin(key.dotted);
        let line = serde_json::json!({
            "key": key.dotted,
            "value": json_value((key.read)(config)),
            "origin": origin.word(),
            "place": origin.to_string(),
        });
        let _ = writeln!(out, "{line}");
    }
    out
}

fn json_value(value: Value) -> serde_json::Value {
    match value {
        Value::Number(number) => number.into(),
        Value::Flag(flag) => flag.into(),
        Value::Rate(rate) => rate.map_or_else(|| "off".to_owned(), RateSetting::show).into(),
        Value::Text(text) => text.into(),
        Value::Address(address) => show_address(&address).into(),
        Value::Cores(Cores::All) => "all".into(),
        Value::Cores(Cores::Count(count)) => count.into(),
        Value::Cores(Cores::List(list)) => list.into(),
    }
}

/// The reference of all keys as Markdown; `docs/configuration.md` is this text, kept so by a test.
pub fn reference_markdown() -> String {
    let mut out = String::from(HEAD);
    let defaults = Config::default();
    let mut section = "";
    for key in keys() {
        if key.section() != section {
            section = key.section();
            let _ = write!(out, "\n## `[{section}]`\n\n{TABLE_HEAD}");
        }
        let default = defaults.show(key);
        let _ =
            writeln!(out, "| `{}` | {} | `{default}` | {} |", key.name(), kind_word(key.kind), key.summary);
    }
    out
}

const HEAD: &str = "\
# Configuration

Every setting has one name, `section.key`. It can stand in the file given by `--config` (TOML, one table a
section), in the environment as `MILLRACE_SECTION__KEY` (two underscores), and for some as a flag of
`millrace serve`. Flags win over the environment, the environment over the file, the file over the default.

An unknown key or a value of the wrong type stops the start with exit code 78; the message names the place
and the nearest key that exists. `millrace config print --effective` prints every value and its origin.

Sizes are whole bytes or a text with a unit: `B`, `KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB`, `GB`, `TB`.
Durations are whole numbers in the unit that the key's name ends with, or a text with `us`, `ms`, `s`, `m`,
`h`, `d`.
";
const TABLE_HEAD: &str = "| key | value | default | meaning |\n|---|---|---|---|\n";

fn kind_word(kind: Kind) -> String {
    match kind {
        Kind::Count => "number".to_owned(),
        Kind::Partitions => "1 to 65535".to_owned(),
        Kind::Bytes => "size".to_owned(),
        Kind::DurationS | Kind::DurationMs | Kind::DurationUs => "duration".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Path => "path".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Rate => "`\"off\"` or a rate".to_owned(),
        Kind::Hmac => "`\"HS256\"`, `\"HS384\"` or `\"HS512\"`".to_owned(),
        Kind::OptionalPath => "path or nothing".to_owned(),
        Kind::Address => "address:port or `\"off\"`".to_owned(),
        Kind::Word(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
        Kind::Cores => "`\"all\"`, number or list".to_owned(),
    }
}
