//! Millrace as a library: the shell around the cores of logic in `crates/`.

pub mod broker;
pub mod cli;
pub mod config;
pub mod faces;
pub mod server;
pub mod shard;
pub mod sys;
