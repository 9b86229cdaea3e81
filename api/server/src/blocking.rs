//! Blocking queries: how long, for what, and how many at a time.

use crate::ask::Ask;
use crate::refusal::Refusal;
use crate::routes::Shared;
use http::StatusCode;
use peerway_runtime::telemetry::{self, IntGauge};
use peerway_state::{Revision, Snapshot, Topic};
use peerway_store::FeedEvent;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::SemaphorePermit;

/// How long a query waits that does not say; Consul's.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(5 * 60);
/// How long a query waits at most; a longer wish is cut, as Consul does.
pub const MAX_WAIT: Duration = Duration::from_secs(10 * 60);
/// How many queries may wait at the same time; further ones are refused with 429.
pub const MAX_WAITING: usize = 8192;

static WAITING: LazyLock<IntGauge> = LazyLock::new(|| {
    telemetry::gauge(
        "peerway_api_blocking_queries",
        "blocking queries that wait right now",
    )
});

/// The index of an answer: one more than the revision, so that it is never 0, which clients take for an error.
pub(crate) fn index_of(snapshot: &Snapshot) -> u64 {
    snapshot.revision().saturating_add(1)
}

/// The revision that an index was made from.
pub(crate) fn revision_of(index: u64) -> Revision {
    index.saturating_sub(1)
}

/// A place among the queries that may wait.
pub(crate) struct Place<'a> {
    _permit: SemaphorePermit<'a>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        WAITING.dec();
    }
}

impl Shared {
    /// The snapshot to answer from: at once without an `index`, else when one of `topics` was touched after it
    /// or the time is up.
    pub(crate) async fn watch(
        &self,
        ask: &Ask,
        topics: impl Fn(&Snapshot) -> Vec<Topic>,
    ) -> Result<Arc<Snapshot>, Refusal> {
        let limit = wait_limit(ask)?;
        match ask.number("index")? {
            None | Some(0) => Ok(self.newest()),
            Some(index) => {
                let _place = self.place()?;
                Ok(self.wait_past(index, limit, topics).await)
            }
        }
    }

    /// A place to wait in.
    pub(crate) fn place(&self) -> Result<Place<'_>, Refusal> {
        let permit = self.waiting.try_acquire().map_err(|_| {
            Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many blocking queries wait already, retry later or without index",
            )
        })?;
        WAITING.inc();
        Ok(Place { _permit: permit })
    }

    /// Waits until one of `topics` is touched by a commit after `index`. An index from the future, which is one
    /// from before the store was replaced, does not wait.
    pub(crate) async fn wait_past(
        &self,
        index: u64,
        limit: Duration,
        topics: impl Fn(&Snapshot) -> Vec<Topic>,
    ) -> Arc<Snapshot> {
        // The feed first: it gets what is published from here on, the history has what was before. Not by
        // Reader::wait, which leaves to a snapshot what is in it already, and a snapshot is there a moment before
        // its feed event, which is all that tells of a removal.
        let mut feed = self.parts.reader.feed();
        let (watched, newest) = {
            let snapshot = self.parts.reader.snapshot();
            (topics(&snapshot), snapshot.revision())
        };
        let seen = revision_of(index);
        if newest >= seen && !self.history.touched_since(seen, &watched) {
            let waited = tokio::time::timeout(limit, async {
                loop {
                    match feed.next().await {
                        FeedEvent::Changed(changes) if !changes.touches_any(&watched) => {}
                        FeedEvent::Changed(_) | FeedEvent::Reload | FeedEvent::Closed => return,
                    }
                }
            });
            // Time is up or not, the newest snapshot is the answer.
            let _ = waited.await;
        }
        self.newest()
    }

    /// The newest snapshot, to answer from.
    pub(crate) fn newest(&self) -> Arc<Snapshot> {
        self.history.catch_up();
        self.parts.reader.snapshot()
    }
}

/// How long the client wants to wait, within [`MAX_WAIT`].
pub(crate) fn wait_limit(ask: &Ask) -> Result<Duration, Refusal> {
    let Some(text) = ask.first("wait") else {
        return Ok(DEFAULT_WAIT);
    };
    let wait = go_duration(text).ok_or_else(|| {
        Refusal::bad(format!(
            "wait: {text:?} is not a duration, write for example 30s or 5m"
        ))
    })?;
    Ok(if wait.is_zero() {
        DEFAULT_WAIT
    } else {
        wait.min(MAX_WAIT)
    })
}

/// A duration as Go writes it, `1h2m`, `1.5s`, `120000ms`; `None` when it is none or negative.
fn go_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] = [
        // Longer units first, so that `ms` is not taken for `m`.
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let number: f64 = number.parse().ok()?;
        let (unit, seconds) = UNITS.into_iter().find(|(unit, _)| tail.starts_with(unit))?;
        total += number * seconds;
        rest = tail.strip_prefix(unit)?;
    }
    (!text.is_empty())
        .then(|| Duration::try_from_secs_f64(total).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, millis) in [
            ("5m", 300_000),
            ("120000ms", 120_000),
            ("525s", 525_000),
            ("1h1m1.5s", 3_661_500),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(go_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "5", "-5s", "s", "5x", "1e3s", "1..2s", "5 s", "."] {
            assert_eq!(go_duration(bad), None, "{bad}");
        }
    }
}
