//! The time of a run: how far it is, and whether it goes on.

use peerway_cli::demo::stage::now;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often somebody who sleeps looks whether the run is over.
const NAP: Duration = Duration::from_millis(100);

/// Begun, and perhaps over.
pub(crate) struct Course {
    begun: Instant,
    over: AtomicBool,
}

impl Course {
    /// Begins now.
    pub(crate) fn begin() -> Self {
        Course {
            begun: now(),
            over: AtomicBool::new(false),
        }
    }

    /// Since the beginning.
    pub(crate) fn clock(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Says that it is over.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whether it goes on.
    pub(crate) fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Acquire)
    }

    /// For those who only look at a flag.
    pub(crate) fn over(&self) -> &AtomicBool {
        &self.over
    }

    /// Waits; false when the run was over before.
    pub(crate) fn sleep(&self, pause: Duration) -> bool {
        let until = now() + pause;
        while self.goes_on() {
            let left = until.saturating_duration_since(now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(NAP));
        }
        false
    }
}
