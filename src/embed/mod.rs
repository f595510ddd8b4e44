//! A server inside your program: the same log, the same HTTP face, and direct calls beside it.
//!
//! ```no_run
//! use millrace::embed::{Builder, Event, ReadFrom};
//!
//! let server = Builder::new("./millrace-data").start()?;
//! let kitchen = server.stream("iot", "kitchen")?;
//! let stored = kitchen.append(Event::json(r#"{"celsius":21.5}"#)?).wait()?;
//! let events = kitchen.read(ReadFrom::Seq(stored.first), 10).wait()?;
//! assert_eq!(&events.records[0].payload()[..], br#"{"celsius":21.5}"#);
//! server.shutdown()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! Calls may come from any thread; each is carried out by the core that owns the stream. What they return
//! can be waited for ([`Pending::wait`]) or awaited in any executor.

mod builder;
mod core_face;
mod error;
mod event;
mod gate;
mod pending;
mod stream;
mod subscription;
#[cfg(test)]
mod tests;

pub use builder::{Builder, Server};
pub use engine::{Appended, Gap, GapCause, ReadFrom, ReadReply};
pub use error::Error;
pub use event::{AppendOptions, Event};
pub use pending::Pending;
pub use stream::Stream;
pub use subscription::{Message, Subscription};
pub use types::{Epoch, Failure, Limits, Record, SeqNum, Timestamp};
