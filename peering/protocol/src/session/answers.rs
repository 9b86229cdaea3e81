//! What was sent and not answered yet: a peer answers every response once, but nothing makes it.

use crate::freshness::{Delivery, MAX_REASON_BYTES, MAX_REFUSED_KEPT, Rejection, cut};
use std::collections::BTreeMap;
use std::time::Duration;

/// The unanswered resources, each with the newest nonce that it was sent with: an answer to an older one says nothing
/// about what the peer has now. Resources that were withdrawn stay until the peer answers, so whoever drives a session
/// has to end it when [`Delivery::unanswered`] grows without end.
#[derive(Debug, Default)]
pub(super) struct Answers {
    by_resource: BTreeMap<String, Waiting>,
    by_nonce: BTreeMap<String, String>,
    /// How many wait since which revision.
    since: BTreeMap<u64, usize>,
}

#[derive(Debug)]
struct Waiting {
    nonce: String,
    /// Of the newest version.
    revision: u64,
    /// Of the oldest version that was not answered.
    since: u64,
}

/// A resource that was answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) what: String,
    pub(super) revision: u64,
}

impl Answers {
    /// Takes note that `what` was sent for the exports of `revision`.
    pub(super) fn expect(&mut self, what: String, nonce: String, revision: u64) {
        let before = self.by_resource.remove(&what);
        let since = match &before {
            Some(before) => {
                self.by_nonce.remove(&before.nonce);
                before.since
            }
            None => {
                *self.since.entry(revision).or_default() += 1;
                revision
            }
        };
        self.by_nonce.insert(nonce.clone(), what.clone());
        let waiting = Waiting {
            nonce,
            revision,
            since,
        };
        self.by_resource.insert(what, waiting);
    }

    /// What the answer to `nonce` is about, if that is the newest version of something.
    pub(super) fn take(&mut self, nonce: &str) -> Option<Answered> {
        let what = self.by_nonce.remove(nonce)?;
        let Waiting { revision, since, .. } = self.by_resource.remove(&what)?;
        if let Some(count) = self.since.get_mut(&since) {
            *count -= 1;
            if *count == 0 {
                self.since.remove(&since);
            }
        }
        Some(Answered { what, revision })
    }

    /// Whether this resource waits for an answer.
    pub(super) fn waits_for(&self, what: &str) -> bool {
        self.by_resource.contains_key(what)
    }

    /// How many wait for an answer.
    pub(super) fn waiting(&self) -> usize {
        self.by_resource.len()
    }

    /// The revision up to which everything was answered, if everything was sent up to `sent`.
    pub(super) fn answered(&self, sent: u64) -> u64 {
        let oldest = self.since.keys().next();
        oldest.map_or(sent, |oldest| oldest.saturating_sub(1).min(sent))
    }
}

impl Delivery {
    /// Takes an answer: `None` is an ACK, else the peer's reason.
    pub(super) fn answer(&mut self, answered: &Answered, refusal: Option<&str>, now: Duration) {
        let Some(reason) = refusal else {
            self.rejected.remove(&answered.what);
            return;
        };
        self.rejected_total += 1;
        if self.rejected.len() < MAX_REFUSED_KEPT || self.rejected.contains_key(&answered.what) {
            let rejection = Rejection {
                at: now,
                revision: answered.revision,
                reason: cut(reason, MAX_REASON_BYTES).to_owned(),
            };
            self.rejected.insert(answered.what.clone(), rejection);
        }
    }
}
