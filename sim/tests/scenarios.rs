//! Small versions of what `cargo run --release -p sim` does at length, a few seconds in all.
//!
//! A failure names the seed; `cargo run -p sim -- --seed X` replays it with its trace.

use engine::Sabotage;
use sim::scenario::{Tally, crash, determinism, exhaustive, fail_nth, rot, sabotage};

#[test]
fn no_crash_loses_resurrects_or_unsees_an_event() {
    let total = crash::run_many(1, 300, |_, _| ()).unwrap_or_else(|(seed, broken)| {
        panic!("SEED={seed}: {}", broken.violation);
    });
    assert!(total.acked > 1000 && total.unknown > 50, "the runs do something: {total:?}");
}

#[test]
fn every_small_workload_survives_every_death() {
    let mut total = Tally::default();
    for word in exhaustive::words(1) {
        for base in [exhaustive::Base::Fresh, exhaustive::Base::NearlyFull] {
            total += exhaustive::run(base, &word, Sabotage::None)
                .unwrap_or_else(|broken| panic!("{base:?} {word:?}: {}", broken.violation));
        }
    }
    assert!(total.points > 1000, "{total:?}");
}

#[test]
fn whichever_operation_fails_nothing_acknowledged_is_lost() {
    for fault in fail_nth::FAULTS {
        let total = fail_nth::run(1, fault, Sabotage::None)
            .unwrap_or_else(|(number, broken)| panic!("SEED=1 {fault:?} N={number}: {}", broken.violation));
        assert!(total.points > 50, "{fault:?}: {total:?}");
    }
}

#[test]
fn damage_is_never_silent() {
    let mut total = Tally::default();
    for seed in 1..=200 {
        total += rot::run(seed, Sabotage::None, false)
            .unwrap_or_else(|broken| panic!("SEED={seed}: {}", broken.violation));
    }
    assert!(total.gaps > 0 && total.refusals > 0 && total.harmless > 0, "every outcome is met: {total:?}");
}

#[test]
fn one_seed_gives_the_same_bytes_twice() {
    let mut hashes = Vec::new();
    for seed in 1..=10 {
        hashes.push(determinism::run(seed).unwrap().hash);
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 10, "different seeds give different runs");
}

#[test]
fn every_rule_that_is_left_out_is_noticed() {
    const SEEDS_MAX: u64 = 4000;
    for sabotage in sabotage::ALL {
        let noticed = (1..SEEDS_MAX).any(|seed| {
            let tried = std::panic::catch_unwind(|| sabotage::try_seed(sabotage, seed).is_some());
            // An assertion of the engine notices too, when a sound engine does not trip over it.
            tried.unwrap_or_else(|_| sabotage::is_sound(seed))
        });
        assert!(noticed, "{sabotage:?}");
    }
}
