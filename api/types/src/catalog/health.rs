//! Entries of `/v1/health`.

use super::{
    AddressJson, ConnectJson, Indexes, LocalityJson, Pairs, TenancyJson, WeightsJson, peer_of, proxy_of,
    tagged_addresses,
};
use crate::proxy::ProxyJson;
use peerway_model::{Check, Instance, Namespace, Node};
use serde::Serialize;
use std::collections::BTreeMap;

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
    locality: Option<LocalityJson>,
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
            locality: LocalityJson::of(node.locality.as_ref()),
            partition: (!partition.is_default()).then(|| partition.to_string()),
            peer_name: peer_of(&node.key.origin),
            indexes,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    locality: Option<LocalityJson>,
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
            locality: LocalityJson::of(instance.locality.as_ref()),
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
