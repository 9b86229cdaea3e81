//! The cost of a change depends on what changes, not on how much there is.

use super::world::*;
use crate::{Mesh, Stats};
use peerway_model::config::Action;
use peerway_model::{CheckStatus, PeeringState};
use peerway_state::{ChangeSet, Row};

/// `services` services with a sidecar each, all of which dial the first; a gateway; everything is watched.
fn mesh_of(services: usize) -> (World, Mesh) {
    let mut world = World::new();
    world.put([
        node(None, "n1", "10.0.0.1"),
        row(gateway("n1", 8443)),
        peering("east", PeeringState::Active),
        bundle("east", "east.consul", &["E"]),
        exports(&[("*", &["east"])]),
    ]);
    for index in 0..services {
        let (name, port) = (format!("s{index}"), 10_000 + index as u16);
        world.put([
            row(app("n1", &name, 1)),
            row(sidecar("n1", &name, port, vec![upstream("s0", None, 5000)])),
        ]);
    }
    let mut mesh = Mesh::new(world.shared());
    mesh.watch(&instance_key("n1", "gateway")).unwrap();
    for index in 0..services {
        mesh.watch(&instance_key("n1", &format!("s{index}-sidecar-proxy")))
            .unwrap();
    }
    (world, mesh)
}

fn spent(mesh: &mut Mesh, world: &World, changes: &ChangeSet) -> (Stats, usize) {
    let before = mesh.stats();
    let changed = mesh.update(world.shared(), changes).len();
    let after = mesh.stats();
    let spent = Stats {
        shapes_rebuilt: after.shapes_rebuilt - before.shapes_rebuilt,
        fragments_rebuilt: after.fragments_rebuilt - before.fragments_rebuilt,
        findings_rebuilt: after.findings_rebuilt - before.findings_rebuilt,
        ..after
    };
    (spent, changed)
}

type Change = fn() -> Vec<Row>;

#[test]
fn work_does_not_grow_with_the_mesh() {
    let down = || {
        vec![check(
            node_key(None, "n1"),
            Some("s0-sidecar-proxy"),
            CheckStatus::Critical,
        )]
    };
    let deny = || vec![intentions("s1", &[("s0", None, Action::Allow)])];
    let peer_down = || vec![bundle("east", "east.consul", &["E", "E2"])];
    let changes: [(&str, Change, bool); 3] = [
        ("check", down, false),
        ("intention", deny, false),
        ("bundle", peer_down, true),
    ];
    for (what, change, everybody) in changes {
        let mut costs = Vec::new();
        for services in [4, 64] {
            let (mut world, mut mesh) = mesh_of(services);
            let touched = world.put(change());
            let (cost, changed) = spent(&mut mesh, &world, &touched);
            assert!(changed > 0, "{what}");
            costs.push((cost.shapes_rebuilt, cost.fragments_rebuilt, cost.findings_rebuilt));
        }
        if everybody {
            // Every service is exported to the peer, so every one gets other roots, and nothing more than that.
            // Those that are taken in the handshake come as a secret of their own.
            assert_eq!(costs[1].1 - costs[0].1, 2 * 60, "{what}: {costs:?}");
        } else {
            assert_eq!(costs[0], costs[1], "{what}");
        }
    }
}

#[test]
fn proxies_share_what_they_all_need() {
    let (_, mesh) = mesh_of(100);
    let stats = mesh.stats();
    // Per service: roots, those of them that the policy takes, the policy, application, public listener; the application
    // is the same for all. On the gateway, per
    // service, a cluster and endpoints. Once for all: local roots, application, upstream listener, its cluster
    // and endpoints, and the gateway's listener.
    assert_eq!(stats.proxies, 101);
    assert_eq!(stats.fragments, 100 * 4 + 100 * 2 + 6);
}

#[test]
fn what_nobody_watches_is_not_kept() {
    let (mut world, mut mesh) = mesh_of(5);
    for index in 0..5 {
        mesh.unwatch(&instance_key("n1", &format!("s{index}-sidecar-proxy")));
    }
    mesh.unwatch(&instance_key("n1", "gateway"));
    let stats = mesh.stats();
    assert_eq!((stats.proxies, stats.fragments, stats.findings), (0, 0, 0));
    let changes = world.put([roots("B"), exports(&[])]);
    let (cost, changed) = spent(&mut mesh, &world, &changes);
    assert_eq!(
        (
            cost.shapes_rebuilt,
            cost.fragments_rebuilt,
            cost.findings_rebuilt,
            changed
        ),
        (0, 0, 0, 0)
    );
}
