//! Runs the cases that it is given by name and counts the calls of the allocator, a line of JSON for each.
//!
//! Started by `cargo bench -p benches` and by the laws in `tests/`. One thread, and nothing is printed
//! while it counts, so that a count is always the same.

use benches::{cases, counting};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    for name in std::env::args().skip(1) {
        let Some(case) = cases::named(&name) else {
            eprintln!("there is no case {name}");
            return ExitCode::from(2);
        };
        println!("{}", counting::count_here(case).to_json(case));
    }
    ExitCode::SUCCESS
}
