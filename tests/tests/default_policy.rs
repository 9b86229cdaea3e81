//! What happens to callers about whom no intention says anything, across peers and on real Envoys: what the server's
//! settings say, for connections and for requests; and the API tells the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use anyhow::{Result, bail};
use peerway_cli::demo::stage::wait_for;
use peerway_cli::demo::story::{self, Scene};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
const SETTLE: Duration = Duration::from_secs(20);

/// The status of a request; nothing when the connection ends without an answer.
fn asked(port: u16) -> Result<Option<u16>> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(SETTLE))?;
    let request = b"GET /hello HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\r\n";
    let mut answer = Vec::new();
    // A refused connection may be reset.
    if connection.write_all(request).is_err() || connection.read_to_end(&mut answer).is_err() {
        return Ok(None);
    }
    let head = String::from_utf8_lossy(&answer);
    Ok(head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|status| status.parse().ok()))
}

fn wait_answer(port: u16, expected: Option<u16>) {
    wait_for(
        &format!("a call to end with {expected:?}"),
        SETTLE,
        || match asked(port)? {
            status if status == expected => Ok(()),
            status => bail!("{status:?}"),
        },
    )
    .unwrap();
}

fn start(envoy: &str, policy: &str, protocol: &str) -> (TestStage, Scene) {
    let test = TestStage::new(BINARY, envoy).unwrap();
    let setting = format!("default_intention_policy = {policy:?}");
    let scene = story::set_with(&test.stage, &setting).unwrap();
    let defaults = format!("Kind = \"service-defaults\"\nName = \"api\"\nProtocol = \"{protocol}\"");
    scene.west.write_config("api-defaults.hcl", &defaults).unwrap();
    let export = "Kind = \"exported-services\"\nName = \"default\"\nServices = [{ Name = \"api\" Consumers = [{ Peer = \"east\" }] }]";
    scene.west.write_config("export.hcl", export).unwrap();
    story::introduce(&scene).unwrap();
    (test, scene)
}

fn intend(scene: &Scene, sources: &str) {
    let text = format!("Kind = \"service-intentions\"\nName = \"api\"\nSources = [{sources}]");
    scene.west.write_config("intention.hcl", &text).unwrap();
}

/// Whether the API says that a caller of east may call, and what the command prints.
fn told(scene: &Scene, caller: &str) -> bool {
    let answer = scene
        .west
        .get(&format!(
            "/v1/connect/intentions/check?source={caller}&source-peer=east&destination=api"
        ))
        .unwrap();
    let allowed = answer["Allowed"].as_bool().unwrap();
    let printed = scene
        .west
        .cli(&["intention", "check", "-peer=east", caller, "api"]);
    assert_eq!(
        printed.is_ok_and(|text| text.starts_with("Allowed: ")),
        allowed,
        "{answer}"
    );
    allowed
}

fn open_unless_denied(envoy: &str, protocol: &str, refused: Option<u16>) {
    let (test, scene) = start(envoy, "allow", protocol);
    wait_answer(scene.web_dials, Some(200));
    wait_answer(scene.other_dials, Some(200));
    assert!(told(&scene, "web"));
    intend(&scene, r#"{ Name = "web" Peer = "east" Action = "deny" }"#);
    wait_answer(scene.web_dials, refused);
    wait_answer(scene.other_dials, Some(200));
    assert!(!told(&scene, "web") && told(&scene, "other"));
    intend(
        &scene,
        r#"{ Name = "*" Peer = "east" Action = "deny" }, { Name = "web" Peer = "east" Action = "allow" }"#,
    );
    wait_answer(scene.web_dials, Some(200));
    wait_answer(scene.other_dials, refused);
    assert!(told(&scene, "web") && !told(&scene, "other"));
    test.finish().unwrap();
}

#[test]
fn connections_are_open_by_default_where_the_server_says_so() {
    open_unless_denied(ENVOY_ENV, "tcp", None);
}

#[test]
fn requests_are_open_by_default_where_the_server_says_so() {
    open_unless_denied(ENVOY_ENV, "http", Some(403));
}

#[test]
fn the_oldest_envoy_is_open_by_default_where_the_server_says_so() {
    open_unless_denied(OLDEST_ENVOY_ENV, "tcp", None);
}

#[test]
fn requests_are_closed_by_default_where_the_server_says_so() {
    let (test, scene) = start(ENVOY_ENV, "deny", "http");
    wait_answer(scene.web_dials, Some(403));
    assert!(!told(&scene, "web"));
    intend(&scene, r#"{ Name = "web" Peer = "east" Action = "allow" }"#);
    wait_answer(scene.web_dials, Some(200));
    wait_answer(scene.other_dials, Some(403));
    assert!(told(&scene, "web") && !told(&scene, "other"));
    test.finish().unwrap();
}
