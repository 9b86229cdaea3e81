//! Writing.

use super::fixtures::{gated, node, node_key, nodes_of, poll, put};
use crate::{CommitError, FeedEvent, MAX_GROUP, MemoryStorage, Storage, StorageError, Stored, Writer, open};
use peerway_state::{Expect, Refused, Revision, RowChange, RowKey, Transaction};
use std::pin::Pin;
use std::task::Poll;

type Commit = Pin<Box<dyn Future<Output = Result<crate::Committed, CommitError>>>>;

/// Commits that stand in the queue, in order, when this returns.
fn queued(writer: &Writer, transactions: impl IntoIterator<Item = Transaction>) -> Vec<Commit> {
    transactions
        .into_iter()
        .map(|transaction| {
            let writer = writer.clone();
            let mut commit = Box::pin(async move { writer.commit(transaction).await });
            assert!(poll(&mut commit).is_pending());
            commit as Commit
        })
        .collect()
}

fn many(count: usize) -> impl Iterator<Item = Transaction> {
    (0..count).map(|number| put("default", &format!("n{number}")))
}

#[tokio::test]
async fn a_commit_is_visible_when_it_returns() {
    let store = open(MemoryStorage::default()).unwrap();
    let committed = store.writer.commit(put("default", "n1")).await.unwrap();
    assert_eq!((committed.revision, committed.changed), (1, true));
    let snapshot = store.reader.snapshot();
    assert_eq!(snapshot.revision(), 1);
    assert!(snapshot.node(&node_key("default", "n1")).is_some());
}

#[tokio::test]
async fn a_commit_that_changes_nothing_has_no_revision_of_its_own() {
    let (storage, gate) = gated();
    let store = open(storage).unwrap();
    gate.answer(Ok(()));
    store.writer.commit(put("default", "n1")).await.unwrap();
    let mut feed = store.reader.feed();
    let committed = store.writer.commit(put("default", "n1")).await.unwrap();
    assert_eq!((committed.revision, committed.changed), (1, false));
    assert_eq!(*gate.appends.lock(), [1]);
    assert!(poll(&mut Box::pin(feed.next())).is_pending());
}

#[tokio::test]
async fn commits_that_wait_together_share_an_append() {
    let (storage, gate) = gated();
    let store = open(storage).unwrap();
    let first = queued(&store.writer, many(1));
    gate.wait_for_append();
    // More than fit into one group, behind the one that is being kept.
    let rest = queued(&store.writer, many(MAX_GROUP + 11).skip(1));
    // Enough for an append each, so that a store that does not share them fails the count below and does not hang.
    for _ in 0..MAX_GROUP + 11 {
        gate.answer(Ok(()));
    }
    for (number, commit) in (1..).zip(first.into_iter().chain(rest)) {
        let committed = commit.await.unwrap();
        assert_eq!((committed.revision, committed.changed), (number, true));
    }
    assert_eq!(*gate.appends.lock(), [1, MAX_GROUP, 10]);
}

#[tokio::test]
async fn a_refusal_does_not_disturb_the_others_of_its_group() {
    let (storage, gate) = gated();
    let store = open(storage).unwrap();
    let first = queued(&store.writer, many(1));
    gate.wait_for_append();
    let key = RowKey::Node(node_key("default", "a"));
    let group = queued(
        &store.writer,
        [
            put("default", "a").expect(Expect::Absent(key.clone())),
            // Sees what the one before it did, though nothing of it is kept yet.
            put("default", "b").expect(Expect::Absent(key.clone())),
            put("default", "c").expect(Expect::Present(key)),
        ],
    );
    gate.answer(Ok(()));
    gate.answer(Ok(()));
    for commit in first {
        commit.await.unwrap();
    }
    let mut results = Vec::new();
    for commit in group {
        results.push(commit.await.map(|committed| committed.revision));
    }
    assert!(matches!(
        results.as_slice(),
        [
            Ok(2),
            Err(CommitError::Refused(Refused::Conflict { found: Some(2), .. })),
            Ok(3)
        ]
    ));
    assert_eq!(*gate.appends.lock(), [1, 2]);
    let snapshot = store.reader.snapshot();
    assert!(snapshot.node(&node_key("default", "b")).is_none());
    assert!(snapshot.node(&node_key("default", "c")).is_some());
}

