//! Sidecars that calls are redirected to.

use super::entries::redirect;
use super::render::view;
use super::sidecar::view_of;
use super::world::*;
use peerway_model::{Instance, PeeringState, ProxyMode, SidecarSettings};
use peerway_state::Row;

/// A transparent sidecar of web on n1; api has one on n2, which may be dialled itself or not.
fn web(api_is_open: bool) -> World {
    let api = sidecar("n2", "api", 20_001, vec![]);
    let api: Instance = if api_is_open { transparent(true, api) } else { api };
    let mut world = World::new();
    world.put([
        roots("A"),
        node(None, "n1", "10.0.0.1"),
        node(None, "n2", "10.0.0.2"),
        row(app("n1", "web", 8080)),
        row(transparent(false, sidecar("n1", "web", 20_000, vec![]))),
        row(api),
    ]);
    world
}

fn text(world: &World) -> String {
    view(&view_of(world, "n1", "web-sidecar-proxy").unwrap())
}

fn outbound(world: &World) -> Vec<String> {
    let text = text(world);
    let (_, rest) = text
        .split_once("listener outbound_listener:127.0.0.1:15001 Outbound\n")
        .unwrap();
    rest.lines()
        .take_while(|line| line.starts_with("  "))
        .map(|line| line.trim().to_owned())
        .collect()
}

fn address(world: &World, peer: Option<&str>, service: &str) -> String {
    let key = service_key(service, peer);
    world.snapshot.virtual_address(&key).unwrap().address.to_string()
}

#[test]
fn every_service_of_the_mesh_is_there_under_its_address_and_the_rest_passes() {
    let world = web(false);
    let (own, api) = (address(&world, None, "web"), address(&world, None, "api"));
    assert_eq!(
        outbound(&world),
        [
            format!("[{api}] -> api.default.dc1.internal.local.consul as upstream.api.default.default.dc1"),
            format!("[{own}] -> web.default.dc1.internal.local.consul as upstream.web.default.default.dc1"),
            "any -> original-destination as original-destination".to_owned(),
        ]
    );
    let text = text(&world);
    for needed in [
        "cluster original-destination original 5000ms",
        "cluster api.default.dc1.internal.local.consul eds",
        "endpoints api.default.dc1.internal.local.consul\n  10.0.0.2:20001 up 1",
        "validation roots~local",
    ] {
        assert!(text.contains(needed), "{needed} is missing in\n{text}");
    }
}

#[test]
fn a_mesh_that_keeps_to_itself_passes_nothing_on() {
    let mut world = web(false);
    world.put([mesh_only(true)]);
    assert!(!text(&world).contains("original-destination"), "{}", text(&world));
    assert_eq!(outbound(&world).len(), 2);
    world.put([mesh_only(false)]);
    assert!(text(&world).contains("cluster original-destination"));
}

#[test]
fn an_instance_that_lets_itself_be_dialled_is_there_under_its_own_address_too() {
    let world = web(true);
    let direct =
        "[10.0.0.2] -> passthrough~api.default.dc1.internal.local.consul as upstream.api.default.default.dc1";
    assert!(
        outbound(&world).contains(&direct.to_owned()),
        "{:?}",
        outbound(&world)
    );
    let text = text(&world);
    let (_, cluster) = text
        .split_once("cluster passthrough~api.default.dc1.internal.local.consul original 5000ms\n")
        .unwrap();
    assert!(
        cluster.starts_with("  tls api.default.dc1.internal.local.consul by roots~local\n  to spiffe://local.consul/ns/default/dc/dc1/svc/api"),
        "{cluster}"
    );
}

#[test]
fn whether_calls_are_redirected_may_be_said_elsewhere() {
    let mode = |mode| SidecarSettings {
        mode: Some(mode),
        ..SidecarSettings::default()
    };
    let mut world = web(false);
    world.put([row(sidecar("n1", "web", 20_000, vec![]))]);
    assert!(!text(&world).contains("outbound_listener"), "{}", text(&world));
    world.put([said(None, mode(ProxyMode::Transparent))]);
    assert_eq!(outbound(&world).len(), 3);
    world.put([said(Some("web"), mode(ProxyMode::Direct))]);
    assert!(!text(&world).contains("outbound_listener"));
    let elsewhere = SidecarSettings {
        outbound_port: Some(15_002),
        ..SidecarSettings::default()
    };
    world.put([said(Some("web"), elsewhere)]);
    assert!(text(&world).contains("listener outbound_listener:127.0.0.1:15002 Outbound"));
    let own = saying(mode(ProxyMode::Direct), sidecar("n1", "web", 20_000, vec![]));
    world.put([row(own)]);
    assert!(!text(&world).contains("outbound_listener"));
}

#[test]
fn that_instances_let_themselves_be_dialled_may_be_said_elsewhere() {
    let mut world = web(false);
    let text = |world: &World| outbound(world).join("\n");
    assert!(!text(&world).contains("[10.0.0.2]"));
    world.put([said(Some("api"), redirected(true))]);
    assert!(
        text(&world).contains("[10.0.0.2] -> passthrough~api"),
        "{}",
        text(&world)
    );
    // Nobody dials an instance to which nothing is redirected.
    let open = SidecarSettings {
        mode: Some(ProxyMode::Direct),
        ..redirected(true)
    };
    world.put([said(Some("api"), open)]);
    assert!(!text(&world).contains("[10.0.0.2]"));
}

#[test]
fn an_instance_is_verified_though_its_service_leads_to_a_peer() {
    let mut world = web(true);
    world.put([
        peering("east", PeeringState::Active),
        bundle("east", "east.consul", &["P1"]),
        redirect("web", "web@east"),
        redirect("api", "api@east"),
    ]);
    let text = text(&world);
    assert!(
        text.contains("tls api.default.dc1.internal.local.consul by roots~local"),
        "{text}"
    );
    assert!(text.contains("validation roots~local"), "{text}");
}

#[test]
fn services_of_peers_are_there_while_it_is_known_who_the_peer_is() {
    let mut world = web(false);
    let east: [Row; 4] = [
        peering("east", PeeringState::Active),
        bundle("east", "east.consul", &["P1"]),
        node(Some("east"), "g", "192.0.2.1"),
        row(import(
            "east",
            "g",
            "db",
            ("198.51.100.1", 8443),
            meta("db", "us", "east.consul"),
        )),
    ];
    world.put(east);
    let db = address(&world, Some("east"), "db");
    let chain = format!("[{db}] -> db.default.east.external.east.consul as upstream_peered.db.default.east");
    assert!(outbound(&world).contains(&chain), "{:?}", outbound(&world));
    assert!(
        text(&world).contains("endpoints db.default.east.external.east.consul\n  198.51.100.1:8443 up 1")
    );
    world.put([peering("east", PeeringState::Terminated)]);
    assert!(!text(&world).contains("east.consul"), "{}", text(&world));
}
