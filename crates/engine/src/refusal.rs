//! Why a directory or a shard is not served. The text is interface: operators and tests read it.
//!
//! Made by `boot` and `recovery`, printed by the shell, which exits. A refusal changes nothing on disk, and
//! its next step is safe to take.

use crate::disk::FileId;
use std::fmt;

/// A refusal to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable short name, for scripts.
    pub code: &'static str,
    /// The file that is wrong, when it is one.
    pub file: Option<FileId>,
    /// Byte offset in the file, when it is known.
    pub offset: Option<u64>,
    /// What is wrong.
    pub message: String,
    /// What is safe to do next.
    pub next_step: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Refusal { code, file: None, offset: None, message: message.into(), next_step: next_step.into() }
    }

    pub(crate) fn at(mut self, file: FileId, offset: Option<u64>) -> Self {
        self.file = Some(file);
        self.offset = offset;
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.code, self.message)?;
        if let Some(file) = self.file {
            write!(f, " (file {file}")?;
            if let Some(offset) = self.offset {
                write!(f, ", offset {offset}")?;
            }
            write!(f, ")")?;
        }
        write!(f, "; {}", self.next_step)
    }
}

impl std::error::Error for Refusal {}
