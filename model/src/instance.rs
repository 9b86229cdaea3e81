//! Catalog rows: nodes and service instances.

use crate::health::HealthSummary;
use crate::key::{InstanceKey, NodeKey, ServiceKey};
use crate::locality::Locality;
use crate::name::{Datacenter, InstanceId, Namespace, Partition, PeerName, ServiceName};
use crate::sidecar::SidecarSettings;
use std::collections::BTreeMap;

/// The tagged address that other clusters use.
pub const TAG_WAN: &str = "wan";
/// The tagged address used inside the cluster.
pub const TAG_LAN: &str = "lan";

/// A machine (or what stands for one) that instances are registered on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Origin, partition and name.
    pub key: NodeKey,
    /// A UUID, or `None`.
    pub id: Option<String>,
    /// IP address or host name.
    pub address: String,
    /// The datacenter of the node; for imported nodes the exporter's.
    pub datacenter: Datacenter,
    /// `lan`, `wan` and others.
    pub tagged_addresses: BTreeMap<String, String>,
    /// Free-form pairs.
    pub meta: BTreeMap<String, String>,
    /// Where it is, and so are its instances that do not say otherwise. Never of an imported node.
    pub locality: Option<Locality>,
}

/// What an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ServiceKind {
    /// An ordinary service.
    #[default]
    Typical,
    /// A sidecar.
    ConnectProxy,
    /// A mesh gateway.
    MeshGateway,
    /// A gateway that stands for services outside the mesh.
    TerminatingGateway,
    /// A gateway that lets callers in from outside.
    IngressGateway,
    /// The same, with routes that attach themselves to it.
    ApiGateway,
}

impl ServiceKind {
    /// All kinds.
    pub const ALL: [ServiceKind; 6] = [
        ServiceKind::Typical,
        ServiceKind::ConnectProxy,
        ServiceKind::MeshGateway,
        ServiceKind::TerminatingGateway,
        ServiceKind::IngressGateway,
        ServiceKind::ApiGateway,
    ];

    /// Consul's text: empty for typical.
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceKind::Typical => "",
            ServiceKind::ConnectProxy => "connect-proxy",
            ServiceKind::MeshGateway => "mesh-gateway",
            ServiceKind::TerminatingGateway => "terminating-gateway",
            ServiceKind::IngressGateway => "ingress-gateway",
            ServiceKind::ApiGateway => "api-gateway",
        }
    }

    /// Whether an Envoy runs it.
    pub fn is_proxy(self) -> bool {
        match self {
            ServiceKind::ConnectProxy
            | ServiceKind::MeshGateway
            | ServiceKind::TerminatingGateway
            | ServiceKind::IngressGateway
            | ServiceKind::ApiGateway => true,
            ServiceKind::Typical => false,
        }
    }

    /// Whether it is a gateway.
    pub fn is_gateway(self) -> bool {
        match self {
            ServiceKind::MeshGateway | ServiceKind::TerminatingGateway => true,
            kind => kind.is_edge(),
        }
    }

    /// Whether it is a gateway that lets callers in from outside.
    pub fn is_edge(self) -> bool {
        matches!(self, ServiceKind::IngressGateway | ServiceKind::ApiGateway)
    }

    /// The kind of this text, or `None` when Peerway does not offer it.
    pub fn parse(text: &str) -> Option<Self> {
        ServiceKind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An address and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceAddress {
    /// IP address or host name; may be empty in a registration, then the node's counts.
    pub address: String,
    /// 0 means none.
    pub port: u16,
}

/// Load-balancing weights by health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Weights {
    /// While all checks pass.
    pub passing: u32,
    /// While some check warns.
    pub warning: u32,
}

impl Default for Weights {
    fn default() -> Self {
        Weights {
            passing: 1,
            warning: 1,
        }
    }
}

/// How a proxy reaches a peer's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GatewayMode {
    /// Through this cluster's own mesh gateways.
    Local,
    /// Straight to the exporter's mesh gateways.
    Remote,
}

/// Free-form configuration of a proxy: kept and returned as given. Numbers are kept as their text so that the
/// value can be compared and hashed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Opaque {
    /// null
    Null,
    /// true or false
    Bool(bool),
    /// JSON text of a number
    Number(String),
    /// a string
    Text(String),
    /// a list
    List(Vec<Opaque>),
    /// an object
    Map(BTreeMap<String, Opaque>),
}

impl Opaque {
    /// The text, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Opaque::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this is a yes (also when written as a text, as HCL users do).
    pub fn says_yes(&self) -> bool {
        matches!(self, Opaque::Bool(true)) || self.as_text() == Some("true")
    }

