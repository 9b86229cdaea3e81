//! The way to servers through a mesh gateway. TLS is between the servers, the gateway passes bytes by their name.

use super::cluster::MAX_EJECTION_PERCENT;
use super::listener;
use crate::finding::ServerRoute;
use crate::fragment::{Chain, Cluster, Discovery, Endpoint, Endpoints, Terms};
use crate::read::Reading;
use peerway_model::chain::DEFAULT_CONNECT_TIMEOUT_MS;
use peerway_model::config::Protocol;
use peerway_model::name::Partition;

/// `None` while nothing is known of servers of this name.
pub(super) fn cluster(reading: &mut Reading<'_>, partition: &Partition, name: &str) -> Option<Cluster> {
    let servers = reading.servers(partition);
    let route = servers.iter().find(|route| route.name == name)?;
    Some(Cluster {
        name: route.name.clone(),
        connect_timeout_ms: DEFAULT_CONNECT_TIMEOUT_MS,
        protocol: Protocol::Tcp,
        discovery: match route.named {
            true => Discovery::Dns(members(route)),
            false => Discovery::Eds,
        },
        tls: None,
        max_ejection_percent: Some(MAX_EJECTION_PERCENT),
        outside_tls: None,
        keepalive: route.remote,
        balance: None,
        terms: Terms::default(),
    })
}

/// `None` as well when Envoy resolves their names.
pub(super) fn endpoints(reading: &mut Reading<'_>, partition: &Partition, name: &str) -> Option<Endpoints> {
    let servers = reading.servers(partition);
    let route = servers.iter().find(|route| route.name == name && !route.named)?;
    Some(Endpoints {
        cluster: route.name.clone(),
        members: members(route),
    })
}

fn members(route: &ServerRoute) -> Vec<Endpoint> {
    route.addresses.iter().cloned().map(Endpoint::up).collect()
}

pub(super) fn chain(route: &ServerRoute) -> Chain {
    Chain {
        server_names: vec![route.name.clone()],
        destinations: Vec::new(),
        tls: None,
        serving: None,
        stat_prefix: route.stat_prefix.clone(),
        traffic: listener::passed(route.name.clone()),
    }
}
