//! How a verb fails: an exit code, a sentence, and what to do next.
//!
//! Every verb returns [`CliError`]; `cli::run` alone shows it, on stderr, as `millrace: …` or as one JSON
//! object. The codes follow sysexits(3) where it has a word for the case and are part of the interface.

use serde_json::{Map, Value, json};
use std::io;

/// The exit codes, besides 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The server answered with a failure, some of the work was refused, or a check did not pass.
    Refused,
    /// The command line is wrong.
    Usage,
    /// The server cannot be reached, went away, or does not speak HTTP.
    Unreachable,
    /// A file or a standard stream failed.
    Io,
    /// The configuration is wrong.
    Config,
    /// A code of the server itself, while `serve` runs.
    Serve(u8),
}

impl Exit {
    /// The code as the process returns it.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 69,
            Exit::Io => 74,
            Exit::Config => 78,
            Exit::Serve(code) => code,
        }
    }
}

/// A failed verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CliError {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What happened, without a full stop.
    pub(crate) message: String,
    /// What the person can do about it.
    pub(crate) next: Option<String>,
    /// More members of the JSON form: the server's status and error body.
    pub(crate) members: Map<String, Value>,
    /// The reader of our output has gone; nothing is left to say and nothing is wrong.
    pub(crate) silent: bool,
}

impl CliError {
    /// A failure with a code and a sentence.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> CliError {
        CliError { exit, message: message.into(), next: None, members: Map::new(), silent: false }
    }

    /// Adds what to do next.
    pub(crate) fn next(mut self, next: impl Into<String>) -> CliError {
        self.next = Some(next.into());
        self
    }

    /// A failure of a file or stream, named by `what`.
    pub(crate) fn io(what: &str, error: &io::Error) -> CliError {
        CliError::new(Exit::Io, format!("{what}: {error}"))
    }

    /// A failure to write our own output. A closed pipe (`| head`) ends the verb without a word.
    pub(crate) fn output(error: &io::Error) -> CliError {
        let silent = error.kind() == io::ErrorKind::BrokenPipe;
        CliError { silent, ..CliError::io("cannot write the output", error) }
    }

    /// The text for stderr.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for line in self.message.lines() {
            // An indented line belongs to the one before it.
            let name = if line.starts_with(' ') { "" } else { "millrace: " };
            text.push_str(&format!("{name}{line}\n"));
        }
        if let Some(next) = &self.next {
            text.push_str(&format!("  {next}\n"));
        }
        text
    }

    /// The JSON form for stderr: one line.
    pub(crate) fn to_json(&self) -> String {
        let mut object = Map::new();
        object.insert("error".to_owned(), json!(self.message));
        object.insert("exit".to_owned(), json!(self.exit.code()));
        if let Some(next) = &self.next {
            object.insert("next".to_owned(), json!(next));
        }
        object.extend(self.members.clone());
        format!("{}\n", Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_happened_and_what_to_do_next() {
        let error = CliError::new(Exit::Unreachable, "cannot connect").next("start a server");
        assert_eq!(error.to_text(), "millrace: cannot connect\n  start a server\n");
        let json: Value = serde_json::from_str(&error.to_json()).expect("JSON");
        assert_eq!(json, json!({"error": "cannot connect", "exit": 69, "next": "start a server"}));
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure_worth_telling() {
        assert!(CliError::output(&io::Error::from(io::ErrorKind::BrokenPipe)).silent);
        assert!(!CliError::output(&io::Error::from(io::ErrorKind::StorageFull)).silent);
    }
}
