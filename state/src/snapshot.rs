//! An immutable view of all rows at one revision.

use imbl::{OrdMap, OrdSet};
use peerway_model::name::{Namespace, NodeName, Partition, ServiceName};
use peerway_model::{
    AuditRecord, CaKey, CaRoots, Check, CheckKey, ConfigEntry, ConfigKey, ConfigKind, Instance, InstanceKey,
    Node, NodeKey, Origin, Peering, PeeringGrants, PeeringKey, PeeringSecrets, ServiceKey, ServiceKind,
    TrustBundle, VirtualAddress,
};
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::sync::Arc;

/// The number of a commit. Starts at 0 for an empty store and grows by one with each commit.
pub type Revision = u64;

/// A row with the revisions that made and last changed it. Cheap to clone.
#[derive(Debug)]
pub struct Versioned<T> {
    /// The row.
    pub row: Arc<T>,
    /// Revision that created it.
    pub create_index: u64,
    /// Revision that last changed it.
    pub modify_index: u64,
}

impl<T> Clone for Versioned<T> {
    fn clone(&self) -> Self {
        Versioned {
            row: self.row.clone(),
            create_index: self.create_index,
            modify_index: self.modify_index,
        }
    }
}

impl<T> Deref for Versioned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.row
    }
}

/// All rows at one revision. Clones share their structure; readers need no locks.
#[derive(Clone, Default)]
pub struct Snapshot {
    pub(crate) revision: Revision,
    pub(crate) roots: Option<Versioned<CaRoots>>,
    pub(crate) ca_keys: OrdMap<String, Versioned<CaKey>>,
    pub(crate) configs: OrdMap<ConfigKey, Versioned<ConfigEntry>>,
    pub(crate) peerings: OrdMap<PeeringKey, Versioned<Peering>>,
    pub(crate) secrets: OrdMap<PeeringKey, Versioned<PeeringSecrets>>,
    pub(crate) grants: OrdMap<PeeringKey, Versioned<PeeringGrants>>,
    pub(crate) bundles: OrdMap<PeeringKey, Versioned<TrustBundle>>,
    pub(crate) nodes: OrdMap<NodeKey, Versioned<Node>>,
    pub(crate) instances: OrdMap<InstanceKey, Versioned<Instance>>,
    pub(crate) checks: OrdMap<CheckKey, Versioned<Check>>,
    pub(crate) virtual_addresses: OrdMap<ServiceKey, Versioned<VirtualAddress>>,
    /// Services by virtual address.
    pub(crate) by_virtual_address: OrdMap<Ipv4Addr, ServiceKey>,
    pub(crate) audit: OrdMap<u64, Versioned<AuditRecord>>,
    /// Instances by service.
    pub(crate) by_service: OrdMap<ServiceKey, OrdSet<InstanceKey>>,
    /// Proxies by the service that they stand for.
    pub(crate) by_destination: OrdMap<ServiceKey, OrdSet<InstanceKey>>,
    /// Local instances by kind.
    pub(crate) by_kind: OrdMap<(ServiceKind, Partition), OrdSet<InstanceKey>>,
}

impl Snapshot {
    /// The revision that this shows.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The cluster's identity and roots; `None` until the first start has made them.
    pub fn roots(&self) -> Option<&Versioned<CaRoots>> {
        self.roots.as_ref()
    }

    /// The private key of a root. Only the authority may ask.
    pub fn ca_key(&self, root_id: &str) -> Option<&Versioned<CaKey>> {
        self.ca_keys.get(root_id)
    }

    /// A config entry.
    pub fn config(&self, key: &ConfigKey) -> Option<&Versioned<ConfigEntry>> {
        self.configs.get(key)
    }

    /// All entries of a kind, by key.
    pub fn configs(&self, kind: ConfigKind) -> impl Iterator<Item = &Versioned<ConfigEntry>> {
        let first = ConfigKey {
            kind,
            partition: Partition::lowest(),
            namespace: String::new(),
            name: String::new(),
        };
        self.configs
            .range(first..)
            .take_while(move |(key, _)| key.kind == kind)
            .map(|(_, entry)| entry)
    }

    /// A peering.
    pub fn peering(&self, key: &PeeringKey) -> Option<&Versioned<Peering>> {
        self.peerings.get(key)
    }

    /// The peering with this UUID.
    pub fn peering_by_id(&self, id: &str) -> Option<&Versioned<Peering>> {
        self.peerings.values().find(|peering| peering.id == id)
    }

    /// All peerings, by key.
    pub fn peerings(&self) -> impl Iterator<Item = &Versioned<Peering>> {
        self.peerings.values()
    }

    /// The secrets of a peering.
    pub fn secrets(&self, key: &PeeringKey) -> Option<&Versioned<PeeringSecrets>> {
        self.secrets.get(key)
    }

    /// What was granted to a peer.
    pub fn grant(&self, key: &PeeringKey) -> Option<&Versioned<PeeringGrants>> {
        self.grants.get(key)
    }

