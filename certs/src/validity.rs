//! From when until when a certificate is valid.

use peerway_model::{Failure, FailureKind};
use peerway_runtime::UnixMillis;
use std::time::{Duration, SystemTime};

/// How far a certificate's beginning lies before the moment it is made: 1 minute, for verifiers whose clocks are a
/// little behind.
pub const BACKDATE: Duration = Duration::from_secs(60);

/// The last moment that a certificate can express: 9999-12-31T23:59:59Z (RFC 5280, section 4.1.2.5), unix
/// milliseconds.
const LAST_MOMENT: UnixMillis = UnixMillis(253_402_300_799_000);

/// A span in whole seconds, as certificates have no finer times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    /// Valid from.
    pub(crate) not_before: UnixMillis,
    /// Valid until.
    pub(crate) not_after: UnixMillis,
}

impl Validity {
    /// From [`BACKDATE`] before `now` until `lifetime` after it, but never past `limit`.
    ///
    /// # Errors
    /// `Unavailable` when nothing of the span would lie after `now`, or when the machine's clock stands after the
    /// year 9999.
    pub(crate) fn new(
        now: UnixMillis,
        lifetime: Duration,
        limit: Option<UnixMillis>,
    ) -> Result<Self, Failure> {
        let not_after = whole_second(now.after(lifetime)).min(limit.map_or(LAST_MOMENT, whole_second));
        if not_after <= now {
            let message = format!(
                "no certificate can be made at {now} ms that would end by {not_after} ms, check the clock and the active root"
            );
            return Err(Failure::new(FailureKind::Unavailable, message));
        }
        Ok(Validity {
            not_before: whole_second(now.before(BACKDATE)),
            not_after,
        })
    }
}

/// `moment` for the certificate library.
///
/// # Errors
/// `Internal` when the platform cannot hold it or a certificate cannot express it.
pub(crate) fn system_time(moment: UnixMillis) -> Result<SystemTime, Failure> {
    moment
        .to_system_time()
        .filter(|_| moment <= LAST_MOMENT)
        .ok_or_else(|| {
            Failure::new(
                FailureKind::Internal,
                format!("a certificate cannot express the moment {moment} ms"),
            )
        })
}

fn whole_second(moment: UnixMillis) -> UnixMillis {
    UnixMillis(moment.as_secs() * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_backdated_whole_and_limited() {
        let now = UnixMillis(1_000_000_500);
        let hour = Duration::from_secs(3600);
        let free = Validity::new(now, hour, None).unwrap();
        assert_eq!(
            (free.not_before.0, free.not_after.0),
            (999_940_000, 1_003_600_000)
        );
        let limited = Validity::new(now, hour, Some(UnixMillis(1_000_002_999))).unwrap();
        assert_eq!(limited.not_after, UnixMillis(1_000_002_000));
        let over = Validity::new(now, hour, Some(UnixMillis(1_000_000_000))).unwrap_err();
        assert_eq!(over.kind, FailureKind::Unavailable);
        assert!(Validity::new(UnixMillis(u64::MAX), hour, None).is_err());
        assert!(system_time(UnixMillis(u64::MAX)).is_err());
    }
}
