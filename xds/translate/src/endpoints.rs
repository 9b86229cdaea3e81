//! Where the connections of an Envoy cluster may go.

use crate::packed::{address, number};
use envoy_types::pb::envoy::config::core::v3::{HealthStatus, Locality as EnvoyLocality};
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::envoy::config::endpoint::v3::cluster_load_assignment::Policy;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints};
use peerway_mesh::{Endpoint, Endpoints, Health};
use peerway_model::{Locality, ServiceAddress};
use std::collections::BTreeMap;

/// How much a place can bear that has lost endpoints, in percent of what it bears with all of them: anything. With
/// Envoy's default of 140 a service would begin to leave for what stands in for it, and a zone for the next one, as soon as
/// more than a third of it is down; it has to be all.
const OVERPROVISIONING: u32 = 100_000;

/// The assignment. An empty one is still an answer: Envoy would otherwise wait for it.
pub(crate) fn endpoints(endpoints: &Endpoints) -> ClusterLoadAssignment {
    assigned(&endpoints.cluster, &endpoints.members)
}

/// An assignment that is part of the cluster.
pub(crate) fn assigned(cluster: &str, members: &[Endpoint]) -> ClusterLoadAssignment {
    assignment(cluster, by_place(members))
}

/// An assignment of one address that is part of the cluster.
pub(crate) fn single(cluster: &str, to: &ServiceAddress) -> ClusterLoadAssignment {
    let endpoint = LbEndpoint {
        host_identifier: Some(host(to)),
        ..LbEndpoint::default()
    };
    let all = LocalityLbEndpoints {
        lb_endpoints: vec![endpoint],
        ..LocalityLbEndpoints::default()
    };
    assignment(cluster, vec![all])
}

/// One group for each locality of a rank. Envoy takes an endpoint of the first rank that has any which is up.
fn by_place(members: &[Endpoint]) -> Vec<LocalityLbEndpoints> {
    let mut groups: BTreeMap<(u32, Option<&Locality>), Vec<LbEndpoint>> = BTreeMap::new();
    for one in members {
        let place = (one.rank, one.locality.as_ref());
        groups.entry(place).or_default().push(member(one));
    }
    groups
        .into_iter()
        .map(|((priority, at), lb_endpoints)| LocalityLbEndpoints {
            locality: at.map(locality),
            lb_endpoints,
            priority,
            ..LocalityLbEndpoints::default()
        })
        .collect()
}

fn locality(at: &Locality) -> EnvoyLocality {
    EnvoyLocality {
        region: at.region.to_string(),
        zone: at.zone.as_ref().map(ToString::to_string).unwrap_or_default(),
        ..EnvoyLocality::default()
    }
}

fn assignment(cluster: &str, endpoints: Vec<LocalityLbEndpoints>) -> ClusterLoadAssignment {
    ClusterLoadAssignment {
        cluster_name: cluster.to_owned(),
        endpoints,
        policy: Some(Policy {
            overprovisioning_factor: Some(number(OVERPROVISIONING)),
            ..Policy::default()
        }),
        ..ClusterLoadAssignment::default()
    }
}

fn member(member: &Endpoint) -> LbEndpoint {
    let health = match member.health {
        Health::Up => HealthStatus::Healthy,
        Health::Doubtful => HealthStatus::Degraded,
        Health::Down => HealthStatus::Unhealthy,
    };
    LbEndpoint {
        health_status: i32::from(health),
        load_balancing_weight: Some(number(member.weight)),
        host_identifier: Some(host(&member.address)),
        ..LbEndpoint::default()
    }
}

fn host(to: &ServiceAddress) -> HostIdentifier {
    HostIdentifier::Endpoint(endpoint::Endpoint {
        address: Some(address(to)),
        ..endpoint::Endpoint::default()
    })
}
