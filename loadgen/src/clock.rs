//! The one clock of a run: nanoseconds since the program began, the same for every thread.
//!
//! Stamps in payloads and intended send times are readings of it, so a delivery's age is a subtraction. It is
//! monotonic and never 0, so that 0 may mean "not yet".

use std::time::Instant;

/// The clock; copies read the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Clock {
        Clock { origin: Instant::now() }
    }

    /// Nanoseconds since the start, at least 1.
    pub(crate) fn now_ns(self) -> u64 {
        // 584 years fit.
        self.origin.elapsed().as_nanos() as u64 + 1
    }
}
