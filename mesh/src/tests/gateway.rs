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

const EAST: &str = "server.dc9.peering.east.consul";

#[test]
fn servers_are_reached_through_a_gateway_only_when_the_mesh_entry_says_so() {
    let mut world = World::new();
    world.put([
        node(None, "n1", "10.0.0.1"),
        node(None, "n2", "10.0.0.2"),
        row(gateway("n1", 8443)),
        server("n1", Some(8503)),
        // No peering endpoint, and none that can be understood.
        server("n2", None),
        dialling("east", EAST, &["198.51.100.1:8503", "[2001:db8::1]:8503"], &[]),
        dialling(
            "west",
            "Server.dc8.peering.west.consul",
            &["198.51.100.2:8503"],
            &["b.example:443", "a.example:443", "192.0.2.1:1", "a.example:443"],
        ),
        peering("north", PeeringState::Active),
    ]);
    let nothing = "identity spiffe://local.consul/gateway/mesh/dc/dc1";
    assert_view(view_of(&world).as_ref(), nothing);
    world.put([through_gateways(true)]);
    assert_view(
        view_of(&world).as_ref(),
        r"
        identity spiffe://local.consul/gateway/mesh/dc/dc1
        cluster server.dc1.peering.local.consul eds 5000ms eject 10%
        cluster server.dc8.peering.west.consul dns 192.0.2.1:1 up 1 a.example:443 up 1 b.example:443 up 1 5000ms eject 10% keepalive
        cluster server.dc9.peering.east.consul eds 5000ms eject 10% keepalive
        endpoints server.dc1.peering.local.consul
          10.0.0.1:8503 up 1
        endpoints server.dc9.peering.east.consul
          198.51.100.1:8503 up 1
          2001:db8::1:8503 up 1
        listener default:0.0.0.0:8443 Unspecified
          server.dc1.peering.local.consul -> server.dc1.peering.local.consul as mesh_gateway_local_peering_server.default.dc1
          server.dc8.peering.west.consul -> server.dc8.peering.west.consul as mesh_gateway_remote_peering_servers.server.dc8.peering.west.consul
          server.dc9.peering.east.consul -> server.dc9.peering.east.consul as mesh_gateway_remote_peering_servers.server.dc9.peering.east.consul
        ",
    );
    world.put([through_gateways(false)]);
    assert_view(view_of(&world).as_ref(), nothing);
}

#[test]
fn of_peerings_with_the_same_servers_the_one_changed_last_says_where_they_are() {
    let mut world = World::new();
    world.put([
        node(None, "n1", "10.0.0.1"),
        row(gateway("n1", 8443)),
        through_gateways(true),
    ]);
    let members = |world: &World| {
        let view = view_of(world).unwrap();
        let found = view.fragments.iter().find_map(|fragment| match &**fragment {
            Fragment::Endpoints(endpoints) if endpoints.cluster == EAST => Some(endpoints.members.clone()),
            _ => None,
        });
        let address = |member: &crate::Endpoint| member.address.address.clone();
        found.unwrap().iter().map(address).collect::<Vec<String>>()
    };
    world.put([dialling("west", EAST, &["198.51.100.1:8503"], &[])]);
    world.put([dialling("east", EAST, &["198.51.100.2:8503"], &[])]);
    assert_eq!(members(&world), ["198.51.100.2"]);
    world.put([dialling("west", EAST, &["198.51.100.3:8503"], &[])]);
    assert_eq!(members(&world), ["198.51.100.3"]);
    // It has no address any more, so the other one counts.
    world.put([dialling("west", EAST, &[], &[])]);
    assert_eq!(members(&world), ["198.51.100.2"]);
}

#[test]
fn what_a_token_calls_a_server_takes_no_name_of_ours() {
    let mut world = start();
    world.put([through_gateways(true), server("n1", Some(8503))]);
    let honest = view_of(&world);
    for name in [
        "web.default.dc1.internal.local.consul",
        "server.dc1.peering.local.consul",
        "SERVER.dc1.peering.LOCAL.consul",
        "server.dc2.peering.local.consul",
        "server.*.peering.east.consul",
        "*.peering.east.consul",
        "",
    ] {
        world.put([dialling("west", name, &["198.51.100.1:8503"], &[])]);
        assert_eq!(view_of(&world), honest, "{name}");
    }
    for address in [
        "",
        "198.51.100.1",
        "198.51.100.1:0",
        "[::1:80",
        "a b:1",
        "*:1",
        "::1:80",
    ] {
        world.put([dialling("west", EAST, &[address], &[])]);
        assert_eq!(view_of(&world), honest, "{address}");
    }
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
fn what_is_not_exported_cannot_be_reached_through_a_gateway() {
    assert_view(
        view_of(&start()).as_ref(),
        "identity spiffe://local.consul/gateway/mesh/dc/dc1",
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
        endpoints exported~web.default.dc1.internal.local.consul
          10.0.0.1:20000 up 1
          10.0.0.2:20000 down 1
        listener default:10.0.0.9:8443 Unspecified
          web.default.default.east.external.local.consul,web.default.default.west.external.local.consul -> exported~web.default.dc1.internal.local.consul as mesh_gateway_local_peered.web.default.default.dc1
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
        endpoints db.default.default.us.external.east.consul
          198.51.100.1:8443 up 1
        listener default:10.0.0.9:8443 Unspecified
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
        exports(&[("*", &["east"])]),
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

#[test]
fn a_peer_reaches_only_what_its_token_lists() {
    let mut world = start();
    world.put([
        row(sidecar("n1", "plain", 20010, vec![])),
        exports(&[("web", &["east", "west"]), ("plain", &["east"])]),
    ]);
    let outer = |world: &World| {
        let names = server_names(&view_of(world).unwrap()).into_iter();
        let names = names.filter(|(name, _)| name.contains(".external."));
        names.map(|(name, _)| name).collect::<Vec<String>>()
    };
    let all = outer(&world);
    assert_eq!(all.len(), 3, "{all:?}");
    world.put([grants("east", Some(&["web"]))]);
    let bound: BTreeSet<String> = outer(&world).into_iter().collect();
    let kept: BTreeSet<String> = all
        .iter()
        .filter(|name| !name.starts_with("plain."))
        .cloned()
        .collect();
    assert_eq!(bound, kept);
    world.put([grants("east", None)]);
    assert_eq!(outer(&world), all);
}
