//! The three sources of settings, each turned into a list of assignments.
//!
//! A later assignment to the same key wins, so the caller lists the file first and the flags last. Names
//! are checked here, values by the key's kind.

use super::keys::{self, Key, VARIABLE_PREFIX};
use super::origin::Origin;
use super::problem::{BadSyntax, Problem, UnknownKey};
use super::value::Given;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A flag that stands for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagValue {
    /// Full key: `section.key`. It must exist.
    pub dotted: &'static str,
    /// The flag with its dashes, for messages.
    pub flag: &'static str,
    /// Its value as typed.
    pub value: String,
}

/// A key that exists, the value it was given, and where.
pub(super) struct Assignment {
    pub(super) key: &'static Key,
    pub(super) given: Given,
    pub(super) origin: Origin,
}

/// Reads the TOML text of a configuration file.
pub(super) fn from_file(
    path: &Path,
    text: &str,
    assignments: &mut Vec<Assignment>,
    problems: &mut Vec<Problem>,
) {
    let at = |span: Range<usize>| Origin::File { path: path.to_owned(), line: line_of(text, span.start) };
    let document = match DeTable::parse(text) {
        Ok(document) => document.into_inner(),
        Err(error) => {
            let origin = at(error.span().unwrap_or(0..0));
            problems.push(Problem::Syntax(BadSyntax { origin, reason: error.message().to_owned() }));
            return;
        }
    };
    for (section, content) in &document {
        let DeValue::Table(table) = content.get_ref() else {
            problems.push(unknown_in_file(at(section.span()), section.get_ref().to_string()));
            continue;
        };
        for (name, value) in table {
            let dotted = format!("{}.{}", section.get_ref(), name.get_ref());
            let origin = at(name.span());
            match keys::find(&dotted) {
                Some(key) => assignments.push(Assignment { key, given: given_in_file(value), origin }),
                None => problems.push(unknown_in_file(origin, dotted)),
            }
        }
        if table.is_empty() && !keys::keys().any(|key| key.section() == section.get_ref()) {
            problems.push(unknown_in_file(at(section.span()), section.get_ref().to_string()));
        }
    }
}

/// Reads the variables that have the form `MILLRACE_SECTION__KEY`. Variables without the two underscores are
/// not ours (an orchestrator may set `MILLRACE_PORT` for a service of that name), unless one underscore
/// more would make them a known key: then somebody meant that key.
pub(super) fn from_environment(
    environment: impl IntoIterator<Item = (String, String)>,
    assignments: &mut Vec<Assignment>,
    problems: &mut Vec<Problem>,
) {
    let mut variables: Vec<(String, String)> =
        environment.into_iter().filter(|(name, _)| name.starts_with(VARIABLE_PREFIX)).collect();
    variables.sort();
    for (variable, value) in variables {
        let origin = Origin::Environment { variable: variable.clone() };
        if let Some(key) = keys::keys().find(|key| key.variable() == variable) {
            assignments.push(Assignment { key, given: Given::Words(value), origin });
        } else if variable.contains("__") || lacks_an_underscore(&variable) {
            let nearest = nearest_variable(&variable);
            problems.push(Problem::UnknownKey(UnknownKey { origin, key: variable, nearest }));
        }
    }
}

/// Takes the flags. A key that does not exist is a programmer's error.
pub(super) fn from_flags(flags: &[FlagValue], assignments: &mut Vec<Assignment>) {
    for flag in flags {
        let key = keys::find(flag.dotted).expect("a flag names a key of the table");
        let origin = Origin::Flag { flag: flag.flag };
        assignments.push(Assignment { key, given: Given::Words(flag.value.clone()), origin });
    }
}

fn unknown_in_file(origin: Origin, dotted: String) -> Problem {
    let nearest = keys::nearest(&dotted).dotted.to_owned();
    Problem::UnknownKey(UnknownKey { origin, key: dotted, nearest })
}

fn lacks_an_underscore(variable: &str) -> bool {
    keys::keys().any(|key| key.variable().replacen("__", "_", 1) == variable)
}

fn nearest_variable(variable: &str) -> String {
    let lower = variable.strip_prefix(VARIABLE_PREFIX).unwrap_or(variable).to_lowercase();
    let dotted = match lower.split_once("__") {
        Some((section, name)) => format!("{section}.{name}"),
        None => lower.replacen('_', ".", 1),
    };
    keys::nearest(&dotted).variable()
}

fn given_in_file(value: &Spanned<DeValue<'_>>) -> Given {
    match value.get_ref() {
        DeValue::String(text) => Given::Text(text.to_string()),
        DeValue::Boolean(flag) => Given::Boolean(*flag),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Given::Integer(number),
            Err(_) => Given::Other("integer that needs more than 64 bits"),
        },
        DeValue::Array(items) => {
            let numbers = items.iter().map(|item| match given_in_file(item) {
                Given::Integer(number) => Some(number),
                _ => None,
            });
            numbers.collect::<Option<Vec<i64>>>().map_or(Given::Other("array"), Given::Integers)
        }
        other => Given::Other(other.type_str()),
    }
}

fn line_of(text: &str, byte: usize) -> usize {
    1 + text.as_bytes().iter().take(byte).filter(|&&b| b == b'\n').count()
}
