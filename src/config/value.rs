//! Kinds of values: how a setting is read from text or TOML, and how it is shown again.
//!
//! The key table names a [`Kind`] for each key; file, environment and flags all end in [`Kind::read`], so a
//! size or a duration means the same everywhere. Nothing here knows a key's name: the caller adds the place
//! to the complaint. What [`Value`] shows can be read back by its kind (a property in the tests).

use super::rate_keys::RateSetting;
use std::fmt;
use std::net::SocketAddr;

/// What a setting must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Count,
    /// A partition count: 1 to 65,535.
    Partitions,
    /// A size: whole bytes, or a text such as `8MiB`.
    Bytes,
    /// A length of time: whole seconds, or a text such as `1m`.
    DurationS,
    /// A length of time: whole milliseconds, or a text such as `30s`.
    DurationMs,
    /// A length of time: whole microseconds, or a text such as `50us`.
    DurationUs,
    /// `true` or `false`.
    Flag,
    /// A path in the file system.
    Path,
    /// A text, which may be empty.
    Text,
    /// `HS256`, `HS384` or `HS512`.
    Hmac,
    /// `off`, or how often: `100/s`, `5/m burst 20`.
    Rate,
    /// A path, or nothing.
    OptionalPath,
    /// An IP address and a port, or `off`.
    Address,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `all`, a number of cores, or a list of core numbers.
    Cores,
}

/// A setting's value, typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A count, or a size in bytes, or a length of time in its key's unit.
    Number(u64),
    /// A switch.
    Flag(bool),
    /// A path.
    Text(String),
    /// A rate, or none.
    Rate(Option<RateSetting>),
    /// A socket address; `None` is `off`.
    Address(Option<SocketAddr>),
    /// A choice of cores.
    Cores(Cores),
}

/// Which cores the server runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Every core that the process may use.
    All,
    /// The first so many of the cores that the process may use.
    Count(usize),
    /// Exactly these, by their number in the operating system.
    List(Vec<usize>),
}

/// A value as it was given, before its key says what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// From the environment or a flag: text that stands for any kind.
    Words(String),
    /// A TOML string.
    Text(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML array of integers.
    Integers(Vec<i64>),
    /// Any other TOML value, by the name of its type.
    Other(&'static str),
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Given::Words(text) => write!(f, "{text:?}"),
            Given::Text(text) => write!(f, "the text {text:?}"),
            Given::Integer(number) => write!(f, "the number {number}"),
            Given::Boolean(flag) => write!(f, "the boolean {flag}"),
            Given::Integers(list) => write!(f, "the list {list:?}"),
            Given::Other(kind) => write!(f, "a value of type {kind}"),
        }
    }
}

/// Units of size, the larger first, and how many bytes each holds.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("tib", 1 << 40),
    ("gib", 1 << 30),
    ("mib", 1 << 20),
    ("kib", 1 << 10),
    ("tb", 1_000_000_000_000),
    ("gb", 1_000_000_000),
    ("mb", 1_000_000),
    ("kb", 1_000),
    ("b", 1),
];
/// Units of time, the larger first, in microseconds.
const TIME_UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

