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
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage, foreign_python};
use serde_json::Value;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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

/// A collector of traces that is no part of Peerway or Envoy.
struct Collector {
    child: Child,
    port: u16,
    spans: PathBuf,
}

impl Collector {
    fn start(test: &TestStage) -> Self {
        let (port, spans) = (free_port().unwrap(), test.stage.dir().join("spans.json"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/collector.py");
        let child = Command::new(foreign_python().unwrap())
            .arg("-B")
            .arg(script)
            .arg(port.to_string())
            .arg(&spans)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Collector { child, port, spans }
    }

    /// What was collected so far.
    fn spans(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.spans).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn a_call_across_peers_is_one_trace(envoy: &str) {
    let test = TestStage::new(BINARY, envoy).unwrap();
    let scene = story::set(&test.stage).unwrap();
    story::introduce(&scene).unwrap();
    story::allow(&scene).unwrap();
    let http = "Kind = \"service-defaults\"\nName = \"api\"\nProtocol = \"http\"";
    write(&scene.west, &test, "api-defaults.hcl", http);
    let collector = Collector::start(&test);
    let traced = format!(
        "Kind = \"proxy-defaults\"\nName = \"global\"\nTracing {{ Collector = \"127.0.0.1:{}\" }}",
        collector.port
    );
    for cluster in [&scene.east, &scene.west] {
        write(cluster, &test, "traced.hcl", &traced);
    }
    // The first calls may still go over what was there before.
    let found = wait_for("the spans of one call", SETTLE, || {
        scene.web().call()?;
        let spans = collector.spans();
        let of = |service: &str, trace: &Value| {
            let found = spans
                .iter()
                .find(|span| span["service"] == service && span["trace"] == *trace);
            found
                .cloned()
                .with_context(|| format!("nothing of {service} in {spans:?}"))
        };
        let mut begun = spans
            .iter()
            .filter(|span| span["service"] == "web")
            .filter_map(|web| {
                let trace = &web["trace"];
                Some([
                    web.clone(),
                    of("mesh-gateway", trace).ok()?,
                    of("api", trace).ok()?,
                ])
            });
        begun.next_back().with_context(|| format!("{spans:?}"))
    })
    .unwrap();
    let [web, gateway, api] = found;
    assert_eq!(web["parent"], "", "the trace begins where the call does");
    assert_eq!(
        (&gateway["parent"], &api["parent"]),
        (&web["span"], &gateway["span"])
    );
    let upstream = web["attributes"]["upstream_cluster.name"]
        .as_str()
        .unwrap_or_default();
    assert!(upstream.contains("api"), "{web}");

    // A collector that goes away costs no call, and neither does switching it off.
    drop(collector);
    scene.web().call().unwrap();
    for cluster in [&scene.east, &scene.west] {
        write(
            cluster,
            &test,
            "untraced.hcl",
            "Kind = \"proxy-defaults\"\nName = \"global\"",
        );
    }
    scene.web().call().unwrap();
    test.finish().unwrap();
}

#[test]
fn a_call_across_peers_is_one_trace_with_the_newest_envoy() {
    a_call_across_peers_is_one_trace(ENVOY_ENV);
}

#[test]
fn a_call_across_peers_is_one_trace_with_the_oldest_envoy() {
    a_call_across_peers_is_one_trace(OLDEST_ENVOY_ENV);
}
