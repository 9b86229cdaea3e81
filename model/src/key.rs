//! Keys of rows. No key forgets the origin: a local row and one imported from a peer never collide.

use crate::name::{CheckId, InstanceId, Namespace, NodeName, Partition, PeerName, ServiceName};
use std::fmt;

/// Where a row comes from: this cluster, or a peer by its local name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Origin {
    /// Registered in this cluster.
    #[default]
    Local,
    /// Imported over the peering of this name.
    Peer(PeerName),
}

impl Origin {
    /// The peer, when the row was imported.
    pub fn peer(&self) -> Option<&PeerName> {
        match self {
            Origin::Local => None,
            Origin::Peer(name) => Some(name),
        }
    }

    /// Whether the row belongs to this cluster.
    pub fn is_local(&self) -> bool {
        matches!(self, Origin::Local)
    }
}

/// A partition and a namespace of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tenancy {
    /// The admin partition.
    pub partition: Partition,
    /// The namespace inside it.
    pub namespace: Namespace,
}

/// A service: the unit of discovery and policy. For an imported one, partition is the *local* partition of the
/// peering and namespace the exporter's namespace (wire facts, section 6.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Local or a peer.
    pub origin: Origin,
    /// The admin partition.
    pub partition: Partition,
    /// The namespace.
    pub namespace: Namespace,
    /// The name.
    pub name: ServiceName,
}

impl ServiceKey {
    /// A local service.
    pub fn local(tenancy: &Tenancy, name: ServiceName) -> Self {
        ServiceKey {
            origin: Origin::Local,
            partition: tenancy.partition.clone(),
            namespace: tenancy.namespace.clone(),
            name,
        }
    }

    /// A service imported over `peer`.
    pub fn imported(peer: PeerName, tenancy: &Tenancy, name: ServiceName) -> Self {
        ServiceKey {
            origin: Origin::Peer(peer),
            ..ServiceKey::local(tenancy, name)
        }
    }

    /// Partition and namespace together.
    pub fn tenancy(&self) -> Tenancy {
        Tenancy {
            partition: self.partition.clone(),
            namespace: self.namespace.clone(),
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.partition, self.namespace, self.name)?;
        match &self.origin {
            Origin::Local => Ok(()),
            Origin::Peer(peer) => write!(f, "?peer={peer}"),
        }
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKey {
    /// Local or a peer.
    pub origin: Origin,
    /// The admin partition.
    pub partition: Partition,
    /// The name.
    pub name: NodeName,
}

/// A service instance: (origin, partition, node, id), as in Consul's catalog.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey {
    /// The node that it is registered on.
    pub node: NodeKey,
    /// The id, unique on the node.
    pub id: InstanceId,
}

/// A check: (origin, partition, node, check id).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckKey {
    /// The node that it is registered on.
    pub node: NodeKey,
    /// The id, unique on the node.
    pub id: CheckId,
}

/// A peering by its local name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeeringKey {
    /// The local partition that the peering belongs to.
    pub partition: Partition,
    /// The local name of the peer.
    pub name: PeerName,
}
