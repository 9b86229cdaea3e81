//! What a peer is offered, and that an upkept offer equals a fresh one.

use super::*;
use crate::fixture::{self, World};
use peerway_model::CheckStatus;
use peerway_state::Snapshot;

fn exported(world: &World) -> Exports {
    exports(
        &world.snapshot,
        &fixture::peering("west"),
        &["10.0.0.1:8503".to_owned()],
    )
}

fn told(exports: &Exports) -> Vec<(&str, usize)> {
    let services = exports.services.iter();
    services
        .map(|(name, instances)| (name.as_str(), instances.len()))
        .collect()
}

#[test]
fn nothing_is_exported_by_default() {
    let mut world = World::new("us");
    world.service("web", "web-1").proxy("web").gateway("gw-1");
    let exports = exported(&world);
    assert_eq!(told(&exports), []);
    assert!(exports.list.is_empty());
    assert_eq!(exports.bundle.as_ref().unwrap().trust_domain, "us.consul");
    assert_eq!(exports.addresses.as_ref(), ["10.0.0.1:8503"]);
    let empty = Snapshot::default();
    assert!(
        super::exports(&empty, &fixture::peering("west"), &[])
            .bundle
            .is_none()
    );
}

#[test]
fn exact_names_are_listed_even_without_instances() {
    let mut world = World::new("us");
    world
        .service("web", "web-1")
        .service("web", "web-2")
        .proxy("web")
        .gateway("gw-1")
        .gateway("gw-2");
    world.export(&["web", "later"], "west").service("hidden", "h");
    let exports = exported(&world);
    assert_eq!(
        told(&exports),
        [("later", 0), ("web", 2), ("web-sidecar-proxy", 2)]
    );
    assert_eq!(exports.list.as_ref(), ["later", "web"]);
    // Not to another peer.
    assert_eq!(
        told(&super::exports(&world.snapshot, &fixture::peering("east"), &[])),
        []
    );
}

#[test]
fn a_group_stands_for_the_peers_in_it() {
    let mut world = World::new("us");
    world.service("web", "web-1").group(&["east"]);
    world.export(&["web"], fixture::GROUP);
    assert_eq!(told(&exported(&world)), []);
    world.group(&["east", "west"]);
    assert_eq!(told(&exported(&world)), [("web", 1)]);
    world.group(&[]);
    assert_eq!(told(&exported(&world)), []);
}

#[test]
fn any_name_means_all_services_but_no_proxies_and_not_consul() {
    let mut world = World::new("us");
    world
        .service("web", "web-1")
        .service("consul", "c")
        .proxy("web")
        .gateway("gw-1");
    world.export(&["*"], "west");
    assert_eq!(told(&exported(&world)), [("web", 1), ("web-sidecar-proxy", 1)]);
}

#[test]
fn without_gateways_the_mesh_face_is_empty() {
    let mut world = World::new("us");
    world
        .service("web", "web-1")
        .proxy("web")
        .export(&["web"], "west");
    assert_eq!(told(&exported(&world)), [("web", 1), ("web-sidecar-proxy", 0)]);
}

#[test]
fn the_mesh_face_is_the_gateway_under_the_exporters_name_for_the_peer() {
    let mut world = World::new("us");
    world
        .service("web", "web-1")
        .proxy("web")
        .gateway("gw-1")
        .export(&["web"], "west");
    let exports = exported(&world);
    let face = &exports.services["web-sidecar-proxy"][0];
    assert_eq!(face.service.kind, "connect-proxy");
    assert_eq!(face.service.id, "web-sidecar-proxy-instance-0");
    assert_eq!(face.service.port, 8443);
    assert_eq!(
        face.service.tagged_addresses["wan"],
        ("203.0.113.1".to_owned(), 443)
    );
    let proxy = face.service.proxy.as_ref().unwrap();
    assert_eq!(
        (proxy.destination.as_str(), proxy.destination_id.as_str()),
        ("web", "web-instance-0")
    );
    let meta = face.service.peer_meta.as_ref().unwrap();
    assert_eq!(meta.sni, ["web.default.default.west.external.us.consul"]);
    assert_eq!(
        meta.spiffe_ids,
        [
            "spiffe://us.consul/ns/default/dc/us/svc/web",
            "spiffe://us.consul/gateway/mesh/dc/us"
        ]
    );
    assert_eq!(meta.protocol, "tcp");
    let typical = &exports.services["web"][0];
    assert_eq!(typical.service.peer_meta, None);
    assert_eq!(typical.checks[0].id, "web-1:overall-check");
    assert_eq!(typical.checks[0].status, "warning");
}

