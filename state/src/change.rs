//! What a commit touched, in the units that readers depend on.

use peerway_model::name::Partition;
use peerway_model::{ConfigKey, ConfigKind, InstanceKey, Origin, PeeringKey, ServiceKey, ServiceKind};
use std::collections::HashSet;

/// A unit of state that a reader may depend on. A reader records the topics that it read; a commit lists those that
/// it touched; the two meet in an index. The coarse ones stand for ranges of keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// The instances of a service, their nodes and their checks.
    Service(ServiceKey),
    /// Which names of services an origin has in a partition.
    ServiceNames(Origin, Partition),
    /// The proxies that stand for a service, their nodes and checks.
    ProxiesOf(ServiceKey),
    /// One instance, its node and its checks.
    Instance(InstanceKey),
    /// All local instances of a kind in a partition, their nodes and checks.
    Kind(ServiceKind, Partition),
    /// Any node of an origin.
    Nodes(Origin, Partition),
    /// One config entry.
    Config(ConfigKey),
    /// All config entries of a kind.
    ConfigKind(ConfigKind),
    /// The record of a peering.
    Peering(PeeringKey),
    /// Which peerings there are, and any change of one.
    Peerings,
    /// The secrets of a peering.
    Secrets(PeeringKey),
    /// What was granted to a peer.
    Grant(PeeringKey),
    /// Which peers were granted something, and any change of it.
    Grants,
    /// The trust bundle of a peering.
    Bundle(PeeringKey),
    /// Which bundles there are, and any change of one.
    Bundles,
    /// The virtual address of a service.
    VirtualAddress(ServiceKey),
    /// Which services have virtual addresses, and which.
    VirtualAddresses,
    /// The audit records.
    Audit,
    /// The cluster's identity and roots.
    Roots,
}

/// The topics that a commit touched, or several commits merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSet {
    topics: HashSet<Topic>,
}

impl ChangeSet {
    /// Adds a topic.
    pub fn touch(&mut self, topic: Topic) {
        self.topics.insert(topic);
    }

    /// Adds all topics of `other`.
    pub fn merge(&mut self, other: &ChangeSet) {
        self.topics.extend(other.topics.iter().cloned());
    }

    /// Whether this topic was touched.
    pub fn touches(&self, topic: &Topic) -> bool {
        self.topics.contains(topic)
    }

    /// Whether any of these topics was touched.
    pub fn touches_any<'a>(&self, topics: impl IntoIterator<Item = &'a Topic>) -> bool {
        topics.into_iter().any(|topic| self.topics.contains(topic))
    }

    /// Whether nothing was touched.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// All topics, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.topics.iter()
    }
}
