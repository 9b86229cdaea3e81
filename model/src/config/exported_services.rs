//! `exported-services`: which services of a partition go to which peers (xDS facts, section 6.2).

use super::{Member, Meta, Pattern};
use crate::Invalid;
use crate::name::{GroupName, Namespace, Partition, PeerName, ServiceName};
use crate::server::SERVER_SERVICE;
use std::collections::BTreeSet;

/// Who may see an exported service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consumer {
    /// A peer, by its local name. It need not exist yet.
    Peer(PeerName),
    /// Another partition of this cluster.
    Partition(Partition),
    /// Every other member of a sameness group of the partition, as it is at the time.
    Group(GroupName),
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

/// Which services of a partition go to which peers, those included that are members of the groups of which the entry
/// speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exports<'e> {
    services: Vec<(&'e ExportedService, BTreeSet<PeerName>)>,
}

impl Exports<'_> {
    /// Whether `service` goes to `peer`. The service `consul` never does.
    pub fn to(&self, namespace: &Namespace, service: &ServiceName, peer: &PeerName) -> bool {
        let is_it =
            |entry: &ExportedService| entry.name.matches(service) && entry.namespace.matches(namespace);
        service.as_str() != SERVER_SERVICE
            && self
                .services
                .iter()
                .any(|(entry, peers)| is_it(entry) && peers.contains(peer))
    }

    /// The peers to which something goes.
    pub fn peers(&self) -> BTreeSet<&PeerName> {
        self.services.iter().flat_map(|(_, peers)| peers).collect()
    }

    /// The services that are named, with their namespaces, some perhaps more than once.
    pub fn named(&self) -> impl Iterator<Item = (&Namespace, &ServiceName)> {
        self.services
            .iter()
            .filter_map(|(service, _)| Some((service.namespace.exact()?, service.name.exact()?)))
    }
}

impl ExportedServices {
    /// The sameness groups of which it speaks.
    pub fn groups(&self) -> BTreeSet<&GroupName> {
        let consumers = self.services.iter().flat_map(|service| &service.consumers);
        consumers
            .filter_map(|consumer| match consumer {
                Consumer::Group(group) => Some(group),
                Consumer::Peer(_) | Consumer::Partition(_) => None,
            })
            .collect()
    }

    /// What it comes to. `members` are those of a sameness group of the partition: none of one that is not there.
    pub fn exports(&self, mut members: impl FnMut(&GroupName) -> Vec<Member>) -> Exports<'_> {
        let mut peers = |consumer: &Consumer| match consumer {
            Consumer::Peer(peer) => vec![peer.clone()],
            Consumer::Partition(_) => Vec::new(),
            Consumer::Group(group) => members(group)
                .into_iter()
                .filter_map(|member| match member {
                    Member::Peer(peer) => Some(peer),
                    Member::Partition(_) => None,
                })
                .collect(),
        };
        let mut services = Vec::new();
        for service in &self.services {
            let all = service.consumers.iter().flat_map(&mut peers).collect();
            services.push((service, all));
        }
        Exports { services }
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
