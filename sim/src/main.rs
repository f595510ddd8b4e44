//! The command line of the sim: `cargo run --profile sim -p sim -- crash --points 200000`.
//!
//! Prints `SEED=…` for whatever it runs, a progress line now and then, one summary line at the end; exits
//! with 1 when a law was broken and 2 when the command line is wrong. `--seed X` alone replays one crash
//! run with its trace. All that is decided is decided in the library.

#![forbid(unsafe_code)]

use sim::disk::OpFault;
use sim::scenario::{Broken, Outcome, Tally, crash, determinism, exhaustive, fail_nth, rot, sabotage};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const USAGE: &str = "\
sim --seed X [--kind crash|rot|nth --fault io|nospace|files|short --nth N]   replay one run with its trace
sim crash [--points 200000] [--seed S]       random crashes until so many were lived through
sim exhaustive [--letters 4]                 every small workload, every crash point, every subset
sim fail-nth [--scenarios 30] [--seed S]     operation N fails, for every N
sim rot [--cases 20000] [--seed S]           damage in every kind of file
sim sabotage [--seconds 30] [--only NAME]    every rule left out is noticed
sim determinism [--seeds 100] [--seed S]     one seed twice, the same bytes
    [--jobs J] [--failures F]                threads (2), failures after which it stops (1)";

thread_local! {
    /// What this thread runs, for the message of a panic.
    static RUNNING: Cell<(&'static str, u64, u64)> = const { Cell::new(("", 0, 0)) };
}

/// Failures after which a scenario stops.
static FAILURES_MAX: AtomicU64 = AtomicU64::new(1);

/// The words of the command line.
struct Words {
    command: String,
    options: BTreeMap<String, String>,
}

impl Words {
    fn number(&self, name: &str, default: u64) -> Result<u64, String> {
        let Some(text) = self.options.get(name) else {
            return Ok(default);
        };
        text.parse().map_err(|_| format!("--{name} takes a number, not {text:?}"))
    }
}

fn main() -> ExitCode {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let (kind, seed, number) = RUNNING.get();
        println!("PANIC in {kind} SEED={seed} N={number}");
        before(panic);
    }));
    let result = words().and_then(|words| run(&words));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn words() -> Result<Words, String> {
    let mut words = Words { command: "replay".to_owned(), options: BTreeMap::new() };
    let mut args = std::env::args().skip(1).peekable();
    if let Some(first) = args.next_if(|word| !word.starts_with("--")) {
        words.command = first;
    }
    while let Some(word) = args.next() {
        let name = word.strip_prefix("--").ok_or_else(|| format!("unexpected {word:?}"))?;
        let value = args.next().ok_or_else(|| format!("--{name} needs a value"))?;
        words.options.insert(name.to_owned(), value);
    }
    Ok(words)
}

fn run(words: &Words) -> Result<bool, String> {
    let seed = words.number("seed", 1)?;
    let jobs = words.number("jobs", 2)?.max(1);
    FAILURES_MAX.store(words.number("failures", 1)?, Ordering::Relaxed);
    match words.command.as_str() {
        "replay" if words.options.contains_key("seed") => replay(words, seed),
        "crash" => {
            let goal = words.number("points", 200_000)?;
            Ok(many("crash", seed, jobs, goal, |seed| crash::run(seed, engine::Sabotage::None, false)))
        }
        "rot" => {
            let goal = words.number("cases", 20_000)?;
            Ok(many("rot", seed, jobs, goal, |seed| rot::run(seed, engine::Sabotage::None, false)))
        }
        "exhaustive" => Ok(all_words(words.number("letters", 4)? as usize, jobs)),
        "fail-nth" => Ok(all_faults(seed, words.number("scenarios", 30)?, jobs)),
        "sabotage" => Ok(all_sabotage(words, words.number("seconds", 30)?)),
        "determinism" => Ok(twice(seed, words.number("seeds", 100)?)),
        other => Err(format!("unknown command {other:?}")),
    }
}

