//! The files of `tuning/`: that they decode, agree with each other and with what the program needs.

use super::*;
use crate::cli::doctor::knob::KnobError;
use proptest::prelude::*;
use std::collections::BTreeSet;

const README: &str = include_str!("../../../../tuning/README.md");
const UNIT: &str = include_str!("../../../../tuning/millrace.service");

#[test]
fn the_folder_the_table_and_the_index_name_the_same_knobs() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tuning/knobs");
    let entries = std::fs::read_dir(folder).expect("the folder is part of the tree");
    let files: BTreeSet<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    let compiled: BTreeSet<String> = table::names().map(|name| format!("{name}.toml")).collect();
    assert_eq!(files, compiled);
    let is_row = |line: &&str| line.contains("](knobs/");
    let row = |knob: &Knob| format!("| [{}](knobs/{}.toml) | {} |", knob.name, knob.name, knob.title);
    let rows: Vec<String> = table::knobs().iter().map(row).collect();
    assert_eq!(README.lines().filter(is_row).collect::<Vec<_>>(), rows);
}

#[test]
fn the_index_explains_every_key_that_a_file_has() {
    for (name, text) in table::FILES {
        let keys = text.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
        let plain = |key: &&str| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        for key in keys.filter(plain).filter(|key| !is_word_found(text, key)) {
            assert!(README.contains(&format!("`{key}`")), "{name}: {key}");
        }
    }
}

/// Whether it is a value of the host that a table of sentences speaks of, and no key.
fn is_word_found(text: &str, key: &str) -> bool {
    let knob = Knob::decode("sample", text).expect("it decodes");
    knob.checks.iter().flat_map(|check| check.say.iter().chain(&check.instead)).any(|(word, _)| word == key)
}

#[test]
fn numbers_are_those_that_the_program_uses() {
    let sources = [
        include_str!("../../../sys/net.rs"),
        include_str!("../../../sys/preflight.rs"),
        include_str!("../../../../tuning/knobs/backlog.toml"),
        include_str!("../../../../tuning/knobs/nofile.toml"),
    ];
    let pairs = [
        (0, "const BACKLOG: i32 = 1024;", 2, "at-least = 1024"),
        (1, "const DESCRIPTORS_BASE: u64 = 64;", 3, "at-least = 64"),
        (1, "const DESCRIPTORS_PER_CORE: u64 = 320;", 3, "per-core = 320"),
    ];
    for (source, constant, file, value) in pairs {
        assert!(sources[source].contains(constant), "changed: {constant}; the knob says {value}");
        assert!(sources[file].contains(value), "changed: {value}; the program says {constant}");
    }
}

#[test]
fn the_unit_restarts_what_another_start_can_mend() {
    let value = |key: &str| UNIT.lines().find_map(|line| line.strip_prefix(key)).expect("the unit has it");
    assert_eq!(value("Restart="), "on-failure");
    let stops: Vec<&str> = value("RestartPreventExitStatus=").split(' ').collect();
    assert_eq!(stops, ["2", "65", "73", "78"], "and 74, a failed disk, is started again");
    let seconds: u64 = value("TimeoutStopSec=").parse().expect("seconds");
    assert!(seconds * 1000 > crate::config::Config::default().limits.drain_timeout_ms, "a drain ends first");
}

#[test]
fn the_unit_leaves_the_server_what_it_needs() {
    let value = |key: &str| UNIT.lines().find_map(|line| line.strip_prefix(key)).expect("the unit has it");
    assert!(
        ["io_uring_setup", "io_uring_enter", "io_uring_register"]
            .iter()
            .all(|c| value("SystemCallFilter=").contains(c))
    );
    let files: usize = value("LimitNOFILE=").parse().expect("a count");
    assert!(files >= 64 + 128 * 320 + crate::config::Config::default().limits.connections_max);
    assert_eq!(value("LimitMEMLOCK="), "64M", "128 KiB for each of 512 cores");
    assert!(!UNIT.lines().any(|line| line.starts_with("ProcSubset=")), "the checks at start read /proc/sys");
}

const SOUND: &str = "title = 't'\nreason = 'r'\nmeasured = 'not measured here'\n[[check]]\nwhat = 'w'\n\
                     read = '/f'\ntake = 'number'\nat-least = 1\nset = 's'\npersist = 'p'\n";

fn error(text: &str) -> String {
    let KnobError { key, what } = Knob::decode("sample", text).expect_err("not sound");
    format!("{key} {what}")
}

#[test]
fn a_file_that_makes_no_sense_is_told_by_its_key() {
    assert!(Knob::decode("sample", SOUND).is_ok());
    let cases = [
        ("title = 't'", "", "title is missing"),
        ("title = 't'", "title = ''", "title is not a text"),
        ("title = 't'", "title = 't'\nunit = 'bytes'", "unit is unknown"),
        ("at-least", "at-lest", "at-lest is unknown"),
        ("at-least = 1", "at-least = -1", "at-least is not a count"),
        ("at-least = 1", "per-core = 1", "at-least is missing"),
        ("at-least = 1", "", "set stands, with `persist`, where there is a rule and only there"),
        ("at-least = 1", "at-least = 1\none-of = ['a']", " has more than one rule"),
        ("at-least = 1", "one-of = []", "one-of is not a list of words"),
        ("at-least = 1", "spinning-one-of = ['a']", "one-of is missing"),
        ("at-least = 1", "one-of = ['a']", "take gives nothing that the rule could judge"),
        ("take = 'number'", "take = 'field 0'", "take `field 0` is unknown"),
        ("persist = 'p'", "", "set stands, with `persist`, where there is a rule and only there"),
        ("[[check]]", "[check]", "check is missing"),
    ];
    for (old, new, expected) in cases {
        assert!(SOUND.contains(old));
        let text = SOUND.replacen(old, new, 1);
        assert_eq!(error(&text).strip_prefix(expected), Some(""), "{text}: {}", error(&text));
    }
}

proptest! {
    #[test]
    fn no_text_panics_the_decoder(text in "\\PC{0,120}", at in 0..SOUND.len(), byte in 0..128_u8) {
        let _ = Knob::decode("sample", &text);
        let mut changed = SOUND.as_bytes().to_vec();
        changed[at] = byte;
        let _ = Knob::decode("sample", &String::from_utf8(changed).expect("ASCII"));
    }
}
