//! Paths that a sidecar passes to its application from outside the mesh, on real Envoys: these paths and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use anyhow::{Result, bail, ensure};
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::stage::{free_port, wait_for};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
/// How long a state that must come may take.
const SETTLE: Duration = Duration::from_secs(20);

/// The status and the text of the answer to a request whose path is sent as it is written here.
fn asked(port: u16, path: &str, more: &str) -> Result<(u16, String)> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(SETTLE))?;
    let text = format!("GET {path} HTTP/1.1\r\nhost: api\r\nconnection: close\r\n{more}\r\n");
    connection.write_all(text.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    match answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)) {
        Some(status) => Ok((status.parse()?, answer)),
        None => bail!("not an answer: {answer:?}"),
    }
}

fn status(port: u16, path: &str) -> Result<u16> {
    asked(port, path, "").map(|(status, _)| status)
}

fn wait_status(port: u16, path: &str, wanted: u16) {
    wait_for(&format!("{path} to be answered with {wanted}"), SETTLE, || {
        let got = status(port, path)?;
        ensure!(got == wanted, "{got}");
        Ok(())
    })
    .unwrap();
}

fn wait_closed(port: u16) {
    wait_for(&format!("port {port} to be closed"), SETTLE, || {
        ensure!(status(port, "/health").is_err(), "it answers");
        Ok(())
    })
    .unwrap();
}

fn register(cluster: &Cluster, name: &str, port: u16, proxy: &str) -> Result<u16> {
    let sidecar = free_port()?;
    let text = format!(
        "service {{ name = \"{name}\" address = \"127.0.0.1\" port = {port}\n connect {{ sidecar_service {{ port = {sidecar} {proxy} }} }} }}"
    );
    cluster.register(&format!("{name}.hcl"), &text)?;
    Ok(sidecar)
}

