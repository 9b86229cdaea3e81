//! Two peered clusters: west has a service for each protocol in its mesh, and one outside behind terminating gateways, and
//! both have a caller of all of them, and a gateway that lets those of the mesh in, for each gateway mode.

use crate::cell::{Addressing, Cell, Mode, Protocol, ProxyKind, Target};
use crate::{application, caller};
use anyhow::{Context, Result};
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::envoy::Envoy;
use peerway_cli::demo::stage::{free_port, wait_for};
use peerway_tests::TestStage;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::runtime::Runtime;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
/// How long a state that must come may take.
const SETTLE: Duration = Duration::from_secs(20);
/// How long one call may take.
const CALL: Duration = Duration::from_secs(5);

/// Where callers dial: by the proxy that they dial, its mode, what they call, and where that is.
type Dials = BTreeMap<(&'static str, &'static str, String, Target), SocketAddr>;

/// The proxies in front of services.
const FRONTS: [ProxyKind; 2] = [ProxyKind::Sidecar, ProxyKind::TerminatingGateway];

pub(crate) struct World {
    test: TestStage,
    /// Where callers dial.
    dials: Dials,
    runtime: Runtime,
    /// Kept as long as the calls.
    _clusters: [Cluster; 2],
}

impl World {
    pub(crate) fn start(addressing: Addressing, envoy: &str) -> Self {
        let test = TestStage::new(BINARY, envoy).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let west = Cluster::start(&test.stage, "west").unwrap();
        let east = Cluster::start(&test.stage, "east").unwrap();
        let mut dials = BTreeMap::new();
        let mut envoys = Vec::new();
        for cluster in [&west, &east] {
            for index in 0..addressing.gateways() {
                envoys.push(gateway(cluster, addressing, index));
            }
        }
        for protocol in Protocol::ALL {
            let port = application::start(&runtime, protocol, Ipv4Addr::LOCALHOST.into());
            envoys.push(service(&west, addressing, protocol, port));
            let port = application::start(&runtime, protocol, addressing.ip());
            outside(&west, addressing, protocol, port);
        }
        for index in 0..addressing.gateways() {
            envoys.push(terminating(&west, addressing, index));
        }
        west.write_config("links.hcl", &links()).unwrap();
        for mode in Mode::ALL {
            envoys.push(calling(&west, addressing, mode, Target::Local, &mut dials));
            envoys.push(calling(&east, addressing, mode, Target::Peered, &mut dials));
            envoys.push(ingress(&west, addressing, mode, Target::Local, &mut dials));
            envoys.push(ingress(&east, addressing, mode, Target::Peered, &mut dials));
            envoys.push(api(&west, addressing, mode, Target::Local, &mut dials));
            envoys.push(api(&east, addressing, mode, Target::Peered, &mut dials));
        }
        west.write_config("exports.hcl", &exports()).unwrap();
        for protocol in Protocol::ALL {
            for front in FRONTS {
                let name = protocol.behind(front);
                west.write_config(&format!("{name}-intentions.hcl"), &intentions(&name))
                    .unwrap();
            }
        }
        let token = west.cli(&["peering", "generate-token", "-name=east"]).unwrap();
        let token = format!("-peering-token={token}");
        east.cli(&["peering", "establish", "-name=west", &token]).unwrap();
        for envoy in envoys {
            envoy.wait_live(SETTLE).unwrap();
        }
        World {
            test,
            dials,
            runtime,
            _clusters: [west, east],
        }
    }

    /// Makes the call of a cell, as often as it takes until everything has arrived; what was seen.
    pub(crate) fn call(&self, cell: &Cell) -> Result<String> {
        // What is behind a terminating gateway is called by sidecars.
        let dialled = match cell.proxy {
            ProxyKind::TerminatingGateway => ProxyKind::Sidecar,
            own => own,
        };
        let key = (
            dialled.as_str(),
            cell.mode.as_str(),
            cell.protocol.behind(cell.proxy),
            cell.target,
        );
        let at = self.dials[&key];
        wait_for("the call to arrive", SETTLE, || {
            self.runtime.block_on(async {
                tokio::time::timeout(CALL, caller::call(cell.protocol, at))
                    .await
                    .context("no answer")?
            })
        })
    }

    /// Ends the test: no Envoy may have rejected anything.
    pub(crate) fn finish(self) {
        self.test.finish().unwrap();
    }
}

fn gateway(cluster: &Cluster, addressing: Addressing, index: usize) -> Envoy {
    let (id, port) = (format!("gateway-{index}"), free_port().unwrap());
    let address = addressing.address();
    let text = format!(
        "service {{\n kind = \"mesh-gateway\"\n name = \"mesh-gateway\"\n id = \"{id}\"\n address = \"{address}\"\n port = {port}\n tagged_addresses {{\n  lan {{ address = \"{address}\" port = {port} }}\n  wan {{ address = \"{address}\" port = {port} }}\n }}\n}}"
    );
    let file = format!("{}-{id}.hcl", cluster.name);
    cluster.register(&file, &text).unwrap();
    let which = format!("-proxy-id={id}");
    cluster.envoy(&format!("{}-{id}", cluster.name), &which).unwrap()
}

