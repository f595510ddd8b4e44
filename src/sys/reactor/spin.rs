//! How long a core looks for work before it sleeps.
//!
//! To sleep and be woken costs some 50 µs on a virtual machine, as much as a short wait for the disk or for a
//! client's next request. A core that is woken again and again within `adaptive_max` looks for work that long
//! before it sleeps; each long sleep halves that, and a few end it. An idle server therefore spins never, and
//! a busy one has nothing to wait for. Pure: the loop says how long it has waited.

use std::time::Duration;

/// The first window of a core that begins to look for work.
const WINDOW_MIN: Duration = Duration::from_micros(20);
/// Sleeps from which a core learns nothing after others have wanted its processor.
const SLEEPS_UNLEARNED: u32 = 1024;
/// Others want the processor when they take it in more than one of so many waits. The kernel's own threads,
/// and the host of a virtual machine, take it now and then.
const WAITS_PER_TAKEN: u32 = 16;
/// So many takings in a row are enough to know.
const TAKEN_MAX: u32 = 4;

/// How long a core may look for work before it sleeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spin {
    /// Whatever happens; zero costs nothing when idle.
    pub always: Duration,
    /// At most, while waits are shorter than this; zero never.
    pub adaptive_max: Duration,
}

/// What a core has learned.
#[derive(Debug)]
pub(super) struct SpinWindow {
    spin: Spin,
    learned: Duration,
    unlearned: u32,
    /// Grows with each offer of the processor that was taken, shrinks with each wait.
    taken: u32,
}

impl SpinWindow {
    /// Nothing learned yet.
    pub(super) fn new(spin: Spin) -> SpinWindow {
        SpinWindow { spin, learned: Duration::ZERO, unlearned: 0, taken: 0 }
    }

    /// How long to look for work before the next sleep.
    pub(super) fn get(&self) -> Duration {
        self.learned.max(self.spin.always)
    }

    /// Work came after `waited`, before the core slept. One that was kept from looking, by somebody else on
    /// its processor, would have been woken earlier.
    pub(super) fn found(&mut self, waited: Duration) {
        self.taken = self.taken.saturating_sub(1);
        if waited > self.get() * 2 {
            self.slept(Duration::MAX);
        }
    }

    /// Somebody else has taken the processor when it was offered. When that happens often, to look for work
    /// takes it away from them.
    pub(super) fn offer_taken(&mut self) {
        self.taken += WAITS_PER_TAKEN;
        if self.taken > TAKEN_MAX * WAITS_PER_TAKEN {
            (self.learned, self.unlearned, self.taken) = (Duration::ZERO, SLEEPS_UNLEARNED, 0);
        }
    }

    /// There was nothing to do for `waited`, looking and sleeping together, and the core slept.
    pub(super) fn slept(&mut self, waited: Duration) {
        self.taken = self.taken.saturating_sub(1);
        if self.unlearned > 0 {
            self.unlearned -= 1;
            return;
        }
        let longer = (self.learned * 2).max(WINDOW_MIN).min(self.spin.adaptive_max);
        let shorter = Some(self.learned / 2).filter(|half| *half >= WINDOW_MIN);
        self.learned =
            if waited <= self.spin.adaptive_max { longer } else { shorter.unwrap_or(Duration::ZERO) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_micros(200);

    fn after(waits_us: &[u64], spin: Spin) -> Duration {
        let mut window = SpinWindow::new(spin);
        waits_us.iter().for_each(|us| window.slept(Duration::from_micros(*us)));
        window.get()
    }

    #[test]
    fn a_core_that_is_woken_soon_again_and_again_looks_for_work_ever_longer_up_to_the_bound() {
        let spin = Spin { adaptive_max: MAX, ..Spin::default() };
        assert_eq!(after(&[], spin), Duration::ZERO);
        assert_eq!(after(&[100], spin), WINDOW_MIN);
        assert_eq!(after(&[100, 200, 50], spin), WINDOW_MIN * 4);
        assert_eq!(after(&[100; 9], spin), MAX);
    }

    #[test]
    fn a_long_sleep_halves_it_and_a_few_end_it() {
        let spin = Spin { adaptive_max: MAX, ..Spin::default() };
        assert_eq!(after(&[100, 100, 100, 201], spin), WINDOW_MIN * 2);
        assert_eq!(after(&[100, 100, 100, 201, 201, 201], spin), Duration::ZERO);
        let busy = [100; 99];
        assert_eq!(after(&[&busy[..], &[9_999; 4]].concat(), spin), Duration::ZERO);
    }

    #[test]
    fn work_that_is_found_late_counts_as_a_long_sleep() {
        let mut window = SpinWindow::new(Spin { adaptive_max: MAX, ..Spin::default() });
        (0..9).for_each(|_| window.slept(Duration::from_micros(100)));
        window.found(MAX * 2);
        assert_eq!(window.get(), MAX);
        window.found(Duration::from_millis(3));
        assert_eq!(window.get(), MAX / 2);
    }

    #[test]
    fn a_core_whose_processor_others_want_does_not_look_for_work_for_a_while() {
        let mut window = SpinWindow::new(Spin { adaptive_max: MAX, ..Spin::default() });
        let short = Duration::from_micros(100);
        (0..9).for_each(|_| window.slept(short));
        (0..=TAKEN_MAX).for_each(|_| {
            assert_eq!(window.get(), MAX, "a few times are no habit");
            window.offer_taken();
        });
        for _ in 0..SLEEPS_UNLEARNED {
            assert_eq!(window.get(), Duration::ZERO);
            window.slept(short);
        }
        window.slept(short);
        assert_eq!(window.get(), WINDOW_MIN, "then it learns anew");
    }

    #[test]
    fn a_processor_that_is_taken_now_and_then_is_the_cores_own() {
        let mut window = SpinWindow::new(Spin { adaptive_max: MAX, ..Spin::default() });
        for wait in 0..10_000 {
            if wait % (WAITS_PER_TAKEN + 1) == 0 {
                window.offer_taken();
            }
            window.slept(Duration::from_micros(100));
        }
        assert_eq!(window.get(), MAX);
    }

    #[test]
    fn what_is_always_spun_is_spun_whatever_was_learned() {
        let always = Duration::from_micros(70);
        assert_eq!(after(&[9_999], Spin { always, adaptive_max: MAX }), always);
        assert_eq!(after(&[100; 9], Spin { always, adaptive_max: MAX }), MAX);
        assert_eq!(after(&[10; 9], Spin { always, adaptive_max: Duration::ZERO }), always);
        assert_eq!(after(&[10; 9], Spin::default()), Duration::ZERO);
    }
}
