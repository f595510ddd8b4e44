//! Millrace as a library: the shell around the cores of logic in `crates/`.
//!
//! A program that wants a server inside itself uses [`embed`]. The rest are the floors of the binary
//! `src/main.rs`, from below: `sys` (the operating system and the event loop), `observe` (figures and the
//! access log), `shard` (drives an engine with real files), `broker` (admission, routing, listening),
//! `faces` (protocols), `server` (puts them together), `embed`, `config` and `cli`. Imports go down only;
//! `tests/tidy.rs` holds that.

pub mod broker;
pub mod cli;
pub mod config;
pub mod embed;
pub mod faces;
pub mod observe;
pub mod server;
pub mod shard;
pub mod sys;
