//! Laws of the limiter: never more than the burst and what came back, whatever the clock and the keys do.

use auth::limiter::{Limiter, Rate, RetryAfter};
use proptest::prelude::*;

const SECOND_NS: u64 = 1_000_000_000;

fn limiter(per_second: f64, burst: u32, keys_max: usize) -> Limiter<u32> {
    Limiter::new(Rate { per_second, burst }, keys_max, 7).expect("a rate")
}

#[test]
fn a_burst_is_taken_at_once_and_comes_back_at_the_rate() {
    let mut limiter = limiter(2.0, 3, 8);
    for _ in 0..3 {
        assert_eq!(limiter.take(&1, 5 * SECOND_NS, 1), Ok(()));
    }
    assert_eq!(limiter.take(&1, 5 * SECOND_NS, 1), Err(RetryAfter { ms: 500 }));
    assert_eq!(limiter.take(&2, 5 * SECOND_NS, 1), Ok(()), "another key has its own bucket");
    assert_eq!(limiter.take(&1, 5 * SECOND_NS + 499_999_999, 1), Err(RetryAfter { ms: 1 }));
    assert_eq!(limiter.take(&1, 5 * SECOND_NS + 500_000_000, 1), Ok(()));
    assert_eq!(limiter.take(&1, 6 * SECOND_NS, 2), Err(RetryAfter { ms: 500 }));
    assert_eq!(limiter.take(&1, 60 * SECOND_NS, 3), Ok(()));
    assert_eq!(limiter.take(&1, 60 * SECOND_NS, 1), Err(RetryAfter { ms: 500 }));
}

#[test]
fn a_rate_may_be_a_fraction() {
    let mut limiter = limiter(0.1, 1, 8);
    assert_eq!(limiter.take(&1, 0, 1), Ok(()));
    assert_eq!(limiter.take(&1, SECOND_NS, 1), Err(RetryAfter { ms: 9_000 }));
    assert_eq!(limiter.take(&1, 10 * SECOND_NS, 1), Ok(()));
}

#[test]
fn a_cost_above_the_burst_is_never_paid() {
    let mut limiter = limiter(10.0, 3, 8);
    let refused = limiter.take(&1, 0, 4).expect_err("more than the burst");
    assert_eq!(refused, RetryAfter { ms: u64::MAX });
    assert!(refused.to_string().contains("ever allows"), "{refused}");
    assert!(limiter.is_empty(), "a refusal costs no memory");
    assert_eq!(limiter.take(&1, 0, 0), Ok(()));
    assert!(limiter.is_empty(), "nothing taken costs no memory");
}

#[test]
fn looking_takes_nothing_and_a_refund_gives_back() {
    let mut limiter = limiter(1.0, 2, 8);
    assert_eq!(limiter.would_take(&1, 0, 2), Ok(()));
    assert_eq!(limiter.take(&1, 0, 2), Ok(()));
    assert_eq!(limiter.would_take(&1, 0, 1), Err(RetryAfter { ms: 1_000 }));
    limiter.refund(&1, 0, 1);
    assert_eq!(limiter.take(&1, 0, 1), Ok(()));
    limiter.refund(&1, 0, 100);
    limiter.refund(&2, 0, 100);
    assert_eq!(limiter.take(&1, 0, 2), Ok(()));
    assert_eq!(limiter.take(&1, 0, 1), Err(RetryAfter { ms: 1_000 }), "never more than the burst");
}

#[test]
fn a_clock_that_goes_back_refills_nothing_and_locks_nobody_out() {
    let mut limiter = limiter(1.0, 2, 8);
    assert_eq!(limiter.take(&1, u64::MAX, 1), Ok(()));
    assert_eq!(limiter.take(&1, 1_000, 1), Err(RetryAfter { ms: 1_000 }), "empty, and not in debt");
    assert_eq!(limiter.take(&1, 1_000 + SECOND_NS, 1), Ok(()));
    assert_eq!(limiter.take(&2, 0, 2), Ok(()));
    assert_eq!(limiter.take(&2, u64::MAX, 2), Ok(()));
    assert_eq!(limiter.take(&2, u64::MAX, 1), Err(RetryAfter { ms: 1_000 }));
}

#[test]
fn full_buckets_are_forgotten_as_new_keys_come() {
    let mut limiter = limiter(10.0, 1, 1_000);
    for key in 0..1_000 {
        assert_eq!(limiter.take(&key, 0, 1), Ok(()));
    }
    assert_eq!(limiter.len(), 1_000);
    for key in 1_000..1_100 {
        assert_eq!(limiter.take(&key, SECOND_NS, 1), Ok(()));
    }
    assert!(limiter.len() <= 200, "{} are remembered", limiter.len());
}