    /// All grants, by peering.
    pub fn grants(&self) -> impl Iterator<Item = &Versioned<PeeringGrants>> {
        self.grants.values()
    }

    /// All audit records, the newest first.
    pub fn audit(&self) -> impl Iterator<Item = &Versioned<AuditRecord>> {
        self.audit.values().rev()
    }

    /// The trust bundle of a peering.
    pub fn bundle(&self, key: &PeeringKey) -> Option<&Versioned<TrustBundle>> {
        self.bundles.get(key)
    }

    /// All trust bundles, by peering.
    pub fn bundles(&self) -> impl Iterator<Item = &Versioned<TrustBundle>> {
        self.bundles.values()
    }

    /// The virtual address of a service.
    pub fn virtual_address(&self, service: &ServiceKey) -> Option<&Versioned<VirtualAddress>> {
        self.virtual_addresses.get(service)
    }

    /// All virtual addresses, by service.
    pub fn virtual_addresses(&self) -> impl Iterator<Item = &Versioned<VirtualAddress>> {
        self.virtual_addresses.values()
    }

    /// The service that a virtual address stands for.
    pub fn service_at(&self, address: Ipv4Addr) -> Option<&ServiceKey> {
        self.by_virtual_address.get(&address)
    }

    /// A node.
    pub fn node(&self, key: &NodeKey) -> Option<&Versioned<Node>> {
        self.nodes.get(key)
    }

    /// All nodes of an origin in a partition, by name.
    pub fn nodes(&self, origin: &Origin, partition: &Partition) -> impl Iterator<Item = &Versioned<Node>> {
        let first = NodeKey {
            origin: origin.clone(),
            partition: partition.clone(),
            name: NodeName::lowest(),
        };
        let (origin, partition) = (origin.clone(), partition.clone());
        self.nodes
            .range(first..)
            .map(|(_, node)| node)
            .take_while(move |node| node.key.origin == origin && node.key.partition == partition)
    }

    /// An instance.
    pub fn instance(&self, key: &InstanceKey) -> Option<&Versioned<Instance>> {
        self.instances.get(key)
    }

    /// All local instances of every partition, by key.
    pub fn local_instances(&self) -> impl Iterator<Item = &Versioned<Instance>> {
        // Local rows come before imported ones.
        self.instances
            .values()
            .take_while(|instance| instance.key.node.origin.is_local())
    }

    /// All instances on a node, by id.
    pub fn instances_on(&self, node: &NodeKey) -> impl Iterator<Item = &Versioned<Instance>> {
        let node = node.clone();
        self.instances
            .range(first_instance(&node)..)
            .map(|(_, instance)| instance)
            .take_while(move |instance| instance.key.node == node)
    }

    /// All instances of a service, by key.
    pub fn instances_of(&self, service: &ServiceKey) -> impl Iterator<Item = &Versioned<Instance>> {
        self.indexed(self.by_service.get(service))
    }

    /// All proxies that stand for a service, by key.
    pub fn proxies_of(&self, service: &ServiceKey) -> impl Iterator<Item = &Versioned<Instance>> {
        self.indexed(self.by_destination.get(service))
    }

    /// All local instances of a kind in a partition, by key.
    pub fn instances_of_kind(
        &self,
        kind: ServiceKind,
        partition: &Partition,
    ) -> impl Iterator<Item = &Versioned<Instance>> {
        self.indexed(self.by_kind.get(&(kind, partition.clone())))
    }

    /// The names of all services of an origin in a partition that have an instance, in order.
    pub fn service_names(&self, origin: &Origin, partition: &Partition) -> impl Iterator<Item = &ServiceKey> {
        let first = ServiceKey {
            origin: origin.clone(),
            partition: partition.clone(),
            namespace: Namespace::lowest(),
            name: ServiceName::lowest(),
        };
        let (origin, partition) = (origin.clone(), partition.clone());
        self.by_service
            .range(first..)
            .map(|(key, _)| key)
            .take_while(move |key| key.origin == origin && key.partition == partition)
    }

    /// All checks on a node, by id.
    pub fn checks_on(&self, node: &NodeKey) -> impl Iterator<Item = &Versioned<Check>> {
        let node = node.clone();
        self.checks
            .range(first_check(&node)..)
            .map(|(_, check)| check)
            .take_while(move |check| check.key.node == node)
    }

    fn indexed<'a>(
        &'a self,
        keys: Option<&'a OrdSet<InstanceKey>>,
    ) -> impl Iterator<Item = &'a Versioned<Instance>> {
        keys.into_iter()
            .flatten()
            .filter_map(|key| self.instances.get(key))
    }
}

/// Key before every instance of a node.
fn first_instance(node: &NodeKey) -> InstanceKey {
    InstanceKey {
        node: node.clone(),
        id: peerway_model::InstanceId::lowest(),
    }
}

/// Key before every check of a node.
fn first_check(node: &NodeKey) -> CheckKey {
    CheckKey {
        node: node.clone(),
        id: peerway_model::CheckId::lowest(),
    }
}