fn exposed_paths_and_nothing_else_are_reached(envoy: &str) {
    let test = TestStage::new(BINARY, envoy).unwrap();
    let cluster = Cluster::start(&test.stage, "dc1").unwrap();
    let [app, upstream, health, metrics, other] = [(); 5].map(|()| free_port().unwrap());
    let args = [
        "echo".to_owned(),
        format!("-listen=127.0.0.1:{app}"),
        "-name=api".to_owned(),
    ];
    test.stage.start("echo", &args).unwrap();
    let path = |path: &str, port: u16, protocol: &str| {
        format!(
            "{{ Path = \"{path}\" LocalPathPort = {app} ListenerPort = {port} Protocol = \"{protocol}\" }}"
        )
    };
    let proxy = |paths: &[String]| format!("proxy {{ expose {{ paths = [{}] }} }}", paths.join(", "));
    let own = proxy(&[
        path("/health", health, "http"),
        path("/metrics/all", metrics, "http2"),
    ]);
    let public = register(&cluster, "api", app, &own).unwrap();
    let calls =
        format!("proxy {{ upstreams = [{{ destination_name = \"api\" local_bind_port = {upstream} }}] }}");
    register(&cluster, "web", free_port().unwrap(), &calls).unwrap();
    let defaults = |more: &str| {
        let text = format!("Kind = \"service-defaults\"\nName = \"api\"\nProtocol = \"http\"\n{more}");
        cluster.write_config("api.hcl", &text).unwrap();
    };
    defaults("");
    let api = cluster.envoy("api", "-sidecar-for=api").unwrap();
    let web = cluster.envoy("web", "-sidecar-for=web").unwrap();
    for envoy in [&api, &web] {
        envoy.wait_live(SETTLE).unwrap();
    }

    // In plain, of anybody, though no intention lets anybody in.
    wait_status(health, "/health", 200);
    let forged =
        "x-forwarded-client-cert: URI=spiffe://a/b\r\nx-envoy-max-retries: 9\r\nx-forwarded-for: 9.9.9.9\r\n";
    let (_, answer) = asked(health, "/health?full=1", forged).unwrap();
    assert!(answer.contains("\"path\":\"/health\""), "{answer}");
    assert!(
        !answer.contains("spiffe") && !answer.contains("max-retries"),
        "{answer}"
    );
    wait_status(metrics, "/metrics/all", 200);
    let (_, answer) = asked(metrics, "/metrics/all", "").unwrap();
    assert!(answer.contains("HTTP/2.0"), "{answer}");
    wait_status(upstream, "/health", 403);
    // Neither port has the other one's path, and the public one is no door.
    for (port, path, wanted) in [
        (health, "/metrics/all", 404),
        (metrics, "/health", 404),
        (health, "/", 404),
        (health, "/health/", 404),
        (health, "/healthy", 404),
        (health, "/HEALTH", 404),
        (health, "/admin", 404),
        (health, "/health/admin", 404),
        (health, "/health/../admin", 404),
        (health, "/health/%2e%2e/admin", 404),
        (health, "/health;/../admin", 404),
        (health, "/health%2f..%2fadmin", 400),
        (health, "/health%2f..", 400),
        (health, "/health%5c..%5cadmin", 400),
        (health, "/health%00", 400),
        (health, "/health#/admin", 400),
    ] {
        assert_eq!(status(port, path).unwrap(), wanted, "{path}");
    }
    // Other spellings of the one path are that path, and the application gets it in one spelling.
    for path in ["//health", "/./health", "/admin/../health", "/%68ealth"] {
        let (status, answer) = asked(health, path, "").unwrap();
        assert_eq!(status, 200, "{path}");
        assert!(answer.contains("\"path\":\"/health\""), "{path}: {answer}");
    }
    assert!(
        status(public, "/health").is_err(),
        "the public listener takes certificates only"
    );
    assert_eq!(api.sum("http.exposed_path_filter_health").unwrap().min(1), 1);

    // A port that is used for something else is refused when the registration says it.
    let taken = format!(
        "service {{ name = \"api\" address = \"127.0.0.1\" port = {app}\n connect {{ sidecar_service {{ port = {public} {} }} }} }}",
        proxy(&[path("/health", public, "http")])
    );
    let refused = cluster.register("taken.hcl", &taken).unwrap_err().to_string();
    assert!(
        refused.contains("Connect.SidecarService.Proxy.Expose.Paths[0].ListenerPort")
            && refused.contains("is that of the public listener"),
        "{refused}"
    );

    // Without a word of the registration the entry counts, at once; what it cannot have is said.
    let open = format!(
        "service {{ name = \"api\" address = \"127.0.0.1\" port = {app}\n connect {{ sidecar_service {{ port = {public} }} }} }}"
    );
    cluster.register("open.hcl", &open).unwrap();
    wait_closed(health);
    defaults(&format!(
        "Expose {{ Paths = [{}, {}] }}",
        path("/live", other, "http"),
        path("/ready", public, "http")
    ));
    wait_status(other, "/live", 200);
    assert_eq!(status(other, "/health").unwrap(), 404);
    let shown = cluster.get("/v1/agent/service/api-sidecar-proxy").unwrap();
    let expose = &shown["Proxy"]["Expose"];
    assert_eq!(expose["Paths"][0]["Path"], "/live", "{shown}");
    assert_eq!(expose["LeftOut"][0]["Path"], "/ready", "{shown}");
    assert!(status(public, "/ready").is_err());
    defaults("");
    wait_closed(other);
    test.finish().unwrap();
}

#[test]
fn exposed_paths_and_nothing_else_are_reached_with_the_newest_envoy() {
    exposed_paths_and_nothing_else_are_reached(ENVOY_ENV);
}

#[test]
fn exposed_paths_and_nothing_else_are_reached_with_the_oldest_envoy() {
    exposed_paths_and_nothing_else_are_reached(OLDEST_ENVOY_ENV);
}