#[test]
fn a_flood_of_new_keys_does_not_free_an_exhausted_one() {
    let mut limiter = limiter(0.001, 10, 64);
    let exhausted = |key: &u32| key % 4 == 3;
    for key in 0..64 {
        assert_eq!(limiter.take(&key, 0, if exhausted(&key) { 10 } else { 1 }), Ok(()));
    }
    for key in 64..100_000 {
        assert_eq!(limiter.take(&key, u64::from(key), 1), Ok(()), "newcomers are let in");
        assert!(limiter.len() <= 64);
    }
    for key in (0..64).filter(exhausted) {
        assert!(limiter.would_take(&key, 100_000, 1).is_err(), "{key} is still known");
    }
}

#[test]
fn a_rate_that_no_bucket_can_have_is_refused() {
    for (per_second, burst) in
        [(0.0, 1), (-1.0, 1), (f64::NAN, 1), (f64::INFINITY, 1), (1e10, 1), (1e-10, 1), (1.0, 0)]
    {
        let refused = Limiter::<u32>::new(Rate { per_second, burst }, 8, 7).expect_err("no rate");
        assert!(refused.to_string().contains("a burst of at least 1"), "{refused}");
    }
    let mut slowest = limiter(1e-9, u32::MAX, 1);
    assert_eq!(slowest.take(&1, u64::MAX, u32::MAX), Ok(()));
    assert_eq!(slowest.take(&1, u64::MAX, u32::MAX), Err(RetryAfter { ms: u64::MAX }));
    assert_eq!(limiter(1e9, u32::MAX, 1).take(&1, 0, u32::MAX), Ok(()));
}

#[test]
fn a_name_is_looked_up_without_a_copy() {
    let mut limiter: Limiter<String> =
        Limiter::new(Rate { per_second: 1.0, burst: 1 }, 8, 7).expect("a rate");
    assert_eq!(limiter.take("ada", 0, 1), Ok(()));
    assert_eq!(limiter.take("ada", 0, 1), Err(RetryAfter { ms: 1_000 }));
}

/// What happens to a limiter: who, how far the clock moves, how much.
fn steps() -> impl Strategy<Value = Vec<(u32, i64, u32)>> {
    let pause_ns = prop_oneof![4 => 0..SECOND_NS as i64, 1 => -3 * SECOND_NS as i64..0];
    proptest::collection::vec((0u32..6, pause_ns, 0u32..6), 1..200)
}

proptest! {
    #[test]
    fn never_more_than_the_burst_and_what_came_back(
        steps in steps(),
        per_second in 0.01f64..50.0,
        burst in 1u32..20,
    ) {
        let mut limiter = limiter(per_second, burst, 64);
        let (mut now_ns, mut forward_ns, mut taken) = (10 * SECOND_NS, 0, [0u64; 6]);
        for (key, pause_ns, cost) in steps {
            now_ns = now_ns.saturating_add_signed(pause_ns);
            forward_ns += u64::try_from(pause_ns).unwrap_or(0);
            let would = limiter.would_take(&key, now_ns, cost);
            prop_assert_eq!(limiter.take(&key, now_ns, cost), would);
            if would.is_ok() {
                taken[key as usize] += u64::from(cost);
            }
            let most = f64::from(burst) + per_second * forward_ns as f64 / 1e9;
            for taken in taken {
                prop_assert!(taken as f64 <= most + 1e-6, "{} taken, at most {}", taken, most);
            }
        }
    }

    #[test]
    fn who_waits_as_told_is_let_in_and_not_a_millisecond_before(
        steps in steps(),
        per_second in 0.01f64..50.0,
        burst in 1u32..20,
    ) {
        let mut limiter = limiter(per_second, burst, 64);
        let mut now_ns = 10 * SECOND_NS;
        for (key, pause_ns, cost) in steps {
            now_ns = now_ns.saturating_add_signed(pause_ns);
            if let Err(RetryAfter { ms }) = limiter.take(&key, now_ns, cost) {
                prop_assert_eq!(ms == u64::MAX, cost > burst);
                if ms != u64::MAX {
                    let then_ns = now_ns + ms * 1_000_000;
                    prop_assert_eq!(limiter.would_take(&key, then_ns, cost), Ok(()));
                    prop_assert!(limiter.would_take(&key, then_ns - 1_000_000, cost).is_err());
                }
            }
        }
    }

    #[test]
    fn the_table_is_bounded_whatever_comes(
        steps in proptest::collection::vec((any::<u8>(), any::<u64>(), any::<u32>()), 1..300),
        keys_max in 1usize..20,
    ) {
        let mut limiter = limiter(3.0, u32::MAX, keys_max);
        for (key, now_ns, cost) in steps {
            let _ = limiter.take(&u32::from(key), now_ns, cost);
            limiter.refund(&u32::from(key ^ 1), now_ns, cost);
            prop_assert!(limiter.len() <= keys_max);
        }
    }
}
