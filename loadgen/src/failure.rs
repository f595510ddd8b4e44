//! Why loadgen cannot do what it was asked: a sentence and what to do next.
//!
//! Every part returns it up to `main`, which alone prints it, as `loadgen: …`, and ends the process. Errors
//! of a server under load are not failures; they are counted by kind.

use std::fmt;

/// The exit codes, besides 0. They follow sysexits(3) where it has a word for the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// A check did not pass.
    CheckFailed,
    /// The command line or a scenario is wrong.
    Usage,
    /// The target cannot be reached, or a server did not start.
    Unreachable,
    /// A file, a socket or a thread of ours failed.
    Io,
}

impl Exit {
    /// The code as the process returns it.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::CheckFailed => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 69,
            Exit::Io => 74,
        }
    }
}

/// A failed run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What happened, without a full stop.
    pub(crate) message: String,
    /// What the person can do about it.
    pub(crate) next: Option<String>,
}

impl Failure {
    /// A failure with a code and a sentence.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), next: None }
    }

    /// A wrong option.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }

    /// A failure of the system, named by what was tried.
    pub(crate) fn io(what: impl fmt::Display, error: &std::io::Error) -> Failure {
        Failure::new(Exit::Io, format!("{what}: {error}"))
    }

    /// Adds what to do next.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Failure {
        self.next = Some(next.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.next {
            Some(next) => write!(f, "{}: {next}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Failure {}
