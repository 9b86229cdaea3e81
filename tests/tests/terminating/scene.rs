//! Two clusters: west with services outside its mesh behind a terminating gateway, and a `web` and an `other` in each that
//! dial them.

use crate::outside::{self, Vault};
use anyhow::{Result, bail, ensure};
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::envoy::Envoy;
use peerway_cli::demo::stage::{free_port, wait_for};
use peerway_tests::TestStage;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
/// How long a state that must come may take.
const SETTLE: Duration = Duration::from_secs(30);
/// What callers of bytes say.
const SAID: &str = "hello\n";
/// The services outside, as the entry of the gateway links them; `FILES` is the folder of the vault.
pub(crate) const LINKS: &str = r#"{ Name = "bytes" }, { Name = "pages" },
    { Name = "vault" CAFile = "FILES/ca.pem" SNI = "vault.example" CertFile = "FILES/gateway.pem" KeyFile = "FILES/gateway.key" }"#;
const SERVICES: [&str; 3] = ["bytes", "pages", "vault"];
const CALLERS: [&str; 2] = ["web", "other"];

/// What a caller of bytes hears.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// What it said.
    Back,
    /// The line the other way round.
    Reversed,
    /// The connection was closed.
    Nothing,
}

pub(crate) struct Scene {
    test: TestStage,
    pub(crate) west: Cluster,
    pub(crate) east: Cluster,
    vault: Vault,
    /// The terminating gateway, and where it is dialled.
    out: Envoy,
    gateway: u16,
    /// Where callers dial, by their cluster, name and what they call.
    dials: BTreeMap<(&'static str, &'static str, &'static str), u16>,
}

impl Scene {
    pub(crate) fn start(envoy: &str) -> Self {
        let test = TestStage::new(BINARY, envoy).unwrap();
        let west = Cluster::start(&test.stage, "west").unwrap();
        let east = Cluster::start(&test.stage, "east").unwrap();
        let vault = Vault::start(&test.stage.dir().join("vault"));
        let pages = free_port().unwrap();
        let echo = [
            "echo".to_owned(),
            format!("-listen=127.0.0.1:{pages}"),
            "-name=outside".to_owned(),
        ];
        test.stage.start("outside", &echo).unwrap();
        for (name, address, port) in [
            ("bytes", "127.0.0.1", outside::repeater()),
            ("pages", "localhost", pages),
        ] {
            let text = format!("service {{ name = \"{name}\" address = \"{address}\" port = {port} }}");
            west.register(&format!("{name}.hcl"), &text).unwrap();
        }
        register_vault(&west, vault.port, "127.0.0.1");
        let http = "Kind = \"service-defaults\"\nName = \"pages\"\nProtocol = \"http\"";
        west.write_config("pages-defaults.hcl", http).unwrap();
        let gateway = free_port().unwrap();
        let text = format!(
            "service {{ kind = \"terminating-gateway\" name = \"out\" address = \"127.0.0.1\" port = {gateway} }}"
        );
        west.register("out.hcl", &text).unwrap();
        let out = west.envoy("west-out", "-gateway=terminating").unwrap();
        let mut envoys = Vec::new();
        let mut dials = BTreeMap::new();
        for (cluster, at, peer) in [
            (&west, "west", ""),
            (&east, "east", "destination_peer = \"west\""),
        ] {
            let port = free_port().unwrap();
            let text = format!(
                "service {{ kind = \"mesh-gateway\" name = \"mesh-gateway\" address = \"127.0.0.1\" port = {port} }}"
            );
            cluster.register(&format!("{at}-gateway.hcl"), &text).unwrap();
            envoys.push(cluster.envoy(&format!("{at}-gateway"), "-gateway=mesh").unwrap());
            for caller in CALLERS {
                let mut upstreams = String::new();
                for service in SERVICES {
                    let port = free_port().unwrap();
                    dials.insert((at, caller, service), port);
                    upstreams.push_str(&format!(
                        "{{ destination_name = \"{service}\" {peer} local_bind_port = {port} }},"
                    ));
                }
                let sidecar = free_port().unwrap();
                let text = format!(
                    "service {{ name = \"{caller}\" address = \"127.0.0.1\" port = 1
                        connect {{ sidecar_service {{ port = {sidecar} proxy {{ upstreams = [{upstreams}] }} }} }} }}"
                );
                cluster.register(&format!("{at}-{caller}.hcl"), &text).unwrap();
                let which = format!("-sidecar-for={caller}");
                envoys.push(cluster.envoy(&format!("{at}-{caller}"), &which).unwrap());
            }
        }
        let scene = Scene {
            test,
            west,
            east,
            vault,
            out,
            gateway,
            dials,
        };
        scene.link(LINKS);
        scene.out.wait_live(SETTLE).unwrap();
        for envoy in envoys {
            envoy.wait_live(SETTLE).unwrap();
        }
        scene
    }

    /// Peers the clusters, and shows everything to east.
    pub(crate) fn introduce(&self) {
        let exports = "Kind = \"exported-services\"\nName = \"default\"\nServices = [{ Name = \"*\" Consumers = [{ Peer = \"east\" }] }]";
        self.west.write_config("exports.hcl", exports).unwrap();
        let token = self
            .west
            .cli(&["peering", "generate-token", "-name=east"])
            .unwrap();
        let token = format!("-peering-token={token}");
        self.east
            .cli(&["peering", "establish", "-name=west", &token])
            .unwrap();
        for service in SERVICES {
            wait_for("what west exports", SETTLE, || {
                ensure!(self.east.imported(service, "west")? == 1, "no {service} yet");
                Ok(())
            })
            .unwrap();
        }
    }

    /// Says what the gateway stands for.
    pub(crate) fn link(&self, links: &str) {
        let files = self.test.stage.dir().join("vault");
        let links = links.replace("FILES", &files.display().to_string());
        let text = format!("Kind = \"terminating-gateway\"\nName = \"out\"\nServices = [{links}]");
        self.west.write_config("links.hcl", &text).unwrap();
    }

    /// Registers the vault at another address.
    pub(crate) fn move_vault(&self, address: &str) {
        register_vault(&self.west, self.vault.port, address);
    }

    /// Says who may call a service.
    pub(crate) fn intend(&self, service: &str, sources: &str) {
        let text = format!("Kind = \"service-intentions\"\nName = \"{service}\"\nSources = [{sources}]");
        self.west
            .write_config(&format!("{service}-intentions.hcl"), &text)
            .unwrap();
    }

    /// Waits until a caller in west hears this.
    pub(crate) fn west_hears(&self, caller: &'static str, service: &'static str, expected: &Heard) {
        hears(self.dials[&("west", caller, service)], service, expected);
    }

    /// The same in east.
    pub(crate) fn east_hears(&self, caller: &'static str, service: &'static str, expected: &Heard) {
        hears(self.dials[&("east", caller, service)], service, expected);
    }

    /// Waits until a request of a caller in west for `pages` is answered with this status; the body.
    pub(crate) fn west_asks(&self, caller: &'static str, path: &str, status: u16) -> Value {
        asks(self.dials[&("west", caller, "pages")], path, status)
    }

    /// The same in east.
    pub(crate) fn east_asks(&self, caller: &'static str, path: &str, status: u16) -> Value {
        asks(self.dials[&("east", caller, "pages")], path, status)
    }

    /// A connection of a caller in west on which something has come back.
    pub(crate) fn connected(&self, caller: &'static str, service: &'static str) -> TcpStream {
        let mut connection = dial(self.dials[&("west", caller, service)]).unwrap();
        assert_eq!(heard(&mut connection).unwrap(), Heard::Back);
        connection
    }

    /// Waits until the gateway has closed what it does not let in any more.
    pub(crate) fn drained(&self) {
        wait_for("the gateway to be done with what it drains", SETTLE, || {
            let draining = self.out.sum("listener_manager.total_filter_chains_draining")?;
            ensure!(draining == 0, "{draining} chains are draining");
            Ok(())
        })
        .unwrap();
    }

    /// Whoever dials the gateway without a certificate is told nothing: neither by the name of a service nor by another.
    pub(crate) fn strangers_are_refused(&self, service: &str) {
        let roots = self.west.get("/v1/connect/ca/roots").unwrap();
        let domain = roots["TrustDomain"].as_str().unwrap();
        let own = format!("{service}.default.west.internal.{domain}");
        for name in [own.as_str(), "elsewhere.example"] {
            let mut child = Command::new("openssl")
                .args([
                    "s_client",
                    "-quiet",
                    "-connect",
                    &format!("127.0.0.1:{}", self.gateway),
                    "-servername",
                    name,
                ])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut stdin = child.stdin.take().unwrap();
            let _ = stdin.write_all(SAID.as_bytes());
            let output = child.wait_with_output().unwrap();
            drop(stdin);
            assert!(output.stdout.is_empty(), "{name}: {output:?}");
        }
    }

    /// Ends the test: no Envoy may have rejected anything.
    pub(crate) fn finish(self) {
        drop(self.vault);
        self.test.finish().unwrap();
    }
}

