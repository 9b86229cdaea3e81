//! What Envoys tell of calls and of themselves, on both ends of a peering.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use anyhow::{Context, Result, ensure};
use peerway_cli::client::Client;
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::stage::{free_port, wait_for};
use peerway_cli::demo::story;
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage};
use serde_json::Value;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
/// How long a state may take to be reached. Envoy writes its logs every ten seconds.
const SETTLE: Duration = Duration::from_secs(60);

fn write(cluster: &Cluster, test: &TestStage, file: &str, text: &str) {
    let path = test.stage.write(file, text).unwrap();
    cluster.cli(&["config", "write", "-wait=60s", &path]).unwrap();
}

/// Waits for a line that fits.
fn wait_line(log: &Path, fits: impl Fn(&str) -> bool) -> String {
    wait_for("a line in the access log", SETTLE, || {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let line = text.lines().find(|line| fits(line)).map(str::to_owned);
        line.with_context(|| format!("{} has {text:?}", log.display()))
    })
    .unwrap()
}

fn get(port: u16, path: &str) -> Result<peerway_cli::client::Answer> {
    Client::new(&format!("127.0.0.1:{port}"))?.get(path)
}

fn calls_leave_lines(envoy: &str) {
    let test = TestStage::new(BINARY, envoy).unwrap();
    let scene = story::set(&test.stage).unwrap();
    story::introduce(&scene).unwrap();
    story::allow(&scene).unwrap();
    let [east, west] = ["east-access.log", "west-access.log"].map(|name| test.stage.dir().join(name));
    let defaults = |log: &Path, more: &str| {
        format!(
            "Kind = \"proxy-defaults\"\nName = \"global\"\nAccessLogs {{\n Enabled = true\n Type = \"file\"\n Path = \"{}\"\n {more}\n}}\n",
            log.display()
        )
    };
    write(&scene.east, &test, "east-defaults.hcl", &defaults(&east, ""));
    write(
        &scene.west,
        &test,
        "west-defaults.hcl",
        &defaults(
            &west,
            "TextFormat = \"to=%UPSTREAM_CLUSTER% flags=%RESPONSE_FLAGS% sni=%REQUESTED_SERVER_NAME%\"",
        ),
    );
    scene.web().call().unwrap();
    let told = wait_line(&east, |line| line.contains("api.default.west.external."));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(told["bytes_sent"].as_u64().unwrap() > 0, "{told}");
    let upstream = told["upstream_cluster"].as_str().unwrap();
    assert!(upstream.starts_with("api.default.west.external."), "{told}");
    let gateway = wait_line(&west, |line| line.starts_with("to=exported~api."));
    assert!(
        gateway.contains("sni=api.default.default.east.external."),
        "{gateway}"
    );
    wait_line(&west, |line| line.starts_with("to=local_app flags=- "));

    // What fits no chain of a gateway is written about by its listener.
    let registered = scene.west.get("/v1/agent/service/gateway").unwrap();
    let port = u16::try_from(registered["Port"].as_u64().unwrap()).unwrap();
    let mut stranger = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stranger.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    wait_line(&west, |line| line == "to=- flags=NR sni=-");
    drop(stranger);

    // And no more once it is switched off.
    write(
        &scene.west,
        &test,
        "west-defaults.hcl",
        "Kind = \"proxy-defaults\"\nName = \"global\"",
    );
    scene.web().call().unwrap();
    test.finish().unwrap();
}

#[test]
fn calls_leave_lines_with_the_newest_envoy() {
    calls_leave_lines(ENVOY_ENV);
}

#[test]
fn calls_leave_lines_with_the_oldest_envoy() {
    calls_leave_lines(OLDEST_ENVOY_ENV);
}

fn statistics_are_shown(envoy: &str) {
    let test = TestStage::new(BINARY, envoy).unwrap();
    let west = Cluster::start(&test.stage, "west").unwrap();
    let (prometheus, stats, ready) = (free_port().unwrap(), free_port().unwrap(), free_port().unwrap());
    let statsd = UdpSocket::bind("127.0.0.1:0").unwrap();
    statsd.set_read_timeout(Some(SETTLE)).unwrap();
    write(
        &west,
        &test,
        "defaults.hcl",
        &format!(
            "Kind = \"proxy-defaults\"\nName = \"global\"\nConfig {{\n envoy_prometheus_bind_addr = \"127.0.0.1:{prometheus}\"\n envoy_stats_bind_addr = \"127.0.0.1:{stats}\"\n envoy_statsd_url = \"udp://127.0.0.1:{}\"\n envoy_stats_flush_interval = \"200ms\"\n envoy_stats_tags = [\"team=blue\"]\n}}\n",
            statsd.local_addr().unwrap().port()
        ),
    );
    west.register(
        "api.hcl",
        &format!(
            "service {{\n name = \"api\"\n port = 1\n connect {{ sidecar_service {{ port = {} }} }}\n}}",
            free_port().unwrap()
        ),
    )
    .unwrap();
    let args = [
        "connect",
        "envoy",
        &format!("-http-addr={}", west.http),
        "-sidecar-for=api",
        &format!("-admin-bind=127.0.0.1:{}", free_port().unwrap()),
        &format!("-envoy-ready-bind-port={ready}"),
        "-prometheus-scrape-path=/scrape",
        &format!("-envoy-binary={}", test.stage.envoy().display()),
    ]
    .map(str::to_owned);
    let sidecar = test.stage.start("api-sidecar", &args).unwrap();
    wait_for("Envoy to be ready", SETTLE, || {
        let answer = get(ready, "/ready")?;
        ensure!(answer.status == 200, "{}: {}", answer.body, sidecar.tail(5));
        Ok(())
    })
    .unwrap();
    let scraped = get(prometheus, "/scrape?usedonly").unwrap().ok().unwrap().body;
    let live = scraped
        .lines()
        .find(|line| line.starts_with("envoy_server_live{"))
        .expect("Envoy's own state is scraped");
    assert!(
        live.contains("team=\"blue\"") && live.contains("local_cluster=\"api\""),
        "{live}"
    );
    let all = get(stats, "/stats?filter=server.live")
        .unwrap()
        .ok()
        .unwrap()
        .body;
    assert_eq!(all.trim(), "server.live: 1");
    // Nothing else of the admin interface is within reach.
    for (port, path) in [
        (prometheus, "/config_dump"),
        (prometheus, "/scrape/../quitquitquit"),
        (prometheus, "/stats/prometheus"),
        (stats, "/config_dump"),
        (stats, "/statsx"),
        (ready, "/stats"),
    ] {
        assert_eq!(get(port, path).unwrap().status, 404, "{path}");
    }
    let posted = Client::new(&format!("127.0.0.1:{stats}"))
        .unwrap()
        .post("/stats/recentlookups/enable", &Value::Null)
        .unwrap();
    assert_eq!(posted.status, 404, "only reading");
    let mut datagram = [0_u8; 65_536];
    let received = statsd.recv(&mut datagram).unwrap();
    let text = String::from_utf8_lossy(&datagram[..received]);
    assert!(text.starts_with("envoy."), "{text}");
}

#[test]
fn statistics_are_shown_by_the_newest_envoy() {
    statistics_are_shown(ENVOY_ENV);
}

#[test]
fn statistics_are_shown_by_the_oldest_envoy() {
    statistics_are_shown(OLDEST_ENVOY_ENV);
}
