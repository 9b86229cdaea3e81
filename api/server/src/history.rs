//! What was touched lately, so that a query that comes back with an index waits when nothing of its concern has
//! changed meanwhile.
//!
//! Rows tell when they changed but not when one was deleted, so the answer cannot be read off a snapshot. The
//! history listens to the feed whenever it is asked; what it has missed or forgotten counts as touched, which
//! costs an early answer and never a lost one.
//!
//! For the same reason a hash is enough to remember a topic by: two that share one are touched together. Topics
//! themselves would keep names alive that nobody else knows any more, ten times the memory.

use futures::FutureExt;
use parking_lot::Mutex;
use peerway_state::{ChangeSet, Revision, Topic};
use peerway_store::{Feed, FeedEvent, Reader};
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

/// Topics that are remembered, each as often as it was touched; each takes about 50 bytes.
const MAX_TOUCHES: usize = 16_384;

/// Topics by the revision at which they were touched at the latest.
pub(crate) struct History {
    inner: Mutex<Inner>,
}

struct Inner {
    feed: Feed,
    hasher: RandomState,
    /// Up to here nothing is known.
    floor: Revision,
    /// The hash of a topic, and at the latest when it was touched.
    latest: HashMap<u64, Revision>,
    /// The same for every time, in the order of revisions.
    touches: VecDeque<(Revision, u64)>,
}

impl History {
    /// A history that begins now.
    pub(crate) fn new(reader: &Reader) -> Self {
        // The feed first: what is committed between the two lines is then known twice, not lost.
        let feed = reader.feed();
        let floor = feed.snapshot().revision();
        History {
            inner: Mutex::new(Inner {
                feed,
                hasher: RandomState::new(),
                floor,
                latest: HashMap::new(),
                touches: VecDeque::new(),
            }),
        }
    }

    /// Learns of every commit that was published before the call. Called before the snapshot of an answer is
    /// taken, so that what the answer shows is on record as older than its index.
    pub(crate) fn catch_up(&self) {
        self.inner.lock().catch_up();
    }

    /// Whether a commit after `revision` may have touched one of `topics`. It knows of every commit that was
    /// published before the call.
    pub(crate) fn touched_since(&self, revision: Revision, topics: &[Topic]) -> bool {
        let mut inner = self.inner.lock();
        inner.catch_up();
        let after = |topic| {
            let touched = inner.latest.get(&inner.hasher.hash_one(topic));
            touched.is_some_and(|touched| *touched > revision)
        };
        revision < inner.floor || topics.iter().any(after)
    }
}

impl Inner {
    fn catch_up(&mut self) {
        // Unconstrained: tokio's budget could make a feed that has events say that it has none.
        while let Some(event) = tokio::task::unconstrained(self.feed.next()).now_or_never() {
            match event {
                FeedEvent::Changed(changes) => self.remember(&changes),
                FeedEvent::Reload => self.forget(),
                FeedEvent::Closed => return,
            }
        }
    }

    fn remember(&mut self, changes: &ChangeSet) {
        // The snapshot may be newer than the change: it then counts for later than it should.
        let revision = self.feed.snapshot().revision();
        for topic in changes.iter() {
            let hash = self.hasher.hash_one(topic);
            if self.touches.len() >= MAX_TOUCHES {
                self.forget_oldest();
            }
            self.latest.insert(hash, revision);
            self.touches.push_back((revision, hash));
        }
    }

    fn forget_oldest(&mut self) {
        let Some((revision, hash)) = self.touches.pop_front() else {
            return;
        };
        self.floor = self.floor.max(revision);
        if self.latest.get(&hash) == Some(&revision) {
            self.latest.remove(&hash);
        }
    }

    fn forget(&mut self) {
        self.latest.clear();
        self.touches.clear();
        self.floor = self.feed.snapshot().revision();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerway_model::config::Mesh;
    use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, Partition};
    use peerway_state::{Row, Transaction};
    use peerway_store::{MemoryStorage, Store, open};
    use std::sync::Arc;

    async fn touch(store: &Store, partition: &str) -> Revision {
        let mesh = Mesh {
            partition: Partition::new(partition).unwrap(),
            ..Mesh::default()
        };
        let row = Row::Config(Arc::new(ConfigEntry::Mesh(mesh)));
        let committed = store.writer.commit(Transaction::new().put(row)).await.unwrap();
        committed.revision
    }

    fn topic(partition: &str) -> [Topic; 1] {
        let partition = Partition::new(partition).unwrap();
        [Topic::Config(ConfigKey::singleton(ConfigKind::Mesh, &partition))]
    }

    #[tokio::test]
    async fn what_is_forgotten_counts_as_touched() {
        let store = open(MemoryStorage::default()).unwrap();
        let history = History::new(&store.reader);
        touch(&store, "p0").await;
        history.catch_up();
        let each = history.inner.lock().touches.len();
        assert!(each > 0, "a change of an entry touches something");
        for number in 1..=MAX_TOUCHES / each {
            touch(&store, &format!("p{number}")).await;
            history.catch_up();
        }
        {
            let inner = history.inner.lock();
            assert_eq!(inner.touches.len(), MAX_TOUCHES);
            assert!(inner.latest.len() <= MAX_TOUCHES);
        }
        assert!(history.touched_since(0, &topic("never")));
        assert!(!history.touched_since(1, &topic("never")));
        assert!(!history.touched_since(1, &topic("p0")));
        assert!(history.touched_since(1, &topic("p1")));
        assert!(!history.touched_since(2, &topic("p1")));
    }

    #[tokio::test]
    async fn what_was_missed_counts_as_touched() {
        let store = open(MemoryStorage::default()).unwrap();
        let history = History::new(&store.reader);
        let mut last = 0;
        // More than a feed keeps for a slow reader.
        for number in 0..3000 {
            last = touch(&store, &format!("p{number}")).await;
        }
        assert!(history.touched_since(last - 1, &topic("never")));
        assert!(!history.touched_since(last, &topic("never")));
        let next = touch(&store, "late").await;
        assert!(history.touched_since(last, &topic("late")));
        assert!(!history.touched_since(next, &topic("late")));
    }
}
