//! What the pump shares, and what it lets go.

use super::*;
use crate::tests::world::{API, World, copy, key, sidecar};
use peerway_runtime::SystemClock;
use peerway_xds_protocol::Kind;

/// Two sidecars of `web` that differ in nothing but their ids and ports.
async fn twins() -> (World, Worker) {
    let world = World::new().await;
    world.put([copy("-2", "web", 20001, Some("api"))]).await;
    let worker = Worker::new(
        &world.store.reader,
        Action::Deny,
        watch::Sender::default().subscribe(),
        SystemClock::shared(),
    );
    (world, worker)
}

fn watch(worker: &mut Worker, id: &str) -> Publication {
    let (answer, mut publication) = oneshot::channel();
    worker.watch(Watch {
        proxy: key(id),
        dialect: Dialect::From1_36,
        answer,
    });
    publication.try_recv().unwrap()
}

fn piece(publication: &Publication, kind: Kind, name: &str) -> Piece {
    publication
        .borrow()
        .as_ref()
        .unwrap()
        .holding
        .get(kind, name)
        .unwrap()
        .clone()
}

#[tokio::test]
async fn proxies_share_what_they_both_need_before_and_after_a_change() {
    let (world, mut worker) = twins().await;
    let one = watch(&mut worker, "web-sidecar-proxy");
    let two = watch(&mut worker, "web-sidecar-proxy-2");
    let same = |kind, name| Arc::ptr_eq(&piece(&one, kind, name).0, &piece(&two, kind, name).0);
    for (kind, name) in [
        (Kind::Cluster, API),
        (Kind::Cluster, "local_app"),
        (Kind::Endpoints, API),
    ] {
        assert!(same(kind, name), "{name}");
    }
    let (endpoints, cluster) = (piece(&one, Kind::Endpoints, API), piece(&one, Kind::Cluster, API));
    world.put([sidecar("api", 21001, None)]).await;
    let FeedEvent::Changed(changes) = worker.feed.next().await else {
        panic!("a change")
    };
    let changed = worker.mesh.update(worker.feed.snapshot(), &changes);
    let round = worker.feed_round();
    worker.publish(changed, round).await;
    assert!(same(Kind::Endpoints, API));
    assert!(!Arc::ptr_eq(&endpoints.0, &piece(&one, Kind::Endpoints, API).0));
    assert!(
        Arc::ptr_eq(&cluster.0, &piece(&one, Kind::Cluster, API).0),
        "nothing else was encoded again"
    );
}

#[tokio::test]
async fn streams_of_one_proxy_share_what_is_published() {
    let (_world, mut worker) = twins().await;
    let one = watch(&mut worker, "web-sidecar-proxy");
    let again = watch(&mut worker, "web-sidecar-proxy");
    assert!(Arc::ptr_eq(
        one.borrow().as_ref().unwrap(),
        again.borrow().as_ref().unwrap()
    ));
}

#[tokio::test]
async fn a_proxy_is_let_go_when_no_stream_follows_it() {
    let (_world, mut worker) = twins().await;
    let one = watch(&mut worker, "web-sidecar-proxy");
    let again = watch(&mut worker, "web-sidecar-proxy");
    let unknown = watch(&mut worker, "nobody");
    assert!(unknown.borrow().is_none());
    drop((one, unknown));
    worker.sweep();
    assert_eq!(
        worker.proxies.keys().collect::<Vec<_>>(),
        [&key("web-sidecar-proxy")]
    );
    drop(again);
    worker.sweep();
    assert!(worker.proxies.is_empty());
    assert!(worker.mesh.view(&key("web-sidecar-proxy")).is_none());
}
