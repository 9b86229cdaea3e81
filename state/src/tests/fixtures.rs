//! A small world of names, and rows of it.

use crate::{
    Applied, Refused, Revision, Row, RowChange, RowKey, Snapshot, StoredRow, Transaction, apply, load,
};
use peerway_model::config::{
    AccessLogs, Action, Consumer, ExportedService, ExportedServices, LinkedService, Mesh, Outward, Pattern,
    ProxyDefaults, ServiceDefaults, ServiceIntentions, Source, TerminatingGateway, Verdict,
};
use peerway_model::instance::GatewayMode;
use peerway_model::peering::RemoteInfo;
use peerway_model::{
    AuditAction, AuditEvent, CaKey, CaRoots, Check, CheckId, CheckKey, CheckStatus, ConfigEntry, Datacenter,
    Instance, InstanceId, InstanceKey, Namespace, Node, NodeKey, NodeName, Origin, Partition, PeerName,
    Peering, PeeringGrants, PeeringKey, PeeringRole, PeeringSecrets, PeeringState, Proxy, Requester, Secret,
    ServiceKey, ServiceKind, ServiceName, TokenBounds, TokenGrant, TrustBundle, TrustDomain, Weights,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn peer(name: &str) -> Origin {
    Origin::Peer(PeerName::new(name).unwrap())
}

pub(super) fn partition(name: &str) -> Partition {
    Partition::new(name).unwrap()
}

pub(super) fn node_key(origin: &Origin, partition: &Partition, name: &str) -> NodeKey {
    NodeKey {
        origin: origin.clone(),
        partition: partition.clone(),
        name: NodeName::new(name).unwrap(),
    }
}

/// A local node in the default partition.
pub(super) fn local(name: &str) -> NodeKey {
    node_key(&Origin::Local, &Partition::default(), name)
}

/// A node of peer `west` in the default partition.
pub(super) fn west(name: &str) -> NodeKey {
    node_key(&peer("west"), &Partition::default(), name)
}

pub(super) fn node(key: &NodeKey, address: &str) -> Node {
    Node {
        key: key.clone(),
        id: None,
        address: address.to_owned(),
        datacenter: Datacenter::new("dc1").unwrap(),
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        locality: None,
    }
}

pub(super) fn instance_key(node: &NodeKey, id: &str) -> InstanceKey {
    InstanceKey {
        node: node.clone(),
        id: InstanceId::new(id).unwrap(),
    }
}

pub(super) fn instance(node: &NodeKey, id: &str, service: &str) -> Instance {
    Instance {
        key: instance_key(node, id),
        namespace: Namespace::default(),
        service: ServiceName::new(service).unwrap(),
        kind: ServiceKind::Typical,
        tags: Vec::new(),
        address: String::new(),
        port: 80,
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        weights: Weights::default(),
        enable_tag_override: false,
        proxy: None,
        gateway_config: BTreeMap::new(),
        peer_meta: None,
        locality: None,
    }
}

pub(super) fn sidecar(node: &NodeKey, id: &str, destination: &str) -> Instance {
    Instance {
        kind: ServiceKind::ConnectProxy,
        proxy: Some(Proxy {
            destination: ServiceName::new(destination).unwrap(),
            destination_id: None,
            local_address: None,
            local_port: None,
            upstreams: Vec::new(),
            mesh_gateway: None,
            sidecar: Default::default(),
            config: BTreeMap::new(),
        }),
        ..instance(node, id, &format!("{destination}-sidecar-proxy"))
    }
}

pub(super) fn check_key(node: &NodeKey, id: &str) -> CheckKey {
    CheckKey {
        node: node.clone(),
        id: CheckId::new(id).unwrap(),
    }
}

pub(super) fn check(node: &NodeKey, id: &str, of: Option<&str>, status: CheckStatus) -> Check {
    Check {
        key: check_key(node, id),
        name: String::new(),
        status,
        notes: String::new(),
        output: String::new(),
        instance: of.map(|id| InstanceId::new(id).unwrap()),
        service: None,
    }
}

pub(super) fn service_key(origin: &Origin, partition: &Partition, name: &str) -> ServiceKey {
    ServiceKey {
        origin: origin.clone(),
        partition: partition.clone(),
        namespace: Namespace::default(),
        name: ServiceName::new(name).unwrap(),
    }
}

pub(super) fn peering_key(partition: &Partition, name: &str) -> PeeringKey {
    PeeringKey {
        partition: partition.clone(),
        name: PeerName::new(name).unwrap(),
    }
}

pub(super) fn peering(key: &PeeringKey, state: PeeringState) -> Peering {
    Peering {
        key: key.clone(),
        id: format!("id-of-{}-{}", key.partition, key.name),
        role: PeeringRole::Acceptor,
        state,
        meta: BTreeMap::new(),
        remote_id: None,
        ca_pems: Vec::new(),
        server_name: None,
        server_addresses: Vec::new(),
        manual_addresses: Vec::new(),
        external_addresses: Vec::new(),
        remote: RemoteInfo::default(),
        deleted_at: None,
    }
}

pub(super) fn grants(key: &PeeringKey, accessor: &str) -> PeeringGrants {
    PeeringGrants {
        establishment: Some(TokenGrant {
            accessor: accessor.to_owned(),
            made_at: 1,
            expires_at: None,
            request_id: None,
            bounds: TokenBounds::default(),
            proven: false,
        }),
        ..PeeringGrants::new(key.clone())
    }
}

pub(super) fn event(key: &PeeringKey, accessor: &str) -> AuditEvent {
    AuditEvent {
        at: 1,
        action: AuditAction::Made,
        peering: key.clone(),
        accessor: accessor.to_owned(),
        by: Requester::default(),
        detail: String::new(),
    }
}

pub(super) fn secrets(establishment: Option<&str>, active: Option<&str>) -> PeeringSecrets {
    PeeringSecrets {
        establishment: establishment.map(Secret::new),
        pending_stream: None,
        active_stream: active.map(Secret::new),
        revoked: Vec::new(),
    }
}

pub(super) fn bundle(key: &PeeringKey, root: &str) -> TrustBundle {
    TrustBundle {
        peering: key.clone(),
        trust_domain: TrustDomain::new("td.consul").unwrap(),
        exported_partition: Partition::default(),
        root_pems: vec![root.to_owned()],
    }
}

pub(super) fn roots(id: &str) -> CaRoots {
    CaRoots {
        cluster_id: id.to_owned(),
        trust_domain: TrustDomain::new("td.consul").unwrap(),
        datacenter: Datacenter::new("dc1").unwrap(),
        roots: Vec::new(),
        rotation: None,
    }
}

pub(super) fn ca_key(id: &str, pem: &str) -> CaKey {
    CaKey {
        root_id: id.to_owned(),
        pem: Secret::new(pem),
    }
}

/// One entry of every kind, differing by `variant`.
pub(super) fn entries(partition: &Partition, variant: u8) -> [ConfigEntry; 6] {
    let meta = BTreeMap::from([("v".to_owned(), variant.to_string())]);
    let web = ServiceName::new("web").unwrap();
    [
        ConfigEntry::ExportedServices(ExportedServices {
            partition: partition.clone(),
            services: vec![ExportedService {
                name: Pattern::Exact(web.clone()),
                namespace: Pattern::Exact(Namespace::default()),
                consumers: vec![Consumer::Peer(PeerName::new("west").unwrap())],
            }],
            meta: meta.clone(),
        }),
        ConfigEntry::ServiceIntentions(ServiceIntentions {
            name: Pattern::Exact(web.clone()),
            namespace: Pattern::Exact(Namespace::default()),
            partition: partition.clone(),
            sources: vec![Source {
                name: Pattern::Any,
                namespace: Pattern::Exact(Namespace::default()),
                partition: partition.clone(),
                peer: None,
                group: None,
                verdict: Verdict::Always(Action::Allow),
                description: String::new(),
            }],
            jwt: None,
            meta: meta.clone(),
        }),
        ConfigEntry::Mesh(Mesh {
            mesh_destinations_only: variant % 2 == 1,
            peer_through_mesh_gateways: None,
            tls: Default::default(),
            partition: partition.clone(),
            meta: meta.clone(),
        }),
        ConfigEntry::ProxyDefaults(ProxyDefaults {
            partition: partition.clone(),
            mesh_gateway: Some(GatewayMode::Local),
            config: BTreeMap::new(),
            access_logs: AccessLogs::default(),
            tracing: None,
            sidecar: Default::default(),
            by_locality: None,
            meta: meta.clone(),
        }),
        ConfigEntry::ServiceDefaults(ServiceDefaults {
            partition: partition.clone(),
            namespace: Namespace::default(),
            name: web.clone(),
            protocol: None,
            mesh_gateway: None,
            inbound: Default::default(),
            upstreams: Default::default(),
            sidecar: Default::default(),
            meta: meta.clone(),
        }),
        ConfigEntry::TerminatingGateway(TerminatingGateway {
            partition: partition.clone(),
            namespace: Namespace::default(),
            name: web,
            services: vec![LinkedService {
                name: match variant {
                    0 => Pattern::Any,
                    _ => Pattern::Exact(ServiceName::new("api").unwrap()),
                },
                namespace: Namespace::default(),
                outward: Outward::default(),
            }],
            meta,
        }),
    ]
}

macro_rules! into_row {
    ($($type:ident $variant:ident),*) => {
        $(impl From<$type> for Row {
            fn from(row: $type) -> Row {
                Row::$variant(Arc::new(row))
            }
        })*
    };
}
into_row!(CaRoots Roots, CaKey CaKey, ConfigEntry Config, Peering Peering, PeeringGrants Grants, TrustBundle Bundle, Node Node, Instance Instance, Check Check);

/// A snapshot with the rows that its changes would have kept, as a storage keeps them.
#[derive(Default)]
pub(super) struct World {
    pub(super) snapshot: Snapshot,
    kept: BTreeMap<RowKey, StoredRow>,
    last: Revision,
}

impl World {
    /// A world after one transaction that puts `rows`.
    pub(super) fn of(rows: impl IntoIterator<Item = Row>) -> World {
        let mut world = World::default();
        let transaction = rows.into_iter().fold(Transaction::new(), Transaction::put);
        world.commit(&transaction).unwrap();
        world
    }

    pub(super) fn commit(&mut self, transaction: &Transaction) -> Result<Applied, Refused> {
        let applied = apply(&mut self.snapshot, transaction, self.last + 1)?;
        for change in &applied.rows {
            match change {
                RowChange::Put(stored) => {
                    self.kept.insert(stored.row.key(), stored.clone());
                }
                RowChange::Delete(key) => {
                    assert!(self.kept.remove(key).is_some(), "{key:?} was not there");
                }
            }
        }
        self.last = self.snapshot.revision();
        Ok(applied)
    }

    /// What a restart makes of the rows that were kept, given in the order least like the one they were made in.
    pub(super) fn restarted(&self) -> Snapshot {
        load(self.kept.values().rev().cloned(), self.last).unwrap()
    }

    /// The rows that may be put again: all but imports of a peering that is going.
    pub(super) fn writable(&self) -> Vec<Row> {
        let live = |partition: &Partition, peer: &PeerName| {
            let key = PeeringKey {
                partition: partition.clone(),
                name: peer.clone(),
            };
            self.snapshot
                .peering(&key)
                .is_some_and(|peering| peering.is_live())
        };
        let on = |node: &NodeKey| node.origin.peer().is_none_or(|peer| live(&node.partition, peer));
        let wanted = |row: &Row| match row {
            Row::Node(node) => on(&node.key),
            Row::Instance(instance) => on(&instance.key.node),
            Row::Check(check) => on(&check.key.node),
            Row::Bundle(bundle) => live(&bundle.peering.partition, &bundle.peering.name),
            _ => true,
        };
        let rows = self.kept.values().map(|stored| stored.row.clone());
        rows.filter(wanted).collect()
    }

    pub(super) fn keys(&self) -> Vec<RowKey> {
        self.kept.keys().cloned().collect()
    }
}
