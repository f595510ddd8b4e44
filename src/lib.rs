//! Millrace as a library: the shell around the cores of logic in `crates/`.

pub mod config;
pub mod shard;
pub mod sys;
