//! Which stream a request goes to: evenly by chance, with a Zipf skew, or each in turn.
//!
//! Each appender owns one, seeded by its number, so that a run can be repeated. Laws: every choice is below
//! the count; in turn, every stream comes once in each round of all workers together.

/// A small generator (SplitMix64, public domain): fast, seeded, good enough for choices and padding.
#[derive(Clone, Debug)]
pub(crate) struct Mix(u64);

impl Mix {
    /// A generator for `seed`.
    pub(crate) fn new(seed: u64) -> Mix {
        Mix(seed)
    }

    /// The next number.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below 0");
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from 0 to 1, without 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The choice of streams.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// Each equally often, by chance.
    Even(Mix),
    /// Stream k in proportion to 1 / (k + 1)^skew; the sums are shared by all appenders.
    Zipf(Mix, std::sync::Arc<[f64]>),
    /// Each in turn: `next`, then `step` further.
    Turn {
        /// The next one.
        next: u64,
        /// How many appenders take turns.
        step: u64,
    },
    /// The streams that belong to one connection, in turn: `first`, `first + step`, …, and `first` again.
    Own {
        /// The connection's first stream.
        first: usize,
        /// How many connections share the streams.
        step: usize,
        /// The next one.
        next: usize,
    },
}

/// Running sums of the Zipf weights of `count` streams, the last of them 1.
pub(crate) fn zipf_sums(count: usize, skew: f64) -> std::sync::Arc<[f64]> {
    let weight = |index: usize| ((index + 1) as f64).powf(-skew);
    let mut sum = 0.0;
    let mut sums: Vec<f64> = Vec::with_capacity(count);
    for index in 0..count {
        sum += weight(index);
        sums.push(sum);
    }
    sums.iter_mut().for_each(|partial| *partial /= sum);
    sums.into()
}

impl Choice {
    /// The next stream's index, below `count`.
    pub(crate) fn next_stream(&mut self, count: usize) -> usize {
        match self {
            Choice::Even(mix) => mix.below(count as u64) as usize,
            Choice::Zipf(mix, sums) => {
                let point = mix.fraction();
                sums.partition_point(|sum| *sum <= point).min(count - 1)
            }
            Choice::Turn { next, step } => {
                let stream = (*next % count as u64) as usize;
                *next += *step;
                stream
            }
            Choice::Own { first, step, next } => {
                let stream = *next;
                *next = if stream + *step < count { stream + *step } else { *first };
                stream
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(mut choice: Choice, streams: usize, draws: usize) -> Vec<usize> {
        let mut counts = vec![0; streams];
        (0..draws).for_each(|_| counts[choice.next_stream(streams)] += 1);
        counts
    }

    #[test]
    fn without_skew_every_stream_comes_about_equally_often() {
        let counts = counts(Choice::Even(Mix::new(1)), 8, 80_000);
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn with_skew_one_the_first_stream_comes_twice_as_often_as_the_second() {
        let counts = counts(Choice::Zipf(Mix::new(1), zipf_sums(100, 1.0)), 100, 200_000);
        let ratio = counts[0] as f64 / counts[1] as f64;
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
        assert!(counts[99] > 0);
    }

    #[test]
    fn a_connection_never_leaves_its_own_streams() {
        let mut own = Choice::Own { first: 1, step: 2, next: 1 };
        let streams: Vec<usize> = (0..5).map(|_| own.next_stream(6)).collect();
        assert_eq!(streams, [1, 3, 5, 1, 3]);
        let mut alone = Choice::Own { first: 2, step: 3, next: 2 };
        assert_eq!([alone.next_stream(3), alone.next_stream(3)], [2, 2]);
    }

    #[test]
    fn in_turn_all_workers_together_reach_every_stream_once_a_round() {
        let mut seen = vec![0; 10];
        for worker in 0..2 {
            let mut turn = Choice::Turn { next: worker, step: 2 };
            (0..5).for_each(|_| seen[turn.next_stream(10)] += 1);
        }
        assert_eq!(seen, [1; 10]);
    }
}
