//! Calls of an application that knows nothing of the mesh: the kernel redirects them to its sidecar. Everything runs in a
//! network of its own, so that the rules are nobody else's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use anyhow::{Result, bail, ensure};
use domain::base::iana::Rtype;
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::A;
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::envoy::Envoy;
use peerway_cli::demo::stage::{free_port, wait_for};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage};
use rustix::thread::UnshareFlags;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
/// How long a state that must come may take.
const SETTLE: Duration = Duration::from_secs(20);
/// The one machine of this network has this address beside loopback's.
const MACHINE: &str = "10.77.0.1";
/// Whom the rules are about. All else runs as the user of the test, as Envoy does.
const APPLICATION: u32 = 4_242;

fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status();
    let status =
        status.unwrap_or_else(|error| panic!("{program} is needed by this test, install it: {error}"));
    assert!(status.success(), "{program} {args:?}: {status}");
}

/// Moves this thread, and with it every process that it starts, into a network with nothing in it but a machine.
fn enter_own_network() {
    #[expect(
        deprecated,
        reason = "the thread has no files open that a new network could invalidate"
    )]
    let entered = rustix::thread::unshare(UnshareFlags::NEWNET);
    entered.expect("this test makes a network of its own, which needs root");
    run("ip", &["link", "set", "lo", "up"]);
    run(
        "ip",
        &[
            "link", "add", "outside", "type", "veth", "peer", "name", "nowhere",
        ],
    );
    run("ip", &["link", "set", "nowhere", "up"]);
    run(
        "ip",
        &["address", "add", &format!("{MACHINE}/24"), "dev", "outside"],
    );
    run("ip", &["link", "set", "outside", "up"]);
    run("ip", &["route", "add", "default", "dev", "outside"]);
}

/// What the application gets from an address, with its own eyes.
fn fetched(address: &str, port: u16) -> Result<String> {
    let output = Command::new("setpriv")
        .args([
            &format!("--reuid={APPLICATION}"),
            "--clear-groups",
            "curl",
            "--silent",
            "--show-error",
            "--max-time",
            "5",
            &format!("http://{address}:{port}/hello"),
        ])
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn wait_fetched(address: &str, port: u16, told: &str) {
    wait_for(&format!("an answer from {address}"), SETTLE, || {
        match fetched(address, port)? {
            body if body.contains(told) => Ok(()),
            body => bail!("{body}"),
        }
    })
    .unwrap();
}

fn wait_refused(address: &str, port: u16) {
    wait_for(&format!("{address} to be refused"), SETTLE, || {
        match fetched(address, port) {
            Ok(body) if body.contains("service") => bail!("{body}"),
            _ => Ok(()),
        }
    })
    .unwrap();
}

fn echo(test: &TestStage, name: &str, address: &str) -> u16 {
    let port = free_port().unwrap();
    let args = [
        "echo".to_owned(),
        format!("-listen={address}:{port}"),
        format!("-name={name}"),
    ];
    test.stage.start(&format!("echo-{name}"), &args).unwrap();
    port
}

fn gateway(cluster: &Cluster) -> Envoy {
    let port = free_port().unwrap();
    let text = format!(
        "service {{\n kind = \"mesh-gateway\"\n name = \"mesh-gateway\"\n address = \"{MACHINE}\"\n port = {port}\n}}"
    );
    cluster
        .register(&format!("{}-gateway.hcl", cluster.name), &text)
        .unwrap();
    cluster
        .envoy(&format!("{}-gateway", cluster.name), "-gateway=mesh")
        .unwrap()
}

fn sidecar(cluster: &Cluster, name: &str, port: u16, proxy: &str) -> (Envoy, u16) {
    let sidecar = free_port().unwrap();
    let text = format!(
        "service {{\n name = \"{name}\"\n address = \"{MACHINE}\"\n port = {port}\n connect {{\n  sidecar_service {{\n   address = \"{MACHINE}\"\n   port = {sidecar}\n   proxy {{ {proxy} }}\n  }}\n }}\n}}"
    );
    cluster.register(&format!("{name}.hcl"), &text).unwrap();
    let which = format!("-sidecar-for={name}");
    (
        cluster
            .envoy(&format!("{}-{name}", cluster.name), &which)
            .unwrap(),
        sidecar,
    )
}

/// The one address of a name, as the cluster answers it over UDP.
fn asked(cluster: &Cluster, name: &str) -> Result<String> {
    let mut question = MessageBuilder::new_vec().question();
    question.push((Name::vec_from_str(name)?, Rtype::A))?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(SETTLE))?;
    socket.send_to(&question.finish(), cluster.dns)?;
    let mut buffer = [0; 512];
    let len = socket.recv(&mut buffer)?;
    let message = Message::from_slice(buffer.get(..len).unwrap_or_default())?;
    let answers = message.answer()?.limit_to::<A>().collect::<Result<Vec<_>, _>>()?;
    match answers.as_slice() {
        [only] => Ok(only.data().addr().to_string()),
        all => bail!("{} with {} addresses", message.header().rcode(), all.len()),
    }
}

fn resolved(cluster: &Cluster, name: &str) -> String {
    wait_for(&format!("{name} to have an address"), SETTLE, || {
        asked(cluster, name)
    })
    .unwrap()
}

