//! Views of mesh gateways.

use super::render::assert_view;
use super::world::*;
use crate::{Fragment, Mesh, Traffic, View};
use peerway_model::instance::GatewayMode;
use peerway_model::{CheckStatus, Instance, PeerMeta, PeeringState};
use std::collections::BTreeSet;
use std::sync::Arc;

fn view_of(world: &World) -> Option<Arc<View>> {
    Mesh::new(world.shared()).watch(&instance_key("n1", "gateway"))
}

/// A gateway, `web` with two sidecars, `plain` without one, and two peers.
fn start() -> World {
    let mut world = World::new();
    world.put([
        node(None, "n1", "10.0.0.1"),
        node(None, "n2", "10.0.0.2"),
        row(Instance {
            address: "10.0.0.9".to_owned(),
            ..gateway("n1", 8443)
        }),
        row(app("n1", "web", 8080)),
        row(app("n1", "plain", 8080)),
        row(sidecar("n1", "web", 20000, vec![])),
        row(sidecar("n2", "web", 20000, vec![])),
        check(node_key(None, "n2"), None, CheckStatus::Critical),
        peering("east", PeeringState::Active),
        peering("west", PeeringState::Establishing),
        bundle("east", "east.consul", &["E"]),
    ]);
    world
}

fn server_names(view: &View) -> Vec<(String, String)> {
    view.fragments
        .iter()
        .filter_map(|fragment| match &**fragment {
            Fragment::Listener(listener) => Some(listener),
            _ => None,
        })
        .flat_map(|listener| &listener.chains)
        .flat_map(|chain| {
            chain.server_names.iter().map(|name| match &chain.traffic {
                Traffic::Tcp(tcp) => (name.clone(), tcp.cluster.clone()),
                Traffic::Http(_) => panic!("{name} is not passed through"),
            })
        })
        .collect()
}

#[test]
fn a_gateway_passes_local_services_by_their_sni() {
    assert_view(
        view_of(&start()).as_ref(),
        r"
        identity spiffe://local.consul/gateway/mesh/dc/dc1
        cluster web.default.dc1.internal.local.consul eds 5000ms eject 10%
        endpoints web.default.dc1.internal.local.consul
          10.0.0.1:20000 up 1
          10.0.0.2:20000 down 1
        listener default:10.0.0.9:8443 Unspecified
          web.default.dc1.internal.local.consul -> web.default.dc1.internal.local.consul as mesh_gateway_local.default
        ",
    );
}

#[test]
fn an_exported_service_has_an_sni_for_each_live_peer_that_sees_it() {
    let mut world = start();
    world.put([exports(&[
        ("web", &["west", "east", "unknown"]),
        ("plain", &["east"]),
    ])]);
    assert_view(
        view_of(&world).as_ref(),
        r"
        identity spiffe://local.consul/gateway/mesh/dc/dc1
        cluster exported~web.default.dc1.internal.local.consul eds 5000ms eject 10%
        cluster web.default.dc1.internal.local.consul eds 5000ms eject 10%
        endpoints exported~web.default.dc1.internal.local.consul
          10.0.0.1:20000 up 1
          10.0.0.2:20000 down 1
        endpoints web.default.dc1.internal.local.consul
          10.0.0.1:20000 up 1
          10.0.0.2:20000 down 1
        listener default:10.0.0.9:8443 Unspecified
          web.default.default.east.external.local.consul,web.default.default.west.external.local.consul -> exported~web.default.dc1.internal.local.consul as mesh_gateway_local_peered.web.default.default.dc1
          web.default.dc1.internal.local.consul -> web.default.dc1.internal.local.consul as mesh_gateway_local.default
        ",
    );
    let exported = |world: &World| {
        let names = server_names(&view_of(world).unwrap());
        names
            .iter()
            .filter(|(_, cluster)| cluster.starts_with("exported~"))
            .count()
    };
    world.put([peering("west", PeeringState::Deleting)]);
    assert_eq!(exported(&world), 1);
    world.put([exports(&[])]);
    assert_eq!(exported(&world), 0);
}

