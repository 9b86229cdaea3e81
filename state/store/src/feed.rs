//! Reading: the newest snapshot, and a feed that says that it changed.

use arc_swap::ArcSwap;
use peerway_state::{ChangeSet, Revision, Snapshot, Topic};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// How many commits a feed may lag behind before it is told to reload instead.
pub(crate) const FEED_COMMITS: usize = 1024;

/// What is shared between the writer and all readers.
pub(crate) struct Published {
    snapshot: ArcSwap<Snapshot>,
    changes: broadcast::Sender<Arc<ChangeSet>>,
}

impl Published {
    pub(crate) fn new(snapshot: Snapshot) -> Arc<Self> {
        let (changes, _) = broadcast::channel(FEED_COMMITS);
        Arc::new(Published {
            snapshot: ArcSwap::from_pointee(snapshot),
            changes,
        })
    }

    /// Makes `snapshot` the newest and tells the feeds. The snapshot goes first: whoever hears of a change can read it.
    pub(crate) fn publish(&self, snapshot: Snapshot, changes: Arc<ChangeSet>) {
        self.snapshot.store(Arc::new(snapshot));
        // No receiver is fine: nobody listens right now.
        let _ = self.changes.send(changes);
    }
}

/// Cheap, cloneable access to the newest snapshot.
#[derive(Clone)]
pub struct Reader {
    published: Arc<Published>,
}

/// What a feed has to say.
#[derive(Clone, Debug)]
pub enum FeedEvent {
    /// These topics were touched since the last event; several commits may be merged.
    Changed(Arc<ChangeSet>),
    /// The reader was too slow: anything may have changed.
    Reload,
    /// The store has stopped.
    Closed,
}

/// Says *that* something changed; the snapshot says *what*. Never holds up a commit.
pub struct Feed {
    published: Arc<Published>,
    receiver: broadcast::Receiver<Arc<ChangeSet>>,
}

impl Reader {
    pub(crate) fn new(published: Arc<Published>) -> Self {
        Reader { published }
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.published.snapshot.load_full()
    }

    /// A feed of everything that is committed from now on. Take the feed first, then a snapshot, and nothing is missed.
    pub fn feed(&self) -> Feed {
        Feed {
            published: self.published.clone(),
            receiver: self.published.changes.subscribe(),
        }
    }

    /// Waits until a commit after `index` touches one of `topics`, for at most `limit`; the snapshot then, which is
    /// the present one when the time is up. Returns at once when the store is already past `index` in a way that may
    /// concern the topics: `changed_since` says so.
    pub async fn wait(
        &self,
        index: Revision,
        limit: Duration,
        changed_since: impl Fn(&Snapshot, Revision) -> bool,
        topics: impl Fn(&Snapshot) -> Vec<Topic>,
    ) -> Arc<Snapshot> {
        let mut feed = self.feed();
        let snapshot = self.snapshot();
        if changed_since(&snapshot, index) {
            return snapshot;
        }
        let watched = topics(&snapshot);
        let waited = tokio::time::timeout(limit, async {
            loop {
                match feed.next().await {
                    FeedEvent::Changed(changes) if changes.touches_any(&watched) => return,
                    FeedEvent::Changed(_) => {}
                    FeedEvent::Reload | FeedEvent::Closed => return,
                }
            }
        });
        let _ = waited.await;
        self.snapshot()
    }
}

impl Feed {
    /// The next event; events that wait already are merged into one. Cancel-safe.
    pub async fn next(&mut self) -> FeedEvent {
        let first = match self.receiver.recv().await {
            Ok(changes) => changes,
            Err(broadcast::error::RecvError::Lagged(_)) => return self.reload(),
            Err(broadcast::error::RecvError::Closed) => return FeedEvent::Closed,
        };
        let mut merged: Option<ChangeSet> = None;
        loop {
            match self.receiver.try_recv() {
                Ok(more) => merged.get_or_insert_with(|| (*first).clone()).merge(&more),
                Err(broadcast::error::TryRecvError::Lagged(_)) => return self.reload(),
                Err(_) => break,
            }
        }
        FeedEvent::Changed(merged.map_or(first, Arc::new))
    }

    /// The newest snapshot; at least as new as the last event.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.published.snapshot.load_full()
    }

    fn reload(&mut self) -> FeedEvent {
        self.receiver = self.receiver.resubscribe();
        FeedEvent::Reload
    }
}
