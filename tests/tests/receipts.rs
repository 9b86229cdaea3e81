//! Who has taken a change, with real Envoys: those that apply it, one that refuses it, one that is gone, and a peer
//! that is cut off.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use anyhow::{Result, ensure};
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::stage::wait_for;
use peerway_cli::demo::story;
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage};
use serde_json::{Value, json};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
/// How long a state may take to be reached.
const SETTLE: Duration = Duration::from_secs(60);
/// An address for documentation (RFC 5737), which no machine has: Envoy cannot bind a listener to it.
const NOBODYS: &str = "203.0.113.1";

/// Writes `body` to `path`; the change.
fn put(cluster: &Cluster, path: &str, body: &Value) -> u64 {
    let answer = cluster.api().unwrap().put(path, body).unwrap().ok().unwrap();
    answer.change.expect("every write tells its change")
}

fn receipt(cluster: &Cluster, change: u64) -> Result<Value> {
    cluster.get(&format!("/v1/peerway/change/{change}"))
}

/// The item of a list that is called so.
fn named<'a>(receipt: &'a Value, list: &str, key: &str, name: &str) -> &'a Value {
    let items = receipt[list].as_array().unwrap();
    let found = items.iter().find(|item| item[key] == name);
    found.unwrap_or_else(|| panic!("no {name} in {receipt}"))
}

