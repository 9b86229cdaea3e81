//! The roots of both clusters are rotated under calls, each of them on a new connection, and none fails; a peer that
//! is cut off holds the switch up and needs no new token.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use anyhow::{Result, bail, ensure};
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::stage::wait_for;
use peerway_cli::demo::story::{self, Steady};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
/// A whole rotation: two times five seconds of settling, and what lies between.
const WHOLE: Duration = Duration::from_secs(90);

fn progress(cluster: &Cluster) -> Result<Value> {
    cluster.get("/v1/peerway/ca/rotation")
}

fn is_over(cluster: &Cluster) -> Result<()> {
    let now = progress(cluster)?;
    ensure!(now["Phase"] == "none", "{now}");
    Ok(())
}

/// Who is missing, by name.
fn missing(cluster: &Cluster) -> Result<Vec<String>> {
    let now = progress(cluster)?;
    let missing = now["Missing"].as_array().cloned().unwrap_or_default();
    Ok(missing
        .iter()
        .map(|one| one["Name"].as_str().unwrap_or_default().to_owned())
        .collect())
}

/// Ids of all roots that workloads of a cluster trust.
fn roots(cluster: &Cluster) -> Vec<String> {
    let roots = cluster.get("/v1/connect/ca/roots").unwrap();
    let all = roots["Roots"].as_array().unwrap();
    all.iter()
        .map(|root| root["ID"].as_str().unwrap().to_owned())
        .collect()
}

fn root_name(cluster: &Cluster) -> String {
    let roots = cluster.get("/v1/connect/ca/roots").unwrap();
    roots["Roots"][0]["Name"].as_str().unwrap().to_owned()
}

/// The issuer of the certificate that is shown on a port, as openssl prints it.
fn issuer(port: u16) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-showcerts", "-connect"])
        .arg(format!("127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .output()
        .expect("openssl is needed to look at certificates");
    let told = String::from_utf8_lossy(&output.stdout);
    let line = told.lines().find(|line| line.trim().starts_with("issuer="));
    line.unwrap_or_else(|| panic!("no certificate: {told}"))
        .trim()
        .to_owned()
}

fn active(cluster: &Cluster, peer: &str) -> Result<()> {
    match cluster.peering_state(peer)? {
        Some(state) if state == "ACTIVE" => Ok(()),
        state => bail!("{state:?}"),
    }
}

fn no_call_fails_with(envoy: &str) {
    let test = TestStage::new(BINARY, envoy).unwrap();
    let scene = story::set(&test.stage).unwrap();
    story::introduce(&scene).unwrap();
    story::allow(&scene).unwrap();
    let before = [roots(&scene.west), roots(&scene.east)];
    assert!(issuer(scene.api_sidecar).contains(&root_name(&scene.west)));
    let steady = Steady::start(scene.web());
    // The second one is of another kind than the first, and the first of another than before.
    for (cluster, bits) in [
        (&scene.west, "-key-bits=384"),
        (&scene.east, "-key-bits=384"),
        (&scene.west, "-key-bits=256"),
    ] {
        let told = cluster.cli(&["connect", "ca", "rotate", bits]).unwrap();
        assert!(told.contains("announced"), "{told}");
        wait_for("the rotation to be over", WHOLE, || is_over(cluster)).unwrap();
    }
    let calls = steady.stop().unwrap();
    println!("{calls} calls, none failed");
    assert!(calls > 0);
    let after = [roots(&scene.west), roots(&scene.east)];
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.len(), after.len()), (1, 1));
        assert_ne!(before, after);
    }
    assert!(issuer(scene.api_sidecar).contains(&root_name(&scene.west)));
    // The old roots are gone with the peers as well.
    for (cluster, peer, of) in [
        (&scene.west, "east", &scene.east),
        (&scene.east, "west", &scene.west),
    ] {
        wait_for("the peer to trust one root", WHOLE, || {
            let read = cluster.get(&format!("/v1/peering/{peer}"))?;
            let pems = read["PeerCAPems"].as_array().map_or(0, Vec::len);
            ensure!(pems == 1, "{} has {pems} roots of {}", cluster.name, of.name);
            active(cluster, peer)
        })
        .unwrap();
    }
    scene.web().call().unwrap();
    test.finish().unwrap();
}

#[test]
fn no_call_fails_while_both_roots_are_rotated() {
    no_call_fails_with(ENVOY_ENV);
}

#[test]
fn no_call_fails_while_both_roots_are_rotated_with_the_oldest_envoy() {
    no_call_fails_with(OLDEST_ENVOY_ENV);
}

#[test]
fn a_peer_that_is_cut_off_holds_the_switch_up_and_needs_no_new_token() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let mut scene = story::set(&test.stage).unwrap();
    story::introduce(&scene).unwrap();
    story::allow(&scene).unwrap();
    let before = roots(&scene.west);
    let steady = Steady::start(scene.web());
    scene.east.process.kill();
    scene.west.cli(&["connect", "ca", "rotate"]).unwrap();
    wait_for("all but the peer to confirm", WHOLE, || {
        let names = missing(&scene.west)?;
        ensure!(names == ["east"], "{names:?}");
        Ok(())
    })
    .unwrap();
    let told = scene.west.cli(&["connect", "ca", "status"]).unwrap();
    for said in ["announced", "east", "is not connected", "nothing fails"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    // A restart of its own control plane forgets neither the rotation nor the new root.
    let announced = roots(&scene.west);
    assert_eq!(announced.len(), 2);
    scene.west.process.kill();
    scene.west.restart().unwrap();
    wait_for("all but the peer to confirm again", WHOLE, || {
        let names = missing(&scene.west)?;
        ensure!(names == ["east"], "{names:?}");
        Ok(())
    })
    .unwrap();
    let now = progress(&scene.west).unwrap();
    assert_eq!(now["Phase"], "announced", "{now}");
    assert_eq!(now["ActiveRootID"].as_str(), before.first().map(String::as_str));
    assert_eq!(roots(&scene.west), announced);
    scene.east.restart().unwrap();
    // Killed in each of the phases that follow, it goes on from there.
    for phase in ["confirmed", "switched", "replaced"] {
        wait_for("the phase to be reached", WHOLE, || {
            let now = progress(&scene.west)?;
            ensure!(now["Phase"] == phase, "{now}");
            Ok(())
        })
        .unwrap();
        scene.west.process.kill();
        scene.west.restart().unwrap();
        let now = progress(&scene.west).unwrap();
        let switched = now["ActiveRootID"].as_str() != before.first().map(String::as_str);
        assert_eq!(switched, phase != "confirmed", "{now}");
    }
    wait_for("the rotation to be over", WHOLE, || is_over(&scene.west)).unwrap();
    let calls = steady.stop().unwrap();
    println!("{calls} calls, none failed");
    assert!(calls > 0);
    let after = roots(&scene.west);
    assert!(after.len() == 1 && after != before, "{after:?}");
    // With the new certificate of west's endpoint: east dials again.
    scene.east.process.kill();
    scene.east.restart().unwrap();
    wait_for("the peering to be active", WHOLE, || {
        active(&scene.east, "west")?;
        active(&scene.west, "east")
    })
    .unwrap();
    test.finish().unwrap();
}
