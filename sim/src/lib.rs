//! A deterministic world around whole engines: disk faults, crashes, checkers.
//!
//! `main.rs` runs scenarios from the command line, the tests under `tests/` run small versions of them.
//! One seed determines a run wholly: what is asked, in which order the disk completes, when the process or
//! the power dies, which sectors survive. Nothing here touches a real file, a clock or a thread.

#![forbid(unsafe_code)]

pub mod disk;
pub mod history;
pub mod limits;
pub mod rng;
pub mod scenario;
pub mod trace;
pub mod workload;
pub mod world;
