//! What stands in for what: health that an exporter tells, and data that is too old.

use super::entries::*;
use super::world::*;
use crate::{Fragment, Health, Mesh, View};
use peerway_model::config::Protocol;
use peerway_model::instance::GatewayMode;
use peerway_model::{CheckStatus, PeerMeta, PeeringState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const PEERS: [&str; 2] = ["east", "west"];

fn meta_of(peer: &str) -> PeerMeta {
    meta("api", "us", &format!("{peer}.consul"))
}

fn face(peer: &str, meta: PeerMeta) -> peerway_state::Row {
    let address = if peer == "east" {
        "198.51.100.1"
    } else {
        "198.51.100.2"
    };
    row(import(peer, "g", "api", (address, 8443), meta))
}

/// `web` calls `api`, which is here, and at `east` and `west` after that.
fn start() -> World {
    let mut world = World::new();
    world.put([
        node(None, "n1", "10.0.0.1"),
        row(sidecar("n1", "web", 20000, vec![upstream("api", None, 9001)])),
        row(app("n1", "api", 8080)),
        row(sidecar("n1", "api", 20001, vec![])),
        protocol(None, Protocol::Http),
        resolved(failover("api", &["api@east", "api@west"])),
    ]);
    for peer in PEERS {
        world.put([
            peering(peer, PeeringState::Active),
            bundle(peer, &format!("{peer}.consul"), &["R"]),
            node(Some(peer), "g", "192.0.2.1"),
            face(peer, meta_of(peer)),
        ]);
    }
    world
}

fn health_in(view: &View) -> BTreeMap<String, Health> {
    let mut found = BTreeMap::new();
    for fragment in &view.fragments {
        if let Fragment::Endpoints(endpoints) = &**fragment {
            for member in &endpoints.members {
                let short = endpoints.cluster.split("~api").next().unwrap_or_default();
                found.insert(short.to_owned(), member.health);
            }
        }
    }
    found
}

/// How here, east and west are.
fn order(world: &World, stale: &[&str]) -> [Health; 3] {
    let mut mesh = Mesh::new(world.shared());
    mesh.judge(stale.iter().copied().map(peering_key).collect());
    let view: Arc<View> = mesh.watch(&instance_key("n1", "web-sidecar-proxy")).unwrap();
    let health = health_in(&view);
    [0, 1, 2].map(|nth| health[&format!("failover-target~{nth}")])
}

use Health::{Doubtful, Down, Up};

#[test]
fn an_exporter_says_how_the_instances_behind_its_gateways_are() {
    let mut world = start();
    assert_eq!(order(&world, &[]), [Up, Up, Up]);
    for (healthy, total, expected) in [(1, 3, Up), (0, 3, Down), (0, 0, Down), (3, 3, Up)] {
        world.put([face("east", with_health(healthy, total, meta_of("east")))]);
        assert_eq!(order(&world, &[]), [Up, expected, Up], "{healthy} of {total}");
    }
    // The gateway itself counts as well.
    let gateway = node_key(Some("east"), "g");
    world.put([check(gateway, Some("api-sidecar-proxy"), CheckStatus::Critical)]);
    assert_eq!(order(&world, &[]), [Up, Down, Up]);
}

#[test]
fn of_an_exporter_that_says_nothing_the_instances_that_it_sent_count() {
    let mut world = start();
    world.put([row(imported_app("west", "g", "api"))]);
    assert_eq!(order(&world, &[]), [Up, Up, Up]);
    world.put([check(
        node_key(Some("west"), "g"),
        Some("api"),
        CheckStatus::Critical,
    )]);
    assert_eq!(order(&world, &[]), [Up, Up, Down]);
    // What it says itself counts more.
    world.put([face("west", with_health(2, 2, meta_of("west")))]);
    assert_eq!(order(&world, &[]), [Up, Up, Up]);
}

#[test]
fn a_sidecar_is_as_well_as_its_application() {
    let mut world = start();
    world.put([check(node_key(None, "n1"), Some("api"), CheckStatus::Critical)]);
    assert_eq!(order(&world, &[]), [Down, Up, Up]);
    world.put([check(node_key(None, "n1"), Some("api"), CheckStatus::Warning)]);
    assert_eq!(order(&world, &[]), [Up, Up, Up]);
}

#[test]
fn what_is_too_old_comes_after_all_that_is_not_and_bad_news_stay_bad() {
    let mut world = start();
    assert_eq!(order(&world, &["east"]), [Up, Doubtful, Up]);
    assert_eq!(order(&world, &["east", "west"]), [Up, Doubtful, Doubtful]);
    world.put([face("east", with_health(0, 2, meta_of("east")))]);
    assert_eq!(order(&world, &["east"]), [Up, Down, Up]);
}

#[test]
fn where_nothing_stands_in_a_call_is_worth_a_try() {
    let mut world = start();
    world.put([
        row(sidecar(
            "n1",
            "web",
            20000,
            vec![upstream("api", Some("east"), 9001)],
        )),
        face("east", with_health(0, 2, meta_of("east"))),
    ]);
    let mut mesh = Mesh::new(world.shared());
    mesh.judge(BTreeSet::from([peering_key("east")]));
    let view = mesh.watch(&instance_key("n1", "web-sidecar-proxy")).unwrap();
    let health: Vec<Health> = health_in(&view).into_values().collect();
    assert_eq!(health, [Up]);
}

#[test]
fn the_health_behind_a_peers_gateways_counts_through_our_own_as_well() {
    let mut world = start();
    let through = via(GatewayMode::Local, upstream("api", None, 9001));
    world.put([
        row(gateway("n1", 8443)),
        row(sidecar("n1", "web", 20000, vec![through])),
        face("east", with_health(0, 2, meta_of("east"))),
    ]);
    assert_eq!(order(&world, &["west"]), [Up, Down, Doubtful]);
}

#[test]
fn who_is_looked_up_by_name_is_told_in_the_cluster() {
    let mut world = start();
    let named = import(
        "east",
        "g",
        "api",
        ("gw.example", 8443),
        with_health(0, 2, meta_of("east")),
    );
    world.put([row(named)]);
    let mut mesh = Mesh::new(world.shared());
    let view = mesh.watch(&instance_key("n1", "web-sidecar-proxy")).unwrap();
    let text = super::render::view(&view);
    assert!(text.contains("gw.example:8443 down 1"), "{text}");
}

#[test]
fn what_is_tried_again_is_tried_where_something_stands_in() {
    let mut world = start();
    let routes = |world: &World| {
        let mut mesh = Mesh::new(world.shared());
        let view = mesh.watch(&instance_key("n1", "web-sidecar-proxy")).unwrap();
        let text = super::render::view(&view);
        let line = text.lines().find(|line| line.starts_with("routes api"));
        line.unwrap().to_owned()
    };
    assert!(routes(&world).ends_with(" elsewhere"), "{}", routes(&world));
    world.put([redirect("api", "api@west")]);
    assert!(!routes(&world).contains("elsewhere"), "{}", routes(&world));
}

#[test]
fn only_an_answer_that_turns_reaches_a_proxy() {
    let mut world = start();
    let mut mesh = Mesh::new(world.shared());
    mesh.watch(&instance_key("n1", "web-sidecar-proxy"));
    let say = |world: &mut World, mesh: &mut Mesh, healthy| {
        let changes = world.put([face("east", with_health(healthy, 5, meta_of("east")))]);
        mesh.update(world.shared(), &changes).len()
    };
    assert_eq!(say(&mut world, &mut mesh, 5), 0);
    assert_eq!(say(&mut world, &mut mesh, 1), 0);
    assert_eq!(say(&mut world, &mut mesh, 0), 1);
    assert_eq!(say(&mut world, &mut mesh, 2), 1);
    let stale: BTreeSet<_> = PEERS.map(peering_key).into();
    assert_eq!(mesh.judge(stale.clone()).len(), 1);
    assert_eq!(mesh.judge(stale), []);
    assert_eq!(mesh.judge(BTreeSet::from([peering_key("nobody")])).len(), 1);
}
