//! How long a dialer waits before it tries again (wire facts, section 3.10).

use std::time::Duration;

/// First delays after another server of the acceptor answered that it is not the one.
pub const FOLLOWER_BASE: Duration = Duration::from_millis(8);
/// How many such quick tries there are before the delay doubles: enough to go round a usual set of servers.
pub const FOLLOWER_QUICK_TRIES: u32 = 5;
/// Longest delay after such an answer, and the delay when the acceptor says that it is overloaded.
pub const BUSY_DELAY: Duration = Duration::from_millis(8192);
/// Longest delay after any other failure.
pub const MAX_DELAY: Duration = Duration::from_secs(64);
/// The share of a delay that jitter may take off: unlike Consul we spread dialers that failed together.
pub const JITTER: f64 = 0.25;

/// Why an attempt failed, as far as the delay depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `FailedPrecondition`: ask the next server, fast.
    WrongServer,
    /// `ResourceExhausted`.
    Busy,
    /// Anything else.
    Other,
}

/// The delay before the next attempt after `failures` consecutive failures (from 1; 0 counts as 1). `jitter` is a
/// random number within `0.0..=1.0` (anything else counts as 0) that takes up to [`JITTER`] off.
pub fn reconnect_delay(failure: Failure, failures: u32, jitter: f64) -> Duration {
    let failures = failures.max(1);
    let doubled = |base: Duration, times: u32, cap: Duration| {
        let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
        base.saturating_mul(factor).min(cap)
    };
    let full = match failure {
        Failure::WrongServer => doubled(
            FOLLOWER_BASE,
            failures.saturating_sub(FOLLOWER_QUICK_TRIES),
            BUSY_DELAY,
        ),
        Failure::Busy => BUSY_DELAY,
        Failure::Other => doubled(Duration::from_secs(1), failures, MAX_DELAY),
    };
    let jitter = if jitter.is_finite() {
        jitter.clamp(0.0, 1.0)
    } else {
        0.0
    };
    full.mul_f64(1.0 - JITTER * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_follow_the_table() {
        use Failure::{Busy, Other, WrongServer};
        for (failure, failures, millis) in [
            (WrongServer, 1, 8),
            (WrongServer, 5, 8),
            (WrongServer, 6, 16),
            (WrongServer, 15, 8192),
            (WrongServer, 16, 8192),
            (WrongServer, u32::MAX, 8192),
            (Busy, 1, 8192),
            (Busy, 9, 8192),
            (Other, 0, 2_000),
            (Other, 1, 2_000),
            (Other, 5, 32_000),
            (Other, 6, 64_000),
            (Other, u32::MAX, 64_000),
        ] {
            let delay = reconnect_delay(failure, failures, 0.0);
            assert_eq!(delay, Duration::from_millis(millis), "{failure:?} {failures}");
        }
        assert_eq!(reconnect_delay(Other, 1, 1.0), Duration::from_millis(1_500));
        assert_eq!(reconnect_delay(Other, 1, f64::NAN), Duration::from_secs(2));
        assert_eq!(reconnect_delay(Other, 1, 7.0), Duration::from_millis(1_500));
    }
}
