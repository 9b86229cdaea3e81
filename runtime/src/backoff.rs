//! Waiting longer after every failure, with jitter so that many clients do not return together.

use std::time::Duration;

/// The shortest base: a base of zero would let a failing loop spin.
pub const MIN_BASE: Duration = Duration::from_millis(1);

/// Doubling delays between `base` and `cap`; the same seed gives the same delays.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    jitter: f64,
    failures: u32,
    random: fastrand::Rng,
}

impl Backoff {
    /// Makes a backoff whose first delay is `base` (at least [`MIN_BASE`]) and whose delays never exceed
    /// `cap` (at least the base). `jitter` is the fraction of each delay that is random, held within
    /// `0.0..=1.0`: 0.25 gives delays between 75 % and 100 % of the full one.
    pub fn new(base: Duration, cap: Duration, jitter: f64, seed: u64) -> Self {
        let base = base.max(MIN_BASE);
        let jitter = if jitter.is_finite() {
            jitter.clamp(0.0, 1.0)
        } else {
            0.0
        };
        Self {
            base,
            cap: cap.max(base),
            jitter,
            failures: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Makes a backoff with a seed of its own, for use outside of tests.
    pub fn seeded_by_chance(base: Duration, cap: Duration, jitter: f64) -> Self {
        Self::new(base, cap, jitter, fastrand::u64(..))
    }

    /// Returns how long to wait before the next try, and doubles the one after.
    #[allow(
        clippy::should_implement_trait,
        reason = "it never ends, and a reset in between is the point"
    )]
    pub fn next(&mut self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let full = self.base.saturating_mul(factor).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        // Jitter only shortens, so the cap holds.
        full.mul_f64(1.0 - self.jitter * self.random.f64()).min(full)
    }

    /// Starts over at the base after a success. The random sequence goes on, so that clients that
    /// succeeded together do not fail together again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns how many delays were handed out since the last reset.
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn doubles_up_to_the_cap_and_starts_over() {
        let mut backoff = Backoff::new(ms(100), ms(1_000), 0.0, 1);
        let delays: Vec<_> = (0..6).map(|_| backoff.next()).collect();
        assert_eq!(delays, [ms(100), ms(200), ms(400), ms(800), ms(1_000), ms(1_000)]);
        assert_eq!(backoff.failures(), 6);
        backoff.reset();
        assert_eq!(backoff.next(), ms(100));
    }

    #[test]
    fn jitter_is_repeatable_and_stays_within_its_fraction() {
        let run = |seed| {
            let mut backoff = Backoff::new(ms(1_000), ms(1_000), 0.25, seed);
            (0..200).map(|_| backoff.next()).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        assert!(run(7).iter().all(|delay| (ms(750)..=ms(1_000)).contains(delay)));
    }

    #[test]
    fn odd_settings_are_held_within_bounds() {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::ZERO, f64::NAN, 1);
        assert_eq!(backoff.next(), MIN_BASE);
        assert_eq!(backoff.next(), MIN_BASE);

        let mut backoff = Backoff::new(ms(1), Duration::MAX, 9.0, 1);
        for _ in 0..100 {
            assert!(backoff.next() <= Duration::MAX);
        }
        backoff.failures = u32::MAX;
        backoff.next();
        assert_eq!(backoff.failures(), u32::MAX);
    }
}
