//! Stopping in order: one trigger tells all watchers to finish, then waits for work in progress.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::tally::{Held, Tally};

/// Makes the two ends of a drain; holds nothing itself.
#[derive(Debug)]
pub struct Drain;

impl Drain {
    /// Returns the end that starts the drain and the end that is told about it.
    #[allow(clippy::new_ret_no_self, reason = "a drain is its two ends, as a channel is")]
    pub fn new() -> (DrainTrigger, DrainWatch) {
        let (sender, receiver) = watch::channel(false);
        let tally = Tally::new();
        (
            DrainTrigger {
                signal: sender,
                tally: tally.clone(),
            },
            DrainWatch {
                signal: receiver,
                tally,
            },
        )
    }
}

/// The end that starts the drain. Clones start the same drain.
#[derive(Clone, Debug)]
#[must_use = "dropping the last trigger signals its watches"]
pub struct DrainTrigger {
    signal: watch::Sender<bool>,
    tally: Tally,
}

impl DrainTrigger {
    /// Tells every watch to finish, without waiting. Further calls do nothing.
    pub fn begin(&self) {
        self.signal.send_replace(true);
    }

    /// Returns whether the drain has begun.
    pub fn has_begun(&self) -> bool {
        *self.signal.borrow()
    }

    /// Returns another watch on this drain.
    pub fn watch(&self) -> DrainWatch {
        DrainWatch {
            signal: self.signal.subscribe(),
            tally: self.tally.clone(),
        }
    }

    /// Begins the drain and waits until no guard is held, at most `grace`. May be called again with
    /// more grace when guards remained.
    pub async fn drain(&self, grace: Duration) -> DrainReport {
        self.begin();
        let started = Instant::now();
        let remaining = match timeout(grace, self.tally.zero()).await {
            Ok(()) => 0,
            Err(_) => self.tally.get(),
        };
        DrainReport {
            remaining,
            waited: started.elapsed(),
        }
    }
}

/// The end that is told about the drain; clone it freely.
#[derive(Clone, Debug)]
pub struct DrainWatch {
    signal: watch::Receiver<bool>,
    tally: Tally,
}

impl DrainWatch {
    /// Returns once the drain has begun, at once if it already has. Also returns when every trigger is
    /// gone: nobody could begin the drain any more, so a task that waited on would never end.
    ///
    /// Cancel safe.
    pub async fn signaled(&self) {
        let mut signal = self.signal.clone();
        let _ = signal.wait_for(|begun| *begun).await;
    }

    /// Returns whether the drain has begun (or every trigger is gone), without waiting.
    pub fn is_signaled(&self) -> bool {
        *self.signal.borrow() || self.signal.has_changed().is_err()
    }

    /// Marks work in progress: [`DrainTrigger::drain`] waits until the guard is dropped. Take it before
    /// the work is visible to others; one taken after the drain ended is not waited for.
    pub fn guard(&self) -> DrainGuard {
        DrainGuard {
            _held: self.tally.hold(),
        }
    }
}

/// Work in progress; drop it when the work is finished.
#[derive(Debug)]
#[must_use = "dropping the guard says that the work is finished"]
pub struct DrainGuard {
    _held: Held,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct DrainReport {
    /// Guards still held when the grace ran out; zero is a clean drain.
    pub remaining: usize,
    /// How long the drain waited.
    pub waited: Duration,
}

impl DrainReport {
    /// Returns whether all work finished within the grace.
    pub const fn is_clean(&self) -> bool {
        self.remaining == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_guards_and_reports_a_clean_end() {
        let (trigger, watch) = Drain::new();
        let guard = watch.guard();
        let worker = tokio::spawn(async move {
            watch.signaled().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            drop(guard);
        });
        let report = trigger.drain(Duration::from_secs(10)).await;
        assert_eq!(
            report,
            DrainReport {
                remaining: 0,
                waited: Duration::from_secs(2)
            }
        );
        assert!(report.is_clean());
        worker.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_after_the_grace_and_may_be_asked_again() {
        let (trigger, watch) = Drain::new();
        let (first, second) = (watch.guard(), watch.clone().guard());
        let report = trigger.drain(Duration::from_secs(3)).await;
        assert_eq!(
            report,
            DrainReport {
                remaining: 2,
                waited: Duration::from_secs(3)
            }
        );
        drop(first);
        drop(second);
        assert!(trigger.drain(Duration::from_secs(3)).await.is_clean());
    }

    #[tokio::test]
    async fn a_late_watch_sees_the_drain_and_a_lost_trigger_counts_as_one() {
        let (trigger, watch) = Drain::new();
        assert!(!watch.is_signaled() && !trigger.has_begun());
        trigger.begin();
        trigger.begin();
        trigger.watch().signaled().await;
        assert!(watch.is_signaled() && trigger.has_begun());

        let (trigger, watch) = Drain::new();
        let spare = trigger.clone();
        drop(trigger);
        assert!(!watch.is_signaled());
        drop(spare);
        watch.signaled().await;
        assert!(watch.is_signaled());
    }
}
