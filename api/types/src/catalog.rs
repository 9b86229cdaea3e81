//! Nodes, services and their health in answers (wire facts, section 8.2).
//!
//! Partition and namespace are left out where both are `default`, as a Consul without them does; the peer is
//! left out on local rows.

use crate::proxy::ProxyJson;
use peerway_model::{Check, Datacenter, Instance, Namespace, Node, Origin, PeerMeta, ServiceKind, Weights};
use serde::Serialize;
use std::collections::BTreeMap;

type Pairs = BTreeMap<String, String>;

/// The revisions of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Indexes {
    /// Revision that created it.
    pub create_index: u64,
    /// Revision that last changed it.
    pub modify_index: u64,
}

/// Partition and namespace, when they are worth saying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TenancyJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<String>,
}

impl TenancyJson {
    fn of(instance: &Instance) -> Self {
        let partition = &instance.key.node.partition;
        let spelt = !(instance.namespace.is_default() && partition.is_default());
        TenancyJson {
            namespace: spelt.then(|| instance.namespace.to_string()),
            partition: spelt.then(|| partition.to_string()),
        }
    }
}

/// `Node` of a health entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NodeJson {
    #[serde(rename = "ID")]
    id: String,
    node: String,
    address: String,
    datacenter: String,
    tagged_addresses: Pairs,
    meta: Pairs,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_name: Option<String>,
    #[serde(flatten)]
    indexes: Indexes,
}

impl NodeJson {
    /// `node` with its revisions.
    pub fn new(node: &Node, indexes: Indexes) -> Self {
        let partition = &node.key.partition;
        NodeJson {
            id: node.id.clone().unwrap_or_default(),
            node: node.key.name.to_string(),
            address: node.address.clone(),
            datacenter: node.datacenter.to_string(),
            tagged_addresses: node.tagged_addresses.clone(),
            meta: node.meta.clone(),
            partition: (!partition.is_default()).then(|| partition.to_string()),
            peer_name: peer_of(&node.key.origin),
            indexes,
        }
    }
}

/// An address and a port.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AddressJson {
    address: String,
    port: u16,
}

/// `Weights`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct WeightsJson {
    passing: u32,
    warning: u32,
}

impl From<Weights> for WeightsJson {
    fn from(weights: Weights) -> Self {
        WeightsJson {
            passing: weights.passing,
            warning: weights.warning,
        }
    }
}

/// `Connect` of a service; empty but for imported proxies.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConnectJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_meta: Option<PeerMetaJson>,
}

/// How an imported service is dialled.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PeerMetaJson {
    #[serde(rename = "SNI")]
    sni: Vec<String>,
    #[serde(rename = "SpiffeID")]
    spiffe_id: Vec<String>,
    protocol: String,
}

impl ConnectJson {
    fn of(peer_meta: Option<&PeerMeta>) -> Self {
        ConnectJson {
            peer_meta: peer_meta.map(|meta| PeerMetaJson {
                sni: meta.sni.clone(),
                spiffe_id: meta.spiffe_ids.clone(),
                protocol: meta.protocol.clone(),
            }),
        }
    }
}

/// `Service` of a health entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceJson {
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'static str,
    #[serde(rename = "ID")]
    id: String,
    service: String,
    tags: Vec<String>,
    address: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tagged_addresses: BTreeMap<String, AddressJson>,
    meta: Pairs,
    port: u16,
    weights: WeightsJson,
    enable_tag_override: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyJson>,
    connect: ConnectJson,
    #[serde(flatten)]
    tenancy: TenancyJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_name: Option<String>,
    #[serde(flatten)]
    indexes: Indexes,
}

impl ServiceJson {
    /// `instance` with its revisions.
    pub fn new(instance: &Instance, indexes: Indexes) -> Self {
        ServiceJson {
            kind: instance.kind.as_str(),
            id: instance.key.id.to_string(),
            service: instance.service.to_string(),
            tags: instance.tags.clone(),
            address: instance.address.clone(),
            tagged_addresses: tagged_addresses(instance),
            meta: instance.meta.clone(),
            port: instance.port,
            weights: instance.weights.into(),
            enable_tag_override: instance.enable_tag_override,
            proxy: proxy_of(instance),
            connect: ConnectJson::of(instance.peer_meta.as_ref()),
            tenancy: TenancyJson::of(instance),
            peer_name: peer_of(&instance.key.node.origin),
            indexes,
        }
    }
}

/// One of `Checks` of a health entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CheckJson {
    node: String,
    #[serde(rename = "CheckID")]
    check_id: String,
    name: String,
    status: &'static str,
    notes: String,
    output: String,
    #[serde(rename = "ServiceID")]
    service_id: String,
    service_name: String,
    service_tags: Vec<String>,
    #[serde(rename = "Type")]
    kind: &'static str,
    definition: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_name: Option<String>,
    #[serde(flatten)]
    indexes: Indexes,
}

