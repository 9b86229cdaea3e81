//! Three clusters rotate their roots under calls from two of them to the third, each call on a new connection, of a TCP
//! and of an HTTP service, and none fails: not while all of them rotate at once, not when a rotation is cancelled, and
//! not when one is forced while a cluster is cut off, which then comes back without a new token.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use anyhow::{Result, ensure};
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::envoy::Envoy;
use peerway_cli::demo::stage::{free_port, wait_for};
use peerway_cli::demo::story::{Dialled, Steady};
use peerway_tests::{ENVOY_ENV, TestStage};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
/// A whole rotation: two times five seconds of settling, and what lies between.
const WHOLE: Duration = Duration::from_secs(90);
const SETTLE: Duration = Duration::from_secs(30);

/// West is called by east, over gateways of both, and by north, directly over west's.
struct Scene {
    test: TestStage,
    west: Cluster,
    east: Cluster,
    north: Cluster,
    callers: Vec<Dialled>,
}

fn gateway(cluster: &Cluster) -> Envoy {
    let port = free_port().unwrap();
    let text = format!(
        "service {{\n kind = \"mesh-gateway\"\n name = \"mesh-gateway\"\n id = \"gateway\"\n address = \"127.0.0.1\"\n port = {port}\n tagged_addresses {{\n lan {{ address = \"127.0.0.1\" port = {port} }}\n wan {{ address = \"127.0.0.1\" port = {port} }}\n }}\n}}"
    );
    let name = format!("{}-gateway", cluster.name);
    cluster.register(&format!("{name}.hcl"), &text).unwrap();
    cluster.envoy(&name, "-gateway=mesh").unwrap()
}

/// A service of west with its application and its sidecar.
fn serve(test: &TestStage, west: &Cluster, name: &str, protocol: &str) -> Envoy {
    let port = free_port().unwrap();
    let listen = format!("-listen=127.0.0.1:{port}");
    let echo = ["echo".to_owned(), listen, format!("-name={name}")];
    test.stage.start(name, &echo).unwrap();
    let defaults = format!("Kind = \"service-defaults\"\nName = \"{name}\"\nProtocol = \"{protocol}\"");
    west.write_config(&format!("{name}-defaults.hcl"), &defaults)
        .unwrap();
    let text = format!(
        "service {{\n name = \"{name}\"\n address = \"127.0.0.1\"\n port = {port}\n connect {{ sidecar_service {{ port = {} }} }}\n}}",
        free_port().unwrap()
    );
    west.register(&format!("{name}.hcl"), &text).unwrap();
    let sources =
        ["east", "north"].map(|peer| format!("{{ Name = \"web\" Peer = \"{peer}\" Action = \"allow\" }}"));
    let intention = format!(
        "Kind = \"service-intentions\"\nName = \"{name}\"\nSources = [{}]",
        sources.join(",")
    );
    west.write_config(&format!("{name}-intentions.hcl"), &intention)
        .unwrap();
    west.envoy(&format!("west-{name}"), &format!("-sidecar-for={name}"))
        .unwrap()
}

/// The caller of a cluster with its sidecar; where it dials the services of west.
fn call(cluster: &Cluster, mode: &str) -> (Envoy, Vec<Dialled>) {
    let ports = [free_port().unwrap(), free_port().unwrap()];
    let upstream = |name: &str, port: u16| {
        format!("{{ destination_name = \"{name}\" destination_peer = \"west\" local_bind_port = {port} }}")
    };
    let text = format!(
        "service {{\n name = \"web\"\n address = \"127.0.0.1\"\n port = {}\n connect {{ sidecar_service {{\n port = {}\n proxy {{\n mesh_gateway {{ mode = \"{mode}\" }}\n upstreams = [{}, {}]\n }}\n }} }}\n}}",
        free_port().unwrap(),
        free_port().unwrap(),
        upstream("api", ports[0]),
        upstream("shop", ports[1]),
    );
    let name = format!("{}-web", cluster.name);
    cluster.register(&format!("{name}.hcl"), &text).unwrap();
    let envoy = cluster.envoy(&name, "-sidecar-for=web").unwrap();
    (envoy, ports.map(|port| Dialled { port }).to_vec())
}

