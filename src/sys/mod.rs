//! The world behind our own names: cores, disk, network, clock, randomness, signals.
//!
//! The only module that names the ring or contains `unsafe`; another backend with the same public names can
//! stand in its place. Everything here is mechanism: nothing decides what is stored, sent or answered.
//! Dropping a future is always safe: what the kernel still works with is kept until it is done. The outcome
//! of a disk operation would be lost with it, so those are awaited to the end by tasks of their own.

pub mod clock;
pub mod disk;
pub mod executor;
pub mod lane;
pub mod lock;
pub mod memory;
pub mod mesh;
pub mod net;
pub mod notify;
pub mod offload;
pub mod post;
pub mod preflight;
mod pulse;
pub mod random;
mod reactor;
pub mod signal;
pub mod terminal;
pub mod tls;
pub mod usage;

#[cfg(test)]
pub(crate) mod tests;