fn proxy(receipt: &Value, id: &str) -> String {
    named(receipt, "Proxies", "ID", id)["State"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Waits until the peer's state of a change is `state`.
fn wait_peer(cluster: &Cluster, change: u64, peer: &str, state: &str) {
    wait_for("the peer to be in this state", SETTLE, || {
        let receipt = receipt(cluster, change)?;
        let now = &named(&receipt, "Peers", "Name", peer)["State"];
        ensure!(now == state, "{receipt}");
        Ok(())
    })
    .unwrap();
}

fn everybody_is_told_apart(envoy: &str) {
    let test = TestStage::new(BINARY, envoy).unwrap();
    let mut scene = story::set(&test.stage).unwrap();
    story::introduce(&scene).unwrap();
    story::allow(&scene).unwrap();

    // A change that everybody takes, here and at the peer.
    let path = test
        .stage
        .write(
            "defaults.hcl",
            "Kind = \"service-defaults\"\nName = \"api\"\nProtocol = \"http\"",
        )
        .unwrap();
    let told = scene.west.cli(&["config", "write", "-wait=60s", &path]).unwrap();
    assert!(
        told.contains("Config entry written: service-defaults/api"),
        "{told}"
    );
    // api's sidecar, the gateway, and the peer.
    assert!(told.lines().any(|line| line.ends_with(": 3 applied")), "{told}");

    // One proxy cannot do what it is told.
    let before = put(
        &scene.east,
        "/v1/config",
        &json!({ "Kind": "service-defaults", "Name": "web", "Protocol": "tcp" }),
    );
    let file = test.stage.dir().join("web.hcl");
    let good = std::fs::read_to_string(&file).unwrap();
    let bad = good.replace(
        "upstreams = [",
        &format!(
            "upstreams = [\n      {{ destination_name = \"other\", local_bind_address = \"{NOBODYS}\", local_bind_port = 5999 }},"
        ),
    );
    assert_ne!(good, bad);
    let path = test.stage.write("bad-web.hcl", &bad).unwrap();
    let refused = scene
        .east
        .cli(&["services", "register", "-wait=60s", &path])
        .unwrap_err()
        .to_string();
    assert!(refused.contains("is refused by 1 of those"), "{refused}");
    let newest = |cluster: &Cluster| -> u64 {
        // A write that changes nothing is the newest change.
        put(
            cluster,
            "/v1/config",
            &cluster.get("/v1/config/service-defaults/web").unwrap(),
        )
    };
    let broken = newest(&scene.east);
    let shown = receipt(&scene.east, broken).unwrap();
    let web = named(&shown, "Proxies", "ID", "web-sidecar-proxy");
    assert_eq!(
        (&web["State"], &web["Touched"]),
        (&json!("refused"), &json!(true)),
        "{shown}"
    );
    let resource = &web["Resources"][0];
    assert_eq!(
        (&resource["Type"], &resource["Name"]),
        (&json!("listener"), &json!(format!("other:{NOBODYS}:5999")))
    );
    assert!(resource["Since"].as_u64().unwrap() > before);
    let text = resource["Reason"].as_str().unwrap();
    assert!(
        text.contains(NOBODYS) && text.to_lowercase().contains("bind"),
        "{text}"
    );
    for id in ["other-sidecar-proxy", "gateway"] {
        assert_eq!(proxy(&shown, id), "applied", "{shown}");
    }
    assert_eq!(named(&shown, "Peers", "Name", "west")["State"], "applied");
    assert_eq!(
        proxy(&receipt(&scene.east, before).unwrap(), "web-sidecar-proxy"),
        "applied",
        "what came before is not to blame"
    );
    let listed = scene.east.cli(&["proxies", "list"]).unwrap();
    let line = listed
        .lines()
        .find(|line| line.starts_with("web-sidecar-proxy"))
        .unwrap();
    assert!(
        line.contains(&format!("refuses listener other:{NOBODYS}:5999")),
        "{listed}"
    );
    // What it has goes on.
    scene.web().call().unwrap();

    // It is mended.
    let path = test.stage.write("web.hcl", &good).unwrap();
    scene
        .east
        .cli(&["services", "register", "-wait=60s", &path])
        .unwrap();
    assert_eq!(
        proxy(&receipt(&scene.east, broken).unwrap(), "web-sidecar-proxy"),
        "applied",
        "it is overtaken"
    );

    // One is gone, which holds nobody up.
    scene.other.process.kill();
    wait_for("the dead proxy to be missed", SETTLE, || {
        let receipt = receipt(&scene.east, broken)?;
        ensure!(
            proxy(&receipt, "other-sidecar-proxy") == "disconnected",
            "{receipt}"
        );
        Ok(())
    })
    .unwrap();
    let path = test
        .stage
        .write(
            "export.hcl",
            "Kind = \"exported-services\"\nName = \"default\"\nServices = [{ Name = \"web\" Consumers = [{ Peer = \"west\" }] }]",
        )
        .unwrap();
    let told = scene.east.cli(&["config", "write", "-wait=60s", &path]).unwrap();
    assert!(told.contains("3 applied, 1 disconnected"), "{told}");

    // The peer is cut off, which shows, and takes the change once it is back.
    scene.west.process.kill();
    wait_for("the peer to be missed", SETTLE, || {
        let state = scene.east.peering_state("west")?;
        ensure!(state.as_deref() == Some("FAILING"), "{state:?}");
        Ok(())
    })
    .unwrap();
    let entry = json!({ "Kind": "exported-services", "Name": "default", "Services": [] });
    let cut_off = put(&scene.east, "/v1/config", &entry);
    let waited = scene
        .east
        .cli(&["change", "read", "-wait=1s", &cut_off.to_string()])
        .unwrap_err()
        .to_string();
    assert!(waited.contains("was not answered by everybody"), "{waited}");
    let shown = receipt(&scene.east, cut_off).unwrap();
    let peer = named(&shown, "Peers", "Name", "west");
    assert_eq!(
        (&shown["Settled"], &peer["State"]),
        (&json!(false), &json!("pending"))
    );
    assert!(
        peer["Reason"].as_str().unwrap().starts_with("is not connected"),
        "{peer}"
    );
    assert_eq!(proxy(&shown, "web-sidecar-proxy"), "applied");
    scene.west.restart().unwrap();
    wait_peer(&scene.east, cut_off, "west", "applied");
}

#[test]
fn everybody_is_told_apart_with_the_newest_envoy() {
    everybody_is_told_apart(ENVOY_ENV);
}

#[test]
fn everybody_is_told_apart_with_the_oldest_envoy() {
    everybody_is_told_apart(OLDEST_ENVOY_ENV);
}
