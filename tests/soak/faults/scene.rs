//! Three clusters that all peer with each other, with a service that is called across and links that can be broken.

use super::proxy::Proxy;
use super::weather::Crosses;
use anyhow::{Context, Result};
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::envoy::Envoy;
use peerway_cli::demo::stage::{Stage, free_port, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long setting up may take.
const SETTLE: Duration = Duration::from_secs(60);
/// The service that is called in each cluster, and that calls those of the others.
pub(crate) const APP: &str = "app";
/// A service that nobody lets in.
const STRANGER: &str = "stranger";
/// The clusters: how the calls of each leave it, and what its service speaks.
const SITES: [(&str, &str, &str); 3] = [
    ("west", "local", "tcp"),
    ("east", "remote", "http"),
    ("north", "local", "tcp"),
];
/// Which cluster makes the token, and which one uses it.
const PEERINGS: [(&str, &str); 3] = [("west", "east"), ("west", "north"), ("east", "north")];

/// A cluster with its proxies.
pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) cluster: Cluster,
    /// The sidecar of the service that is called, and the mesh gateway.
    pub(crate) envoys: [Envoy; 2],
}

/// Something that can be broken.
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) crosses: Crosses,
    pub(crate) proxy: Proxy,
}

/// Who calls whom, and where.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) from: String,
    pub(crate) to: String,
    /// The port of the caller's sidecar.
    pub(crate) port: u16,
    /// Whether it may.
    pub(crate) allowed: bool,
}

/// Everything that runs.
pub(crate) struct Scene {
    pub(crate) sites: Vec<Site>,
    pub(crate) links: Vec<Link>,
    pub(crate) routes: Vec<Route>,
    /// The sidecar of the stranger.
    pub(crate) stranger: Envoy,
    /// Keeps the links going.
    _runtime: Runtime,
}

/// The name of the link that calls to a cluster cross.
pub(crate) fn link_to(cluster: &str) -> String {
    format!("calls to-{cluster}")
}

/// The names of the clusters that are peers of this one.
pub(crate) fn peers_of(name: &str) -> impl Iterator<Item = &'static str> {
    let others = SITES.iter().map(|(other, ..)| *other);
    let name = name.to_owned();
    others.filter(move |other| *other != name)
}

impl Scene {
    /// Starts everything and waits until a call has arrived everywhere.
    pub(crate) fn set(stage: &Stage) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("no runtime for the links")?;
        let (mut sites, mut links, mut routes) = (Vec::new(), Vec::new(), Vec::new());
        for (name, mode, protocol) in SITES {
            let cluster = Cluster::start(stage, name)?;
            let proxy = gateway(&runtime, &cluster)?;
            links.push(Link {
                name: link_to(name),
                crosses: Crosses::Calls,
                proxy,
            });
            let listen = free_port()?;
            let echo = [
                "echo".to_owned(),
                format!("-listen=127.0.0.1:{listen}"),
                format!("-name={name}"),
            ];
            stage.start(&format!("{name}-{APP}"), &echo)?;
            let upstreams = register(&cluster, APP, listen, mode, peers_of(name))?;
            routes.extend(
                upstreams
                    .into_iter()
                    .map(|(to, port)| route(name, &to, port, true)),
            );
            open_to_peers(&cluster, protocol)?;
            let sidecar = cluster.envoy(&format!("{name}-sidecar"), &format!("-sidecar-for={APP}"))?;
            let gateway = cluster.envoy(&format!("{name}-gateway"), "-gateway=mesh")?;
            sites.push(Site {
                name,
                cluster,
                envoys: [sidecar, gateway],
            });
        }
        for (acceptor, dialer) in PEERINGS {
            links.push(peer(&runtime, find(&sites, acceptor)?, find(&sites, dialer)?)?);
        }
        let east = &find(&sites, "east")?.cluster;
        let upstreams = register(east, STRANGER, free_port()?, "local", std::iter::once("west"))?;
        routes.extend(
            upstreams
                .into_iter()
                .map(|(to, port)| route(STRANGER, &to, port, false)),
        );
        let stranger = east.envoy(STRANGER, &format!("-sidecar-for={STRANGER}"))?;
        let scene = Scene {
            sites,
            links,
            routes,
            stranger,
            _runtime: runtime,
        };
        scene.wait_for_calls(SETTLE)?;
        Ok(scene)
    }

    /// Every Envoy.
    pub(crate) fn envoys(&self) -> impl Iterator<Item = &Envoy> {
        self.sites
            .iter()
            .flat_map(|site| &site.envoys)
            .chain([&self.stranger])
    }

    /// Waits until a call has arrived on every route on which one may.
    pub(crate) fn wait_for_calls(&self, limit: Duration) -> Result<()> {
        for route in self.routes.iter().filter(|route| route.allowed) {
            let what = format!("a call from {} to {} to arrive", route.from, route.to);
            wait_for(&what, limit, || crate::call::call(route.port))?;
        }
        Ok(())
    }
}

