//! The labels of Envoy's statistics say who called whom.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "chains/three.rs"]
#[allow(dead_code, reason = "one call is enough here")]
mod three;

use peerway_cli::demo::envoy::Envoy;
use peerway_cli::demo::story;
use peerway_tests::{ENVOY_ENV, TestStage};
use serde_json::json;
use three::Three;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");

/// Some line of the metric has all of these labels.
#[track_caller]
fn has(envoy: &Envoy, metric: &str, labels: &[(&str, &str)]) {
    let all = envoy.ask("/stats/prometheus").unwrap();
    let lines: Vec<&str> = all
        .lines()
        .filter(|line| line.starts_with(&format!("{metric}{{")))
        .collect();
    let fits = |line: &&str| {
        labels
            .iter()
            .all(|(name, value)| line.contains(&format!("{name}=\"{value}\"")))
    };
    assert!(
        lines.iter().any(fits),
        "{metric} with {labels:?} is not among {lines:#?}"
    );
}

#[test]
fn statistics_are_labelled_with_source_and_destination() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let scene = story::set(&test.stage).unwrap();
    story::introduce(&scene).unwrap();
    story::allow(&scene).unwrap();
    let source = [
        ("consul_source_service", "web"),
        ("consul_source_datacenter", "east"),
        ("local_cluster", "web"),
    ];
    let peered = [
        ("consul_destination_service", "api"),
        ("consul_destination_namespace", "default"),
        ("consul_destination_peer", "west"),
        ("consul_destination_routing_type", "external"),
    ];
    has(
        &scene.web,
        "envoy_cluster_upstream_cx_total",
        &[&source[..], &peered[..]].concat(),
    );
    let dialled = [
        ("consul_upstream_service", "api"),
        ("consul_upstream_peer", "west"),
    ];
    has(&scene.web, "envoy_tcp_downstream_cx_total", &dialled);
    // On a gateway of the importer the name is that of the exporter: its name for the importer is the peer.
    has(
        &scene.east_gateway,
        "envoy_cluster_upstream_cx_total",
        &[
            ("consul_destination_service", "api"),
            ("consul_destination_peer", "east"),
        ],
    );
    let exported = [
        ("consul_destination_service", "api"),
        ("consul_destination_datacenter", "west"),
        ("consul_destination_routing_type", "internal"),
    ];
    has(&scene.west_gateway, "envoy_cluster_upstream_cx_total", &exported);
    test.finish().unwrap();
}

#[test]
fn requests_are_labelled_like_connections() {
    let three = Three::start(ENVOY_ENV);
    three.says(
        &json!({"Kind": "service-resolver", "Name": "api", "Redirect": {"Service": "api", "Peer": "west"}}),
    );
    three.wait_answer("west", "/");
    let dialled = [
        ("local_cluster", "web"),
        ("consul_upstream_service", "api"),
        ("consul_upstream_namespace", "default"),
        ("consul_upstream_datacenter", "home"),
    ];
    has(&three.web, "envoy_http_downstream_rq_total", &dialled);
    three.finish();
}
