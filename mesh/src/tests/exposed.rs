//! Paths that sidecars pass to their applications from outside the mesh.

use super::render::view;
use super::sidecar::view_of;
use super::world::*;
use crate::{CallerHeader, Fragment, Listener, Routes, Traffic};
use peerway_model::config::{AccessLogs, PathTest, Protocol, ProxyDefaults};
use peerway_model::instance::Opaque;
use peerway_model::{ConfigEntry, ExposedPath, Instance, Proxy, SidecarSettings};
use peerway_state::Row;
use std::collections::BTreeMap;
use std::sync::Arc;

fn health() -> ExposedPath {
    exposed_path("/health", 8_080, 9_100, Protocol::Http)
}

fn exposing(paths: &[ExposedPath]) -> SidecarSettings {
    SidecarSettings {
        exposed: paths.to_vec(),
        ..SidecarSettings::default()
    }
}

/// A sidecar of web on n1 that dials api on its port 1.
fn web(own: SidecarSettings) -> World {
    let mut world = World::new();
    world.put([
        roots("A"),
        node(None, "n1", "10.0.0.1"),
        row(app("n1", "web", 8_080)),
        row(saying(
            own,
            sidecar("n1", "web", 20_000, vec![upstream("api", None, 1)]),
        )),
    ]);
    world
}

fn listener(world: &World, name: &str) -> Option<Listener> {
    let view = view_of(world, "n1", "web-sidecar-proxy").unwrap();
    view.fragments.iter().find_map(|fragment| match &**fragment {
        Fragment::Listener(listener) if listener.name == name => Some(listener.clone()),
        _ => None,
    })
}

const HEALTH: &str = "exposed_path_health:0.0.0.0:9100";

#[test]
fn a_path_is_passed_without_a_certificate_and_nothing_else_is() {
    let world = web(exposing(&[health()]));
    let listener = listener(&world, HEALTH).unwrap();
    let [chain] = listener.chains.as_slice() else {
        panic!("{listener:?}");
    };
    assert!(chain.tls.is_none() && chain.serving.is_none());
    let Traffic::Http(http) = &chain.traffic else {
        panic!("{chain:?}");
    };
    // Whoever asks is nobody in the mesh, whatever he writes.
    assert_eq!(http.caller_header, CallerHeader::Outside);
    assert!(http.policy.is_none());
    let Routes::Inline(table) = &http.routes else {
        panic!("{http:?}");
    };
    let routes: Vec<_> = table.hosts.iter().flat_map(|host| &host.routes).collect();
    let [route] = routes.as_slice() else {
        panic!("{table:?}");
    };
    assert_eq!(route.request.path, PathTest::Exact("/health".to_owned()));
    assert_eq!(route.legs[0].cluster, "exposed_cluster_8080");
    let text = view(&view_of(&world, "n1", "web-sidecar-proxy").unwrap());
    assert!(
        text.contains("cluster exposed_cluster_8080 http static 127.0.0.1:8080"),
        "{text}"
    );
}

#[test]
fn one_port_of_the_application_in_two_protocols_is_two_clusters() {
    let metrics = exposed_path("/metrics", 8_080, 9_101, Protocol::Http2);
    let again = exposed_path("/ready", 8_080, 9_102, Protocol::Http);
    let world = web(exposing(&[health(), metrics, again]));
    let text = view(&view_of(&world, "n1", "web-sidecar-proxy").unwrap());
    assert_eq!(text.matches("cluster exposed_cluster_8080 ").count(), 1, "{text}");
    assert_eq!(
        text.matches("cluster exposed_cluster_8080_http2 ").count(),
        1,
        "{text}"
    );
}

#[test]
fn the_nearest_says_which_paths_and_a_change_counts() {
    let mut world = web(SidecarSettings::default());
    assert!(listener(&world, HEALTH).is_none());
    world.put([said(None, exposing(&[health()]))]);
    assert!(listener(&world, HEALTH).is_some());
    let live = exposed_path("/live", 8_080, 9_101, Protocol::Http);
    world.put([said(Some("web"), exposing(&[live]))]);
    assert!(listener(&world, HEALTH).is_none());
    assert!(listener(&world, "exposed_path_live:0.0.0.0:9101").is_some());
    world.put([
        said(Some("api"), exposing(&[health()])),
        said(Some("web"), exposing(&[])),
    ]);
    assert!(
        listener(&world, HEALTH).is_some(),
        "the defaults of all count again"
    );
}

