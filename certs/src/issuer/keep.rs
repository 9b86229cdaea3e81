//! The leaves that are kept, by identity.

use super::{Followed, IDLE_KEPT, MAX_IDENTITIES, MAX_LEAVES_PER_TICK, RETRY, closed};
use crate::authority::Authority;
use crate::bearer::Bearer;
use crate::renewal::{Issued, is_due, renew_at};
use crate::settings::Settings;
use crate::{leaf, metrics};
use parking_lot::{Mutex, RwLock};
use peerway_model::{Failure, FailureKind, Leaf};
use peerway_runtime::{SharedClock, UnixMillis};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// All leaves. Leaves are made outside of the lock, which is held for look-ups only.
pub(super) struct Keep {
    clock: SharedClock,
    settings: Settings,
    authority: RwLock<Arc<dyn Authority>>,
    kept: Mutex<HashMap<Bearer, Kept>>,
    limit: usize,
}

/// One identity.
struct Kept {
    leaf: watch::Sender<Option<Arc<Leaf>>>,
    issued: Option<Issued>,
    /// When somebody last used it, on the monotonic clock.
    used: Duration,
    /// When issuing last failed, on the monotonic clock; `None` after a success.
    failed: Option<Duration>,
}

/// A leaf with what decides about its renewal.
struct Made {
    leaf: Arc<Leaf>,
    issued: Issued,
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {} identities", self.authority(), self.kept.lock().len())
    }
}

impl Keep {
    pub(super) fn new(clock: SharedClock, settings: Settings, authority: Arc<dyn Authority>) -> Self {
        show_expiry(&*authority);
        Keep {
            clock,
            settings,
            authority: RwLock::new(authority),
            kept: Mutex::default(),
            limit: MAX_IDENTITIES,
        }
    }

    /// The same with room for fewer identities.
    #[cfg(test)]
    pub(super) fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Who signs now.
    pub(super) fn authority(&self) -> Arc<dyn Authority> {
        self.authority.read().clone()
    }

    /// The monotonic clock.
    pub(super) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(super) fn leaf_ttl(&self) -> Duration {
        self.settings.leaf_ttl()
    }

    /// How many leaves of this root somebody follows.
    pub(super) fn kept_of(&self, root_id: &str) -> usize {
        let is_one = |kept: &&Kept| {
            kept.leaf.receiver_count() > 0
                && kept
                    .issued
                    .as_ref()
                    .is_some_and(|issued| issued.root_id == root_id)
        };
        self.kept.lock().values().filter(is_one).count()
    }

    /// Lets `authority` sign; every leaf of another root is due from now on.
    pub(super) fn adopt(&self, authority: Arc<dyn Authority>) {
        show_expiry(&*authority);
        *self.authority.write() = authority;
    }

    /// Follows a leaf, which is issued now unless a good one is kept; also says what failed. The channel is closed
    /// when there is no room for the identity.
    pub(super) fn follow(&self, bearer: &Bearer) -> (Followed, Option<Failure>) {
        if let Some(followed) = self.kept_good(bearer) {
            return (followed, None);
        }
        let made = self.make(bearer);
        self.put(bearer, made)
    }

    /// The leaf that is kept, or a new one when it is due.
    pub(super) fn current(&self, bearer: &Bearer) -> Result<Arc<Leaf>, Failure> {
        let (followed, failure) = self.follow(bearer);
        let leaf = followed.borrow().clone();
        match (leaf, failure) {
            // A leaf that could not be renewed is good until it ends.
            (Some(leaf), _) if UnixMillis(leaf.not_after) > self.clock.now() => Ok(leaf),
            (_, Some(failure)) => Err(failure),
            (_, None) => Err(Failure::new(
                FailureKind::Unavailable,
                format!(
                    "the certificate of {bearer} has expired together with its root, check the clock and the active root"
                ),
            )),
        }
    }

