//! Who has taken which change.

use super::world::{Client, PROXY, World, copy, envoy, key, sidecar, versions};
use crate::limits::MAX_UNANSWERED;
use peerway_model::{ProxyReceipt, ReceiptState, ServiceKind};
use peerway_state::{Row, RowKey};
use peerway_xds_protocol::Kind;

/// Commits a row; the change.
async fn change(world: &World, row: Row) -> u64 {
    world.put([row]).await;
    newest(world)
}

fn newest(world: &World) -> u64 {
    world.store.reader.snapshot().revision()
}

/// The only receipt of a proxy.
fn receipt(world: &World, id: &str, change: u64) -> ProxyReceipt {
    let mut all = world.gate.receipts(change);
    all.retain(|receipt| receipt.proxy == key(id));
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn state(world: &World, change: u64) -> ReceiptState {
    receipt(world, PROXY, change).state
}

async fn until(world: &World, change: u64, wanted: ReceiptState) -> ProxyReceipt {
    loop {
        let receipt = receipt(world, PROXY, change);
        if receipt.state == wanted {
            return receipt;
        }
        tokio::task::yield_now().await;
    }
}

/// A proxy that has everything.
async fn served(world: &World) -> Client {
    let mut client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    client.start().await;
    until(world, newest(world), ReceiptState::Applied).await;
    client
}

#[tokio::test]
async fn a_proxy_has_taken_a_change_when_it_has_answered_for_everything() {
    let world = World::new().await;
    let first = newest(&world);
    assert_eq!(state(&world, first), ReceiptState::Disconnected);
    let mut client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    client.subscribe(Kind::Cluster, &[]).await;
    let clusters = client.receive(Kind::Cluster).await;
    let receipt = receipt(&world, PROXY, first);
    assert_eq!((receipt.state, receipt.revision), (ReceiptState::Pending, None));
    assert_eq!(receipt.kind, ServiceKind::ConnectProxy);
    client.ack(Kind::Cluster, &clusters).await;
    // It has answered for all that it has asked for, but will ask for listeners.
    client.quiet().await;
    assert_eq!(state(&world, first), ReceiptState::Pending);
    client.subscribe(Kind::Listener, &[]).await;
    client.take(Kind::Listener).await;
    let taken = until(&world, first, ReceiptState::Applied).await;
    assert_eq!(taken.revision, Some(first));
    // Nobody runs this one, and what is no proxy is not asked.
    let all = world.gate.receipts(first);
    let names: Vec<&str> = all.iter().map(|receipt| receipt.proxy.id.as_str()).collect();
    assert_eq!(names, ["api-sidecar-proxy", PROXY]);
    assert_eq!(all[0].state, ReceiptState::Disconnected);
    assert!(all[0].reason.contains("not connected"), "{}", all[0].reason);
}

#[tokio::test]
async fn a_change_that_does_not_concern_a_proxy_is_taken_without_a_word() {
    let world = World::new().await;
    let mut client = served(&world).await;
    let other = change(&world, copy("-2", "web", 20001, None)).await;
    let taken = until(&world, other, ReceiptState::Applied).await;
    assert_eq!((taken.revision, taken.touched), (Some(other), Some(false)));
    client.quiet().await;

    // Behind one that it has not answered for, too.
    let mine = change(&world, sidecar("api", 21001, None)).await;
    let response = client.receive(Kind::Endpoints).await;
    let next = change(&world, copy("-2", "web", 20002, None)).await;
    let pending = receipt(&world, PROXY, mine);
    assert_eq!(
        (pending.state, pending.touched),
        (ReceiptState::Pending, Some(true))
    );
    assert_eq!(pending.revision, Some(other));
    assert_eq!(state(&world, other), ReceiptState::Applied);
    assert_eq!(state(&world, next), ReceiptState::Pending);
    client.ack(Kind::Endpoints, &response).await;
    let taken = until(&world, next, ReceiptState::Applied).await;
    assert_eq!(taken.touched, Some(false));
    assert_eq!(state(&world, mine), ReceiptState::Applied);
}

#[tokio::test]
async fn a_refusal_is_told_for_the_change_that_brought_it_and_for_later_ones() {
    let world = World::new().await;
    let mut client = served(&world).await;
    let before = newest(&world);
    let bad = change(&world, sidecar("api", 21001, None)).await;
    let response = client.receive(Kind::Endpoints).await;
    client.nack(Kind::Endpoints, &response, "do not like it").await;
    let refused = until(&world, bad, ReceiptState::Refused).await;
    let [resource] = refused.refused.as_slice() else {
        panic!("one resource: {refused:?}")
    };
    let sent = versions(&response);
    assert_eq!(sent.get(&resource.name), Some(&resource.version));
    assert_eq!(
        (resource.kind, resource.since, resource.reason.as_str()),
        ("endpoints", bad, "do not like it")
    );
    assert!(refused.reason.ends_with(": do not like it"), "{}", refused.reason);
    assert_eq!(state(&world, before), ReceiptState::Applied);
    let later = change(&world, copy("-2", "web", 20001, None)).await;
    until(&world, later, ReceiptState::Refused).await;

    let cure = change(&world, sidecar("api", 21002, None)).await;
    client.take(Kind::Endpoints).await;
    until(&world, cure, ReceiptState::Applied).await;
    assert_eq!(state(&world, bad), ReceiptState::Applied, "it is overtaken");
    assert_eq!(world.status().refused, []);
}

#[tokio::test]
async fn what_a_proxy_refuses_at_once_may_be_of_any_age() {
    let world = World::new().await;
    world.taken_up().await;
    let mut client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    client.subscribe(Kind::Cluster, &[]).await;
    client.take(Kind::Cluster).await;
    client.subscribe(Kind::Listener, &[]).await;
    let listeners = client.receive(Kind::Listener).await;
    client.nack(Kind::Listener, &listeners, "cannot bind").await;
    // One of the two may be to blame for both, so each is offered alone.
    for _ in 0..2 {
        let one = client.receive(Kind::Listener).await;
        client.nack(Kind::Listener, &one, "cannot bind").await;
    }
    // It is refused from the first one on; the second may still be on its way.
    let refused = loop {
        let refused = until(&world, 1, ReceiptState::Refused).await;
        if refused.refused.len() == 2 {
            break refused;
        }
        tokio::task::yield_now().await;
    };
    assert!(refused.refused.iter().all(|resource| resource.since == 0));
}

#[tokio::test]
async fn a_proxy_that_is_behind_by_much_is_told_apart_within_bounds_and_loses_nothing() {
    let world = World::new().await;
    let mut client = served(&world).await;
    let before = newest(&world);
    change(&world, sidecar("api", 21001, None)).await;
    let first = client.receive(Kind::Endpoints).await;
    for port in 0..2 * u16::try_from(MAX_UNANSWERED).unwrap() {
        let at = change(&world, sidecar("api", 22000 + port, None)).await;
        while receipt(&world, PROXY, at).touched != Some(true) {
            tokio::task::yield_now().await;
        }
    }
    let last = newest(&world);
    assert_eq!(receipt(&world, PROXY, last).revision, Some(before));
    client.ack(Kind::Endpoints, &first).await;
    client.take(Kind::Endpoints).await;
    let taken = until(&world, last, ReceiptState::Applied).await;
    assert_eq!(taken.revision, Some(last));
}

#[tokio::test]
async fn a_new_stream_has_answered_for_nothing_and_who_is_not_registered_is_not_asked() {
    let world = World::new().await;
    let client = served(&world).await;
    let now = newest(&world);
    drop(client);
    until(&world, now, ReceiptState::Disconnected).await;
    let mut again = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    again.subscribe(Kind::Cluster, &[]).await;
    again.receive(Kind::Cluster).await;
    assert_eq!(state(&world, now), ReceiptState::Pending);
    world.delete(RowKey::Instance(key(PROXY))).await;
    let all = world.gate.receipts(newest(&world));
    assert!(all.iter().all(|receipt| receipt.proxy != key(PROXY)));
}
