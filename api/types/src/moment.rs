//! Moments as texts.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment of unix milliseconds as RFC 3339 in UTC, `2026-01-02T03:04:05.006Z`; `None` beyond the year 9999.
pub fn rfc3339(unix_millis: u64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_millis) * 1_000_000)
        .ok()?
        .format(&Rfc3339)
        .ok()
}
