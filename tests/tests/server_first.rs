//! A service that speaks before its client does (MySQL, SMTP, SSH, NATS): its first words must not reach a caller
//! that no intention allows. Envoy's RBAC filter alone lets them through.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use anyhow::{Result, bail};
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::stage::{free_port, wait_for};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
const SETTLE: Duration = Duration::from_secs(20);
const GREETING: &[u8] = b"greetings from the service\n";

/// Greets whoever connects and then waits for them to go away; the port.
fn greeter() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            std::thread::spawn(move || {
                let _ = connection.write_all(GREETING);
                let _ = connection.read(&mut [0; 1]);
            });
        }
    });
    port
}

/// What a client hears; with `says`, after speaking first. Ends when the other side closes or has greeted.
fn heard(port: u16, says: Option<&[u8]>) -> Result<Vec<u8>> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(SETTLE))?;
    if let Some(words) = says {
        connection.write_all(words)?;
    }
    let mut heard = vec![0; GREETING.len()];
    let mut length = 0;
    while let Some(rest @ [_, ..]) = heard.get_mut(length..) {
        match connection.read(rest) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error.into()),
        }
    }
    heard.truncate(length);
    Ok(heard)
}

/// Where the greeter is.
#[derive(Clone, Copy)]
enum Greeter {
    /// Behind a sidecar, which is told that it speaks first, or not.
    Sidecar { declared: bool },
    /// Outside the mesh, behind a terminating gateway that is told so.
    Outside,
}

impl Greeter {
    /// Registers it; how its Envoy is run.
    fn register(self, west: &Cluster) -> &'static str {
        let port = greeter();
        let own = free_port().unwrap();
        let Greeter::Sidecar { declared } = self else {
            let service = format!("service {{ name = \"greeter\" port = {port} address = \"127.0.0.1\" }}");
            west.register("greeter.hcl", &service).unwrap();
            let gateway = format!(
                "service {{ kind = \"terminating-gateway\" name = \"out\" address = \"127.0.0.1\" port = {own} proxy {{ config {{ server_first = true }} }} }}"
            );
            west.register("out.hcl", &gateway).unwrap();
            let links = "Kind = \"terminating-gateway\"\nName = \"out\"\nServices = [{ Name = \"greeter\" }]";
            west.write_config("links.hcl", links).unwrap();
            return "-gateway=terminating";
        };
        let config = if declared {
            "proxy { config { server_first = true } }"
        } else {
            ""
        };
        let service = format!(
            "service {{\n name = \"greeter\"\n port = {port}\n address = \"127.0.0.1\"\n connect {{ sidecar_service {{ port = {own} {config} }} }}\n}}"
        );
        west.register("greeter.hcl", &service).unwrap();
        "-sidecar-for=greeter"
    }
}

/// `web` may call `greeter`, `other` may not; both dial it through their sidecars. Returns the two ports.
fn mesh(test: &TestStage, greeter: Greeter) -> (u16, u16) {
    let west = Cluster::start(&test.stage, "west").unwrap();
    let greets = greeter.register(&west);
    let mut ports = [0, 0];
    for (name, port) in ["web", "other"].into_iter().zip(&mut ports) {
        *port = free_port().unwrap();
        let text = format!(
            "service {{\n name = \"{name}\"\n port = 1\n address = \"127.0.0.1\"\n connect {{ sidecar_service {{ port = {} proxy {{ upstreams = [{{ destination_name = \"greeter\" local_bind_port = {port} }}] }} }} }}\n}}",
            free_port().unwrap()
        );
        west.register(&format!("{name}.hcl"), &text).unwrap();
    }
    let intention = "Kind = \"service-intentions\"\nName = \"greeter\"\nSources = [{ Name = \"web\" Action = \"allow\" }]";
    west.write_config("intention.hcl", intention).unwrap();
    for which in [greets, "-sidecar-for=web", "-sidecar-for=other"] {
        let envoy = west.envoy(which.trim_start_matches('-'), which).unwrap();
        envoy.wait_live(SETTLE).unwrap();
    }
    (ports[0], ports[1])
}

/// Waits until web is heard, so that a refusal of other is a decision and not a mesh that is not there yet.
fn wait_until_heard(port: u16, says: Option<&[u8]>) {
    wait_for("web to be greeted", SETTLE, || match heard(port, says)? {
        words if words == GREETING => Ok(()),
        words => bail!("heard {words:?}"),
    })
    .unwrap();
}

#[test]
fn by_default_the_application_is_not_connected_before_policy_has_decided() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let (web, other) = mesh(&test, Greeter::Sidecar { declared: false });
    wait_until_heard(web, Some(b"hello\n"));
    assert_eq!(
        heard(other, Some(b"hello\n")).unwrap(),
        b"",
        "a refused caller heard the service"
    );
    test.finish().unwrap();
}

#[test]
fn a_service_declared_to_speak_first_greets_only_those_who_may_call() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let (web, other) = mesh(&test, Greeter::Sidecar { declared: true });
    wait_until_heard(web, None);
    assert_eq!(
        heard(other, None).unwrap(),
        b"",
        "a refused caller heard the service"
    );
    test.finish().unwrap();
}

#[test]
fn the_oldest_envoy_greets_only_those_who_may_call() {
    let test = TestStage::new(BINARY, OLDEST_ENVOY_ENV).unwrap();
    let (web, other) = mesh(&test, Greeter::Sidecar { declared: false });
    wait_until_heard(web, None);
    assert_eq!(
        heard(other, None).unwrap(),
        b"",
        "a refused caller heard the service"
    );
    test.finish().unwrap();
}

fn greeted_from_outside(envoy: &str) {
    let test = TestStage::new(BINARY, envoy).unwrap();
    let (web, other) = mesh(&test, Greeter::Outside);
    wait_until_heard(web, None);
    assert_eq!(
        heard(other, None).unwrap(),
        b"",
        "a refused caller heard the service"
    );
    test.finish().unwrap();
}

#[test]
fn a_service_outside_greets_only_those_who_may_call() {
    greeted_from_outside(ENVOY_ENV);
}

#[test]
fn a_service_outside_greets_only_those_who_may_call_with_the_oldest_envoy() {
    greeted_from_outside(OLDEST_ENVOY_ENV);
}