    /// The number, if this is an unsigned one (also when written as a text, as HCL users do).
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Opaque::Number(text) | Opaque::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// A service that a proxy may dial.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// The service's name.
    pub name: ServiceName,
    /// Its namespace; for a peer's service the exporter's.
    pub namespace: Namespace,
    /// Its partition; always the local one for a peer's service.
    pub partition: Partition,
    /// The local name of the peer that exports it.
    pub peer: Option<PeerName>,
    /// Where the sidecar listens; loopback unless given.
    pub bind_address: String,
    /// The port that the sidecar listens on.
    pub bind_port: u16,
    /// Overrides the proxy's mode.
    pub mesh_gateway: Option<GatewayMode>,
    /// Free-form: `connect_timeout_ms`, ...
    pub config: BTreeMap<String, Opaque>,
}

/// What makes an instance a sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// The service that it stands for; same partition and namespace as the proxy.
    pub destination: ServiceName,
    /// The instance that it stands for.
    pub destination_id: Option<InstanceId>,
    /// Where the application listens; `127.0.0.1` unless given.
    pub local_address: Option<String>,
    /// The port that the application listens on.
    pub local_port: Option<u16>,
    /// What the application may dial.
    pub upstreams: Vec<Upstream>,
    /// How peers are reached, for all upstreams that do not say otherwise.
    pub mesh_gateway: Option<GatewayMode>,
    /// What it says itself of what its service's defaults and those of all proxies may say as well.
    pub sidecar: SidecarSettings,
    /// Free-form: `bind_address`, `bind_port`, `protocol`, ...
    pub config: BTreeMap<String, Opaque>,
}

/// How an imported service is dialled, in the exporter's words (wire facts, section 5.5). Opaque to importers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct PeerMeta {
    /// The first is presented as SNI.
    pub sni: Vec<String>,
    /// The identities accepted as server.
    pub spiffe_ids: Vec<String>,
    /// `tcp`, `http`, `http2` or `grpc`.
    pub protocol: String,
    /// How the instances behind the exporter's gateways are; `None` when it does not say so. Not in Consul.
    pub health: Option<HealthSummary>,
}

/// One running copy of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instance {
    /// Origin, partition, node and id.
    pub key: InstanceKey,
    /// The namespace of the service.
    pub namespace: Namespace,
    /// The service.
    pub service: ServiceName,
    /// What it is.
    pub kind: ServiceKind,
    /// Labels.
    pub tags: Vec<String>,
    /// IP address or host name; empty means the node's.
    pub address: String,
    /// 0 means none.
    pub port: u16,
    /// `lan`, `wan` and others.
    pub tagged_addresses: BTreeMap<String, ServiceAddress>,
    /// Free-form pairs.
    pub meta: BTreeMap<String, String>,
    /// By health.
    pub weights: Weights,
    /// Whether others may change the tags; kept for Consul's clients.
    pub enable_tag_override: bool,
    /// Set exactly when the kind is `ConnectProxy`.
    pub proxy: Option<Proxy>,
    /// Free-form configuration of a gateway; empty otherwise.
    pub gateway_config: BTreeMap<String, Opaque>,
    /// Set exactly on imported proxies.
    pub peer_meta: Option<PeerMeta>,
    /// Where it runs, if it says so itself. Never of an imported instance.
    pub locality: Option<Locality>,
}

impl Instance {
    /// The service that this is an instance of.
    pub fn service_key(&self) -> ServiceKey {
        ServiceKey {
            origin: self.key.node.origin.clone(),
            partition: self.key.node.partition.clone(),
            namespace: self.namespace.clone(),
            name: self.service.clone(),
        }
    }

    /// The service that this proxy stands for.
    pub fn destination_key(&self) -> Option<ServiceKey> {
        let proxy = self.proxy.as_ref()?;
        Some(ServiceKey {
            name: proxy.destination.clone(),
            ..self.service_key()
        })
    }

    /// Where it runs: as it says, else where its node is.
    pub fn locality_on<'a>(&'a self, node: &'a Node) -> Option<&'a Locality> {
        self.locality.as_ref().or(node.locality.as_ref())
    }

    /// The address for callers inside the cluster (xDS facts, section 1.5): tagged `lan`, else the service's, else
    /// the node's. The port falls back to the service's.
    pub fn lan_address(&self, node: &Node) -> ServiceAddress {
        self.best_address(node, TAG_LAN, node.tagged_addresses.get(TAG_LAN))
    }

    /// The address for callers in other clusters: service tagged `wan`, else the service's, else the node tagged
    /// `wan`, else the node's.
    pub fn wan_address(&self, node: &Node) -> ServiceAddress {
        self.best_address(node, TAG_WAN, node.tagged_addresses.get(TAG_WAN))
    }

    fn best_address(&self, node: &Node, tag: &str, node_tagged: Option<&String>) -> ServiceAddress {
        if let Some(tagged) = self.tagged_addresses.get(tag)
            && !tagged.address.is_empty()
        {
            let port = if tagged.port == 0 { self.port } else { tagged.port };
            return ServiceAddress {
                address: tagged.address.clone(),
                port,
            };
        }
        let address = if self.address.is_empty() {
            node_tagged
                .filter(|address| !address.is_empty())
                .unwrap_or(&node.address)
                .clone()
        } else {
            self.address.clone()
        };
        ServiceAddress {
            address,
            port: self.port,
        }
    }
}
