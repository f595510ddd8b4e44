//! The HTTP face: requests of one connection in, replies out, in order (`docs/api.md`).
//!
//! The assembly makes one [`HttpFace`], opens it on every core and gives it the connections it accepts.
//! A connection is one task: it reads all there is, decodes all, puts requests under way, answers in order
//! and sends once per wake-up. Nothing is stored here; what a request means is the broker's affair.

mod access;
mod alarm;
mod append;
pub mod appended;
mod connection;
mod core;
mod cors;
pub mod counters;
mod echo;
mod endpoint;
mod figures;
mod flight;
pub mod handoff;
mod headers;
mod identity;
mod json_patching;
mod linger;
mod lists;
mod monitor;
mod negotiate;
mod options;
mod outgoing;
mod pages;
mod parameters;
mod patch;
mod plan;
mod queued;
mod read;
mod removal;
mod reply;
mod report;
mod rfc3339;
mod route;
mod settings;
mod stream_keys;
#[cfg(test)]
mod testing;
mod ui;

use crate::broker::event_json;

pub use self::alarm::Alarm;
pub(crate) use self::append::{check_json, digest};
pub use self::core::{Core, HttpFace};
pub use self::cors::{Cors, Stamp};
pub use self::options::{Options, Reports};
pub(crate) use self::reply::encode_failure;

use crate::sys::net::Stream;
use std::rc::Rc;

/// Serves one connection to its end. When the server drains, what was accepted is finished, the last reply
/// says `Connection: close`, and idle connections end at once.
pub async fn serve(core: Rc<Core>, stream: Stream) {
    connection::serve(core, stream).await;
}