#[test]
fn the_protocol_is_the_services_else_that_of_all_else_tcp() {
    let mut world = World::new("us");
    world
        .service("web", "web-1")
        .proxy("web")
        .gateway("gw-1")
        .export(&["web"], "west");
    let told = |world: &World| {
        let meta = exported(world).services["web-sidecar-proxy"][0]
            .service
            .peer_meta
            .clone()
            .unwrap();
        (meta.protocol, meta.spiffe_ids.len())
    };
    assert_eq!(told(&world), ("tcp".to_owned(), 2));
    world.protocol(None, Protocol::Http);
    assert_eq!(told(&world), ("http".to_owned(), 2));
    world.protocol(Some("web"), Protocol::Grpc);
    assert_eq!(told(&world), ("grpc".to_owned(), 2));
    world.protocol(Some("other"), Protocol::Tcp);
    assert_eq!(told(&world), ("grpc".to_owned(), 2));
}

#[test]
fn a_name_that_is_nothing_but_a_way_to_others_is_exported_and_listed() {
    let mut world = World::new("us");
    world
        .service("web", "web-1")
        .proxy("web")
        .gateway("gw-1")
        .redirect("front", Some("web"))
        .export(&["*"], "west");
    let exports = exported(&world);
    assert_eq!(
        told(&exports),
        [
            ("front", 0),
            ("front-sidecar-proxy", 1),
            ("web", 1),
            ("web-sidecar-proxy", 1)
        ]
    );
    assert_eq!(exports.list.as_ref(), ["front", "web"]);
    let ids = |world: &World| {
        let face = &exported(world).services["front-sidecar-proxy"][0];
        face.service.peer_meta.clone().unwrap().spiffe_ids
    };
    // Bytes reach the other service, which is who it says it is.
    let both = [
        "spiffe://us.consul/ns/default/dc/us/svc/front",
        "spiffe://us.consul/gateway/mesh/dc/us",
        "spiffe://us.consul/ns/default/dc/us/svc/web",
    ];
    assert_eq!(ids(&world), both);
    world.protocol(None, Protocol::Http);
    assert_eq!(ids(&world), both[..2]);
    world.redirect("front", None);
    assert_eq!(told(&exported(&world)), [("web", 1), ("web-sidecar-proxy", 1)]);
}

#[test]
fn a_mesh_face_says_how_those_are_that_calls_end_at() {
    let mut world = World::new("us");
    world
        .service("web", "web-1")
        .proxy("web")
        .gateway("gw-1")
        .redirect("front", Some("web"))
        .export(&["*"], "west");
    let health = |world: &World, face: &str| {
        let face = &exported(world).services[face][0];
        face.service.peer_meta.clone().unwrap().health.unwrap()
    };
    let counted = |healthy, draining| HealthSummary {
        healthy,
        total: 1,
        weight: healthy,
        draining,
    };
    for (status, expected) in [
        (CheckStatus::Passing, counted(1, 0)),
        (CheckStatus::Warning, counted(1, 0)),
        (CheckStatus::Critical, counted(0, 0)),
        (CheckStatus::Maintenance, counted(0, 1)),
    ] {
        world.is("web-sidecar-proxy", status);
        for face in ["web-sidecar-proxy", "front-sidecar-proxy"] {
            assert_eq!(health(&world, face), expected, "{face} {status:?}");
        }
    }
    world.remove("web-sidecar-proxy");
    assert_eq!(health(&world, "front-sidecar-proxy"), HealthSummary::default());
}

