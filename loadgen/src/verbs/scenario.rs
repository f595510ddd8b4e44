//! Scenarios: TOML files that stand for a verb with its flags.
//!
//! `loadgen run` turns a file into arguments and parses them like any command line, so that a key that does
//! not exist or a value that does not fit is told in the same words. Flags on the command line come later and
//! win.

use super::common;
use crate::failure::Failure;
use crate::outcome::table::align;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Verbs that a scenario can stand for.
const VERBS: [&str; 3] = ["append", "listen", "verify"];
/// Keys that are no flags.
const OWN_KEYS: [&str; 2] = ["verb", "about"];

/// A parsed scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Scenario {
    verb: String,
    about: String,
    flags: Vec<String>,
}

/// The arguments for a scenario and the flags that follow it.
pub(crate) fn arguments_of(folder: &Path, name: &str, flags: &[String]) -> Result<Vec<String>, Failure> {
    let path = path_of(folder, name);
    let scenario = read(&path)?;
    let mut arguments = vec![scenario.verb.clone()];
    let is_named = flags.iter().any(|flag| flag == "--name" || flag.starts_with("--name="));
    if !is_named && scenario.verb != "verify" {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        arguments.extend(["--name".to_owned(), stem.unwrap_or_else(|| name.to_owned())]);
    }
    arguments.extend(scenario.flags);
    arguments.extend(flags.iter().cloned());
    Ok(arguments)
}

/// `loadgen list`.
pub(crate) fn list(folder: &Path) -> Result<(), Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        Failure::io(folder.display(), &error).next("name the folder of the scenarios with --scenarios")
    })?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    paths.sort();
    let mut rows = Vec::new();
    for path in paths {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let scenario = read(&path)?;
        rows.push((name, scenario.verb, scenario.about));
    }
    let names: Vec<Vec<String>> = rows.iter().map(|row| vec![row.0.clone(), row.1.clone()]).collect();
    let aligned = align(&["scenario", "verb"], &names);
    let lines = aligned.lines().skip(1).zip(&rows);
    common::print(&lines.map(|(line, row)| format!("{line}  {}\n", row.2)).collect::<String>())
}

fn path_of(folder: &Path, name: &str) -> PathBuf {
    if name.ends_with(".toml") { PathBuf::from(name) } else { folder.join(format!("{name}.toml")) }
}

fn read(path: &Path) -> Result<Scenario, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("{}: {error}", path.display()))
            .next("see `loadgen list`, or name the folder of the scenarios with --scenarios")
    })?;
    parse(&text).map_err(|what| Failure::usage(format!("{}: {what}", path.display())))
}

fn parse(text: &str) -> Result<Scenario, String> {
    let table = DeTable::parse(text).map_err(|error| error.to_string())?;
    let (mut verb, mut about, mut flags) = (String::new(), String::new(), Vec::new());
    for (key, value) in table.get_ref() {
        let key = key.get_ref().as_ref();
        let values = texts(key, value.get_ref())?;
        match (key, values.as_slice()) {
            ("verb", [one]) => verb.clone_from(one),
            ("about", [one]) => about.clone_from(one),
            (key, _) if OWN_KEYS.contains(&key) => return Err(format!("`{key}` is one text")),
            (key, values) => flags.extend(flags_of(key, values)),
        }
    }
    if !VERBS.contains(&verb.as_str()) {
        return Err(format!("`verb` must be one of {}", VERBS.join(", ")));
    }
    Ok(Scenario { verb, about, flags })
}

/// A flag with its values; `true` is a flag alone, `false` none.
fn flags_of(key: &str, values: &[String]) -> Vec<String> {
    match values {
        [one] if one == "true" => vec![format!("--{key}")],
        [one] if one == "false" => Vec::new(),
        values => vec![format!("--{key}={}", values.join(","))],
    }
}

fn texts(key: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match value {
        DeValue::String(text) => Ok(vec![text.to_string()]),
        DeValue::Integer(number) => Ok(vec![number.to_string()]),
        DeValue::Float(number) => Ok(vec![number.to_string()]),
        DeValue::Boolean(is) => Ok(vec![is.to_string()]),
        DeValue::Array(parts) => {
            let parts = parts.iter().map(|part| texts(key, part.get_ref()));
            Ok(parts.collect::<Result<Vec<_>, _>>()?.concat())
        }
        _ => Err(format!("`{key}` must be a text, a number, true or false, or a list of these")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use clap::Parser;

    #[test]
    fn keys_are_flags_and_true_is_a_flag_alone() {
        let text =
            "verb = 'listen'\nabout = 'x'\nlisteners = 10\nno-writer = true\njson = false\nbytes = '1KiB'\n";
        let scenario = parse(text).expect("it is sound");
        let mut flags = scenario.flags.clone();
        flags.sort();
        assert_eq!((scenario.verb.as_str(), scenario.about.as_str()), ("listen", "x"));
        assert_eq!(flags, ["--bytes=1KiB", "--listeners=10", "--no-writer"]);
        assert_eq!(
            parse("verb = 'append'\nsweep = ['1k', 2000]").map(|s| s.flags),
            Ok(vec!["--sweep=1k,2000".into()])
        );
    }

    #[test]
    fn what_is_no_scenario_is_told_by_key() {
        for (text, what) in [
            ("about = 'x'", "`verb` must be one of append, listen, verify"),
            ("verb = 'fly'", "`verb` must be one of append, listen, verify"),
            ("verb = 'append'\nbytes = { a = 1 }", "`bytes` must be a text"),
            ("verb = ['a', 'b']", "`verb` is one text"),
        ] {
            assert!(parse(text).is_err_and(|error| error.contains(what)), "{text}");
        }
    }

    #[test]
    fn every_scenario_of_the_tree_is_a_command_line_that_parses() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let mut count = 0;
        for entry in std::fs::read_dir(&folder).expect("the folder is there").flatten() {
            let path = entry.path().to_string_lossy().into_owned();
            let arguments = arguments_of(&folder, &path, &["--seed=7".to_owned()]).expect("it is sound");
            let all = std::iter::once("loadgen".to_owned()).chain(arguments);
            let cli = Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(matches!(cli.verb, Verb::Append(_) | Verb::Listen(_) | Verb::Verify(_)));
            count += 1;
        }
        assert!(count >= 8, "{count} scenarios");
    }

    #[test]
    fn flags_on_the_command_line_win() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let flags = ["--connections".to_owned(), "3".to_owned()];
        let arguments = arguments_of(&folder, "post-128-c64", &flags).expect("it is there");
        let all = std::iter::once("loadgen".to_owned()).chain(arguments);
        let Verb::Append(args) = Cli::try_parse_from(all).expect("it parses").verb else { panic!("append") };
        assert_eq!((args.connections, args.common.name.as_deref()), (3, Some("post-128-c64")));
    }
}