impl CheckJson {
    /// `check` with its revisions; `tags` are those of its instance, empty for a check of the node.
    pub fn new(check: &Check, tags: &[String], indexes: Indexes) -> Self {
        let partition = &check.key.node.partition;
        let namespace = check.service.as_ref().map(|(namespace, _)| namespace);
        let spelt = !partition.is_default() || namespace.is_some_and(|namespace| !namespace.is_default());
        CheckJson {
            node: check.key.node.name.to_string(),
            check_id: check.key.id.to_string(),
            name: check.name.clone(),
            status: check.status.as_str(),
            notes: check.notes.clone(),
            output: check.output.clone(),
            service_id: check
                .instance
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            service_name: check
                .service
                .as_ref()
                .map(|(_, service)| service.to_string())
                .unwrap_or_default(),
            service_tags: tags.to_vec(),
            kind: "",
            definition: BTreeMap::new(),
            namespace: spelt.then(|| namespace.cloned().unwrap_or_else(Namespace::default).to_string()),
            partition: spelt.then(|| partition.to_string()),
            peer_name: peer_of(&check.key.node.origin),
            indexes,
        }
    }
}

/// One instance with its node and its checks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HealthEntryJson {
    /// The node that it runs on.
    pub node: NodeJson,
    /// The instance.
    pub service: ServiceJson,
    /// The node's checks, then its own.
    pub checks: Vec<CheckJson>,
}

/// One of `/v1/agent/services`, and the answer of `/v1/agent/service/:id`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AgentServiceJson {
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'static str,
    #[serde(rename = "ID")]
    id: String,
    service: String,
    tags: Vec<String>,
    meta: Pairs,
    port: u16,
    address: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tagged_addresses: BTreeMap<String, AddressJson>,
    weights: WeightsJson,
    enable_tag_override: bool,
    /// A hash of all other fields; only in the answer for one service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyJson>,
    #[serde(flatten)]
    tenancy: TenancyJson,
    datacenter: String,
}

impl AgentServiceJson {
    /// `instance`, without a hash.
    pub fn new(instance: &Instance, datacenter: &Datacenter) -> Self {
        AgentServiceJson {
            kind: instance.kind.as_str(),
            id: instance.key.id.to_string(),
            service: instance.service.to_string(),
            tags: instance.tags.clone(),
            meta: instance.meta.clone(),
            port: instance.port,
            address: instance.address.clone(),
            tagged_addresses: tagged_addresses(instance),
            weights: instance.weights.into(),
            enable_tag_override: instance.enable_tag_override,
            content_hash: None,
            proxy: proxy_of(instance),
            tenancy: TenancyJson::of(instance),
            datacenter: datacenter.to_string(),
        }
    }
}

/// One of `/v1/catalog/service/:name`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CatalogServiceJson {
    #[serde(rename = "ID")]
    id: String,
    node: String,
    address: String,
    datacenter: String,
    tagged_addresses: Pairs,
    node_meta: Pairs,
    service_kind: &'static str,
    #[serde(rename = "ServiceID")]
    service_id: String,
    service_name: String,
    service_tags: Vec<String>,
    service_address: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    service_tagged_addresses: BTreeMap<String, AddressJson>,
    service_weights: WeightsJson,
    service_meta: Pairs,
    service_port: u16,
    service_enable_tag_override: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_proxy: Option<ProxyJson>,
    service_connect: ConnectJson,
    #[serde(flatten)]
    tenancy: TenancyJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_name: Option<String>,
    #[serde(flatten)]
    indexes: Indexes,
}

impl CatalogServiceJson {
    /// `instance` on `node`, with the instance's revisions.
    pub fn new(instance: &Instance, node: &Node, indexes: Indexes) -> Self {
        CatalogServiceJson {
            id: node.id.clone().unwrap_or_default(),
            node: node.key.name.to_string(),
            address: node.address.clone(),
            datacenter: node.datacenter.to_string(),
            tagged_addresses: node.tagged_addresses.clone(),
            node_meta: node.meta.clone(),
            service_kind: instance.kind.as_str(),
            service_id: instance.key.id.to_string(),
            service_name: instance.service.to_string(),
            service_tags: instance.tags.clone(),
            service_address: instance.address.clone(),
            service_tagged_addresses: tagged_addresses(instance),
            service_weights: instance.weights.into(),
            service_meta: instance.meta.clone(),
            service_port: instance.port,
            service_enable_tag_override: instance.enable_tag_override,
            service_proxy: proxy_of(instance),
            service_connect: ConnectJson::of(instance.peer_meta.as_ref()),
            tenancy: TenancyJson::of(instance),
            peer_name: peer_of(&instance.key.node.origin),
            indexes,
        }
    }
}

fn proxy_of(instance: &Instance) -> Option<ProxyJson> {
    match instance.kind {
        ServiceKind::Typical => None,
        ServiceKind::ConnectProxy => instance.proxy.as_ref().map(ProxyJson::from),
        ServiceKind::MeshGateway => Some(ProxyJson::of_gateway(&instance.gateway_config)),
    }
}

fn tagged_addresses(instance: &Instance) -> BTreeMap<String, AddressJson> {
    instance
        .tagged_addresses
        .iter()
        .map(|(tag, at)| {
            let address = AddressJson {
                address: at.address.clone(),
                port: at.port,
            };
            (tag.clone(), address)
        })
        .collect()
}

fn peer_of(origin: &Origin) -> Option<String> {
    origin.peer().map(ToString::to_string)
}
