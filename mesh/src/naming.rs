//! Names of Envoy resources and statistics (xDS facts, sections 1.3 and 1.4). Dashboards depend on them.

use crate::finding::ClusterIdentity;
use peerway_model::chain::Target;
use peerway_model::config::Protocol;
use peerway_model::{ConfigKey, PeeringKey, ServiceAddress, ServiceKey, TrustDomain, sni};

/// The Envoy cluster of the application behind a sidecar.
pub(crate) const LOCAL_APP: &str = "local_app";
/// Base of the inbound listener of a sidecar, and its statistics prefix.
pub(crate) const PUBLIC_LISTENER: &str = "public_listener";
/// Base of the listener that calls are redirected to, and the name of its chain of what is not in the mesh.
pub(crate) const OUTBOUND_LISTENER: &str = "outbound_listener";
/// The Envoy cluster of calls that are for nobody in the mesh.
pub(crate) const PASSTHROUGH: &str = "original-destination";
/// Base of a gateway's listener: the name of its bind address.
pub(crate) const GATEWAY_BIND: &str = "default";
/// Statistics prefix of gateway chains that are not about one exported service.
pub(crate) const GATEWAY_STATS: &str = "mesh_gateway_local.default";
/// The validation context of this cluster's own workloads.
pub(crate) const LOCAL_ROOTS: &str = "roots~local";
/// Stands for a trust domain that is not known yet. No Envoy cluster has such a name, because one exists only with a
/// known trust domain and peer names are distinct.
const UNKNOWN_TRUST_DOMAIN: &str = "unknown";

/// The Envoy cluster of a port of the application behind a sidecar on which paths are exposed.
pub(crate) fn exposed_cluster(port: u16, protocol: Protocol) -> String {
    match protocol.is_http2() {
        // Consul's name.
        false => format!("exposed_cluster_{port}"),
        true => format!("exposed_cluster_{port}_{}", protocol.as_str()),
    }
}

/// The listener of a path that is exposed: Consul's name, but that addresses of version 6 are spelt alike.
pub(crate) fn exposed_listener(path: &str, address: &ServiceAddress) -> String {
    listener(&format!("exposed_path_{}", letters(path)), address)
}

/// Its statistics prefix and the name of its routes.
pub(crate) fn exposed_filter(path: &str, port: u16) -> String {
    format!("exposed_path_filter_{}_{port}", letters(path))
}

