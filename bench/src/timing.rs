//! Real time, and what is made of it.

use std::time::{Duration, Instant};

/// The median, in microseconds; 0 of nothing.
pub(crate) fn median(rounds: &mut [Duration]) -> f64 {
    rounds.sort_unstable();
    rounds
        .get(rounds.len() / 2)
        .map_or(0.0, |middle| middle.as_secs_f64() * 1e6)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
