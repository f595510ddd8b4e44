//! The time, for the whole shell. `crates/` never ask: they are told.
//!
//! Two clocks: the system's, which stamps events and may jump (the engine never lets a stream's times go
//! back), and the monotonic one, for deadlines and measures. Neither is ever used for the other's purpose.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use types::Timestamp;

/// Milliseconds since 1970 by the system's clock, which may jump; 0 if it stands before that.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// Nanoseconds of a clock that never jumps; only differences mean something.
pub fn monotonic_ns() -> u64 {
    ns_at(Instant::now())
}

/// A point of that clock in the same count. What lies before the first look at it is its beginning.
pub fn ns_at(point: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = point.saturating_duration_since(*START.get_or_init(|| point));
    u64::try_from(elapsed.as_nanos()).expect("a process runs for less than 584 years")
}