    /// Forgets identities that nobody used for [`IDLE_KEPT`] and returns those whose leaf is to be renewed now, at
    /// most [`MAX_LEAVES_PER_TICK`], the first to expire first.
    pub(super) fn due(&self) -> Vec<Bearer> {
        let (now, age) = (self.clock.now(), self.clock.monotonic());
        let authority = self.authority();
        let mut due = Vec::new();
        let mut kept = self.kept.lock();
        kept.retain(|bearer, kept| {
            if kept.leaf.receiver_count() == 0 {
                // Not renewed either: whoever asks for it again gets a new one then.
                return age.saturating_sub(kept.used) < IDLE_KEPT;
            }
            kept.used = age;
            let resting = kept.failed.is_some_and(|at| age.saturating_sub(at) < RETRY);
            if !resting && kept.is_due(now, &*authority) {
                let ends = kept.issued.as_ref().map(|issued| issued.not_after);
                due.push((ends, bearer.clone()));
            }
            true
        });
        show_identities(&kept);
        drop(kept);
        due.sort_unstable_by_key(|(ends, _)| *ends);
        due.truncate(MAX_LEAVES_PER_TICK);
        due.into_iter().map(|(_, bearer)| bearer).collect()
    }

    /// Issues a new leaf for an identity that is kept and tells whoever follows it.
    pub(super) fn renew(&self, bearer: &Bearer) -> Result<(), Failure> {
        let made = self.make(bearer);
        match self.put(bearer, made) {
            (_, None) => Ok(()),
            (_, Some(failure)) => Err(failure),
        }
    }

    /// The channel of an identity whose leaf needs no renewal.
    fn kept_good(&self, bearer: &Bearer) -> Option<Followed> {
        let authority = self.authority();
        let mut kept = self.kept.lock();
        let found = kept.get_mut(bearer)?;
        if found.is_due(self.clock.now(), &*authority) {
            return None;
        }
        found.used = self.clock.monotonic();
        Some(found.leaf.subscribe())
    }

    fn make(&self, bearer: &Bearer) -> Result<Made, Failure> {
        let authority = self.authority();
        let leaf = leaf::issue_to(&*authority, bearer, self.settings.leaf_ttl(), self.clock.now())
            .inspect_err(|_| metrics::FAILED.inc())?;
        metrics::ISSUED
            .with_label_values(&[metrics::kind(&bearer.identity)])
            .inc();
        let (not_before, not_after) = (UnixMillis(leaf.not_before), UnixMillis(leaf.not_after));
        Ok(Made {
            leaf: Arc::new(leaf),
            issued: Issued {
                root_id: authority.root().id.clone(),
                not_before,
                not_after,
                renew_at: renew_at(not_before, not_after, fastrand::f64()),
            },
        })
    }

    /// Keeps what was made, unless somebody else was faster, and returns its channel and what failed.
    fn put(&self, bearer: &Bearer, made: Result<Made, Failure>) -> (Followed, Option<Failure>) {
        let (now, age) = (self.clock.now(), self.clock.monotonic());
        let authority = self.authority();
        let mut kept = self.kept.lock();
        if !kept.contains_key(bearer) && kept.len() >= self.limit {
            kept.retain(|_, kept| kept.leaf.receiver_count() > 0);
            if kept.len() >= self.limit {
                metrics::REFUSED.with_label_values(&["limit"]).inc();
                let message = format!(
                    "{} identities are in use, which is the most that one server issues for, add no more services or start another cluster",
                    kept.len()
                );
                return (closed(), Some(Failure::new(FailureKind::Unavailable, message)));
            }
        }
        let entry = kept.entry(bearer.clone()).or_insert_with(|| Kept {
            leaf: watch::Sender::new(None),
            issued: None,
            used: age,
            failed: None,
        });
        entry.used = age;
        let mut failure = None;
        match made {
            Ok(_) if !entry.is_due(now, &*authority) => {}
            Ok(made) => {
                entry.issued = Some(made.issued);
                entry.failed = None;
                entry.leaf.send_replace(Some(made.leaf));
            }
            Err(reason) => {
                entry.failed = Some(age);
                failure = Some(reason);
            }
        }
        let followed = entry.leaf.subscribe();
        show_identities(&kept);
        (followed, failure)
    }
}

impl Kept {
    fn is_due(&self, now: UnixMillis, authority: &dyn Authority) -> bool {
        let root = authority.root();
        self.issued
            .as_ref()
            .is_none_or(|issued| is_due(issued, now, &root.id, UnixMillis(root.not_after)))
    }
}

fn show_expiry(authority: &dyn Authority) {
    let seconds = UnixMillis(authority.root().not_after).as_secs();
    metrics::ROOT_EXPIRY.set(i64::try_from(seconds).unwrap_or(i64::MAX));
}

fn show_identities(kept: &HashMap<Bearer, Kept>) {
    metrics::IDENTITIES.set(i64::try_from(kept.len()).unwrap_or(i64::MAX));
}
