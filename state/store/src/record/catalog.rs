//! Twins of nodes, instances and checks.

use super::opaque::{ConfigMap, give_back, keep};
use super::sidecar::SidecarRecord;
use super::text::{Text, text};
use peerway_model::instance::GatewayMode;
use peerway_model::locality::{Locality, PlaceName};
use peerway_model::{
    Check, CheckId, CheckKey, CheckStatus, Datacenter, HealthSummary, Instance, InstanceId, InstanceKey,
    Namespace, Node, NodeKey, NodeName, Origin, Partition, PeerMeta, PeerName, Proxy, ProxyMode,
    ServiceAddress, ServiceKind, ServiceName, SidecarSettings, Upstream, Weights,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
struct NodeKeyRecord {
    /// Absent for a local node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<Text<PeerName>>,
    partition: Text<Partition>,
    name: Text<NodeName>,
}

impl From<&NodeKey> for NodeKeyRecord {
    fn from(key: &NodeKey) -> Self {
        let NodeKey {
            origin,
            partition,
            name,
        } = key;
        NodeKeyRecord {
            peer: match origin {
                Origin::Local => None,
                Origin::Peer(peer) => Some(Text(peer.clone())),
            },
            partition: Text(partition.clone()),
            name: Text(name.clone()),
        }
    }
}

impl From<NodeKeyRecord> for NodeKey {
    fn from(record: NodeKeyRecord) -> Self {
        NodeKey {
            origin: record.peer.map_or(Origin::Local, |peer| Origin::Peer(peer.0)),
            partition: record.partition.0,
            name: record.name.0,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct NodeRecord {
    key: NodeKeyRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    address: String,
    datacenter: Text<Datacenter>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tagged_addresses: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    meta: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locality: Option<LocalityRecord>,
}

/// Where something runs.
#[derive(Serialize, Deserialize)]
struct LocalityRecord {
    region: Text<PlaceName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<Text<PlaceName>>,
}

impl From<&Locality> for LocalityRecord {
    fn from(locality: &Locality) -> Self {
        let Locality { region, zone } = locality;
        LocalityRecord {
            region: Text(region.clone()),
            zone: text(zone),
        }
    }
}

impl From<LocalityRecord> for Locality {
    fn from(record: LocalityRecord) -> Self {
        Locality {
            region: record.region.0,
            zone: record.zone.map(|zone| zone.0),
        }
    }
}

impl From<&Node> for NodeRecord {
    fn from(node: &Node) -> Self {
        let Node {
            key,
            id,
            address,
            datacenter,
            tagged_addresses,
            meta,
            locality,
        } = node;
        NodeRecord {
            key: key.into(),
            id: id.clone(),
            address: address.clone(),
            datacenter: Text(datacenter.clone()),
            tagged_addresses: tagged_addresses.clone(),
            meta: meta.clone(),
            locality: locality.as_ref().map(LocalityRecord::from),
        }
    }
}

impl From<NodeRecord> for Node {
    fn from(record: NodeRecord) -> Self {
        Node {
            key: record.key.into(),
            id: record.id,
            address: record.address,
            datacenter: record.datacenter.0,
            tagged_addresses: record.tagged_addresses,
            meta: record.meta,
            locality: record.locality.map(Locality::from),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct CheckRecord {
    node: NodeKeyRecord,
    id: Text<CheckId>,
    name: String,
    status: Text<CheckStatus>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    notes: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    output: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<Text<InstanceId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<(Text<Namespace>, Text<ServiceName>)>,
}

impl From<&Check> for CheckRecord {
    fn from(check: &Check) -> Self {
        let Check {
            key: CheckKey { node, id },
            name,
            status,
            notes,
            output,
            instance,
            service,
        } = check;
        CheckRecord {
            node: node.into(),
            id: Text(id.clone()),
            name: name.clone(),
            status: Text(*status),
            notes: notes.clone(),
            output: output.clone(),
            instance: text(instance),
            service: service
                .as_ref()
                .map(|(namespace, name)| (Text(namespace.clone()), Text(name.clone()))),
        }
    }
}

impl From<CheckRecord> for Check {
    fn from(record: CheckRecord) -> Self {
        Check {
            key: CheckKey {
                node: record.node.into(),
                id: record.id.0,
            },
            name: record.name,
            status: record.status.0,
            notes: record.notes,
            output: record.output,
            instance: record.instance.map(|id| id.0),
            service: record.service.map(|(namespace, name)| (namespace.0, name.0)),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct InstanceRecord {
    node: NodeKeyRecord,
    id: Text<InstanceId>,
    namespace: Text<Namespace>,
    service: Text<ServiceName>,
    kind: Text<ServiceKind>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    address: String,
    port: u16,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tagged_addresses: BTreeMap<String, AddressRecord>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    meta: BTreeMap<String, String>,
    weights: WeightsRecord,
    #[serde(default)]
    enable_tag_override: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyRecord>,
    #[serde(default, skip_serializing_if = "ConfigMap::is_empty")]
    gateway_config: ConfigMap,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer_meta: Option<PeerMetaRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locality: Option<LocalityRecord>,
}

#[derive(Serialize, Deserialize)]
struct AddressRecord {
    address: String,
    port: u16,
}

#[derive(Serialize, Deserialize)]
struct WeightsRecord {
    passing: u32,
    warning: u32,
}

#[derive(Serialize, Deserialize)]
struct PeerMetaRecord {
    sni: Vec<String>,
    spiffe_ids: Vec<String>,
    protocol: String,
    /// Healthy, total, weight, draining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health: Option<(u32, u32, u32, u32)>,
}

impl From<&Instance> for InstanceRecord {
    fn from(instance: &Instance) -> Self {
        let Instance {
            key: InstanceKey { node, id },
            namespace,
            service,
            kind,
            tags,
            address,
            port,
            tagged_addresses,
            meta,
            weights: Weights { passing, warning },
            enable_tag_override,
            proxy,
            gateway_config,
            peer_meta,
            locality,
        } = instance;
        InstanceRecord {
            node: node.into(),
            id: Text(id.clone()),
            namespace: Text(namespace.clone()),
            service: Text(service.clone()),
            kind: Text(*kind),
            tags: tags.clone(),
            address: address.clone(),
            port: *port,
            tagged_addresses: tagged_addresses
                .iter()
                .map(|(tag, address)| (tag.clone(), address.into()))
                .collect(),
            meta: meta.clone(),
            weights: WeightsRecord {
                passing: *passing,
                warning: *warning,
            },
            enable_tag_override: *enable_tag_override,
            proxy: proxy.as_ref().map(ProxyRecord::from),
            gateway_config: keep(gateway_config),
            peer_meta: peer_meta.as_ref().map(PeerMetaRecord::from),
            locality: locality.as_ref().map(LocalityRecord::from),
        }
    }
}

impl From<InstanceRecord> for Instance {
    fn from(record: InstanceRecord) -> Self {
        Instance {
            key: InstanceKey {
                node: record.node.into(),
                id: record.id.0,
            },
            namespace: record.namespace.0,
            service: record.service.0,
            kind: record.kind.0,
            tags: record.tags,
            address: record.address,
            port: record.port,
            tagged_addresses: record
                .tagged_addresses
                .into_iter()
                .map(|(tag, address)| (tag, address.into()))
                .collect(),
            meta: record.meta,
            weights: Weights {
                passing: record.weights.passing,
                warning: record.weights.warning,
            },
            enable_tag_override: record.enable_tag_override,
            proxy: record.proxy.map(Proxy::from),
            gateway_config: give_back(record.gateway_config),
            peer_meta: record.peer_meta.map(PeerMeta::from),
            locality: record.locality.map(Locality::from),
        }
    }
}

impl From<&ServiceAddress> for AddressRecord {
    fn from(address: &ServiceAddress) -> Self {
        let ServiceAddress { address, port } = address;
        AddressRecord {
            address: address.clone(),
            port: *port,
        }
    }
}

impl From<AddressRecord> for ServiceAddress {
    fn from(record: AddressRecord) -> Self {
        ServiceAddress {
            address: record.address,
            port: record.port,
        }
    }
}

impl From<&PeerMeta> for PeerMetaRecord {
    fn from(meta: &PeerMeta) -> Self {
        let PeerMeta {
            sni,
            spiffe_ids,
            protocol,
            health,
        } = meta;
        PeerMetaRecord {
            sni: sni.clone(),
            spiffe_ids: spiffe_ids.clone(),
            protocol: protocol.clone(),
            health: health.map(|health| (health.healthy, health.total, health.weight, health.draining)),
        }
    }
}

impl From<PeerMetaRecord> for PeerMeta {
    fn from(record: PeerMetaRecord) -> Self {
        PeerMeta {
            sni: record.sni,
            spiffe_ids: record.spiffe_ids,
            protocol: record.protocol,
            health: record
                .health
                .map(|(healthy, total, weight, draining)| HealthSummary {
                    healthy,
                    total,
                    weight,
                    draining,
                }),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct ProxyRecord {
    destination: Text<ServiceName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destination_id: Option<Text<InstanceId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    local_address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    local_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    upstreams: Vec<UpstreamRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mesh_gateway: Option<Text<GatewayMode>>,
    /// Said by records that were written before modes could be said elsewhere as well; never written.
    #[serde(default, skip_serializing)]
    transparent: Option<TransparentRecord>,
    #[serde(default, skip_serializing_if = "SidecarRecord::is_default")]
    sidecar: SidecarRecord,
    #[serde(default, skip_serializing_if = "ConfigMap::is_empty")]
    config: ConfigMap,
}

#[derive(Deserialize)]
struct TransparentRecord {
    outbound_port: u16,
    dialed_directly: bool,
}

impl From<&Proxy> for ProxyRecord {
    fn from(proxy: &Proxy) -> Self {
        let Proxy {
            destination,
            destination_id,
            local_address,
            local_port,
            upstreams,
            mesh_gateway,
            sidecar,
            config,
        } = proxy;
        ProxyRecord {
            destination: Text(destination.clone()),
            destination_id: text(destination_id),
            local_address: local_address.clone(),
            local_port: *local_port,
            upstreams: upstreams.iter().map(UpstreamRecord::from).collect(),
            mesh_gateway: text(mesh_gateway),
            transparent: None,
            sidecar: sidecar.into(),
            config: keep(config),
        }
    }
}

impl From<ProxyRecord> for Proxy {
    fn from(record: ProxyRecord) -> Self {
        Proxy {
            destination: record.destination.0,
            destination_id: record.destination_id.map(|id| id.0),
            local_address: record.local_address,
            local_port: record.local_port,
            upstreams: record.upstreams.into_iter().map(Upstream::from).collect(),
            mesh_gateway: record.mesh_gateway.map(|mode| mode.0),
            sidecar: match record.transparent {
                Some(transparent) => SidecarSettings {
                    mode: Some(ProxyMode::Transparent),
                    outbound_port: Some(transparent.outbound_port),
                    dialed_directly: transparent.dialed_directly,
                    exposed: Vec::new(),
                },
                None => record.sidecar.into(),
            },
            config: give_back(record.config),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct UpstreamRecord {
    name: Text<ServiceName>,
    namespace: Text<Namespace>,
    partition: Text<Partition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<Text<PeerName>>,
    bind_address: String,
    bind_port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mesh_gateway: Option<Text<GatewayMode>>,
    #[serde(default, skip_serializing_if = "ConfigMap::is_empty")]
    config: ConfigMap,
}

impl From<&Upstream> for UpstreamRecord {
    fn from(upstream: &Upstream) -> Self {
        let Upstream {
            name,
            namespace,
            partition,
            peer,
            bind_address,
            bind_port,
            mesh_gateway,
            config,
        } = upstream;
        UpstreamRecord {
            name: Text(name.clone()),
            namespace: Text(namespace.clone()),
            partition: Text(partition.clone()),
            peer: text(peer),
            bind_address: bind_address.clone(),
            bind_port: *bind_port,
            mesh_gateway: text(mesh_gateway),
            config: keep(config),
        }
    }
}

impl From<UpstreamRecord> for Upstream {
    fn from(record: UpstreamRecord) -> Self {
        Upstream {
            name: record.name.0,
            namespace: record.namespace.0,
            partition: record.partition.0,
            peer: record.peer.map(|peer| peer.0),
            bind_address: record.bind_address,
            bind_port: record.bind_port,
            mesh_gateway: record.mesh_gateway.map(|mode| mode.0),
            config: give_back(record.config),
        }
    }
}
