//! A server inside your program: the same log, the same HTTP face, and direct calls beside it.
//!
//! ```no_run
//! use millrace::embed::{Builder, Event, ReadFrom};
//! let server = Builder::new("./millrace-data").start()?;
//! let kitchen = server.stream("iot", "kitchen")?;
//! let stored = kitchen.append(Event::json(r#"{"celsius":21.5}"#)?).wait()?;
//! println!("{:?}", kitchen.read(ReadFrom::Seq(stored.first), 10).wait()?.records);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! Any thread may call. What calls return is waited for ([`Pending::wait`]) or awaited in any executor; see
//! [`Server`] for what a whole server does to its process.

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
