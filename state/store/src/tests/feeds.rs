//! Reading and waiting.

use super::fixtures::{nodes_of, poll, put};
use crate::feed::FEED_COMMITS;
use crate::{FeedEvent, MemoryStorage, Store, open};
use peerway_state::{Revision, Snapshot, Topic};
use std::task::Poll;
use std::time::Duration;

/// Longer than any test: a wait that depends on it hangs, and is seen.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

fn store() -> Store {
    open(MemoryStorage::default()).unwrap()
}

async fn commit(store: &Store, partition: &str, name: &str) -> Revision {
    let committed = store.writer.commit(put(partition, name)).await.unwrap();
    assert!(committed.changed);
    committed.revision
}

fn topics(event: Poll<FeedEvent>) -> Vec<Topic> {
    let Poll::Ready(FeedEvent::Changed(changes)) = event else {
        unreachable!("expected a change");
    };
    let mut topics: Vec<Topic> = changes.iter().cloned().collect();
    topics.sort();
    topics
}

#[tokio::test]
async fn events_that_wait_become_one() {
    let store = store();
    let mut feed = store.reader.feed();
    assert!(poll(&mut Box::pin(feed.next())).is_pending());
    commit(&store, "a", "n1").await;
    commit(&store, "b", "n1").await;
    commit(&store, "b", "n2").await;
    let merged = topics(poll(&mut Box::pin(feed.next())));
    assert_eq!(merged, [nodes_of("a"), nodes_of("b")]);
    assert_eq!(feed.snapshot().revision(), 3);
    assert_eq!(feed.told(), 3);
    assert!(poll(&mut Box::pin(feed.next())).is_pending());
    commit(&store, "c", "n1").await;
    assert_eq!(topics(poll(&mut Box::pin(feed.next()))), [nodes_of("c")]);
}

#[tokio::test]
async fn a_feed_begins_where_it_is_taken() {
    let store = store();
    commit(&store, "a", "n1").await;
    let mut feed = store.reader.feed();
    let told = commit(&store, "b", "n1").await;
    assert_eq!(
        (feed.snapshot().revision(), feed.told()),
        (told, told - 1),
        "the snapshot has it, no event has told of it"
    );
    assert_eq!(topics(poll(&mut Box::pin(feed.next()))), [nodes_of("b")]);
    assert_eq!(feed.told(), told);
}

#[tokio::test]
async fn a_feed_that_lags_too_far_is_told_to_reload_and_goes_on() {
    let store = store();
    let mut feed = store.reader.feed();
    let mut slower = store.reader.feed();
    for number in 0..FEED_COMMITS {
        commit(&store, "a", &format!("n{number}")).await;
    }
    // As far behind as is allowed.
    assert_eq!(topics(poll(&mut Box::pin(feed.next()))), [nodes_of("a")]);
    let last = commit(&store, "b", "n1").await;
    let event = poll(&mut Box::pin(slower.next()));
    assert!(matches!(event, Poll::Ready(FeedEvent::Reload)));
    assert_eq!((slower.snapshot().revision(), slower.told()), (last, last));
    assert!(poll(&mut Box::pin(slower.next())).is_pending());
    commit(&store, "c", "n1").await;
    assert_eq!(topics(poll(&mut Box::pin(slower.next()))), [nodes_of("c")]);
}

#[tokio::test]
async fn a_feed_ends_with_the_store_though_readers_live_on() {
    let store = store();
    let reader = store.reader.clone();
    let mut feed = reader.feed();
    commit(&store, "a", "n1").await;
    store.close();
    assert_eq!(topics(poll(&mut Box::pin(feed.next()))), [nodes_of("a")]);
    let mut late = reader.feed();
    for feed in [&mut feed, &mut late] {
        let event = poll(&mut Box::pin(feed.next()));
        assert!(matches!(event, Poll::Ready(FeedEvent::Closed)));
    }
    assert_eq!(reader.snapshot().revision(), 1);
    // Nothing will come, so nobody is kept waiting.
    let shown = reader.wait(1, FOREVER, changed_in_a, topics_of_a).await;
    assert_eq!(shown.revision(), 1);
}

fn nodes_in_a(snapshot: &Snapshot) -> Vec<u64> {
    let partition = peerway_model::Partition::new("a").unwrap();
    let nodes = snapshot.nodes(&peerway_model::Origin::Local, &partition);
    nodes.map(|node| node.modify_index).collect()
}

/// Whether a node in partition `a` is newer than `index`.
fn changed_in_a(snapshot: &Snapshot, index: Revision) -> bool {
    nodes_in_a(snapshot).into_iter().any(|modified| modified > index)
}

fn topics_of_a(_: &Snapshot) -> Vec<Topic> {
    vec![nodes_of("a")]
}

#[tokio::test]
async fn a_wait_returns_at_once_when_there_is_something_newer() {
    let store = store();
    commit(&store, "a", "n1").await;
    let mut wait = Box::pin(store.reader.wait(0, FOREVER, changed_in_a, topics_of_a));
    assert!(matches!(poll(&mut wait), Poll::Ready(snapshot) if snapshot.revision() == 1));
}

#[tokio::test]
async fn a_wait_sleeps_through_what_it_does_not_watch() {
    let store = store();
    let index = commit(&store, "a", "n1").await;
    commit(&store, "b", "n1").await;
    let mut wait = Box::pin(store.reader.wait(index, FOREVER, changed_in_a, topics_of_a));
    assert!(poll(&mut wait).is_pending());
    commit(&store, "b", "n2").await;
    assert!(poll(&mut wait).is_pending());
    let index = commit(&store, "a", "n2").await;
    commit(&store, "b", "n3").await;
    let Poll::Ready(snapshot) = poll(&mut wait) else {
        unreachable!("a watched topic was touched");
    };
    assert_eq!(snapshot.revision(), index + 1);
    assert_eq!(nodes_in_a(&snapshot).len(), 2);
}

#[tokio::test]
async fn a_wait_that_lags_looks_again() {
    let store = store();
    let index = commit(&store, "a", "n1").await;
    let mut wait = Box::pin(store.reader.wait(index, FOREVER, changed_in_a, topics_of_a));
    assert!(poll(&mut wait).is_pending());
    for number in 0..=FEED_COMMITS {
        commit(&store, "b", &format!("n{number}")).await;
    }
    assert!(poll(&mut wait).is_ready());
}

#[tokio::test]
async fn a_wait_ends_with_its_time_and_gives_the_present() {
    let store = store();
    let index = commit(&store, "a", "n1").await;
    let last = commit(&store, "b", "n1").await;
    let snapshot = store
        .reader
        .wait(index, Duration::ZERO, changed_in_a, topics_of_a)
        .await;
    assert_eq!(snapshot.revision(), last);
}

#[tokio::test]
async fn a_commit_that_lands_while_the_wait_begins_is_not_missed() {
    let store = store();
    let index = commit(&store, "a", "n1").await;
    // The judge has its snapshot already when the commit is published.
    let judge = |snapshot: &Snapshot, _: Revision| {
        let mut commit = Box::pin(store.writer.commit(put("a", "n2")));
        assert!(snapshot.revision() == index);
        let _ = poll(&mut commit);
        while store.reader.snapshot().revision() == index {
            std::thread::yield_now();
        }
        false
    };
    let mut wait = Box::pin(store.reader.wait(index, FOREVER, judge, topics_of_a));
    assert!(matches!(poll(&mut wait), Poll::Ready(snapshot) if snapshot.revision() == index + 1));
}
