//! Rows as a storage sees them.

use peerway_model::{
    AuditRecord, CaKey, CaRoots, Check, CheckKey, ConfigEntry, ConfigKey, Instance, InstanceKey, Node,
    NodeKey, Peering, PeeringGrants, PeeringKey, PeeringSecrets, ServiceKey, TrustBundle, VirtualAddress,
};
use std::sync::Arc;

/// The key of any row. Its order is the order in which rows are loaded: a node before its instances, an instance
/// before its checks, a peering before its secrets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKey {
    /// The cluster's identity and roots; a single row.
    Roots,
    /// The private key of the root of this id.
    CaKey(String),
    /// A config entry.
    Config(ConfigKey),
    /// A peering.
    Peering(PeeringKey),
    /// The secrets of a peering.
    Secrets(PeeringKey),
    /// What was granted to a peer.
    Grants(PeeringKey),
    /// The trust bundle of a peering.
    Bundle(PeeringKey),
    /// A node.
    Node(NodeKey),
    /// An instance.
    Instance(InstanceKey),
    /// A check.
    Check(CheckKey),
    /// The virtual address of a service.
    VirtualAddress(ServiceKey),
    /// The audit record of this number.
    Audit(u64),
}

/// Any row. Not comparable, because secrets are not.
#[derive(Clone, Debug)]
pub enum Row {
    /// The cluster's identity and roots.
    Roots(Arc<CaRoots>),
    /// The private key of a root.
    CaKey(Arc<CaKey>),
    /// A config entry.
    Config(Arc<ConfigEntry>),
    /// A peering.
    Peering(Arc<Peering>),
    /// The secrets of a peering.
    Secrets(PeeringKey, Arc<PeeringSecrets>),
    /// What was granted to a peer.
    Grants(Arc<PeeringGrants>),
    /// The trust bundle of a peering.
    Bundle(Arc<TrustBundle>),
    /// A node.
    Node(Arc<Node>),
    /// An instance.
    Instance(Arc<Instance>),
    /// A check.
    Check(Arc<Check>),
    /// The virtual address of a service.
    VirtualAddress(Arc<VirtualAddress>),
    /// Something that was done with a token.
    Audit(Arc<AuditRecord>),
}

impl Row {
    /// The key that the row is stored under.
    pub fn key(&self) -> RowKey {
        match self {
            Row::Roots(_) => RowKey::Roots,
            Row::CaKey(key) => RowKey::CaKey(key.root_id.clone()),
            Row::Config(entry) => RowKey::Config(entry.key()),
            Row::Peering(peering) => RowKey::Peering(peering.key.clone()),
            Row::Secrets(key, _) => RowKey::Secrets(key.clone()),
            Row::Grants(grants) => RowKey::Grants(grants.peering.clone()),
            Row::Bundle(bundle) => RowKey::Bundle(bundle.peering.clone()),
            Row::Node(node) => RowKey::Node(node.key.clone()),
            Row::Instance(instance) => RowKey::Instance(instance.key.clone()),
            Row::Check(check) => RowKey::Check(check.key.clone()),
            Row::VirtualAddress(own) => RowKey::VirtualAddress(own.service.clone()),
            Row::Audit(record) => RowKey::Audit(record.number),
        }
    }
}

/// A row with the revisions that made and last changed it.
#[derive(Clone, Debug)]
pub struct StoredRow {
    /// The row.
    pub row: Row,
    /// Revision that created it.
    pub create_index: u64,
    /// Revision that last changed it.
    pub modify_index: u64,
}

/// What a storage must do to one row to keep a commit.
#[derive(Clone, Debug)]
pub enum RowChange {
    /// Write it under its key.
    Put(StoredRow),
    /// Remove it.
    Delete(RowKey),
}
