//! What can be wrong with a configuration, and how it is said.
//!
//! Every problem names the place (file and line, variable, flag) and what to write instead. Loading collects
//! all problems, so a person mends a file in one round. Shown on stderr by the command line, exit code 78.

use super::origin::Origin;
use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The file cannot be read.
    Unreadable(UnreadableFile),
    /// The file is not TOML.
    Syntax(BadSyntax),
    /// A key that does not exist.
    UnknownKey(UnknownKey),
    /// A value that its key cannot have.
    WrongValue(WrongValue),
    /// Values that contradict each other.
    Contradiction(Contradiction),
}

/// The configuration file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableFile {
    /// The file.
    pub path: PathBuf,
    /// The operating system's reason.
    pub reason: String,
}

/// The configuration file is not TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSyntax {
    /// Where.
    pub origin: Origin,
    /// The parser's reason.
    pub reason: String,
}

/// A key that no setting has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// Where it was given.
    pub origin: Origin,
    /// The key as it was given: `section.key`, or a variable's name.
    pub key: String,
    /// The nearest key that exists, written the same way.
    pub nearest: String,
}

/// A value that its key cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongValue {
    /// Where it was given.
    pub origin: Origin,
    /// The key, `section.key`.
    pub key: &'static str,
    /// What was given, described.
    pub given: String,
    /// What the key takes.
    pub expected: String,
}

/// Values that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The relation that does not hold.
    pub reason: String,
    /// The settings it names, each with value and origin.
    pub settings: Vec<String>,
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The problems, in the order of their places.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Unreadable(file) => {
                write!(f, "{}: cannot read the configuration: {}", file.path.display(), file.reason)
            }
            Problem::Syntax(bad) => write!(f, "{}: not TOML: {}", bad.origin, bad.reason),
            Problem::UnknownKey(unknown) => write!(
                f,
                "{}: unknown key {}; the nearest that exists is {}",
                unknown.origin, unknown.key, unknown.nearest
            ),
            Problem::WrongValue(wrong) => write!(
                f,
                "{}: {} was given {}, expected {}",
                wrong.origin, wrong.key, wrong.given, wrong.expected
            ),
            Problem::Contradiction(contradiction) => {
                write!(f, "{} ({})", contradiction.reason, contradiction.settings.join("; "))
            }
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
