use super::*;
use crate::fixture::{self, World};
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
fn only_local_changes_concern_an_export() {
    let mut world = World::new("us");
    world.export(&["*"], "west");
    let partition = Partition::default();
    assert!(concerns(
        &world.changes(|world| {
            world.service("web", "web-1");
        }),
        &partition
    ));
    assert!(concerns(
        &world.changes(|world| {
            world.gateway("gw-1");
        }),
        &partition
    ));
    assert!(concerns(
        &world.changes(|world| {
            world.export(&["web"], "west");
        }),
        &partition
    ));
    let imported = world.changes(|world| {
        world.peer("west", None);
        world.import("west", "api");
    });
    assert!(
        !imported.is_empty() && !concerns(&imported, &partition),
        "{imported:?}"
    );
}
