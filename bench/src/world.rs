//! A catalog of a given size, and proxies that are interested in a small part of it.

use peerway_model::health::{Check, CheckStatus};
use peerway_model::instance::{Instance, Node, Proxy, ServiceKind, Upstream, Weights};
use peerway_model::key::{CheckKey, InstanceKey, NodeKey, Origin};
use peerway_model::name::{CheckId, Datacenter, InstanceId, Namespace, NodeName, Partition, ServiceName};
use peerway_model::{CaRoot, CaRoots, Invalid, TrustDomain};
use peerway_state::{Row, Snapshot, Transaction, apply};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Services that the proxies dial; the same however large the catalog is.
pub(crate) const DIALLED: usize = 20;
/// Proxies that are kept up to date.
pub(crate) const PROXIES: usize = 100;
/// Instances on one node.
const PER_NODE: usize = 50;

/// The key of the node that service number `index` runs on.
pub(crate) fn node_key(index: usize) -> Result<NodeKey, Invalid> {
    Ok(NodeKey {
        origin: Origin::Local,
        partition: Partition::default(),
        name: NodeName::new(&format!("node-{}", index / PER_NODE))?,
    })
}

/// A catalog of `services` services with one sidecar each, of which the first [`PROXIES`] dial [`DIALLED`] others.
pub(crate) fn build(services: usize) -> anyhow::Result<Snapshot> {
    let mut snapshot = Snapshot::default();
    let roots = CaRoots {
        cluster_id: "bench".to_owned(),
        trust_domain: TrustDomain::of_cluster("bench")?,
        datacenter: Datacenter::new("dc1")?,
        roots: vec![CaRoot {
            id: "root".to_owned(),
            name: "root".to_owned(),
            serial: 1,
            key_id: String::new(),
            pem: "root\n".to_owned(),
            not_before: 0,
            not_after: u64::MAX,
            active: true,
            handed_out: false,
            bridges: Vec::new(),
        }],
        rotation: None,
    };
    let mut transaction = Transaction::new().put(Row::Roots(Arc::new(roots)));
    for index in 0..services {
        let node = node_key(index)?;
        if index % PER_NODE == 0 {
            transaction = transaction.put(Row::Node(Arc::new(node_row(node.clone())?)));
        }
        for instance in instances(&node, index)? {
            transaction = transaction.put(Row::Instance(Arc::new(instance)));
        }
    }
    apply(&mut snapshot, &transaction, 1)?;
    Ok(snapshot)
}

/// The key of the sidecar of service number `index`.
pub(crate) fn sidecar_key(index: usize) -> Result<InstanceKey, Invalid> {
    Ok(InstanceKey {
        node: node_key(index)?,
        id: InstanceId::new(&format!("s-{index}-sidecar-proxy"))?,
    })
}

/// A check of the sidecar of service number `index`.
pub(crate) fn check(index: usize, status: CheckStatus) -> Result<Check, Invalid> {
    let sidecar = sidecar_key(index)?;
    Ok(Check {
        key: CheckKey {
            node: sidecar.node,
            id: CheckId::new(&format!("check-{index}"))?,
        },
        name: String::new(),
        status,
        notes: String::new(),
        output: String::new(),
        instance: Some(sidecar.id),
        service: None,
    })
}

fn node_row(key: NodeKey) -> Result<Node, Invalid> {
    Ok(Node {
        key,
        id: None,
        address: "10.0.0.1".to_owned(),
        datacenter: Datacenter::new("dc1")?,
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        locality: None,
    })
}

fn instances(node: &NodeKey, index: usize) -> Result<[Instance; 2], Invalid> {
    let name = format!("s-{index}");
    let service = ServiceName::new(&name)?;
    let plain = Instance {
        key: InstanceKey {
            node: node.clone(),
            id: InstanceId::new(&name)?,
        },
        namespace: Namespace::default(),
        service: service.clone(),
        kind: ServiceKind::Typical,
        tags: Vec::new(),
        address: format!("10.{}.{}.{}", index >> 16 & 255, index >> 8 & 255, index & 255),
        port: 8080,
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        weights: Weights::default(),
        enable_tag_override: false,
        proxy: None,
        gateway_config: BTreeMap::new(),
        peer_meta: None,
        locality: None,
    };
    let upstreams = if index < PROXIES { upstreams()? } else { Vec::new() };
    let sidecar = Instance {
        key: sidecar_key(index)?,
        service: ServiceName::new(&format!("{name}-sidecar-proxy"))?,
        kind: ServiceKind::ConnectProxy,
        port: 20000,
        proxy: Some(Proxy {
            destination: service,
            destination_id: Some(plain.key.id.clone()),
            local_address: None,
            local_port: Some(8080),
            upstreams,
            mesh_gateway: None,
            sidecar: Default::default(),
            config: BTreeMap::new(),
        }),
        ..plain.clone()
    };
    Ok([plain, sidecar])
}

fn upstreams() -> Result<Vec<Upstream>, Invalid> {
    (0..DIALLED)
        .map(|number| {
            Ok(Upstream {
                name: ServiceName::new(&format!("s-{}", PROXIES + number))?,
                namespace: Namespace::default(),
                partition: Partition::default(),
                peer: None,
                bind_address: "127.0.0.1".to_owned(),
                bind_port: 9000 + u16::try_from(number).unwrap_or_default(),
                mesh_gateway: None,
                config: BTreeMap::new(),
            })
        })
        .collect()
}
