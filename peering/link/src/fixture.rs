//! Small clusters as snapshots, for the tests of this room.

use peerway_model::config::{
    Consumer, Destination, ExportedService, ExportedServices, LinkedService, Member, Mesh, Outward, Pattern,
    Protocol, ProxyDefaults, SamenessGroup, ServiceDefaults, ServiceResolver, TerminatingGateway,
};
use peerway_model::instance::{Opaque, ServiceAddress, TAG_WAN};
use peerway_model::peering::RemoteInfo;
use peerway_model::{
    CaRoot, CaRoots, Check, CheckId, CheckKey, CheckStatus, ConfigEntry, Datacenter, GroupName, Instance,
    InstanceId, InstanceKey, Namespace, Node, NodeKey, NodeName, Origin, Partition, PeerName, Peering,
    PeeringKey, PeeringRole, PeeringState, Proxy, ServiceKind, ServiceName, TrustDomain, Weights,
};
use peerway_state::{ChangeSet, Row, RowKey, Snapshot, Transaction, apply};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn peering(name: &str) -> PeeringKey {
    PeeringKey {
        partition: Partition::default(),
        name: PeerName::new(name).unwrap(),
    }
}

pub(crate) fn roots(datacenter: &str, pem: &str) -> CaRoots {
    CaRoots {
        cluster_id: datacenter.to_owned(),
        trust_domain: TrustDomain::of_cluster(datacenter).unwrap(),
        datacenter: Datacenter::new(datacenter).unwrap(),
        roots: vec![CaRoot {
            id: "r".to_owned(),
            name: "root".to_owned(),
            serial: 1,
            key_id: "k".to_owned(),
            pem: pem.to_owned(),
            not_before: 0,
            not_after: u64::MAX,
            active: true,
            handed_out: false,
            bridges: Vec::new(),
        }],
        rotation: None,
    }
}

pub(crate) fn node(origin: Origin, datacenter: &str) -> Node {
    Node {
        key: NodeKey {
            origin,
            partition: Partition::default(),
            name: NodeName::new("n1").unwrap(),
        },
        id: None,
        address: "10.0.0.1".to_owned(),
        datacenter: Datacenter::new(datacenter).unwrap(),
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        locality: None,
    }
}