fn find<'a>(sites: &'a [Site], name: &str) -> Result<&'a Site> {
    let site = sites.iter().find(|site| site.name == name);
    site.with_context(|| format!("there is no cluster {name}"))
}

fn route(from: &str, to: &str, port: u16, allowed: bool) -> Route {
    Route {
        from: from.to_owned(),
        to: to.to_owned(),
        port,
        allowed,
    }
}

fn put(cluster: &Cluster, path: &str, body: &Value) -> Result<()> {
    cluster.api()?.put(path, body)?.ok()?;
    Ok(())
}

/// Registers the mesh gateway. Its own cluster knows where it is; others are told of the link before it.
fn gateway(runtime: &Runtime, cluster: &Cluster) -> Result<Proxy> {
    let port = free_port()?;
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let proxy = Proxy::start(runtime, free_port()?, at)?;
    let address = |port: u16| json!({ "Address": "127.0.0.1", "Port": port });
    let body = json!({
        "Kind": "mesh-gateway",
        "Name": "mesh-gateway",
        "ID": "gateway",
        "Address": "127.0.0.1",
        "Port": port,
        "TaggedAddresses": { "lan": address(port), "wan": address(proxy.port) },
    });
    put(cluster, "/v1/agent/service/register", &body)?;
    Ok(proxy)
}

/// Registers a service with a sidecar; the ports at which that dials the service of each peer.
fn register(
    cluster: &Cluster,
    name: &str,
    port: u16,
    mode: &str,
    peers: impl Iterator<Item = &'static str>,
) -> Result<BTreeMap<String, u16>> {
    let ports = peers
        .map(|peer| Ok((peer.to_owned(), free_port()?)))
        .collect::<Result<BTreeMap<_, _>>>()?;
    let upstreams: Vec<Value> = ports
        .iter()
        .map(|(peer, port)| json!({ "DestinationName": APP, "DestinationPeer": peer, "LocalBindPort": port }))
        .collect();
    let body = json!({
        "Name": name,
        "Address": "127.0.0.1",
        "Port": port,
        "Connect": { "SidecarService": {
            "Port": free_port()?,
            "Proxy": { "MeshGateway": { "Mode": mode }, "Upstreams": upstreams },
        } },
    });
    put(cluster, "/v1/agent/service/register", &body)?;
    Ok(ports)
}

/// Lets the service of every peer call that of this cluster. What is exported is written with the other exports.
fn open_to_peers(cluster: &Cluster, protocol: &str) -> Result<()> {
    let defaults = json!({ "Kind": "service-defaults", "Name": APP, "Protocol": protocol });
    put(cluster, "/v1/config", &defaults)?;
    let sources: Vec<Value> = peers_of(&cluster.name)
        .map(|peer| json!({ "Name": APP, "Peer": peer, "Action": "allow" }))
        .collect();
    let intention = json!({ "Kind": "service-intentions", "Name": APP, "Sources": sources });
    put(cluster, "/v1/config", &intention)?;
    let consumers: Vec<Value> = peers_of(&cluster.name)
        .map(|peer| json!({ "Peer": peer }))
        .collect();
    let services = [json!({ "Name": APP, "Consumers": consumers })];
    let exports = json!({ "Kind": "exported-services", "Name": "default", "Services": services });
    put(cluster, "/v1/config", &exports)
}

/// Peers two clusters over a link.
fn peer(runtime: &Runtime, acceptor: &Site, dialer: &Site) -> Result<Link> {
    let proxy = Proxy::start(runtime, free_port()?, acceptor.cluster.tls)?;
    let (name, address) = (
        format!("-name={}", dialer.name),
        format!("-server-external-addresses=127.0.0.1:{}", proxy.port),
    );
    let token = acceptor
        .cluster
        .cli(&["peering", "generate-token", &name, &address])?;
    let name = format!("-name={}", acceptor.name);
    dialer
        .cluster
        .cli(&["peering", "establish", &name, "-peering-token", &token])?;
    for (site, other) in [(acceptor, dialer), (dialer, acceptor)] {
        site.cluster.wait_peering(other.name, "ACTIVE", SETTLE)?;
    }
    Ok(Link {
        name: format!("peering {}-{}", acceptor.name, dialer.name),
        crosses: Crosses::Peering,
        proxy,
    })
}