impl Kind {
    /// Reads a given value; `None` when it is not of this kind.
    pub fn read(self, given: &Given) -> Option<Value> {
        match (self, given) {
            (_, Given::Other(_)) => None,
            (Kind::Cores, given) => read_cores(given).map(Value::Cores),
            (Kind::Flag, Given::Boolean(flag)) => Some(Value::Flag(*flag)),
            (Kind::Flag, Given::Words(text)) => read_flag(text).map(Value::Flag),
            (Kind::Path, Given::Text(text) | Given::Words(text)) => {
                (!text.is_empty()).then(|| Value::Text(text.clone()))
            }
            (Kind::Text, Given::Text(text) | Given::Words(text)) => Some(Value::Text(text.clone())),
            (Kind::Rate, Given::Text(text) | Given::Words(text)) => match text.as_str() {
                OFF => Some(Value::Rate(None)),
                text => RateSetting::parse(text).map(|rate| Value::Rate(Some(rate))),
            },
            (Kind::Hmac, Given::Text(text) | Given::Words(text)) => {
                matches!(text.as_str(), "HS256" | "HS384" | "HS512").then(|| Value::Text(text.clone()))
            }
            (Kind::OptionalPath, Given::Text(text) | Given::Words(text)) => Some(Value::Text(text.clone())),
            (Kind::Address, Given::Text(text) | Given::Words(text)) if text == OFF => {
                Some(Value::Address(None))
            }
            (Kind::Address, Given::Text(text) | Given::Words(text)) => {
                read_address(text).map(|address| Value::Address(Some(address)))
            }
            (Kind::Word(words), Given::Text(text) | Given::Words(text)) => {
                words.contains(&text.as_str()).then(|| Value::Text(text.clone()))
            }
            (kind, given) => kind.read_number(given).map(Value::Number),
        }
    }

    fn read_number(self, given: &Given) -> Option<u64> {
        let number = match (self, given) {
            (_, Given::Integer(number)) => u64::try_from(*number).ok(),
            (Kind::Bytes, Given::Text(text) | Given::Words(text)) => with_unit(text, &SIZE_UNITS, 1),
            (Kind::DurationS, Given::Text(text) | Given::Words(text)) => {
                with_unit(text, &TIME_UNITS, 1_000_000)
            }
            (Kind::DurationMs, Given::Text(text) | Given::Words(text)) => with_unit(text, &TIME_UNITS, 1_000),
            (Kind::DurationUs, Given::Text(text) | Given::Words(text)) => with_unit(text, &TIME_UNITS, 1),
            (_, Given::Words(text)) => text.trim().replace('_', "").parse().ok(),
            _ => None,
        };
        match self {
            Kind::Count | Kind::Bytes | Kind::DurationS | Kind::DurationMs | Kind::DurationUs => number,
            Kind::Partitions => number.filter(|&count| (1..=u64::from(u16::MAX)).contains(&count)),
            Kind::Flag
            | Kind::Path
            | Kind::OptionalPath
            | Kind::Text
            | Kind::Hmac
            | Kind::Rate
            | Kind::Address
            | Kind::Word(_)
            | Kind::Cores => None,
        }
    }

    /// What a value of this kind looks like, for messages and the reference.
    pub fn expected(self) -> String {
        match self {
            Kind::Count => "a whole number".to_owned(),
            Kind::Partitions => "a whole number from 1 to 65535".to_owned(),
            Kind::Bytes => "a size such as \"8MiB\", or whole bytes".to_owned(),
            Kind::DurationS => "a duration such as \"1m\", or whole seconds".to_owned(),
            Kind::DurationMs => "a duration such as \"30s\", or whole milliseconds".to_owned(),
            Kind::DurationUs => "a duration such as \"50us\", or whole microseconds".to_owned(),
            Kind::Flag => "true or false".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::Text => "a text".to_owned(),
            Kind::Rate => "\"off\", or a rate such as \"100/s\" or \"5/m burst 20\"".to_owned(),
            Kind::Hmac => "\"HS256\", \"HS384\" or \"HS512\"".to_owned(),
            Kind::OptionalPath => "a path, or nothing".to_owned(),
            Kind::Address => "an address and port such as \"127.0.0.1:8080\", or \"off\"".to_owned(),
            Kind::Word(words) => format!("one of {}", words.join(", ")),
            Kind::Cores => "\"all\", a number of cores, or a list such as \"0,2-3\"".to_owned(),
        }
    }

