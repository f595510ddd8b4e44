//! Benches of the cores and the shell's hot parts: what one event costs in time, instructions, allocations.
//!
//! Three programs share this library. `benches/cores.rs` measures time and prints the table; the binary
//! `counted` runs the same cases with an allocator that counts, so that counting never falsifies a time;
//! the first one again under callgrind counts instructions. `docs/benches.md` says how to run them.
//! A case is pure: no socket, no file, no system call, so those are not counted.

pub mod arguments;
pub mod callgrind;
pub mod cases;
pub mod counting;
pub mod measure;
pub mod report;

mod server;
mod specimens;

/// Work of one kind, in rounds. A round is as many events as make a clock's own cost small.
pub trait Work {
    /// Makes ready what the next round consumes. Never measured.
    fn refill(&mut self);

    /// Does it; gives the count of events.
    fn round(&mut self) -> u64;
}

/// A thing that is measured.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name, with slashes from the general to the special.
    pub name: &'static str,
    /// What one event is.
    pub event: &'static str,
    /// Rounds of one sample. Each sample starts anew from `prepare`, so that nothing grows for ever.
    pub rounds: u32,
    /// Makes the state before the first round.
    pub prepare: fn() -> Box<dyn Work>,
}
