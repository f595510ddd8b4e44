//! Why a call of an embedding program failed.
//!
//! The failures are those that HTTP answers (`docs/api.md`, "Errors"); the table of texts is theirs.

use std::fmt;
use types::{Failure, FailureMember, NameError};

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The server refused it, for a reason that HTTP would have answered. Of an append nothing was stored,
    /// unless the reason is [`Failure::Unavailable`] with `Stopped`.
    Failed(Failure),
    /// The server ended before it answered: the outcome is unknown.
    Stopped,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error::Failed(failure) = self else { return f.write_str("the server has stopped") };
        f.write_str(failure.reason())?;
        for member in failure.members() {
            match member {
                FailureMember::Number(name, value) => write!(f, ", {name} {value}")?,
                FailureMember::Text(name, value) => write!(f, ", {name}: {value}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::Failed(failure)
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Error {
        Error::Failed(Failure::BadRequest { detail: error.to_string().into() })
    }
}
