//! The corridor end to end, on real Envoys: the demo's story, with the newest and the oldest supported Envoy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, envoy};
use serde_json::Value;
use std::process::Command;

/// The steps of the story, in order. A step that is left out must not go unnoticed.
const STEPS: [&str; 13] = [
    "start", "peer", "a", "b", "c", "gateways", "d", "e", "f", "g", "accepted", "h", "end",
];

fn the_story_holds_with(variable: &str) {
    let envoy = envoy(variable).unwrap();
    let dir = tempfile::TempDir::with_prefix("peerway-corridor-").unwrap();
    let report = dir.path().join("report.json");
    let output = Command::new(env!("CARGO_BIN_EXE_peerway-e2e"))
        .args(["demo", "--once", "--json"])
        .arg(&report)
        .arg(format!("-envoy-binary={}", envoy.display()))
        .arg(format!("-work-dir={}", dir.path().join("work").display()))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        panic!("exit {}; logs in {}\n{told}", output.status, dir.keep().display());
    }
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let steps: Vec<&str> = report["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["id"].as_str().unwrap())
        .collect();
    assert_eq!(steps, STEPS, "{told}");
    assert!(
        report["steps"]
            .as_array()
            .unwrap()
            .iter()
            .all(|step| step["ok"] == true),
        "{told}"
    );
    assert_eq!(report["ok"], true);
}

#[test]
fn the_story_holds_with_the_newest_envoy() {
    the_story_holds_with(ENVOY_ENV);
}

#[test]
fn the_story_holds_with_the_oldest_envoy() {
    the_story_holds_with(OLDEST_ENVOY_ENV);
}
