//! What listeners tell about their traffic.

use super::world::*;
use crate::{AccessLog, Fragment, Mesh, Telemetry, View};
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
        };
        for (_, view) in changed {
            assert!(telemetries(view).iter().all(|now| *now == expected));
        }
    }
}
