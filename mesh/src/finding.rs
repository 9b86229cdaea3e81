//! Findings: small derived facts between ground truth and fragments.
//!
//! A health check that flips touches the topics of its service, yet almost nothing but endpoints depends on health.
//! Whatever reads a finding is stale only when the finding's *answer* changes, so a flip does not reach clusters,
//! listeners or the shape of a gateway with thousands of services.

mod addressed;
mod api;
mod authorization;
mod catalog;
mod chains;
mod edge;
mod held;
mod hosts;
mod outside;
mod peers;
mod protocol;
mod routes;
mod servers;

pub(crate) use addressed::Addressed;
#[cfg(test)]
pub(crate) use authorization::{Everybody, flatten, flatten_requests};
pub(crate) use catalog::{ClusterIdentity, Import};
pub(crate) use edge::{Certificates, Edge, EdgeHost, EdgePort, EdgeRule, EdgeTls, Leads};
pub(crate) use held::{Dependent, Findings};
pub(crate) use hosts::{Place, found, members, seen_from};
pub(crate) use peers::{InboundPeer, PeerIdentity, pems};
pub(crate) use routes::{Face, Route};
pub(crate) use servers::ServerRoute;

use crate::fragment::{Authorization, Endpoint, RequestAuthorization};
use crate::read::Reading;
use peerway_model::chain::Chain;
use peerway_model::config::{HeaderName, Outward, Protocol};
use peerway_model::name::{Partition, ProviderName};
use peerway_model::{PeeringKey, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Which finding. The order of the variants is the order of upkeep: a finding reads only findings of variants above
/// its own, so that when its turn comes they are all current.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FindingKey {
    /// Who this cluster is.
    Cluster,
    /// What a local service speaks.
    Protocol(ServiceKey),
    /// Whom the sidecars among the instances of a local service stand for.
    Destinations(ServiceKey),
    /// Whether a local service is registered and has no sidecar.
    Bare(ServiceKey),
    /// The terminating gateways that a local service is behind.
    Before(ServiceKey),
    /// The services that a terminating gateway stands for.
    Links(ServiceKey),
    /// How an imported service is dialled.
    Import(ServiceKey),
    /// Whether an imported service has an instance that serves.
    Serves(ServiceKey),
    /// Who is at a place where some have to be looked up by name.
    Hosts(Place),
    /// Where single instances of a local service may be dialled.
    DialledDirectly(ServiceKey),
    /// The services of a partition and its peers that can be dialled at an address.
    Addressed(Partition),
    /// What the entries about a local service amount to.
    Chain(ServiceKey),
    /// The services of a partition about whose chain something is said.
    Heads(Partition),
    /// Who leads to whom in a partition.
    Leads(Partition),
    /// The live peers that a local service is exported to.
    Consumers(ServiceKey),
    /// Who a live peer is.
    Peer(PeeringKey),
    /// The peers whose workloads may present themselves to a local service.
    Inbound(ServiceKey),
    /// By which providers the tokens of requests to a local service are verified.
    Tokens(ServiceKey),
    /// Who may call a local service.
    Authorization(ServiceKey),
    /// What the mesh gateways of a partition let through.
    Routes(Partition),
    /// The servers that they let through to.
    Servers(Partition),
    /// What an ingress gateway lets in.
    Ingress(ServiceKey),
    /// What an API gateway lets in.
    Api(ServiceKey),
}

