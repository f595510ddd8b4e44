//! Millrace as a library: the shell around the cores of logic in `crates/`.
//!
//! Floors, from below: `sys` (the operating system and glommio), `shard` (drives an engine with real files),
//! `broker` (admission, routing, listening), `faces` (protocols), `server` (puts them together), `config` and
//! `cli` beside it. Imports go down only; `tests/tidy.rs` holds that. The binary is `src/main.rs`.

pub mod broker;
pub mod cli;
pub mod config;
pub mod faces;
pub mod server;
pub mod shard;
pub mod sys;
