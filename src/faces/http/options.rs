//! What the face is told at start beside limits: everything of it is off unless the configuration says so.
//!
//! Made by the assembly (`serve`), shared by all cores. A program that embeds the server takes the default.

use super::cors::Cors;
use crate::observe::access_log::AccessLog;
use std::time::Duration;

/// What the HTTP face is told at start.
#[derive(Debug, Default)]
pub struct Options {
    /// What pages of other origins may do.
    pub cors: Cors,
    /// Where a line for each request goes.
    pub access_log: Option<AccessLog>,
    /// How figures are kept in the bucket `$sys`.
    pub reports: Option<Reports>,
}

/// How figures are kept in the bucket `$sys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reports {
    /// Time between two events.
    pub interval: Duration,
    /// Events that each stream keeps, at least one.
    pub events_max: u64,
}