fn service(west: &Cluster, addressing: Addressing, protocol: Protocol, port: u16) -> Envoy {
    let (name, speaks) = (protocol.service(), protocol.configured());
    let defaults = format!("Kind = \"service-defaults\"\nName = \"{name}\"\nProtocol = \"{speaks}\"");
    west.write_config(&format!("{name}-defaults.hcl"), &defaults)
        .unwrap();
    let (address, sidecar) = (addressing.address(), free_port().unwrap());
    let text = format!(
        "service {{\n name = \"{name}\"\n address = \"{address}\"\n port = {port}\n connect {{\n  sidecar_service {{ address = \"{address}\" port = {sidecar} }}\n }}\n}}"
    );
    west.register(&format!("{name}.hcl"), &text).unwrap();
    west.envoy(&format!("west-{name}"), &format!("-sidecar-for={name}"))
        .unwrap()
}

/// A service that is not in the mesh.
fn outside(west: &Cluster, addressing: Addressing, protocol: Protocol, port: u16) {
    let name = protocol.behind(ProxyKind::TerminatingGateway);
    let speaks = protocol.configured();
    let defaults = format!("Kind = \"service-defaults\"\nName = \"{name}\"\nProtocol = \"{speaks}\"");
    west.write_config(&format!("{name}-defaults.hcl"), &defaults)
        .unwrap();
    let address = addressing.address();
    let text = format!("service {{\n name = \"{name}\"\n address = \"{address}\"\n port = {port}\n}}");
    west.register(&format!("{name}.hcl"), &text).unwrap();
}

fn terminating(west: &Cluster, addressing: Addressing, index: usize) -> Envoy {
    let (id, port) = (format!("out-{index}"), free_port().unwrap());
    let address = addressing.address();
    let text = format!(
        "service {{\n kind = \"terminating-gateway\"\n name = \"out\"\n id = \"{id}\"\n address = \"{address}\"\n port = {port}\n}}"
    );
    west.register(&format!("{id}.hcl"), &text).unwrap();
    west.envoy(&format!("west-{id}"), &format!("-proxy-id={id}"))
        .unwrap()
}

/// Everything that callers call.
fn services() -> impl Iterator<Item = String> {
    let fronts = FRONTS.into_iter();
    fronts.flat_map(|front| {
        Protocol::ALL
            .into_iter()
            .map(move |protocol| protocol.behind(front))
    })
}

/// What the terminating gateways stand for.
fn links() -> String {
    let mut services = String::new();
    for protocol in Protocol::ALL {
        let name = protocol.behind(ProxyKind::TerminatingGateway);
        let _ = write!(services, " {{ Name = \"{name}\" }},");
    }
    format!("Kind = \"terminating-gateway\"\nName = \"out\"\nServices = [{services}]")
}

/// A caller of every service.
fn calling(
    cluster: &Cluster,
    addressing: Addressing,
    mode: Mode,
    target: Target,
    dials: &mut Dials,
) -> Envoy {
    let (name, mode) = (format!("web-{}", mode.as_str()), mode.as_str());
    let mut upstreams = String::new();
    for service in services() {
        let port = free_port().unwrap();
        let key = (ProxyKind::Sidecar.as_str(), mode, service.clone(), target);
        dials.insert(key, (Ipv4Addr::LOCALHOST, port).into());
        let peer = match target {
            Target::Local => "",
            Target::Peered => "destination_peer = \"west\"",
        };
        let _ = writeln!(
            upstreams,
            "   {{ destination_name = \"{service}\" {peer} local_bind_port = {port} }},"
        );
    }
    let (address, port, sidecar) = (addressing.address(), free_port().unwrap(), free_port().unwrap());
    let text = format!(
        "service {{\n name = \"{name}\"\n address = \"{address}\"\n port = {port}\n connect {{\n  sidecar_service {{\n   address = \"{address}\"\n   port = {sidecar}\n   proxy {{\n    mesh_gateway {{ mode = \"{mode}\" }}\n    upstreams = [\n{upstreams}    ]\n   }}\n  }}\n }}\n}}"
    );
    let file = format!("{}-{name}.hcl", cluster.name);
    cluster.register(&file, &text).unwrap();
    let which = format!("-sidecar-for={name}");
    cluster
        .envoy(&format!("{}-{name}", cluster.name), &which)
        .unwrap()
}

