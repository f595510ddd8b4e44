//! What the server tells about itself: counters, histograms, their text forms, the access log.
//!
//! Faces, shards and the assembly count into these values and hand them over; nothing here asks anybody, and
//! nothing here ever makes a core wait. What a client sent is told only where its secrets were taken out.

pub mod access_log;
pub mod activity;
pub mod counter;
pub mod histogram;
mod instant_text;
pub mod prometheus;
mod trail;

pub use counter::Counter;
pub use histogram::{Histogram, Reading};
pub use trail::Trail;
