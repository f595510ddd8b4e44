//! Every case, by name. A file for each crate of `crates/` that has hot paths, and one for the shell's.
//!
//! A new case is a line in its file's table. Its round does a few dozen events at least, so that the clock
//! and the counters around it weigh nothing.

mod commitlog;
mod engine;
mod http1;
mod segment;
mod shell;
mod websocket;

use crate::{Case, Work};

/// All cases, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Case> {
    let cores = [http1::CASES, websocket::CASES, commitlog::CASES, segment::CASES, engine::CASES];
    cores.into_iter().chain([shell::CASES]).flatten()
}

/// The case of this name.
pub fn named(name: &str) -> Option<&'static Case> {
    all().find(|case| case.name == name)
}

/// Work without state between its rounds but what two closures share.
struct Repeat<S> {
    state: S,
    refill: fn(&mut S),
    round: fn(&mut S) -> u64,
}

impl<S> Work for Repeat<S> {
    fn refill(&mut self) {
        (self.refill)(&mut self.state);
    }

    fn round(&mut self) -> u64 {
        (self.round)(&mut self.state)
    }
}

/// Work from a state, what makes it ready, and what is measured.
fn repeat<S: 'static>(state: S, refill: fn(&mut S), round: fn(&mut S) -> u64) -> Box<dyn Work> {
    Box::new(Repeat { state, refill, round })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_has_a_name_of_its_own() {
        let mut names: Vec<&str> = all().map(|case| case.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
