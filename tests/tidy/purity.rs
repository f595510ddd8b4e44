//! Purity: the cores decide and never touch the world; only `src/sys` names io_uring.
//!
//! Looks at everything under `crates/*/src` and at the library of `sim`, test code left out: no clock, no
//! thread, no random source, no file, socket or standard stream, no `async`, no lock, no container whose
//! order depends on a random hash. Paths are matched, not text, so a word in a comment is free.

use crate::floors::dependency_names;
use crate::lexer::Source;
use crate::paths::{NamedPath, named_paths};
use crate::tree::Violation;
use toml::de::DeTable;

/// Paths that a core never names, each with the reason; a longer path below it is named as well.
const FORBIDDEN: [(&[&str], &str); 20] = [
    (&["std", "time", "Instant"], "time is an argument"),
    (&["std", "time", "SystemTime"], "time is an argument"),
    (&["std", "time", "UNIX_EPOCH"], "time is an argument"),
    (&["std", "time", "*"], "time is an argument"),
    (&["std", "thread"], "a core has no threads"),
    (&["std", "fs"], "a core touches no files"),
    (&["std", "env"], "configuration is an argument"),
    (&["std", "process"], "a core does not end the program"),
    (&["std", "os"], "a core does not know the system"),
    (&["std", "io", "stdin"], "a core has no streams"),
    (&["std", "io", "stdout"], "a core has no streams"),
    (&["std", "io", "stderr"], "a core has no streams"),
    (&["std", "sync", "Mutex"], "nothing is shared, so nothing is locked"),
    (&["std", "sync", "RwLock"], "nothing is shared, so nothing is locked"),
    (&["std", "sync", "Condvar"], "a core never waits"),
    (&["std", "sync", "mpsc"], "a core never waits"),
    (&["std", "collections", "HashMap"], "its order is random; hashbrown with a fixed hash is not"),
    (&["std", "collections", "HashSet"], "its order is random; hashbrown with a fixed hash is not"),
    (&["std", "hash", "RandomState"], "its hash is random"),
    (&["ring", "rand"], "random bytes are an argument"),
];

/// What of `std::net` is a mere value.
const ADDRESSES: [&str; 8] = [
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
    "AddrParseError",
    "self",
];

/// Packages that a core never depends on: they are clocks, random sources, threads or runtimes.
const FORBIDDEN_PACKAGES: [&str; 18] = [
    "async-trait",
    "chrono",
    "crossbeam",
    "fastrand",
    "futures",
    "futures-lite",
    "getrandom",
    "io-uring",
    "libc",
    "mio",
    "nix",
    "rand",
    "rayon",
    "rustix",
    "socket2",
    "time",
    "tokio",
    "uuid",
];

const PRINTING: [&str; 5] = ["println", "eprintln", "print", "eprint", "dbg"];

pub(crate) fn check_source(source: &Source, only_tests: bool) -> Vec<Violation> {
    let mut found = named_outside_sys(source);
    let named = ["crates/", "sim/src/"].iter().any(|folder| source.path.starts_with(folder));
    if !named || only_tests || source.path.ends_with("/main.rs") || source.path.contains("/bin/") {
        return found;
    }
    for path in named_paths(source).iter().filter(|path| !source.is_test(path.index)) {
        if let Some(why) = forbidden(path) {
            let what = format!("a core names `{}`: {why}", path.segments.join("::"));
            found.push(Violation::new(&source.path, path.line, "purity", what));
        }
    }
    for (index, token) in source.tokens.iter().enumerate().filter(|(index, _)| !source.is_test(*index)) {
        let what = match token.text.as_str() {
            "async" | "await" => "a core is not async: completions are commands",
            word if PRINTING.contains(&word) && source.text(index + 1) == "!" => "a core prints nothing",
            _ => continue,
        };
        found.push(Violation::new(&source.path, token.line, "purity", what));
    }
    found
}

fn forbidden(path: &NamedPath) -> Option<&'static str> {
    let mut path = path.clone();
    if path.segments[0] == "core" || path.segments[0] == "alloc" {
        path.segments[0] = "std".to_owned();
    }
    let listed = FORBIDDEN.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, why)| *why);
    let third = path.segments.get(2).map_or("", String::as_str);
    let package = path.segments[0].replace('_', "-");
    match () {
        () if listed.is_some() => listed,
        () if path.starts_with(&["std", "net"]) && !ADDRESSES.contains(&third) => {
            Some("a core has no sockets")
        }
        () if FORBIDDEN_PACKAGES.contains(&package.as_str()) && package != "time" => {
            Some("a core does not reach the world")
        }
        () => None,
    }
}

fn named_outside_sys(source: &Source) -> Vec<Violation> {
    if source.path.starts_with("src/sys/") || source.path == "src/sys.rs" {
        return Vec::new();
    }
    let named = source.tokens.iter().filter(|token| token.text == "io_uring");
    named
        .map(|token| Violation::new(&source.path, token.line, "purity", "only `src/sys` names io_uring"))
        .collect()
}

/// What the manifests of cores depend on, and who depends on the ring's.
pub(crate) fn check_manifest(path: &str, text: &str) -> Vec<Violation> {
    let Ok(manifest) = DeTable::parse(text) else { return Vec::new() };
    let names = dependency_names(manifest.get_ref());
    let core = path.starts_with("crates/");
    let mut found = Vec::new();
    for name in names {
        let what = match name.as_str() {
            "io-uring" if path != "Cargo.toml" => "only the server package depends on io-uring".to_owned(),
            package if core && FORBIDDEN_PACKAGES.contains(&package) => {
                format!("a core depends on `{package}`")
            }
            _ => continue,
        };
        found.push(Violation::new(path, 0, "purity", what));
    }
    found
}