pub(crate) fn instance(on: &NodeKey, service: &str, id: &str) -> Instance {
    Instance {
        key: InstanceKey {
            node: on.clone(),
            id: InstanceId::new(id).unwrap(),
        },
        namespace: Namespace::default(),
        service: ServiceName::new(service).unwrap(),
        kind: ServiceKind::Typical,
        tags: Vec::new(),
        address: String::new(),
        port: 8080,
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

pub(crate) fn sidecar(on: &NodeKey, service: &str) -> Instance {
    let name = format!("{service}-sidecar-proxy");
    Instance {
        kind: ServiceKind::ConnectProxy,
        proxy: Some(Proxy {
            destination: ServiceName::new(service).unwrap(),
            destination_id: None,
            local_address: None,
            local_port: None,
            upstreams: Vec::new(),
            mesh_gateway: None,
            sidecar: Default::default(),
            config: BTreeMap::new(),
        }),
        ..instance(on, &name, &name)
    }
}

pub(crate) fn mesh_gateway(on: &NodeKey, id: &str) -> Instance {
    let wan = ServiceAddress {
        address: "203.0.113.1".to_owned(),
        port: 443,
    };
    Instance {
        kind: ServiceKind::MeshGateway,
        port: 8443,
        tagged_addresses: BTreeMap::from([(TAG_WAN.to_owned(), wan)]),
        ..instance(on, "mesh-gateway", id)
    }
}

/// The mesh entry that says whether servers are reached through mesh gateways.
pub(crate) fn through_mesh_gateways(through: bool) -> Row {
    Row::Config(Arc::new(ConfigEntry::Mesh(Mesh {
        peer_through_mesh_gateways: Some(through),
        ..Mesh::default()
    })))
}

/// The sameness group `all`.
pub(crate) const GROUP: &str = "@all";

/// The members of `all`.
pub(crate) fn group(peers: &[&str]) -> ConfigEntry {
    ConfigEntry::SamenessGroup(SamenessGroup {
        partition: Partition::default(),
        name: GroupName::new("all").unwrap(),
        default_for_failover: false,
        include_local: true,
        members: peers
            .iter()
            .map(|peer| Member::Peer(PeerName::new(peer).unwrap()))
            .collect(),
        meta: BTreeMap::new(),
    })
}

/// To a peer, or to [`GROUP`].
pub(crate) fn export(names: &[&str], peer: &str) -> ConfigEntry {
    let consumer = match peer {
        GROUP => Consumer::Group(GroupName::new("all").unwrap()),
        peer => Consumer::Peer(PeerName::new(peer).unwrap()),
    };
    ConfigEntry::ExportedServices(ExportedServices {
        partition: Partition::default(),
        services: names
            .iter()
            .map(|name| ExportedService {
                name: match *name {
                    "*" => Pattern::Any,
                    name => Pattern::Exact(ServiceName::new(name).unwrap()),
                },
                namespace: Pattern::Exact(Namespace::default()),
                consumers: vec![consumer.clone()],
            })
            .collect(),
        meta: BTreeMap::new(),
    })
}

/// One cluster; its trust domain is `<name>.consul`.
pub(crate) struct World {
    pub(crate) snapshot: Snapshot,
    name: String,
    changes: ChangeSet,
}

impl World {
    pub(crate) fn new(name: &str) -> Self {
        let mut world = World {
            snapshot: Snapshot::default(),
            name: name.to_owned(),
            changes: ChangeSet::default(),
        };
        let node = node(Origin::Local, name);
        world.put([
            Row::Roots(Arc::new(roots(name, "pem\n"))),
            Row::Node(Arc::new(node)),
        ]);
        world
    }

    pub(crate) fn commit(&mut self, transaction: &Transaction) {
        let revision = self.snapshot.revision() + 1;
        let applied = apply(&mut self.snapshot, transaction, revision).unwrap();
        self.changes.merge(&applied.changes);
    }

    pub(crate) fn put(&mut self, rows: impl IntoIterator<Item = Row>) -> &mut Self {
        let transaction = rows.into_iter().fold(Transaction::new(), Transaction::put);
        self.commit(&transaction);
        self
    }

    /// What a change touches.
    pub(crate) fn changes(&mut self, change: impl FnOnce(&mut Self)) -> ChangeSet {
        self.changes = ChangeSet::default();
        change(self);
        std::mem::take(&mut self.changes)
    }

    fn local(&self) -> NodeKey {
        node(Origin::Local, &self.name).key
    }

    /// An instance with a check that warns.
    pub(crate) fn service(&mut self, service: &str, id: &str) -> &mut Self {
        let instance = instance(&self.local(), service, id);
        let check = Check {
            key: CheckKey {
                node: self.local(),
                id: CheckId::new(&format!("check:{id}")).unwrap(),
            },
            name: String::new(),
            status: CheckStatus::Warning,
            notes: String::new(),
            output: String::new(),
            instance: Some(instance.key.id.clone()),
            service: Some((instance.namespace.clone(), instance.service.clone())),
        };
        self.put([Row::Instance(Arc::new(instance)), Row::Check(Arc::new(check))])
    }

    /// Gives an instance a check of this status; nothing happens when it is not there.
    pub(crate) fn is(&mut self, id: &str, status: CheckStatus) -> &mut Self {
        let node = self.local();
        let check = Check {
            key: CheckKey {
                node: node.clone(),
                id: CheckId::new(&format!("is:{id}")).unwrap(),
            },
            name: String::new(),
            status,
            notes: String::new(),
            output: String::new(),
            instance: Some(InstanceId::new(id).unwrap()),
            service: None,
        };
        self.attempt(&Transaction::new().put(Row::Check(Arc::new(check))));
        self
    }

    pub(crate) fn proxy(&mut self, service: &str) -> &mut Self {
        let sidecar = sidecar(&self.local(), service);
        self.put([Row::Instance(Arc::new(sidecar))])
    }

    pub(crate) fn gateway(&mut self, id: &str) -> &mut Self {
        let gateway = mesh_gateway(&self.local(), id);
        self.put([Row::Instance(Arc::new(gateway))])
    }

    /// A terminating gateway `out`, the id being the same.
    pub(crate) fn terminating(&mut self) -> &mut Self {
        let gateway = Instance {
            kind: ServiceKind::TerminatingGateway,
            ..instance(&self.local(), "out", "out")
        };
        self.put([Row::Instance(Arc::new(gateway))])
    }

    /// What it stands for.
    pub(crate) fn link(&mut self, names: &[&str]) -> &mut Self {
        let link = |name: &&str| LinkedService {
            name: match *name {
                "*" => Pattern::Any,
                name => Pattern::Exact(ServiceName::new(name).unwrap()),
            },
            namespace: Namespace::default(),
            outward: Outward::default(),
        };
        let entry = ConfigEntry::TerminatingGateway(TerminatingGateway {
            partition: Partition::default(),
            namespace: Namespace::default(),
            name: ServiceName::new("out").unwrap(),
            services: names.iter().map(link).collect(),
            meta: BTreeMap::new(),
        });
        self.attempt(&Transaction::new().put(Row::Config(Arc::new(entry))));
        self
    }

    /// To a group only where there is one.
    pub(crate) fn export(&mut self, names: &[&str], peer: &str) -> &mut Self {
        self.attempt(&Transaction::new().put(Row::Config(Arc::new(export(names, peer)))));
        self
    }

    pub(crate) fn group(&mut self, peers: &[&str]) -> &mut Self {
        self.put([Row::Config(Arc::new(group(peers)))])
    }

    /// Sets the protocol of one service, or of all that have none of their own.
    pub(crate) fn protocol(&mut self, service: Option<&str>, protocol: Protocol) -> &mut Self {
        let entry = match service {
            Some(service) => ConfigEntry::ServiceDefaults(ServiceDefaults {
                partition: Partition::default(),
                namespace: Namespace::default(),
                name: ServiceName::new(service).unwrap(),
                protocol: Some(protocol),
                mesh_gateway: None,
                inbound: Default::default(),
                upstreams: Default::default(),
                sidecar: Default::default(),
                meta: BTreeMap::new(),
            }),
            None => ConfigEntry::ProxyDefaults(ProxyDefaults {
                config: BTreeMap::from([("protocol".to_owned(), Opaque::Text(protocol.as_str().to_owned()))]),
                ..ProxyDefaults::default()
            }),
        };
        self.attempt(&Transaction::new().put(Row::Config(Arc::new(entry))));
        self
    }

    /// Lets one service be another, or again itself. What contradicts the rest is refused and changes nothing.
    pub(crate) fn redirect(&mut self, from: &str, to: Option<&str>) -> &mut Self {
        let name = |text| ServiceName::new(text).unwrap();
        let entry = ConfigEntry::ServiceResolver(Box::new(ServiceResolver {
            partition: Partition::default(),
            namespace: Namespace::default(),
            name: name(from),
            default_subset: None,
            subsets: BTreeMap::new(),
            redirect: to.map(|to| Destination {
                service: Some(name(to)),
                ..Destination::default()
            }),
            failover: BTreeMap::new(),
            connect_timeout_ms: None,
            request_timeout_ms: None,
            load_balancer: None,
            by_locality: None,
            meta: BTreeMap::new(),
        }));
        let transaction = match to {
            Some(_) => Transaction::new().put(Row::Config(Arc::new(entry))),
            None => Transaction::new().delete(RowKey::Config(entry.key())),
        };
        self.attempt(&transaction);
        self
    }

    /// Commits what may be refused.
    fn attempt(&mut self, transaction: &Transaction) {
        let revision = self.snapshot.revision() + 1;
        if let Ok(applied) = apply(&mut self.snapshot, transaction, revision) {
            self.changes.merge(&applied.changes);
        }
    }

    /// Removes a local instance, if it is there.
    pub(crate) fn remove(&mut self, id: &str) -> &mut Self {
        let key = instance(&self.local(), "any", id).key;
        self.commit(&Transaction::new().delete(RowKey::Instance(key)));
        self
    }

    /// Gives the local node another address.
    pub(crate) fn move_node(&mut self, address: &str) -> &mut Self {
        let mut node = node(Origin::Local, &self.name);
        node.address = address.to_owned();
        self.put([Row::Node(Arc::new(node))])
    }

    /// A peering; with a server name it dials.
    pub(crate) fn peer(&mut self, name: &str, server_name: Option<&str>) -> &mut Self {
        let record = Peering {
            key: peering(name),
            id: format!("id-of-{name}"),
            role: if server_name.is_some() {
                PeeringRole::Dialer
            } else {
                PeeringRole::Acceptor
            },
            state: PeeringState::Pending,
            meta: BTreeMap::new(),
            remote_id: server_name.map(|_| format!("remote-id-of-{name}")),
            ca_pems: Vec::new(),
            server_name: server_name.map(str::to_owned),
            server_addresses: Vec::new(),
            manual_addresses: Vec::new(),
            external_addresses: Vec::new(),
            remote: RemoteInfo::default(),
            deleted_at: None,
        };
        self.put([Row::Peering(Arc::new(record))])
    }

    /// An imported instance, written without passing the importer.
    pub(crate) fn import(&mut self, peer: &str, service: &str) -> &mut Self {
        let node = node(Origin::Peer(PeerName::new(peer).unwrap()), "remote");
        let instance = instance(&node.key, service, service);
        self.put([Row::Node(Arc::new(node)), Row::Instance(Arc::new(instance))])
    }
}
