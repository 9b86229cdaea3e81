//! Discovery chains: what the router, splitter and resolver entries amount to for one service.
//!
//! A chain begins at a service and ends at targets: instances of a service here, of a subset of one, or of a service
//! that a peer exports. Compiling reads config entries and nothing else, so two readers of the same entries, a
//! sidecar's view and the API, get the same chain.

mod compile;
mod legs;
mod resolve;

#[cfg(test)]
mod tests;

pub use compile::compile;
pub use legs::Leg;
pub use resolve::{Settings, by_locality, protocol, settings, settings_alone};

use crate::config::{ConfigEntry, Protocol, ServiceRoute, Split};
use crate::key::{Origin, ServiceKey};
use crate::name::{Datacenter, SubsetName};
use crate::{ConfigKey, Invalid};
use std::collections::BTreeMap;
use std::fmt;

/// Most routers, splitters and resolvers of one chain.
pub const MAX_NODES: usize = 1024;
/// Most redirects that are followed one after the other.
pub const MAX_REDIRECTS: usize = 64;
/// Most legs that the splits of one route come to.
pub const MAX_LEGS: usize = 256;
/// Connect timeout unless a resolver says otherwise (Consul's), in milliseconds.
pub const DEFAULT_CONNECT_TIMEOUT_MS: u64 = 5_000;

/// Where config entries are looked up.
pub trait Entries<'e> {
    /// The entry of this key, also looked for when it is not there.
    fn entry(&mut self, key: ConfigKey) -> Option<&'e ConfigEntry>;
    /// The sameness groups of a partition, in order.
    fn groups(&mut self, partition: &crate::Partition) -> Vec<&'e crate::config::SamenessGroup>;
}

/// Instances of a service: the end of a chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The service, here or of a peer.
    pub service: ServiceKey,
    /// Which of its instances; never of a peer's service.
    pub subset: Option<SubsetName>,
}

impl Target {
    /// All instances of a service.
    pub fn of(service: ServiceKey) -> Self {
        Target {
            service,
            subset: None,
        }
    }

    /// Consul's identifier: `v1.web.default.default.dc1`, of a peer's service `web.default.default.external.west`.
    pub fn id(&self, datacenter: &Datacenter) -> String {
        let ServiceKey {
            origin,
            partition,
            namespace,
            name,
        } = &self.service;
        let subset = self
            .subset
            .as_ref()
            .map_or(String::new(), |subset| format!("{subset}."));
        match origin {
            Origin::Local => format!("{subset}{name}.{namespace}.{partition}.{datacenter}"),
            Origin::Peer(peer) => format!("{subset}{name}.{namespace}.{partition}.external.{peer}"),
        }
    }
}

/// Which step of a chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeId {
    /// The router of a service.
    Router(ServiceKey),
    /// The splitter of a service.
    Splitter(ServiceKey),
    /// The resolution of a target.
    Resolver(Target),
}

impl NodeId {
    /// Consul's name without the kind: `web.default.default`.
    pub fn name(&self, datacenter: &Datacenter) -> String {
        match self {
            NodeId::Router(service) | NodeId::Splitter(service) => {
                format!("{}.{}.{}", service.name, service.namespace, service.partition)
            }
            NodeId::Resolver(target) => target.id(datacenter),
        }
    }

    /// Consul's text of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            NodeId::Router(_) => "router",
            NodeId::Splitter(_) => "splitter",
            NodeId::Resolver(_) => "resolver",
        }
    }
}

/// A step of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// Asks which route takes a request. The last one takes every request.
    Router(Vec<RouteStep>),
    /// Deals requests out.
    Splitter(Vec<SplitStep>),
    /// Finds instances.
    Resolver(Box<Resolver>),
}

/// A route and what comes next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteStep {
    /// As written; the one that takes everything is not written by anybody.
    pub route: ServiceRoute,
    /// A splitter or resolver.
    pub next: NodeId,
}

/// A share and what comes next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SplitStep {
    /// As written.
    pub written: Split,
    /// A splitter or resolver.
    pub next: NodeId,
}

/// The end of a chain, with what stands in for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resolver {
    /// Whether no entry says anything about it.
    pub is_default: bool,
    /// The target.
    pub target: Target,
    /// How it is reached and what stands in for it.
    pub settings: Settings,
}

/// A compiled chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// Whose chain.
    pub service: ServiceKey,
    /// What is spoken along it.
    pub protocol: Protocol,
    /// Where it begins.
    pub start: NodeId,
    /// All steps.
    pub nodes: BTreeMap<NodeId, Node>,
}

impl Chain {
    /// Whether it is only the service itself, with nothing said about it.
    pub fn is_default(&self) -> bool {
        match self.nodes.get(&self.start) {
            Some(Node::Resolver(resolver)) => {
                resolver.is_default && resolver.target == Target::of(self.service.clone())
            }
            _ => false,
        }
    }

    /// The targets that traffic may go to, those that stand in for others included, in order.
    pub fn targets(&self) -> Vec<Target> {
        let mut all: Vec<Target> = self
            .resolvers()
            .flat_map(|resolver| std::iter::once(&resolver.target).chain(&resolver.settings.failover))
            .cloned()
            .collect();
        all.sort();
        all.dedup();
        all
    }

    /// The ends of the chain, in order.
    pub fn resolvers(&self) -> impl Iterator<Item = &Resolver> {
        self.nodes.values().filter_map(|node| match node {
            Node::Resolver(resolver) => Some(&**resolver),
            Node::Router(_) | Node::Splitter(_) => None,
        })
    }

    /// The end that a step is, if it is one.
    pub fn resolver(&self, at: &NodeId) -> Option<&Resolver> {
        match self.nodes.get(at)? {
            Node::Resolver(resolver) => Some(resolver),
            Node::Router(_) | Node::Splitter(_) => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subset {
            None => write!(f, "{}", self.service),
            Some(subset) => write!(f, "{subset} of {}", self.service),
        }
    }
}

pub(crate) fn refuse<T>(problem: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid::new("", problem))
}