fn set() -> Scene {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let [west, east, north] =
        ["west", "east", "north"].map(|name| Cluster::start(&test.stage, name).unwrap());
    let mut envoys = vec![
        serve(&test, &west, "api", "tcp"),
        serve(&test, &west, "shop", "http"),
        gateway(&west),
        gateway(&east),
    ];
    let consumers = "Consumers = [{ Peer = \"east\" }, { Peer = \"north\" }]";
    let export = format!(
        "Kind = \"exported-services\"\nName = \"default\"\nServices = [{{ Name = \"api\" {consumers} }}, {{ Name = \"shop\" {consumers} }}]"
    );
    west.write_config("exports.hcl", &export).unwrap();
    let mut callers = Vec::new();
    for (cluster, mode) in [(&east, "local"), (&north, "remote")] {
        let (envoy, dialled) = call(cluster, mode);
        envoys.push(envoy);
        callers.extend(dialled);
        let name = format!("-name={}", cluster.name);
        let token = west.cli(&["peering", "generate-token", &name]).unwrap();
        cluster
            .cli(&["peering", "establish", "-name=west", "-peering-token", &token])
            .unwrap();
        cluster.wait_peering("west", "ACTIVE", SETTLE).unwrap();
    }
    for envoy in &envoys {
        envoy.wait_live(SETTLE).unwrap();
    }
    for dialled in &callers {
        wait_for("a call to arrive", SETTLE, || dialled.call()).unwrap();
    }
    Scene {
        test,
        west,
        east,
        north,
        callers,
    }
}

fn progress(cluster: &Cluster) -> Result<Value> {
    cluster.get("/v1/peerway/ca/rotation")
}

/// Waits for the end of a rotation.
fn ends(cluster: &Cluster) {
    wait_for("the rotation to be over", WHOLE, || {
        let now = progress(cluster)?;
        ensure!(now["Phase"] == "none", "{}: {now}", cluster.name);
        Ok(())
    })
    .unwrap();
}

/// Waits until exactly these are missing, by name.
fn waits_for(cluster: &Cluster, names: &[&str]) -> Value {
    wait_for("everybody else to confirm", WHOLE, || {
        let now = progress(cluster)?;
        let missing = now["Missing"].as_array().cloned().unwrap_or_default();
        let found: Vec<&str> = missing.iter().filter_map(|one| one["Name"].as_str()).collect();
        ensure!(found == names, "{now}");
        Ok(now)
    })
    .unwrap()
}

/// The roots of west, and those that a peer holds of it.
fn roots(cluster: &Cluster) -> Vec<String> {
    let roots = cluster.get("/v1/connect/ca/roots").unwrap();
    let all = roots["Roots"].as_array().unwrap();
    all.iter()
        .map(|root| root["RootCert"].as_str().unwrap().to_owned())
        .collect()
}

fn held_of_west(cluster: &Cluster) -> Result<Vec<String>> {
    let read = cluster.get("/v1/peering/west")?;
    let pems = read["PeerCAPems"].as_array().cloned().unwrap_or_default();
    Ok(pems
        .iter()
        .filter_map(|pem| pem.as_str().map(str::to_owned))
        .collect())
}

fn wait_held(cluster: &Cluster, expected: &[String]) {
    wait_for("the peer to hold west's roots", SETTLE, || {
        let held = held_of_west(cluster)?;
        ensure!(held == expected, "{} holds {} roots", cluster.name, held.len());
        Ok(())
    })
    .unwrap();
}

