//! Two servers that meet through the mesh gateways of both clusters, by real Envoys: neither knows an address of the
//! other, and what one does to a gateway is what their stream feels.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use anyhow::{Result, bail};
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::envoy::Envoy;
use peerway_cli::demo::stage::{free_port, wait_for};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage};
use serde_json::json;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
const SETTLE: Duration = Duration::from_secs(20);
/// After some failures a dialer waits; this is longer than it does here.
const REDIAL: Duration = Duration::from_secs(90);
/// What a gateway counts about the way to its own servers, and to a peer's.
const TO_OWN: &str = "mesh_gateway_local_peering_server.default.west.downstream_cx_total";
const TO_PEER: &str = "mesh_gateway_remote_peering_servers.";

/// A cluster with a mesh gateway.
struct Side {
    cluster: Cluster,
    gateway: Envoy,
    /// Where its gateway listens.
    at: String,
}

impl Side {
    fn start(test: &TestStage, name: &str) -> Self {
        let cluster = Cluster::start(&test.stage, name).unwrap();
        through_gateways(&cluster, true);
        if name == "west" {
            let refused = cluster
                .cli(&["peering", "generate-token", "-name=east"])
                .unwrap_err()
                .to_string();
            assert!(refused.contains("register one, or set it to false"), "{refused}");
        }
        let port = free_port().unwrap();
        let text = format!(
            "service {{\n kind = \"mesh-gateway\"\n name = \"mesh-gateway\"\n address = \"127.0.0.1\"\n port = {port}\n}}"
        );
        cluster.register(&format!("{name}-gateway.hcl"), &text).unwrap();
        let gateway = gateway(&cluster);
        Side {
            cluster,
            gateway,
            at: format!("127.0.0.1:{port}"),
        }
    }
}

fn gateway(cluster: &Cluster) -> Envoy {
    let envoy = cluster
        .envoy(&format!("{}-gateway", cluster.name), "-gateway=mesh")
        .unwrap();
    envoy.wait_live(SETTLE).unwrap();
    envoy
}

fn through_gateways(cluster: &Cluster, through: bool) {
    let text = format!("Kind = \"mesh\"\nPeering {{ PeerThroughMeshGateways = {through} }}");
    cluster
        .write_config(&format!("{}-mesh.hcl", cluster.name), &text)
        .unwrap();
}

/// Waits until east's record of west has exactly this address; `None` waits for any other.
fn wait_address(east: &Cluster, address: &str, same: bool) {
    wait_for("other addresses of west in east", SETTLE, || {
        let record = east.get("/v1/peering/west")?;
        let held = &record["PeerServerAddresses"];
        if (*held == json!([address])) == same && held.as_array().is_some_and(|all| all.len() == 1) {
            Ok(())
        } else {
            bail!("they are {held}")
        }
    })
    .unwrap();
}

fn both_active(east: &Side, west: &Side) {
    east.cluster.wait_peering("west", "ACTIVE", REDIAL).unwrap();
    west.cluster.wait_peering("east", "ACTIVE", REDIAL).unwrap();
}

fn counted(envoy: &Envoy, part: &str) -> Result<u64> {
    let all = envoy.stats(part)?;
    Ok(all
        .iter()
        .filter(|(name, _)| name.ends_with("downstream_cx_total"))
        .map(|(_, count)| count)
        .sum())
}

fn story(variable: &str) {
    let test = TestStage::new(BINARY, variable).unwrap();
    let (mut west, mut east) = (Side::start(&test, "west"), Side::start(&test, "east"));
    let token = west
        .cluster
        .cli(&["peering", "generate-token", "-name=east"])
        .unwrap();
    let given = format!("-peering-token={token}");
    east.cluster
        .cli(&["peering", "establish", "-name=west", &given])
        .unwrap();
    wait_address(&east.cluster, &west.at, true);
    both_active(&east, &west);
    // One connection exchanged the secret, the other carries the stream; both went through both gateways.
    assert!(counted(&east.gateway, TO_PEER).unwrap() >= 2);
    assert!(counted(&west.gateway, TO_OWN).unwrap() >= 2);
    west.cluster
        .register("api.hcl", "service {\n name = \"api\"\n port = 1\n}")
        .unwrap();
    west.cluster
        .write_config(
            "exports.hcl",
            "Kind = \"exported-services\"\nName = \"default\"\nServices = [{ Name = \"*\" Consumers = [{ Peer = \"east\" }] }]",
        )
        .unwrap();
    wait_for("api to be imported", SETTLE, || {
        match east.cluster.imported("api", "west")? {
            1 => Ok(()),
            count => bail!("{count} instances"),
        }
    })
    .unwrap();
    // What servers say about themselves is nobody else's business, also not by a wildcard.
    assert_eq!(east.cluster.imported("consul", "west").unwrap(), 0);

    // Without its own gateway east falls back to the address of west, which is its gateway.
    east.gateway.process.kill();
    east.cluster.wait_peering("west", "FAILING", SETTLE).unwrap();
    both_active(&east, &west);
    assert!(!east.gateway.process.is_running());
    east.gateway = gateway(&east.cluster);

    // Without west's gateway there is no way to west, though its server runs: nothing was dialled straight.
    west.gateway.process.kill();
    east.cluster.wait_peering("west", "FAILING", SETTLE).unwrap();
    west.gateway = gateway(&west.cluster);
    both_active(&east, &west);

    for side in [&mut west, &mut east] {
        side.cluster.process.kill();
        side.cluster.restart().unwrap();
    }
    both_active(&east, &west);

    // Back and forth while connected: the dialer learns of it over the running stream.
    through_gateways(&west.cluster, false);
    wait_address(&east.cluster, &west.at, false);
    through_gateways(&west.cluster, true);
    wait_address(&east.cluster, &west.at, true);
    through_gateways(&east.cluster, false);
    through_gateways(&west.cluster, false);
    wait_address(&east.cluster, &west.at, false);
    west.gateway.process.kill();
    both_active(&east, &west);
    assert_eq!(east.cluster.imported("api", "west").unwrap(), 1);
    east.cluster.cli(&["peering", "delete", "-name=west"]).unwrap();
    west.cluster.wait_peering("east", "TERMINATED", REDIAL).unwrap();
    test.finish().unwrap();
}

#[test]
fn servers_meet_through_the_gateways_of_both_clusters() {
    story(ENVOY_ENV);
}

#[test]
fn servers_meet_through_gateways_that_are_the_oldest_envoy() {
    story(OLDEST_ENVOY_ENV);
}