/// On a node that no agent speaks for.
fn register_vault(west: &Cluster, port: u16, address: &str) {
    let external = json!({"Node": "vault-host", "Address": address,
        "Service": {"Service": "vault", "Port": port},
        "Check": {"CheckID": "vault", "Name": "vault", "Status": "passing", "ServiceID": "vault"}});
    let api = west.api().unwrap();
    api.put("/v1/catalog/register", &external).unwrap().ok().unwrap();
}

fn dial(port: u16) -> Result<TcpStream> {
    let connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(SETTLE))?;
    Ok(connection)
}

pub(crate) fn heard(connection: &mut TcpStream) -> Result<Heard> {
    let mut back = vec![0; SAID.len()];
    let cut = |kind| {
        matches!(
            kind,
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        )
    };
    let spoken = connection
        .write_all(SAID.as_bytes())
        .and_then(|()| connection.read_exact(&mut back));
    match spoken {
        Ok(()) if back == SAID.as_bytes() => Ok(Heard::Back),
        Ok(()) if back == b"olleh\n" => Ok(Heard::Reversed),
        Ok(()) => bail!("{:?} came back", String::from_utf8_lossy(&back)),
        Err(error) if cut(error.kind()) => Ok(Heard::Nothing),
        Err(error) => Err(error.into()),
    }
}