/// A gateway that lets every service in, each on a port of its own.
fn ingress(
    cluster: &Cluster,
    addressing: Addressing,
    mode: Mode,
    target: Target,
    dials: &mut Dials,
) -> Envoy {
    let (name, mode) = (format!("ingress-{}", mode.as_str()), mode.as_str());
    let mut listeners = String::new();
    for protocol in Protocol::ALL {
        let (service, port) = (protocol.service(), free_port().unwrap());
        let key = (
            ProxyKind::IngressGateway.as_str(),
            mode,
            service.to_owned(),
            target,
        );
        dials.insert(key, at(addressing, port));
        let peer = match target {
            Target::Local => "",
            Target::Peered => "Peer = \"west\"",
        };
        let hosts = match protocol {
            Protocol::Tcp => String::new(),
            _ => format!("Hosts = [\"{service}\"]"),
        };
        let speaks = protocol.configured();
        let _ = writeln!(
            listeners,
            " {{ Port = {port} Protocol = \"{speaks}\" Services = [{{ Name = \"{service}\" {peer} {hosts} }}] }},"
        );
    }
    let entry = format!("Kind = \"ingress-gateway\"\nName = \"{name}\"\nListeners = [\n{listeners}]");
    edge(cluster, addressing, mode, ("ingress-gateway", &name), &[entry])
}

/// Where a port of a gateway at the edge is dialled: on every address of the machine where it has none of its own.
fn at(addressing: Addressing, port: u16) -> SocketAddr {
    match addressing {
        Addressing::Ipv6 => (Ipv6Addr::LOCALHOST, port).into(),
        _ => (Ipv4Addr::LOCALHOST, port).into(),
    }
}

/// A gateway with routes to every service, each on a port of its own.
fn api(cluster: &Cluster, addressing: Addressing, mode: Mode, target: Target, dials: &mut Dials) -> Envoy {
    let (name, mode) = (format!("api-{}", mode.as_str()), mode.as_str());
    let mut listeners = String::new();
    let mut entries = Vec::new();
    for protocol in Protocol::ALL {
        let (service, port) = (protocol.service(), free_port().unwrap());
        let key = (ProxyKind::ApiGateway.as_str(), mode, service.to_owned(), target);
        dials.insert(key, at(addressing, port));
        let peer = match target {
            Target::Local => "",
            Target::Peered => "Peer = \"west\"",
        };
        let parent =
            format!("Parents = [{{ Kind = \"api-gateway\" Name = \"{name}\" SectionName = \"{service}\" }}]");
        let services = format!("Services = [{{ Name = \"{service}\" {peer} }}]");
        let route = format!("{name}-{service}");
        let (speaks, entry) = match protocol {
            Protocol::Tcp => (
                "tcp",
                format!("Kind = \"tcp-route\"\nName = \"{route}\"\n{parent}\n{services}"),
            ),
            _ => (
                "http",
                format!(
                    "Kind = \"http-route\"\nName = \"{route}\"\n{parent}\nHostnames = [\"{service}\"]\nRules = [{{ {services} }}]"
                ),
            ),
        };
        entries.push(entry);
        let _ = writeln!(
            listeners,
            " {{ Name = \"{service}\" Port = {port} Protocol = \"{speaks}\" }},"
        );
    }
    entries.push(format!(
        "Kind = \"api-gateway\"\nName = \"{name}\"\nListeners = [\n{listeners}]"
    ));
    edge(cluster, addressing, mode, ("api-gateway", &name), &entries)
}

/// A gateway at the edge of a kind and name, with its entries.
fn edge(
    cluster: &Cluster,
    addressing: Addressing,
    mode: &str,
    (kind, name): (&str, &str),
    entries: &[String],
) -> Envoy {
    let called = format!("{}-{name}", cluster.name);
    let (address, port) = (addressing.address(), free_port().unwrap());
    let text = format!(
        "service {{\n kind = \"{kind}\"\n name = \"{name}\"\n address = \"{address}\"\n port = {port}\n}}"
    );
    cluster.register(&format!("{called}.hcl"), &text).unwrap();
    let defaults =
        format!("Kind = \"service-defaults\"\nName = \"{name}\"\nMeshGateway {{ Mode = \"{mode}\" }}");
    for (index, text) in std::iter::once(&defaults).chain(entries).enumerate() {
        cluster
            .write_config(&format!("{called}-{index}.hcl"), text)
            .unwrap();
    }
    cluster.envoy(&called, &format!("-proxy-id={name}")).unwrap()
}

fn exports() -> String {
    let mut services = String::new();
    for name in self::services() {
        let _ = write!(
            services,
            " {{ Name = \"{name}\" Consumers = [{{ Peer = \"east\" }}] }},"
        );
    }
    format!("Kind = \"exported-services\"\nName = \"default\"\nServices = [{services}]")
}

fn intentions(name: &str) -> String {
    let mut sources = String::new();
    for (caller, mode) in ["web", "ingress", "api"]
        .into_iter()
        .flat_map(|caller| Mode::ALL.map(|mode| (caller, mode)))
    {
        let name = format!("{caller}-{}", mode.as_str());
        let _ = write!(
            sources,
            " {{ Name = \"{name}\" Action = \"allow\" }}, {{ Name = \"{name}\" Peer = \"east\" Action = \"allow\" }},"
        );
    }
    format!("Kind = \"service-intentions\"\nName = \"{name}\"\nSources = [{sources}]")
}
