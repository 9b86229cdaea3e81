//! Control planes die at arbitrary moments, also in the middle of writes, and calls go on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use anyhow::{Result, bail};
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::stage::wait_for;
use peerway_cli::demo::story::{self, Steady};
use peerway_tests::{ENVOY_ENV, TestStage};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
const SETTLE: Duration = Duration::from_secs(30);
/// How often a control plane is killed.
const KILLS: usize = 8;

/// Registers services one after another until told to stop; those whose registration was acknowledged.
fn write_until(done: &AtomicBool, http: &str) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let client = peerway_cli::client::Client::new(http).unwrap();
    for number in 0.. {
        if done.load(Ordering::Acquire) {
            break;
        }
        let name = format!("filler-{number}");
        let body = serde_json::json!({ "Name": name, "Port": 1 });
        // While the control plane is down a write fails, which is no acknowledgement.
        if client
            .put("/v1/agent/service/register", &body)
            .and_then(|answer| answer.ok())
            .is_ok()
        {
            acknowledged.push(name);
        }
    }
    acknowledged
}

fn active(cluster: &Cluster, peer: &str) -> Result<()> {
    match cluster.peering_state(peer)? {
        Some(state) if state == "ACTIVE" => Ok(()),
        state => bail!("{state:?}"),
    }
}

#[test]
fn killed_control_planes_lose_nothing_that_was_acknowledged_and_no_call() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let mut scene = story::set(&test.stage).unwrap();
    story::introduce(&scene).unwrap();
    story::allow(&scene).unwrap();
    let http = scene.west.http.to_string();
    let done = AtomicBool::new(false);
    let (calls, acknowledged) = std::thread::scope(|scope| {
        let steady = Steady::start(scene.web());
        let writer = scope.spawn(|| write_until(&done, &http));
        for round in 0..KILLS {
            let cluster = if round % 2 == 0 {
                &mut scene.west
            } else {
                &mut scene.east
            };
            // The writer keeps writing meanwhile; the moment differs from round to round and from run to run.
            cluster.process.kill();
            cluster.restart().unwrap();
            // Half of the rounds the peering is not even waited for before the other side dies.
            if round % 4 >= 2 {
                wait_for("the peering to be active again", SETTLE, || {
                    active(&scene.east, "west")?;
                    active(&scene.west, "east")
                })
                .unwrap();
            }
        }
        done.store(true, Ordering::Release);
        (steady.stop().unwrap(), writer.join().unwrap())
    });
    assert!(calls > 0 && !acknowledged.is_empty());
    let services = scene.west.get("/v1/agent/services").unwrap();
    let lost: Vec<&String> = acknowledged
        .iter()
        .filter(|name| services[name.as_str()].is_null())
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} are lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    wait_for("the peering to be active in the end", SETTLE, || {
        active(&scene.east, "west")?;
        active(&scene.west, "east")
    })
    .unwrap();
    // What is written now arrives: the proxies are really connected again.
    scene
        .west
        .cli(&["config", "delete", "-kind=service-intentions", "-name=api"])
        .unwrap();
    wait_for("the call to be refused", SETTLE, || scene.web().must_fail()).unwrap();
    test.finish().unwrap();
}
