//! Partitions of one cluster as peers of another, side by side.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::stage::wait_for;
use peerway_tests::{ENVOY_ENV, TestStage};
use serde_json::{Value, json};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");

/// How long a peering may take to be introduced and synchronised.
const LIMIT: Duration = Duration::from_secs(30);

/// A service of a partition of west, exported to what that partition calls east.
fn offer(west: &Cluster, partition: &str, port: u16) {
    let registration = json!({ "Name": "api", "Port": port, "Partition": partition });
    let exports = json!({
        "Kind": "exported-services", "Name": partition, "Partition": partition,
        "Services": [{ "Name": "api", "Consumers": [{ "Peer": "east" }] }],
    });
    let api = west.api().unwrap();
    api.put("/v1/agent/service/register", &registration)
        .unwrap()
        .ok()
        .unwrap();
    api.put("/v1/config", &exports).unwrap().ok().unwrap();
}

/// Makes a token in a partition of west and uses it in a partition of east.
fn introduce(west: (&Cluster, &str, &str), east: (&Cluster, &str, &str)) {
    let (from, partition, name) = west;
    let (partition, name) = (format!("-partition={partition}"), format!("-name={name}"));
    let token = from
        .cli(&["peering", "generate-token", &name, &partition])
        .unwrap();
    let (to, partition, name) = east;
    let (partition, name) = (format!("-partition={partition}"), format!("-name={name}"));
    let token = format!("-peering-token={}", token.trim());
    to.cli(&["peering", "establish", &name, &partition, &token])
        .unwrap();
}

fn peering(cluster: &Cluster, partition: &str, name: &str) -> Value {
    cluster
        .get(&format!("/v1/peering/{name}?partition={partition}"))
        .unwrap()
}

/// Waits until a partition of east has the port of api that its peer has.
fn imports(east: &Cluster, partition: &str, name: &str, port: u16) {
    wait_for(&format!("{name} in {partition} to be imported"), LIMIT, || {
        let path = format!("/v1/health/service/api?peer={name}&partition={partition}");
        let found = east.get(&path)?;
        let state = peering(east, partition, name)["State"].clone();
        if found[0]["Service"]["Port"] == port && state == "ACTIVE" {
            Ok(())
        } else {
            anyhow::bail!("{state}: {found}")
        }
    })
    .unwrap();
}

#[test]
fn every_pair_of_partitions_has_one_peering() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let west = Cluster::start(&test.stage, "west").unwrap();
    let east = Cluster::start(&test.stage, "east").unwrap();
    offer(&west, "default", 1001);
    offer(&west, "sales", 1002);

    introduce((&west, "default", "east"), (&east, "default", "west"));
    introduce((&west, "sales", "east"), (&east, "default", "west-sales"));
    imports(&east, "default", "west", 1001);
    imports(&east, "default", "west-sales", 1002);

    // The same partition of west, for another one of east.
    introduce((&west, "sales", "east-ops"), (&east, "ops", "west"));
    let exports = json!({
        "Kind": "exported-services", "Name": "sales", "Partition": "sales",
        "Services": [{ "Name": "api", "Consumers": [{ "Peer": "east" }, { "Peer": "east-ops" }] }],
    });
    west.api()
        .unwrap()
        .put("/v1/config", &exports)
        .unwrap()
        .ok()
        .unwrap();
    imports(&east, "ops", "west", 1002);

    // A pair that has one is told before the token is spent.
    let token = west.cli(&["peering", "generate-token", "-name=again"]).unwrap();
    let token = format!("-peering-token={}", token.trim());
    let refused = east
        .cli(&["peering", "establish", "-name=again", &token])
        .unwrap_err();
    assert!(
        format!("{refused:#}").contains("is already the peer west"),
        "{refused:#}"
    );
    imports(&east, "default", "west", 1001);
}
