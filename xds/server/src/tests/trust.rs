//! What a proxy is said to trust while the root changes.

use super::world::{Client, INBOUND, PROXY, ROOTS, World, envoy, roots};
use crate::ProxyTrust;
use peerway_model::{CaRoot, CaRoots};
use peerway_state::Row;
use peerway_xds_protocol::Kind;
use std::sync::Arc;

/// The roots that the world begins with, and the same with one that is announced.
fn before_and_announced() -> (CaRoot, CaRoot, Row) {
    let Row::Roots(held) = roots() else {
        panic!("roots are roots")
    };
    let old = held.roots[0].clone();
    let new = CaRoot {
        id: "id-2".to_owned(),
        pem: "second root\n".to_owned(),
        active: false,
        ..old.clone()
    };
    let announced = CaRoots {
        roots: vec![old.clone(), new.clone()],
        ..CaRoots::clone(&held)
    };
    (old, new, Row::Roots(Arc::new(announced)))
}

fn trust(world: &World, old: &CaRoot, new: &CaRoot) -> ProxyTrust {
    let mut all = world.gate.trusts(old, new);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[tokio::test]
async fn a_proxy_that_refuses_a_root_does_not_trust_it() {
    let world = World::new().await;
    world.taken_up().await;
    let (old, new, announced) = before_and_announced();
    let mut client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    client.start().await;
    let unsent = trust(&world, &old, &new).trusts.unwrap_err();
    assert!(unsent.ends_with("was not sent with the new root yet"), "{unsent}");

    world.put([announced]).await;
    let both = client.receive(Kind::Secret).await;
    assert_eq!(both.resources.len(), 2);
    let waiting = trust(&world, &old, &new).trusts.unwrap_err();
    assert!(waiting.starts_with("has not taken "), "{waiting}");
    client.nack(Kind::Secret, &both, "cannot read it").await;
    // Each is offered alone: the one is taken, the other is not.
    for _ in 0..2 {
        let one = client.receive(Kind::Secret).await;
        match one.resources[0].name.as_str() {
            INBOUND => client.ack(Kind::Secret, &one).await,
            name => {
                assert_eq!(name, ROOTS);
                client.nack(Kind::Secret, &one, "cannot read it").await;
            }
        }
    }
    client.quiet().await;
    let refused = trust(&world, &old, &new);
    assert_eq!(
        refused.trusts,
        Err(format!("refused {ROOTS}: cannot read it")),
        "one secret without the root is enough"
    );
    assert!(refused.renewed.is_err());

    // Another Envoy in its place, which can read it.
    drop(client);
    while !world.gate.statuses().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    client.start().await;
    client.quiet().await;
    let taken = trust(&world, &old, &new);
    assert_eq!(taken.trusts, Ok(()));
    assert_eq!(
        taken.renewed,
        Err("was not sent a leaf of the new root yet".to_owned())
    );
}