fn replay(words: &Words, seed: u64) -> Result<bool, String> {
    let none = engine::Sabotage::None;
    let kind = words.options.get("kind").map_or("crash", String::as_str);
    RUNNING.set(("replay", seed, 0));
    println!("SEED={seed} {kind}");
    let outcome = match kind {
        "crash" => crash::run(seed, none, true),
        "rot" => rot::run(seed, none, true),
        "nth" => fail_nth::run_one(seed, fault(words)?, words.number("nth", 1)?, none, true),
        other => return Err(format!("unknown kind {other:?}")),
    };
    match outcome {
        Ok(tally) => {
            println!("{tally:?}");
            Ok(true)
        }
        Err(broken) => {
            broken.lines.iter().for_each(|line| println!("{line}"));
            println!("BROKEN {}", broken.violation);
            Ok(false)
        }
    }
}

fn fault(words: &Words) -> Result<OpFault, String> {
    match words.options.get("fault").map_or("io", String::as_str) {
        "io" => Ok(OpFault::Io),
        "nospace" => Ok(OpFault::NoSpace),
        "files" => Ok(OpFault::TooManyFiles),
        "short" => Ok(OpFault::Short),
        other => Err(format!("unknown fault {other:?}")),
    }
}

/// Seeds one after the other on `jobs` threads until the tallies' points reach the goal.
fn many(kind: &'static str, first: u64, jobs: u64, goal: u64, run: impl Fn(u64) -> Outcome + Sync) -> bool {
    let points = AtomicU64::new(0);
    let work = |seed: u64| {
        RUNNING.set((kind, seed, 0));
        let outcome = run(seed);
        if let Ok(tally) = &outcome {
            points.fetch_add(tally.points, Ordering::Relaxed);
        }
        outcome.map_err(|broken| (format!("SEED={seed}"), broken))
    };
    let more = |_: u64| points.load(Ordering::Relaxed) < goal;
    on_threads(kind, first, jobs, more, work)
}

/// Hands numbers from `first` on to threads while `more` holds; prints progress and the summary.
fn on_threads(
    kind: &'static str,
    first: u64,
    jobs: u64,
    more: impl Fn(u64) -> bool + Sync,
    work: impl Fn(u64) -> Result<Tally, (String, Box<Broken>)> + Sync,
) -> bool {
    let started = Instant::now();
    let next = AtomicU64::new(first);
    let failures_max = FAILURES_MAX.load(Ordering::Relaxed);
    let failed = AtomicU64::new(0);
    let thread = || {
        let mut total = Tally::default();
        let mut said = Instant::now();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if failed.load(Ordering::Relaxed) >= failures_max || !more(number) {
                return total;
            }
            match catch_unwind(AssertUnwindSafe(|| work(number))) {
                Ok(Ok(tally)) => total += tally,
                Ok(Err((case, broken))) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    println!("BROKEN {kind} {case}: {}", broken.violation);
                }
                // The hook has said what and where.
                Err(_) => drop(failed.fetch_add(1, Ordering::Relaxed)),
            }
            if said.elapsed() > Duration::from_secs(5) {
                said = Instant::now();
                eprintln!("{kind} at {number}: {} points on this thread", total.points);
            }
        }
    };
    let mut total = Tally::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(thread)).collect();
        for thread in threads {
            total += thread.join().expect("what panics is caught inside the thread");
        }
    });
    let sound = failed.load(Ordering::Relaxed) == 0;
    println!("{} {}", summary(kind, sound, &total), timing(started, total.points));
    sound
}

