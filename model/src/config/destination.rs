//! Where a route, a split, a redirect or a failover leads.

use crate::Invalid;
use crate::name::{Namespace, Partition, PeerName, ServiceName, SubsetName};

/// A service, or part of one. What is not given is as in the entry that says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Destination {
    /// The service.
    pub service: Option<ServiceName>,
    /// A subset that the resolver of the service names; not of a peer's service.
    pub subset: Option<SubsetName>,
    /// The namespace; of a peer's service the exporter's.
    pub namespace: Option<Namespace>,
    /// A partition of this cluster; not of a peer's service.
    pub partition: Option<Partition>,
    /// The local name of the peer that exports the service. It need not exist yet.
    pub peer: Option<PeerName>,
}

impl Destination {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Destination::default()
    }

    /// Refuses what does not go together; the error's path is the field.
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        if self.peer.is_none() {
            return Ok(());
        }
        let refuse = |field: &str, why: &str| {
            Err(Invalid::new(
                field,
                format!("does not go together with Peer, {why}"),
            ))
        };
        if self.subset.is_some() {
            return refuse("ServiceSubset", "subsets are the exporter's own affair");
        }
        if self.partition.is_some() {
            return refuse("Partition", "a peering belongs to the partition of the entry");
        }
        Ok(())
    }
}
