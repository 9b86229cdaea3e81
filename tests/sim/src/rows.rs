//! The rows that a cluster's operators and workloads write.

use peerway_model::config::{Consumer, ExportedService, ExportedServices, Pattern};
use peerway_model::instance::{ServiceAddress, TAG_WAN};
use peerway_model::{
    CaRoot, CaRoots, Check, CheckId, CheckKey, CheckStatus, ConfigEntry, Datacenter, Instance, InstanceId,
    InstanceKey, Invalid, Namespace, Node, NodeKey, NodeName, Origin, Partition, PeerName, PeeringKey, Proxy,
    ServiceKind, ServiceName, TrustDomain, Weights,
};
use peerway_state::Row;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The services that a cluster may have.
pub(crate) const SERVICES: [&str; 4] = ["api", "db", "web", "web-sidecar"];

/// The key of the peering with cluster `index`: every cluster calls every other one `c<index>`.
pub(crate) fn peering(index: usize) -> Result<PeeringKey, Invalid> {
    Ok(PeeringKey {
        partition: Partition::default(),
        name: PeerName::new(&format!("c{index}"))?,
    })
}

/// The datacenter of cluster `index`.
pub(crate) fn datacenter(index: usize) -> String {
    format!("c{index}")
}

/// The trust domain of cluster `index`.
pub(crate) fn trust_domain(index: usize) -> Result<TrustDomain, Invalid> {
    TrustDomain::of_cluster(&format!("c{index}"))
}

/// A root; the serial number is 4000000000000000.
const ROOT: &str = include_str!("../../../peering/protocol/src/pem/root.pem");

/// The roots of cluster `index`, in one of sixteen versions.
pub(crate) fn roots(index: usize, version: usize) -> Result<Row, Invalid> {
    // One root with another digit in its serial number: customs look at the form of a certificate.
    let letter = [
        "A", "E", "I", "M", "Q", "U", "Y", "c", "g", "k", "o", "s", "w", "0", "4", "8",
    ][version % 16];
    let pem = ROOT.replacen("QAAAAAAAAAAw", &format!("QAAA{letter}AAAAAAw"), 1);
    Ok(Row::Roots(Arc::new(CaRoots {
        cluster_id: format!("c{index}"),
        trust_domain: trust_domain(index)?,
        datacenter: Datacenter::new(&datacenter(index))?,
        roots: vec![CaRoot {
            id: "r".to_owned(),
            name: "root".to_owned(),
            serial: 1,
            key_id: "k".to_owned(),
            pem,
            not_before: 0,
            not_after: u64::MAX,
            active: true,
            handed_out: false,
            bridges: Vec::new(),
        }],
        rotation: None,
    })))
}

/// The key of the local node `number`.
pub(crate) fn node_key(number: usize) -> Result<NodeKey, Invalid> {
    Ok(NodeKey {
        origin: Origin::Local,
        partition: Partition::default(),
        name: NodeName::new(&format!("n{number}"))?,
    })
}

/// A local node of cluster `index`; `address` tells versions of it apart.
pub(crate) fn node(index: usize, number: usize, address: u64) -> Result<Row, Invalid> {
    Ok(Row::Node(Arc::new(Node {
        key: node_key(number)?,
        id: None,
        address: format!("10.{index}.{number}.{address}"),
        datacenter: Datacenter::new(&datacenter(index))?,
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        locality: None,
    })))
}

/// The key of a local instance.
pub(crate) fn instance_key(node: usize, id: &str) -> Result<InstanceKey, Invalid> {
    Ok(InstanceKey {
        node: node_key(node)?,
        id: InstanceId::new(id)?,
    })
}

/// An instance of an ordinary service.
pub(crate) fn instance(node: usize, service: &str, id: &str, port: u16) -> Result<Instance, Invalid> {
    Ok(Instance {
        key: instance_key(node, id)?,
        namespace: Namespace::default(),
        service: ServiceName::new(service)?,
        kind: ServiceKind::Typical,
        tags: Vec::new(),
        address: String::new(),
        port,
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        weights: Weights::default(),
        enable_tag_override: false,
        proxy: None,
        gateway_config: BTreeMap::new(),
        peer_meta: None,
        locality: None,
    })
}

/// A sidecar of `service`.
pub(crate) fn sidecar(node: usize, service: &str) -> Result<Instance, Invalid> {
    let name = format!("{service}-sidecar-proxy");
    Ok(Instance {
        kind: ServiceKind::ConnectProxy,
        proxy: Some(Proxy {
            destination: ServiceName::new(service)?,
            destination_id: None,
            local_address: None,
            local_port: None,
            upstreams: Vec::new(),
            mesh_gateway: None,
            sidecar: Default::default(),
            config: BTreeMap::new(),
        }),
        ..instance(node, &name, &name, 20_000)?
    })
}

/// A mesh gateway.
pub(crate) fn gateway(node: usize, id: &str, port: u16) -> Result<Instance, Invalid> {
    let wan = ServiceAddress {
        address: "203.0.113.1".to_owned(),
        port,
    };
    Ok(Instance {
        kind: ServiceKind::MeshGateway,
        tagged_addresses: BTreeMap::from([(TAG_WAN.to_owned(), wan)]),
        ..instance(node, "mesh-gateway", id, port)?
    })
}

/// The check of a local instance.
pub(crate) fn check(of: &Instance, status: CheckStatus) -> Result<Row, Invalid> {
    Ok(Row::Check(Arc::new(Check {
        key: CheckKey {
            node: of.key.node.clone(),
            id: CheckId::new(&format!("check:{}", of.key.id))?,
        },
        name: String::new(),
        status,
        notes: String::new(),
        output: String::new(),
        instance: Some(of.key.id.clone()),
        service: Some((of.namespace.clone(), of.service.clone())),
    })))
}

/// The exports of a cluster: for each entry the service (`*` for all) and the clusters that it goes to.
pub(crate) fn exports(entries: &[(String, Vec<usize>)]) -> Result<Row, Invalid> {
    let mut services = Vec::new();
    for (name, to) in entries {
        let mut consumers = Vec::new();
        for index in to {
            consumers.push(Consumer::Peer(peering(*index)?.name));
        }
        services.push(ExportedService {
            name: if name == "*" {
                Pattern::Any
            } else {
                Pattern::Exact(ServiceName::new(name)?)
            },
            namespace: Pattern::Exact(Namespace::default()),
            consumers,
        });
    }
    Ok(Row::Config(Arc::new(ConfigEntry::ExportedServices(
        ExportedServices {
            partition: Partition::default(),
            services,
            meta: BTreeMap::new(),
        },
    ))))
}
