//! Measures every case and prints the table; under `cargo test` it runs every case once.
//!
//! Time is measured in this process, whose allocator counts nothing; the binary `counted` counts calls of
//! the allocator, and callgrind runs this program again for each case to count instructions. A host
//! without valgrind gives no instructions and fails nothing.

use benches::arguments::Arguments;
use benches::callgrind::{self, NotCounted};
use benches::counting::{self, Allocations};
use benches::report::{self, Earlier, Row};
use benches::{Case, cases, measure};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)).and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    if let Some(name) = &arguments.under_callgrind {
        let case = cases::named(name).ok_or_else(|| format!("there is no case {name}"))?;
        println!("{}", callgrind::run_here(case));
        return Ok(());
    }
    let wanted: Vec<&Case> = cases::all().filter(|case| arguments.wants(case.name)).collect();
    if arguments.is_list {
        wanted.iter().for_each(|case| println!("{}: benchmark", case.name));
        return Ok(());
    }
    if arguments.is_measuring { measure_all(arguments, &wanted) } else { run_once(&wanted) }
}

/// Each case with one round, and one under callgrind: enough to see that they still work.
fn run_once(wanted: &[&Case]) -> Result<(), String> {
    let events: u64 = wanted.iter().map(|case| measure::sample(case, 1, measure::measured_section)).sum();
    println!("{} benches ran once, {events} events; `cargo bench -p benches` measures them", wanted.len());
    let Some(case) = wanted.first() else { return Ok(()) };
    match callgrind::instructions_per_event(&own_path()?, case) {
        Ok(count) => println!("{}: {count:.0} instructions in this build", case.name),
        Err(why) => println!("instructions are not counted: {why}"),
    }
    Ok(())
}

fn own_path() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| error.to_string())
}

fn measure_all(arguments: &Arguments, wanted: &[&Case]) -> Result<(), String> {
    let earlier = earlier(arguments)?;
    let names: Vec<&str> = wanted.iter().map(|case| case.name).collect();
    let counts = counting::count_with(Path::new(env!("CARGO_BIN_EXE_counted")), &names)?;
    if !arguments.is_json {
        println!("{}", report::header());
    }
    let mut not_counted = None;
    for (case, (_, allocations)) in wanted.iter().zip(counts) {
        let row = measure_one(case, allocations, arguments, &mut not_counted)?;
        if arguments.is_json {
            println!("{}", row.to_json());
        } else {
            println!("{}", row.to_line(earlier.get(case.name)));
        }
    }
    if let Some(why) = not_counted {
        eprintln!("instructions are not counted: {why}");
    }
    Ok(())
}

fn measure_one(
    case: &Case,
    allocations: Allocations,
    arguments: &Arguments,
    not_counted: &mut Option<NotCounted>,
) -> Result<Row, String> {
    let timing = measure::time(case);
    let mut instructions = None;
    if !arguments.no_instructions && not_counted.is_none() {
        match callgrind::instructions_per_event(&own_path()?, case) {
            Ok(count) => instructions = Some(count),
            Err(why) => *not_counted = Some(why),
        }
    }
    let (name, event) = (case.name, case.event);
    Ok(Row { name, event, timing, instructions, allocations: Some(allocations) })
}

fn earlier(arguments: &Arguments) -> Result<Earlier, String> {
    let Some(path) = &arguments.against else { return Ok(Earlier::new()) };
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    report::read_earlier(&text).map_err(|why| format!("{}: {why}", path.display()))
}