fn hears(port: u16, service: &str, expected: &Heard) {
    wait_for(&format!("{service} to be heard as {expected:?}"), SETTLE, || {
        let heard = heard(&mut dial(port)?)?;
        ensure!(heard == *expected, "{heard:?}");
        Ok(())
    })
    .unwrap();
}

/// Whether the other side ends a connection.
pub(crate) fn ends(connection: &mut TcpStream) -> bool {
    match connection.read(&mut [0; 1]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

fn ask(port: u16, path: &str) -> Result<(u16, String)> {
    let mut connection = dial(port)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: pages\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    match status.and_then(|status| status.parse().ok()) {
        Some(status) => Ok((status, answer)),
        None => bail!("not an answer: {answer}"),
    }
}

fn asks(port: u16, path: &str, expected: u16) -> Value {
    wait_for(&format!("{path} to be answered with {expected}"), SETTLE, || {
        let (status, answer) = ask(port, path)?;
        ensure!(status == expected, "{answer}");
        let body = answer.find('{').zip(answer.rfind('}'));
        let body = body
            .and_then(|(begin, end)| answer.get(begin..=end))
            .unwrap_or("null");
        Ok(serde_json::from_str(body)?)
    })
    .unwrap()
}

/// A header of a request, as the application tells that it came.
pub(crate) fn header<'a>(answer: &'a Value, name: &str) -> &'a str {
    let headers = answer["headers"].as_array().unwrap();
    let found = headers.iter().find(|pair| pair[0] == name);
    found.and_then(|pair| pair[1].as_str()).unwrap_or_default()
}
