//! What the face is told at start beside limits: everything of it is off unless the configuration says so.
//!
//! Made by the assembly (`serve`), shared by all cores. A program that embeds the server takes the default.

use super::cors::Cors;

/// What the HTTP face is told at start.
#[derive(Debug, Default)]
pub struct Options {
    /// What pages of other origins may do.
    pub cors: Cors,
}
