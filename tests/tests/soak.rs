//! The long runs, for a few seconds: that they run at all, and find nothing in what a short one can see. How memory
//! goes is nothing that a few seconds tell, so it is not judged here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use peerway_tests::{ENVOY_ENV, envoy};
use serde_json::Value;
use std::process::Command;

/// Runs one to its end; the report.
fn soak(args: &[&str]) -> Value {
    envoy(ENVOY_ENV).unwrap();
    let dir = tempfile::TempDir::with_prefix("peerway-soak-test-").unwrap();
    let report = dir.path().join("report.json");
    let output = Command::new(env!("CARGO_BIN_EXE_peerway-soak"))
        .args(args)
        .arg("--binary")
        .arg(env!("CARGO_BIN_EXE_peerway-e2e"))
        .arg("--json")
        .arg(&report)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap()
}

#[test]
fn a_short_churn_ends_with_equal_catalogs() {
    let report = soak(&[
        "churn",
        "--seconds",
        "5",
        "--peers",
        "2",
        "--services",
        "15",
        "--rate",
        "30",
    ]);
    assert_eq!(report["memory_judged"], false);
    assert_eq!(report["compared"]["exports"], 4, "{report:#}");
    assert_eq!(report["compared"]["services"], 60, "{report:#}");
    for positive in [
        &report["changes"],
        &report["compared"]["instances"],
        &report["states"]["ACTIVE"],
    ] {
        assert!(positive.as_u64().unwrap() > 0, "{report:#}");
    }
    assert_eq!(report["updates_rejected"]["hub-web"], 0, "{report:#}");
}

#[test]
fn a_short_run_under_faults_explains_every_failed_call_and_settles() {
    let report = soak(&["faults", "--seconds", "30", "--seed", "3"]);
    let faults = report["faults"].as_object().unwrap();
    for kind in ["peering", "calls", "server"] {
        let some = faults.keys().any(|name| name.starts_with(kind));
        assert!(some, "no fault of {kind}: {report:#}");
    }
    assert_eq!(report["calls"]["unexplained"], 0, "{report:#}");
    for positive in [
        &report["calls"]["answered"],
        &report["calls"]["of_strangers"],
        &report["freshness"]["readings"]["ACTIVE"],
        &report["acknowledged_writes"]["west"],
    ] {
        assert!(positive.as_u64().unwrap() > 0, "{report:#}");
    }
}
