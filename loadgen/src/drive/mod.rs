//! The part that touches the world while load runs: sockets, threads, processors, the process table.
//!
//! `load::run_load` starts workers, each a thread with its own sockets and event loop, and merges what they
//! counted. What to send and what to count is decided in `decide` and `wire`.

pub(crate) mod appender;
pub(crate) mod listeners;
pub(crate) mod load;
pub(crate) mod plan;
pub(crate) mod processes;
pub(crate) mod progress;
pub(crate) mod reactor;
pub(crate) mod secure;
pub(crate) mod shared;
pub(crate) mod socket;
pub(crate) mod worker;
