//! Where the connections of an Envoy cluster may go.

use crate::packed::{address, number};
use envoy_types::pb::envoy::config::core::v3::HealthStatus;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::envoy::config::endpoint::v3::cluster_load_assignment::Policy;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints};
use peerway_mesh::{Endpoint, Endpoints, Health};
use peerway_model::ServiceAddress;

/// How much a place can bear that has lost endpoints, in percent of what it bears with all of them: anything. With
/// Envoy's default of 140 a service would begin to leave for what stands in for it as soon as more than a third of it is
/// down; it has to be all.
const OVERPROVISIONING: u32 = 100_000;

/// The assignment. An empty one is still an answer: Envoy would otherwise wait for it.
pub(crate) fn endpoints(endpoints: &Endpoints) -> ClusterLoadAssignment {
    assigned(&endpoints.cluster, &endpoints.members)
}

/// An assignment that is part of the cluster.
pub(crate) fn assigned(cluster: &str, members: &[Endpoint]) -> ClusterLoadAssignment {
    assignment(cluster, members.iter().map(member).collect())
}

/// An assignment of one address that is part of the cluster.
pub(crate) fn single(cluster: &str, to: &ServiceAddress) -> ClusterLoadAssignment {
    assignment(
        cluster,
        vec![LbEndpoint {
            host_identifier: Some(host(to)),
            ..LbEndpoint::default()
        }],
    )
}

fn assignment(cluster: &str, members: Vec<LbEndpoint>) -> ClusterLoadAssignment {
    let endpoints = if members.is_empty() {
        Vec::new()
    } else {
        vec![LocalityLbEndpoints {
            lb_endpoints: members,
            ..LocalityLbEndpoints::default()
        }]
    };
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