fn all_words(letters: usize, jobs: u64) -> bool {
    let words = exhaustive::words(letters);
    let bases = [exhaustive::Base::Fresh, exhaustive::Base::NearlyFull];
    let case = |at: u64| (bases[at as usize % bases.len()], &words[at as usize / bases.len()]);
    let count = (words.len() * bases.len()) as u64;
    on_threads(
        "exhaustive",
        0,
        jobs,
        |at| at < count,
        |at| {
            let (base, word) = case(at);
            RUNNING.set(("exhaustive", at, 0));
            let outcome = exhaustive::run(base, word, engine::Sabotage::None);
            outcome.map_err(|broken| (format!("{base:?} {word:?}"), broken))
        },
    )
}

fn all_faults(first: u64, scenarios: u64, jobs: u64) -> bool {
    let faults = fail_nth::FAULTS;
    let count = scenarios * faults.len() as u64;
    on_threads(
        "fail-nth",
        0,
        jobs,
        |at| at < count,
        |at| {
            let (seed, fault) = (first + at / faults.len() as u64, faults[at as usize % faults.len()]);
            RUNNING.set(("fail-nth", seed, at));
            let outcome = fail_nth::run(seed, fault, engine::Sabotage::None);
            outcome.map_err(|(number, broken)| (format!("SEED={seed} {fault:?} N={number}"), broken))
        },
    )
}

fn all_sabotage(words: &Words, seconds: u64) -> bool {
    let mut caught = 0;
    let only = words.options.get("only").map(|name| name.to_lowercase());
    let wanted = |name: &str| only.as_ref().is_none_or(|only| name.to_lowercase() == *only);
    let chosen: Vec<_> =
        sabotage::ALL.into_iter().filter(|sabotage| wanted(&format!("{sabotage:?}"))).collect();
    for &sabotage in &chosen {
        let started = Instant::now();
        let mut found = None;
        let mut seed = 1;
        while found.is_none() && started.elapsed() < Duration::from_secs(seconds) {
            // A sabotaged engine may also trip over one of its own assertions, where a sound one does not.
            let tried = catch_unwind(|| sabotage::try_seed(sabotage, seed));
            found = match tried {
                Ok(found) => found.map(|(by, broken)| format!("{by}: {}", broken.violation)),
                Err(_) => sabotage::is_sound(seed).then(|| "an assertion of the engine".to_owned()),
            };
            seed += 1;
        }
        let spent = started.elapsed().as_secs_f64();
        match found {
            Some(what) => {
                caught += 1;
                println!("caught  {sabotage:?} after {spent:.2} s, SEED={}, by {what}", seed - 1);
            }
            None => println!("MISSED  {sabotage:?} in {spent:.0} s, {} seeds", seed - 1),
        }
    }
    println!("sabotage: {caught} of {} caught", chosen.len());
    caught == chosen.len()
}

fn twice(first: u64, seeds: u64) -> bool {
    let started = Instant::now();
    let mut total = Tally::default();
    for seed in first..first + seeds {
        RUNNING.set(("determinism", seed, 0));
        match determinism::run(seed) {
            Ok(tally) => total += tally,
            Err(what) => {
                println!("BROKEN determinism SEED={seed}: {what}");
                return false;
            }
        }
    }
    println!("determinism: {seeds} seeds identical {}", timing(started, seeds));
    true
}

fn summary(kind: &str, sound: bool, total: &Tally) -> String {
    let verdict = if sound { "0 laws broken" } else { "A LAW WAS BROKEN" };
    let Tally { runs, points, lives, acked, seen, unknown, faults, gaps, refusals, harmless, hash: _ } =
        total;
    format!(
        "{kind}: {verdict}; {points} points in {runs} runs, {lives} lives, {acked} appends acknowledged, \
         {seen} events seen, {unknown} unknown, {faults} faults, {gaps} gaps told, {refusals} refusals, \
         {harmless} harmless"
    )
}

fn timing(started: Instant, count: u64) -> String {
    let seconds = started.elapsed().as_secs_f64();
    format!("({seconds:.1} s, {:.0}/s)", count as f64 / seconds.max(0.001))
}
