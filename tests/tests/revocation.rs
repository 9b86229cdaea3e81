//! What an open connection experiences when intentions change: nothing while nobody loses anything, and its end within
//! Envoy's drain time when its caller is revoked. On real Envoys, across peers, for a service that speaks tcp.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use anyhow::{Context, Result, bail, ensure};
use peerway_cli::demo::stage::{now, wait_for};
use peerway_cli::demo::story::{self, Scene};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
const SETTLE: Duration = Duration::from_secs(20);

/// A connection that is used again and again. To Envoy it is bytes; api's application happens to answer HTTP.
struct Held(TcpStream);

impl Held {
    fn open(port: u16) -> Result<Self> {
        let connection = TcpStream::connect(("127.0.0.1", port))?;
        connection.set_read_timeout(Some(SETTLE))?;
        let mut held = Held(connection);
        held.exchange().map(|()| held)
    }

    fn exchange(&mut self) -> Result<()> {
        self.0.write_all(b"GET /hello HTTP/1.1\r\nhost: api\r\n\r\n")?;
        let mut read = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let count = self.0.read(&mut chunk)?;
            ensure!(count > 0, "the connection was closed");
            read.extend_from_slice(&chunk[..count]);
            let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            ensure!(head.starts_with("http/1.1 200"), "{head}");
            let length = head.split_once("content-length: ").context("no length")?.1;
            let length: usize = length.lines().next().unwrap_or_default().trim().parse()?;
            if body.len() >= length {
                return Ok(());
            }
        }
    }
}

/// Says who may call api; returns when every Envoy of west has it.
fn intend(scene: &Scene, sources: &Value) {
    let west = scene.west.api().unwrap();
    let entry = json!({"Kind": "service-intentions", "Name": "api", "Sources": sources});
    let change = west
        .put("/v1/config", &entry)
        .unwrap()
        .ok()
        .unwrap()
        .change
        .unwrap();
    wait_for("the change to be taken", SETTLE, || {
        let receipt = west
            .get(&format!("/v1/peerway/change/{change}?wait=1s"))?
            .json()?;
        let proxies = receipt["Proxies"].as_array().context("no proxies")?;
        match proxies.iter().find(|one| one["State"] != "applied") {
            None => Ok(()),
            Some(one) => bail!("{one}"),
        }
    })
    .unwrap();
}

fn open_connections_end_when_their_caller_is_revoked(envoy: &str) {
    let test = TestStage::new(BINARY, envoy).unwrap();
    let scene = story::set(&test.stage).unwrap();
    story::introduce(&scene).unwrap();
    story::allow(&scene).unwrap();
    let open = |port| wait_for("a connection", SETTLE, || Held::open(port)).unwrap();
    let mut web = open(scene.web_dials);

    // More callers, and none less: also an exception that was of no use to anybody.
    let allowed = |name: &str| json!({"Name": name, "Peer": "east", "Action": "allow"});
    let both = json!([allowed("web"), allowed("other")]);
    intend(&scene, &both);
    let mut other = open(scene.other_dials);
    intend(
        &scene,
        &json!([allowed("web"), allowed("other"), {"Name": "nobody", "Action": "deny"}]),
    );
    intend(&scene, &json!([{"Name": "*", "Peer": "east", "Action": "allow"}]));
    intend(
        &scene,
        &json!([{"Name": "*", "Peer": "east", "Action": "allow"}, allowed("web")]),
    );
    let draining = scene
        .api
        .sum("listener_manager.total_filter_chains_draining")
        .unwrap();
    assert_eq!(draining, 0);
    web.exchange().unwrap();
    other.exchange().unwrap();

    let begun = now();
    let revoked = json!([{"Name": "*", "Peer": "east", "Action": "allow"}, {"Name": "web", "Peer": "east", "Action": "deny"}]);
    intend(&scene, &revoked);
    assert!(Held::open(scene.web_dials).is_err(), "a new connection is let in");
    // It may be used until its end, which comes by itself.
    let ended = |held: &mut Held| {
        let mut nothing = [0; 1];
        held.0.set_read_timeout(Some(SETTLE)).unwrap();
        !matches!(held.0.read(&mut nothing), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    };
    assert!(ended(&mut web), "still open after {SETTLE:?}");
    println!(
        "the open connection ended {:.2} s after the change",
        begun.elapsed().as_secs_f64()
    );
    // Those of others end with it, and are opened again.
    assert!(ended(&mut other));
    open(scene.other_dials).exchange().unwrap();
    test.finish().unwrap();
}

#[test]
fn open_connections_end_when_their_caller_is_revoked_on_the_newest_envoy() {
    open_connections_end_when_their_caller_is_revoked(ENVOY_ENV);
}

#[test]
fn open_connections_end_when_their_caller_is_revoked_on_the_oldest_envoy() {
    open_connections_end_when_their_caller_is_revoked(OLDEST_ENVOY_ENV);
}

/// A server that was started anew knows nothing of what happened before, and disturbs nobody by that.
#[test]
fn a_restart_of_the_server_leaves_connections_alone() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let mut scene = story::set(&test.stage).unwrap();
    story::introduce(&scene).unwrap();
    story::allow(&scene).unwrap();
    // Something was taken away before.
    let web = json!({"Name": "web", "Peer": "east", "Action": "allow"});
    intend(
        &scene,
        &json!([web, {"Name": "other", "Peer": "east", "Action": "allow"}]),
    );
    intend(&scene, &json!([web]));
    let mut held = wait_for("a connection", SETTLE, || Held::open(scene.web_dials)).unwrap();
    let listeners = |scene: &Scene| scene.api.sum("listener_manager.lds.update_success");
    let connected = |scene: &Scene| scene.api.sum("control_plane.connected_state");
    scene.west.process.kill();
    wait_for("the sidecar to lose its server", SETTLE, || {
        match connected(&scene)? {
            0 => Ok(()),
            _ => bail!("connected"),
        }
    })
    .unwrap();
    scene.west.restart().unwrap();
    // Who comes back under another policy than the one in force is drained, so it has to be back before that changes.
    wait_for("the sidecar to be back", SETTLE, || {
        let proxies = scene.west.get("/v1/peerway/proxies")?;
        let all = proxies.as_array().context("no proxies")?;
        match all
            .iter()
            .find(|one| one["Connected"] != true || one["Settled"] != true)
        {
            None => Ok(()),
            Some(one) => bail!("{one}"),
        }
    })
    .unwrap();
    let changes = scene.api.sum("listener_manager.listener_modified").unwrap();
    let updates = listeners(&scene).unwrap();
    intend(
        &scene,
        &json!([web, {"Name": "third", "Peer": "east", "Action": "allow"}]),
    );
    held.exchange().unwrap();
    assert_eq!(
        scene.api.sum("listener_manager.listener_modified").unwrap(),
        changes
    );
    println!(
        "listeners were sent {} times",
        listeners(&scene).unwrap() - updates
    );
    test.finish().unwrap();
}
