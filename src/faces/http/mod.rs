//! The HTTP face: requests of one connection in, replies out, in order (`docs/api.md`).
//!
//! The assembly makes one [`HttpFace`], opens it on every core and gives it the connections it accepts.
//! A connection is one task: it reads all there is, decodes all, puts requests under way, answers in order
//! and sends once per wake-up. Nothing is stored here; what a request means is the broker's affair.

mod alarm;
mod core;
pub mod counters;
pub mod handoff;

pub use self::alarm::Alarm;
pub use self::core::{Core, HttpFace};
