//! Work that is due at regular moments, however long each piece takes.

use peerway_cli::demo::stage::now;
use std::time::{Duration, Instant};

/// The moments, one after the other. What is late is done at once, so that the rate is reached if it can be.
pub(crate) struct Pace {
    due: Instant,
    every: Duration,
}

impl Pace {
    /// The first moment is now.
    pub(crate) fn every(every: Duration) -> Self {
        Pace { due: now(), every }
    }

    /// Waits for the next moment.
    pub(crate) fn wait(&mut self) {
        let left = self.due.saturating_duration_since(now());
        if !left.is_zero() {
            std::thread::sleep(left);
        }
        self.due += self.every;
    }
}
