//! The only place that reads the machine's clocks.
//!
//! Rooms take a [`SharedClock`] so that a test can hold time still; pure rooms are handed
//! [`UnixMillis`] values.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// A wall-clock moment: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Displayed as the plain number, so that logs and stored rows need no date formatting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The number of milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the moment `span` later, held at the largest moment that fits.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(span)))
    }

    /// Returns the moment `span` earlier, held at the epoch.
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(span)))
    }

    /// Returns how long after `earlier` this moment is; zero when it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Returns this moment as the standard library's type, for libraries that ask for it.
    ///
    /// Returns `None` when the platform cannot hold it.
    pub fn to_system_time(self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.0))
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock. It may jump either way; use it for dates that leave the process, such as the
    /// validity of a certificate.
    fn now(&self) -> UnixMillis;

    /// Time passed since some fixed moment of this clock. It never goes back; use it for ages and
    /// timeouts. Values of two clocks must not be compared.
    fn monotonic(&self) -> Duration;
}

/// A clock handed around between rooms.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Makes a clock whose monotonic time counts from now.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the clock that everybody else is told to use"
    )]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// Makes a clock ready for handing around.
    pub fn shared() -> SharedClock {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the clock that everybody else is told to use"
    )]
    fn now(&self) -> UnixMillis {
        // A machine whose clock stands before 1970 reads as the epoch: certificates are then refused
        // as not yet valid, which is the safe side.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(whole_millis(since))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that stands still until it is told to move; for tests and simulations.
#[derive(Debug)]
pub struct ManualClock {
    hands: Mutex<Hands>,
}

#[derive(Debug)]
struct Hands {
    wall: UnixMillis,
    monotonic: Duration,
}

impl ManualClock {
    /// Makes a clock that stands at `wall`, with monotonic time zero.
    pub fn new(wall: UnixMillis) -> Self {
        Self {
            hands: Mutex::new(Hands {
                wall,
                monotonic: Duration::ZERO,
            }),
        }
    }

    /// Lets `span` pass on both the wall clock and the monotonic clock.
    pub fn advance(&self, span: Duration) {
        let mut hands = self.hands.lock();
        hands.wall = hands.wall.after(span);
        hands.monotonic = hands.monotonic.saturating_add(span);
    }

    /// Puts the wall clock to `wall`, forward or back, as an operator or NTP would. Monotonic time
    /// does not move.
    pub fn set(&self, wall: UnixMillis) {
        self.hands.lock().wall = wall;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        self.hands.lock().wall
    }

    fn monotonic(&self) -> Duration {
        self.hands.lock().monotonic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_moves_both_hands_and_setting_only_the_wall() {
        let clock = ManualClock::new(UnixMillis(5_000));
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(clock.now(), UnixMillis(6_500));
        assert_eq!(clock.monotonic(), Duration::from_millis(1_500));
        clock.set(UnixMillis(10));
        assert_eq!(clock.now(), UnixMillis(10));
        assert_eq!(clock.monotonic(), Duration::from_millis(1_500));
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(UnixMillis(u64::MAX).after(Duration::MAX), UnixMillis(u64::MAX));
        assert_eq!(UnixMillis(7).before(Duration::from_secs(1)), UnixMillis(0));
        assert_eq!(UnixMillis(7).since(UnixMillis(9)), Duration::ZERO);
        assert_eq!(UnixMillis(2_009).since(UnixMillis(9)), Duration::from_secs(2));
        assert_eq!(UnixMillis(1_999).as_secs(), 1);
        assert_eq!(UnixMillis(1_999).to_string(), "1999");
    }

    #[test]
    fn system_clock_is_past_2020_and_never_goes_back() {
        let clock: SharedClock = SystemClock::shared();
        assert!(clock.now() > UnixMillis(1_577_836_800_000));
        let first = clock.monotonic();
        assert!(clock.monotonic() >= first);
        assert!(clock.now().to_system_time().is_some());
    }
}