    /// Shows a value of this kind as a TOML value.
    pub fn show(self, value: &Value) -> String {
        match (self, value) {
            (Kind::Bytes, Value::Number(number)) => show_size(*number),
            (Kind::DurationS, Value::Number(number)) => show_time(*number, 1_000_000),
            (Kind::DurationMs, Value::Number(number)) => show_time(*number, 1_000),
            (Kind::DurationUs, Value::Number(number)) => show_time(*number, 1),
            (_, Value::Number(number)) => number.to_string(),
            (_, Value::Flag(flag)) => flag.to_string(),
            (_, Value::Text(text)) => quoted(text),
            (_, Value::Rate(None)) => quoted(OFF),
            (_, Value::Rate(Some(rate))) => quoted(&rate.show()),
            (_, Value::Address(address)) => quoted(&show_address(address)),
            (_, Value::Cores(Cores::All)) => quoted("all"),
            (_, Value::Cores(Cores::Count(count))) => count.to_string(),
            (_, Value::Cores(Cores::List(list))) => format!("{list:?}"),
        }
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What an address is when there is none.
const OFF: &str = "off";

/// An address as it is configured.
pub(super) fn show_address(address: &Option<SocketAddr>) -> String {
    address.map_or_else(|| OFF.to_owned(), |address| address.to_string())
}

fn read_flag(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn read_address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?))),
        None => text.parse().ok(),
    }
}

/// Reads digits and a unit; the result is in units of `base` of the table's unit. A number without a unit
/// is already in the result's unit. What does not divide evenly or overflows is refused.
fn with_unit(text: &str, units: &[(&str, u64)], base: u64) -> Option<u64> {
    let text = text.trim();
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let number: u64 = text[..digits_end].replace('_', "").parse().ok()?;
    let unit = text[digits_end..].trim_start().to_ascii_lowercase();
    if unit.is_empty() {
        return Some(number);
    }
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let total = number.checked_mul(*factor)?;
    (total % base == 0).then_some(total / base)
}

fn show_size(bytes: u64) -> String {
    let binary = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match binary.into_iter().find(|(unit, _)| bytes != 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => quoted(&format!("{}{name}", bytes / unit)),
        None => bytes.to_string(),
    }
}

/// Shows `amount` units of `base` microseconds by the largest unit that divides it.
fn show_time(amount: u64, base: u64) -> String {
    let Some(total) = amount.checked_mul(base) else {
        return amount.to_string();
    };
    match TIME_UNITS.into_iter().find(|(_, unit)| total != 0 && total.is_multiple_of(*unit)) {
        Some((name, unit)) => quoted(&format!("{}{name}", total / unit)),
        None => amount.to_string(),
    }
}

fn read_cores(given: &Given) -> Option<Cores> {
    match given {
        Given::Integer(count) => usize::try_from(*count).ok().filter(|&count| count >= 1).map(Cores::Count),
        Given::Integers(list) => {
            let list = list.iter().map(|&core| usize::try_from(core).ok()).collect::<Option<Vec<_>>>()?;
            distinct(list)
        }
        Given::Text(text) | Given::Words(text) => read_core_words(text.trim()),
        Given::Boolean(_) | Given::Other(_) => None,
    }
}

/// Most cores that a range may name: far above any machine, far below what would exhaust memory.
const CORE_NUMBER_MAX: usize = 4_096;

fn read_core_words(text: &str) -> Option<Cores> {
    if text == "all" {
        return Some(Cores::All);
    }
    if let Ok(count) = text.parse::<usize>() {
        return (count >= 1).then_some(Cores::Count(count));
    }
    let mut list = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last > CORE_NUMBER_MAX {
            return None;
        }
        list.extend(first..=last);
    }
    distinct(list)
}

