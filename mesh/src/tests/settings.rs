//! What is said about how the proxies of a service take calls and call others.

use super::world::*;
use crate::{Cluster, Fragment, Listener, Mesh, View};
use peerway_model::PeeringState;
use peerway_model::config::{
    Inbound, Limits, PassiveHealthCheck, TlsBounds, TlsVersion, UpstreamSettings, Upstreams,
};
use peerway_model::instance::GatewayMode;
use std::sync::Arc;

/// `web`, which calls `api`, the `api` of `west`, and `db`.
fn world() -> World {
    let mut world = World::new();
    world.put([
        node(None, "n1", "10.0.0.1"),
        row(app("n1", "web", 80)),
        row(sidecar(
            "n1",
            "web",
            20_000,
            vec![
                upstream("api", None, 5_000),
                upstream("api", Some("west"), 5_001),
                via(GatewayMode::Remote, upstream("db", Some("west"), 5_002)),
            ],
        )),
        peering("west", PeeringState::Active),
        bundle("west", "west.consul", &["P1"]),
        node(Some("west"), "g", "192.0.2.1"),
        row(import(
            "west",
            "g",
            "api",
            ("198.51.100.1", 8443),
            meta("api", "us", "west.consul"),
        )),
        row(import(
            "west",
            "g",
            "db",
            ("198.51.100.1", 8443),
            meta("db", "us", "west.consul"),
        )),
    ]);
    world
}

fn view(world: &World) -> Arc<View> {
    let mut mesh = Mesh::new(world.shared());
    mesh.watch(&instance_key("n1", "web-sidecar-proxy")).unwrap()
}

fn cluster<'a>(view: &'a View, begin: &str) -> &'a Cluster {
    let found = view.fragments.iter().find_map(|fragment| match &**fragment {
        Fragment::Cluster(cluster) if cluster.name.starts_with(begin) => Some(cluster),
        _ => None,
    });
    found.unwrap()
}

fn listener<'a>(view: &'a View, begin: &str) -> &'a Listener {
    let found = view.fragments.iter().find_map(|fragment| match &**fragment {
        Fragment::Listener(listener) if listener.name.starts_with(begin) => Some(listener),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn one_upstream_may_have_settings_of_its_own() {
    let mut world = world();
    let limits = |max| Limits {
        max_connections: Some(max),
        ..Limits::default()
    };
    let all = UpstreamSettings {
        limits: Some(limits(1)),
        mesh_gateway: Some(GatewayMode::Local),
        exact_balance: true,
        passive_health_check: Some(PassiveHealthCheck {
            max_ejection_percent: Some(50),
            ..PassiveHealthCheck::default()
        }),
        ..UpstreamSettings::default()
    };
    let own = UpstreamSettings {
        connect_timeout_ms: Some(1_000),
        limits: Some(limits(2)),
        ..UpstreamSettings::default()
    };
    world.put([
        settings(
            "web",
            None,
            Inbound::default(),
            Upstreams {
                defaults: all,
                overrides: vec![about("api", Some("west"), own)],
            },
        ),
        row(gateway("n1", 8_443)),
    ]);
    let view = view(&world);
    let (local, theirs) = (
        cluster(&view, "api.default.dc1"),
        cluster(&view, "api.default.west"),
    );
    assert_eq!((local.connect_timeout_ms, local.terms.limits), (5_000, limits(1)));
    assert_eq!(
        (theirs.connect_timeout_ms, theirs.terms.limits),
        (1_000, limits(2))
    );
    // Nobody knows how instances behind a peer's gateways are: all of these may be left out.
    assert_eq!(
        (local.max_ejection_percent, theirs.max_ejection_percent),
        (Some(50), Some(100))
    );
    // What is local goes through a gateway of ours, unless the registration of the upstream says otherwise.
    assert!(!theirs.keepalive && cluster(&view, "db.default.west").keepalive);
    assert!(listener(&view, "api:").intake.exact_balance);
}

#[test]
fn a_service_says_how_its_proxies_take_calls() {
    let mut world = world();
    let inbound = Inbound {
        max_connections: Some(9),
        connect_timeout_ms: Some(250),
        request_timeout_ms: Some(3_000),
        exact_balance: true,
    };
    world.put([settings("web", None, inbound, Upstreams::default())]);
    world.put([all_take("7")]);
    let view = view(&world);
    assert_eq!(cluster(&view, "local_app").connect_timeout_ms, 250);
    let intake = listener(&view, "public_listener").intake;
    assert_eq!((intake.max_connections, intake.exact_balance), (Some(9), true));
    assert!(!listener(&view, "api:").intake.exact_balance);
}

#[test]
fn a_mesh_says_which_tls_is_spoken() {
    let mut world = world();
    let newer = TlsBounds {
        min: Some(TlsVersion::V1_3),
        ..TlsBounds::default()
    };
    world.put([mesh_tls(newer.clone(), TlsBounds::default())]);
    let incoming = view(&world);
    let chain = &listener(&incoming, "public_listener").chains[0];
    assert_eq!(chain.tls.as_ref().unwrap().bounds, newer);
    let spoken = |view: &View, name: &str| cluster(view, name).tls.as_ref().unwrap().bounds.clone();
    assert_eq!(spoken(&incoming, "api.default.dc1"), TlsBounds::default());
    world.put([mesh_tls(TlsBounds::default(), newer.clone())]);
    let outgoing = view(&world);
    for name in ["api.default.dc1", "api.default.west", "db.default.west"] {
        assert_eq!(spoken(&outgoing, name), newer);
    }
}

#[test]
fn all_services_may_be_told_how_to_take_calls() {
    let mut world = world();
    world.put([all_take("7")]);
    let view = view(&world);
    assert_eq!(cluster(&view, "local_app").connect_timeout_ms, 7);
    assert_eq!(listener(&view, "public_listener").intake.max_connections, Some(7));
}
