//! What was touched lately, so that a query that comes back with an index waits when nothing of its concern has
//! changed meanwhile.
//!
//! Rows tell when they changed but not when one was deleted, so the answer cannot be read off a snapshot. The
//! history listens to the feed whenever it is asked; what it has missed or forgotten counts as touched, which
//! costs an early answer and never a lost one.

use futures::FutureExt;
use parking_lot::Mutex;
use peerway_state::{ChangeSet, Revision, Topic};
use peerway_store::{Feed, FeedEvent, Reader};
use std::collections::VecDeque;
use std::sync::Arc;

/// Records that are remembered, each one or more commits.
const MAX_RECORDS: usize = 256;
/// Topics that are remembered over all records.
const MAX_TOPICS: usize = 65_536;

/// Topics by the revision at which they were touched at the latest.
pub(crate) struct History {
    inner: Mutex<Inner>,
}

struct Inner {
    feed: Feed,
    /// Up to here nothing is known.
    floor: Revision,
    records: VecDeque<Record>,
    topics: usize,
}

struct Record {
    revision: Revision,
    changes: Arc<ChangeSet>,
    topics: usize,
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
                floor,
                records: VecDeque::new(),
                topics: 0,
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
        revision < inner.floor
            || inner
                .records
                .iter()
                .rev()
                .take_while(|record| record.revision > revision)
                .any(|record| record.changes.touches_any(topics))
    }
}

impl Inner {
    fn catch_up(&mut self) {
        // Unconstrained: tokio's budget could make a feed that has events say that it has none.
        while let Some(event) = tokio::task::unconstrained(self.feed.next()).now_or_never() {
            match event {
                FeedEvent::Changed(changes) => self.remember(changes),
                FeedEvent::Reload => self.forget(),
                FeedEvent::Closed => return,
            }
        }
    }

    fn remember(&mut self, changes: Arc<ChangeSet>) {
        let topics = changes.iter().count();
        self.topics += topics;
        self.records.push_back(Record {
            // The snapshot may be newer than the change: the record then counts for later than it should.
            revision: self.feed.snapshot().revision(),
            changes,
            topics,
        });
        while self.records.len() > MAX_RECORDS || self.topics > MAX_TOPICS {
            let Some(oldest) = self.records.pop_front() else {
                return;
            };
            self.topics -= oldest.topics;
            self.floor = oldest.revision;
        }
    }

    fn forget(&mut self) {
        self.records.clear();
        self.topics = 0;
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
        for number in 0..=MAX_RECORDS {
            touch(&store, &format!("p{number}")).await;
            history.catch_up();
        }
        assert_eq!(history.inner.lock().records.len(), MAX_RECORDS);
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