fn distinct(mut list: Vec<usize>) -> Option<Cores> {
    let count = list.len();
    list.sort_unstable();
    list.dedup();
    (count >= 1 && list.len() == count).then_some(Cores::List(list))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(kind: Kind, text: &str) -> Option<Value> {
        kind.read(&Given::Words(text.to_owned()))
    }

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units() {
        let table = [
            ("8MiB", 8 << 20),
            ("8 mib", 8 << 20),
            ("64KiB", 64 << 10),
            ("1GiB", 1 << 30),
            ("2MB", 2_000_000),
            ("100B", 100),
            ("4_096", 4_096),
        ];
        for (text, bytes) in table {
            assert_eq!(words(Kind::Bytes, text), Some(Value::Number(bytes)), "{text}");
        }
        for bad in ["8M", "-1", "", "MiB", "1.5MiB", "99999999999TiB", "8 apples"] {
            assert_eq!(words(Kind::Bytes, bad), None, "{bad}");
        }
    }

    #[test]
    fn a_bare_duration_is_in_the_unit_of_its_key() {
        assert_eq!(words(Kind::DurationMs, "30s"), Some(Value::Number(30_000)));
        assert_eq!(words(Kind::DurationMs, "1d"), Some(Value::Number(86_400_000)));
        assert_eq!(words(Kind::DurationMs, "250"), Some(Value::Number(250)));
        assert_eq!(words(Kind::DurationS, "2m"), Some(Value::Number(120)));
        assert_eq!(words(Kind::DurationUs, "250"), Some(Value::Number(250)));
        assert_eq!(words(Kind::DurationUs, "2ms"), Some(Value::Number(2_000)));
        assert_eq!(words(Kind::DurationMs, "10us"), None, "finer than the key's unit");
    }

    #[test]
    fn cores_are_all_a_count_or_a_list_without_repeats() {
        assert_eq!(words(Kind::Cores, "all"), Some(Value::Cores(Cores::All)));
        assert_eq!(words(Kind::Cores, "2"), Some(Value::Cores(Cores::Count(2))));
        assert_eq!(words(Kind::Cores, "3,0-1"), Some(Value::Cores(Cores::List(vec![0, 1, 3]))));
        assert_eq!(Kind::Cores.read(&Given::Integers(vec![1])), Some(Value::Cores(Cores::List(vec![1]))));
        for bad in ["0", "", "1,1", "3-1", "a", "0-999999999"] {
            assert_eq!(words(Kind::Cores, bad), None, "{bad}");
        }
    }

    #[test]
    fn an_address_needs_its_port() {
        let loopback = Some(Value::Address(Some("127.0.0.1:8080".parse().expect("an address"))));
        assert_eq!(words(Kind::Address, "127.0.0.1:8080"), loopback);
        assert_eq!(words(Kind::Address, "localhost:8080"), loopback);
        assert!(words(Kind::Address, "[::1]:8080").is_some());
        assert_eq!(words(Kind::Address, "127.0.0.1"), None);
        assert_eq!(words(Kind::Address, ":8080"), None);
        assert_eq!(words(Kind::Address, "off"), Some(Value::Address(None)));
    }

    #[test]
    fn a_file_must_give_numbers_and_switches_as_such() {
        assert_eq!(Kind::Count.read(&Given::Text("3".to_owned())), None);
        assert_eq!(Kind::Flag.read(&Given::Text("true".to_owned())), None);
        assert_eq!(Kind::Count.read(&Given::Integer(-3)), None);
        assert_eq!(Kind::Partitions.read(&Given::Integer(0)), None);
        assert_eq!(Kind::Path.read(&Given::Integer(1)), None);
    }

    proptest! {
        #[test]
        fn a_shown_number_reads_back_the_same(number in any::<u64>(), shift in 0_u32..64) {
            let number = (number >> shift) & (i64::MAX as u64);
            for kind in [Kind::Count, Kind::Bytes, Kind::DurationS, Kind::DurationMs, Kind::DurationUs] {
                let shown = kind.show(&Value::Number(number));
                let text = shown.trim_matches('"').to_owned();
                prop_assert_eq!(kind.read(&Given::Words(text)), Some(Value::Number(number)), "{}", shown);
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,24}") {
            for kind in [Kind::Bytes, Kind::DurationMs, Kind::Cores, Kind::Address, Kind::Partitions] {
                let _ = words(kind, &text);
            }
        }
    }
}
