//! Reading: the newest snapshot, and a feed that says that it changed.

use arc_swap::ArcSwap;
use peerway_state::{ChangeSet, Revision, Snapshot, Topic};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// How many commits a feed may lag behind before it is told to reload instead.
pub(crate) const FEED_COMMITS: usize = 1024;

/// One commit, or several that were kept together, as the feeds get it.
#[derive(Clone)]
struct Change {
    /// The newest revision in it.
    revision: Revision,
    topics: Arc<ChangeSet>,
}

/// What readers share. It holds the channel weakly: the feeds end with the writer, not with the last reader.
struct Published {
    snapshot: ArcSwap<Snapshot>,
    changes: broadcast::WeakSender<Change>,
}

impl Published {
    fn subscribe(&self) -> broadcast::Receiver<Change> {
        match self.changes.upgrade() {
            Some(changes) => changes.subscribe(),
            // The store has stopped: a receiver without a sender says so.
            None => broadcast::channel(1).1,
        }
    }
}

/// The writer's end. Dropping it closes every feed.
pub(crate) struct Publisher {
    published: Arc<Published>,
    changes: broadcast::Sender<Change>,
}

impl Publisher {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let (changes, _) = broadcast::channel(FEED_COMMITS);
        let published = Arc::new(Published {
            snapshot: ArcSwap::from_pointee(snapshot),
            changes: changes.downgrade(),
        });
        Publisher { published, changes }
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader {
            published: self.published.clone(),
        }
    }

    /// Makes `snapshot` the newest and tells the feeds. The snapshot goes first: whoever hears of a change can read it.
    pub(crate) fn publish(&self, snapshot: Snapshot, topics: ChangeSet) {
        let change = Change {
            revision: snapshot.revision(),
            topics: Arc::new(topics),
        };
        self.published.snapshot.store(Arc::new(snapshot));
        // No receiver is fine: nobody listens right now.
        let _ = self.changes.send(change);
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
    receiver: broadcast::Receiver<Change>,
    told: Revision,
}

impl Reader {
    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.published.snapshot.load_full()
    }

    /// A feed of everything that is committed from now on. Take the feed first, then a snapshot, and nothing is missed.
    pub fn feed(&self) -> Feed {
        let receiver = self.published.subscribe();
        Feed {
            published: self.published.clone(),
            receiver,
            // Everything up to here was published before, so no event will tell of it.
            told: self.published.snapshot.load().revision(),
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
        let mut receiver = self.published.subscribe();
        let snapshot = self.snapshot();
        if changed_since(&snapshot, index) {
            return snapshot;
        }
        let watched = topics(&snapshot);
        let seen = snapshot.revision();
        // A waiting reader must not keep an old snapshot in memory.
        drop(snapshot);
        let waited = tokio::time::timeout(limit, async {
            loop {
                match receiver.recv().await {
                    // Published between the subscription and the snapshot: `changed_since` has judged it already.
                    Ok(change) if change.revision <= seen => {}
                    Ok(change) if change.topics.touches_any(&watched) => return,
                    Ok(_) => {}
                    // Too slow, so it may have been touched; or stopped, so it never will be.
                    Err(_) => return,
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
            Ok(change) => self.hear(change),
            Err(broadcast::error::RecvError::Lagged(_)) => return self.reload(),
            Err(broadcast::error::RecvError::Closed) => return FeedEvent::Closed,
        };
        let mut merged: Option<ChangeSet> = None;
        // Bounded, so that a writer that never pauses cannot keep the reader here.
        for _ in 0..FEED_COMMITS {
            match self.receiver.try_recv() {
                Ok(more) => merged
                    .get_or_insert_with(|| (*first).clone())
                    .merge(&self.hear(more)),
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

    /// The newest revision of which everything was told: by the events so far, or by being there before the feed was.
    /// Grows with [`Feed::next`] only, so what the snapshot shows may be newer, and then an event of it is to come.
    pub fn told(&self) -> Revision {
        self.told
    }

    /// A commit may be in the snapshot that the feed began with and be told all the same.
    fn hear(&mut self, change: Change) -> Arc<ChangeSet> {
        self.told = self.told.max(change.revision);
        change.topics
    }

    fn reload(&mut self) -> FeedEvent {
        self.receiver = self.receiver.resubscribe();
        self.told = self.told.max(self.published.snapshot.load().revision());
        FeedEvent::Reload
    }
}
