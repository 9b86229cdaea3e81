//! `exported-services`: which services of a partition go to which peers (xDS facts, section 6.2).

use super::{Meta, Pattern};
use crate::Invalid;
use crate::name::{Namespace, Partition, PeerName, ServiceName};
use crate::server::SERVER_SERVICE;

/// Who may see an exported service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consumer {
    /// A peer, by its local name. It need not exist yet.
    Peer(PeerName),
    /// Another partition of this cluster.
    Partition(Partition),
}

/// One service, or all of a namespace, and who may see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExportedService {
    /// The service, or `*` for all.
    pub name: Pattern<ServiceName>,
    /// The namespace, or `*` for all; `*` needs the name `*`.
    pub namespace: Pattern<Namespace>,
    /// At least one.
    pub consumers: Vec<Consumer>,
}

/// All exports of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExportedServices {
    /// The partition, which is also the entry's name.
    pub partition: Partition,
    /// May be empty.
    pub services: Vec<ExportedService>,
    /// The operator's pairs.
    pub meta: Meta,
}

impl ExportedServices {
    /// Whether `service` goes to `peer`. The service `consul` never does.
    pub fn exports_to(&self, namespace: &Namespace, service: &ServiceName, peer: &PeerName) -> bool {
        service.as_str() != SERVER_SERVICE
            && self.services.iter().any(|entry| {
                entry.name.matches(service)
                    && entry.namespace.matches(namespace)
                    && entry
                        .consumers
                        .iter()
                        .any(|consumer| matches!(consumer, Consumer::Peer(own) if own == peer))
            })
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        for (index, service) in self.services.iter().enumerate() {
            let at = |field: &str| format!("Services[{index}].{field}");
            if service.consumers.is_empty() {
                return Err(Invalid::new(
                    at("Consumers"),
                    "needs at least one consumer, for example a Peer",
                ));
            }
            if service.namespace.is_any() && !service.name.is_any() {
                return Err(Invalid::new(
                    at("Namespace"),
                    "may be '*' only when Name is '*' too",
                ));
            }
        }
        Ok(())
    }
}