#[test]
fn what_is_behind_a_terminating_gateway_has_a_mesh_face_that_tells_how_it_is() {
    let mut world = World::new("us");
    world
        .service("db", "db-1")
        .service("db", "db-2")
        .service("mail", "mail-1")
        .gateway("gw-1")
        .terminating()
        .link(&["db"])
        .export(&["*"], "west");
    let without = [("db", 2), ("db-sidecar-proxy", 1), ("mail", 1)];
    assert_eq!(told(&exported(&world)), without);
    let health = |world: &World| {
        let face = &exported(world).services["db-sidecar-proxy"][0];
        face.service.peer_meta.clone().unwrap().health.unwrap()
    };
    let counted = |healthy, total| HealthSummary {
        healthy,
        total,
        weight: healthy,
        draining: 0,
    };
    assert_eq!(health(&world), counted(2, 2));
    world.is("db-1", CheckStatus::Critical);
    assert_eq!(health(&world), counted(1, 2));
    // Without a gateway that serves nobody passes anything on.
    world.is("out", CheckStatus::Critical);
    assert_eq!(health(&world), counted(0, 1));
    world.remove("out");
    assert_eq!(health(&world), counted(0, 0));
    world.link(&["*"]);
    assert_eq!(
        told(&exported(&world)),
        [
            ("db", 2),
            ("db-sidecar-proxy", 1),
            ("mail", 1),
            ("mail-sidecar-proxy", 1)
        ]
    );
    world.link(&[]);
    assert_eq!(told(&exported(&world)), [("db", 2), ("mail", 1)]);
}

#[test]
fn what_was_imported_makes_nothing_stale() {
    let mut world = World::new("us");
    world.export(&["*"], "west").service("web", "web-1");
    let mut exporter = Exporter::new(fixture::peering("west"), &[]);
    assert!(exporter.is_stale());
    let before = exporter.update(&world.snapshot).unwrap();
    assert!(!exporter.is_stale() && exporter.update(&world.snapshot).is_none());
    let imported = world.changes(|world| {
        world.peer("west", None).import("west", "api");
    });
    exporter.note(&imported);
    assert!(!imported.is_empty() && !exporter.is_stale(), "{imported:?}");

    // What did not change is shared, not made again.
    let changed = world.changes(|world| {
        world.service("db", "db-1");
    });
    exporter.note(&changed);
    let after = exporter.update(&world.snapshot).unwrap();
    assert!(Arc::ptr_eq(&before.services["web"], &after.services["web"]));
    assert_eq!(after.list.as_ref(), ["db", "web"]);
}

/// After any history the exports that were kept up to date equal those made from nothing.
#[test]
fn upkeep_equals_building_from_nothing() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = World::new("us");
        let peering = fixture::peering("west");
        let mut exporter = Exporter::new(peering.clone(), &[]);
        let mut kept = exporter.update(&world.snapshot).unwrap();
        for step in 0..40 {
            let service = ["a", "b", "b-sidecar-proxy", "consul"][random.usize(..4)];
            let id = ["1", "2"][random.usize(..2)];
            let choice = random.u8(..16);
            let changes = world.changes(|world| match choice {
                0 | 1 => drop(world.service(service, &format!("{service}-{id}"))),
                2 => drop(world.proxy(service)),
                3 => drop(world.gateway(id)),
                4 => drop(world.remove(&format!("{service}-{id}"))),
                5 => drop(world.remove([id, "a-sidecar-proxy", "out"][random.usize(..3)])),
                6 => drop(world.export(
                    &[["*", service][random.usize(..2)]],
                    ["west", "east", fixture::GROUP][random.usize(..3)],
                )),
                15 => drop(world.group([&["west", "east"][..], &["east"], &[]][random.usize(..3)])),
                7 => drop(world.protocol(Some(service), Protocol::ALL[random.usize(..4)])),
                10 => drop(world.is(
                    ["a-1", "a-sidecar-proxy", "b-sidecar-proxy"][random.usize(..3)],
                    [CheckStatus::Passing, CheckStatus::Critical][random.usize(..2)],
                )),
                9 => drop(world.redirect(
                    ["c", service][random.usize(..2)],
                    [None, Some("a")][random.usize(..2)],
                )),
                12 => drop(world.terminating()),
                13 => drop(world.is(
                    "out",
                    [CheckStatus::Passing, CheckStatus::Critical][random.usize(..2)],
                )),
                14 => drop(world.link(&[["*", service][random.usize(..2)]])),
                8 => drop(world.protocol(None, Protocol::ALL[random.usize(..4)])),
                _ => drop(world.move_node(&format!("10.0.0.{}", random.u8(..)))),
            });
            exporter.note(&changes);
            if let Some(exports) = exporter.update(&world.snapshot) {
                kept = exports;
            }
            let fresh = super::exports(&world.snapshot, &peering, &[]);
            assert_eq!(kept, fresh, "seed {seed}, step {step}, choice {choice}");
        }
    }
}