#[tokio::test]
async fn a_storage_that_fails_publishes_nothing_and_takes_no_more_writes() {
    let (storage, gate) = gated();
    let store = open(storage).unwrap();
    gate.answer(Ok(()));
    store.writer.commit(put("default", "n1")).await.unwrap();
    gate.wait_for_append();
    let mut feed = store.reader.feed();

    let fails = queued(&store.writer, [put("default", "n2")]);
    gate.wait_for_append();
    let behind = queued(&store.writer, many(5));
    gate.answer(Err(()));
    // It would succeed again, but nobody can know what it holds by now.
    gate.answer(Ok(()));
    for commit in fails.into_iter().chain(behind) {
        let error = commit.await.unwrap_err();
        assert!(matches!(error, CommitError::Storage(_)));
        assert!(error.to_string().contains("writing to the test"), "{error}");
    }
    // Even one that needs no append: the answer would speak for rows that may be gone.
    let error = store.writer.commit(put("default", "n1")).await.unwrap_err();
    assert!(matches!(error, CommitError::Storage(_)));

    assert_eq!(gate.appends.lock().len(), 2);
    assert_eq!(store.reader.snapshot().revision(), 1);
    assert!(poll(&mut Box::pin(feed.next())).is_pending());
}

#[tokio::test]
async fn a_caller_that_goes_away_has_its_commit_all_the_same() {
    let (storage, gate) = gated();
    let store = open(storage).unwrap();
    drop(queued(&store.writer, [put("default", "n1")]));
    gate.answer(Ok(()));
    gate.answer(Ok(()));
    store.writer.commit(put("default", "n2")).await.unwrap();
    let snapshot = store.reader.snapshot();
    assert!(snapshot.node(&node_key("default", "n1")).is_some());
}

#[tokio::test]
async fn a_store_that_is_opened_again_shows_the_same() {
    let kept = MemoryStorage::default();
    let store = open(kept.clone()).unwrap();
    let reader = store.reader.clone();
    for transaction in many(20) {
        store.writer.commit(transaction).await.unwrap();
    }
    let changed = Transaction::new()
        .put(node("default", "n3", "10.0.0.9"))
        .delete(RowKey::Node(node_key("default", "n4")));
    store.writer.commit(changed).await.unwrap();
    store.close();
    let before = reader.snapshot();
    let again = open(kept).unwrap();
    let after = again.reader.snapshot();
    assert_eq!(after.revision(), before.revision());
    let all = |snapshot: &peerway_state::Snapshot| -> Vec<String> {
        let partition = peerway_model::Partition::default();
        let nodes = snapshot.nodes(&peerway_model::Origin::Local, &partition);
        nodes.map(|node| format!("{node:?}")).collect()
    };
    assert_eq!(all(&after), all(&before));
    assert_eq!(all(&after).len(), 19);
    // Revisions go on where they ended.
    let committed = again.writer.commit(put("default", "n20")).await.unwrap();
    assert_eq!(committed.revision, before.revision() + 1);
}

#[tokio::test]
async fn a_writer_that_outlives_its_store_is_told() {
    let store = open(Panics).unwrap();
    let mut feed = store.reader.feed();
    let writer = store.writer.clone();
    let lost = writer.commit(put("default", "n1")).await.unwrap_err();
    assert!(matches!(lost, CommitError::Closed));
    assert!(matches!(feed.next().await, FeedEvent::Closed));
    drop(writer);
    store.close();
}

/// A storage with a fault of the worst kind.
struct Panics;

impl Storage for Panics {
    fn load(&mut self) -> Result<Stored, StorageError> {
        Ok(Stored::default())
    }

    fn append(&mut self, _: Revision, _: &[RowChange]) -> Result<(), StorageError> {
        // Ends the writer's thread like any fault in it would, without the report of a panic among the test's output.
        std::panic::resume_unwind(Box::new("a fault"))
    }
}

#[test]
fn a_storage_with_rows_missing_is_not_opened() {
    let mut kept = MemoryStorage::default();
    let peer = peerway_model::PeerName::new("west").unwrap();
    let mut key = node_key("default", "n1");
    key.origin = peerway_model::Origin::Peer(peer);
    let peerway_state::Row::Node(node) = node("default", "n1", "a") else {
        unreachable!("the fixture is a node");
    };
    let imported = peerway_model::Node {
        key,
        ..(*node).clone()
    };
    let stored = peerway_state::StoredRow {
        row: peerway_state::Row::Node(imported.into()),
        create_index: 1,
        modify_index: 1,
    };
    kept.append(1, &[RowChange::Put(stored)]).unwrap();
    let Err(error) = open(kept) else {
        unreachable!("an imported node without its peering");
    };
    assert!(matches!(error, crate::OpenError::Inconsistent(_)), "{error}");
}

#[tokio::test]
async fn every_commit_reaches_a_feed_before_its_answer() {
    let store = open(MemoryStorage::default()).unwrap();
    let mut feed = store.reader.feed();
    for transaction in many(10) {
        store.writer.commit(transaction).await.unwrap();
        let Poll::Ready(FeedEvent::Changed(changes)) = poll(&mut Box::pin(feed.next())) else {
            unreachable!("the feed is told before the writer");
        };
        assert!(changes.touches(&nodes_of("default")));
    }
}
