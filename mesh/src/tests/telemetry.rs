//! What listeners tell about their traffic.

use super::world::*;
use crate::{AccessLog, Discovery, Fragment, Mesh, TRACE_COLLECTOR, Telemetry, Tracing, View};
use peerway_model::PeeringState;
use peerway_model::config::{AccessLogs, LogFormat, LogSink};
use std::sync::Arc;

fn telemetries(view: Option<Arc<View>>) -> Vec<Telemetry> {
    let view = view.expect("a view");
    let listeners = view.fragments.iter().filter_map(|fragment| match &**fragment {
        Fragment::Listener(listener) => Some(listener.telemetry.clone()),
        _ => None,
    });
    listeners.collect()
}

#[test]
fn every_listener_writes_what_the_defaults_of_all_proxies_say() {
    let mut world = World::new();
    world.put([
        node(None, "n1", "10.0.0.1"),
        row(gateway("n1", 8443)),
        row(app("n1", "web", 8080)),
        row(sidecar("n1", "web", 20000, vec![upstream("web", None, 5432)])),
        // Without an export the gateway has no listener.
        peering("east", PeeringState::Active),
        exports(&[("web", &["east"])]),
    ]);
    let mut mesh = Mesh::new(world.shared());
    let proxies = ["web-sidecar-proxy", "gateway"].map(|id| instance_key("n1", id));
    let before: Vec<Telemetry> = proxies
        .iter()
        .flat_map(|proxy| telemetries(mesh.watch(proxy)))
        .collect();
    assert_eq!(before, vec![Telemetry::default(); 3]);
    for (enabled, disable_listener_logs) in [(true, false), (true, true), (false, false)] {
        let changes = world.put([logs(AccessLogs {
            enabled,
            disable_listener_logs,
            sink: LogSink::File("/log".to_owned()),
            format: LogFormat::Text("%PROTOCOL%".to_owned()),
        })]);
        let changed = mesh.update(world.shared(), &changes);
        assert_eq!(changed.len(), 2);
        let expected = Telemetry {
            access_log: enabled.then(|| AccessLog {
                unmatched: !disable_listener_logs,
                sink: LogSink::File("/log".to_owned()),
                format: LogFormat::Text("%PROTOCOL%".to_owned()),
            }),
            tracing: None,
        };
        for (_, view) in changed {
            assert!(telemetries(view).iter().all(|now| *now == expected));
        }
    }
}

#[test]
fn every_listener_reports_for_the_service_that_its_proxy_stands_for() {
    let mut world = World::new();
    world.put([
        node(None, "n1", "10.0.0.1"),
        row(gateway("n1", 8443)),
        row(app("n1", "web", 8080)),
        row(sidecar("n1", "web", 20000, vec![upstream("web", None, 5432)])),
        // Without an export the gateway has no listener.
        peering("east", PeeringState::Active),
        exports(&[("web", &["east"])]),
        traces(Some(25)),
    ]);
    let mut mesh = Mesh::new(world.shared());
    for (id, service, listeners) in [("web-sidecar-proxy", "web", 2), ("gateway", "mesh-gateway", 1)] {
        let view = mesh.watch(&instance_key("n1", id));
        let collector = view
            .as_ref()
            .unwrap()
            .fragments
            .iter()
            .find_map(|fragment| match &**fragment {
                Fragment::Cluster(cluster) if cluster.name == TRACE_COLLECTOR => Some(cluster.clone()),
                _ => None,
            });
        let collector = collector.expect("where traces go");
        assert!(
            matches!(collector.discovery, Discovery::Dns(_)),
            "it has a host name"
        );
        assert!(collector.protocol.is_http2());
        let expected = Telemetry {
            tracing: Some(Tracing {
                service: service.to_owned(),
                sampling: 25,
            }),
            ..Telemetry::default()
        };
        assert_eq!(telemetries(view), vec![expected; listeners]);
    }
    let changes = world.put([traces(None)]);
    for (_, view) in mesh.update(world.shared(), &changes) {
        let view = view.unwrap();
        assert!(
            view.fragments
                .iter()
                .all(|fragment| fragment.name() != TRACE_COLLECTOR)
        );
        assert!(
            telemetries(Some(view))
                .iter()
                .all(|now| *now == Telemetry::default())
        );
    }
}