#[test]
fn a_port_that_is_used_for_something_else_stays_what_it_is() {
    let mut world = web(SidecarSettings::default());
    let taken = [
        exposed_path("/public", 8_080, 20_000, Protocol::Http),
        exposed_path("/upstream", 8_080, 1, Protocol::Http),
        exposed_path("/outbound", 8_080, 15_002, Protocol::Http),
        health(),
    ];
    let settings = SidecarSettings {
        outbound_port: Some(15_002),
        exposed: taken.to_vec(),
        ..redirected(false)
    };
    world.put([said(Some("web"), settings.clone())]);
    let text = view(&view_of(&world, "n1", "web-sidecar-proxy").unwrap());
    assert_eq!(text.matches("listener exposed_path_").count(), 1, "{text}");
    assert!(text.contains(HEALTH), "{text}");
    for there in [
        "public_listener:0.0.0.0:20000",
        "outbound_listener:127.0.0.1:15002",
    ] {
        assert!(text.contains(there), "{there}: {text}");
    }
    // Nothing is redirected any more, so that port is free.
    let settings = SidecarSettings {
        mode: None,
        ..settings
    };
    world.put([said(Some("web"), settings)]);
    assert!(listener(&world, "exposed_path_outbound:0.0.0.0:15002").is_some());
}

#[test]
fn a_port_for_statistics_may_be_said_for_all() {
    let bound = |port: u16| {
        let address = Opaque::Text(format!("0.0.0.0:{port}"));
        Row::Config(Arc::new(ConfigEntry::ProxyDefaults(ProxyDefaults {
            config: BTreeMap::from([("envoy_prometheus_bind_addr".to_owned(), address)]),
            ..ProxyDefaults::default()
        })))
    };
    let mut world = web(exposing(&[health()]));
    world.put([bound(9_100)]);
    assert!(listener(&world, HEALTH).is_none());
    world.put([bound(9_102)]);
    assert!(listener(&world, HEALTH).is_some());
}

#[test]
fn it_listens_and_dials_where_the_sidecar_does() {
    let mut world = web(SidecarSettings::default());
    let sidecar = sidecar("n1", "web", 20_000, vec![]);
    let proxy = sidecar.proxy.clone().map(|proxy| Proxy {
        local_address: Some("app.example.com".to_owned()),
        sidecar: exposing(&[health()]),
        ..proxy
    });
    world.put([row(Instance {
        address: "10.0.0.9".to_owned(),
        proxy,
        ..sidecar
    })]);
    let text = view(&view_of(&world, "n1", "web-sidecar-proxy").unwrap());
    assert!(
        text.contains("listener exposed_path_health:10.0.0.9:9100"),
        "{text}"
    );
    assert!(text.contains("app.example.com:8080"), "{text}");
}

#[test]
fn it_writes_the_logs_that_all_write_and_is_no_part_of_traces() {
    let mut world = web(exposing(&[health()]));
    world.put([traces(Some(10_000))]);
    assert_eq!(listener(&world, HEALTH).unwrap().telemetry.tracing, None);
    world.put([logs(AccessLogs {
        enabled: true,
        ..AccessLogs::default()
    })]);
    assert!(listener(&world, HEALTH).unwrap().telemetry.access_log.is_some());
}

#[test]
fn sidecars_that_expose_the_same_share_it() {
    let mut world = web(SidecarSettings::default());
    world.put([
        node(None, "n2", "10.0.0.2"),
        row(sidecar("n2", "api", 20_000, vec![])),
        said(None, exposing(&[health()])),
    ]);
    let mut mesh = crate::Mesh::new(world.shared());
    let [one, other] = [("n1", "web-sidecar-proxy"), ("n2", "api-sidecar-proxy")]
        .map(|(node, id)| mesh.watch(&instance_key(node, id)).unwrap());
    let of = |view: &crate::View| {
        let found = view.fragments.iter().find(|fragment| fragment.name() == HEALTH);
        found.cloned().unwrap()
    };
    assert!(Arc::ptr_eq(&of(&one), &of(&other)));
}