fn letters(path: &str) -> String {
    path.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// The policy about connections to a service. Not the same name as that about requests: Envoy takes one kind of filter
/// under a name.
pub(crate) fn connection_policy(service: &ServiceKey) -> String {
    format!("connections~{}", plain(service))
}

/// The policy about requests to a service.
pub(crate) fn request_policy(service: &ServiceKey) -> String {
    format!("requests~{}", plain(service))
}

/// The policy about tokens of requests to a service. Sorts before the one about requests as well, so that nobody is asked
/// for a token before it is verified.
pub(crate) fn token_policy(service: &ServiceKey) -> String {
    format!("jwt~{}", plain(service))
}

/// The policy about headers of requests to a service. Sorts before the one about requests: proxies take them in this
/// order.
pub(crate) fn line_policy(service: &ServiceKey) -> String {
    format!("lines~{}", plain(service))
}

/// The validation context of the callers that a service may admit.
pub(crate) fn admitted(service: &ServiceKey) -> String {
    format!("admitted~{}", plain(service))
}

/// SNI of a local service, which is also its Envoy cluster's name.
pub(crate) fn service_sni(cluster: &ClusterIdentity, service: &ServiceKey) -> String {
    sni::service(
        &service.name,
        &service.namespace,
        &service.partition,
        &cluster.datacenter,
        &cluster.trust_domain,
    )
}

/// The Envoy cluster of the instances of a local service that are dialled one by one.
pub(crate) fn passthrough(cluster: &ClusterIdentity, service: &ServiceKey) -> String {
    format!("passthrough~{}", service_sni(cluster, service))
}

/// The Envoy cluster of a target of an exported service's chain on the exporter's gateway.
pub(crate) fn exported_cluster(cluster: &ClusterIdentity, target: &Target) -> String {
    format!("exported~{}", target_sni(cluster, target))
}

/// The Envoy cluster of a target of this cluster on a sidecar: its SNI.
pub(crate) fn target_sni(cluster: &ClusterIdentity, target: &Target) -> String {
    let plain = service_sni(cluster, &target.service);
    match &target.subset {
        None => plain,
        Some(subset) => format!("{subset}.{plain}"),
    }
}

/// The Envoy cluster of what stands in for another one, or of that one itself as the first.
pub(crate) fn failover_member(nth: usize, base: &str) -> String {
    format!("failover-target~{nth}~{base}")
}

/// The Envoy cluster of an imported service on a sidecar; `None` for a local service.
pub(crate) fn imported_cluster(service: &ServiceKey, trust_domain: Option<&TrustDomain>) -> Option<String> {
    let peer = service.origin.peer()?;
    Some(match trust_domain {
        Some(trust_domain) => sni::imported_cluster(&service.name, &service.namespace, peer, trust_domain),
        None => format!(
            "{}.{}.{peer}.external.{UNKNOWN_TRUST_DOMAIN}",
            service.name, service.namespace
        ),
    })
}

/// The route configuration of an upstream's listener, or of an exported service on a gateway.
pub(crate) fn routes(service: &ServiceKey) -> String {
    upstream_id(service)
}

/// The secret with a certificate of an operator's own.
pub(crate) fn certificate(key: &ConfigKey) -> String {
    format!("certificate~{}.{}.{}", key.name, key.namespace, key.partition)
}

/// The route configuration of a port of a gateway at the edge.
pub(crate) fn edge_routes(port: u16) -> String {
    port.to_string()
}

/// Statistics prefix of requests to a port of a gateway at the edge.
pub(crate) fn edge_stats(port: u16) -> String {
    format!("ingress_upstream_{port}")
}

/// The virtual host of an upstream: name, namespace and peer.
pub(crate) fn virtual_host(service: &ServiceKey) -> String {
    match service.origin.peer() {
        None => format!("{}.{}", service.name, service.namespace),
        Some(peer) => format!("{}.{}.{peer}", service.name, service.namespace),
    }
}

/// The secret with the leaf of a service outside the mesh, on the gateway that stands for it.
pub(crate) fn leaf(service: &ServiceKey) -> String {
    format!("leaf~{}", plain(service))
}

/// The validation context of one peer's workloads.
pub(crate) fn peer_roots(peering: &PeeringKey) -> String {
    format!("roots~peer~{}~{}", peering.partition, peering.name)
}

/// The validation context of the callers of a service.
pub(crate) fn inbound_roots(service: &ServiceKey) -> String {
    format!("inbound~{}", plain(service))
}

/// A local service, in a name.
fn plain(service: &ServiceKey) -> String {
    format!("{}.{}.{}", service.name, service.namespace, service.partition)
}

/// The name of a listener: an address change makes another listener.
pub(crate) fn listener(base: &str, address: &ServiceAddress) -> String {
    format!("{base}:{}:{}", address.address, address.port)
}

/// The id of an upstream: tenancy only where it is not the default one, then the name, then the peer.
pub(crate) fn upstream_id(service: &ServiceKey) -> String {
    let name = if service.partition.is_default() && service.namespace.is_default() {
        service.name.to_string()
    } else {
        format!("{}/{}/{}", service.partition, service.namespace, service.name)
    };
    match service.origin.peer() {
        None => name,
        Some(peer) => format!("{name}?peer={peer}"),
    }
}

/// Statistics prefix of an upstream's listener.
pub(crate) fn upstream_stats(cluster: &ClusterIdentity, service: &ServiceKey) -> String {
    match service.origin.peer() {
        None => format!("upstream.{}", stats_labels(cluster, service)),
        Some(peer) => format!("upstream_peered.{}.{}.{peer}", service.name, service.namespace),
    }
}

/// Statistics prefix of an exported service's chain.
pub(crate) fn exported_stats(cluster: &ClusterIdentity, service: &ServiceKey) -> String {
    format!("mesh_gateway_local_peered.{}", stats_labels(cluster, service))
}

/// Statistics prefix of the chain to our own servers.
pub(crate) fn own_servers_stats(cluster: &ClusterIdentity) -> String {
    format!(
        "mesh_gateway_local_peering_server.{GATEWAY_BIND}.{}",
        cluster.datacenter
    )
}

/// Statistics prefix of the chain to a peer's servers.
pub(crate) fn peer_servers_stats(server_name: &str) -> String {
    format!("mesh_gateway_remote_peering_servers.{server_name}")
}

fn stats_labels(cluster: &ClusterIdentity, service: &ServiceKey) -> String {
    format!(
        "{}.{}.{}.{}",
        service.name, service.namespace, service.partition, cluster.datacenter
    )
}
