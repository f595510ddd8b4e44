//! What is decided without touching the world: when to send, to which stream, what bytes, and what to make
//! of the answers.
//!
//! The drivers call these with times and bytes. No clock, socket or thread here, so every law has a test.

pub(crate) mod choice;
pub(crate) mod follow;
pub(crate) mod latency;
pub(crate) mod payload;
pub(crate) mod schedule;
pub(crate) mod window;