/// The operator's own root: an RSA key and its certificate, as files.
fn own_root(scene: &Scene) -> [String; 2] {
    let [certificate, key] = ["own-root.pem", "own-key.pem"].map(|name| scene.test.stage.dir().join(name));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "365",
            "-subj",
            "/CN=Own Root",
        ])
        .args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("openssl is needed by this test, install it");
    assert!(made.success());
    [certificate, key].map(|path| path.display().to_string())
}

#[test]
fn no_call_fails_while_three_clusters_rotate_and_one_is_cut_off() {
    let mut scene = set();
    let steady: Vec<Steady> = scene.callers.iter().copied().map(Steady::start).collect();

    // All at once; west to a root of the operator's with a key of another kind.
    let first = roots(&scene.west);
    let [certificate, key] =
        own_root(&scene).map(|path| std::fs::canonicalize(path).unwrap().display().to_string());
    let brings = [
        "connect",
        "ca",
        "rotate",
        "-root-cert",
        &certificate,
        "-private-key",
        &key,
    ];
    let told = scene.west.cli(&brings).unwrap();
    assert!(told.contains("announced"), "{told}");
    scene
        .east
        .cli(&["connect", "ca", "rotate", "-key-bits=384"])
        .unwrap();
    scene.north.cli(&["connect", "ca", "rotate"]).unwrap();
    for cluster in [&scene.west, &scene.east, &scene.north] {
        ends(cluster);
    }
    let own = roots(&scene.west);
    assert_eq!(own, [std::fs::read_to_string(&certificate).unwrap()]);
    for cluster in [&scene.east, &scene.north] {
        wait_held(cluster, &own);
    }

    // Cut off, north holds a rotation up; cancelled, it leaves nothing behind with anybody.
    scene.north.process.kill();
    scene
        .west
        .cli(&["connect", "ca", "rotate", "-key-bits=256"])
        .unwrap();
    let waiting = waits_for(&scene.west, &["north"]);
    assert_eq!(waiting["Phase"], "announced");
    let both = roots(&scene.west);
    assert_eq!(both.len(), 2);
    wait_held(&scene.east, &both);
    let told = scene.west.cli(&["connect", "ca", "rotate", "-cancel"]).unwrap();
    assert!(told.contains("none"), "{told}");
    assert_eq!(roots(&scene.west), own);
    wait_held(&scene.east, &own);

    // Forced, it goes on without north, whose proxies know only the root that is taken away.
    scene
        .west
        .cli(&["connect", "ca", "rotate", "-key-bits=256"])
        .unwrap();
    waits_for(&scene.west, &["north"]);
    let told = scene.west.cli(&["connect", "ca", "rotate", "-force"]).unwrap();
    for said in ["switched", "Left behind", "north", "nothing fails"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    // Not retired by itself while north is missing.
    let waiting = waits_for(&scene.west, &["north"]);
    assert_eq!(waiting["Phase"], "switched");
    let refused = scene
        .west
        .cli(&["connect", "ca", "rotate", "-cancel"])
        .unwrap_err();
    assert!(refused.to_string().contains("signs already"), "{refused}");
    let told = scene.west.cli(&["connect", "ca", "rotate", "-force"]).unwrap();
    assert!(told.contains("none") && told.contains("north"), "{told}");
    let last = roots(&scene.west);
    assert!(last.len() == 1 && last != own && last != first);
    wait_held(&scene.east, &last);
    for dialled in &scene.callers {
        dialled.call().unwrap();
    }

    // It comes back with the token that it had, and learns.
    scene.north.restart().unwrap();
    scene.north.wait_peering("west", "ACTIVE", SETTLE).unwrap();
    scene.west.wait_peering("north", "ACTIVE", SETTLE).unwrap();
    wait_held(&scene.north, &last);
    for (caller, steady) in steady.into_iter().enumerate() {
        let calls = steady.stop().unwrap();
        println!("caller {caller}: {calls} calls, none failed");
        assert!(calls > 0);
    }
    for dialled in &scene.callers {
        dialled.call().unwrap();
    }
    scene.test.finish().unwrap();
}
