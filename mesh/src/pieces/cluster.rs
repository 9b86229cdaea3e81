//! Envoy clusters.

use super::endpoints;
use crate::finding::{ClusterIdentity, Face, Import, PeerIdentity, Place};
use crate::fragment::{Cluster, Discovery, Endpoint, UpstreamTls};
use crate::naming;
use crate::read::Reading;
use peerway_model::config::Protocol;
use peerway_model::instance::GatewayMode;
use peerway_model::{PeeringKey, ServiceAddress, ServiceKey, SpiffeId};

/// Connect timeout unless an upstream says otherwise (Consul's default), in milliseconds.
pub(crate) const DEFAULT_CONNECT_TIMEOUT_MS: u64 = 5_000;
/// Longest connect timeout that an upstream may ask for, in milliseconds.
pub(crate) const MAX_CONNECT_TIMEOUT_MS: u64 = 600_000;
/// Most endpoints of one service that outlier detection may eject (Envoy's default), in percent.
pub(super) const MAX_EJECTION_PERCENT: u32 = 10;
/// The same towards a peer: the health behind its gateways is not known here (xDS facts, section 2.4).
const MAX_PEER_EJECTION_PERCENT: u32 = 100;

/// The application behind a sidecar.
pub(super) fn local_app(address: &ServiceAddress, protocol: Protocol) -> Cluster {
    let discovery = match crate::address::ip(address) {
        Some(address) => Discovery::Static(address),
        None => Discovery::Dns(vec![Endpoint {
            address: address.clone(),
            healthy: true,
            weight: 1,
        }]),
    };
    Cluster {
        name: naming::LOCAL_APP.to_owned(),
        connect_timeout_ms: DEFAULT_CONNECT_TIMEOUT_MS,
        protocol,
        discovery,
        tls: None,
        max_ejection_percent: None,
        keepalive: false,
    }
}

/// The one instance of a local service that a client dialled, with mTLS: whoever has taken its address since does not
/// pass for it.
pub(super) fn direct(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Cluster> {
    let cluster = reading.cluster()?;
    Some(Cluster {
        name: naming::passthrough(&cluster, service),
        protocol: reading.protocol(service),
        tls: Some(to_sidecar(&cluster, service)),
        ..passthrough()
    })
}

/// Whatever a client dialled.
pub(super) fn passthrough() -> Cluster {
    Cluster {
        name: naming::PASSTHROUGH.to_owned(),
        connect_timeout_ms: DEFAULT_CONNECT_TIMEOUT_MS,
        protocol: Protocol::Tcp,
        discovery: Discovery::OriginalDestination,
        tls: None,
        max_ejection_percent: None,
        keepalive: false,
    }
}

/// An upstream of a sidecar.
pub(super) fn upstream(
    reading: &mut Reading<'_>,
    service: &ServiceKey,
    mode: GatewayMode,
    connect_timeout_ms: u64,
) -> Option<Cluster> {
    match service.origin.peer() {
        None => local_upstream(reading, service, connect_timeout_ms),
        Some(peer) => {
            let peering = PeeringKey {
                partition: service.partition.clone(),
                name: peer.clone(),
            };
            peered_upstream(reading, service, &peering, mode, connect_timeout_ms)
        }
    }
}

fn local_upstream(reading: &mut Reading<'_>, service: &ServiceKey, timeout: u64) -> Option<Cluster> {
    let cluster = reading.cluster()?;
    let tls = to_sidecar(&cluster, service);
    Some(Cluster {
        name: tls.sni.clone(),
        connect_timeout_ms: timeout,
        protocol: reading.protocol(service),
        discovery: discovery(reading, Place::Sidecars(service.clone())),
        tls: Some(tls),
        max_ejection_percent: Some(MAX_EJECTION_PERCENT),
        keepalive: false,
    })
}

/// mTLS to the sidecars of a local service.
fn to_sidecar(cluster: &ClusterIdentity, service: &ServiceKey) -> UpstreamTls {
    let identity = SpiffeId::Service {
        trust_domain: cluster.trust_domain.clone(),
        partition: service.partition.clone(),
        namespace: service.namespace.clone(),
        datacenter: cluster.datacenter.clone(),
        service: service.name.clone(),
    };
    UpstreamTls {
        sni: naming::service_sni(cluster, service),
        identities: vec![identity.to_string()],
        validation: naming::LOCAL_ROOTS.to_owned(),
    }
}

/// Only with everything that it takes to know whom one talks to: a cluster without identities would accept every
/// workload of the peer.
fn peered_upstream(
    reading: &mut Reading<'_>,
    service: &ServiceKey,
    peering: &PeeringKey,
    mode: GatewayMode,
    timeout: u64,
) -> Option<Cluster> {
    let peer = reading.peer(peering)?;
    let import = reading.import(service)?;
    let identities = identities_within(&peer, &import);
    if identities.is_empty() {
        return None;
    }
    Some(Cluster {
        name: naming::imported_cluster(service, Some(&peer.trust_domain))?,
        connect_timeout_ms: timeout,
        protocol: import.protocol,
        discovery: discovery(reading, endpoints::place(service, mode)),
        tls: Some(UpstreamTls {
            sni: import.sni.clone(),
            identities,
            validation: naming::peer_roots(peering),
        }),
        max_ejection_percent: Some(MAX_PEER_EJECTION_PERCENT),
        keepalive: mode == GatewayMode::Remote,
    })
}

/// By name when somebody at `place` has a host name, since endpoints are IP addresses.
fn discovery(reading: &mut Reading<'_>, place: Place) -> Discovery {
    match reading.hosts(place) {
        Some(hosts) => Discovery::Dns(hosts.to_vec()),
        None => Discovery::Eds,
    }
}

/// Those identities of an imported service that its peer's roots can vouch for: of a service or a gateway in the
/// peer's own trust domain. In the peer's order, which has the service first.
pub(super) fn identities_within(peer: &PeerIdentity, import: &Import) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for uri in &import.spiffe_ids {
        let fits = SpiffeId::parse(uri).is_ok_and(|id| {
            !matches!(id, SpiffeId::Server { .. }) && *id.trust_domain() == peer.trust_domain
        });
        if fits && !kept.contains(uri) {
            kept.push(uri.clone());
        }
    }
    kept
}

/// A service on a gateway. Bytes pass through, TLS is between the two sidecars; but where the gateway looks at the
/// requests for an exported service, it ended the peer's TLS and speaks to the sidecar for itself.
pub(super) fn gateway(reading: &mut Reading<'_>, face: Face, service: &ServiceKey) -> Option<Cluster> {
    let sidecars = Place::Sidecars(service.clone());
    let (name, place) = match face {
        Face::Exported => (naming::exported_cluster(&*reading.cluster()?, service), sidecars),
        Face::Local => (naming::service_sni(&*reading.cluster()?, service), sidecars),
        Face::Imported => {
            let import = reading.import(service)?;
            (import.sni.clone(), Place::Exporters(service.clone()))
        }
    };
    let mut protocol = Protocol::Tcp;
    if face == Face::Exported {
        protocol = reading.protocol(service);
    }
    let tls = match protocol.is_http() {
        true => Some(to_sidecar(&*reading.cluster()?, service)),
        false => None,
    };
    Some(Cluster {
        name,
        connect_timeout_ms: DEFAULT_CONNECT_TIMEOUT_MS,
        protocol,
        discovery: discovery(reading, place),
        tls,
        max_ejection_percent: Some(MAX_EJECTION_PERCENT),
        keepalive: face == Face::Imported,
    })
}
