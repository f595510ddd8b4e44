//! The knobs, compiled in from `tuning/knobs`: `doctor` and a person who reads the files see the same.
//!
//! A new knob is a file there, a line here and a row of `tuning/README.md`; the tests hold the three to each
//! other.

use super::knob::Knob;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../tuning/knobs/", $name, ".toml")))),*]
    };
}

/// Name and text of every knob, in the order in which they are shown.
pub(super) const FILES: &[(&str, &str)] = files![
    "disk",
    "file-system",
    "cores",
    "governor",
    "huge-pages",
    "memlock",
    "nofile",
    "backlog",
    "tcp-buffers",
    "nic-queues",
    "systemd",
];

/// The names of the knobs, for the command line.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// Every knob.
pub(super) fn knobs() -> Vec<Knob> {
    let decode = |(name, text): &(&'static str, &str)| Knob::decode(name, text);
    FILES.iter().map(decode).collect::<Result<_, _>>().expect("the tests decode the same texts")
}
