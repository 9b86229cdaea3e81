//! Services as `/v1/agent` and `/v1/catalog` show them.

use super::{
    AddressJson, ConnectJson, Indexes, LocalityJson, Pairs, TenancyJson, WeightsJson, peer_of, proxy_of,
    tagged_addresses,
};
use crate::proxy::ProxyJson;
use peerway_model::config::{ProxyDefaults, ServiceDefaults};
use peerway_model::{Datacenter, Instance, Node, ServiceKind};
use serde::Serialize;
use std::collections::BTreeMap;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    locality: Option<LocalityJson>,
    #[serde(flatten)]
    tenancy: TenancyJson,
    datacenter: String,
}

impl AgentServiceJson {
    /// `instance`, without a hash. `service` are the defaults of the service that it stands for if it is a sidecar, and
    /// `all` those of all proxies: shown is what counts.
    pub fn new(
        instance: &Instance,
        service: Option<&ServiceDefaults>,
        all: Option<&ProxyDefaults>,
        datacenter: &Datacenter,
    ) -> Self {
        let proxy = match instance.kind {
            ServiceKind::ConnectProxy => ProxyJson::counting(instance, service, all),
            _ => proxy_of(instance),
        };
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
            proxy,
            locality: LocalityJson::of(instance.locality.as_ref()),
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
    #[serde(skip_serializing_if = "Option::is_none")]
    service_locality: Option<LocalityJson>,
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
            service_locality: LocalityJson::of(instance.locality.as_ref()),
            tenancy: TenancyJson::of(instance),
            peer_name: peer_of(&instance.key.node.origin),
            indexes,
        }
    }
}