fn redirected_calls_arrive(envoy: &str) {
    enter_own_network();
    let test = TestStage::new(BINARY, envoy).unwrap();
    let west = Cluster::start(&test.stage, "west").unwrap();
    let east = Cluster::start(&test.stage, "east").unwrap();
    let envoys = [
        gateway(&west),
        gateway(&east),
        sidecar(&west, "api", echo(&test, "api", "127.0.0.1"), "").0,
        sidecar(&east, "near", echo(&test, "near", "127.0.0.1"), "").0,
        sidecar(&east, "web", free_port().unwrap(), "").0,
    ];
    let outside = echo(&test, "outside", MACHINE);
    west.write_config(
        "exports.hcl",
        "Kind = \"exported-services\"\nName = \"default\"\nServices = [{ Name = \"api\" Consumers = [{ Peer = \"east\" }] }]",
    )
    .unwrap();
    let allow = |cluster: &Cluster, name: &str, peer: &str| {
        let text = format!(
            "Kind = \"service-intentions\"\nName = \"{name}\"\nSources = [{{ Name = \"web\" {peer} Action = \"allow\" }}]"
        );
        cluster
            .write_config(&format!("{name}-intentions.hcl"), &text)
            .unwrap();
    };
    allow(&west, "api", "Peer = \"east\"");
    allow(&east, "near", "");
    let token = west.cli(&["peering", "generate-token", "-name=east"]).unwrap();
    let token = format!("-peering-token={token}");
    east.cli(&["peering", "establish", "-name=west", &token]).unwrap();
    for envoy in &envoys {
        envoy.wait_live(SETTLE).unwrap();
    }

    // Nobody has told the kernel yet: a virtual address leads nowhere.
    let (api, near) = (
        resolved(&east, "api.virtual.west.peer.consul"),
        resolved(&east, "near.virtual.consul"),
    );
    assert_eq!(resolved(&east, "api.virtual.west.consul"), api);
    assert_ne!(api, near);
    assert!(asked(&east, "api.virtual.consul").is_err(), "it is the peer's");
    assert!(fetched(&near, 80).is_err());
    // Envoy runs as the test does, whose user is nobody the rules are about.
    let own = rustix::process::getuid().as_raw().to_string();
    let redirect = || {
        east.cli(&[
            "connect",
            "redirect-traffic",
            "-proxy-id=web-sidecar-proxy",
            &format!("-proxy-uid={own}"),
        ])
    };
    let refused = redirect().unwrap_err().to_string();
    assert!(refused.contains("is not transparent"), "{refused}");
    // The registration leaves the mode open, so the defaults of the service say it.
    let defaults = |name: &str, text: &str| {
        let text = format!("Kind = \"service-defaults\"\nName = \"{name}\"\n{text}");
        east.write_config(&format!("{name}-defaults.hcl"), &text).unwrap();
    };
    defaults(
        "web",
        "Mode = \"transparent\"\nTransparentProxy { OutboundListenerPort = 15007 }",
    );
    let told = redirect().unwrap();
    assert!(told.contains("Traffic is redirected"), "{told}");

    wait_fetched(&near, 80, "\"near\"");
    wait_fetched(&api, 8_080, "\"api\"");
    wait_fetched(MACHINE, outside, "\"outside\"");
    let web = &envoys[4];
    assert!(web.sum("cluster.original-destination.upstream_cx_total").unwrap() > 0);

    // A mesh that keeps to itself: the same address, which worked a moment ago, is refused, and the mesh goes on.
    east.write_config(
        "mesh.hcl",
        "Kind = \"mesh\"\nTransparentProxy { MeshDestinationsOnly = true }",
    )
    .unwrap();
    wait_refused(MACHINE, outside);
    wait_fetched(&api, 8_080, "\"api\"");

    // What the entry does not say any more counts no more, for the running sidecar too; nor does the other port.
    defaults("web", "");
    wait_refused(&near, 80);
    defaults(
        "web",
        "Mode = \"transparent\"\nTransparentProxy { OutboundListenerPort = 15007 }",
    );
    wait_fetched(&near, 80, "\"near\"");

    // The port of a path that the sidecar exposes is left to those who ask for it.
    defaults(
        "web",
        "Mode = \"transparent\"\nTransparentProxy { OutboundListenerPort = 15007 }\nExpose { Paths = [{ Path = \"/health\" LocalPathPort = 9 ListenerPort = 21500 }] }",
    );
    let rules = east
        .cli(&[
            "connect",
            "redirect-traffic",
            "-proxy-id=web-sidecar-proxy",
            "-proxy-uid=0",
            "-print",
        ])
        .unwrap();
    assert!(rules.contains("\t\ttcp dport 21500 return\n"), "{rules}");
    assert!(rules.contains("redirect to :15007\n"), "{rules}");

    // An instance that lets itself be dialled is reached with mTLS under its own address, where redirected calls
    // arrive at its sidecar.
    let direct = echo(&test, "direct", "127.0.0.1");
    let proxy =
        "mode = \"transparent\" transparent_proxy { outbound_listener_port = 15002 dialed_directly = true }";
    let (envoy, port) = sidecar(&east, "direct", direct, proxy);
    allow(&east, "direct", "");
    envoy.wait_live(SETTLE).unwrap();
    wait_fetched(MACHINE, port, "\"direct\"");
    assert!(web.sum("cluster.passthrough~direct.default.east").unwrap() > 0);
    test.finish().unwrap();
}

#[test]
fn redirected_calls_arrive_with_the_newest_envoy() {
    redirected_calls_arrive(ENVOY_ENV);
}

#[test]
fn redirected_calls_arrive_with_the_oldest_envoy() {
    redirected_calls_arrive(OLDEST_ENVOY_ENV);
}
