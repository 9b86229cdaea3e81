//! Nodes, services and their health in answers (wire facts, section 8.2).
//!
//! Partition and namespace are left out where both are `default`, as a Consul without them does; the peer is
//! left out on local rows.

mod gateway;
mod health;
mod services;

pub use gateway::GatewayServiceJson;
pub use health::{CheckJson, HealthEntryJson, NodeJson, ServiceJson};
pub use services::{AgentServiceJson, CatalogServiceJson};

use crate::proxy::ProxyJson;
use peerway_model::{
    HealthSummary, Instance, Locality, Origin, PeerMeta, ServiceKind, VirtualAddress, Weights,
};
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

/// An address and a port.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AddressJson {
    address: String,
    port: u16,
}

/// `Locality` of an instance or a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LocalityJson {
    region: String,
    /// Empty when it is not known, as in Consul.
    zone: String,
}

impl LocalityJson {
    fn of(locality: Option<&Locality>) -> Option<Self> {
        let Locality { region, zone } = locality?;
        Some(LocalityJson {
            region: region.to_string(),
            zone: zone.as_ref().map(ToString::to_string).unwrap_or_default(),
        })
    }
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
    /// Not in Consul.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthSummaryJson>,
}

/// How the instances behind an exporter's gateways are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HealthSummaryJson {
    healthy: u32,
    total: u32,
    weight: u32,
    draining: u32,
}

impl From<HealthSummary> for HealthSummaryJson {
    fn from(summary: HealthSummary) -> Self {
        let HealthSummary {
            healthy,
            total,
            weight,
            draining,
        } = summary;
        HealthSummaryJson {
            healthy,
            total,
            weight,
            draining,
        }
    }
}

impl ConnectJson {
    fn of(peer_meta: Option<&PeerMeta>) -> Self {
        ConnectJson {
            peer_meta: peer_meta.map(|meta| PeerMetaJson {
                sni: meta.sni.clone(),
                spiffe_id: meta.spiffe_ids.clone(),
                protocol: meta.protocol.clone(),
                health: meta.health.map(HealthSummaryJson::from),
            }),
        }
    }
}

fn proxy_of(instance: &Instance) -> Option<ProxyJson> {
    match instance.kind {
        ServiceKind::Typical => None,
        ServiceKind::ConnectProxy => instance.proxy.as_ref().map(ProxyJson::from),
        _ => Some(ProxyJson::of_gateway(&instance.gateway_config)),
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

/// The virtual address of a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields say what they hold")]
pub struct VirtualAddressJson {
    pub service: String,
    pub namespace: String,
    pub partition: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_name: Option<String>,
    pub address: String,
}

impl From<&VirtualAddress> for VirtualAddressJson {
    fn from(own: &VirtualAddress) -> Self {
        let key = &own.service;
        VirtualAddressJson {
            service: key.name.to_string(),
            namespace: key.namespace.to_string(),
            partition: key.partition.to_string(),
            peer_name: key.origin.peer().map(ToString::to_string),
            address: own.address.to_string(),
        }
    }
}