/// The answer of a finding. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// To [`FindingKey::Cluster`].
    Cluster(Option<Arc<ClusterIdentity>>),
    /// To [`FindingKey::Protocol`].
    Protocol(Protocol),
    /// To [`FindingKey::Destinations`].
    Destinations(Arc<BTreeSet<ServiceKey>>),
    /// To [`FindingKey::Bare`].
    Bare(bool),
    /// To [`FindingKey::Before`].
    Before(Arc<BTreeSet<ServiceKey>>),
    /// To [`FindingKey::Links`].
    Links(Arc<BTreeMap<ServiceKey, Outward>>),
    /// To [`FindingKey::Import`].
    Import(Option<Arc<Import>>),
    /// To [`FindingKey::Serves`].
    Serves(bool),
    /// To [`FindingKey::Hosts`].
    Hosts(Option<Arc<Vec<Endpoint>>>),
    /// To [`FindingKey::DialledDirectly`].
    DialledDirectly(Arc<BTreeSet<IpAddr>>),
    /// To [`FindingKey::Addressed`].
    Addressed(Arc<Vec<Addressed>>),
    /// To [`FindingKey::Chain`].
    Chain(Option<Arc<Chain>>),
    /// To [`FindingKey::Heads`].
    Heads(Arc<BTreeSet<ServiceKey>>),
    /// To [`FindingKey::Leads`].
    Leads(Arc<BTreeMap<ServiceKey, BTreeSet<ServiceKey>>>),
    /// To [`FindingKey::Consumers`].
    Consumers(Arc<Vec<PeeringKey>>),
    /// To [`FindingKey::Peer`].
    Peer(Option<Arc<PeerIdentity>>),
    /// To [`FindingKey::Inbound`].
    Inbound(Arc<Vec<InboundPeer>>),
    /// To [`FindingKey::Tokens`].
    Tokens(Arc<Vec<ProviderName>>),
    /// To [`FindingKey::Authorization`].
    Authorization(Option<Arc<Decides>>),
    /// To [`FindingKey::Routes`].
    Routes(Arc<Vec<Route>>),
    /// To [`FindingKey::Servers`].
    Servers(Arc<Vec<ServerRoute>>),
    /// To [`FindingKey::Ingress`] and [`FindingKey::Api`].
    Edge(Arc<Edge>),
}

/// Who may call a service, in the terms of what it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decides {
    /// Decided for a connection.
    Connections(Authorization),
    /// Decided for each request.
    Requests {
        /// Who may send which.
        authorization: RequestAuthorization,
        /// Headers that may come in one line only, sorted and distinct: those that policy looks at.
        single_lines: Vec<HeaderName>,
    },
}

fn find(key: &FindingKey, reading: &mut Reading<'_>) -> Finding {
    match key {
        FindingKey::Cluster => Finding::Cluster(catalog::cluster(reading).map(Arc::new)),
        FindingKey::Protocol(service) => Finding::Protocol(protocol::of_service(reading, service)),
        FindingKey::Destinations(service) => {
            Finding::Destinations(Arc::new(catalog::destinations(reading, service)))
        }
        FindingKey::Bare(service) => Finding::Bare(reading.registers_bare(service)),
        FindingKey::Before(service) => Finding::Before(Arc::new(outside::before(reading, service))),
        FindingKey::Links(gateway) => Finding::Links(Arc::new(outside::links(reading, gateway))),
        FindingKey::Import(service) => Finding::Import(catalog::import(reading, service).map(Arc::new)),
        FindingKey::Serves(service) => Finding::Serves(catalog::serves(reading, service)),
        FindingKey::Hosts(place) => Finding::Hosts(hosts::named(reading, place).map(Arc::new)),
        FindingKey::DialledDirectly(service) => {
            Finding::DialledDirectly(Arc::new(addressed::directly(reading, service)))
        }
        FindingKey::Addressed(partition) => {
            Finding::Addressed(Arc::new(addressed::of_partition(reading, partition)))
        }
        FindingKey::Chain(service) => Finding::Chain(chains::of_service(reading, service).map(Arc::new)),
        FindingKey::Heads(partition) => Finding::Heads(Arc::new(chains::heads(reading, partition))),
        FindingKey::Leads(partition) => Finding::Leads(Arc::new(chains::leads(reading, partition))),
        FindingKey::Consumers(service) => Finding::Consumers(Arc::new(peers::consumers(reading, service))),
        FindingKey::Peer(peering) => Finding::Peer(peers::peer(reading, peering).map(Arc::new)),
        FindingKey::Inbound(service) => Finding::Inbound(Arc::new(peers::inbound(reading, service))),
        FindingKey::Tokens(service) => Finding::Tokens(Arc::new(authorization::providers(reading, service))),
        FindingKey::Authorization(service) => {
            Finding::Authorization(authorization::of_service(reading, service).map(Arc::new))
        }
        FindingKey::Routes(partition) => Finding::Routes(Arc::new(routes::of_partition(reading, partition))),
        FindingKey::Servers(partition) => {
            Finding::Servers(Arc::new(servers::of_partition(reading, partition)))
        }
        FindingKey::Ingress(gateway) => Finding::Edge(Arc::new(edge::ingress(reading, gateway))),
        FindingKey::Api(gateway) => Finding::Edge(Arc::new(api::api(reading, gateway))),
    }
}
