//! Listeners.

use crate::fragment::{Chain, Direction, DownstreamTls, Listener};
use crate::naming;
use crate::read::Reading;
use peerway_model::name::Partition;
use peerway_model::{PeeringKey, ServiceAddress, ServiceKey};

/// Where a sidecar takes calls for its service: mTLS, then who may call, then the application.
pub(super) fn public(
    reading: &mut Reading<'_>,
    address: &ServiceAddress,
    service: &ServiceKey,
    server_first: bool,
) -> Option<Listener> {
    // Without a policy there is no listener: it must never be open.
    let authorization = reading.authorization(service)?;
    Some(Listener {
        name: naming::listener(naming::PUBLIC_LISTENER, address),
        address: address.clone(),
        direction: Direction::Inbound,
        chains: vec![Chain {
            server_names: Vec::new(),
            tls: Some(DownstreamTls {
                validation: naming::inbound_roots(service),
            }),
            authorization: Some((*authorization).clone()),
            stat_prefix: naming::PUBLIC_LISTENER.to_owned(),
            cluster: naming::LOCAL_APP.to_owned(),
            server_first,
        }],
    })
}

/// Where a sidecar takes calls of its application. It is there from the start, also while the Envoy cluster is not:
/// connections are then closed, and the application sees a refusal from the mesh and not from its own machine.
pub(super) fn upstream(
    reading: &mut Reading<'_>,
    address: &ServiceAddress,
    service: &ServiceKey,
) -> Option<Listener> {
    let identity = reading.cluster()?;
    let cluster = match service.origin.peer() {
        None => naming::service_sni(&identity, service),
        Some(peer) => {
            let peering = PeeringKey {
                partition: service.partition.clone(),
                name: peer.clone(),
            };
            let peer = reading.peer(&peering);
            naming::imported_cluster(service, peer.as_ref().map(|peer| &peer.trust_domain))?
        }
    };
    Some(Listener {
        name: naming::listener(&naming::upstream_id(service), address),
        address: address.clone(),
        direction: Direction::Outbound,
        chains: vec![Chain {
            server_names: Vec::new(),
            tls: None,
            authorization: None,
            stat_prefix: naming::upstream_stats(&identity, service),
            cluster,
            server_first: false,
        }],
    })
}

/// Where a gateway takes connections. There is no chain without server names: which SNIs work is spelt out, chain by
/// chain, and a connection with any other SNI, or none, is closed. A catch-all that forwards to "the cluster named
/// like the SNI" would let callers pick among everything that the gateway knows. `None` while nothing is let through:
/// Envoy refuses a listener without chains.
pub(super) fn gateway(
    reading: &mut Reading<'_>,
    address: &ServiceAddress,
    partition: &Partition,
) -> Option<Listener> {
    let chains: Vec<Chain> = reading
        .routes(partition)
        .iter()
        .map(|route| Chain {
            server_names: route.server_names.clone(),
            tls: None,
            authorization: None,
            stat_prefix: route.stat_prefix.clone(),
            cluster: route.cluster.clone(),
            server_first: false,
        })
        .collect();
    (!chains.is_empty()).then(|| Listener {
        name: naming::listener(naming::GATEWAY_BIND, address),
        address: address.clone(),
        direction: Direction::Unspecified,
        chains,
    })
}