#[test]
fn imported_services_are_passed_on_to_the_peers_gateways() {
    let mut world = start();
    world.put([
        node(Some("east"), "g1", "192.0.2.1"),
        row(import(
            "east",
            "g1",
            "db",
            ("198.51.100.1", 8443),
            meta("db", "us", "east.consul"),
        )),
        row(import(
            "east",
            "g1",
            "log",
            ("gw.east.example", 8443),
            meta("log", "us", "east.consul"),
        )),
    ]);
    assert_view(
        view_of(&world).as_ref(),
        r"
        identity spiffe://local.consul/gateway/mesh/dc/dc1
        cluster db.default.default.us.external.east.consul eds 5000ms eject 10% keepalive
        cluster log.default.default.us.external.east.consul dns gw.east.example:8443 up 1 5000ms eject 10% keepalive
        cluster web.default.dc1.internal.local.consul eds 5000ms eject 10%
        endpoints db.default.default.us.external.east.consul
          198.51.100.1:8443 up 1
        endpoints web.default.dc1.internal.local.consul
          10.0.0.1:20000 up 1
          10.0.0.2:20000 down 1
        listener default:10.0.0.9:8443 Unspecified
          web.default.dc1.internal.local.consul -> web.default.dc1.internal.local.consul as mesh_gateway_local.default
          db.default.default.us.external.east.consul -> db.default.default.us.external.east.consul as mesh_gateway_local.default
          log.default.default.us.external.east.consul -> log.default.default.us.external.east.consul as mesh_gateway_local.default
        ",
    );
    let before = server_names(&view_of(&world).unwrap()).len();
    world.put([peering("east", PeeringState::Terminated)]);
    assert_eq!(server_names(&view_of(&world).unwrap()).len(), before - 2);
}

#[test]
fn a_hostile_sni_takes_nothing() {
    let hostile = [
        "web.default.dc1.internal.local.consul",
        "web.default.default.east.external.local.consul",
        "WEB.default.default.EAST.external.local.consul",
        "exported~web.default.dc1.internal.local.consul",
        "*.external.east.consul",
        ".external.east.consul",
        "",
        "local_app",
    ];
    let mut world = start();
    world.put([
        exports(&[("web", &["east"])]),
        node(Some("east"), "g1", "192.0.2.1"),
    ]);
    let honest = view_of(&world);
    for sni in hostile {
        let meta = PeerMeta {
            sni: vec![sni.to_owned()],
            ..meta("db", "us", "east.consul")
        };
        world.put([row(import("east", "g1", "db", ("198.51.100.1", 8443), meta))]);
        assert_eq!(view_of(&world), honest, "{sni}");
    }
}

#[test]
fn a_server_name_chooses_one_chain_whatever_its_case() {
    let mut world = start();
    let meta = PeerMeta {
        sni: vec!["DB.default.default.us.external.east.consul".to_owned()],
        ..meta("db", "us", "east.consul")
    };
    world.put([
        row(sidecar("n1", "Web", 20001, vec![])),
        node(Some("east"), "g1", "192.0.2.1"),
        row(import("east", "g1", "db", ("198.51.100.1", 8443), meta.clone())),
        row(import("east", "g1", "twin", ("198.51.100.1", 8443), meta)),
    ]);
    let names = server_names(&view_of(&world).unwrap());
    let distinct: BTreeSet<&String> = names.iter().map(|(name, _)| name).collect();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
    assert_eq!(names.len(), 2);
    assert!(names.contains(&(
        "db.default.default.us.external.east.consul".to_owned(),
        "DB.default.default.us.external.east.consul".to_owned()
    )));
}

#[test]
fn without_anything_to_pass_there_is_no_listener() {
    let mut world = World::new();
    world.put([node(None, "n1", "10.0.0.1"), row(gateway("n1", 8443))]);
    assert_view(
        view_of(&world).as_ref(),
        "identity spiffe://local.consul/gateway/mesh/dc/dc1",
    );
}

#[test]
fn a_sidecar_in_local_mode_presents_an_sni_that_its_gateway_knows() {
    let mut world = start();
    world.put([
        node(Some("east"), "g1", "192.0.2.1"),
        row(import(
            "east",
            "g1",
            "db",
            ("198.51.100.1", 8443),
            meta("db", "us", "east.consul"),
        )),
        row(sidecar(
            "n1",
            "web",
            20000,
            vec![via(GatewayMode::Local, upstream("db", Some("east"), 5432))],
        )),
    ]);
    let mut mesh = Mesh::new(world.shared());
    let sidecar = mesh.watch(&instance_key("n1", "web-sidecar-proxy")).unwrap();
    let presented: Vec<&String> = sidecar
        .fragments
        .iter()
        .filter_map(|fragment| match &**fragment {
            Fragment::Cluster(cluster) => cluster.tls.as_ref().map(|tls| &tls.sni),
            _ => None,
        })
        .collect();
    let names = server_names(&mesh.watch(&instance_key("n1", "gateway")).unwrap());
    assert_eq!(presented.len(), 1);
    assert!(
        names
            .iter()
            .any(|(name, cluster)| name == presented[0] && cluster == presented[0])
    );
}
