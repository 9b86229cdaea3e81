//! Peerway against a peer that shares no code with it: tests/foreign plays acceptor and dialer in Python, with a
//! schema, TLS and gRPC of its own (wire facts, section 13).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use peerway_cli::demo::cluster::Cluster;
use peerway_tests::{ENVOY_ENV, TestStage, foreign_python};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");

/// Plays a scene to its end; what was checked. Panics with the first expectation that did not hold.
fn play(scene: &str, arguments: &Value) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign");
    let output = Command::new(foreign_python().unwrap())
        // No compiled files in the source tree.
        .arg("-B")
        .arg(folder.join("foreign.py"))
        .arg(scene)
        .arg(arguments.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    let mut checks = Vec::new();
    for line in printed.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{scene} printed {line:?}"));
        if let Some(check) = line["check"].as_str() {
            checks.push(check.to_owned());
        } else if let Some(why) = line["failed"].as_str() {
            panic!(
                "{scene} failed: {why}\n  at {}\n  after {checks:#?}\n{complaints}",
                line["where"]
            );
        } else {
            assert_eq!(line["done"], json!(checks.len()), "{scene} printed {printed}");
            assert!(
                output.status.success(),
                "{scene}: {}\n{complaints}",
                output.status
            );
            return checks;
        }
    }
    panic!(
        "{scene} ended without a verdict ({}): {complaints}",
        output.status
    );
}

/// Plays scenes against one cluster; each has to check at least so many things.
fn against(cluster: &Cluster, scenes: &[(&str, usize)]) {
    let arguments = json!({"http": cluster.http.to_string(), "datacenter": cluster.name});
    // Side by side: most of a scene is waiting for a pause of the dialer or a heartbeat.
    std::thread::scope(|scope| {
        for (scene, expected) in scenes {
            let arguments = &arguments;
            scope.spawn(move || {
                let checks = play(scene, arguments);
                assert!(checks.len() >= *expected, "{scene} checked only {checks:#?}");
            });
        }
    });
}

#[test]
fn a_foreign_acceptor_is_dialled_as_the_protocol_says() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let east = Cluster::start(&test.stage, "east").unwrap();
    against(
        &east,
        &[
            ("accepting.opening", 6),
            ("accepting.importing", 14),
            ("accepting.followers", 1),
            ("accepting.ending", 3),
            ("accepting.unexpected_ends", 7),
            ("accepting.restart", 3),
            ("accepting.moved", 1),
            ("accepting.tokens", 4),
        ],
    );
    assert!(east.process.is_running(), "{}", east.process.tail(10));
}

#[test]
fn a_foreign_dialer_is_served_as_the_protocol_says() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let west = Cluster::start(&test.stage, "west").unwrap();
    let token = west.cli(&["peering", "generate-token", "-name=told"]).unwrap();
    let arguments = json!({"http": west.http.to_string(), "datacenter": west.name, "token": token});
    assert_eq!(play("dialing.token", &arguments).len(), 5);
    against(
        &west,
        &[
            ("dialing.refusals", 10),
            ("dialing.opening", 5),
            ("dialing.exporting", 18),
            ("dialing.ending", 2),
            ("extension.announced", 5),
            ("extension.old", 1),
        ],
    );
    assert!(west.process.is_running(), "{}", west.process.tail(10));
}

#[test]
fn a_foreign_dialer_that_keeps_an_old_root_is_served_after_rotations() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let west = Cluster::start(&test.stage, "west").unwrap();
    against(&west, &[("rotating.bridged", 6)]);
    assert!(west.process.is_running(), "{}", west.process.tail(10));
}

#[test]
fn a_foreign_dialer_is_held_to_the_limits_of_its_token() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let west = Cluster::start(&test.stage, "west").unwrap();
    against(
        &west,
        &[
            ("tokens.expired", 3),
            ("tokens.revoked", 5),
            ("tokens.bound", 2),
            ("tokens.twice", 1),
            ("tokens.reissued", 4),
        ],
    );
    assert!(west.process.is_running(), "{}", west.process.tail(10));
}

#[test]
fn a_rogue_that_dials_harms_nobody() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let west = Cluster::start(&test.stage, "west").unwrap();
    against(&west, &[("hazards.dialed", 9)]);
    assert!(west.process.is_running(), "{}", west.process.tail(10));
}

#[test]
fn a_rogue_that_is_dialled_harms_nobody() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let east = Cluster::start(&test.stage, "east").unwrap();
    against(&east, &[("hazards.dialing", 9)]);
    assert!(east.process.is_running(), "{}", east.process.tail(10));
}

#[test]
fn the_byte_vectors_are_those_of_the_tables() {
    assert_eq!(
        play("vectors", &json!({})),
        ["the byte vectors are those of the tables"]
    );
}
